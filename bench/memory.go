package main

import (
	"flag"
	"fmt"
	"time"

	"github.com/tghaul/haul/bench/internal/rig"
)

// memory archives a channel of very many small files with nothing that limits
// the line, and reports how large the client becomes. It may be cut short: the
// peak comes early, when the queue is full.
func memory(f *flag.FlagSet) func(*rig.Rig, *rig.Report) error {
	count := f.Int("files", 100_000, "number of files, of 1 to 16 KiB")
	limit := f.Duration("limit", 3*time.Minute, "interrupt the archive after this time")
	return func(r *rig.Rig, report *rig.Report) error {
		cluster, err := r.Start(manyFiles(*count, 1<<10, 16<<10))
		if err != nil {
			return err
		}
		client, err := cluster.Login()
		if err != nil {
			return err
		}
		p, err := client.Go("archive", "@bench", "-d", r.Path("out"), "-t", lineConns)
		if err != nil {
			return err
		}
		stop := time.AfterFunc(*limit, p.Interrupt)
		defer stop.Stop()
		res, err := p.Wait()
		if err != nil {
			return err
		}
		const interrupted = 130
		if res.Run == nil || res.Exit != 0 && res.Exit != interrupted {
			return res.Failure("archive")
		}
		if res.Run.FilesFailed > 0 {
			return fmt.Errorf("%w: %d files failed", res.Failure("archive"), res.Run.FilesFailed)
		}
		report.AtMost("rss", res.MaxRSS, 256, "MiB")
		report.Value("files_listed", float64(res.Last.FilesKnown), "")
		report.Value("files_done", float64(res.Run.FilesDone), "")
		report.Value("seconds", res.Elapsed.Seconds(), "s")
		return nil
	}
}
