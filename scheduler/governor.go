package scheduler

import (
	"math"
	"time"
)

// A governor learns how often the server lets one method be called at one DC,
// and keeps to it. It knows two sorts of limits:
//
//   - a rate, as token buckets and windows set it: then requests are paced;
//   - a number of requests at the same time: then no more are in flight.
//
// It starts without a limit and looks for one only when the server has asked
// to wait for the first time. What it does then:
//
//  1. A request that was refused while unusually many were in flight points to
//     a cap. The cap is tried, at full speed; another refusal in spite of it
//     refutes it.
//  2. Otherwise the rate is searched. What was let through between two
//     refusals, over the time between them, is a rate that is certainly
//     permitted, and as a rule all that is: the server's allowance was used up
//     at both ends. A pace that survives a trial is raised, one that does not
//     is the upper bound of the next.
//  3. Once known to a few percent the rate is held for minutes. Then a little
//     more is tried; each time in vain the next trial is put off three times
//     as long, up to an hour.
//
// Not all waits come of a limit: see doubt. And runs end before a limit is
// known: see Standing.
//
// A governor never sends inside a wait, whatever it believes of the rate.
// Times are those of sending: the server counts requests, not answers.
type governor struct {
	until time.Time // end of the present or last wait
	told  time.Time // the end that was told last
	// cut is the number of the last request that was sent before the last
	// refusal was known. Refusals of older requests are of the same volley
	// and teach nothing.
	cut uint64

	phase phase
	pace  float64   // requests a second; 0: no limit is known
	next  time.Time // when the pace lets the next request go
	low   float64   // a rate that has survived its trial; 0: none
	high  float64   // a pace that was refused; 0: none
	hold  time.Duration
	step  float64 // by how much a probe exceeds low
	base  float64 // low when probing began
	// aged is for how long the present trial had gone on, without a refusal,
	// when it was recalled from an earlier run.
	aged time.Duration
	// recalled says that the limit is from an earlier run. Before this one
	// something may have been saved up, in which a probe survives.
	recalled bool
	idle     time.Time // when it was recalled, until the first request; or zero

	cap      int // requests in flight; 0: no limit is known
	capPhase capPhase
	capFloor int // so many have been let through at once
	capHold  time.Duration
	capSince mark

	begun    mark // the first request since the last wait; zero before it
	carry    span // what earlier runs have let through since the last wait
	trial    mark // where the present pace began to count
	levels   [maxLevel + 1]uint32
	refusals []refusal // the last few
	passed   float64   // requests let through up to the last of them
	spans    []span    // that ended with them
	savings  float64   // requests that may be saved up in quiet times: the fewest of a span
	strikes  int       // refusals of a rate that was being held, one soon after the other
	windowed bool      // the server counts in windows
	streak   int       // trials in a row that have gone well
	// hunch says that the search began after so few requests that they tell
	// next to nothing of the limit, and that it has met no refusal since.
	hunch bool

	lessons int     // refusals that have been blamed on a rate
	odd     int     // those among them that no rate explains
	pause   float64 // seconds in which nothing could be sent: the last wait, and between runs since
	peaks   []peak  // the last few
	sure    float64 // the greatest rate of a span, waits included: no more than the limit, if there is one
	doubt   doubt
}

// A mark is a request: when it was sent, and its number in its scope.
type mark struct {
	at  time.Time
	seq uint64
}

// A refusal is a request that had to wait, with how many had been let through
// in all before it.
type refusal struct {
	at     time.Time
	passed float64
}

// A span is a stretch from the end of one wait to the end of the next.
type span struct {
	active  float64 // seconds until the refusal
	seconds float64 // in all
	n       float64 // requests let through
	even    bool    // at one pace, and after an earlier refusal
}

func (s span) rate() float64 { return s.n / s.seconds }

// A phase is what the governor does about the rate.
type phase uint8

const (
	free      phase = iota // no limit known
	searching              // between low and high
	holding                // at low
	probing                // a little above low
	doubting               // without a pace, to see whether low deserves to be kept
	unruled                // waits come, but no rate explains them
)

// A capPhase is what the governor believes of a cap.
type capPhase uint8

