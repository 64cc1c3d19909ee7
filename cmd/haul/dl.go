package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"path"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/selection"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
	"github.com/tghaul/haul/transfer/layout"
)

func dlJob() jobKind {
	return jobKind{
		command: "dl",
		how:     fetchFlags,
		what: func() []cli.Flag {
			return append(append([]cli.Flag{
				stringFlag("dir", ".", "download into this `DIR`", "d"),
				templateFlag("DIR"),
				stringFlag("file", "", "also the messages that this `FILE` lists: an export of Telegram Desktop (result.json) or tdl", "f"),
			}, selectionFlags()...),
				boolFlag("comments", "also files in the comments on the posts of a channel"), searchFlag(), dryRunFlag(),
				boolFlag("no-join", "leave files that were sent in pieces in pieces"))
		},
		check: func(c *cli.Context) error {
			if c.NArg() == 0 && c.String("file") == "" {
				return usagef("which chat or message? haul dl https://t.me/name/123 -d DIR")
			}
			if err := checkTargets(c.Args().Slice()...); err != nil {
				return err
			}
			if _, err := parseTemplate(c); err != nil {
				return err
			}
			_, err := parseSelection(c, time.Now())
			return err
		},
		normal: normalTarget,
		run:    download,
	}
}

func dlCommand() *cli.Command {
	return &cli.Command{
		Name: "dl", Aliases: []string{"download"}, Usage: "download the files of messages, or of whole chats", ArgsUsage: "[LINK|CHAT|FILE_ID...]", OnUsageError: usageError,
		Description: "A link to a message means its album, one to a topic all of it; flags say which files are meant. Files are\n" +
			"called by the number of their message. Several chats have a folder each; comments have that of their group. --template says otherwise.\n" +
			"A file id of the Bot API is good for the bot that was given it, while its file reference lasts.\n\nExample:\n" +
			"   haul --datacenters dc.json dl https://t.me/bigchannel/25 -d out\n" +
			"   haul --datacenters dc.json dl @bigchannel -d out --from 30d --type video --min-size 50M --dry-run",
		Flags:  dlJob().flags(),
		Action: dlJob().action,
	}
}

// A target is an argument of dl: a chat, or some messages of one.
type target struct {
	arg  string
	link telegram.Link
	peer telegram.Peer
}

// A found file is one to fetch, and where it goes.
type found struct {
	file telegram.File
	path string
	sent time.Time // the message
}

// A fetchList finds the files that a command line means, one after the other.
type fetchList struct {
	a       *account
	s       *selection.Selection
	pass    *selection.Pass // by it
	targets []target
	ids     []idTarget
	// measure finds out the size of a file of which it is not known; nil in a dry run.
	measure func(context.Context, telegram.File) (telegram.File, error)
	export  *exportFile // nil: none
	folders bool        // one for each chat
	about   *subjects
	places  *layout.Places // by the template; nil: there is none
	maxSize int64          // of files that are meant; 0: any
	// missed are the messages that were named and have no file to fetch, with
	// the reason.
	missed []transfer.FileResult
	show   func(transfer.Event)
}

// download fetches the files of the messages and chats that a job names.
func download(ctx context.Context, c *cli.Context, a *account, j *job) (err error) {
	l, err := newFetchList(ctx, c, a, j)
	if err != nil {
		return err
	}
	o, err := engineOptions(c, a)
	if err != nil {
		return err
	}
	if c.Bool("dry-run") {
		if root, err := os.OpenRoot(c.String("dir")); err == nil {
			defer root.Close() //nolint:errcheck // nothing is written through it
			l.place(c, transfer.New(a.client, o), root)
		} else {
			l.place(c, nil, nil)
		}
		l.show = (&plainDisplay{out: c.App.ErrWriter}).event
		if c.Bool("json") {
			l.show = (&jsonDisplay{enc: json.NewEncoder(c.App.Writer)}).event
		}
		return l.plan(dryRun(c, l.pass, l.files(ctx), onDisk(c.String("dir"))))
	}
	root, err := openDir(c.String("dir"))
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // nothing is written through it
	finish, err := a.takeout(ctx, c, l.peers(), l.maxSize)
	if err != nil {
		return err
	}
	defer func() { finish(err) }()
	show, err := newDisplay(c)
	if err != nil {
		return err
	}
	defer show.close()
	l.show = show.event
	last := runEnd{to: j.watch(show)}
	o.Events, o.MaxResults = last.event, failuresShown
	if err := j.begin(); err != nil {
		return err
	}
	e, pieces := transfer.New(a.client, o), new(joiner)
	l.measure = e.Measure
	l.place(c, e, root)
	report, err := e.Download(ctx, func(yield func(transfer.Download, error) bool) {
		for f, err := range l.files(ctx) {
			d := transfer.Download{File: f.file, Dir: root, Path: f.path, ModTime: l.about.modTime(f.sent)}
			if pieces.note(&d); !yield(d, err) {
				return
			}
		}
		tellProtected(show, l.pass)
	})
	if err == nil && !c.Bool("no-join") {
		l.missed = append(l.missed, pieces.join(ctx, e, show)...)
		err = ctx.Err()
	}
	l.addMissed(report)
	last.tell(report)
	show.end()
	sayProtected(c, l.pass)
	return outcome(c, j, show, report, err)
}

