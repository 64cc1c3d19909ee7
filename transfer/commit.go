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
	// its first mark, or after its first waiter came.
	groupBytes   = 8 << 20
	groupDelay   = 250 * time.Millisecond
	waitersDelay = 100 * time.Millisecond
	// syncers is how many files are synced at a time. The flushes of many
	// small files are merged by the disk, if it sees them together.
	syncers = 16
)

// A syncer is a file or folder whose writes can be made durable.
type syncer interface{ sync() error }

// A change is something to be committed once its syncer has been synced.
type change struct {
	after syncer // nil: nothing has to be synced
	add   func(*checkpoint.Batch)
	done  chan error // nil: nobody waits; else buffered
}

// A committer makes writes durable and then records them, in groups: bytes
// first, record second. It is the only one who commits.
type committer struct {
	cp   Checkpoint
	fail func(error) // is told of an error that nobody waits for; ends the run

	mu      sync.Mutex
	pending []change
	bytes   int64 // written, of pending
	due     time.Time
	wake    chan struct{} // capacity 1: a reminder to look at due
	stop    chan struct{}
	stopped chan struct{} // closed when the loop has ended
}

func newCommitter(cp Checkpoint, fail func(error)) *committer {
	return &committer{cp: cp, fail: fail, wake: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{})}
}

// mark has a change committed after bytes were written to after. It does not wait.
func (c *committer) mark(after syncer, bytes int64, add func(*checkpoint.Batch)) {
	c.push(change{after: after, add: add}, bytes, groupDelay)
}

// do has a change committed without waiting for it.
func (c *committer) do(add func(*checkpoint.Batch)) { c.mark(nil, 0, add) }

// wait syncs, commits a change along with all earlier ones, and waits.
func (c *committer) wait(after syncer, add func(*checkpoint.Batch)) error {
	done := make(chan error, 1)
	c.push(change{after: after, add: add, done: done}, 0, waitersDelay)
	return <-done
}

func (c *committer) push(ch change, bytes int64, delay time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if due := now.Add(delay); len(c.pending) == 0 || due.Before(c.due) {
		c.due = due
	}
	c.pending = append(c.pending, ch)
	if c.bytes += bytes; c.bytes >= groupBytes {
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
	return group, 0
}

// commit syncs everything that the group was written to, and then commits
// those changes whose sync has succeeded. A failed sync is never repeated: what
// it concerns is not recorded, and will be fetched again.
func (c *committer) commit(group []change) {
	failed := syncAll(group)
	var b checkpoint.Batch
	for _, ch := range group {
		if failed[ch.after] == nil {
			ch.add(&b)
		}
	}
	err := c.cp.Commit(&b)
	if err != nil {
		err = fmt.Errorf("record progress: %w", err)
	}
	waited := false
	for _, ch := range group {
		if ch.done != nil {
			ch.done <- errors.Join(failed[ch.after], err)
			waited = true
		}
	}
	if err != nil && !waited {
		c.fail(err)
	}
}

// syncAll syncs each file and folder of the group once.
func syncAll(group []change) map[syncer]error {
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(syncers)
	seen := make(map[syncer]bool)
	failed := make(map[syncer]error)
	for _, ch := range group {
		s := ch.after
		if s == nil || seen[s] {
			continue
		}
		seen[s] = true
		g.Go(func() error {
			if err := s.sync(); err != nil {
				mu.Lock()
				failed[s] = fmt.Errorf("sync: %w", err)
				mu.Unlock()
			}
			return nil
		})
	}
	_ = g.Wait() // each error is in failed
	return failed
}