const (
	capUnknown capPhase = iota
	capTrying           // a refusal pointed to it
	capProven           // it has kept refusals away
	capProbing          // one more is tried
	capRefuted          // refusals came in spite of it: it is a rate
)

const (
	maxLevel   = 128 // requests in flight that are told apart
	remembered = 8   // refusals

	minTrial     = 4 * time.Second
	maxTrial     = 3 * time.Minute
	firstHold    = 3 * time.Minute
	longestHold  = time.Hour
	holdFactor   = 3
	firstStep    = 0.03
	finestStep   = 0.004
	capTrial     = 10 * time.Second
	mostMore     = 0.5   // share by which a pace is raised at most
	hunchMore    = 1     // share by which one is raised that began with a hunch
	growth       = 1.5   // of a pace that has survived, while no bound is near
	caution      = 0.995 // share of a measured rate that is used
	closeEnough  = 1.03  // high / low at which the search ends
	paceSlack    = 100 * time.Millisecond
	fullUse      = 0.93 // share of the pace that must be used for a trial to count
	enoughToTell = 8    // requests between two refusals that make a rate
	farProbe     = 2    // over a recalled rate: what was tried there has had more than was saved up
	maxStrikes   = 3
	// refusals after which a recalled rate that is refused again is lowered to
	// one that no limit can refuse, to see whether there is a limit.
	enoughLessons = 4
	roundedUp     = 1.3  // seconds by which a wait may last too long, with the way of the answer
	lowest        = 0.6  // share of a pace that was held below which no estimate is believed
	precise       = 0.03 // share by which a measured rate may be off to be held
)

// ready is when the next request may go as far as the pace and the waits are
// concerned: now, or a later moment.
func (g *governor) ready(now time.Time) time.Time {
	at := now
	if g.until.After(at) {
		at = g.until
	}
	if g.pace > 0 && g.next.After(at) {
		at = g.next
	}
	return at
}

// admits reports whether one more request may be in flight beside so many.
func (g *governor) admits(inFlight int) bool { return g.cap == 0 || inFlight < g.cap }

// above is how many requests since the last wait were sent at a level (requests
// in flight, with the new one) of at least so much.
func (g *governor) above(level int) (n uint32) {
	for _, l := range g.levels[min(level, maxLevel):] {
		n += l
	}
	return n
}

// sent notes a request, and returns how many were sent at its level before.
func (g *governor) sent(m mark, level int) (above uint32) {
	if g.begun.at.IsZero() {
		g.begun, g.trial, g.capSince = m, m, m
		g.rest(m.at)
		clear(g.levels[:])
	}
	above = g.above(level)
	g.levels[min(level, maxLevel)]++
	if g.pace > 0 {
		if early := m.at.Add(-paceSlack); g.next.Before(early) {
			g.next = early
		}
		g.next = g.next.Add(time.Duration(float64(time.Second) / g.pace))
		g.judgePace(m)
	}
	if g.cap > 0 {
		g.judgeCap(m)
	}
	return above
}

// judgePace ends a trial that has gone well.
func (g *governor) judgePace(m mark) {
	if !g.survived(m) {
		return
	}
	used := float64(m.seq-g.trial.seq) / m.at.Sub(g.trial.at).Seconds()
	if g.phase == holding {
		g.heldThrough(m)
		return
	}
	if used < fullUse*g.pace { // too few requests to learn from
		g.try(m)
		return
	}
	g.low = max(g.low, g.pace)
	if g.phase == probing {
		if g.step < firstStep { // between what is permitted and what is not
			g.settle(g.low)
			g.try(m)
			return
		}
		g.step *= 2
		g.probe(m)
		return
	}
	g.search(m)
}

// heldThrough goes on when a rate has been held for as long as planned: with a
// little more, or with doubt, if it is a recalled one that is doubtful.
func (g *governor) heldThrough(m mark) {
	if g.odd > 0 && g.aged > 0 {
		g.suspect(true)
		g.try(m)
		return
	}
	g.phase, g.step, g.strikes, g.base = probing, g.firstProbe(), 0, g.low
	g.probe(m)
}