// addMissed counts as failed what was named and is no file, or not whole.
func (l *fetchList) addMissed(report *transfer.Report) {
	report.Failed = append(report.Failed, l.missed...)
	report.FilesFailed += len(l.missed)
	for _, f := range l.missed {
		if f.Retryable {
			report.Retryable++
		}
	}
}

// place has files placed as --template says. root is the folder, nil if there
// is none yet.
func (l *fetchList) place(c *cli.Context, e *transfer.Engine, root *os.Root) {
	if l.about.tmpl == nil {
		return
	}
	known := func(telegram.File) string { return "" }
	if root != nil {
		known = knownPaths(e, transfer.Download{Dir: root})
	}
	l.places = layout.NewPlaces(c.String("dir"), l.about.tmpl, known)
}

// plan is the result of a dry run.
func (l *fetchList) plan(err error) error {
	if err == nil && len(l.missed) > 0 {
		return &someFailed{failed: len(l.missed), total: l.pass.Files + len(l.missed)}
	}
	return err
}

// newFetchList resolves what the command line names.
func newFetchList(ctx context.Context, c *cli.Context, a *account, j *job) (*fetchList, error) {
	s, err := parseSelection(c, j.since())
	if err != nil {
		return nil, err
	}
	s.FilesOnly = true
	if s.Comments && a.client.IsBot() {
		return nil, fmt.Errorf("--comments: %w", telegram.ErrUserOnly)
	}
	l := &fetchList{a: a, s: s, maxSize: s.MaxSize, pass: selection.NewPass(s, a.client), show: func(transfer.Event) {}}
	if l.about, err = newSubjects(c, a, j); err != nil {
		return nil, err
	}
	for _, arg := range j.args {
		if telegram.IsFileID(arg) {
			file, err := telegram.ParseFileID(arg)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", idName(arg), err)
			}
			l.ids = append(l.ids, idTarget{arg, file})
			continue
		}
		link, err := telegram.ParseChat(arg)
		if err != nil {
			return nil, err
		}
		peer, err := a.client.ResolveLink(ctx, link)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", arg, err)
		}
		l.targets = append(l.targets, target{arg, link, peer})
	}
	if path := c.String("file"); path != "" {
		if l.export, err = readExport(ctx, a, path); err != nil {
			return nil, err
		}
	}
	l.folders = len(l.chats()) > 1
	return l, findTopic(ctx, c, a, s, l.peers()...)
}

// peers are the chats that are named, some perhaps more than once.
func (l *fetchList) peers() (list []telegram.Peer) {
	for _, t := range l.targets {
		list = append(list, t.peer)
	}
	if l.export != nil {
		for i, p := range l.export.peers {
			if l.export.chats[i].Messages > 0 {
				list = append(list, p)
			}
		}
	}
	return list
}

// chats are the marked ids of peers.
func (l *fetchList) chats() map[int64]bool {
	ids := make(map[int64]bool)
	for _, p := range l.peers() {
		ids[p.MarkedID()] = true
	}
	return ids
}

// files lists the files of all targets, then those of the export, until there
// are enough.
func (l *fetchList) files(ctx context.Context) iter.Seq2[found, error] {
	return func(yield func(found, error) bool) {
		chats := l.chats()
		if len(l.targets) > 1 || len(l.targets) > 0 && l.export != nil { // one alone lists nothing twice
			l.pass.Once()
		}
		list := func(what string, messages iter.Seq2[*telegram.Message, error]) bool {
			for m, err := range messages {
				if err != nil {
					yield(found{}, fmt.Errorf("%s: %w", what, err))
					return false
				}
				var names transfer.Names // those of one message; its number tells them from others
				for _, f := range m.Files {
					name := names.Take(strconv.Itoa(m.ID)+"_"+f.Name, f.ID)
					if l.folders || !chats[m.Peer.MarkedID()] { // comments are in a chat that nobody has named
						name = path.Join(archive.FolderName(m.Peer), name)
					}
					name, err := l.placed(ctx, m, &f, name)
					if err != nil {
						yield(found{}, err)
						return false
					}
					if !yield(found{f, name, m.Date}, nil) {
						return false
					}
				}
			}
			return true
		}
		if !l.fileIDs(ctx, yield) {
			return
		}
		for _, t := range l.targets {
			if !l.pass.Full() && !list(t.arg, l.messages(ctx, t)) {
				return
			}
		}
		if l.export != nil && !l.pass.Full() && !list(l.export.path, l.exported(ctx)) {
			return
		}
		for _, o := range l.pass.Unread {
			l.miss("comments on "+messageName(o.Peer, o.MessageID), telegram.ErrNoThread)
		}
	}
}

