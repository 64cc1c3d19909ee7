package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path"

	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/selection"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
	"github.com/tghaul/haul/transfer/archive/follow"
)

// archiveFolders are the open archives of a run, one for each chat.
type archiveFolders struct {
	c    *cli.Context
	dir  string
	open map[int64]*archive.Archive // by marked id
	// prepare is called with each that is opened.
	prepare func(*archive.Archive)
	// scratch takes the place of folders that are not there, in a dry run, which
	// only reads the others; "" if they are to be made, and written to.
	scratch string
}

// of opens the archive of a chat. It stays the folders'.
func (f *archiveFolders) of(p telegram.Peer) (*archive.Archive, error) {
	if a := f.open[p.MarkedID()]; a != nil {
		return a, nil
	}
	a, err := f.openOne(p)
	if err != nil {
		return nil, err
	}
	f.open[p.MarkedID()] = a
	f.prepare(a)
	for _, list := range a.SetAside() {
		_, _ = fmt.Fprintf(f.c.App.ErrWriter, "haul: a list of %s had lines that cannot be read; it was set aside as %s\n", p, list)
	}
	return a, nil
}

func (f *archiveFolders) openOne(p telegram.Peer) (*archive.Archive, error) {
	if f.scratch == "" {
		return archive.Open(f.dir, p)
	}
	a, err := archive.OpenToRead(f.dir, p)
	if errors.Is(err, fs.ErrNotExist) {
		return archive.Open(f.scratch, p)
	}
	return a, err
}

func (f *archiveFolders) close() (err error) {
	for _, a := range f.open {
		err = errors.Join(err, a.Close())
	}
	return err
}

// An archiveRun is a run of haul archive: its chats, and what they have in common.
type archiveRun struct {
	s       *selection.Selection
	pass    *selection.Pass
	peers   []telegram.Peer
	folders *archiveFolders
	about   *subjects
	engine  *transfer.Engine // nil until it is made, and in a dry run
}

// newArchiveRun resolves what the command line names.
func newArchiveRun(ctx context.Context, c *cli.Context, a *account, j *job) (*archiveRun, error) {
	s, err := parseSelection(c, j.since())
	if err != nil {
		return nil, err
	}
	if s.Comments && a.client.IsBot() {
		return nil, fmt.Errorf("--comments: %w", telegram.ErrUserOnly)
	}
	about, err := newSubjects(c, a, j)
	if err != nil {
		return nil, err
	}
	r := &archiveRun{
		s: s, about: about, pass: selection.NewPass(s, a.client),
		folders: &archiveFolders{c: c, dir: c.String("dir"), open: make(map[int64]*archive.Archive)},
	}
	r.folders.prepare = func(f *archive.Archive) { r.arrange(c, f) }
	known := make(map[int64]bool)
	for _, name := range j.args {
		p, err := a.client.Resolve(ctx, name)
		if err != nil {
			return nil, err
		}
		if !known[p.MarkedID()] {
			known[p.MarkedID()] = true
			r.peers = append(r.peers, p)
		}
	}
	return r, findTopic(ctx, c, a, s, r.peers...)
}

// arrange has an archive lie on disk as the flags say.
func (r *archiveRun) arrange(c *cli.Context, f *archive.Archive) {
	if c.String("sidecar") != "" {
		f.WriteSidecars()
	}
	f.Arrange(r.about.tmpl, func(file telegram.File) string {
		if r.engine == nil {
			return ""
		}
		return knownPaths(r.engine, transfer.Download{Dir: f.Root()})(file)
	})
}

// chats opens the folders of the chats that are named.
func (r *archiveRun) chats(c *cli.Context, a *account, o follow.Options) (chats []*follow.Chat, err error) {
	o.Selection, o.Pass, o.Folder = r.s, r.pass, r.folders.of
	o.Full, o.SinceLast = c.Bool("full"), c.Bool("since-last")
	o.Downloads, o.Thumbs, o.Sidecars = r.about.downloads, r.about.thumbs, c.String("sidecar") != ""
	for _, p := range r.peers {
		folder, err := r.folders.of(p)
		if err != nil {
			return nil, err
		}
		chats = append(chats, follow.New(a.client, p, folder, o))
	}
	return chats, nil
}

