package scheduler

import "math"

// noBound is room for a part of any size.
const noBound = math.MaxInt64

// pump starts files and sends parts as long as anything may go. The files take
// turns, in the order in which they started: in each round every one sends one
// part at most, so that a giant and a dwarf get the same share.
func (c *Core) pump() {
	c.wakeDelayed()
	for c.startFile() {
	}
	for {
		f := c.turn()
		if f == nil {
			break
		}
		c.sendNext(f)
	}
}

// turn is the file whose turn it is, of those whose next part may be sent; nil
// if there is none. A file whose part has no room loses its turn.
func (c *Core) turn() *file {
	for _, t := range c.tracks {
		c.look(t)
	}
	for _, from := range [...]uint64{c.cursor, 0} {
		var first *file
		to := uint64(math.MaxUint64)
		for _, t := range c.tracks {
			if f := t.ready.next(from, min(t.free, t.conn)); f != nil && f.started < to {
				first, to = f, f.started
			}
		}
		c.noteFull(from, to)
		if first != nil {
			return first
		}
	}
	return nil
}

// noteFull has the pools know for which a part waits only for room on a
// connection, of the files that lose their turns: those that started as from,
// or later, and before to.
func (c *Core) noteFull(from, to uint64) {
	for _, t := range c.tracks {
		if t.ready.root == nil || t.free <= t.conn || t.ready.root.least > t.free {
			continue
		}
		if p := c.pool(t.route.Pool()); !p.crowd.full {
			p.crowd.full = t.ready.some(from, to, t.conn, t.free)
		}
	}
}

// sendNext sends the file's first pending part, for which there is room. The
// next turn is that of the file that started after it.
func (c *Core) sendNext(f *file) {
	p := f.pending[0]
	avoid := -1
	if p.flying[0] != nil || p.bad > 0 || p.trouble > 0 {
		avoid = p.lastConn
	}
	conn := c.pool(f.route.Pool()).pick(c.now, p.Size, c.cfg.ConnWindow, avoid)
	c.unqueue(p)
	c.send(p, conn)
	c.cursor = f.started + 1
	if f == c.newest {
		c.cursor = 0 // files that start from now on come after the others
	}
}

// startFile starts the first file, by priority and arrival, among those that
// could do something, if its lane has a free slot.
func (c *Core) startFile() bool {
	var best *file
	var from *queue
	for _, q := range c.queues {
		f := q.head()
		if f == nil || best != nil && (byPriority{}).before(best.waiter(), f.waiter()) {
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
	from.files.pop()
	c.enter(best)
	c.out = append(c.out, Start{File: best.id})
	return true
}
