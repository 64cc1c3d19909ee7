// Command bench drives the real program against simulated clusters and prints
// figures: each as a line of JSON on standard output, then a table on standard
// error. docs/benchmarks.md lists them with their targets.
//
//	go run ./bench WORKLOAD [flags]
//
// Figures of machines differ, and of the same machine when it does other
// things; compare those of one run. A figure that misses its target is shown;
// the exit code is 1 only for what must never happen, such as a wrong byte.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"

	"github.com/tghaul/haul/bench/internal/rig"
)

// A workload measures something. Its flags are parsed before it is run.
type workload struct {
	name, does string
	flags      func(f *flag.FlagSet) func(*rig.Rig, *rig.Report) error
}

// plain is a workload without flags.
func plain(run func(*rig.Rig, *rig.Report) error) func(*flag.FlagSet) func(*rig.Rig, *rig.Report) error {
	return func(*flag.FlagSet) func(*rig.Rig, *rig.Report) error { return run }
}

func workloads() []workload {
	return []workload{
		{"loopback", "what a transfer costs: one large file down and one up", plain(loopback)},
		{"flood", "how much of what unknown flood rules permit is used, in virtual time", flood},
		{"plot", "pictures of rate against time for docs/architecture.md, in virtual time", plots},
		{"wan", "one large file over a line with delay", wan},
		{"small", "thousands of small files over such a line, and under a flood rule", small},
		{"references", "what it costs when all file references expire at once", references},
		{"kill", "kill -9 at random moments, and what resuming costs", kill},
		{"survive", "1 GiB each way while keys, addresses, proxy and authorisation change", survive},
		{"memory", "how large the client gets with 100,000 files to do", memory},
		{"channel", "a channel of 1,000,000 messages: dry run, part of it archived, once more, and watched", channel},
		{"soak", "files moved through faults of every kind, for a long time", soaking},
	}
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) (err error) {
	all := workloads()
	i := -1
	if len(args) > 0 {
		i = slices.IndexFunc(all, func(w workload) bool { return w.name == args[0] })
	}
	if i < 0 {
		fmt.Fprintln(os.Stderr, "usage: go run ./bench WORKLOAD [flags]")
		for _, w := range all {
			fmt.Fprintf(os.Stderr, "  %-10s  %s\n", w.name, w.does)
		}
		return fmt.Errorf("which workload?")
	}
	f := flag.NewFlagSet(all[i].name, flag.ExitOnError)
	do := all[i].flags(f)
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	r, err := rig.New()
	if err != nil {
		return err
	}
	defer func() {
		if closed := r.Close(); err == nil {
			err = closed
		}
	}()
	report := rig.NewReport(all[i].name, os.Stdout)
	if err := do(r, report); err != nil {
		_ = report.Table(os.Stderr) // what is known so far; the error comes first
		return err
	}
	return report.Table(os.Stderr)
}
