package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/selection"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/forward"
)

// rangeEnd is the flag for the last message of a range: where --to is a chat, it
// has another name.
func rangeEnd(c *cli.Context) string {
	if c.Command.Name == "forward" {
		return "until"
	}
	return "to"
}

func forwardJob() jobKind {
	return jobKind{
		command: "forward",
		how: func() []cli.Flag {
			return []cli.Flag{&cli.DurationFlag{Name: "max-wait", Usage: "give up (exit code 5) if Telegram asks for a longer wait", EnvVars: envOf("max-wait")}}
		},
		what: func() []cli.Flag {
			flags := slices.DeleteFunc(selectionFlags(), func(f cli.Flag) bool { return f.Names()[0] == "to" })
			return append([]cli.Flag{
				&cli.StringFlag{Name: "to", Usage: "forward to this `CHAT`", EnvVars: []string{"HAUL_FORWARD_TO"}},
				stringFlag("until", "", "last message, as --from; a day or month given here belongs to the range"),
				boolFlag("drop-author", "do not say where the messages come from"),
				boolFlag("drop-captions", "without captions, and without saying where they come from"),
				boolFlag("silent", "without a notification"),
				boolFlag("texts", "of a chat also messages without a file"),
				boolFlag("dry-run", "only tell which messages would be forwarded"),
			}, flags...)
		},
		check: func(c *cli.Context) error {
			if c.NArg() == 0 || c.String("to") == "" {
				return usagef("what, and where to? haul forward @from --to @there")
			}
			if err := checkChats(append(c.Args().Slice(), c.String("to"))...); err != nil {
				return err
			}
			_, err := parseSelection(c, time.Now())
			return err
		},
		normal: normalTarget,
		run:    forwardMessages,
	}
}

func forwardCommand() *cli.Command {
	return &cli.Command{
		Name: "forward", Usage: "forward messages with files to another chat, without moving a byte", ArgsUsage: "LINK|CHAT...", OnUsageError: usageError,
		Description: "Telegram copies the messages by itself. They come in the order in which they were written, the oldest first;\n" +
			"albums stay albums. A run that was cut short goes on where it was, and forwards nothing twice; one\n" +
			"that is done forwards everything once more when it is run again. Protected content is left out and counted. Flags say which files are meant, as for haul dl, but that --until ends the range.\n\nExample:\n" +
			"   haul --datacenters dc.json forward https://t.me/bigchannel/25 --to me\n" +
			"   haul --datacenters dc.json forward @bigchannel --to @backup --from 2025-01-01 --type video --dry-run",
		Flags:  forwardJob().flags(),
		Action: forwardJob().action,
	}
}

// A forwarding is one run of haul forward.
type forwarding struct {
	fetchList // for its targets, the selection and what it has missed
	had       hadFiles
	texts     bool
	run       *forward.Run
}

// hadFiles lists messages and knows, of those that were listed last, which had
// files before the selection took away what is not meant.
type hadFiles struct {
	selection.Source
	had map[int]bool
}

// hadKept is how many messages it knows: more than a selection holds back.
const hadKept = 4096

