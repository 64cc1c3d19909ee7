package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/cmd/haul/internal/sweep"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/selection"
	"github.com/tghaul/haul/transfer"
)

func benchCommand() *cli.Command {
	return &cli.Command{
		Name: "bench", Usage: "measure throughput, on a simulated cluster or with a real account", ArgsUsage: "[LINK]", OnUsageError: usageError,
		Description: "Without a LINK it starts a simulated cluster and moves files from and to it: what this machine can do.\n" +
			"With a link to a message with a file it downloads that file again and again with your account, each time\n" +
			"under other settings, and with --direction up or both sends a file of the same size to --to, where it stays\n" +
			"until you delete it. It says first how much it will transfer, and asks. Flood waits are obeyed as always.\n\nExample:\n" +
			"   haul bench --size 1G --plot bench.svg\n" +
			"   haul --datacenters dc.json bench https://t.me/bigchannel/25 --size 500M --save",
		Flags: []cli.Flag{
			stringFlag("size", "512M", "transfer no more than this `SIZE` in all"),
			stringFlag("direction", "", "down, up or both (default: both; with a LINK down)"),
			stringFlag("try", "1,2,4,8", "connections to try: `N,N...`, from 1 to 16"),
			stringFlag("parts", "1M,512k", "sizes of parts to try for downloads: `SIZE,SIZE...` of 128k, 256k, 512k and 1M"),
			&cli.DurationFlag{Name: "rtt", Usage: "round trip to the simulated cluster", EnvVars: envOf("rtt")},
			&cli.StringFlag{Name: "to", Value: "me", Usage: "send to this `CHAT`; only with a LINK", EnvVars: []string{"HAUL_BENCH_TO"}},
			boolFlag("no-hash", "leave out the SHA-256 that every other transfer computes: shows what it costs"),
			boolFlag("yes", "do not ask"),
			boolFlag("save", "write what is recommended to the configuration file; only with a LINK"),
			stringFlag("plot", "", "draw the results as SVG into this `FILE`"),
		},
		Action: func(c *cli.Context) error {
			if err := applyCommandConfig(c); err != nil {
				return err
			}
			return bench(c)
		},
	}
}

// A benchmark is one run of the command.
type benchmark struct {
	c       *cli.Context
	plan    sweep.Plan
	budget  int64
	steps   []sweep.Step
	results []sweep.Result
}

func bench(c *cli.Context) error {
	b, err := newBenchmark(c)
	if err != nil {
		return err
	}
	if c.NArg() == 0 {
		return b.simulated()
	}
	return withAccount(c, b.linked)
}

func newBenchmark(c *cli.Context) (*benchmark, error) {
	b := &benchmark{c: c}
	linked := c.NArg() > 0
	switch {
	case c.NArg() > 1:
		return nil, usagef("one link, to one message with a file")
	case !linked && c.String("account") != "":
		return nil, usagef("which file? haul -n NAME bench LINK; without a link no account is used")
	case !linked && c.Bool("save"):
		return nil, usagef("--save needs a LINK: what a simulated cluster gives says nothing of your line")
	case linked && c.Duration("rtt") != 0:
		return nil, usagef("--rtt is for the simulated cluster, which goes without a LINK")
	}
	var err error
	if b.budget, err = selection.ParseSize(c.String("size")); err != nil || b.budget < 1 {
		return nil, usagef("--size %q: want a size such as 500M", c.String("size"))
	}
	switch d := cmp.Or(c.String("direction"), map[bool]string{true: sweep.Down, false: "both"}[linked]); d {
	case sweep.Down, sweep.Up:
		b.plan.Directions = []string{d}
	case "both":
		b.plan.Directions = []string{sweep.Down, sweep.Up}
	default:
		return nil, usagef("--direction %q: want down, up or both", d)
	}
	for text := range strings.SplitSeq(c.String("try"), ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 || n > 16 {
			return nil, usagef("--try %q: want numbers from 1 to 16 with commas between", c.String("try"))
		}
		b.plan.Connections = append(b.plan.Connections, n)
	}
	for text := range strings.SplitSeq(c.String("parts"), ",") {
		n, err := selection.ParseSize(strings.TrimSpace(text))
		if err != nil || !slices.Contains([]int64{128 << 10, 256 << 10, 512 << 10, 1 << 20}, n) {
			return nil, usagef("--parts %q: want some of 128k, 256k, 512k and 1M with commas between", c.String("parts"))
		}
		b.plan.Parts = append(b.plan.Parts, int(n))
	}
	return b, nil
}

// linked measures with the user's account and the file that a link names.
func (b *benchmark) linked(ctx context.Context, a *account) error {
	file, err := linkedFile(ctx, a.client, b.c.Args().First())
	if err != nil {
		return err
	}
	var left int
	if b.steps, left = sweep.Share(b.plan.Steps(), b.budget, file.Size); len(b.steps) == 0 {
		return usagef("the file has %s, and --size permits %s: take a smaller file or a larger --size", size(file.Size), size(b.budget))
	}
	to, err := a.client.Resolve(ctx, b.c.String("to"))
	if err != nil && slices.Contains(b.plan.Directions, sweep.Up) {
		return fmt.Errorf("--to %s: %w", b.c.String("to"), err)
	}
	if err := b.announce(ctx, left); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "haul-bench-*")
	if err != nil {
		return err
	}
	err = b.measure(ctx, &sweep.Bench{
		Client: a.client, Options: transfer.Options{Checkpoint: a.store, Log: a.log, NoHash: b.c.Bool("no-hash")},
		File: func(int) telegram.File { return file }, To: to, Dir: dir,
	})
	if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
		return err
	}
	return b.save()
}

