// Package follow brings the archive of a chat up to date, and keeps it so.
//
//  1. A first pass lists the stretches of the chat that the archive's record
//     does not know to be done, newest first, and asks what has happened to the
//     others since the last run: edits and deletions.
//  2. Watching goes on from there. A channel is asked for what has happened
//     (updates.getChannelDifference) when its server says it may be, and at once
//     when an update tells of it. Other chats are asked for what is newer.
//
// Messages are recorded when they are listed; files are yielded to be fetched.
// The record is only ever behind what is true, so that a run may end anywhere.
package follow

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/selection"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
)

// A Source is asked for messages. *telegram.Client is one.
type Source interface {
	selection.Source
	ChannelState(ctx context.Context, p telegram.Peer) (pts int, err error)
	ChannelDifference(ctx context.Context, p telegram.Peer, pts int) (telegram.Difference, error)
}

// Options say how a chat is followed. Selection and Folder are required.
type Options struct {
	Selection *selection.Selection
	Pass      *selection.Pass // of the selection; it counts what was listed
	// Full lists everything, also what is done: which finds edits and deletions
	// that no difference tells of.
	Full bool
	// SinceLast lists only what is newer than the newest message of the last
	// finished run of the selection, and what has failed since then.
	SinceLast bool
	// Dry records nothing, and asks for no differences.
	Dry bool
	// Folder opens the archive of a chat; nil: of the discussion groups of
	// comments none is wanted. It stays the caller's.
	Folder func(telegram.Peer) (*archive.Archive, error)
	// Downloads are what is to be fetched of a message, that of each file first;
	// nil: its files.
	Downloads func(ctx context.Context, folder *archive.Archive, m *telegram.Message) ([]transfer.Download, error)
	// Thumbs and Sidecars say that Downloads, or the archive, puts such beside
	// files: what was gone through without is gone through again.
	Thumbs, Sidecars bool
	// Room calls write, and again while the disk is full. nil: once.
	Room func(ctx context.Context, write func() error) error
	// Events is told what happens besides files. nil: nobody.
	Events func(transfer.Event)
}

// A Chat is one that is archived. Its passes are used by one goroutine, beside
// which FileEvent may be called by another.
type Chat struct {
	source Source
	peer   telegram.Peer
	folder *archive.Archive
	track  *archive.Tracker // nil: nothing is recorded, and everything is listed
	talk   comments
	o      Options
	saved  time.Time

	// listedTo is the id up to which everything within the bounds was listed, at
	// one time or the other; seen the highest id of the present listing, which
	// may go downwards.
	listedTo, seen int

	passed  bool          // the first pass is over
	asked   time.Time     // when it was asked last
	polls   bool          // there are no differences to ask for
	lost    error         // not nil: it is watched no more
	due     time.Time     // when to ask next
	pause   time.Duration // after the last failure
	retry   time.Time     // when to try files again that have failed
	retries int
}

// savePause is how much of the record a crash may cost: that much is listed again.
const savePause = 5 * time.Second

// New returns what follows a chat into its archive.
func New(source Source, peer telegram.Peer, folder *archive.Archive, o Options) *Chat {
	room := o.Room
	if room == nil {
		room = func(_ context.Context, write func() error) error { return write() }
	}
	o.Room = func(ctx context.Context, write func() error) error { return local(room(ctx, write)) }
	if o.Events == nil {
		o.Events = func(transfer.Event) {}
	}
	if o.Downloads == nil {
		o.Downloads = downloads
	}
	c := &Chat{source: source, peer: peer, folder: folder, o: o, polls: peer.Kind != telegram.PeerChannel}
	c.talk.chat = c
	c.saved = time.Now()
	if o.Selection.Limit == 0 { // "the ten newest" are the same ten next time
		keys := o.keys()
		c.track = folder.Track(keys[0], keys[1:]...)
		c.seen = c.track.Top()
	}
	return c
}

// keys are those under which the archive remembers what was gone through: first
// the one of these options, then those of what includes it.
func (o *Options) keys() (keys []string) {
	for _, key := range append([]string{o.Selection.Key()}, wider(o.Selection)...) {
		for _, beside := range []string{"", "thumbs", "sidecars", "thumbs sidecars"} {
			if o.Thumbs && !strings.Contains(beside, "thumbs") || o.Sidecars && !strings.Contains(beside, "sidecars") {
				continue
			}
			if beside != "" {
				beside = " with " + beside
			}
			keys = append(keys, key+beside)
		}
	}
	return keys
}

// wider are the keys of selections that mean all that s does.
func wider(s *selection.Selection) []string {
	everything, talked := selection.Selection{}, selection.Selection{Comments: true}
	if s.Comments {
		return []string{talked.Key()}
	}
	return []string{everything.Key(), talked.Key()}
}

// Peer is the chat.
func (c *Chat) Peer() telegram.Peer { return c.peer }