func (h *hadFiles) Messages(ctx context.Context, p telegram.Peer, o telegram.MessagesOptions) iter.Seq2[*telegram.Message, error] {
	return func(yield func(*telegram.Message, error) bool) {
		for m, err := range h.Source.Messages(ctx, p, o) {
			if err == nil {
				h.note(m)
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

func (h *hadFiles) note(m *telegram.Message) {
	if len(h.had) > hadKept {
		h.had = nil
	}
	if h.had == nil {
		h.had = make(map[int]bool)
	}
	h.had[m.ID] = len(m.Files) > 0
}

func newForwarding(ctx context.Context, c *cli.Context, a *account, j *job) (*forwarding, error) {
	s, err := parseSelection(c, j.since())
	if err != nil {
		return nil, err
	}
	f := &forwarding{texts: c.Bool("texts"), had: hadFiles{Source: a.client}}
	s.FilesOnly = !f.texts
	f.a, f.s, f.show = a, s, func(transfer.Event) {}
	f.pass = selection.NewPass(s, &f.had)
	for _, arg := range j.args {
		link, err := telegram.ParseChat(arg)
		if err != nil {
			return nil, err
		}
		peer, err := a.client.ResolveLink(ctx, link)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", arg, err)
		}
		f.targets = append(f.targets, target{arg, link, peer})
	}
	return f, findTopic(ctx, c, a, s, f.peers()...)
}

// forwardMessages forwards the messages that a job names and has not forwarded yet.
func forwardMessages(ctx context.Context, c *cli.Context, a *account, j *job) error {
	f, err := newForwarding(ctx, c, a, j)
	if err != nil {
		return err
	}
	to, err := a.client.Resolve(ctx, c.String("to"))
	if err != nil {
		return err
	}
	show, err := newDisplay(c)
	if err != nil {
		return err
	}
	defer show.close()
	f.show = show.event
	watch := j.watch(silent{})
	f.run = forward.New(a.client, a.store, forward.Options{
		Job: j.record.ID, To: to, MaxWait: c.Duration("max-wait"),
		DropAuthor: c.Bool("drop-author"), DropCaptions: c.Bool("drop-captions"), Silent: c.Bool("silent"),
		Refused: f.refused,
		Events: func(e transfer.Event) {
			show.event(e)
			n := f.run.Earlier + f.run.Messages
			watch(transfer.Progress{FilesDone: n, FilesKnown: n})
		},
	})
	if c.Bool("dry-run") {
		return f.plan(f.dryRun(ctx, c))
	}
	if err := j.begin(); err != nil {
		return err
	}
	began := time.Now()
	show.event(transfer.RunStarted{Header: now("run_started"), Direction: "forward"})
	err = f.all(ctx)
	show.event(forwardDone{
		Header: now("forward_done"), Counters: f.run.Counters, Missed: len(f.missed) - f.run.Refused, FilesProtected: f.pass.Protected,
		Seconds: time.Since(began).Seconds(),
	})
	show.end()
	if !c.Bool("json") && !c.Bool("quiet") {
		f.say(c)
	}
	if err == nil && len(f.missed) > 0 {
		err = &someFailed{
			failed: len(f.missed), total: f.run.Messages + f.run.Earlier + len(f.missed), things: "messages", job: j.record.ID,
			hopeful: f.run.Refused > 0, // what is gone or protected stays so
		}
	}
	return err
}

// refused takes in a message that Telegram does not forward.
func (f *forwarding) refused(from telegram.Peer, id int, err error) {
	name := messageName(from, id)
	f.missed = append(f.missed, transfer.FileResult{Path: name, Err: err})
	f.show(transfer.FileFailed{Header: now("file_failed"), Path: name, Error: text(err), Chat: from.MarkedID(), Message: id})
}

// silent shows nothing.
type silent struct{}

func (silent) event(transfer.Event) {}
func (silent) close()               {}

// all forwards the messages of all targets.
func (f *forwarding) all(ctx context.Context) error {
	for n, t := range f.targets {
		if err := f.bound(ctx, n, t); err != nil {
			return fmt.Errorf("%s: %w", t.arg, err)
		}
	}
	for n, t := range f.targets {
		state, err := f.run.State(n)
		if err != nil {
			return err
		}
		from, messages, err := f.of(ctx, t, state.Upto, state.Max)
		if err == nil && messages == nil {
			continue
		}
		if err == nil && f.buffers(t) {
			var list []*telegram.Message
			if list, err = newestLast(messages); err == nil && len(list) > 0 {
				err = f.run.Bound(n, list[len(list)-1].ID)
			}
			messages = sequence(list)
		}
		if err == nil {
			err = f.run.Chat(ctx, n, from, messages)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", t.arg, err)
		}
	}
	return nil
}

// bound has a chat end where it ends before the first message is forwarded: what
// is forwarded to that chat itself, or comes back to it as a comment, would be
// forwarded again without an end.
func (f *forwarding) bound(ctx context.Context, n int, t target) error {
	state, err := f.run.State(n)
	ends := t.link.Message != 0 && (t.link.Comment != 0 || !t.peer.Forum) // a link to a topic goes on
	if err != nil || ends || state.Max != 0 || state.Done || t.peer.NoForwards {
		return err
	}
	newest := 1 // of an empty chat, since 0 is no bound
	for m, err := range f.a.client.Messages(ctx, t.peer, telegram.MessagesOptions{Limit: 1}) {
		if err != nil {
			return err
		}
		newest = m.ID
	}
	return f.run.Bound(n, newest)
}

// buffers says whether the messages of a target have to be listed before the
// first is forwarded: those that are meant are the newest, and the oldest of them
// comes first.
func (f *forwarding) buffers(t target) bool {
	return t.link.Message == 0 && f.s.Limit > 0 && !f.s.Reverse
}

// newestLast reads a list and turns it round.
func newestLast(messages iter.Seq2[*telegram.Message, error]) (list []*telegram.Message, err error) {
	for m, err := range messages {
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b *telegram.Message) int { return a.ID - b.ID })
	return list, nil
}

// sequence is a list as it comes from elsewhere.
func sequence(list []*telegram.Message) iter.Seq2[*telegram.Message, error] {
	return func(yield func(*telegram.Message, error) bool) {
		for _, m := range list {
			if !yield(m, nil) {
				return
			}
		}
	}
}

// of lists the messages of a target that are meant, after those up to an id, which
// are done, and none above another; 0 means all. The list is nil if there are none, which is
// told.
func (f *forwarding) of(ctx context.Context, t target, upto, maxID int) (telegram.Peer, iter.Seq2[*telegram.Message, error], error) {
	if t.peer.NoForwards {
		f.miss(t.arg, telegram.ErrProtected)
		return t.peer, nil, nil
	}
	if t.link.Message != 0 {
		return f.behind(ctx, t)
	}
	whole := *f.s
	s := whole
	if f.s.Limit == 0 {
		s.Reverse, s.From.ID = true, max(s.From.ID, upto+1)
	}
	if maxID > 0 && (s.To.ID == 0 || maxID < s.To.ID) {
		s.To.ID = maxID
	}
	return t.peer, func(yield func(*telegram.Message, error) bool) {
		*f.s = s // that the pass goes by
		defer func() { *f.s = whole }()
		f.meant(f.pass.Chat(ctx, t.peer))(yield)
	}, nil
}

// meant leaves out messages that have nothing that is meant.
func (f *forwarding) meant(messages iter.Seq2[*telegram.Message, error]) iter.Seq2[*telegram.Message, error] {
	return func(yield func(*telegram.Message, error) bool) {
		for m, err := range messages {
			if err == nil && len(m.Files) == 0 && (!f.texts || f.had.had[m.ID]) {
				continue
			}
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// behind lists what a link to messages means. Messages without a file belong to
// it, whatever the flags say of files, as long as they are within the bounds.
func (f *forwarding) behind(ctx context.Context, t target) (telegram.Peer, iter.Seq2[*telegram.Message, error], error) {
	peer, ids, err := f.a.client.LinkedMessages(ctx, t.link)
	if errors.Is(err, telegram.ErrPeerNotFound) {
		f.miss(t.arg, err)
		return peer, nil, nil
	}
	if err != nil {
		return peer, nil, err
	}
	slices.Sort(ids)
	var list []*telegram.Message
	for m, err := range f.had.Messages(ctx, peer, telegram.MessagesOptions{IDs: ids}) {
		if err != nil {
			return peer, nil, err
		}
		if whole := topicOf(t.link, m); whole != 0 {
			s := *f.s
			f.s.Reverse = true
			return peer, func(yield func(*telegram.Message, error) bool) {
				defer func() { *f.s = s }()
				f.meant(f.pass.Topic(ctx, peer, whole))(yield)
			}, nil
		}
		list = append(list, m)
	}
	list, err = f.bounded(ctx, t, list)
	switch {
	case errors.Is(err, errOutside), errors.Is(err, transfer.ErrGone):
	case err != nil:
		return peer, nil, err
	case len(list) == 0:
		err = transfer.ErrGone
	case !slices.ContainsFunc(list, func(m *telegram.Message) bool { return !m.NoForwards }):
		err = telegram.ErrProtected
	}
	if err != nil {
		f.miss(t.arg, err)
		return peer, nil, nil
	}
	chosen := f.pass.List(ctx, sequence(list))
	return peer, func(yield func(*telegram.Message, error) bool) {
		for m, err := range chosen {
			if err == nil && len(m.Files) == 0 && f.had.had[m.ID] {
				continue
			}
			if !yield(m, err) || err != nil {
				return
			}
		}
	}, nil
}

// say sums up for people.
func (f *forwarding) say(c *cli.Context) {
	r := &f.run.Counters
	_, _ = fmt.Fprintf(c.App.Writer, "%s forwarded (%s), %d before", count(r.Messages, "message"), count(r.Albums, "album"), r.Earlier)
	if n := r.Protected + f.pass.Protected; n > 0 {
		_, _ = fmt.Fprintf(c.App.Writer, ", %d left out as protected content", n)
	}
	if r.Gone > 0 {
		_, _ = fmt.Fprintf(c.App.Writer, ", %d deleted meanwhile", r.Gone)
	}
	if r.Refused > 0 {
		_, _ = fmt.Fprintf(c.App.Writer, ", %d refused by Telegram", r.Refused)
	}
	_, _ = fmt.Fprintln(c.App.Writer)
}

// Events of haul forward beside forward.Forwarded.
type (
	forwardDone struct {
		transfer.Header
		forward.Counters
		FilesProtected int     `json:"files_protected"` // of messages that were not listed for it
		Missed         int     `json:"missed"`          // targets without anything to forward
		Seconds        float64 `json:"seconds"`
	}
	wouldForward struct {
		transfer.Header
		Chat    int64     `json:"chat"`
		Message int       `json:"message"`
		Date    time.Time `json:"date"`
		Album   int64     `json:"album,string"` // 0: none
		Files   int       `json:"files"`
		Bytes   int64     `json:"bytes"`
	}
	forwardPlan struct {
		transfer.Header
		Messages       int   `json:"messages"`
		Bytes          int64 `json:"bytes"`
		FilesProtected int   `json:"files_protected"`
	}
)

// dryRun tells what would be forwarded.
func (f *forwarding) dryRun(ctx context.Context, c *cli.Context) error {
	lines, done := json.NewEncoder(c.App.Writer), forwardPlan{}
	if !c.Bool("json") && !c.Bool("quiet") {
		_, _ = fmt.Fprintf(c.App.Writer, forwardRow, "MESSAGE", "DATE", "FILES", "SIZE", "ALBUM")
	}
	for _, t := range f.targets {
		_, messages, err := f.of(ctx, t, 0, 0)
		if err != nil {
			return fmt.Errorf("%s: %w", t.arg, err)
		}
		if messages == nil {
			continue
		}
		if f.buffers(t) {
			list, err := newestLast(messages)
			if err != nil {
				return err
			}
			messages = sequence(list)
		}
		for m, err := range messages {
			if err != nil {
				return err
			}
			if m.Service() || m.NoForwards {
				continue
			}
			w := wouldForward{now("would_forward"), m.Peer.MarkedID(), m.ID, m.Date, m.GroupedID, len(m.Files), 0}
			for _, file := range m.Files {
				w.Bytes += file.Size
			}
			done.Messages++
			done.Bytes += w.Bytes
			switch {
			case c.Bool("json"):
				err = lines.Encode(w)
			case !c.Bool("quiet"):
				album := ""
				if w.Album != 0 {
					album = fmt.Sprint(w.Album)
				}
				_, err = fmt.Fprintf(c.App.Writer, forwardRow, fmt.Sprint(m.ID), m.Date.Local().Format("2006-01-02 15:04"), fmt.Sprint(w.Files), size(w.Bytes), album)
			}
			if err != nil {
				return err
			}
		}
	}
	done.Header, done.FilesProtected = now("dry_run_done"), f.pass.Protected
	if c.Bool("json") {
		return lines.Encode(done)
	}
	_, err := fmt.Fprintf(c.App.Writer, "%s (%s) would be forwarded, left out as protected content: %s\n", count(done.Messages, "message"), size(done.Bytes), count(done.FilesProtected, "file"))
	return err
}

const forwardRow = "%-10s  %-16s  %-5s  %10s  %s\n"

// forwardedLine is what an event says in a line.
func forwardedLine(e forward.Forwarded) string {
	again := ""
	if e.Before {
		again = ", as it turns out by an earlier try"
	}
	return fmt.Sprintf("%s forwarded, %d to %d%s", count(len(e.Messages), "message"), e.Messages[0], e.Messages[len(e.Messages)-1], again)
}
