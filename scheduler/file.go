package scheduler

import (
	"cmp"
	"container/heap"
	"slices"
	"time"
)

// state is how far a file has come.
type state uint8

const (
	queued   state = iota
	starting       // Start was given, Ready has not come
	running
	paused // Refresh was given, Resume has not come
)

// A file is one file that is neither complete nor given up.
type file struct {
	id       FileID
	seq      uint64
	priority int64
	route    Route
	small    bool
	state    state
	// epoch grows with each move and each refresh. A failure of an attempt
	// from an earlier epoch says nothing about the present one.
	epoch uint64

	// pending are parts that may be sent now, by number. delayed are those
	// that a retry holds back, in no order.
	pending []*part
	delayed []*part
	// left is how many parts are not written: pending, delayed, in flight
	// and being written. At 0 the file is complete.
	left int

	moves int // since a part was accepted
	stale int // refreshes since a part was accepted
}

// A part is one missing part of an active file.
type part struct {
	Part
	file      *file
	notBefore time.Time
	flying    int // attempts not answered: at most 2
	accepted  bool
	trouble   int // failures of kind Trouble
	bad       int // failures of kind BadAnswer
	overdue   int // deadlines missed: each doubles the next one
	lastConn  int // connection of the last attempt, -1 at first
}

// requeue puts a part back among the pending ones, in its place by number, so
// that files fill from the front and the hash behind them keeps up.
func (f *file) requeue(p *part) {
	i, _ := slices.BinarySearchFunc(f.pending, p, func(a, b *part) int { return cmp.Compare(a.N, b.N) })
	f.pending = slices.Insert(f.pending, i, p)
}

// wakeDelayed moves the parts whose pause is over to the pending ones.
func (f *file) wakeDelayed(now time.Time) {
	f.delayed = slices.DeleteFunc(f.delayed, func(p *part) bool {
		if p.notBefore.After(now) {
			return false
		}
		f.requeue(p)
		return true
	})
}

// A queue is the files of one pool and lane that wait for a slot: a heap, the
// next to start at the top. Files that were aborted while queued stay in it
// until they come to the top.
type queue struct {
	pool  Pool
	small bool
	files fileHeap
	gone  int // aborted files still in files
}

func (q *queue) len() int { return len(q.files) - q.gone }

// head is the next file that still exists, or nil.
func (q *queue) head(c *Core) *file {
	for len(q.files) > 0 {
		if f := q.files[0]; c.files[f.id] == f {
			return f
		}
		q.pop()
		q.gone--
	}
	return nil
}

func (q *queue) push(f *file) { heap.Push(&q.files, f) }
func (q *queue) pop()         { heap.Pop(&q.files) }

// before reports whether f starts before g: by priority, and then by arrival.
func (f *file) before(g *file) bool {
	if f.priority != g.priority {
		return f.priority > g.priority
	}
	return f.seq < g.seq
}

// A fileHeap implements heap.Interface.
type fileHeap []*file

func (h fileHeap) Len() int           { return len(h) }
func (h fileHeap) Less(i, j int) bool { return h[i].before(h[j]) }
func (h fileHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *fileHeap) Push(x any)        { *h = append(*h, x.(*file)) }
func (h *fileHeap) Pop() any {
	last := len(*h) - 1
	f := (*h)[last]
	(*h)[last] = nil // let it be collected
	*h = (*h)[:last]
	return f
}

func (c *Core) queue(p Pool, small bool) *queue {
	for _, q := range c.queues {
		if q.pool == p && q.small == small {
			return q
		}
	}
	q := &queue{pool: p, small: small}
	c.queues = append(c.queues, q)
	return q
}

func (c *Core) add(e Add) {
	if _, ok := c.files[e.File]; ok {
		panic("scheduler: file added twice")
	}
	f := &file{id: e.File, seq: c.seq, priority: e.Priority, route: e.Route, small: e.Size <= c.cfg.SmallSize}
	c.seq++
	c.files[f.id] = f
	c.queue(f.route.Pool(), f.small).push(f)
}

func (c *Core) ready(e Ready) {
	f := c.files[e.File]
	if f == nil || f.state != starting {
		return // aborted meanwhile
	}
	f.state = running
	f.left = len(e.Parts)
	f.pending = make([]*part, len(e.Parts))
	for i, p := range e.Parts {
		f.pending[i] = &part{Part: p, file: f, lastConn: -1}
	}
	slices.SortStableFunc(f.pending, func(a, b *part) int { return cmp.Compare(a.N, b.N) })
	c.completeIfDone(f)
}

func (c *Core) completeIfDone(f *file) {
	if f.left == 0 {
		c.forget(f)
		c.out = append(c.out, Complete{File: f.id})
	}
}

func (c *Core) abort(e Abort) {
	if f := c.files[e.File]; f != nil {
		c.forget(f)
	}
}

// giveUp ends a file that has failed for good.
func (c *Core) giveUp(p *part, err, otherwise error) {
	if err == nil {
		err = otherwise
	}
	c.forget(p.file)
	c.out = append(c.out, GiveUp{File: p.file.id, Part: p.N, Err: err})
}

// forget removes a file and cancels its attempts. Bytes being written stay
// held until Written.
func (c *Core) forget(f *file) {
	delete(c.files, f.id)
	if f.state == queued {
		c.queue(f.route.Pool(), f.small).gone++
		return
	}
	i := slices.Index(c.active, f)
	c.active = slices.Delete(c.active, i, i+1)
	if i < c.cursor {
		c.cursor--
	}
	c.cancelWhere(func(a *attempt) bool { return a.part.file == f })
}

func (c *Core) resume(e Resume) {
	f := c.files[e.File]
	if f == nil || f.state != paused {
		return
	}
	f.state = running
	f.epoch++
	if e.Route != (Route{}) {
		f.route = e.Route
	}
	c.gate(f.route.Scope())
}
