package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/cmd/haul/internal/bwlimit"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/selection"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
)

func transferFlags() []cli.Flag {
	return []cli.Flag{
		intFlag("transfers", 4, "files at once", "l"),
		intFlag("connections", 0, "connections to each data center, at most (default: 4, or 8 with Premium); fewer are used if they do as well", "t"),
		stringFlag("order", "listed", "which files begin first: listed, smallest or largest"),
		stringFlag("bwlimit", "", "bandwidth as rclone takes it: 10M, 1M:10M (up:down), or a timetable \"08:00,512k 19:00,off\""),
		&cli.Float64Flag{Name: "tpslimit", Usage: "requests for parts a second, at most", EnvVars: envOf("tpslimit")},
		&cli.DurationFlag{Name: "max-wait", Usage: "give up (exit code 5) if Telegram asks for a longer wait", EnvVars: envOf("max-wait")},
		boolFlag("verify-server", "compare finished files with the server's hashes"),
		stringFlag("metrics", "", "serve Prometheus metrics and Go profiles at this `ADDR`ess, HOST:PORT; without a host, to this machine only"),
	}
}

// engineOptions are how the flags say that an engine works, but for who gets its events.
func engineOptions(c *cli.Context, a *account) (transfer.Options, error) {
	var none transfer.Options
	if c.Int("transfers") < 1 || c.Int("connections") < 0 || c.Int("connections") > 16 || c.Duration("max-wait") < 0 {
		return none, usagef("--transfers needs 1 or more, --connections 1 to 16, --max-wait a positive time")
	}
	limits, err := userLimits(c)
	if err != nil {
		return none, err
	}
	orders := map[string]transfer.Order{"listed": transfer.Listed, "smallest": transfer.Smallest, "largest": transfer.Largest}
	order, known := orders[c.String("order")]
	if !known {
		return none, usagef("--order %q: want listed, smallest or largest", c.String("order"))
	}
	return transfer.Options{
		Limits: limits, Checkpoint: a.store, Transfers: c.Int("transfers"), Connections: c.Int("connections"), MaxWait: c.Duration("max-wait"),
		Order: order, VerifyServer: c.Bool("verify-server"),
	}, nil
}

// engine makes the engine that the flags ask for, and tells events of what it does.
func engine(c *cli.Context, a *account, events func(transfer.Event)) (*transfer.Engine, error) {
	o, err := engineOptions(c, a)
	if err != nil {
		return nil, err
	}
	o.Events = events
	return transfer.New(a.client, o), nil
}

// userLimits are the limits of --bwlimit and --tpslimit, nil if there are none.
func userLimits(c *cli.Context) (func(time.Time) (transfer.Limits, time.Time), error) {
	table, err := bwlimit.Parse(c.String("bwlimit"))
	if err != nil {
		return nil, usagef("--bwlimit: %w", err)
	}
	requests := c.Float64("tpslimit")
	if !(requests >= 0) || math.IsInf(requests, 1) {
		return nil, usagef("--tpslimit %v: must be a number of requests a second, or 0 for no limit", requests)
	}
	if c.String("bwlimit") == "" && requests == 0 {
		return nil, nil
	}
	return func(now time.Time) (transfer.Limits, time.Time) {
		rate, until := table.At(now)
		return transfer.Limits{Up: rate.Up, Down: rate.Down, Requests: requests}, until
	}, nil
}

func archiveJob() jobKind {
	return jobKind{
		command: "archive",
		what: func() []cli.Flag {
			return append([]cli.Flag{stringFlag("dir", ".", "archive into this `DIR`", "d"), templateFlag("the chat's folder"), dedupeFlag(), sidecarFlag(), thumbsFlag()}, selectionFlags()...)
		},
		how: fetchFlags,
		check: func(c *cli.Context) error {
			if c.NArg() == 0 {
				return usagef("which chat? haul archive @name -d DIR")
			}
			if _, err := parseTemplate(c); err != nil {
				return err
			}
			if _, err := parseDedupe(c); err != nil {
				return err
			}
			if err := checkSidecar(c); err != nil {
				return err
			}
			_, err := parseSelection(c, time.Now())
			return err
		},
		normal: normalChat,
		run:    archiveChats,
	}
}

