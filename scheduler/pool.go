package scheduler

import (
	"slices"
	"time"
)

// A pool is the connections to one DC for one use. It begins with few and
// takes more as long as more deliver more.
type pool struct {
	id    Pool
	conns []conn // those from use on are not used at present
	use   int
	// srtt and rttvar are the smoothed answer time and its deviation, as
	// TCP keeps them (RFC 6298). Zero before the first answer.
	srtt, rttvar time.Duration
	// stalled is how many deadlines have passed since the last answer.
	stalled    int
	answeredAt time.Time // the last answer
	delivered  int64     // bytes of all answers
	crowd      crowd
}

// A conn is one connection of a pool.
type conn struct {
	flow
	inFlight   int64     // bytes requested and neither answered nor overdue
	downUntil  time.Time // rests until then, after it was lost
	lost       int       // losses in a row
	stalled    int       // deadlines missed since its last answer
	answeredAt time.Time
}

func (c *Core) pool(id Pool) *pool {
	for _, p := range c.pools {
		if p.id == id {
			return p
		}
	}
	p := &pool{id: id, conns: make([]conn, c.cfg.Connections), use: min(max(c.cfg.Connections/4, startConnections), c.cfg.Connections)}
	c.pools = append(c.pools, p)
	return p
}

// room is how large a part some connection has room for; below 0: none.
func (p *pool) room(now time.Time, most int64) int64 {
	best := int64(-1)
	for i := range p.conns[:p.use] {
		k := &p.conns[i]
		switch {
		case k.downUntil.After(now):
		case k.inFlight == 0:
			return noBound
		default:
			best = max(best, k.window(most)-k.inFlight)
		}
	}
	return best
}

// pick is the connection with the fewest bytes in flight that has room, the
// first of equals; -1 if none has. It avoids one connection if it can.
func (p *pool) pick(now time.Time, size, most int64, avoid int) int {
	best, bestLoad := -1, int64(0)
	for i := range p.conns[:p.use] {
		k := &p.conns[i]
		if k.downUntil.After(now) || (k.inFlight > 0 && k.inFlight+size > k.window(most)) {
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
	return slices.ContainsFunc(p.conns[:p.use], func(k conn) bool { return !k.downUntil.After(now) })
}

// dead reports whether as many requests as there are connections have stalled
// since the last answer.
func (p *pool) dead() bool { return p.stalled >= p.use }

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

func (p *pool) sent(a *attempt) {
	k := &p.conns[a.conn]
	a.flow = k.begin(a.sent, k.inFlight == 0)
	k.inFlight += a.part.Size
}

func (p *pool) answered(a *attempt, now time.Time) {
	k := &p.conns[a.conn]
	p.stalled, k.stalled, k.lost = 0, 0, 0
	p.answeredAt, k.answeredAt = now, now
	p.delivered += a.part.Size
	rtt := max(now.Sub(a.sent), time.Microsecond)
	k.deliver(a.flow, now, rtt, a.part.Size)
	if p.srtt == 0 {
		p.srtt, p.rttvar = rtt, rtt/2
		return
	}
	p.rttvar = (3*p.rttvar + (p.srtt - rtt).Abs()) / 4
	p.srtt = (7*p.srtt + rtt) / 8
}

// connLost rests a connection and puts all parts on it back.
func (c *Core) connLost(pl *pool, conn int) {
	k := &pl.conns[conn]
	k.lost++
	k.stalled = 0
	k.flow = flow{}
	k.downUntil = c.now.Add(c.backoff(k.lost))
	parts := c.cancelWhere(func(o *attempt) bool {
		return o.route.Pool() == pl.id && o.conn == conn
	})
	for _, p := range parts {
		c.retry(p, 0)
	}
}

// connStalled notes a missed deadline. A connection that misses several while
// others of its pool answer is given up, and made anew.
func (c *Core) connStalled(pl *pool, conn int) {
	pl.stalled++
	k := &pl.conns[conn]
	k.stalled++
	alive := c.now.Sub(pl.answeredAt) < c.cfg.MinDeadline && k.answeredAt.Before(pl.answeredAt)
	if k.stalled >= maxStalled && alive {
		c.out = append(c.out, Disconnect{Pool: pl.id, Conn: conn})
		c.connLost(pl, conn)
	}
}

const (
	startConnections = 2 // that a pool begins with, or a quarter of what it may use
	maxStalled       = 2 // deadlines that a connection may miss in a row while others answer
)
