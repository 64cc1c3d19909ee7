package transfer

import (
	"errors"
	"fmt"
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
	// without a pause, and many files together have ten commits a second.
	groupBytes   = 8 << 20
	groupDelay   = 250 * time.Millisecond
	waitersDelay = 100 * time.Millisecond
	// syncers is how many files are synced at a time. The flushes of many
	// small files are merged by the disk, if it sees them together.
	syncers = 16
	// maxUnmarked is how many bytes may be written, or being written, and not
	// marked: what a crash costs.
	maxUnmarked = 24 << 20
)

// A syncer is a file or folder whose writes can be made durable.
type syncer interface{ sync() error }

// A change is something to be committed once that which it is about is durable.
type change struct {
	after any   // a *sink, a link, or nil: nothing has to be synced
	bytes int64 // written, and admitted before
	add   func(*checkpoint.Batch)
	done  chan error // nil: nobody waits; else buffered
}

// A committer makes writes durable and then records them, in groups: bytes
// first, record second. It is the only one who commits.
type committer struct {
	cp   Checkpoint
	room func(func() error) error // calls a function until there is room for what it does
	fail func(error)              // is told that nothing can be recorded; ends the run

	mu      sync.Mutex
	pending []change
	bytes   int64 // written, of pending
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

// mark has a change committed after bytes, which were admitted, were written
// to after. It does not wait.
func (c *committer) mark(after any, bytes int64, add func(*checkpoint.Batch)) {
	c.push(change{after: after, bytes: bytes, add: add})
}

// do has a change committed without waiting for it.
func (c *committer) do(add func(*checkpoint.Batch)) { c.mark(nil, 0, add) }

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
		delay = min(waitersDelay, max(0, c.taken[0].Add(2*waitersDelay).Sub(now)))
	}
	if due := now.Add(delay); len(c.pending) == 0 || due.Before(c.due) {
		c.due = due
	}
	c.pending = append(c.pending, ch)
	if c.bytes += ch.bytes; c.bytes >= groupBytes {
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
	group, c.pending, c.bytes = c.pending, nil, 0
	c.taken = [2]time.Time{c.taken[1], time.Now()}
	return group, 0
}

// commit syncs everything that the group was written to, and then commits
// those changes whose sync has succeeded. A failed sync is never repeated: what
// it concerns is not recorded, and will be written again.
func (c *committer) commit(group []change) {
	synced := syncAll(group)
	losses := make([]error, len(group))
	var b checkpoint.Batch
	for i, ch := range group {
		if losses[i] = lossOf(ch.after, synced); losses[i] == nil {
			ch.add(&b)
		}
	}
	err := c.room(func() error { return c.cp.Commit(&b) })
	if err != nil {
		err = fmt.Errorf("record progress: %w", err)
	}
	var bytes int64
	for i, ch := range group {
		bytes += ch.bytes
		if ch.done != nil {
			ch.done <- errors.Join(losses[i], err)
		}
		if s, ok := ch.after.(*sink); ok && losses[i] != nil {
			s.lose(losses[i])
		}
	}
	c.withdraw(bytes)
	// A full disk only ends a run that is stopped: it can be resumed.
	if err != nil && !isFull(err) {
		c.fail(err)
	}
}

// syncAll syncs each file and folder of the group once, and the folders of
// those files that are new to them: a mark is worth nothing if the file it is
// about is gone after a power loss. It returns what came of each.
func syncAll(group []change) map[syncer]error {
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(syncers)
	results := make(map[syncer]error)
	begin := func(s syncer) {
		mu.Lock()
		_, begun := results[s]
		if !begun {
			results[s] = nil
		}
		mu.Unlock()
		if begun {
			return
		}
		g.Go(func() error {
			err := s.sync()
			mu.Lock()
			results[s] = err
			mu.Unlock()
			return nil
		})
	}
	for _, ch := range group {
		switch after := ch.after.(type) {
		case link:
			begin(after.dir)
		case *sink:
			begin(after)
			if !after.named.Load() {
				begin(after.dir)
			}
		}
	}
	_ = g.Wait() // each error is in results
	return results
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