func archiveCommand() *cli.Command {
	return &cli.Command{
		Name: "archive", Usage: "archive the media and messages of chats", ArgsUsage: "CHAT...", OnUsageError: usageError,
		Description: "Each chat gets a folder below DIR with its files, manifest.jsonl and messages.jsonl. Running\n" +
			"it again moves only what is missing.\n\nExample:\n   haul --datacenters dc.json archive @bigchannel -d out --type photo,video",
		Flags:  archiveJob().flags(),
		Action: archiveJob().action,
	}
}

// archiveChats archives the chats of a job in one run.
func archiveChats(ctx context.Context, c *cli.Context, a *account, j *job) (err error) {
	s, err := parseSelection(c, j.since())
	if err != nil {
		return err
	}
	about, err := newSubjects(c, a, j)
	if err != nil {
		return err
	}
	pool, err := openPool(ctx, c)
	if err != nil {
		return err
	}
	if pool != nil {
		defer pool.Close() //nolint:errcheck // files are closed by themselves
	}
	about.pool = pool
	pass := selection.NewPass(s, a.client)
	var folders []*archive.Archive
	defer func() {
		for _, f := range folders {
			err = errors.Join(err, f.Close())
		}
	}()
	peers := make([]telegram.Peer, len(j.args))
	for i, name := range j.args {
		if peers[i], err = a.client.Resolve(ctx, name); err != nil {
			return err
		}
		f, err := archive.Open(c.String("dir"), peers[i])
		if err != nil {
			return err
		}
		folders = append(folders, f)
		if c.String("sidecar") != "" {
			f.WriteSidecars()
		}
		for _, list := range f.SetAside() {
			_, _ = fmt.Fprintf(c.App.ErrWriter, "haul: a list of %s had lines that cannot be read; it was set aside as %s\n", name, list)
		}
	}
	if err := findTopic(ctx, c, a, s, peers...); err != nil {
		return err
	}
	o, err := engineOptions(c, a)
	if err != nil {
		return err
	}
	finish, err := a.takeout(ctx, c, peers, s.MaxSize)
	if err != nil {
		return err
	}
	defer func() { finish(err) }()
	show, err := newDisplay(c)
	if err != nil {
		return err
	}
	defer show.close()
	if err := j.begin(); err != nil {
		return err
	}
	o.Events = j.watch(show)
	e := transfer.New(a.client, o)
	report, err := e.Download(ctx, func(yield func(transfer.Download, error) bool) {
		for i, peer := range peers {
			folders[i].Arrange(about.tmpl, knownPaths(e, transfer.Download{Dir: folders[i].Root()}))
			for d, err := range archiveDownloads(ctx, e, pass, peer, folders[i], about) {
				if !yield(d, err) {
					return
				}
			}
		}
		tellProtected(show, pass)
	})
	show.end()
	sayProtected(c, pass)
	return outcome(c, j, show, report, err)
}

// archiveDownloads lists a chat, records its messages and yields its files.
func archiveDownloads(ctx context.Context, e *transfer.Engine, pass *selection.Pass, peer telegram.Peer, folder *archive.Archive, about *subjects) iter.Seq2[transfer.Download, error] {
	return func(yield func(transfer.Download, error) bool) {
		for m, err := range pass.Chat(ctx, peer) {
			if err == nil {
				err = e.WhenRoom(ctx, func() error { _, err := folder.AddMessage(m); return err })
			}
			if err != nil {
				yield(transfer.Download{}, err)
				return
			}
			for _, f := range m.Files {
				d, err := archiveDownload(ctx, m, f, folder, about)
				if !yield(d, err) || err != nil {
					return
				}
				if thumb, ok := folder.Thumb(m, &d); ok && about.thumbs && !yield(thumb, nil) {
					return
				}
			}
		}
	}
}

// archiveDownload is what is to be fetched of a file.
func archiveDownload(ctx context.Context, m *telegram.Message, f telegram.File, folder *archive.Archive, about *subjects) (transfer.Download, error) {
	subject, err := about.of(ctx, m, f)
	if err != nil {
		return transfer.Download{}, err
	}
	path, err := folder.Place(subject)
	if err != nil { // it fails alone
		path, f.Err = folder.Path(f), err
	}
	d := transfer.Download{File: f, Dir: folder.Root(), Path: path, SHA256: folder.SHA256(f), ModTime: about.modTime(m.Date)}
	folder.Share(about.pool, m, &d)
	return d, nil
}
