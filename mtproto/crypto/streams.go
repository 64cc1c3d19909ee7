package crypto

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tghaul/haul/mtproto/internal/ige"
)

// streams are the hashes that wait for packets, or that workers have. It is
// the ige.Streams of a Sealer.
type streams struct {
	any     atomic.Bool // waiting is not empty: Take is called more often than there is anything
	mu      sync.Mutex
	waiting []*Hash // in the order in which they came
	out     []*Hash
}

// waits reports whether there is a stream to take. A nil q has none.
func (q *streams) waits() bool { return q != nil && q.any.Load() }

// all are the streams of q for package ige.
func (q *streams) all() ige.Streams {
	if q == nil {
		return nil
	}
	return q
}

// lend has h wait.
func (q *streams) lend(h *Hash) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.insert(len(q.waiting), h)
}

// takeBack gives h home if it waits, and reports whether it did.
func (q *streams) takeBack(h *Hash) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, h)
	if i < 0 {
		return false
	}
	q.remove(i)
	h.setPlace(home)
	return true
}

// Take implements ige.Streams: it gives out the one that has waited longest.
func (q *streams) Take() *ige.Stream {
	if !q.any.Load() {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return nil
	}
	h := q.waiting[0]
	q.remove(0)
	q.out = append(q.out, h)
	h.setPlace(out)
	return &h.stream
}

// Put implements ige.Streams: if there is more of the stream, it waits for the next
// packets before all others.
func (q *streams) Put(s *ige.Stream) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.IndexFunc(q.out, func(h *Hash) bool { return &h.stream == s })
	h := q.out[i]
	q.out = slices.Delete(q.out, i, i+1)
	if s.Turns() == 0 {
		h.setPlace(home)
		return
	}
	q.insert(0, h)
}

func (q *streams) insert(i int, h *Hash) {
	q.waiting = slices.Insert(q.waiting, i, h)
	q.any.Store(true)
	h.setPlace(lent)
}

func (q *streams) remove(i int) {
	q.waiting = slices.Delete(q.waiting, i, i+1)
	q.any.Store(len(q.waiting) > 0)
}
