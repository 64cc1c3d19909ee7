package scheduler

import "time"

// Limits are the user's own, over all DCs. Zero means none.
type Limits struct {
	Down, Up float64 // bytes a second
	Requests float64 // requests for parts a second
}

// A limit spends an allowance that fills at a rate. What is asked for may
// exceed it once: the debt is paid before the next.
type limit struct {
	rate float64 // a second; 0: no limit
	full time.Time
}

// burst is how much of an unused allowance is kept.
const burst = 250 * time.Millisecond

// ready is when the debt is paid.
func (l *limit) ready(now time.Time) time.Time {
	if l.rate <= 0 || !l.full.After(now) {
		return now
	}
	return l.full
}

func (l *limit) spend(now time.Time, n float64) {
	if l.rate <= 0 {
		return
	}
	if early := now.Add(-burst); l.full.Before(early) {
		l.full = early
	}
	l.full = l.full.Add(time.Duration(n / l.rate * float64(time.Second)))
}

// set changes the rate. A debt is paid at the new one.
func (l *limit) set(now time.Time, rate float64) {
	if debt := l.full.Sub(now); debt > 0 && rate > 0 && l.rate > 0 {
		l.full = now.Add(time.Duration(debt.Seconds() * l.rate / rate * float64(time.Second)))
	}
	l.rate = rate
}

// limits are those of a Core.
type limits struct{ down, up, requests limit }

func (l *limits) bytes(u Use) *limit {
	if u == Upload {
		return &l.up
	}
	return &l.down
}

// ready is when the user's limits let the next part of a use go.
func (l *limits) ready(now time.Time, u Use) time.Time {
	at := l.requests.ready(now)
	if b := l.bytes(u).ready(now); b.After(at) {
		return b
	}
	return at
}

// room is how large a part they let go now; below 0: none.
func (l *limits) room(now time.Time, u Use) int64 {
	if l.ready(now, u).After(now) {
		return -1
	}
	return noBound
}

func (l *limits) spend(now time.Time, u Use, size int64) {
	l.requests.spend(now, 1)
	l.bytes(u).spend(now, float64(size))
}

func (c *Core) setLimits(e SetLimits) {
	c.limits.down.set(c.now, e.Down)
	c.limits.up.set(c.now, e.Up)
	c.limits.requests.set(c.now, e.Requests)
}
