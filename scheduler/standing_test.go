package scheduler

import (
	"testing"
	"time"
)

// TestLearnedWhereUsed: what a run has recalled and not used is not its own to
// tell: another one may know better by now.
func TestLearnedWhereUsed(t *testing.T) {
	c := New(Config{})
	for _, dc := range []int{2, 4} {
		c.Handle(epoch, Recall{Learned: Learned{Scope: Scope{DC: dc, Method: "getFile"}, Rate: 5}})
	}
	c.Handle(epoch, Add{File: 1, Route: Route{DC: 4, Method: "getFile"}, Size: 1})
	c.Handle(epoch, Ready{File: 1, Parts: []Part{{N: 0, Size: 1}}})
	if got := c.Learned(); len(got) != 1 || got[0].Scope.DC != 4 || got[0].Rate != 5 {
		t.Errorf("learned %+v, want the rate of DC 4 alone", got)
	}
}

// TestStandingGoesOn: a run that recalls a standing and notes it again at the
// same moment changes nothing, whatever was going on.
func TestStandingGoesOn(t *testing.T) {
	for p := range phaseNames {
		s := Standing{
			Phase: phaseNames[p], Low: 4, High: 6, Savings: 9, Step: 0.06, Base: 3, Hold: 9 * time.Minute, Held: time.Minute,
			Lessons: 5, Odd: 2, Sure: 3, Passed: 70, Active: 20, Seconds: 30, Pause: 12, Peak: Peak{80, 5, 5},
			Doubt: Doubt{Requests: 40, Squares: 900, Seconds: 30, Spans: 2, Brief: true},
		}
		rate := s.Low
		if phase(p) == free {
			rate = 0
		}
		var g governor
		g.resume(epoch, Learned{Rate: rate, Standing: s}, 0)
		if got := g.standing(mark{at: epoch}); got != s {
			t.Errorf("%s:\n got %+v\nwant %+v", phaseNames[p], got, s)
		}
		g = governor{}
		g.resume(epoch, Learned{Rate: rate, Standing: s}, 20*time.Second)
		if got := g.standing(mark{at: epoch.Add(10 * time.Second)}); got.Held != s.Held+30*time.Second || got.Seconds != s.Seconds+30 || got.Pause != s.Pause+30 {
			t.Errorf("%s: 30 seconds later %+v", phaseNames[p], got)
		}
	}
}
