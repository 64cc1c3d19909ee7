package main

import (
	"time"

	"github.com/tghaul/haul/transfer"
)

// A runEnd keeps back the last event of a run, which the engine tells when
// nothing more is moved, until all that follows is over, too.
type runEnd struct {
	to   func(transfer.Event)
	done *transfer.RunDone // nil until the engine is done
}

func (r *runEnd) event(e transfer.Event) {
	if done, is := e.(transfer.RunDone); is {
		r.done = &done
		return
	}
	r.to(e)
}

// tell tells the end, with what the report counts by now.
func (r *runEnd) tell(report *transfer.Report) {
	if r.done != nil {
		r.done.Time, r.done.Counters = time.Now(), report.Counters
		r.to(*r.done)
	}
}
