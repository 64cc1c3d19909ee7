package scheduler

import "time"

// A gate holds one scope: closed during a flood wait, and a window of bytes
// otherwise. The window behaves as TCP's does: after a wait it starts with one
// part, doubles with each round trip up to half of what it was before the
// wait, and then grows by one part a round trip.
type gate struct {
	scope Scope
	// until is the end of the present or last wait.
	until time.Time
	// inFlight is bytes requested and neither answered nor overdue.
	// Invariant: at most the window, or a single part.
	inFlight  int64
	window    int64
	threshold int64     // where doubling ends
	cut       time.Time // when the window was last cut
}

func (c *Core) gate(s Scope) *gate {
	for _, g := range c.gates {
		if g.scope == s {
			return g
		}
	}
	g := &gate{scope: s, window: c.cfg.Window, threshold: c.cfg.MaxWindow}
	c.gates = append(c.gates, g)
	return g
}

func (g *gate) open(now time.Time) bool { return !g.until.After(now) }

func (g *gate) fits(size int64) bool { return g.inFlight == 0 || g.inFlight+size <= g.window }

// answered widens the window after a good answer, if the window was what
// limited the traffic and the request is younger than the last cut.
func (g *gate) answered(a *attempt, cfg Config) {
	size := a.part.Size
	if a.sent.Before(g.cut) || g.inFlight+2*size < g.window {
		return
	}
	if g.window < g.threshold {
		g.window += size
	} else {
		g.window += max(size*size/max(g.window, 1), 1)
	}
	g.window = min(g.window, cfg.MaxWindow)
}

// flood closes the attempt's scope. One wait cuts the window once, however
// many requests of the same volley are refused.
func (c *Core) flood(a *attempt, why Failure) {
	g := c.gate(a.route.Scope())
	wait := max(why.Wait, time.Second)
	until := c.now.Add(wait + c.cfg.Margin)
	fresh := g.open(c.now)
	if fresh || until.Sub(g.until) >= time.Second {
		c.out = append(c.out, Wait{Scope: g.scope, For: wait, Until: until, Premium: why.Premium})
	}
	if until.After(g.until) {
		g.until = until
	}
	if !a.sent.Before(g.cut) {
		g.threshold = max(g.window/2, minWindow)
		g.window = min(g.threshold, max(a.part.Size, 1))
		g.cut = c.now
	}
}

func (c *Core) hold(e Hold) {
	if g := c.gate(e.Scope); e.Until.After(g.until) {
		g.until = e.Until
	}
}

// A pool is the connections to one DC for one use.
type pool struct {
	id    Pool
	conns []conn
	// srtt and rttvar are the smoothed answer time and its deviation, as
	// TCP keeps them (RFC 6298). Zero before the first answer.
	srtt, rttvar time.Duration
	// stalled is how many deadlines have passed since the last answer.
	stalled int
}

// A conn is one connection of a pool.
type conn struct {
	inFlight  int64     // bytes requested and neither answered nor overdue
	downUntil time.Time // rests until then, after it was lost
	lost      int       // losses in a row
}

func (c *Core) pool(id Pool) *pool {
	for _, p := range c.pools {
		if p.id == id {
			return p
		}
	}
	p := &pool{id: id, conns: make([]conn, c.cfg.Connections)}
	c.pools = append(c.pools, p)
	return p
}

// pick is the connection with the fewest bytes in flight that has room, the
// first of equals; -1 if none has. It avoids one connection if it can.
func (p *pool) pick(now time.Time, size, window int64, avoid int) int {
	best, bestLoad := -1, int64(0)
	for i := range p.conns {
		k := &p.conns[i]
		if k.downUntil.After(now) || (k.inFlight > 0 && k.inFlight+size > window) {
			continue
		}
		load := k.inFlight
		if i == avoid {
			load += 1 << 60 // the last resort
		}
		if best < 0 || load < bestLoad {
			best, bestLoad = i, load
		}
	}
	return best
}

// up reports whether some connection of the pool may be used.
func (p *pool) up(now time.Time) bool {
	for i := range p.conns {
		if !p.conns[i].downUntil.After(now) {
			return true
		}
	}
	return false
}

// dead reports whether as many requests as there are connections have stalled
// since the last answer.
func (p *pool) dead() bool { return p.stalled >= len(p.conns) }

// deadline is how long an answer may take: far beyond what is usual for the
// pool, and twice as long for each time that the part stalled before.
func (p *pool) deadline(cfg Config, stalled int) time.Duration {
	d := cfg.MaxDeadline / 2
	if p.srtt > 0 {
		d = 4 * (p.srtt + 4*p.rttvar)
	}
	d = max(d, cfg.MinDeadline) << min(stalled, 6)
	return min(d, cfg.MaxDeadline)
}

func (p *pool) answered(a *attempt, now time.Time) {
	p.stalled = 0
	p.conns[a.conn].lost = 0
	rtt := max(now.Sub(a.sent), time.Microsecond)
	if p.srtt == 0 {
		p.srtt, p.rttvar = rtt, rtt/2
		return
	}
	p.rttvar = (3*p.rttvar + (p.srtt - rtt).Abs()) / 4
	p.srtt = (7*p.srtt + rtt) / 8
}

// connLost rests the attempt's connection and puts all parts on it back.
func (c *Core) connLost(a *attempt) {
	pl := c.pool(a.route.Pool())
	k := &pl.conns[a.conn]
	k.lost++
	k.downUntil = c.now.Add(c.backoff(k.lost))
	parts := c.cancelWhere(func(o *attempt) bool {
		return o.route.Pool() == pl.id && o.conn == a.conn
	})
	for _, p := range parts {
		c.retry(p, 0)
	}
}
