package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tghaul/haul/bench/internal/grow"
	"github.com/tghaul/haul/bench/internal/rig"
	"github.com/tghaul/haul/bench/internal/versus"
	"github.com/tghaul/haul/internal/chart"
)

// Targets of the scheduler and the checkpoint together, for each part.
const partMicros = 20

// A growth is what was measured with so many files queued.
type growth struct {
	files            int
	schedule, record float64 // µs a part
	scattered        float64 // the same of the checkpoint, each part of another file
	start, rss, cpu  float64 // s until the first file is done; MiB; CPU-ms a file
	done             int     // files, when the run was over or interrupted
}

// growing measures what more files cost: each number in a scheduler, in a
// store, and in a run of the real program, which is interrupted after a while.
func growing(f *flag.FlagSet) func(*rig.Rig, *rig.Report) error {
	most := f.Int("files", 100_000, "the greatest number of files; the others are powers of ten below it")
	limit := f.Duration("limit", 10*time.Second, "interrupt each run after this time")
	parts := f.Int("parts", 20_000, "parts moved through the scheduler, and half as many through the checkpoint")
	docs := f.String("docs", "docs", "folder of the documentation, whose picture is made anew; \"\": none")
	return func(r *rig.Rig, report *rig.Report) error {
		if err := cold(r, report); err != nil {
			return err
		}
		var rows []growth
		for n := 1; n <= *most; n *= 10 {
			g, err := growTo(r, n, *parts, *limit)
			if err != nil {
				return fmt.Errorf("%d files: %w", n, err)
			}
			rows = append(rows, g)
			name := strconv.Itoa(n) + "_files: "
			report.AtMost(name+"scheduler and checkpoint a part", g.schedule+g.record, partMicros, "µs")
			report.Value(name+"scheduler a part", g.schedule, "µs")
			report.Value(name+"checkpoint a part", g.record, "µs")
			report.Value(name+"checkpoint a part, each of another file", g.scattered, "µs")
			report.Value(name+"until the first file is done", g.start*1000, "ms")
			report.Value(name+"rss", g.rss, "MiB")
			report.Value(name+"cpu a file", g.cpu, "ms")
			report.Value(name+"files done", float64(g.done), "")
		}
		_, _ = fmt.Fprintln(os.Stderr, growTable(rows)) // the terminal's trouble
		if *docs == "" {
			return nil
		}
		return versus.SaveChart(*docs+"/img/grow.svg", growChart(rows))
	}
}

func growTo(r *rig.Rig, n, parts int, limit time.Duration) (g growth, err error) {
	g.files = n
	schedule, err := grow.Scheduler(n, parts, rig.CPU)
	if err != nil {
		return g, err
	}
	record, err := grow.Checkpoint(n, max(1, parts/2), rig.CPU)
	if err != nil {
		return g, err
	}
	scattered, err := grow.Scattered(n, max(1, parts/2), rig.CPU)
	if err != nil {
		return g, err
	}
	g.schedule, g.record, g.scattered = micros(schedule), micros(record), micros(scattered)
	return g, g.run(r, limit)
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// run fetches from a channel with so many files, until they are done or the time is up.
func (g *growth) run(r *rig.Rig, limit time.Duration) (err error) {
	cluster, err := r.Start(manyFiles(g.files, 1<<10, 16<<10))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	client, err := cluster.Login()
	if err != nil {
		return err
	}
	out := r.Path("grow")
	defer func() { err = errors.Join(err, os.RemoveAll(out)) }()
	begun := time.Now()
	p, err := client.Go("archive", "@bench", "-d", out, "-t", "8")
	if err != nil {
		return err
	}
	stop := time.AfterFunc(limit, p.Interrupt)
	defer stop.Stop()
	res, err := p.Wait()
	if err != nil {
		return err
	}
	const interrupted = 130
	if res.Run == nil || len(res.Done) == 0 || res.Exit != 0 && res.Exit != interrupted {
		return res.Failure("archive")
	}
	g.start = res.Done[0].Time.Sub(begun).Seconds()
	g.rss, g.done = res.MaxRSS, res.Run.FilesDone
	g.cpu = res.CPU.Seconds() * 1000 / float64(g.done)
	return nil
}

// cold measures the program's size and how long it takes to do next to nothing.
func cold(r *rig.Rig, report *rig.Report) error {
	const runs = 21
	program := r.Path("haul-small")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "github.com/tghaul/haul/cmd/haul")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build haul: %w\n%s", err, out)
	}
	info, err := os.Stat(program)
	if err != nil {
		return err
	}
	report.Value("size of the binary, stripped", float64(info.Size())/(1<<20), "MiB")
	cluster, err := r.Start(oneFile(1 << 10))
	if err != nil {
		return err
	}
	client, err := cluster.Login()
	if err != nil {
		return err
	}
	for _, args := range [][]string{{"version"}, {"--store", client.Store, "jobs"}} {
		var took []float64
		for range runs {
			begun := time.Now()
			if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
				return fmt.Errorf("haul %s: %w\n%s", strings.Join(args, " "), err, out)
			}
			took = append(took, time.Since(begun).Seconds()*1000)
		}
		slices.Sort(took)
		report.Value("haul "+args[len(args)-1]+", median", took[runs/2], "ms")
	}
	return cluster.Stop()
}

// growTable is Markdown.
func growTable(rows []growth) string {
	var b strings.Builder
	b.WriteString("| files | scheduler, µs a part | checkpoint, CPU-µs a part | both | parts scattered | first file done, ms | RSS, MiB | CPU-ms a file | done when it ended |\n")
	b.WriteString("| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, g := range rows {
		fmt.Fprintf(&b, "| %d | %.1f | %.1f | %.1f | %.1f | %.0f | %.0f | %.2f | %d |\n", g.files, g.schedule, g.record, g.schedule+g.record, g.scattered, g.start*1000, g.rss, g.cpu, g.done)
	}
	return b.String()
}

func growChart(rows []growth) *chart.Chart {
	c := &chart.Chart{
		Title: "What a part costs by files queued", Subtitle: "CPU of the scheduler, and of the checkpoint with 8 parts to a commit; measured " + time.Now().UTC().Format(time.DateOnly),
		Unit: "µs a part", Axis: "files queued",
		Series: []chart.Series{{Name: "scheduler"}, {Name: "checkpoint"}},
	}
	for _, g := range rows {
		c.Categories = append(c.Categories, strconv.Itoa(g.files))
		c.Series[0].Values = append(c.Series[0].Values, g.schedule)
		c.Series[1].Values = append(c.Series[1].Values, g.record)
	}
	return c
}
