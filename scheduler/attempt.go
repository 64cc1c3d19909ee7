package scheduler

import (
	"cmp"
	"slices"
	"time"
)

// byDeadline is the order in which attempts become overdue.
type byDeadline struct{}

func (byDeadline) before(a, b *attempt) bool {
	if d := a.deadline.Compare(b.deadline); d != 0 {
		return d < 0
	}
	return a.id < b.id
}

func (byDeadline) moved(a *attempt, at int) { a.at = at }

// An attempt is one request for one part.
type attempt struct {
	id       AttemptID
	part     *part
	route    Route
	conn     int
	epoch    uint64 // of the file, at sending
	sent     time.Time
	deadline time.Time
	at       int // in Core.deadlines; -1: not there
	// overdue attempts have missed their deadline: the part is asked for
	// again, and they take nothing of windows and budget any more.
	overdue bool

	// What the gate and the connection were like at sending.
	seq   uint64
	level int
	above [2]uint32
	flow  flow

	// What the caller is told of it.
	send   Send
	accept Accept
}

// newAttempt is an attempt of which nothing is set.
func (c *Core) newAttempt() *attempt {
	n := len(c.spare)
	if n == 0 {
		return new(attempt)
	}
	a := c.spare[n-1]
	c.spare = c.spare[:n-1]
	return a
}

// reuse takes an attempt for other requests. Only those are that were written:
// nothing refers to them then.
func (c *Core) reuse(a *attempt) {
	*a = attempt{}
	c.spare = append(c.spare, a)
}

// send gives a part to a connection.
func (c *Core) send(p *part, conn int) {
	f := p.file
	g, pl := c.gate(f.route.Scope()), c.pool(f.route.Pool())
	a := c.newAttempt()
	*a = attempt{
		id: c.nextAttempt, part: p, route: f.route, conn: conn, epoch: f.epoch,
		sent: c.now, deadline: c.now.Add(pl.deadline(c.cfg, p.overdue)),
	}
	c.nextAttempt++
	c.flying = append(c.flying, a)
	c.deadlines.push(a)
	reissue := p.flying[0] != nil
	if reissue {
		p.flying[1] = a
	} else {
		p.flying[0] = a
	}
	p.lastConn = conn
	g.sent(a)
	pl.sent(a)
	c.limits.spend(c.now, f.route.Use, p.Size)
	c.held += p.Size
	a.send = Send{Attempt: a.id, File: f.id, Part: p.Part, Route: f.route, Conn: conn, Reissue: reissue}
	c.out = append(c.out, &a.send)
}

// take removes an attempt from those in flight and returns its bytes to the
// windows; nil if it is not in flight. The bytes stay held.
func (c *Core) take(id AttemptID) *attempt {
	i, ok := slices.BinarySearchFunc(c.flying, id, func(a *attempt, id AttemptID) int {
		return cmp.Compare(a.id, id)
	})
	if !ok {
		return nil
	}
	a := c.flying[i]
	c.flying = slices.Delete(c.flying, i, i+1)
	c.land(a)
	return a
}

// land parts an attempt from all but flying.
func (c *Core) land(a *attempt) {
	if p := a.part; p.flying[0] == a {
		p.flying = [2]*attempt{p.flying[1], nil}
	} else {
		p.flying[1] = nil
	}
	if a.at >= 0 {
		c.deadlines.remove(a.at)
	}
	c.leaveWindows(a)
}

// leaveWindows returns an attempt's bytes to its gate and connection, unless
// its deadline has done so already.
func (c *Core) leaveWindows(a *attempt) {
	if a.overdue {
		return
	}
	c.gate(a.route.Scope()).left(a.part.Size)
	c.pool(a.route.Pool()).conns[a.conn].inFlight -= a.part.Size
}

// unhold returns an attempt's bytes to the budget, unless its deadline has.
func (c *Core) unhold(a *attempt) {
	if !a.overdue {
		c.held -= a.part.Size
	}
}

// cancel cancels an attempt that is in flight.
func (c *Core) cancel(a *attempt) {
	c.take(a.id)
	c.unhold(a)
	c.out = append(c.out, Cancel{Attempt: a.id})
}

