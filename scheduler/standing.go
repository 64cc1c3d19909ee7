package scheduler

import "time"

// A Standing is how far the search for a limit has come. Runs may be shorter
// than any trial of a pace, so each goes on where the one before has ended.
// Whoever keeps it need not understand it; it is written as JSON. The zero value
// says nothing.
type Standing struct {
	Phase   string        `json:"phase,omitempty"`
	Low     float64       `json:"low,omitempty"`     // requests a second that have survived a trial
	High    float64       `json:"high,omitempty"`    // that were refused
	Savings float64       `json:"savings,omitempty"` // requests that may be saved up
	Step    float64       `json:"step,omitempty"`    // of a probe, as a share of Low
	Base    float64       `json:"base,omitempty"`    // Low when probing began
	Hold    time.Duration `json:"hold,omitempty"`    // ns until more is tried
	Held    time.Duration `json:"held,omitempty"`    // ns that the present trial has taken
	Lessons int           `json:"lessons,omitempty"` // refusals that were blamed on a rate
	Odd     int           `json:"odd,omitempty"`     // those that no rate explains
	Hunch   bool          `json:"hunch,omitempty"`   // too few requests had been let through to tell anything

	// What was let through since the last wait: the next refusal may come in a
	// later run.
	Passed  float64 `json:"passed,omitempty"`  // requests
	Active  float64 `json:"active,omitempty"`  // seconds in which they were sent
	Seconds float64 `json:"seconds,omitempty"` // the same, with the time between runs
	Pause   float64 `json:"pause,omitempty"`   // seconds of the wait, and between runs

	Sure  float64 `json:"sure,omitempty"` // requests a second from one wait to another, at most
	Peak  Peak    `json:"peak,omitzero"`
	Doubt Doubt   `json:"doubt,omitzero"`
}

// A Peak is a span between two waits that has let through many requests.
type Peak struct {
	Requests float64 `json:"requests"`
	Pace     float64 `json:"pace"`  // requests a second
	Pause    float64 `json:"pause"` // seconds
}

// A Doubt is what has been let through without a pace.
type Doubt struct {
	Requests float64 `json:"requests,omitempty"`
	Squares  float64 `json:"squares,omitempty"`
	Seconds  float64 `json:"seconds,omitempty"`
	Spans    int     `json:"spans,omitempty"`
	Brief    bool    `json:"brief,omitempty"`
	Skip     bool    `json:"skip,omitempty"`
}

var phaseNames = [...]string{
	free: "free", searching: "searching", holding: "holding", probing: "probing", doubting: "doubting", unruled: "unruled",
}

// rate is what requests are paced by as long as nothing more is tried.
func (g *governor) rate() float64 {
	if g.low > 0 {
		return g.low
	}
	return g.pace
}

// standing is what is to be kept after the request last, at that moment.
func (g *governor) standing(last mark) Standing {
	g.rest(last.at)
	d := g.doubt
	s := Standing{
		Phase: phaseNames[g.phase], Low: g.low, High: g.high, Savings: g.savings, Step: g.step, Base: g.base,
		Hold: g.hold, Held: g.aged, Lessons: g.lessons, Odd: g.odd, Hunch: g.hunch, Sure: g.sure,
		Passed: g.carry.n, Active: g.carry.active, Seconds: g.carry.seconds, Pause: g.pause,
		Doubt: Doubt{d.n, d.squares, d.seconds, d.spans, d.brief, d.skip},
	}
	for _, p := range g.peaks {
		if p.n > s.Peak.Requests && p.pace >= g.rate() {
			s.Peak = Peak{p.n, p.pace, p.pause}
		}
	}
	since := g.trial.at
	if g.cap > 0 {
		s.Hold, since = g.capHold, g.capSince.at
	}
	if !g.begun.at.IsZero() {
		active := last.at.Sub(g.begun.at).Seconds()
		s.Passed, s.Active, s.Seconds = s.Passed+float64(last.seq-g.begun.seq), s.Active+active, s.Seconds+active
		s.Held += last.at.Sub(since)
	}
	return s
}

// rest accounts for the time from a recall until now in which nothing was sent.
func (g *governor) rest(now time.Time) {
	if g.idle.IsZero() {
		return
	}
	idle := now.Sub(g.idle)
	g.aged += idle
	g.pause += idle.Seconds()
	g.carry.seconds += idle.Seconds()
	if g.idle = now; !g.begun.at.IsZero() {
		g.idle = time.Time{}
	}
}

// resume takes up at the time now what an earlier run has learned and noted so
// long ago.
func (g *governor) resume(now time.Time, l Learned, age time.Duration) {
	s := l.Standing
	g.low, g.high, g.savings, g.step, g.base = s.Low, s.High, s.Savings, s.Step, s.Base
	g.hold, g.aged, g.lessons, g.odd = max(s.Hold, firstHold), max(s.Held, 0)+age, s.Lessons, s.Odd
	g.recalled, g.idle, g.sure, g.hunch = true, now, s.Sure, s.Hunch
	if g.lessons > 0 {
		g.pause = s.Pause + age.Seconds()
	}
	if age <= longestGap && g.lessons > 0 {
		g.carry = span{n: s.Passed, active: s.Active, seconds: s.Seconds + age.Seconds()}
		g.refusals = []refusal{{at: now.Add(-time.Duration(g.carry.seconds * float64(time.Second)))}}
	}
	if s.Peak.Requests > 0 {
		g.peaks = []peak{{s.Peak.Requests, s.Peak.Pace, s.Peak.Pause}}
	}
	d := s.Doubt
	g.doubt = doubt{n: d.Requests, squares: d.Squares, seconds: d.Seconds, spans: d.Spans, brief: d.Brief, skip: d.Skip}
	if l.InFlight > 0 {
		g.cap, g.capPhase, g.capHold = l.InFlight, capProven, s.Hold
		if s.Hold <= 0 {
			g.capHold = firstHold
		}
	}
	g.resumePhase(l.Rate, s, age)
}

// resumePhase goes on with what was being done about the rate.
func (g *governor) resumePhase(rate float64, s Standing, age time.Duration) {
	switch {
	case s.Phase == phaseNames[unruled]:
		if g.aged < unruledLife {
			g.phase = unruled
		}
	case s.Phase == phaseNames[doubting]:
		g.phase = doubting
		g.doubt.skip = s.Doubt.Skip || age > longestGap
	case s.Phase == phaseNames[searching] && s.Lessons == 1 && g.aged >= firstHold:
		g.low, g.high = 0, 0 // one wait, and none since, makes no limit
	case s.Phase == phaseNames[searching] && rate > 0:
		g.phase, g.pace = searching, rate
	case s.Phase == phaseNames[probing] && s.Low > 0:
		g.phase, g.pace = probing, s.Low*(1+s.Step)
	case rate > 0:
		g.settle(rate)
	}
}
