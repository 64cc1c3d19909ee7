package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

// A picture is well-formed whatever its texts are, has a mark for each value and
// none where there is none, and greater values stand higher.
func TestChart(t *testing.T) {
	for _, bars := range []bool{false, true} {
		c := Chart{
			Title: "a < b", Subtitle: "R&D", Unit: "MiB/s", Axis: "n", Categories: []string{"1", "2", "<3>"}, Bars: bars,
			Series: []Series{{Name: "one", Values: []float64{1, 20, math.NaN()}}, {Name: "two", Values: []float64{0, 5, 300}}},
		}
		var b strings.Builder
		if _, err := c.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		for d := xml.NewDecoder(strings.NewReader(b.String())); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%v in\n%s", err, b.String())
			}
		}
		d := c.layout()
		if len(d.Shapes) != 2 || len(d.Shapes[0].Marks) != 2 || len(d.Shapes[1].Marks) != 3 {
			t.Fatalf("shapes are %+v", d.Shapes)
		}
		for _, s := range d.Shapes {
			for i := 1; i < len(s.Marks); i++ {
				if s.Marks[i].Y >= s.Marks[i-1].Y {
					t.Errorf("%s: value %d at %g, the smaller one before it at %g", s.Name, i, s.Marks[i].Y, s.Marks[i-1].Y)
				}
			}
		}
		if top := d.Shapes[1].Marks[2].Y; top < float64(d.TopOfPlane) {
			t.Errorf("the greatest value is at %g, above the plane's %d", top, d.TopOfPlane)
		}
	}
}

func TestChartOfNothing(t *testing.T) {
	var b strings.Builder
	if _, err := (&Chart{Title: "none"}).WriteTo(&b); err != nil || !strings.Contains(b.String(), "</svg>") {
		t.Fatalf("%v, %q", err, b.String())
	}
}
