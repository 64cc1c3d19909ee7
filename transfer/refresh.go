package transfer

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/tghaul/haul/scheduler"
	"github.com/tghaul/haul/telegram"
)

const (
	// refreshBatch is how many messages one call may fetch.
	refreshBatch = 100
	// refreshDelay is how long the first file that needs a new reference
	// waits for others, which as a rule come at the same time.
	refreshDelay = 20 * time.Millisecond
	// A reference that failed sooner than this did not die of age.
	shortestLife = time.Minute
	// massExpiry is how many files of a chat have to fail together for all
	// references of it to be believed expired.
	massExpiry = 4
	// refreshAhead is after which share of the learned lifetime a reference
	// is renewed without waiting for it to fail.
	refreshAhead = 0.9
)

// A refresher gets new file references: one call at a time for each chat, of
// up to 100 messages. It belongs to the loop.
type refresher struct {
	run   *run
	chats map[chatKey]*chatRefresh
	// lifetime is the least age at which a reference was found expired; 0
	// before one was.
	lifetime time.Duration
}

type chatKey struct {
	kind telegram.PeerKind
	id   int64
}

type chatRefresh struct {
	peer    telegram.Peer
	waiting []*entry // files that are paused for it
	running bool
	failed  int       // files whose reference had expired, since running was last false
	expired time.Time // references given out until then are believed expired; zero: none
	ahead   time.Time // references older than this are to be renewed before they fail; zero: none
}

// want queues a file that is paused, and starts a call unless one is running.
func (f *refresher) want(e *entry) {
	if e.spare {
		e.spare = false
		f.renewed(e)
		return
	}
	if age := time.Since(e.born()); age >= shortestLife && (f.lifetime == 0 || age < f.lifetime) {
		f.lifetime = age
	}
	c := f.chat(e)
	switch c.failed++; {
	case c.failed == massExpiry:
		c.expired = time.Now()
	case c.failed > massExpiry && e.born().After(c.expired):
		c.expired = e.born()
	}
	c.waiting = append(c.waiting, e)
	f.start(c)
}

// holds reports whether a file that is ready has to wait for a new reference,
// since the one that it has is believed expired: when thousands expire
// together, asking with each of them would be a call in vain for each.
func (f *refresher) holds(e *entry, parts []scheduler.Part) bool {
	if len(f.chats) == 0 || len(parts) == 0 {
		return false
	}
	c := f.chat(e)
	if e.born().After(c.expired) {
		return false
	}
	e.held = parts
	c.waiting = append(c.waiting, e)
	f.start(c)
	return true
}

// ahead renews the references of files under way that will soon be as old as
// others were when they expired. The files go on meanwhile.
func (f *refresher) ahead(now time.Time) {
	if f.lifetime == 0 || f.run.dir != Downloads {
		return
	}
	old := now.Add(-time.Duration(refreshAhead * float64(f.lifetime)))
	for _, e := range f.run.order {
		if c := f.chat(e); e.born().Before(old) && !c.running {
			c.ahead = old
			f.start(c)
		}
	}
}

// chat is the state of a file's chat.
func (f *refresher) chat(e *entry) *chatRefresh {
	d := e.job.(*download) // uploads have no references
	peer := d.d.File.Origin.Peer
	if f.chats == nil {
		f.chats = make(map[chatKey]*chatRefresh)
	}
	key := chatKey{peer.Kind, peer.ID}
	c := f.chats[key]
	if c == nil {
		c = &chatRefresh{peer: peer}
		f.chats[key] = c
	}
	return c
}

// start has a chat's files refreshed, unless that is under way.
func (f *refresher) start(c *chatRefresh) {
	if !c.running {
		c.running = true
		f.run.tasks.Go(func() {
			pause := time.NewTimer(refreshDelay)
			defer pause.Stop()
			select {
			case <-pause.C:
			case <-f.run.ctx().Done():
			}
			f.run.post(func() { f.call(c) })
		})
	}
}

// call refreshes up to 100 messages of a chat. If fewer files wait, others of
// the chat whose references are as old are refreshed along with them: they
// would fail next.
func (f *refresher) call(c *chatRefresh) {
	c.waiting = slices.DeleteFunc(c.waiting, func(e *entry) bool { return f.run.files[e.id] != e })
	ahead := c.ahead
	c.ahead = time.Time{}
	waiting := c.waiting[:min(len(c.waiting), refreshBatch)]
	c.waiting = c.waiting[len(waiting):]
	batch := f.fill(slices.Clone(waiting), c, ahead)
	if len(batch) == 0 || f.run.fatal != nil {
		c.running, c.failed = false, 0
		return
	}
	ids := make([]int, 0, len(batch))
	for _, e := range batch {
		id := e.info().origin.MessageID
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
		e.users++
	}
	f.run.tasks.Go(func() {
		files, err := f.run.tg.RefreshFiles(f.run.ctx(), c.peer, ids)
		f.run.post(func() {
			f.done(c, batch, waiting, files, err)
			f.call(c)
		})
	})
}

