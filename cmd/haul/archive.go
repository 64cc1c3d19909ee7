package main

import (
	"math"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/cmd/haul/internal/bwlimit"
	"github.com/tghaul/haul/transfer"
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
			return append(append([]cli.Flag{stringFlag("dir", ".", "archive into this `DIR`", "d"), templateFlag("the chat's folder")}, append(besideFlags(), selectionFlags()...)...),
				boolFlag("comments", "also the comments on the posts of a channel, in the folder of their group"), dryRunFlag())
		},
		how: func() []cli.Flag {
			return append(fetchFlags(),
				boolFlag("full", "go through everything once more: finds what was edited or deleted long ago"),
				boolFlag("since-last", "only what is newer than the newest message of the last finished run, and what has failed since"),
				boolFlag("watch", "go on with what comes, until it is interrupted"))
		},
		check:  checkArchive,
		normal: normalChat,
		run:    archiveChats,
	}
}

func checkArchive(c *cli.Context) error {
	if c.NArg() == 0 {
		return usagef("which chat? haul archive @name -d DIR")
	}
	if err := checkChats(c.Args().Slice()...); err != nil {
		return err
	}
	if err := checkLayout(c); err != nil {
		return err
	}
	s, err := parseSelection(c, time.Now())
	switch {
	case err != nil:
		return err
	case c.Bool("full") && c.Bool("since-last"):
		return usagef("--full is everything, --since-last only what is new: leave one of them out")
	case !c.Bool("watch"):
		return nil
	case s.Limit > 0:
		return usagef("--watch goes on for ever, --limit does not: leave one of them out")
	case s.To.ID > 0 || !s.To.Time.IsZero():
		return usagef("--watch waits for what comes, which --to leaves out")
	case s.Comments:
		return usagef("--watch does not look for --comments: watch their group, as a chat of its own, or archive them without --watch")
	case c.Bool("dry-run"):
		return usagef("--dry-run cannot know what will come: leave --watch out")
	}
	return nil
}

func archiveCommand() *cli.Command {
	return &cli.Command{
		Name: "archive", Usage: "archive the media and messages of chats", ArgsUsage: "CHAT...", OnUsageError: usageError,
		Description: "Each chat gets a folder below DIR with its files, manifest.jsonl and messages.jsonl. Running it again\n" +
			"asks only for what is new or has failed, and notes what was edited or deleted. With --watch it goes on\n" +
			"with what comes; Ctrl-C ends it.\n\nExample:\n" +
			"   haul --datacenters dc.json archive @bigchannel -d out --type photo,video\n" +
			"   haul --datacenters dc.json archive @bigchannel @news -d out --watch",
		Flags:  archiveJob().flags(),
		Action: archiveJob().action,
	}
}
