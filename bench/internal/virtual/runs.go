package virtual

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tghaul/haul/scheduler"
	"github.com/tghaul/haul/telegram/dctest/flood"
)

// A Plan is a row of short runs of endless work. Each knows what the runs
// before it have learned, and no more.
type Plan struct {
	Runs        int
	Least, Most time.Duration // that a run takes
	Pause       time.Duration // between two runs, drainTime at least
	Odd         Odd
	Ruled       int // after so many runs there are no rules any more; 0: there always are
}

// drainTime is how long after the end of a run its last answers are heard.
const drainTime = 2 * time.Second

// HaulRuns runs the scheduler again and again at one server. The times of each
// result count from the start of its run.
func HaulRuns(net Network, rules []flood.Rule, plan Plan, cfg scheduler.Config, seed uint64) []Result {
	w := newWorld(net, rules, seed)
	w.odd = plan.Odd
	rng := rand.New(rand.NewPCG(seed, 11))
	var results []Result
	var m memory
	for n := range plan.Runs {
		if n > 0 && n == plan.Ruled {
			w.guard = flood.NewGuard(nil, net.RTT)
		}
		length := plan.Least + time.Duration(rng.Int64N(int64(plan.Most-plan.Least)+1))
		cfg.Seed = seed + uint64(n)
		_, before := w.guard.Counts()
		w.start, w.result = w.now, Result{Took: length}
		h := &haul{world: w, core: scheduler.New(cfg), job: Endless, cancelled: make(map[scheduler.AttemptID]bool)}
		m.recall(h)
		for range 50 { // files, more than a run gets through
			h.add()
		}
		for end := w.start.Add(length); h.stepUntil(end); {
		}
		h.drain()
		_, inside := w.guard.Counts()
		w.result.Inside = inside - before
		results = append(results, w.result)
		m.keep(h)
		w.now = w.start.Add(length + max(plan.Pause, drainTime))
	}
	return results
}

// drain hears what was underway when the run ended, and sends nothing more: a
// wait that nobody heard of would be counted against the next run.
func (h *haul) drain() {
	h.closing = true
	for end := h.now.Add(drainTime); len(h.queue) > 0 && !h.queue[0].at.After(end); {
		e := heap.Pop(&h.queue).(event)
		h.now = e.at
		e.f()
	}
	h.over = true
}

// memory is what runs leave to the next one.
type memory struct {
	at      time.Time
	learned []scheduler.Learned
	holds   []scheduler.Hold
}

func (m *memory) recall(h *haul) {
	for _, e := range m.holds {
		h.handle(e)
	}
	for _, l := range m.learned {
		h.handle(scheduler.Recall{Learned: l, Age: h.now.Sub(m.at)})
	}
}

func (m *memory) keep(h *haul) {
	m.at, m.learned = h.now, h.core.Learned()
	m.holds = slices.DeleteFunc(append(m.holds, h.holds...), func(e scheduler.Hold) bool { return !e.Until.After(h.now) })
}