// FileEvent takes in what an engine tells of files, of this chat or others.
func (c *Chat) FileEvent(e transfer.Event) {
	if c.track == nil {
		return
	}
	switch e := e.(type) {
	case transfer.FileDone:
		c.fileOver(e.Chat, e.Message, true)
	case transfer.FileSkipped:
		c.fileOver(e.Chat, e.Message, true)
	case transfer.FileFailed:
		c.fileOver(e.Chat, e.Message, false)
	}
}

func (c *Chat) fileOver(chat int64, message int, ok bool) {
	if chat == c.peer.MarkedID() {
		c.track.FileOver(message, ok)
		return
	}
	if post, of := c.talk.over(chat, message); of {
		c.track.FileOver(post, ok)
	}
}

// Save records how far the run has come.
func (c *Chat) Save() error { return c.save(false) }

// Finish is Save at the end of the run. The run counts as finished if the first
// pass came to its end and no file is left over.
func (c *Chat) Finish() error { return c.save(c.track != nil && c.passed && !c.track.Busy()) }

func (c *Chat) save(finished bool) error {
	if c.track == nil || c.o.Dry {
		return nil
	}
	return c.track.Save(finished)
}

// bounds are the ids that the selection and the options permit.
func (c *Chat) bounds() archive.Span {
	in := archive.Span{From: max(c.o.Selection.From.ID, 1), To: archive.NoEnd}
	if to := c.o.Selection.To.ID; to > 0 {
		in.To = to
	}
	if c.o.SinceLast && c.track != nil {
		in.From = max(in.From, c.track.Newest()+1)
	}
	return in
}

// A yield takes what a listing finds, and reports whether more is wanted.
type yield func(transfer.Download, error) bool

func (y yield) all(list []transfer.Download) error {
	for _, d := range list {
		if !y(d, nil) {
			return errEnough
		}
	}
	return nil
}

// FirstPass lists what is missing of the chat. It ends after the first error.
func (c *Chat) FirstPass(ctx context.Context) iter.Seq2[transfer.Download, error] {
	return func(y func(transfer.Download, error) bool) {
		err := c.firstPass(ctx, y)
		if err != nil && !errors.Is(err, errEnough) {
			y(transfer.Download{}, err)
		}
	}
}

// errEnough ends a listing whose reader wants no more.
var errEnough = errors.New("follow: enough")

func (c *Chat) firstPass(ctx context.Context, y yield) error {
	if c.track == nil {
		return c.everything(ctx, y)
	}
	before := c.track.Pts()
	if err := c.state(ctx); err != nil {
		return err
	}
	if err := c.fill(ctx, c.bounds(), y); err != nil {
		return err
	}
	c.listedTo = c.seen
	if before != 0 {
		if err := c.catchUp(ctx, y); err != nil {
			return err
		}
	}
	c.passed = true
	return c.o.Room(ctx, c.Save)
}

// state notes where a channel stands before it is listed for the first time:
// what happens from then on will be asked for.
func (c *Chat) state(ctx context.Context) error {
	if c.polls || c.o.Dry || c.track.Pts() != 0 {
		return nil
	}
	pts, err := c.source.ChannelState(ctx, c.peer)
	if err == nil {
		c.track.SetPts(pts)
	}
	return err
}

// everything lists the chat without regard to what is done, for a limit.
func (c *Chat) everything(ctx context.Context, y yield) error {
	for m, err := range c.o.Pass.Chat(ctx, c.peer) {
		if err == nil {
			err = c.take(ctx, m, nil, y)
		}
		if err != nil {
			return err
		}
	}
	return c.talk.flush(ctx)
}

const (
	// smallGap is how many ids are asked for one by one rather than by a page of
	// the history, of which each gap would need one.
	smallGap = 20
	// lump is how many ids one call takes.
	lump = 100
	// albumReach is how far apart in ids the items of an album may be.
	albumReach = 10
)

// fill lists those messages of a span that are not known to be done.
func (c *Chat) fill(ctx context.Context, in archive.Span, y yield) error {
	gaps := []archive.Span{in}
	if !c.o.Full {
		gaps = c.track.Gaps(in)
	}
	if !c.o.Selection.Reverse {
		slices.Reverse(gaps)
	}
	var small []archive.Span
	ids := 0
	flush := func() error {
		defer func() { small, ids = nil, 0 }()
		return c.fillSmall(ctx, small, y)
	}
	for _, gap := range gaps {
		width := gap.To - gap.From + 1
		if width <= smallGap && !c.o.Selection.Album {
			if ids+width > lump {
				if err := flush(); err != nil {
					return err
				}
			}
			small, ids = append(small, gap), ids+width
			continue
		}
		if err := flush(); err != nil {
			return err
		}
		if err := c.fillLarge(ctx, gap, y); err != nil {
			return err
		}
	}
	if err := flush(); err != nil {
		return err
	}
	return c.talk.flush(ctx)
}

// complete says that a listing brings all messages there are, so that those
// which do not come are gone: dates may be out of order.
func (c *Chat) complete() bool {
	s := c.o.Selection
	return s.Topic == 0 && s.From.Time.IsZero() && s.To.Time.IsZero() && !c.o.Dry
}

