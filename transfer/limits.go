package transfer

import (
	"encoding/json"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/scheduler"
)

// limitLife is how long a learned limit is believed. Servers change theirs,
// but a limit that was too low is found out soon, and one that was forgotten
// costs waits.
const limitLife = 7 * 24 * time.Hour

// Limits are the user's own limits of a run. Zero means none.
type Limits struct {
	Down, Up float64 // bytes a second, over all DCs
	Requests float64 // requests for parts a second, over all DCs
}

// remember tells the scheduler what earlier runs have learned: waits that are
// not over, and limits.
func (r *run) remember(now time.Time) error {
	waits, err := r.o.Checkpoint.Waits(now)
	if err != nil {
		return err
	}
	for _, w := range waits {
		// Reckoned from now, it does not move if the clock is set meanwhile.
		scope, until := scheduler.Scope{DC: w.DC, Method: w.Method}, now.Add(w.Until.Sub(now))
		r.core.Handle(now, scheduler.Hold{Scope: scope, Until: until, Premium: w.Premium})
		r.asides.hold(scope, until)
		r.waits[scope] = until
	}
	limits, err := r.o.Checkpoint.Limits()
	if err != nil {
		return err
	}
	for _, l := range limits {
		if now.Sub(l.At) > limitLife {
			continue
		}
		r.core.Handle(now, recall(l, now))
	}
	return nil
}

// recall is what a recorded limit tells the scheduler.
func recall(l checkpoint.Limit, now time.Time) scheduler.Recall {
	e := scheduler.Recall{Age: max(0, now.Sub(l.At)), Learned: scheduler.Learned{
		Scope: scheduler.Scope{DC: l.DC, Method: l.Method}, Premium: l.Premium, Rate: l.Rate, InFlight: l.InFlight,
	}}
	if err := json.Unmarshal(l.Standing, &e.Standing); err != nil {
		e.Standing = scheduler.Standing{} // the limit itself is worth keeping
	}
	return e
}

// heldTooLong is the error of a run that needs a route which an earlier run has
// found closed for longer than is waited; nil if it is not.
func (r *run) heldTooLong(route scheduler.Route) error {
	left := r.asides.left(route.Scope())
	if r.o.MaxWait <= 0 || left <= r.o.MaxWait {
		return nil
	}
	return &WaitError{DC: route.DC, Method: route.Method, Wait: left.Round(time.Second)}
}

// learned notes what the server has taught about a limit, and has it recorded.
func (r *run) learned(l scheduler.Learned) {
	now := time.Now()
	r.o.Events(LimitLearned{
		Header: header("limit_learned", now), Scope: scopeName(l.Scope.DC, l.Scope.Method),
		DC: l.Scope.DC, Method: l.Scope.Method, Premium: l.Premium, PerSecond: l.Rate, InFlight: l.InFlight,
	})
	r.record(l, now)
}

func (r *run) record(l scheduler.Learned, now time.Time) {
	standing, err := json.Marshal(l.Standing)
	if err != nil {
		standing = nil // it only spares waits
	}
	r.commits.do(func(b *checkpoint.Batch) {
		b.PutLimit(checkpoint.Limit{
			DC: l.Scope.DC, Method: l.Scope.Method, Premium: l.Premium, Rate: l.Rate, InFlight: l.InFlight, At: now.UTC(),
			Standing: standing,
		})
	})
}

// recordLimits has what is known of the limits recorded at the end of a run:
// paces rise without a word from the server. Those that the run has not used
// are left to others, who may be using them.
func (r *run) recordLimits() {
	now := time.Now()
	for _, l := range r.core.Learned() {
		r.record(l, now)
	}
}

// setLimits tells the scheduler the user's limits, which may change by the
// time of day, and plans to look again.
func (r *run) setLimits(now time.Time) {
	if r.o.Limits == nil || now.Before(r.limitsEnd) {
		return
	}
	l, end := r.o.Limits(now)
	if r.limitsEnd = end; end.IsZero() {
		r.limitsEnd = now.AddDate(100, 0, 0)
	}
	r.feed(scheduler.SetLimits{Limits: scheduler.Limits(l)})
}

// disconnect ends a connection that is of no use to the run.
func (r *run) disconnect(p scheduler.Pool, conn int) {
	send := scheduler.Send{Route: scheduler.Route{DC: p.DC, Use: p.Use}, Conn: conn}
	r.tasks.Go(func() { r.dropSession(send) })
}

// floodWait notes a wait, and stops the run if it is longer than allowed.
func (r *run) floodWait(w scheduler.Wait) {
	r.asides.hold(w.Scope, w.Until)
	r.report.FloodWaits++
	r.report.WaitSeconds += w.For.Seconds()
	reason := "FLOOD_WAIT"
	if w.Premium {
		reason = "FLOOD_PREMIUM_WAIT"
	}
	r.o.Events(FloodWait{
		Header: header("flood_wait", time.Now()), Scope: scopeName(w.Scope.DC, w.Scope.Method),
		Seconds: w.For.Seconds(), Reason: reason, DC: w.Scope.DC, Method: w.Scope.Method,
	})
	r.recordWait(w.Scope, w.Until, w.Premium)
	if r.o.MaxWait > 0 && w.For > r.o.MaxWait {
		r.fail(&WaitError{DC: w.Scope.DC, Method: w.Scope.Method, Wait: w.For})
	}
}

// recordWait has a wait recorded, for the next run, unless a longer one is. A
// little is added, for what becomes known of it without being told.
func (r *run) recordWait(s scheduler.Scope, until time.Time, premium bool) {
	if !until.After(r.waits[s]) {
		return // servers round up, and answers do not come in order
	}
	r.waits[s] = until
	r.commits.do(func(b *checkpoint.Batch) {
		b.PutWait(checkpoint.Wait{DC: s.DC, Method: s.Method, Until: until.Add(scheduler.WaitSlack), Premium: premium})
	})
}
