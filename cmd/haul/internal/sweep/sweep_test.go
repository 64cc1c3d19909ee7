package sweep

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tghaul/haul/transfer"
)

func TestSteps(t *testing.T) {
	p := Plan{Directions: []string{Down, Up}, Connections: []int{1, 4}, Parts: []int{512 << 10, 1 << 20}}
	want := []Step{
		{Direction: Down, Connections: 1, Part: 1 << 20},
		{Direction: Down, Connections: 4, Part: 1 << 20},
		{Direction: Down, Connections: 4, Part: 512 << 10},
		{Direction: Up, Connections: 1, Part: 512 << 10},
		{Direction: Up, Connections: 4, Part: 512 << 10},
	}
	if got := p.Steps(); !slices.Equal(got, want) {
		t.Errorf("steps are %+v, want %+v", got, want)
	}
}

// Whatever the sizes, no more is moved than the budget has.
func TestShare(t *testing.T) {
	steps := Plan{Directions: []string{Down, Up}, Connections: []int{1, 2, 4}, Parts: []int{1 << 20}}.Steps()
	for _, c := range []struct{ budget, file, kept, left int64 }{
		{6000, 0, 6, 0}, {5, 0, 0, 6}, {6000, 1000, 6, 0}, {5999, 1000, 5, 1}, {999, 1000, 0, 6}, {6000, 7, 6, 0},
	} {
		kept, left := Share(steps, c.budget, c.file)
		down, up := Total(kept)
		if int64(len(kept)) != c.kept || int64(left) != c.left || down+up > c.budget {
			t.Errorf("of %d with files of %d: %d steps of %d bytes, %d left out, want %d and %d", c.budget, c.file, len(kept), down+up, left, c.kept, c.left)
		}
	}
}

func TestResult(t *testing.T) {
	var took []time.Duration
	for i := range 200 { // 200 ms down to 1 ms
		took = append(took, time.Duration(200-i)*time.Millisecond)
	}
	report := &transfer.Report{Counters: transfer.Counters{Bytes: 512 << 20, Seconds: 4, WaitSeconds: 1}}
	r := Step{Direction: Down, Connections: 2}.result(report, took, 3*time.Second, 42)
	if r.Rate != 128 || r.CPU != 6 || r.Wait != 0.25 || r.Memory != 42 || r.P50 != 100 || r.P90 != 180 || r.P99 != 198 {
		t.Errorf("result is %+v", r)
	}
	if r := (Step{}).result(&transfer.Report{}, nil, 0, 0); r.Rate != 0 || r.P99 != 0 {
		t.Errorf("of nothing: %+v", r)
	}
}

func TestRecommend(t *testing.T) {
	result := func(direction string, connections, part int, rate float64) Result {
		return Result{Step: Step{Direction: direction, Connections: connections, Part: part}, Rate: rate}
	}
	down := []Result{result(Down, 1, 1024, 50), result(Down, 2, 1024, 96), result(Down, 4, 1024, 100), result(Down, 8, 1024, 90), result(Down, 1, 512, 300)}
	for _, c := range []struct {
		results []Result
		want    int
	}{
		{nil, 0},
		{down, 2},
		{append(slices.Clone(down), result(Up, 1, 512, 10), result(Up, 8, 512, 20)), 8},
		{append(slices.Clone(down), result(Up, 1, 512, 20), result(Up, 8, 512, 20)), 2},
	} {
		if got := Recommend(c.results); got != c.want {
			t.Errorf("recommended %d, want %d, for %+v", got, c.want, c.results)
		}
	}
}

func TestShow(t *testing.T) {
	results := []Result{{Step: Step{Direction: Down, Connections: 4, Part: 1 << 20, Bytes: 3 << 20}, Rate: 12.34, CPU: 1.5, P99: 7.7, Wait: 0.5, Memory: 9}}
	var b strings.Builder
	if err := Table(&b, results); err != nil || !strings.Contains(b.String(), "12.3") || !strings.Contains(b.String(), "50%") {
		t.Errorf("%v\n%s", err, b.String())
	}
	b.Reset()
	if err := Plot(&b, "a <test>", results); err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(strings.NewReader(b.String())); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
