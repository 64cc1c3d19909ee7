package scheduler

import (
	"cmp"
	"container/heap"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var simDays = flag.Int("days", 0, "virtual days to simulate; 0: 20, and 5 of them twice")

// A world is everything around the core in a simulation: a server with a mind
// of its own, a disk, and a clock. All of it follows from the seed.
type world struct {
	core  *Core
	twin  *twin
	rng   *rand.Rand
	now   time.Time
	queue eventHeap
	seq   int

	routes    map[FileID]Route // where each file really is
	parts     map[FileID][]Part
	refreshed map[FileID]time.Time
	outage    map[int]time.Time // DCs that do not answer until then
	waits     int
	done      map[FileID]bool
	gaveUp    int
	cancelled map[AttemptID]bool
	trace     interface{ Write([]byte) (int, error) }
}

type timed struct {
	at  time.Time
	seq int
	e   Event
}

type eventHeap []timed

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at.Before(h[j].at) || h[i].at.Equal(h[j].at) && h[i].seq < h[j].seq
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(timed)) }
func (h *eventHeap) Pop() any {
	x := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return x
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newWorld(cfg Config, seed uint64) *world {
	cfg.Seed = seed
	return &world{
		core: New(cfg), twin: newTwin(cfg), rng: rand.New(rand.NewPCG(seed, 1)), now: epoch,
		routes: make(map[FileID]Route), parts: make(map[FileID][]Part), refreshed: make(map[FileID]time.Time),
		outage: make(map[int]time.Time),
		done:   make(map[FileID]bool), cancelled: make(map[AttemptID]bool), trace: fnv.New64a(),
	}
}

func (w *world) later(d time.Duration, e Event) {
	w.seq++
	heap.Push(&w.queue, timed{w.now.Add(d), w.seq, e})
}

func (w *world) millis(least, most int) time.Duration {
	return time.Duration(least+w.rng.IntN(most-least+1)) * time.Millisecond
}

// step handles the next event or wake-up; false if there is none.
func (w *world) step() (bool, error) {
	wake, ok := w.core.Wake()
	var e Event = Tick{}
	switch {
	case len(w.queue) > 0 && (!ok || !w.queue[0].at.After(wake)):
		next := heap.Pop(&w.queue).(timed)
		w.now, e = next.at, next.e
	case ok:
		w.now = wake
	default:
		return false, nil
	}
	return true, w.handle(e)
}

func (w *world) handle(e Event) error {
	_, _ = fmt.Fprintf(w.trace, "%d %T%+v\n", w.now.UnixNano(), e, e)
	w.twin.event(w.now, e)
	for _, a := range w.core.Handle(w.now, e) {
		_, _ = fmt.Fprintf(w.trace, "\t%T%+v\n", a, a)
		if err := w.twin.action(a); err != nil {
			return fmt.Errorf("%v after %T%+v: %w", w.now.Sub(epoch), e, e, err)
		}
		w.do(a)
	}
	if err := w.twin.check(w.core); err != nil {
		return fmt.Errorf("%v after %T%+v: %w", w.now.Sub(epoch), e, e, err)
	}
	w.twin.forgetOld()
	return nil
}

func (w *world) do(a Action) {
	switch a := a.(type) {
	case Start:
		w.later(w.millis(0, 20), Ready{File: a.File, Parts: w.parts[a.File]})
	case *Send:
		w.serve(*a)
	case *Accept:
		w.later(w.millis(0, 50), Written(*a))
	case Refresh:
		w.refreshed[a.File] = w.now
		w.later(w.millis(50, 3000), Resume{File: a.File})
	case Complete:
		w.done[a.File] = true
	case GiveUp:
		w.gaveUp++
		w.done[a.File] = true
	case Wait:
		w.waits++
	case Cancel:
		w.cancelled[a.Attempt] = true
	case Drop, Learn, Disconnect:
	}
}

// serve decides what comes of a request.
func (w *world) serve(s Send) {
	fail := func(d time.Duration, f Failure) { w.later(d, Failed{Attempt: s.Attempt, Failure: f}) }
	if real := w.routes[s.File]; real.DC != s.Route.DC {
		fail(w.millis(20, 200), Failure{Kind: Moved, Route: real})
		return
	}
	if until := w.outage[s.Route.DC]; w.now.Before(until) {
		if w.rng.IntN(2) == 0 {
			fail(w.millis(10, 5000), Failure{Kind: ConnLost})
		} // else never an answer
		return
	}
	switch w.rng.IntN(400) {
	case 0:
		wait := time.Duration(1+w.rng.IntN(60)) * time.Second
		if w.rng.IntN(50) == 0 {
			wait = time.Duration(1+w.rng.IntN(3600)) * time.Second
		}
		fail(w.millis(20, 100), Failure{Kind: Flood, Wait: wait, Premium: w.rng.IntN(2) == 0, Route: s.Route})
	case 1:
		fail(w.millis(20, 5000), Failure{Kind: Trouble, Err: errors.New("500")})
	case 2:
		fail(w.millis(20, 500), Failure{Kind: BadAnswer, Err: errors.New("short")})
	case 3:
		fail(w.millis(0, 5000), Failure{Kind: ConnLost})
	case 4: // a stall: never an answer
	case 5: // a trickle: an answer after the deadline
		w.later(w.millis(10_000, 200_000), Answered{Attempt: s.Attempt})
	case 6:
		if w.now.Sub(w.refreshed[s.File]) > time.Hour {
			fail(w.millis(20, 100), Failure{Kind: Stale})
			return
		}
		w.later(w.millis(20, 400), Answered{Attempt: s.Attempt})
	case 7:
		w.outage[s.Route.DC] = w.now.Add(w.millis(1000, 3600_000))
		w.later(w.millis(20, 400), Answered{Attempt: s.Attempt})
	default:
		w.later(w.millis(20, 400), Answered{Attempt: s.Attempt})
	}
}

// addFile queues one file of a random size at a random DC, not always the one
// that it is said to be at.
func (w *world) addFile(after time.Duration) {
	id := FileID(len(w.parts) + 1)
	const mib = 1 << 20
	size := int64(w.rng.IntN(mib) + 1)
	if w.rng.IntN(3) == 0 {
		size = int64(w.rng.IntN(40*mib) + 1)
	}
	var parts []Part
	for n, left := 0, size; left > 0; n, left = n+1, left-mib {
		parts = append(parts, Part{N: n, Size: min(left, mib)})
	}
	if w.rng.IntN(20) == 0 {
		parts = nil // all there already
	}
	w.parts[id] = parts
	said := Route{DC: 1 + w.rng.IntN(5), Use: Download, Method: "upload.getFile"}
	w.routes[id] = said
	if w.rng.IntN(30) == 0 {
		said.DC = 1 + said.DC%5
		w.routes[id] = said
		said.DC = 1 + said.DC%5
	}
	w.later(after, Add{File: id, Route: said, Size: size, Priority: int64(w.rng.IntN(3))})
}

// day runs 24 virtual hours of files that arrive at random, and the hours
// that it takes to be done with them. It returns the hash of the trace.
func day(cfg Config, seed uint64) (uint64, *world, error) {
	w := newWorld(cfg, seed)
	for range 300 {
		w.addFile(w.millis(0, 24*3600_000))
	}
	lastDone, doneAt := 0, w.now
	for {
		more, err := w.step()
		if err != nil {
			return 0, w, err
		}
		if len(w.done) > lastDone {
			lastDone, doneAt = len(w.done), w.now
		}
		if w.core.Files() > 0 && w.now.Sub(doneAt) > 12*time.Hour && len(w.queue) == 0 {
			return 0, w, fmt.Errorf("no progress for 12 hours, %d files left", w.core.Files())
		}
		if !more {
			break
		}
		if w.core.Files() == 0 && len(w.queue) == 0 {
			break
		}
	}
	switch {
	case len(w.done) != len(w.parts):
		return 0, w, fmt.Errorf("%d of %d files done", len(w.done), len(w.parts))
	case w.core.Held() != 0:
		return 0, w, fmt.Errorf("%d bytes held at the end", w.core.Held())
	}
	return w.trace.(interface{ Sum64() uint64 }).Sum64(), w, nil
}

// TestDays runs virtual days with every sort of fault: no request inside a
// wait, every part written exactly once, nothing stuck.
func TestDays(t *testing.T) {
	base := rand.Uint64()
	waits, gaveUp := 0, 0
	days := cmp.Or(*simDays, 20)
	for i := range days {
		seed := base + uint64(i)
		_, w, err := day(Config{Transfers: 1 + i%5, Connections: 1 + i%4}, seed)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		waits += w.waits
		gaveUp += w.gaveUp
	}
	if waits == 0 {
		t.Error("no waits at all: the simulation has no teeth")
	}
	t.Logf("seed %d: %d days, %d waits, %d files given up", base, days, waits, gaveUp)
}

// TestSameSeedSameTrace: what the core does follows from its events alone. What
// does not, the order of a map say, shows within a day; `make days` runs more.
func TestSameSeedSameTrace(t *testing.T) {
	for seed := range uint64(cmp.Or(*simDays, 5)) {
		a, _, err := day(Config{}, seed)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if b, _, _ := day(Config{}, seed); a != b {
			t.Fatalf("seed %d: traces %x and %x differ", seed, a, b)
		}
	}
}

// TestDCDown: one DC is dead for an hour; files of the others are not held up
// by those that wait for it, and it heals by itself.
func TestDCDown(t *testing.T) {
	w := newWorld(Config{Transfers: 2, SmallTransfers: 2}, 1)
	w.outage[1] = epoch.Add(time.Hour)
	for i := range 40 {
		id := FileID(i + 1)
		w.routes[id] = Route{DC: 1 + i%2, Use: Download, Method: "upload.getFile"}
		w.parts[id] = []Part{{N: 0, Size: 1 << 19}, {N: 1, Size: 1 << 19}}
		w.later(0, Add{File: id, Route: w.routes[id], Size: 1 << 20})
	}
	var alive time.Duration
	for len(w.done) < 40 && w.now.Sub(epoch) < 3*time.Hour {
		if more, err := w.step(); err != nil || !more {
			t.Fatalf("at %v: more %v, %v", w.now.Sub(epoch), more, err)
		}
		if len(w.done) == 20 && alive == 0 {
			alive = w.now.Sub(epoch)
		}
	}
	if alive > 10*time.Minute || len(w.done) != 40 {
		t.Errorf("living DC done after %v, %d of 40 files in all", alive, len(w.done))
	}
	if w.now.Sub(epoch) < time.Hour {
		t.Error("the dead DC was not dead")
	}
}

// TestFairShare: a giant does not starve small files, nor they it.
func TestFairShare(t *testing.T) {
	c := New(Config{Transfers: 3, SmallTransfers: 3, ConnWindow: 6 << 20})
	r := Route{DC: 2, Method: "upload.getFile"}
	for id := range FileID(3) {
		c.Handle(epoch, Add{File: id, Route: r, Size: 100 << 20})
	}
	var sent []FileID
	for id := range FileID(3) {
		parts := make([]Part, 100)
		for i := range parts {
			parts[i] = Part{N: i, Size: 1 << 20}
		}
		for _, a := range c.Handle(epoch, Ready{File: id, Parts: parts}) {
			if s, ok := a.(*Send); ok {
				sent = append(sent, s.File)
				c.Handle(epoch, Failed{Attempt: s.Attempt, Failure: Failure{Kind: Again}})
			}
		}
	}
	for range 60 {
		s := c.flying[0]
		for _, a := range c.Handle(epoch.Add(time.Second), Answered{Attempt: s.id}) {
			if s, ok := a.(*Send); ok {
				sent = append(sent, s.File)
			}
		}
		c.Handle(epoch.Add(time.Second), Written{Attempt: s.id})
	}
	tail := sent[len(sent)-30:]
	for id := range FileID(3) {
		n := 0
		for _, s := range tail {
			if s == id {
				n++
			}
		}
		if n < 8 || n > 12 {
			t.Errorf("file %d got %d of the last 30 parts, want about 10: %v", id, n, tail)
		}
	}
}

// TestAbortEverywhere removes files in each state at random: nothing stays held.
func TestAbortEverywhere(t *testing.T) {
	for seed := range uint64(30) {
		w := newWorld(Config{}, seed)
		for range 60 {
			w.addFile(w.millis(0, 20_000))
		}
		for i := range 60 {
			if w.rng.IntN(2) == 0 {
				w.later(w.millis(20_000, 90_000), Abort{File: FileID(i + 1)})
			}
		}
		for {
			more, err := w.step()
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if !more || w.core.Files() == 0 && len(w.queue) == 0 {
				break
			}
		}
		if w.core.Held() != 0 || w.core.Files() != 0 || len(w.core.writing) != 0 || w.core.Queued() != 0 {
			t.Fatalf("seed %d: %d bytes held, %d files, %d queued at the end",
				seed, w.core.Held(), w.core.Files(), w.core.Queued())
		}
		if left := slices.Collect(func(yield func(int64) bool) {
			for _, g := range w.core.gates {
				if g.inFlight != 0 && !yield(g.inFlight) {
					return
				}
			}
		}); len(left) > 0 {
			t.Fatalf("seed %d: bytes in flight at the end: %v", seed, left)
		}
	}
}

func BenchmarkPart(b *testing.B) {
	c := New(Config{})
	r := Route{DC: 2, Method: "upload.getFile"}
	parts := make([]Part, 4000)
	for i := range parts {
		parts[i] = Part{N: i, Size: 1 << 20}
	}
	now, id := epoch, FileID(0)
	b.ReportAllocs()
	for b.Loop() {
		if len(c.flying) == 0 {
			id++
			c.Handle(now, Add{File: id, Route: r, Size: 4000 << 20})
			c.Handle(now, Ready{File: id, Parts: parts})
		}
		a := c.flying[0].id
		now = now.Add(time.Millisecond)
		c.Handle(now, Answered{Attempt: a})
		c.Handle(now, Written{Attempt: a})
	}
}
