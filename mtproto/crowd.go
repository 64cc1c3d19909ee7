package mtproto

import (
	"context"
	"sync"
	"time"
)

// A Crowd is shared by the sessions with one DC, so that together they do not
// connect too often. Transport error -429 concerns the address that the
// connections come from, not one of them: after it, whichever session wants to
// connect takes its turn. The zero value is ready. It may be used concurrently.
type Crowd struct {
	mu    sync.Mutex
	until time.Time   // turns are taken until then
	turns []time.Time // of the last connections, the newest last
}

// crowdMemory is how long after the last -429 turns are taken.
const crowdMemory = 2 * time.Minute

// crowdRules say how many connections may be made within which time after a
// -429: what the reference client keeps to.
var crowdRules = [...]struct {
	n      int
	within time.Duration
}{{1, time.Second}, {2, 4 * time.Second}, {3, 8 * time.Second}}

// refused notes a -429.
func (c *Crowd) refused(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = now.Add(crowdMemory)
}

// wait waits for the turn of a connection.
func (c *Crowd) wait(ctx context.Context) error {
	for {
		left := c.take(time.Now())
		if left <= 0 {
			return nil
		}
		t := time.NewTimer(left)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
}

// take takes a turn and returns 0, or says how long there is none.
func (c *Crowd) take(now time.Time) (left time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Before(c.until) {
		for _, r := range crowdRules {
			if n := len(c.turns); n >= r.n {
				left = max(left, c.turns[n-r.n].Add(r.within).Sub(now))
			}
		}
	}
	if left <= 0 {
		const longest = 3 // what the rules look back to
		c.turns = append(c.turns[max(0, len(c.turns)-longest+1):], now)
	}
	return left
}
