package sweep

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/tghaul/haul/internal/chart"
)

// Table prints results for people.
func Table(w io.Writer, results []Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(t, "\tconnections\tpart\tMiB\tMiB/s\tCPU-s/GiB\tp50 ms\tp90 ms\tp99 ms\twaiting\tmemory MiB\t")
	for _, r := range results {
		_, _ = fmt.Fprintf(t, "%s\t%d\t%d KiB\t%.0f\t%.1f\t%.2f\t%.1f\t%.1f\t%.1f\t%.0f%%\t%.0f\t\n",
			r.Direction, r.Connections, r.Part>>10, float64(r.Bytes)/(1<<20), r.Rate, r.CPU, r.P50, r.P90, r.P99, r.Wait*100, r.Memory)
	}
	return t.Flush()
}

// Plot draws the rate of each step.
func Plot(w io.Writer, subtitle string, results []Result) error {
	c := &chart.Chart{Title: "haul bench: throughput", Subtitle: subtitle, Unit: "MiB/s", Axis: "connections, part in KiB", Bars: true}
	s := chart.Series{Name: "MiB/s"}
	for _, r := range results {
		c.Categories = append(c.Categories, fmt.Sprintf("%s %d, %d", r.Direction, r.Connections, r.Part>>10))
		s.Values = append(s.Values, r.Rate)
	}
	c.Series = []chart.Series{s}
	_, err := c.WriteTo(w)
	return err
}
