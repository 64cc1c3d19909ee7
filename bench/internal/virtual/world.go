// Package virtual runs the scheduler against a simulated server in virtual
// time: half an hour of transfer takes a fraction of a second, and the same
// seed gives the same run. The server applies the flood rules of the simulated
// cluster; the lines have a round trip, a rate for each connection and one for
// the DC.
package virtual

import (
	"container/heap"
	"math/rand/v2"
	"time"

	"github.com/tghaul/haul/telegram/dctest/flood"
)

// A Network is what lies between the client and the one DC, and how long that
// takes for a request.
type Network struct {
	RTT      time.Duration
	Service  time.Duration // of a request, with a jitter of a quarter
	ConnRate float64       // bytes a second; 0: no limit
	DCRate   float64
}

// Odd waits come at random, whatever the rate is.
type Odd struct {
	Rate float64       // share of the requests that are refused
	Wait time.Duration // whole seconds
}

const (
	account = 1
	dc      = 2
	method  = "upload.getFile"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// A world is the clock, the lines and the server.
type world struct {
	start  time.Time // of the run
	now    time.Time
	queue  events
	serial int
	rng    *rand.Rand
	net    Network
	odd    Odd
	guard  *flood.Guard
	free   map[int]time.Time // when each connection's line is free
	dcFree time.Time
	result Result
}

// A Result is what came of a run.
type Result struct {
	Served  []time.Duration // when each request was let through, since the start
	Arrived []time.Duration // when each answer with a part was there
	Waits   []time.Duration // when each wait was answered
	Inside  int64           // requests sent inside a wait
	Bytes   int64
	Took    time.Duration
}

func newWorld(net Network, rules []flood.Rule, seed uint64) *world {
	return &world{
		start: epoch, now: epoch, rng: rand.New(rand.NewPCG(seed, 7)), net: net, free: make(map[int]time.Time),
		guard: flood.NewGuard(rules, net.RTT),
	}
}

// An answer is what the server says to one request.
type answer struct {
	wait    time.Duration // 0: it was let through
	premium bool
}

// request sends one over a connection; then is called when the answer is here.
func (w *world) request(conn int, size int64, then func(answer)) {
	w.after(w.net.RTT/2, func() {
		v := w.ask()
		if v.Wait > 0 {
			w.result.Waits = append(w.result.Waits, w.now.Sub(w.start))
			a := answer{wait: time.Duration(v.Wait) * time.Second, premium: v.Premium}
			w.after(w.net.RTT/2, func() { then(a) })
			return
		}
		w.result.Served = append(w.result.Served, w.now.Sub(w.start))
		service := w.net.Service*3/4 + time.Duration(w.rng.Int64N(int64(w.net.Service/2)+1))
		w.after(service, func() {
			v.Done()
			w.transmit(conn, size, func() {
				w.result.Bytes += size
				w.result.Arrived = append(w.result.Arrived, w.now.Sub(w.start))
				then(answer{})
			})
		})
	})
}

// ask has the server judge a request.
func (w *world) ask() flood.Verdict {
	v := w.guard.Ask(account, false, dc, method, w.now)
	if v.Wait > 0 || w.odd.Rate == 0 || w.rng.Float64() >= w.odd.Rate {
		return v
	}
	v.Done()
	return w.guard.Close(account, dc, method, w.odd.Wait, w.now)
}

// transmit sends an answer, first over the connection's share of the line, one
// after the other, and then over the DC's, in the order in which they come.
func (w *world) transmit(conn int, size int64, arrived func()) {
	w.free[conn] = occupy(w.free[conn], w.now, size, w.net.ConnRate)
	w.after(w.free[conn].Sub(w.now), func() {
		w.dcFree = occupy(w.dcFree, w.now, size, w.net.DCRate)
		w.after(w.dcFree.Sub(w.now)+w.net.RTT/2, arrived)
	})
}

// occupy is when a line that is free at a moment has sent so many bytes; at
// once if it has no limit.
func occupy(free, now time.Time, size int64, rate float64) time.Time {
	if rate <= 0 {
		return now
	}
	return later(free, now).Add(seconds(float64(size) / rate))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// after has f called when some time has passed.
func (w *world) after(d time.Duration, f func()) {
	w.serial++
	heap.Push(&w.queue, event{w.now.Add(d), w.serial, f})
}

// An event is something that will happen. Of two at the same time the one that
// was planned first happens first.
type event struct {
	at     time.Time
	serial int
	f      func()
}

type events []event

func (h events) Len() int { return len(h) }
func (h events) Less(i, j int) bool {
	return h[i].at.Before(h[j].at) || h[i].at.Equal(h[j].at) && h[i].serial < h[j].serial
}
func (h events) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *events) Push(x any)   { *h = append(*h, x.(event)) }
func (h *events) Pop() any {
	x := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return x
}