// linkedFile is the file of a message, the first if its album has several.
func linkedFile(ctx context.Context, client *telegram.Client, text string) (telegram.File, error) {
	var none telegram.File
	link, err := telegram.ParseLink(text)
	if err != nil {
		return none, usagef("%s: %w", text, err)
	}
	if link.Message == 0 {
		return none, usagef("%s names a chat, not a message with a file", text)
	}
	peer, ids, err := client.LinkedMessages(ctx, link)
	if err != nil {
		return none, err
	}
	for m, err := range client.Messages(ctx, peer, telegram.MessagesOptions{IDs: ids}) {
		if err != nil {
			return none, err
		}
		for _, f := range m.Files {
			if f.Err == nil && !f.NoForwards && f.Size > 0 {
				return f, nil
			}
		}
	}
	return none, fmt.Errorf("%s has no file that may be fetched: name another message", text)
}

// announce says what will be transferred, and asks.
func (b *benchmark) announce(ctx context.Context, left int) error {
	down, up := sweep.Total(b.steps)
	say(b.c, "this fetches %s and sends %s, in %d transfers", size(down), size(up), len(b.steps))
	if up > 0 {
		say(b.c, "what is sent to %s stays there until you delete it", b.c.String("to"))
	}
	if left > 0 {
		say(b.c, "%d more are left out, to stay below --size %s", left, b.c.String("size"))
	}
	if b.c.Bool("yes") {
		return nil
	}
	ask := newAsker(b.c)
	if ask.tty == nil {
		return usagef("nobody is there to ask whether to begin: --yes begins")
	}
	answer, err := ask.ask(ctx, question{text: "Begin? [y/n] "})
	if err == nil && !strings.EqualFold(strings.TrimSpace(answer), "y") {
		err = errors.New("nothing was transferred")
	}
	return err
}

// measure runs the steps and shows what came of them, also when one fails.
func (b *benchmark) measure(ctx context.Context, s *sweep.Bench) error {
	if _, up := sweep.Total(b.steps); up > 0 {
		s.Source = filepath.Join(s.Dir, "source")
		if err := noiseFile(s.Source, b.steps[0].Bytes); err != nil {
			return err
		}
	}
	var failed error
	for i, step := range b.steps {
		r, err := s.Run(ctx, i, step)
		if err != nil {
			failed = fmt.Errorf("%s with %d connections: %w", step.Direction, step.Connections, err)
			break
		}
		b.results = append(b.results, r)
		if b.c.Bool("json") {
			failed = json.NewEncoder(b.c.App.Writer).Encode(benchStep{transfer.Header{Event: "bench_step", Time: time.Now()}, r})
		} else {
			say(b.c, "%d of %d: %s, %d connections, parts of %d KiB: %.1f MiB/s", i+1, len(b.steps), r.Direction, r.Connections, r.Part>>10, r.Rate)
		}
	}
	return errors.Join(failed, b.show())
}

// Events of haul bench --json.
type (
	benchStep struct {
		transfer.Header
		sweep.Result
	}
	benchDone struct {
		transfer.Header
		Simulated   bool `json:"simulated"`
		Connections int  `json:"recommended_connections"` // 0: nothing was measured
		NoHash      bool `json:"no_hash,omitempty"`       // it goes without the SHA-256
	}
)

func (b *benchmark) show() error {
	c, n := b.c, sweep.Recommend(b.results)
	simulated := c.NArg() == 0
	if path := c.String("plot"); path != "" && len(b.results) > 0 {
		what := map[bool]string{true: "a simulated cluster on this machine", false: "a real account"}[simulated]
		if err := writePlot(path, what+", "+time.Now().Format(time.DateOnly), b.results); err != nil {
			return err
		}
	}
	if c.Bool("json") {
		return json.NewEncoder(c.App.Writer).Encode(benchDone{transfer.Header{Event: "bench_done", Time: time.Now()}, simulated, n, c.Bool("no-hash")})
	}
	if err := sweep.Table(c.App.Writer, b.results); err != nil || n == 0 {
		return err
	}
	text := fmt.Sprintf("recommended: --connections %d: more are not faster by 5%%", n)
	if simulated {
		text = fmt.Sprintf("on this machine --connections %d is enough; what your line needs, haul bench LINK finds out", n)
	}
	_, err := fmt.Fprintln(c.App.Writer, text)
	return err
}

func writePlot(path, subtitle string, results []sweep.Result) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(sweep.Plot(f, subtitle, results), f.Close())
}

// noiseFile makes a file that does not compress.
func noiseFile(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, noise(), size)
	return errors.Join(err, f.Close())
}