// placed is where a file goes: as the template says, or, if there is none, by
// its name. A file for which the template fails, fails alone.
func (l *fetchList) placed(ctx context.Context, m *telegram.Message, f *telegram.File, name string) (string, error) {
	if l.places == nil {
		return name, nil
	}
	subject, err := l.about.of(ctx, m, *f)
	if err != nil {
		return "", err
	}
	path, err := l.places.Path(subject)
	if err != nil {
		f.Err = err
		return name, nil
	}
	return path, nil
}

// messages lists the messages of a target.
func (l *fetchList) messages(ctx context.Context, t target) iter.Seq2[*telegram.Message, error] {
	if t.link.Message == 0 {
		return l.pass.Chat(ctx, t.peer)
	}
	return func(yield func(*telegram.Message, error) bool) {
		messages, err := l.linked(ctx, t)
		if err != nil {
			yield(nil, err)
			return
		}
		for m, err := range messages {
			if !yield(m, err) {
				return
			}
		}
	}
}

// linked lists what a link to messages means. A target without a file to fetch
// is missed, and stops no other.
func (l *fetchList) linked(ctx context.Context, t target) (iter.Seq2[*telegram.Message, error], error) {
	peer, ids, err := l.a.client.LinkedMessages(ctx, t.link)
	if errors.Is(err, telegram.ErrPeerNotFound) {
		l.miss(t.arg, err)
		return none, nil
	}
	if err != nil {
		return nil, err
	}
	var messages []*telegram.Message
	for m, err := range l.a.client.Messages(ctx, peer, telegram.MessagesOptions{IDs: ids}) {
		if err != nil {
			return nil, err
		}
		if whole := topicOf(t.link, m); whole != 0 {
			return l.pass.Topic(ctx, peer, whole), nil
		}
		messages = append(messages, m)
	}
	messages, err = l.bounded(ctx, t, messages)
	if errors.Is(err, errOutside) || errors.Is(err, transfer.ErrGone) {
		l.miss(t.arg, err)
		return none, nil
	}
	if err != nil {
		return nil, err
	}
	l.missUnlessFree(t, messages)
	return l.pass.List(ctx, sequence(messages)), nil
}

// missUnlessFree misses a target of which no file may be had.
func (l *fetchList) missUnlessFree(t target, messages []*telegram.Message) {
	files, free := 0, 0
	for _, m := range messages {
		files += len(m.Files)
		for _, f := range m.Files {
			if !f.NoForwards {
				free++
			}
		}
	}
	switch {
	case files == 0:
		l.miss(t.arg, transfer.ErrGone)
	case free == 0:
		l.miss(t.arg, transfer.ErrProtected)
	}
}

func none(func(*telegram.Message, error) bool) {}

// topicOf is the topic that a link means as a whole, 0 if it means messages: it
// looks like a link to the message that began the topic.
func topicOf(link telegram.Link, m *telegram.Message) int {
	if link.Comment == 0 && link.Message == m.ID && (m.Topic == m.ID || m.ID == 1 && m.Peer.Forum) {
		return m.ID
	}
	return 0
}

// miss tells that what was named has nothing to fetch.
func (l *fetchList) miss(name string, err error) {
	l.missed = append(l.missed, transfer.FileResult{Path: name, Err: err})
	l.show(transfer.FileFailed{
		Header: transfer.Header{Event: "file_failed", Time: time.Now()}, Path: name, Error: text(err),
	})
}

// A protectedEvent tells how many files were left out since they must not be saved.
type protectedEvent struct {
	transfer.Header
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// tellProtected is for programs, sayProtected for people.
func tellProtected(show *displays, pass *selection.Pass) {
	if pass.Protected > 0 {
		show.event(protectedOf(pass))
	}
}

func protectedOf(pass *selection.Pass) protectedEvent {
	return protectedEvent{transfer.Header{Event: "protected", Time: time.Now()}, pass.Protected, pass.ProtectedBytes}
}

func sayProtected(c *cli.Context, pass *selection.Pass) {
	if pass.Protected > 0 && !c.Bool("json") && !c.Bool("quiet") {
		_, _ = fmt.Fprintln(c.App.Writer, protectedLine(pass))
	}
}

func protectedLine(pass *selection.Pass) string {
	return are(pass.Protected, "file") + " protected content and left out"
}
