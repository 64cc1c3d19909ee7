package transfer

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tghaul/haul/checkpoint"
)

const (
	// A group is committed after so many bytes were written, or so long after
	// its first mark. One that somebody waits for is committed at once, if there
	// were less than two commits in the last two waitersDelay; else so long after
	// its first waiter came. The last commits of a lone file follow one another
	// without a pause, and many files together have ten commits a second, or more
	// if there are manyWaiters for each.
	groupBytes   = 8 << 20
	groupDelay   = 250 * time.Millisecond
	waitersDelay = 100 * time.Millisecond
	manyWaiters  = 48
	// syncers is how many files are synced at a time. The flushes of many
	// small files are merged by the disk, if it sees them together.
	syncers = 16
	// maxUnmarked is how many bytes may be written, or being written, and not
	// marked: what a crash costs.
	maxUnmarked = 24 << 20
)

// A syncer is a file or folder whose writes can be made durable.
type syncer interface{ sync() error }

// A change is something to be committed once that which it is about is durable:
// what add adds, or else a part of a file.
type change struct {
	after any   // a *sink, a link, or nil: nothing has to be synced
	bytes int64 // written, and admitted before
	add   func(*checkpoint.Batch)
	of    marker
	part  partMark
	done  chan error // nil: nobody waits; else buffered
}

// A marker records parts of its file.
type marker interface {
	markPart(b *checkpoint.Batch, p partMark)
}

// A partMark is a part that was moved.
type partMark struct {
	n   int
	crc uint32 // of downloads
}

func (ch *change) addTo(b *checkpoint.Batch) {
	if ch.add != nil {
		ch.add(b)
		return
	}
	ch.of.markPart(b, ch.part)
}

// A committer makes writes durable and then records them, in groups: bytes
// first, record second. It is the only one who commits.
type committer struct {
	cp   Checkpoint
	room func(func() error) error // calls a function until there is room for what it does
	fail func(error)              // is told that nothing can be recorded; ends the run

	// Memory of commit.
	batch  checkpoint.Batch
	write  func() error // commits batch
	losses []error
	synced map[syncer]error

	mu      sync.Mutex
	pending []change
	spare   []change // empty: memory for the next pending
	bytes   int64    // written, of pending
	waiters int      // of pending
	due     time.Time
	taken   [2]time.Time  // when the last two groups were, the older first
	wake    chan struct{} // capacity 1: a reminder to look at due
	stop    chan struct{}
	stopped chan struct{} // closed when the loop has ended

	// admitted is how many bytes are being written, or written and not
	// recorded. Invariant: at most maxUnmarked, or else only one part's.
	admitted int64
	recorded sync.Cond // admitted has become less
}

func newCommitter(cp Checkpoint, room func(func() error) error, fail func(error)) *committer {
	c := &committer{
		cp: cp, room: room, fail: fail,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	c.recorded.L = &c.mu
	c.synced = make(map[syncer]error)
	c.write = func() error { return c.cp.Commit(&c.batch) }
	return c
}

// admit waits until so many bytes may be written: a disk that is slower than
// the network, or too full for the checkpoint, holds back the network. What is
// admitted is then marked, or withdrawn.
func (c *committer) admit(bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.admitted > 0 && c.admitted+bytes > maxUnmarked {
		c.recorded.Wait()
	}
	c.admitted += bytes
}

// withdraw takes back admitted bytes that are not going to be marked.
func (c *committer) withdraw(bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.admitted -= bytes
	c.recorded.Broadcast()
}

// mark has a part committed after its bytes, which were admitted, were written
// to after. It does not wait.
func (c *committer) mark(after any, bytes int64, of marker, p partMark) {
	c.push(change{after: after, bytes: bytes, of: of, part: p})
}

// do has a change committed without waiting for it.
func (c *committer) do(add func(*checkpoint.Batch)) { c.push(change{add: add}) }

// wait syncs, commits a change along with all earlier ones, and waits. The
// error is a *lostError if the sync has failed.
func (c *committer) wait(after any, add func(*checkpoint.Batch)) error {
	done := make(chan error, 1)
	c.push(change{after: after, add: add, done: done})
	return <-done
}

func (c *committer) push(ch change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	delay := groupDelay
	if ch.done != nil {
		c.waiters++
		delay = min(waitersDelay, max(0, c.taken[0].Add(2*waitersDelay).Sub(now)))
	}
	if due := now.Add(delay); len(c.pending) == 0 || due.Before(c.due) {
		c.due = due
	}
	c.pending = append(c.pending, ch)
	if c.bytes += ch.bytes; c.bytes >= groupBytes || c.waiters >= manyWaiters {
		c.due = now
	}
	select {
	case c.wake <- struct{}{}:
	default: // reminded already
	}
}

// end commits what is pending and ends the loop. Nothing may be pushed after it.
func (c *committer) end() {
	close(c.stop)
	<-c.stopped
}

func (c *committer) loop() {
	defer close(c.stopped)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		group, next := c.take(false)
		if group != nil {
			c.commit(group)
			continue
		}
		timer.Reset(next)
		select {
		case <-c.wake:
		case <-timer.C:
		case <-c.stop:
			if group, _ := c.take(true); group != nil {
				c.commit(group)
			}
			return
		}
	}
}

