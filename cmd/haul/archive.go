package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"path/filepath"
	"strconv"
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
	}
}

// engine makes the engine that the flags ask for, and tells events of what it does.
func engine(c *cli.Context, a *account, events func(transfer.Event)) (*transfer.Engine, error) {
	if c.Int("transfers") < 1 || c.Int("connections") < 0 || c.Int("connections") > 16 || c.Duration("max-wait") < 0 {
		return nil, usagef("--transfers needs 1 or more, --connections 1 to 16, --max-wait a positive time")
	}
	limits, err := userLimits(c)
	if err != nil {
		return nil, err
	}
	orders := map[string]transfer.Order{"listed": transfer.Listed, "smallest": transfer.Smallest, "largest": transfer.Largest}
	order, known := orders[c.String("order")]
	if !known {
		return nil, usagef("--order %q: want listed, smallest or largest", c.String("order"))
	}
	return transfer.New(a.client, transfer.Options{
		Limits: limits, Checkpoint: a.store, Transfers: c.Int("transfers"), Connections: c.Int("connections"), MaxWait: c.Duration("max-wait"),
		Order: order, VerifyServer: c.Bool("verify-server"), Events: events,
	}), nil
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

// outcome turns a report into the program's result, and prints a last line.
func outcome(c *cli.Context, r *transfer.Report, err error) error {
	if !c.Bool("json") && !c.Bool("quiet") {
		_, _ = fmt.Fprintf(c.App.Writer, "%d files done (%s), %d were there, %d failed; %s received in %.1f s\n",
			r.FilesDone, size(r.Bytes), r.FilesSkipped, r.FilesFailed, size(r.BytesReceived), r.Seconds)
	}
	if err != nil {
		return err
	}
	if r.FilesFailed > 0 {
		return &someFailed{failed: r.FilesFailed, total: r.FilesDone + r.FilesFailed + r.FilesSkipped}
	}
	return nil
}

func archiveJob() jobKind {
	return jobKind{
		command: "archive",
		what: func() []cli.Flag {
			return append([]cli.Flag{stringFlag("dir", ".", "archive into this `DIR`", "d")}, selectionFlags()...)
		},
		check: func(c *cli.Context) error {
			if c.NArg() == 0 {
				return usagef("which chat? haul archive @name -d DIR")
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
		for _, list := range f.SetAside() {
			_, _ = fmt.Fprintf(c.App.ErrWriter, "haul: a list of %s had lines that cannot be read; it was set aside as %s\n", name, list)
		}
	}
	show := newDisplay(c)
	e, err := engine(c, a, j.watch(show))
	if err != nil {
		return err
	}
	if err := j.begin(); err != nil {
		return err
	}
	report, err := e.Download(ctx, func(yield func(transfer.Download, error) bool) {
		for i, peer := range peers {
			for d, err := range archiveDownloads(ctx, e, pass, peer, folders[i]) {
				if !yield(d, err) {
					return
				}
			}
		}
	})
	show.close()
	sayProtected(c, pass)
	return outcome(c, report, err)
}

// archiveDownloads lists a chat, records its messages and yields its files.
func archiveDownloads(ctx context.Context, e *transfer.Engine, pass *selection.Pass, peer telegram.Peer, folder *archive.Archive) iter.Seq2[transfer.Download, error] {
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
				d := transfer.Download{
					File: f, Dir: folder.Root(), Path: folder.Path(f), SHA256: folder.SHA256(f),
					Finished: func(res transfer.FileResult) error { return folder.AddFile(f, res) },
				}
				if !yield(d, nil) {
					return
				}
			}
		}
	}
}

func upJob() jobKind {
	return jobKind{
		command: "up",
		what: func() []cli.Flag {
			return []cli.Flag{
				&cli.StringFlag{Name: "to", Usage: "send to this `CHAT`", EnvVars: []string{"HAUL_UP_TO"}},
				stringFlag("caption", "", "caption of each message"),
			}
		},
		check: func(c *cli.Context) error {
			if c.NArg() == 0 || c.String("to") == "" {
				return usagef("what, and where to? haul up FILE --to @name (flags stand before or after the files)")
			}
			return nil
		},
		normal: absolute,
		run:    uploadFiles,
	}
}

func upCommand() *cli.Command {
	return &cli.Command{
		Name: "up", Aliases: []string{"upload"}, Usage: "upload files and send each as a document", ArgsUsage: "PATH...", OnUsageError: usageError,
		Description: "An upload that was cut short goes on where it was, and sends one message.\n\nExample:\n" +
			"   haul --datacenters dc.json up report.pdf --to @bigchannel --caption \"The report\"",
		Flags:  upJob().flags(),
		Action: upJob().action,
	}
}

// uploadFiles sends the files that a job names and has not sent yet.
func uploadFiles(ctx context.Context, c *cli.Context, a *account, j *job) error {
	peer, err := a.client.Resolve(ctx, c.String("to"))
	if err != nil {
		return err
	}
	show := newDisplay(c)
	e, err := engine(c, a, j.watch(show))
	if err != nil {
		return err
	}
	if err := j.begin(); err != nil {
		return err
	}
	report, err := e.Upload(ctx, func(yield func(transfer.Upload, error) bool) {
		for _, path := range j.args {
			if !yield(transfer.Upload{Path: path, To: peer, Caption: c.String("caption"), Job: j.record.ID}, nil) {
				return
			}
		}
	})
	show.close()
	if err == nil && !c.Bool("json") && !c.Bool("quiet") {
		for _, f := range report.Done {
			_, _ = fmt.Fprintf(c.App.Writer, "%s is message %s\n", filepath.Base(f.Path), messageName(peer, f.MessageID))
		}
	}
	return outcome(c, report, err)
}

// messageName is the link of a message, if it has one.
func messageName(p telegram.Peer, id int) string {
	if id == 0 { // sent by an earlier run that was killed, and not found again
		return "of unknown number"
	}
	if p.Username != "" {
		return "https://t.me/" + p.Username + "/" + strconv.Itoa(id)
	}
	return strconv.Itoa(id)
}