// born is when the file's reference was given out.
func (e *entry) born() time.Time {
	if e.refAt.IsZero() {
		return e.listed
	}
	return e.refAt
}

// fill adds files of the chat that will fail next, those that come next first:
// their references are no younger than those that have failed, or were given
// out before a moment.
func (f *refresher) fill(batch []*entry, c *chatRefresh, before time.Time) []*entry {
	if len(batch) >= refreshBatch || len(batch) == 0 && before.IsZero() {
		return batch
	}
	var failed time.Time
	for _, e := range batch {
		if e.refAt.After(failed) {
			failed = e.refAt
		}
	}
	var more []*entry
	for _, e := range f.run.files {
		d := e.job.(*download)
		peer := d.d.File.Origin.Peer
		if peer.Kind != c.peer.Kind || peer.ID != c.peer.ID || slices.Contains(batch, e) {
			continue
		}
		if e.born().Before(before) || len(batch) > 0 && !e.refAt.After(failed) {
			more = append(more, e)
		}
	}
	slices.SortFunc(more, func(a, b *entry) int { return cmp.Compare(a.id, b.id) })
	return append(batch, more[:min(len(more), refreshBatch-len(batch))]...)
}

// done takes in the answer: files with a new reference go on, files that are
// gone fail.
func (f *refresher) done(c *chatRefresh, batch, waiting []*entry, files map[int][]telegram.File, err error) {
	r := f.run
	for _, e := range batch {
		r.unuse(e)
	}
	switch {
	case r.fatal != nil:
		return
	case err != nil && endsRun(err):
		r.fail(err)
		return
	case err == nil:
		r.report.ReferenceRefreshes++
		r.o.Events(ReferenceRefreshed{
			Header: header("reference_refreshed", time.Now()), Chat: c.peer.MarkedID(), Files: len(batch),
		})
	}
	for _, e := range batch {
		if r.files[e.id] != e {
			continue
		}
		needed := slices.Contains(waiting, e)
		if i := slices.Index(c.waiting, e); i >= 0 { // it has failed during the call
			needed = true
			c.waiting = slices.Delete(c.waiting, i, i+1)
		}
		fail := err
		if err == nil {
			e.refAt, e.spare = time.Now(), !needed
			fail = e.job.(*download).renew(files[e.info().origin.MessageID])
		}
		switch {
		case e.held != nil: // if it does not help, the server will say so
			f.renewed(e)
		case !needed: // a file that has not asked fails, if at all, when it does
		case fail != nil:
			r.feed(scheduler.Abort{File: e.id})
			r.fileFailed(e, fail)
		default:
			f.renewed(e)
		}
	}
}

// renewed lets a file go on that has a new reference.
func (f *refresher) renewed(e *entry) {
	parts := e.held
	e.held = nil
	switch {
	case parts != nil:
		f.run.feed(scheduler.Ready{File: e.id, Parts: parts})
	case e.finishing:
		e.finishing = false
		f.run.complete(e)
	default:
		f.run.feed(scheduler.Resume{File: e.id})
	}
}

// renew takes the reference of the same file out of its message as that is
// now. Only the same document, of the same size, is the same file.
func (d *download) renew(files []telegram.File) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range files {
		if f.ID != d.file.ID || f.Kind != d.file.Kind {
			continue
		}
		if d.file.IsThumb {
			thumb, ok := f.ThumbFile()
			if !ok {
				return fmt.Errorf("%w: message %d has no thumbnail any more", ErrGone, d.file.Origin.MessageID)
			}
			f = thumb
		}
		switch {
		case f.NoForwards:
			return ErrProtected
		case f.Err != nil:
			return f.Err
		case f.Size != d.size || f.Thumb != d.file.Thumb:
			return fmt.Errorf("%w: %d bytes now, were %d", ErrGone, f.Size, d.size)
		}
		d.file.FileReference = bytes.Clone(f.FileReference)
		d.file.AccessHash = f.AccessHash
		d.location = nil
		return nil
	}
	return fmt.Errorf("%w: message %d", ErrGone, d.file.Origin.MessageID)
}
