package scheduler

import "time"

// A flow measures what a connection delivers, and sets its window by that: a
// little more than the bytes that fill the line, since more would only queue.
// This is the model of BBR: the greatest delivery rate times the least round
// trip of the last seconds.
type flow struct {
	delivered int64     // bytes answered in all
	at        time.Time // of the last answer, or when sending began after a pause
	rate      extreme   // bytes a second, greatest
	trip      extreme   // seconds, least (kept negative)
}

const (
	startWindow = 2 << 20          // bytes, before the first answer
	flowMemory  = 10 * time.Second // how long a measurement counts
	flowGain    = 2                // window over what fills the line
)

// window is how many bytes may be in flight, at most most.
func (f *flow) window(most int64) int64 {
	if f.rate.empty() {
		return min(startWindow, most)
	}
	return min(max(int64(flowGain*f.rate.best()*-f.trip.best())+1<<20, startWindow), most)
}

// begin is the flow as a request finds it. idle says that nothing is in
// flight: then the time since the last answer says nothing.
func (f *flow) begin(now time.Time, idle bool) flow {
	if idle {
		f.at = now
	}
	return *f
}

// deliver takes in an answer of so many bytes to a request that found the
// flow as in then.
func (f *flow) deliver(then flow, now time.Time, trip time.Duration, size int64) {
	f.delivered += size
	f.at = now
	if elapsed := now.Sub(then.at).Seconds(); elapsed > 0 {
		f.rate.put(float64(f.delivered-then.delivered)/elapsed, now)
	}
	f.trip.put(-trip.Seconds(), now)
}

// An extreme is the greatest of the values of the last one to two memories.
type extreme struct {
	now, before float64
	since       time.Time
}

func (e *extreme) put(v float64, at time.Time) {
	switch age := at.Sub(e.since); {
	case age >= 2*flowMemory || e.since.IsZero():
		e.now, e.before, e.since = v, v, at
	case age >= flowMemory:
		e.now, e.before, e.since = v, e.now, at
	default:
		e.now = max(e.now, v)
	}
}

func (e *extreme) empty() bool   { return e.since.IsZero() }
func (e *extreme) best() float64 { return max(e.now, e.before) }
