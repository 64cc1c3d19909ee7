package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tghaul/haul/bench/internal/plot"
	"github.com/tghaul/haul/bench/internal/rig"
	"github.com/tghaul/haul/bench/internal/virtual"
	"github.com/tghaul/haul/scheduler"
)

// plots draws what the scheduler does about each kind of flood rule, and how
// its windows fill a long line, from runs in virtual time.
func plots(f *flag.FlagSet) func(*rig.Rig, *rig.Report) error {
	dir := f.String("dir", "docs/img", "folder for the pictures")
	return func(_ *rig.Rig, report *rig.Report) error {
		for _, kind := range virtual.Kinds {
			if err := save(filepath.Join(*dir, "flood_"+kind+".svg"), floodFigure(kind)); err != nil {
				return err
			}
		}
		if err := save(filepath.Join(*dir, "window.svg"), windowFigure()); err != nil {
			return err
		}
		report.Value("pictures", float64(len(virtual.Kinds)+1), "")
		return nil
	}
}

func save(path string, f *plot.Figure) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := f.WriteTo(file); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return file.Close()
}

// floodFigure is half an hour under one rule of a kind.
func floodFigure(kind string) *plot.Figure {
	const long = 30 * time.Minute
	seed := uint64(5)
	if kind == "concurrency" {
		seed = 8 // one that eight workers exceed
	}
	c := virtual.NewCase(kind, seed)
	r := virtual.Haul(c.Network, c.Rules(), virtual.Endless, scheduler.Config{Connections: floodPool}, long, seed)
	w := virtual.Workers(floodPool, c.Network, c.Rules(), virtual.Endless, long, seed)
	return &plot.Figure{
		Title: "upload.getFile under a " + describe(c), Unit: "requests/s, average of 10 s", Long: long, Bin: 10 * time.Second,
		Subtitle: fmt.Sprintf("haul's rate in blue. Waits: haul's, and those of %d workers that each sleep alone", floodPool),
		Limit:    c.Rate, LimitName: "permitted", Events: r.Served, RowUnit: "waits",
		Rows: []plot.Row{{Name: "haul", At: r.Waits}, {Name: "workers", At: w.Waits}},
	}
}

func describe(c virtual.Case) string {
	r := c.Rule
	window := time.Duration(r.Window).Round(100 * time.Millisecond)
	switch r.Kind {
	case "token_bucket":
		return fmt.Sprintf("token bucket: %.1f a second, %d at once", r.Rate, r.Burst)
	case "fixed_window":
		return fmt.Sprintf("fixed window: %d in each %v", r.Burst, window)
	case "sliding_window":
		return fmt.Sprintf("sliding window: %d in any %v", r.Burst, window)
	case "concurrency":
		return fmt.Sprintf("cap on concurrency: %d at the same time", r.Burst)
	default:
		return fmt.Sprintf("growing penalty: %.1f a second, %d at once", r.Rate, r.Burst)
	}
}

// windowFigure is the start of a large file on a long line.
func windowFigure() *plot.Figure {
	const size, mib = 1 << 30, 1 << 20
	r := virtual.Haul(virtual.LongLine, nil, virtual.Job{Files: 1, Size: size}, scheduler.Config{Connections: 12}, time.Hour, 1)
	return &plot.Figure{
		Title:    "1 GiB over a line with 80 ms round trip, 4 MiB/s a connection, 32 MiB/s a DC",
		Subtitle: "Connections are added as long as they make it faster, up to 12",
		Unit:     "MiB/s, average of 500 ms", Long: r.Took.Truncate(time.Second), Bin: 500 * time.Millisecond,
		Limit: virtual.LongLine.DCRate / mib, LimitName: "line", Events: r.Arrived, // parts of 1 MiB
	}
}
