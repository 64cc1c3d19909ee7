package scheduler

import (
	"math"
	"time"
)

// Not every wait comes of a limit. Servers in trouble make clients wait at
// random, and then every pace is refused sooner or later: a governor that
// believed each refusal would only get slower, and never find out that it need
// not. What tells the two apart is that under a rule a slower pace always gets
// more requests through before it is refused, or as many, and one that is slow
// enough is never refused. So refusals that come after far fewer requests than an
// earlier one, although the pace was no faster, are odd, and so are those of a
// pace slower than what got through before.
//
// After a few odd ones the governor doubts its rate. It sends without a pace
// and looks how much gets through, waits included, over several spans: no rule
// lets more through for that.
//
//   - If it is no more than at the rate in doubt, there is a limit, which lies
//     between that and what got through.
//   - If it is more, and about the same number after each wait, there is a
//     higher limit, which is searched from there.
//   - If it is more, and now much, now little, no rate explains the waits. They
//     are obeyed, and nothing else, until they come at regular numbers.
type doubt struct {
	n, seconds float64 // requests let through, and in which time
	squares    float64 // sum of the squares of the requests of each span
	spans      int
	// brief says that a refused rate has been recalled and has held since:
	// one span that is no better is enough to believe it again.
	brief bool
	skip  bool // more may have been saved up before the present span
}

const (
	maxOdd      = 3    // odd refusals until there is doubt
	fewer       = 0.6  // of the requests of an earlier span: that is odd
	noFaster    = 1.02 // than an earlier pace
	below       = 0.95 // of a rate that is sure
	doubtSpans  = 4    // that are compared
	doubtGain   = 1.1  // what has to get through, over the rate in doubt
	doubtSpread = 0.35 // spread of the requests of spans below which a rule gives them
	watchSpans  = 6    // the same, once no rate explains the waits
	watchSpread = 0.2

	unruledLife = time.Hour   // without a wait, until that is forgotten
	longestGap  = time.Minute // between two runs, for a span to reach over it
)

// add takes in a span.
func (d *doubt) add(s span) {
	d.n, d.seconds, d.squares, d.spans = d.n+s.n, d.seconds+s.seconds, d.squares+s.n*s.n, d.spans+1
}

// spread is how much the requests of the spans differ: their standard
// deviation over their mean.
func (d *doubt) spread() float64 {
	mean := d.n / float64(d.spans)
	if mean == 0 {
		return math.Inf(1)
	}
	return math.Sqrt(max(0, d.squares/float64(d.spans)-mean*mean)) / mean
}

// A peak is a span that no rule makes shorter at a slower pace.
type peak struct {
	n     float64 // requests let through
	pace  float64 // a second
	pause float64 // seconds before and in it without requests: what may have been saved up
}

// isOdd reports whether no rule explains that a span ended: an earlier one, no
// slower, was let through far more, or its pace was below a rate that has been
// let through from one refusal to another. The span is remembered.
func (g *governor) isOdd(s span) (odd bool) {
	if g.pause == 0 { // the first of all
		return false
	}
	p := peak{s.n, s.n / max(s.active, 1e-3), g.pause}
	for _, o := range g.peaks {
		odd = odd || p.pace < noFaster*o.pace && p.n < fewer*o.n*min(1, p.pause/o.pause)
	}
	odd = odd || p.pace < below*g.sure
	g.peaks = keepLast(append(g.peaks, p))
	if s.n >= 2*enoughToTell {
		g.sure = max(g.sure, (s.n-1)/(s.active+max(g.pause, s.seconds-s.active)))
	}
	return odd
}

// suspect begins to doubt the present rate.
func (g *governor) suspect(brief bool) {
	g.low, g.doubt = g.rate(), doubt{brief: brief, skip: brief}
	g.phase, g.pace, g.hunch = doubting, 0, false
}

// compare takes in a refusal while there is doubt. at is the speed at which
// requests were sent.
func (g *governor) compare(at float64, s span) {
	d := &g.doubt
	if d.skip {
		d.skip = false
		return
	}
	d.add(s)
	more := d.n > doubtGain*g.low*d.seconds
	switch {
	case d.brief && !more:
		g.hold, g.odd = min(g.hold*holdFactor, longestHold), 0
		g.settle(g.low)
		return
	case d.spans < doubtSpans:
		return
	}
	g.odd, g.sure = 0, 0
	switch mean := (span{n: d.n / doubtSpans, active: s.active, seconds: d.seconds / doubtSpans}); {
	case !more:
		g.between(min(max(d.n, 1)/d.seconds, g.low), g.low)
	case d.spread() < doubtSpread:
		g.begin(at, mean)
	default:
		g.phase, g.doubt = unruled, doubt{}
	}
}

// watch takes in a refusal that no rate is supposed to explain.
func (g *governor) watch(at float64, s span) {
	g.odd = 0
	if g.doubt.add(s); g.doubt.spans < watchSpans {
		return
	}
	regular := g.doubt.spread() < watchSpread
	g.doubt = doubt{}
	if regular {
		g.begin(at, s)
	}
}