// survived reports whether the present pace has had its trial: as many
// requests as had brought the last refusal, and enough to use up what may have
// been saved up before.
func (g *governor) survived(m mark) bool {
	elapsed, n := m.at.Sub(g.trial.at), float64(m.seq-g.trial.seq)
	switch {
	case g.phase == holding:
		return elapsed+g.aged >= g.hold
	case elapsed < minTrial:
		return false
	case elapsed+g.aged >= maxTrial, g.phase == probing && g.step > firstStep && elapsed+g.aged >= maxTrial/12:
		return true
	case g.hunch:
		return true
	case g.phase == probing:
		return elapsed >= 8*minTrial && n*(1-g.low/g.pace) > 1.5*g.savings
	default:
		return n >= 1.2*g.savings
	}
}

// firstProbe is the step with which probing begins. If a pace not far above was
// refused before, what is between is tried.
func (g *governor) firstProbe() float64 {
	if middle := math.Sqrt(g.high/g.low) - 1; middle > finestStep {
		return min(middle, firstStep)
	}
	return firstStep
}

// probe tries a little more than what is known to be permitted.
func (g *governor) probe(m mark) {
	if g.high > 0 && g.low >= g.high {
		g.high = 0 // the limit is not where it was
		g.hold = firstHold
	}
	g.setPace(g.low*(1+g.step), m)
}

// search goes on between low, which has survived, and high.
func (g *governor) search(m mark) {
	// The longer the trial took, the nearer the pace is to what is permitted:
	// an excess would have shown. But with each trial that goes well that is
	// believed less.
	more := growth * math.Exp2(float64(g.streak)) / m.at.Sub(g.trial.at).Seconds()
	g.streak++
	next := g.low * (1 + min(more, mostMore))
	if g.hunch {
		next = g.low * (1 + hunchMore)
		if next >= g.high {
			g.high = 0 // so little is no bound
		}
	}
	if g.high > 0 {
		if g.high < closeEnough*g.low {
			g.settle(g.low)
			g.try(m)
			return
		}
		next = min(next, math.Sqrt(g.low*g.high))
	}
	g.phase = searching
	g.setPace(next, m)
}

func (g *governor) setPace(rate float64, m mark) {
	g.pace = rate
	g.try(m)
}

// try has the trial of the present pace begin with a request.
func (g *governor) try(m mark) { g.trial, g.aged = m, 0 }

// refused takes in that the server asked to wait until a moment, at a request
// that was sent at a level, above so many at that level before it. last is
// the number of the last request sent. It reports whether that was news.
func (g *governor) refused(m mark, level int, above uint32, until time.Time, last uint64) bool {
	if until.After(g.until) {
		g.until = until
	}
	if m.seq <= g.cut {
		return false
	}
	g.cut, g.streak = last, 0
	if g.begun.at.IsZero() {
		g.begun = m
	}
	s := span{
		active: m.at.Sub(g.begun.at).Seconds(), seconds: g.until.Sub(g.begun.at).Seconds(),
		n: float64(m.seq - g.begun.seq), even: g.trial == g.begun && len(g.spans) > 0,
	}
	s.active, s.seconds, s.n = s.active+g.carry.active, s.seconds+g.carry.seconds, s.n+g.carry.n
	g.passed += s.n
	if !g.blameCap(level, above, s) {
		g.blameRate(m, s)
	}
	g.refusals = keepLast(append(g.refusals, refusal{m.at, g.passed}))
	g.spans = keepLast(append(g.spans, s))
	g.pause, g.carry = g.until.Sub(m.at).Seconds(), span{}
	g.begun, g.next, g.aged = mark{}, g.until, 0
	return true
}

func keepLast[T any](list []T) []T { return list[max(0, len(list)-remembered):] }

// blameRate lowers the pace after a refusal, as far as what is known demands.
func (g *governor) blameRate(m mark, s span) {
	at := g.pace
	if at == 0 {
		at = max(s.n, 1) / max(s.active, 1e-3)
	}
	if g.savings == 0 || s.n < g.savings {
		g.savings = max(s.n, 1)
	}
	firm := max(g.firm(m.at), g.earned(s))
	g.lessons++
	if g.hunch {
		g.hunch, g.low = false, 0 // its trials were too short to prove anything
	}
	if g.isOdd(s) {
		g.odd++
	}
	switch {
	case g.phase == doubting:
		g.compare(at, s)
		return
	case g.phase == unruled:
		g.watch(at, s)
		return
	case g.phase == probing:
		g.endProbe(at)
	case g.phase == holding:
		g.ease(m, at, s)
	case g.phase == free && s.n < enoughToTell && len(g.refusals) == 0: // too few to learn from
	case firm == 0:
		g.begin(at, s)
	default:
		g.narrow(at, firm, s)
	}
	if g.odd >= maxOdd && g.phase != free {
		g.suspect(false)
	}
}