// archiveChats archives the chats of a job in one run.
func archiveChats(ctx context.Context, c *cli.Context, a *account, j *job) (err error) {
	r, err := newArchiveRun(ctx, c, a, j)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.folders.close()) }()
	if c.Bool("dry-run") {
		return r.plan(ctx, c, a)
	}
	o, err := engineOptions(c, a)
	if err != nil {
		return err
	}
	if r.about.pool, err = openPool(ctx, c); err != nil {
		return err
	}
	if r.about.pool != nil {
		defer r.about.pool.Close() //nolint:errcheck // files are closed by themselves
	}
	var show *displays
	chats, err := r.chats(c, a, follow.Options{
		Room:   func(ctx context.Context, write func() error) error { return r.engine.WhenRoom(ctx, write) },
		Events: func(e transfer.Event) { show.event(e) },
	})
	if err != nil {
		return err
	}
	finish, err := a.takeout(ctx, c, r.peers, r.s.MaxSize)
	if err != nil {
		return err
	}
	defer func() { finish(err) }()
	if show, err = newDisplay(c); err != nil {
		return err
	}
	defer show.close()
	if err := j.begin(); err != nil {
		return err
	}
	counts := j.watch(show)
	var waiting idle
	o.MaxResults = failuresShown // a watch goes on for days
	o.Events = func(e transfer.Event) {
		if c.Bool("watch") && waiting.skips(e) {
			return
		}
		counts(e)
		for _, chat := range chats {
			chat.FileEvent(e)
		}
	}
	r.engine = transfer.New(a.client, o)
	report, err := r.engine.Download(ctx, r.downloads(ctx, c, a, chats, show))
	for _, chat := range chats {
		err = errors.Join(err, chat.Finish())
	}
	show.end()
	sayProtected(c, r.pass)
	r.addUnread(report)
	return outcome(c, j, show, report, err)
}

// downloads lists the chats, one after the other, and then watches them.
func (r *archiveRun) downloads(ctx context.Context, c *cli.Context, a *account, chats []*follow.Chat, show *displays) iter.Seq2[transfer.Download, error] {
	return func(yield func(transfer.Download, error) bool) {
		for _, chat := range chats {
			for d, err := range chat.FirstPass(ctx) {
				if !yield(d, err) || err != nil {
					return
				}
			}
		}
		tellProtected(show, r.pass)
		if !c.Bool("watch") {
			return
		}
		for d, err := range follow.Watch(ctx, chats, &a.touched) {
			if !yield(d, err) || err != nil {
				return
			}
		}
	}
}

// addUnread counts as failed the posts of which the comments could not be read.
func (r *archiveRun) addUnread(report *transfer.Report) {
	for _, o := range r.pass.Unread {
		name := "comments on " + messageName(o.Peer, o.MessageID)
		report.Failed = append(report.Failed, transfer.FileResult{Path: name, Err: telegram.ErrNoThread})
		report.FilesFailed++
	}
}

// plan tells what a run would do. Folders that are not there are not made.
func (r *archiveRun) plan(ctx context.Context, c *cli.Context, a *account) (err error) {
	if r.folders.scratch, err = os.MkdirTemp("", "haul-dry-run-*"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.folders.close(), os.RemoveAll(r.folders.scratch)) }()
	r.s.FilesOnly = true // nothing is recorded: Telegram may search
	chats, err := r.chats(c, a, follow.Options{Dry: true})
	if err != nil {
		return err
	}
	return dryRun(c, r.pass, func(yield func(found, error) bool) {
		for _, chat := range chats {
			for d, err := range chat.FirstPass(ctx) {
				if err != nil {
					yield(found{}, err)
					return
				}
				f := found{file: d.File, path: path.Join(archive.FolderName(d.File.Origin.Peer), d.Path), sent: d.File.Date}
				if !yield(f, nil) {
					return
				}
			}
		}
	}, r.state(onDisk(c.String("dir"))))
}

// state says what is there of a file: also what the archive has elsewhere.
func (r *archiveRun) state(onDisk func(found) string) func(found) string {
	return func(f found) string {
		if a := r.folders.open[f.file.Origin.Peer.MarkedID()]; a != nil && a.Has(f.file) {
			return fileThere
		}
		return onDisk(f)
	}
}