// cancelWhere cancels the attempts in flight for which cond holds. It looks
// at all: connections and files are lost rarely.
func (c *Core) cancelWhere(cond func(*attempt) bool) []*part {
	var parts []*part
	c.flying = slices.DeleteFunc(c.flying, func(a *attempt) bool {
		if !cond(a) {
			return false
		}
		c.land(a)
		c.unhold(a)
		parts = append(parts, a.part)
		c.out = append(c.out, Cancel{Attempt: a.id})
		return true
	})
	return parts
}

func (c *Core) answered(e Answered) {
	a := c.take(e.Attempt)
	if a == nil {
		c.out = append(c.out, Drop(e))
		return
	}
	pl, p := c.pool(a.route.Pool()), a.part
	pl.answered(a, c.now)
	if a.overdue { // late but first: its bytes are real now
		a.overdue = false
		c.held += p.Size
	}
	p.accepted = true
	p.file.moves, p.file.stale = 0, 0
	c.writing[a.id] = a
	a.accept = Accept(e)
	c.out = append(c.out, &a.accept)
	c.unqueue(p) // a stalled part may wait for its second sending
	for p.flying[0] != nil {
		c.cancel(p.flying[0])
	}
}

func (c *Core) written(e Written) {
	a := c.writing[e.Attempt]
	if a == nil {
		panic("scheduler: written, but never accepted")
	}
	delete(c.writing, e.Attempt)
	c.unhold(a)
	f := a.part.file
	f.left--
	if f.state != gone {
		c.completeIfDone(f)
	}
	c.reuse(a)
}

func (c *Core) failed(e Failed) {
	a := c.take(e.Attempt)
	if a == nil { // cancelled, or its file is gone: but a wait is a wait
		if e.Failure.Kind == Flood && e.Failure.Route != (Route{}) {
			c.stray(e.Failure)
		}
		return
	}
	c.unhold(a)
	p, f, why := a.part, a.part.file, e.Failure
	switch why.Kind {
	case Trouble:
		if p.trouble++; p.trouble > c.cfg.Attempts {
			c.giveUp(p, why.Err, ErrAttempts)
			return
		}
		c.retry(p, c.backoff(p.trouble))
		return
	case BadAnswer:
		if p.bad++; p.bad >= c.cfg.BadAnswers {
			c.giveUp(p, why.Err, ErrAttempts)
			return
		}
		c.retry(p, c.backoff(p.bad))
		return
	case Flood:
		c.flood(a, why)
	case ConnLost:
		c.connLost(c.pool(a.route.Pool()), a.conn)
	case Moved:
		if a.epoch == f.epoch {
			if f.moves++; f.moves > maxMoves {
				c.giveUp(p, why.Err, ErrMoves)
				return
			}
			c.become(f, f.state, why.Route)
			f.epoch++
		}
	case Stale:
		if a.epoch == f.epoch && f.state == running {
			if f.stale++; f.stale > maxStale {
				c.giveUp(p, why.Err, ErrStale)
				return
			}
			c.become(f, paused, f.route)
			c.out = append(c.out, Refresh{File: f.id})
		}
	case Again:
	}
	c.retry(p, 0)
}

// retry puts a part back to be sent after a pause, unless another attempt is
// expected to bring it. One that is overdue is not.
func (c *Core) retry(p *part, pause time.Duration) {
	if p.accepted || slices.ContainsFunc(p.flying[:], func(a *attempt) bool { return a != nil && !a.overdue }) {
		return
	}
	c.unqueue(p)
	if pause <= 0 {
		c.requeue(p)
		return
	}
	p.notBefore = c.now.Add(pause)
	c.delay(p)
}

// overdue looks after attempts that have missed their deadline: the part is
// queued again while the attempt may still win. With two attempts stalled the
// older one is cancelled.
func (c *Core) overdue() {
	var late []*attempt
	for len(c.deadlines) > 0 && !c.deadlines[0].deadline.After(c.now) {
		late = append(late, c.deadlines.pop())
	}
	slices.SortFunc(late, func(a, b *attempt) int { return cmp.Compare(a.id, b.id) })
	for _, a := range late {
		p := a.part
		if !slices.Contains(p.flying[:], a) {
			continue // cancelled on account of one before it
		}
		c.leaveWindows(a)
		c.unhold(a)
		a.overdue = true
		p.overdue++
		if p.flying[1] != nil {
			c.cancel(p.flying[0])
		}
		if p.place != pending {
			c.unqueue(p)
			c.requeue(p)
		}
		c.connStalled(c.pool(a.route.Pool()), a.conn)
	}
}