// endProbe takes in that a probe was refused: as a rule at its first step,
// and then the next one is put off. Otherwise the limit is somewhere between
// the last steps.
func (g *governor) endProbe(at float64) {
	g.high = at
	if g.recalled && at < farProbe*g.base {
		g.low = g.base // what has survived since may have been saved up between the runs
	} else if at > closeEnough*closeEnough*g.low {
		g.phase, g.hold = searching, firstHold
		g.pace = math.Sqrt(g.low * g.high)
		return
	}
	g.hold = min(g.hold*holdFactor, longestHold)
	g.settle(g.low)
}

// begin starts the search after a refusal with nothing to compare it with.
func (g *governor) begin(at float64, s span) {
	g.refusals, g.spans, g.strikes, g.windowed, g.savings = nil, nil, 0, false, max(s.n, 1)
	g.phase, g.low, g.high, g.hold = searching, 0, at, firstHold
	g.pace = min(caution*max(s.rate(), 1/s.seconds), 0.9*at)
	g.hunch = s.n < enoughToTell
}

// ease lowers a rate that was held and yet refused: it was a little too high,
// or the limit is lower than it was.
func (g *governor) ease(m mark, at float64, s span) {
	g.high = at
	if least, most := g.window(s); least > 0 && least < at {
		g.between(least, min(most, at))
		return
	}
	if r, _ := g.bucket(s); r > lowest*at && r < at {
		g.settle(caution * r)
		return
	}
	if g.strikes++; g.strikes > maxStrikes {
		g.begin(at, s)
		return
	}
	if len(g.refusals) > 0 {
		last := g.refusals[len(g.refusals)-1]
		n, seconds := g.passed-last.passed, m.at.Sub(last.at).Seconds()
		if firm := max(n/seconds, g.earned(s)); n >= enoughToTell && firm >= fullUse*at {
			g.settle(caution * min(firm, at))
			return
		}
	}
	lower := 0.96 * at
	if sure := g.sure; g.recalled && g.lessons >= enoughLessons && sure > lowest*at {
		lower = min(lower, below*caution*sure)
	}
	g.settle(lower)
}

// narrow draws the bounds of the search together after a refusal at a pace.
// firm is a rate that is certainly permitted.
func (g *governor) narrow(at, firm float64, s span) {
	g.high, g.hold = at, max(g.hold, firstHold)
	if least, most := g.window(s); least > 0 && least < at {
		g.between(max(least, firm), min(most, at))
		return
	}
	if r, off := g.bucket(s); r*(1+off) > firm && r*(1-off) < at {
		g.low, g.high = max(r*(1-off), firm), min(r*(1+off), at)
		if off < precise {
			g.settle(caution * r)
			return
		}
	}
	survived := g.low > firm
	g.low = max(g.low, caution*firm)
	switch {
	case firm >= fullUse*at:
		g.settle(caution * firm)
	case g.high < closeEnough*g.low:
		g.settle(min(g.low, at))
	default:
		g.pace = math.Sqrt(g.low * g.high)
		if !survived {
			g.pace = min(g.pace, 1.15*g.low)
		}
	}
}

// earned is the rate at which a long span has let requests through beyond what
// can have been saved up when it began; 0 if it was too short to tell.
func (g *governor) earned(s span) float64 {
	if s.n < 10*g.savings || s.active < 3*(s.seconds-s.active) {
		return 0
	}
	return (s.n - g.savings) / s.active
}

// between goes on with new bounds, both of which are certain.
func (g *governor) between(low, high float64) {
	g.low, g.high = caution*low, high
	if high <= closeEnough*low {
		g.settle(g.low)
		return
	}
	g.phase = searching
	g.pace = g.low * math.Cbrt(high/g.low)
}

