package scheduler

import "time"

// A crowd decides how many connections of a pool are used. While those in use
// are full it measures what they deliver, tries more, and keeps them only if
// they deliver more: a server that limits a connection is outdone by many, one
// that limits the account is not, and then they only cost.
type crowd struct {
	since     time.Time // the present measurement began; zero: none
	delivered int64     // of the pool by then
	full      bool      // a part has had to wait for room on a connection
	warming   time.Time // not zero: connections were added then, and have not all answered

	from   int     // connections before the present trial; 0: no trial
	before float64 // bytes a second that they delivered
	steady bool    // doubling is over
	next   time.Time
	pause  time.Duration // until the next trial, after one in vain
}

const (
	crowdInterval = 500 * time.Millisecond // of a measurement, at least
	crowdWarmUp   = 3 * time.Second
	crowdGain     = 0.25 // of the share that connections add, they must deliver
	crowdPause    = 20 * time.Second
	crowdMaxPause = 5 * time.Minute
)

// adapt is called after each event.
func (p *pool) adapt(now time.Time) {
	w := &p.crowd
	if !w.warming.IsZero() {
		if !p.warm(w.warming) && now.Sub(w.warming) < crowdWarmUp {
			return
		}
		w.warming = time.Time{}
		w.measure(now, p.delivered)
	}
	interval := max(crowdInterval, 2*p.srtt)
	if w.steady {
		interval *= 4
	}
	switch elapsed := now.Sub(w.since); {
	case w.since.IsZero() || elapsed > 2*interval:
		w.measure(now, p.delivered)
	case elapsed >= interval:
		rate := float64(p.delivered-w.delivered) / elapsed.Seconds()
		if w.full && p.stalled == 0 {
			p.judge(now, rate)
		}
		w.measure(now, p.delivered)
	}
}

// measure begins a measurement.
func (w *crowd) measure(now time.Time, delivered int64) {
	w.since, w.delivered, w.full = now, delivered, false
}

// warm reports whether all connections in use have answered since a moment,
// but for those that rest.
func (p *pool) warm(since time.Time) bool {
	for i := range p.conns[:p.use] {
		if k := &p.conns[i]; !k.answeredAt.After(since) && !k.downUntil.After(since) {
			return false
		}
	}
	return true
}

// judge decides by what the connections in use deliver.
func (p *pool) judge(now time.Time, rate float64) {
	w := &p.crowd
	if w.from > 0 {
		added := float64(p.use-w.from) / float64(w.from)
		if rate < w.before*(1+crowdGain*added) {
			p.use, w.from, w.steady = w.from, 0, true
			w.pause = min(max(2*w.pause, crowdPause), crowdMaxPause)
			w.next = now.Add(w.pause)
			return
		}
		w.from, w.pause = 0, 0
	}
	if p.use == len(p.conns) || now.Before(w.next) {
		return
	}
	w.from, w.before = p.use, rate
	if more := max(1, p.use/4); w.steady {
		p.use += more
	} else {
		p.use *= 2
	}
	p.use = min(p.use, len(p.conns))
	w.warming = now
}
