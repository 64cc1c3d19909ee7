package scheduler

import (
	"testing"
	"time"
	"unsafe"
)

// jumped is a reading of a clock that was set by d: the wall clock has moved,
// the monotonic one has not. Package time has no way to make one.
func jumped(t time.Time, d time.Duration) time.Time {
	p := (*struct {
		wall uint64 // from bit 30 on: seconds; the highest bit: there is a monotonic reading
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&t))
	if p.wall>>63 == 0 {
		panic("no monotonic reading")
	}
	p.wall += uint64(d/time.Second) << 30
	return t
}

// TestClockIsSet: the clock is set by hours in the middle of a wait. It ends
// when it would have ended, and so do retries and deadlines.
func TestClockIsSet(t *testing.T) {
	for _, d := range []time.Duration{5 * time.Hour, -5 * time.Hour} {
		c := New(Config{})
		start := time.Now()
		route := Route{DC: 2, Use: Download, Method: "getFile"}
		sends := func(at time.Duration, e Event) (n int) {
			for _, a := range c.Handle(jumped(start.Add(at), d), e) {
				if _, ok := a.(*Send); ok {
					n++
				}
			}
			return n
		}
		c.Handle(start, Add{File: 1, Route: route, Size: 1})
		c.Handle(start, Ready{File: 1, Parts: []Part{{N: 0, Size: 1}}})
		c.Handle(start.Add(time.Second), Failed{Failure: Failure{Kind: Flood, Wait: time.Minute, Route: route}})
		if n := sends(59*time.Second, Tick{}); n != 0 {
			t.Errorf("clock set by %v: a request inside the wait", d)
		}
		if at, ok := c.Wake(); !ok || at.Sub(start).Round(time.Second) != 61*time.Second {
			t.Errorf("clock set by %v: wakes after %v, want 61s", d, at.Sub(start))
		}
		if n := sends(62*time.Second, Tick{}); n != 1 {
			t.Errorf("clock set by %v: %d requests after the wait, want 1", d, n)
		}
	}
}
