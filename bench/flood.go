package main

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tghaul/haul/bench/internal/rig"
	"github.com/tghaul/haul/bench/internal/virtual"
	"github.com/tghaul/haul/scheduler"
)

const (
	// floodLearn is how long the scheduler may learn before anything counts.
	floodLearn = time.Minute
	// floodPool is the number of workers of the policy that haul is compared
	// with, and of connections that haul may use.
	floodPool = 8
)

// flood has the scheduler meet flood rules that it does not know, in virtual
// time: half an hour each, rules and lines drawn from seeds. Then the same job
// is done by a pool of workers that each sleep for themselves.
func flood(f *flag.FlagSet) func(*rig.Rig, *rig.Report) error {
	seeds := f.Uint64("seeds", 20, "rules of each kind")
	first := f.Uint64("seed", 0, "the first seed")
	long := f.Duration("long", 30*time.Minute, "virtual time of a run")
	verbose := f.Bool("v", false, "print each run")
	return func(_ *rig.Rig, report *rig.Report) error {
		for _, kind := range virtual.Kinds {
			runs, err := floodRuns(kind, *first, *seeds, *long)
			if err != nil {
				return err
			}
			if *verbose {
				for _, r := range runs {
					fmt.Println(r)
				}
			}
			reportFlood(report, kind, runs)
		}
		return nil
	}
}

// A floodRun is what came of one rule.
type floodRun struct {
	seed   uint64
	rule   virtual.Case
	share  float64 // of what the rule permits, after floodLearn
	waits  float64 // received in two minutes, after floodLearn
	inside int64   // requests sent inside a wait

	// The same job, an hour's work, by haul and by the workers. Under a growing
	// penalty they are stopped after a day.
	haul, workers virtual.Result
}

func (r floodRun) String() string {
	return fmt.Sprintf("%s seed %d: rate %.2f %+v %+v: share %.4f, %.3f waits in 2 min; job %v, %d waits, workers %v, %d waits",
		r.rule.Rule.Kind, r.seed, r.rule.Rate, r.rule.Rule, r.rule.Network, r.share, r.waits,
		r.haul.Took.Round(time.Second), len(r.haul.Waits), r.workers.Took.Round(time.Second), len(r.workers.Waits))
}

func floodRuns(kind string, first, seeds uint64, long time.Duration) ([]floodRun, error) {
	runs := make([]floodRun, seeds)
	var g errgroup.Group
	g.SetLimit(runtime.NumCPU())
	for i := range runs {
		g.Go(func() error {
			runs[i] = floodOnce(kind, first+uint64(i), long)
			return nil
		})
	}
	return runs, g.Wait()
}

func floodOnce(kind string, seed uint64, long time.Duration) floodRun {
	c := virtual.NewCase(kind, seed)
	rules, cfg := c.Rules(), scheduler.Config{Connections: floodPool}
	r := virtual.Haul(c.Network, rules, virtual.Endless, cfg, long, seed)
	minutes := (long - floodLearn).Minutes()
	run := floodRun{
		seed: seed, rule: c, share: c.Share(r, floodLearn, long), inside: r.Inside,
		waits: float64(virtual.Count(r.Waits, floodLearn, long)) / minutes * 2,
	}
	// As much as the rule permits in an hour.
	job := virtual.Job{Files: 1, Size: int64(c.Rate*3600) << 20}
	const day = 24 * time.Hour
	run.haul = virtual.Haul(c.Network, rules, job, cfg, day, seed)
	run.workers = virtual.Workers(floodPool, c.Network, rules, job, day, seed)
	return run
}

func reportFlood(report *rig.Report, kind string, runs []floodRun) {
	var inside int64
	var shares, waits, times []float64
	var ours, theirs tally
	for _, r := range runs {
		shares = append(shares, r.share)
		waits = append(waits, r.waits)
		times = append(times, r.haul.Took.Seconds()/r.workers.Took.Seconds())
		inside += r.inside + r.haul.Inside
		ours.add(r.haul)
		theirs.add(r.workers)
	}
	report.AtLeast(kind+"_share", mean(shares), 0.97, "")
	report.Value(kind+"_share_least", slices.Min(shares), "")
	report.AtMost(kind+"_waits_in_2min", mean(waits), 1, "")
	report.Value(kind+"_waits_in_2min_most", slices.Max(waits), "")
	report.Must(kind+"_inside_wait", float64(inside), 0)
	report.AtMost(kind+"_time_to_workers", mean(times), 1, "")
	report.Value(kind+"_time_to_workers_most", slices.Max(times), "")
	report.AtMost(kind+"_waits_to_workers", ours.perPart()/theirs.perPart(), 0.1, "")
}

// A tally adds up waits and parts over runs.
type tally struct{ waits, parts int }

func (t *tally) add(r virtual.Result) {
	t.waits += len(r.Waits)
	t.parts += len(r.Served)
}

func (t *tally) perPart() float64 { return float64(t.waits) / float64(t.parts) }

func mean(values []float64) (m float64) {
	for _, v := range values {
		m += v / float64(len(values))
	}
	return m
}
