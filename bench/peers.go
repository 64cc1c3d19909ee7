package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/tghaul/haul/bench/internal/rig"
	"github.com/tghaul/haul/bench/internal/versus"
)

// peers measures haul beside clients that others wrote: same server, files,
// machine and run. What it has measured goes to a file, from which the tables
// and pictures of the documentation are made; -from makes them again.
func peers(f *flag.FlagSet) func(*rig.Rig, *rig.Report) error {
	plan := versus.Plan{Peers: "bench/peers", Log: os.Stderr}
	f.IntVar(&plan.Runs, "runs", 3, "alternating runs of each client")
	f.Int64Var(&plan.MiB, "mib", 512, "size of the large file in MiB")
	f.Int64Var(&plan.FarMiB, "far-mib", 512, "size of the file over lines with delay in MiB")
	f.IntVar(&plan.Files, "files", 2000, "number of small files")
	skip := f.String("skip", "", "phases to leave out: cost,connections,rtt,files,start")
	data := f.String("data", "bench/peers/data/peers.json", "write what was measured here")
	from := f.String("from", "", "measure nothing; use this file of an earlier run")
	docs := f.String("docs", "docs", "folder of the documentation, whose tables and pictures are made anew; \"\": none")
	return func(r *rig.Rig, report *rig.Report) error {
		plan.Skip = strings.Split(*skip, ",")
		var d *versus.Data
		var err error
		if *from != "" {
			d, err = versus.Load(*from)
		} else if d, err = versus.Measure(r, plan); d != nil {
			err = errors.Join(err, d.Save(*data))
		}
		if err != nil {
			return err
		}
		d.Figures(report)
		_, _ = fmt.Fprintln(os.Stderr, d.Markdown())
		if *docs == "" {
			return nil
		}
		return errors.Join(d.Insert(*docs+"/benchmarks.md"), d.Plots(*docs+"/img"))
	}
}
