package rig

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os/exec"
	"runtime"
	"strings"
	"text/tabwriter"
)

// A Figure is one measured value: a line of JSON, and a row of the table.
type Figure struct {
	Workload string  `json:"workload"`
	Name     string  `json:"figure"`
	Value    float64 `json:"value"`
	Unit     string  `json:"unit,omitempty"`
	// Target is what Value should be at least (AtLeast) or at most (AtMost);
	// "" if there is none. A Must is an error if it is missed.
	Target string `json:"target,omitempty"`
	Met    *bool  `json:"met,omitempty"`
	Must   bool   `json:"must,omitempty"`
	// What it was measured with.
	Commit string `json:"commit,omitempty"`
	Go     string `json:"go"`
	CPUs   int    `json:"cpus"`
}

// A Report collects the figures of a workload.
type Report struct {
	workload string
	commit   string
	out      io.Writer
	figures  []Figure
	missed   []string // what must be met and is not
}

// NewReport returns a report that prints each figure to out as it comes.
func NewReport(workload string, out io.Writer) *Report {
	r := &Report{workload: workload, out: out}
	if b, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output(); err == nil {
		r.commit = strings.TrimSpace(string(b))
	}
	return r
}

// Value adds a figure without a target.
func (r *Report) Value(name string, value float64, unit string) {
	r.add(Figure{Name: name, Value: value, Unit: unit})
}

// AtLeast adds a figure that should be as much as target.
func (r *Report) AtLeast(name string, value, target float64, unit string) {
	r.compare(Figure{Name: name, Value: value, Unit: unit}, ">=", target, value >= target)
}

// AtMost adds a figure that should not be more than target.
func (r *Report) AtMost(name string, value, target float64, unit string) {
	r.compare(Figure{Name: name, Value: value, Unit: unit}, "<=", target, value <= target)
}

// Must adds a count that has to be exactly want: anything else is a fault of haul.
func (r *Report) Must(name string, value, want float64) {
	r.compare(Figure{Name: name, Value: value, Must: true}, "=", want, value == want)
}

// MustAtLeast adds a count that has to be at least least: with less, the
// workload has not tested what it is for.
func (r *Report) MustAtLeast(name string, value, least float64) {
	r.compare(Figure{Name: name, Value: value, Must: true}, ">=", least, value >= least)
}

func (r *Report) compare(f Figure, sign string, target float64, met bool) {
	f.Target, f.Met = fmt.Sprintf("%s %g", sign, target), &met
	if f.Must && !met {
		r.missed = append(r.missed, fmt.Sprintf("%s is %g, want %s", f.Name, f.Value, f.Target))
	}
	r.add(f)
}

func (r *Report) add(f Figure) {
	f.Workload, f.Commit, f.Go, f.CPUs = r.workload, r.commit, runtime.Version(), runtime.NumCPU()
	f.Value = math.Round(f.Value*1000) / 1000
	r.figures = append(r.figures, f)
	_ = json.NewEncoder(r.out).Encode(f) // a closed pipe is the reader's wish
}

// Table prints the figures for people. The error names what had to be met and was not.
func (r *Report) Table(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(t, "%s\tvalue\t\ttarget\t\n", r.workload)
	for _, f := range r.figures {
		verdict := ""
		if f.Met != nil {
			verdict = map[bool]string{true: "met", false: "missed"}[*f.Met]
		}
		_, _ = fmt.Fprintf(t, "%s\t%g\t%s\t%s\t%s\n", f.Name, f.Value, f.Unit, f.Target, verdict)
	}
	_ = t.Flush() // the terminal's trouble
	if len(r.missed) > 0 {
		return fmt.Errorf("%s: %s", r.workload, strings.Join(r.missed, "; "))
	}
	return nil
}
