package scheduler

import "time"

// state is how far a file has come.
type state uint8

const (
	queued   state = iota
	starting       // Start was given, Ready has not come
	running
	paused // Refresh was given, Resume has not come
	gone   // complete, given up or aborted
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

	// Of an active file: its number, from 1, in order of start, and those that
	// started just before and after it.
	started      uint64
	older, newer *file
	track        *track // of its route
	node                // among the ready ones of the track

	// pending are parts that may be sent now, the first by number at the top, so
	// that files fill from the front and the hash behind them keeps up. Those
	// that a retry holds back are in Core.delayed, so many of them.
	pending pile[*part, byNumber]
	delayed int
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
	place     place
	at        int // in the pile that place says
	// flying are the attempts that are not answered, in order of sending: at
	// most 2, the others nil.
	flying   [2]*attempt
	accepted bool
	trouble  int // failures of kind Trouble
	bad      int // failures of kind BadAnswer
	overdue  int // deadlines missed: each doubles the next one
	lastConn int // connection of the last attempt, -1 at first
}

// place says in which pile a part is.
type place uint8

const (
	nowhere place = iota
	pending       // of its file
	delayed       // of the Core
)

// byNumber is the order in which the parts of a file are sent.
type byNumber struct{}

func (byNumber) before(a, b *part) bool { return a.N < b.N }
func (byNumber) moved(p *part, at int)  { p.at = at }

// byTime is the order in which delayed parts may be sent again.
type byTime struct{}

func (byTime) before(a, b *part) bool { return a.notBefore.Before(b.notBefore) }
func (byTime) moved(p *part, at int)  { p.at = at }

// requeue puts a part that is in no pile back among the pending ones.
func (c *Core) requeue(p *part) {
	p.file.pending.push(p)
	p.place = pending
	c.offer(p.file)
}

// delay holds a part back that is in no pile.
func (c *Core) delay(p *part) {
	c.delayed.push(p)
	p.place = delayed
	p.file.delayed++
}

// unqueue takes a part out of the pile that it is in.
func (c *Core) unqueue(p *part) {
	switch p.place {
	case nowhere:
		return
	case pending:
		p.file.pending.remove(p.at)
		c.offer(p.file)
	case delayed:
		c.delayed.remove(p.at)
		p.file.delayed--
	}
	p.place = nowhere
}

// wakeDelayed moves the parts whose pause is over to the pending ones.
func (c *Core) wakeDelayed() {
	for len(c.delayed) > 0 && !c.delayed[0].notBefore.After(c.now) {
		p := c.delayed[0]
		c.unqueue(p)
		c.requeue(p)
	}
}

// A queue is the files of one pool and lane that wait for a slot, the next to
// start at the top. Files that were aborted while queued stay in it until they
// come to the top.
type queue struct {
	pool  Pool
	small bool
	files pile[waiter, byPriority]
	gone  int // aborted files still in files
}

// A waiter is a queued file, with what its place depends on: to look that up
// at the file costs more than all else when a hundred thousand are queued.
type waiter struct {
	priority int64
	seq      uint64
	file     *file
}

// byPriority is the order in which files start: by priority, and then by
// arrival.
type byPriority struct{}

func (byPriority) before(a, b waiter) bool {
	if a.priority != b.priority {
		return a.priority > b.priority
	}
	return a.seq < b.seq
}

func (byPriority) moved(waiter, int) {}

func (q *queue) len() int { return len(q.files) - q.gone }

// head is the next file that still exists, or nil.
func (q *queue) head() *file {
	for len(q.files) > 0 {
		if f := q.files[0].file; f.state == queued {
			return f
		}
		q.files.pop()
		q.gone--
	}
	return nil
}

func (f *file) waiter() waiter { return waiter{f.priority, f.seq, f} }

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
	c.queue(f.route.Pool(), f.small).files.push(f.waiter())
}

func (c *Core) ready(e Ready) {
	f := c.files[e.File]
	if f == nil || f.state != starting {
		return // aborted meanwhile
	}
	f.left = len(e.Parts)
	f.pending = make(pile[*part, byNumber], 0, len(e.Parts))
	parts := make([]part, len(e.Parts))
	for i, p := range e.Parts {
		parts[i] = part{Part: p, file: f, place: pending, lastConn: -1}
		f.pending.push(&parts[i])
	}
	c.become(f, running, f.route)
	c.completeIfDone(f)
}

func (c *Core) completeIfDone(f *file) {
	if f.left == 0 {
		c.leave(f)
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

// forget removes a file with parts that are not written, and cancels its
// attempts. Bytes being written stay held until Written.
func (c *Core) forget(f *file) {
	if f.state == queued {
		c.queue(f.route.Pool(), f.small).gone++
	}
	c.leave(f)
	for i := 0; f.delayed > 0; { // rare: it may look at all
		if p := c.delayed[i]; p.file == f {
			c.unqueue(p)
			i = 0 // others have taken new places
		} else {
			i++
		}
	}
	c.cancelWhere(func(a *attempt) bool { return a.part.file == f })
}

func (c *Core) resume(e Resume) {
	f := c.files[e.File]
	if f == nil || f.state != paused {
		return
	}
	f.epoch++
	route := f.route
	if e.Route != (Route{}) {
		route = e.Route
	}
	c.become(f, running, route)
	c.gate(route.Scope())
}
