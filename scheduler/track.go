package scheduler

import "slices"

// A track is the active files of one route, counted and sorted so that an
// event costs the same however many there are.
type track struct {
	route   Route
	active  int   // started and not over
	running lanes // of them those whose parts are known and wanted
	ready   ready // of those the ones that have a part to send

	// What was found when it was last looked at, in bytes: how large a part gate,
	// limits and budget let go, and how large a part a connection has room for.
	// Below 0: none.
	free, conn int64
}

// lanes count files by lane: large ones, and small ones.
type lanes [2]int

func laneOf(small bool) int {
	if small {
		return 1
	}
	return 0
}

func (c *Core) track(r Route) *track {
	for _, t := range c.tracks {
		if t.route == r {
			return t
		}
	}
	t := &track{route: r}
	c.tracks = append(c.tracks, t)
	return t
}

// enter makes a queued file active: it is the newest.
func (c *Core) enter(f *file) {
	c.starts++
	f.started, f.older = c.starts, c.newest
	if f.older != nil {
		f.older.newer = f
	}
	c.newest = f
	c.become(f, starting, f.route)
}

// leave removes a file.
func (c *Core) leave(f *file) {
	delete(c.files, f.id)
	if f.state != queued {
		if f.newer != nil {
			f.newer.older = f.older
		} else {
			c.newest = f.older
		}
		if f.older != nil {
			f.older.newer = f.newer
		}
		f.older, f.newer = nil, nil
	}
	c.become(f, gone, f.route)
}

// become gives a file a state and a route. No other function does, so that
// the counts are right.
func (c *Core) become(f *file, s state, r Route) {
	c.count(f, -1)
	if f.track == nil || f.route != r {
		f.track = c.track(r)
	}
	f.state, f.route = s, r
	c.count(f, 1)
	c.offer(f)
}

// count adds a file to the counts, or takes it off with -1.
func (c *Core) count(f *file, n int) {
	lane := laneOf(f.small)
	switch f.state {
	case queued, gone:
		return
	case starting:
		c.starting[lane] += n
	case running:
		f.track.running[lane] += n
	case paused:
		c.paused[lane] += n
	}
	f.track.active += n
}

// offer sees to it that a file is among the ready ones of its track if, and
// only if, it has a part to send. It is called after whatever changes that.
func (c *Core) offer(f *file) {
	var want *ready
	head := int64(0)
	if f.state == running && len(f.pending) > 0 {
		want, head = &f.track.ready, f.pending[0].Size
	}
	if f.in == want && (want == nil || f.head == head) {
		return
	}
	if f.in != nil {
		f.in.remove(f)
	}
	if want != nil {
		want.put(f, head)
	}
}

// blocked reports whether nothing can be done for files of the route now. A
// pool that seems dead blocks all but one file, whose parts go on knocking.
func (c *Core) blocked(r Route) bool {
	p := c.pool(r.Pool())
	if !c.gate(r.Scope()).open(c.now) || !p.up(c.now) {
		return true
	}
	return p.dead() && slices.ContainsFunc(c.tracks, func(t *track) bool { return t.active > 0 && t.route.Pool() == p.id })
}

// slotFree reports whether one more file of the lane may start. Files that
// can do nothing do not count, but never more than maxIdle of them.
func (c *Core) slotFree(small bool) bool {
	lane, limit := laneOf(small), c.cfg.Transfers
	if small {
		limit = c.cfg.SmallTransfers
	}
	busy, idle := c.starting[lane], c.paused[lane]
	for _, t := range c.tracks {
		switch n := t.running[lane]; {
		case n == 0:
		case c.blocked(t.route):
			idle += n
		default:
			busy += n
		}
	}
	return busy < limit && idle < maxIdle*limit
}

// maxIdle bounds how many files, as a multiple of the slots, may be open and
// unable to go on.
const maxIdle = 16

// look finds out how large a part of the track may be sent.
func (c *Core) look(t *track) {
	t.free, t.conn = -1, -1
	if t.ready.root == nil {
		return
	}
	t.free = min(
		c.gate(t.route.Scope()).room(c.now, c.cfg.MaxWindow),
		c.limits.room(c.now, t.route.Use),
		c.room())
	if t.ready.root.least <= t.free { // else no connection is asked for room
		t.conn = c.pool(t.route.Pool()).room(c.now, c.cfg.ConnWindow)
	}
}