// window looks whether the span and an earlier one have let through the same
// number of requests, although one used it up sooner: then that number is what
// the server gives in a window. The window is longer than it took to use that
// up, and ends with the wait at the latest; if both spans end so, with it. It
// returns the bounds of the rate; 0 if it is not so.
func (g *governor) window(s span) (least, most float64) {
	for _, o := range g.spans {
		n, more := max(s.n, o.n), math.Abs(s.n-o.n)
		longest, ends, apart := max(s.active, o.active), min(s.seconds, o.seconds), math.Abs(s.active-o.active)
		rate := n / ends
		if n < enoughToTell || more > max(1, 0.02*n) || apart < 0.1*ends || more > 0.5*rate*apart {
			continue
		}
		if max(s.seconds, o.seconds) < closeEnough*ends { // waits are in whole seconds, rounded up
			longest = max(longest, ends-roundedUp)
		}
		if least == 0 || n/longest < most {
			most = n / longest
		}
		least = max(least, rate)
		g.windowed = true
	}
	return least, max(least, most)
}

// bucket looks how much more was let through in a longer span than in a
// shorter one, both after waits of the same length. The difference is what
// was given in the time between, whatever both had begun with. It returns the
// rate and by what share that may be off; 0 if it cannot be told.
func (g *governor) bucket(s span) (rate, off float64) {
	for _, o := range g.spans {
		more, longer := s.n-o.n, s.active-o.active
		if g.windowed || !s.even || !o.even || math.Abs((s.seconds-s.active)-(o.seconds-o.active)) > 0.5 || more*longer <= 0 {
			continue
		}
		if e := 1.5 / math.Abs(more); e < 0.1 && (rate == 0 || e < off) {
			rate, off = more/longer, e
		}
	}
	return rate, off
}

// firm is the greatest rate that was let through between an earlier refusal
// and now; 0 if too little was to tell. At each refusal the allowance is used
// up, so what passes between two is what the server gives in that time, or
// less, if a long wait let some of it go to waste.
func (g *governor) firm(now time.Time) float64 {
	best := 0.0
	for _, r := range g.refusals {
		n, seconds := g.passed-r.passed, now.Sub(r.at).Seconds()
		if n >= enoughToTell && seconds > 0 {
			best = max(best, (n-0.5)/seconds)
		}
	}
	return best
}

// settle holds a rate.
func (g *governor) settle(rate float64) { g.phase, g.low, g.pace = holding, rate, rate }

// blameCap decides whether a refusal comes of too many requests at a time.
func (g *governor) blameCap(level int, above uint32, s span) bool {
	if n := int(s.n); n == level-1 { // none of them was answered by then
		g.capFloor = max(g.capFloor, n)
	}
	possible := level > g.capFloor && level >= 2
	switch g.capPhase {
	case capUnknown:
		if g.phase != free || !possible || 2*float64(above) > s.n {
			return false
		}
		g.cap, g.capPhase = level-1, capTrying
		return true
	case capTrying:
		if possible && above <= 1 {
			g.cap = level - 1
			return true
		}
	case capProbing:
		if level >= g.cap {
			g.cap--
			g.capPhase, g.capHold = capProven, min(holdFactor*g.capHold, longestHold)
			return true
		}
	case capProven, capRefuted:
	}
	g.cap, g.capPhase = 0, capRefuted
	return false
}

// judgeCap ends a trial of a cap that has gone well.
func (g *governor) judgeCap(m mark) {
	elapsed := m.at.Sub(g.capSince.at) + g.aged
	full := g.above(g.cap) >= uint32(4*g.cap)
	switch {
	case g.capPhase == capTrying && elapsed >= capTrial && full:
		g.capPhase, g.capHold, g.capSince, g.aged = capProven, firstHold, m, 0
	case g.capPhase == capProven && elapsed >= g.capHold:
		g.cap++
		g.capPhase, g.capSince, g.aged = capProbing, m, 0
	case g.capPhase == capProbing && elapsed >= capTrial && full:
		g.capPhase, g.capHold, g.capSince, g.aged = capProven, capTrial, m, 0
	}
}
