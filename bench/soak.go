package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tghaul/haul/bench/internal/rig"
	"github.com/tghaul/haul/bench/internal/soak"
)

// soaking moves files for a long time through faults of every kind, with
// clients and engines that come and go, and wants nothing wrong in the end.
func soaking(f *flag.FlagSet) func(*rig.Rig, *rig.Report) error {
	duration := f.Duration("for", 2*time.Minute, "how long")
	seed := f.Uint64("seed", uint64(time.Now().UnixNano()), "chooses files, faults and moments")
	return func(r *rig.Rig, report *rig.Report) error {
		fmt.Fprintln(os.Stderr, "soak: seed", *seed)
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) // so that the cluster ends, too
		defer stop()
		t, err := soak.Run(ctx, r, soak.Options{For: *duration, Seed: *seed, Log: os.Stderr})
		reportSoak(report, t)
		return err
	}
}

func reportSoak(report *rig.Report, t *soak.Totals) {
	const gib = 1 << 30
	report.Value("down", float64(t.Down)/gib, "GiB")
	report.Value("up", float64(t.Up)/gib, "GiB")
	report.Value("files_down", float64(t.Files), "")
	report.Value("files_up", float64(t.Sent), "")
	report.Value("clients", float64(t.Lives), "")
	report.Value("engines", float64(2*t.Legs), "")
	report.Value("reconnects", float64(t.Reconnects), "")
	report.Value("flood_waits", float64(t.Waits), "")
	report.Value("reference_refreshes", float64(t.Refreshes), "")
	report.Value("moved_twice", float64(t.Resent)/(1<<20), "MiB")
	report.Value("inside_wait_as_served", float64(t.InsideAsServed), "")
	for _, kind := range t.Faults() {
		report.Value("struck_"+kind, float64(t.Struck[kind]), "")
	}
	for _, must := range []struct {
		name  string
		count int
	}{
		{"mismatches", t.Mismatches},
		{"lost", t.Lost},
		{"doubled", t.Doubled},
		{"requests_inside_wait", t.InsideWait},
		{"runs_broken", t.Broken},
		{"stuck", t.Stuck},
		{"goroutines_left", t.Goroutines},
		{"descriptors_left", t.Descriptors},
	} {
		report.Must(must.name, float64(must.count), 0)
	}
}