func (c *Chat) fillLarge(ctx context.Context, gap archive.Span, y yield) error {
	w := c.track.Walk(gap, c.o.Selection.Reverse, c.complete())
	from, to := gap.From, gap.To
	if c.o.Selection.Album {
		from, to = max(from-albumReach, 1), min(to, archive.NoEnd-albumReach)+albumReach
	}
	if to == archive.NoEnd {
		to = 0
	}
	for m, err := range c.o.Pass.Span(ctx, c.peer, from, to) {
		if err == nil {
			err = c.take(ctx, c.unlessWaiting(m), w, y)
		}
		if err == nil {
			err = c.gone(ctx, w, lump)
		}
		if err != nil {
			return err
		}
	}
	w.End()
	return c.gone(ctx, w, 1)
}

// fillSmall lists gaps of a few ids each by these.
func (c *Chat) fillSmall(ctx context.Context, gaps []archive.Span, y yield) error {
	var ids []int
	walks := make(map[int]*archive.Walk)
	for _, gap := range gaps {
		w := c.track.Walk(gap, c.o.Selection.Reverse, c.complete())
		for i := range gap.To - gap.From + 1 {
			id := gap.To - i
			if c.o.Selection.Reverse {
				id = gap.From + i
			}
			ids, walks[id] = append(ids, id), w
		}
	}
	if len(ids) == 0 {
		return nil
	}
	for m, err := range c.o.Pass.IDs(ctx, c.peer, ids) {
		if err == nil {
			err = c.take(ctx, c.unlessWaiting(m), walks[m.ID], y)
		}
		if err != nil {
			return err
		}
	}
	for _, w := range walks {
		w.End()
		if err := c.gone(ctx, w, 1); err != nil {
			return err
		}
	}
	return nil
}

// gone looks whether messages that a listing should have brought are gone, once
// there are so many, and notes that.
func (c *Chat) gone(ctx context.Context, w *archive.Walk, atLeast int) error {
	if w.Count() < atLeast {
		return nil
	}
	ids := w.Missing()
	there := make(map[int]bool)
	for m, err := range c.source.Messages(ctx, c.peer, telegram.MessagesOptions{IDs: ids}) {
		if err != nil {
			return err
		}
		there[m.ID] = true
	}
	return c.deleted(ctx, slices.DeleteFunc(ids, func(id int) bool { return there[id] }))
}

// deleted notes that messages are gone.
func (c *Chat) deleted(ctx context.Context, ids []int) error {
	if len(ids) == 0 || c.o.Dry {
		return nil
	}
	if c.track != nil {
		c.track.Gone(ids)
	}
	return c.o.Room(ctx, func() error {
		_, err := c.folder.AddDeleted(ids, time.Now())
		return err
	})
}

// unlessWaiting takes the files out of a message of which they are under way.
func (c *Chat) unlessWaiting(m *telegram.Message) *telegram.Message {
	if m.Peer.MarkedID() == c.peer.MarkedID() && c.track.Waiting(m.ID) {
		m.Files = nil
	}
	return m
}

// take records a message of a listing and yields its files.
func (c *Chat) take(ctx context.Context, m *telegram.Message, w *archive.Walk, y yield) error {
	if m.Peer.MarkedID() != c.peer.MarkedID() {
		return c.talk.take(ctx, m, y)
	}
	if err := c.talk.next(ctx, m); err != nil {
		return err
	}
	if c.o.Selection.Within(m) && !c.o.Dry {
		if err := c.o.Room(ctx, func() error { _, err := c.folder.AddMessage(m); return err }); err != nil {
			return err
		}
	}
	list, err := c.o.Downloads(ctx, c.folder, m)
	if err != nil {
		return err
	}
	if w != nil {
		c.listed(w, m, len(list)+c.talk.holds(m))
		c.seen = max(c.seen, m.ID)
	}
	if err := y.all(list); err != nil {
		return err
	}
	if c.track != nil && time.Since(c.saved) >= savePause {
		c.saved = time.Now()
		return c.o.Room(ctx, c.Save)
	}
	return nil
}

// listed has a walk take in a message. One with files that are protected now is
// not done when the others are: that may be lifted.
func (c *Chat) listed(w *archive.Walk, m *telegram.Message, files int) {
	if c.o.Pass.LeftOut(m) > 0 {
		w.ListedOpen(m.ID, files)
		return
	}
	w.Listed(m.ID, files)
}

// downloads are the files of a message, on their way into an archive.
func downloads(_ context.Context, folder *archive.Archive, m *telegram.Message) (list []transfer.Download, err error) {
	for _, f := range m.Files {
		d := transfer.Download{File: f, Dir: folder.Root(), Path: folder.Path(f), SHA256: folder.SHA256(f)}
		folder.Share(nil, m, &d)
		list = append(list, d)
	}
	return list, nil
}