// take returns the pending changes if they are due, or how long they are not.
func (c *committer) take(now bool) (group []change, next time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pending) == 0 {
		return nil, time.Hour
	}
	if left := time.Until(c.due); left > 0 && !now {
		return nil, left
	}
	group, c.pending, c.spare, c.bytes, c.waiters = c.pending, c.spare, nil, 0, 0
	c.taken = [2]time.Time{c.taken[1], time.Now()}
	return group, 0
}

// commit syncs everything that the group was written to, and then commits
// those changes whose sync has succeeded. A failed sync is never repeated: what
// it concerns is not recorded, and will be written again.
func (c *committer) commit(group []change) {
	defer c.forget(group)
	syncAll(group, c.synced)
	for i := range group {
		loss := lossOf(group[i].after, c.synced)
		if c.losses = append(c.losses, loss); loss == nil {
			group[i].addTo(&c.batch)
		}
	}
	err := c.room(c.write)
	if err != nil {
		err = fmt.Errorf("record progress: %w", err)
	}
	var bytes int64
	for i, ch := range group {
		bytes += ch.bytes
		if ch.done != nil {
			ch.done <- errors.Join(c.losses[i], err)
		}
		if s, ok := ch.after.(*sink); ok && c.losses[i] != nil {
			s.lose(c.losses[i])
		}
	}
	c.withdraw(bytes)
	// A full disk only ends a run that is stopped: it can be resumed.
	if err != nil && !isFull(err) {
		c.fail(err)
	}
}

// maxKept is up to how many changes of a group its memory is kept for the next.
const maxKept = 1024

// forget empties what commit has used, the group included.
func (c *committer) forget(group []change) {
	clear(c.losses)
	clear(c.synced)
	clear(group)
	c.losses = c.losses[:0]
	c.batch.Reset()
	if len(group) > maxKept {
		c.batch, group = checkpoint.Batch{}, nil
	}
	c.mu.Lock()
	c.spare = group[:0]
	c.mu.Unlock()
}

// syncAll syncs each file and folder of the group once, and the folders of
// those files that are new to them: a mark is worth nothing if the file it is
// about is gone after a power loss. What came of each is put into results.
func syncAll(group []change, results map[syncer]error) {
	for _, ch := range group {
		switch after := ch.after.(type) {
		case link:
			results[after.dir] = nil
		case *sink:
			results[after] = nil
			if !after.named.Load() {
				results[after.dir] = nil
			}
		}
	}
	if len(results) < 2 {
		for s := range results {
			results[s] = s.sync()
		}
		return
	}
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(syncers)
	for _, s := range slices.Collect(maps.Keys(results)) {
		g.Go(func() error {
			err := s.sync()
			mu.Lock()
			results[s] = err
			mu.Unlock()
			return nil
		})
	}
	_ = g.Wait() // each error is in results
}

// lossOf is the *lostError of what a change is about, nil if that is durable.
func lossOf(after any, synced map[syncer]error) error {
	switch after := after.(type) {
	case link:
		if err := synced[after.dir]; err != nil {
			return err
		}
		return after.check()
	case *sink:
		if err := synced[after]; err != nil || after.named.Load() {
			return err
		}
		if err := lossOf(after.entry, synced); err != nil {
			return err
		}
		after.named.Store(true)
	}
	return nil
}
