package scheduler

import "time"

// A gate is what one scope (DC and method) lets through: a governor for
// ordinary flood waits and one for those that Premium accounts do not get,
// since they are limits of different kinds, and a bound on the bytes in flight.
type gate struct {
	scope     Scope
	governors [2]governor // ordinary and Premium
	inFlight  int64       // bytes requested and neither answered nor overdue
	requests  int         // their number
	seq       uint64      // number of the last request sent
}

func (c *Core) gate(s Scope) *gate {
	for _, g := range c.gates {
		if g.scope == s {
			return g
		}
	}
	g := &gate{scope: s}
	c.gates = append(c.gates, g)
	return g
}

func kindOf(premium bool) int {
	if premium {
		return 1
	}
	return 0
}

// open reports whether no wait holds the scope.
func (g *gate) open(now time.Time) bool {
	return !g.governors[0].until.After(now) && !g.governors[1].until.After(now)
}

// ready is when the next request may go as far as waits and paces are concerned.
func (g *gate) ready(now time.Time) time.Time {
	at := g.governors[0].ready(now)
	if p := g.governors[1].ready(now); p.After(at) {
		return p
	}
	return at
}

// room is how large a part may be asked for now; below 0: none.
func (g *gate) room(now time.Time, window int64) int64 {
	switch {
	case g.ready(now).After(now) || !g.governors[0].admits(g.requests) || !g.governors[1].admits(g.requests):
		return -1
	case g.inFlight == 0:
		return noBound
	default:
		return window - g.inFlight
	}
}

// sent notes a request, and in it what a refusal will have to be judged by.
func (g *gate) sent(a *attempt) {
	g.seq++
	g.requests++
	g.inFlight += a.part.Size
	a.seq, a.level = g.seq, g.requests
	m := mark{a.sent, g.seq}
	for i := range g.governors {
		a.above[i] = g.governors[i].sent(m, a.level)
	}
}

// left takes a request out of those in flight.
func (g *gate) left(size int64) {
	g.requests--
	g.inFlight -= size
}

// flood closes the attempt's scope for as long as the server says.
func (c *Core) flood(a *attempt, why Failure) {
	g, kind := c.gate(a.route.Scope()), kindOf(why.Premium)
	wait := max(why.Wait, time.Second)
	until := c.now.Add(wait + c.cfg.Margin)
	gov := &g.governors[kind]
	tell := c.tells(g, gov, until)
	news := gov.refused(mark{a.sent, a.seq}, a.level, a.above[kind], until, g.seq)
	if tell {
		c.out = append(c.out, Wait{Scope: g.scope, For: wait, Until: until, Premium: why.Premium})
	}
	if news {
		c.out = append(c.out, Learn{g.learned(kind, c.now)})
	}
}

// tells reports whether a wait until a moment is worth telling: it is the
// first, or longer than what was told.
func (c *Core) tells(g *gate, gov *governor, until time.Time) bool {
	if !g.open(c.now) && until.Sub(gov.told) < WaitSlack {
		return false
	}
	gov.told = until
	return true
}

// stray closes a scope for a wait that came to an attempt which is not in
// flight any more. It teaches nothing of the limit, but it holds.
func (c *Core) stray(why Failure) {
	g := c.gate(why.Route.Scope())
	wait := max(why.Wait, time.Second)
	until := c.now.Add(wait + c.cfg.Margin)
	gov := &g.governors[kindOf(why.Premium)]
	if c.tells(g, gov, until) {
		c.out = append(c.out, Wait{Scope: g.scope, For: wait, Until: until, Premium: why.Premium})
	}
	if until.After(gov.until) {
		gov.until = until
	}
}

func (c *Core) hold(e Hold) {
	g := &c.gate(e.Scope).governors[kindOf(e.Premium)]
	if e.Until.After(g.until) {
		g.until = e.Until
	}
}

// Learned is what a governor has found out about a scope. The zero values of
// its limits mean that none is known, or none is believed any more.
type Learned struct {
	Scope    Scope
	Premium  bool
	Rate     float64  // requests a second
	InFlight int      // requests at the same time
	Standing Standing // for Recall
}

func (g *gate) learned(kind int, now time.Time) Learned {
	gov := &g.governors[kind]
	l := Learned{Scope: g.scope, Premium: kind == 1, InFlight: gov.cap, Standing: gov.standing(mark{now, g.seq})}
	if gov.pace > 0 {
		l.Rate = gov.rate()
	}
	if gov.phase == searching {
		l.Rate = gov.pace
	}
	return l
}

// Learned returns what is known of the limits of the scopes that have been used:
// of the others nothing has been learned since they were recalled.
func (c *Core) Learned() []Learned {
	var all []Learned
	for _, g := range c.gates {
		for kind := range g.governors {
			if gov := &g.governors[kind]; g.seq > 0 && (gov.phase != free || gov.cap > 0 || gov.lessons > 0) {
				all = append(all, g.learned(kind, c.now))
			}
		}
	}
	return all
}

// recall takes up what was learned in an earlier run.
func (c *Core) recall(e Recall) {
	c.gate(e.Scope).governors[kindOf(e.Premium)].resume(c.now, e.Learned, e.Age)
}
