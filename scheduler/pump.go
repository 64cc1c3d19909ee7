package scheduler

import "slices"

// pump starts files and sends parts as long as anything may go. Each round
// gives every active file one part at most, so that a giant and a dwarf get
// the same share.
func (c *Core) pump() {
	for _, f := range c.active {
		f.wakeDelayed(c.now)
	}
	for c.startFile() {
	}
	for c.round() {
	}
}

// round offers each active file one part and reports whether any was sent.
func (c *Core) round() bool {
	n := len(c.active)
	sent, first := false, c.cursor
	for i := range n {
		at := (first + i) % n
		if c.sendNext(c.active[at]) {
			sent = true
			c.cursor = (at + 1) % n
		}
	}
	return sent
}

// sendNext sends the file's first pending part, if everything allows it.
func (c *Core) sendNext(f *file) bool {
	if f.state != running || len(f.pending) == 0 {
		return false
	}
	p := f.pending[0]
	if !c.gate(f.route.Scope()).admits(c.now, p.Size, c.cfg.MaxWindow) || c.limits.ready(c.now, f.route.Use).After(c.now) {
		return false
	}
	if c.held > 0 && c.held+p.Size > c.cfg.Budget {
		return false
	}
	avoid := -1
	if p.flying > 0 || p.bad > 0 || p.trouble > 0 {
		avoid = p.lastConn
	}
	pl := c.pool(f.route.Pool())
	conn := pl.pick(c.now, p.Size, c.cfg.ConnWindow, avoid)
	if conn < 0 {
		pl.crowd.full = true
		return false
	}
	f.pending = slices.Delete(f.pending, 0, 1)
	c.send(p, conn)
	return true
}

// blocked reports whether nothing can be done for files of the route now. A
// pool that seems dead blocks all but one file, whose parts go on knocking.
func (c *Core) blocked(r Route) bool {
	p := c.pool(r.Pool())
	if !c.gate(r.Scope()).open(c.now) || !p.up(c.now) {
		return true
	}
	return p.dead() && slices.ContainsFunc(c.active, func(f *file) bool { return f.route.Pool() == p.id })
}

// startFile starts the first file, by priority and arrival, among those that
// could do something, if its lane has a free slot.
func (c *Core) startFile() bool {
	var best *file
	var from *queue
	for _, q := range c.queues {
		f := q.head(c)
		if f == nil || (best != nil && best.before(f)) {
			continue
		}
		if c.blocked(f.route) || !c.slotFree(q.small) {
			continue
		}
		best, from = f, q
	}
	if best == nil {
		return false
	}
	from.pop()
	best.state = starting
	c.active = append(c.active, best)
	c.out = append(c.out, Start{File: best.id})
	return true
}

// slotFree reports whether one more file of the lane may start. Files that
// can do nothing do not count, but never more than maxIdle of them.
func (c *Core) slotFree(small bool) bool {
	limit := c.cfg.Transfers
	if small {
		limit = c.cfg.SmallTransfers
	}
	busy, idle := 0, 0
	// Most files have the route of the one before them: it is asked once.
	var route Route
	blocked, asked := false, false
	for _, f := range c.active {
		if f.small == small && f.state == running && (!asked || f.route != route) {
			route, blocked, asked = f.route, c.blocked(f.route), true
		}
		switch {
		case f.small != small:
		case f.state == paused || (f.state == running && blocked):
			idle++
		default:
			busy++
		}
	}
	return busy < limit && idle < maxIdle*limit
}

// maxIdle bounds how many files, as a multiple of the slots, may be open and
// unable to go on.
const maxIdle = 16
