// Package sweep measures how fast an account's files move under different
// settings, one after the other, and says which are worth using.
package sweep

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
)

// Directions.
const (
	Down = "down"
	Up   = "up"
)

// A Step is one transfer of one file, under its own settings.
type Step struct {
	Direction   string `json:"direction"`
	Connections int    `json:"connections"`
	Part        int    `json:"part"`  // bytes; uploads have parts of 512 KiB
	Bytes       int64  `json:"bytes"` // of the file
}

// A Result is what a step took.
type Result struct {
	Step
	Seconds float64 `json:"seconds"`
	Rate    float64 `json:"mib_per_second"`
	// CPU is the seconds of user and system time of this process for each GiB; 0:
	// the system does not tell.
	CPU float64 `json:"cpu_seconds_per_gib"`
	// Latencies of requests that moved parts, from the moment they were given to
	// a connection.
	P50 float64 `json:"p50_ms"`
	P90 float64 `json:"p90_ms"`
	P99 float64 `json:"p99_ms"`
	// Wait is the share of the time in which Telegram had asked to wait.
	Wait float64 `json:"wait_share"`
	// Memory is the most that Go had of the system, in MiB.
	Memory float64 `json:"memory_mib"`
}

// A Plan says what to try. Uploads have the connections only.
type Plan struct {
	Directions  []string
	Connections []int // caps, each tried with the largest parts
	Parts       []int // bytes, of downloads, each tried with the most connections
}

// uploadPart is the size of an upload's parts, which is fixed.
const uploadPart = 512 << 10

// Steps are those of the plan, in the order in which they are run.
func (p Plan) Steps() (steps []Step) {
	largest := slices.Max(p.Parts)
	for _, d := range p.Directions {
		part := largest
		if d == Up {
			part = uploadPart
		}
		for _, n := range p.Connections {
			steps = append(steps, Step{Direction: d, Connections: n, Part: part})
		}
		for _, part := range p.Parts {
			if d == Down && part != largest {
				steps = append(steps, Step{Direction: d, Connections: slices.Max(p.Connections), Part: part})
			}
		}
	}
	return steps
}

// Share gives the steps files of equal size, so that all of them move no more
// than budget bytes. Downloads of a real file have its size instead, if that is
// not 0; then steps that would exceed the budget are left out, and counted.
func Share(steps []Step, budget, fileSize int64) (kept []Step, left int) {
	each := budget / int64(max(1, len(steps)))
	for _, s := range steps {
		s.Bytes = each
		if fileSize > 0 { // also uploads: results are compared
			s.Bytes = fileSize
		}
		if s.Bytes < 1 || s.Bytes > budget {
			left++
			continue
		}
		budget -= s.Bytes
		kept = append(kept, s)
	}
	return kept, left
}

// Total is how many bytes the steps move.
func Total(steps []Step) (down, up int64) {
	for _, s := range steps {
		if s.Direction == Up {
			up += s.Bytes
		} else {
			down += s.Bytes
		}
	}
	return down, up
}

// A Bench is an account to measure with.
type Bench struct {
	Client *telegram.Client
	// Options are the base of each step's: checkpoint, limits, the longest wait.
	Options transfer.Options
	// File is what the i-th step downloads.
	File func(i int) telegram.File
	// Source is a file of the size of what the steps upload, and To where it goes.
	Source string
	To     telegram.Peer
	Dir    string // scratch, on the disk that is to be measured
}

// Run runs one step. What it has fetched is removed again.
func (b *Bench) Run(ctx context.Context, i int, s Step) (r Result, err error) {
	o := b.Options
	o.Connections, o.Transfers = s.Connections, 1
	if s.Direction == Down {
		o.PartSize = s.Part
	}
	if u := b.Client.User(); u != nil {
		o.Premium = u.Premium
	}
	var times latencies
	engine := transfer.NewFor(transfer.Timed(b.Client, times.add), o)
	meter := startMeter()
	var report *transfer.Report
	if s.Direction == Down {
		report, err = b.download(ctx, engine, i)
	} else {
		report, err = engine.Upload(ctx, one(transfer.Upload{Path: b.Source, Name: "haul-bench.bin", To: b.To}))
	}
	cpu, memory := meter.stop()
	if err == nil && len(report.Failed) > 0 {
		err = fmt.Errorf("%s: %w", report.Failed[0].Path, report.Failed[0].Err)
	}
	if err != nil {
		return Result{Step: s}, err
	}
	return s.result(report, times.all, cpu, memory), nil
}

// latencies of requests.
type latencies struct {
	mu  sync.Mutex
	all []time.Duration // read it when no request is under way
}

func (l *latencies) add(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, took)
}

func (s Step) result(report *transfer.Report, took []time.Duration, cpu time.Duration, memory float64) Result {
	gib := float64(report.Bytes) / (1 << 30)
	r := Result{Step: s, Seconds: report.Seconds, Memory: memory}
	r.Bytes = report.Bytes
	if gib > 0 && report.Seconds > 0 {
		r.Rate, r.CPU, r.Wait = gib*1024/report.Seconds, cpu.Seconds()/gib, min(1, report.WaitSeconds/report.Seconds)
	}
	slices.Sort(took)
	r.P50, r.P90, r.P99 = percentile(took, 50), percentile(took, 90), percentile(took, 99)
	return r
}

// percentile of sorted durations in milliseconds: the least that n of a hundred
// do not exceed. 0 of none.
func percentile(sorted []time.Duration, n int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := (len(sorted)*n + 99) / 100
	return float64(sorted[max(0, at-1)].Microseconds()) / 1000
}

// download fetches a file into a folder of its own: no run finds what another
// has left.
func (b *Bench) download(ctx context.Context, engine *transfer.Engine, i int) (report *transfer.Report, err error) {
	dir := filepath.Join(b.Dir, strconv.Itoa(i))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	defer func() { err = cmp.Or(err, os.RemoveAll(dir)) }()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close() //nolint:errcheck // a folder
	return engine.Download(ctx, one(transfer.Download{File: b.File(i), Dir: root, Path: "file"}))
}

func one[T any](v T) func(func(T, error) bool) {
	return func(yield func(T, error) bool) { yield(v, nil) }
}

// near is the share of the best rate that settings need to be as good: what is
// left between them is chance.
const near = 0.95

// Recommend is the fewest connections that are as good as any in each direction
// that was measured, by the direction that needs more of them; 0 if nothing was.
// Results with smaller parts do not count.
func Recommend(results []Result) (connections int) {
	for _, d := range []string{Down, Up} {
		best, part := 0.0, 0
		for _, r := range results {
			if r.Direction == d {
				part = max(part, r.Part)
			}
		}
		counts := func(r Result) bool { return r.Direction == d && r.Part == part }
		for _, r := range results {
			if counts(r) {
				best = max(best, r.Rate)
			}
		}
		fewest := 0
		for _, r := range results {
			if counts(r) && r.Rate >= near*best && (fewest == 0 || r.Connections < fewest) {
				fewest = r.Connections
			}
		}
		connections = max(connections, fewest)
	}
	return connections
}
