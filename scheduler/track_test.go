package scheduler

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// checkCounts counts anew what tracks and lanes count, and looks at each file
// for what the ready sets are supposed to know.
func checkCounts(c *Core) error {
	var start, pause lanes
	run, active, ready := make(map[Route]lanes), make(map[Route]int), make(map[Route][]FileID)
	delays := 0
	for f := c.newest; f != nil; f = f.older {
		lane, counts := laneOf(f.small), run[f.route]
		switch f.state {
		case starting:
			start[lane]++
		case paused:
			pause[lane]++
		case running:
			counts[lane]++
		case queued, gone:
			return fmt.Errorf("file %d is active in state %d", f.id, f.state)
		}
		run[f.route] = counts
		active[f.route]++
		delays += f.delayed
		if f.older != nil && (f.older.started >= f.started || f.older.newer != f) {
			return fmt.Errorf("file %d is out of order", f.id)
		}
		if f.state == running && len(f.pending) > 0 {
			ready[f.route] = append(ready[f.route], f.id)
		}
	}
	if start != c.starting || pause != c.paused || delays != len(c.delayed) {
		return fmt.Errorf("starting %v, paused %v, delayed %d, counted %v, %v, %d", c.starting, c.paused, len(c.delayed), start, pause, delays)
	}
	for _, t := range c.tracks {
		if t.running != run[t.route] || t.active != active[t.route] {
			return fmt.Errorf("track %v: running %v of %d, counted %v of %d", t.route, t.running, t.active, run[t.route], active[t.route])
		}
		slices.Reverse(ready[t.route]) // oldest first
		if got := inOrder(t.ready.root, nil); !slices.Equal(got, ready[t.route]) {
			return fmt.Errorf("track %v: ready %v, want %v", t.route, got, ready[t.route])
		}
	}
	if at := slices.IndexFunc(c.flying, func(a *attempt) bool { return a.overdue == (a.at >= 0) }); at >= 0 {
		return fmt.Errorf("attempt %d: overdue %v, at %d of the deadlines", c.flying[at].id, c.flying[at].overdue, c.flying[at].at)
	}
	return nil
}

// inOrder lists the files of a ready set. It panics if what one knows of those
// below it is wrong.
func inOrder(f *file, ids []FileID) []FileID {
	if f == nil {
		return ids
	}
	was := f.node
	if f.sum(); f.node != was || len(f.pending) > 0 && f.head != f.pending[0].Size {
		panic(fmt.Sprintf("file %d: %+v, want %+v", f.id, was, f.node))
	}
	return inOrder(f.behind, append(inOrder(f.before, ids), f.id))
}

// idle reports an error if a part might be sent that was not: every file is
// asked, as if there were no ready sets.
func idle(c *Core) error {
	for f := c.newest; f != nil; f = f.older {
		if f.state != running || len(f.pending) == 0 {
			continue
		}
		size := f.pending[0].Size
		if c.gate(f.route.Scope()).room(c.now, c.cfg.MaxWindow) >= size && c.limits.room(c.now, f.route.Use) >= size && c.room() >= size &&
			c.pool(f.route.Pool()).pick(c.now, size, c.cfg.ConnWindow, -1) >= 0 {
			return fmt.Errorf("part %d of file %d may be sent, and is not", f.pending[0].N, f.id)
		}
	}
	return nil
}

// inUse is how many connections each pool uses.
func inUse(c *Core) (n []int) {
	for _, p := range c.pools {
		n = append(n, p.use)
	}
	return n
}

// TestReady: a ready set finds what a look at all of its files finds.
func TestReady(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	var r ready
	var in, out []*file
	for i := range uint64(200) {
		out = append(out, &file{started: i + 1, id: FileID(i + 1)})
	}
	move := func(from, to *[]*file) *file {
		i := rng.IntN(len(*from))
		f := (*from)[i]
		*from, *to = slices.Delete(*from, i, i+1), append(*to, f)
		return f
	}
	for step := range 20_000 {
		if len(in) == 0 || len(out) > 0 && rng.IntN(2) == 0 {
			r.put(move(&out, &in), rng.Int64N(50))
		} else {
			r.remove(move(&in, &out))
		}
		slices.SortFunc(in, func(a, b *file) int { return cmp.Compare(a.started, b.started) })
		from, room := rng.Uint64N(210), rng.Int64N(50)-1
		fits := func(f *file) bool { return f.started >= from && f.head <= room }
		var want *file
		if i := slices.IndexFunc(in, fits); i >= 0 {
			want = in[i]
		}
		if got := r.next(from, room); got != want {
			t.Fatalf("seed %d, step %d: %+v, want %+v", seed, step, got, want)
		}
		to, over := rng.Uint64N(210), rng.Int64N(50)-1
		some := slices.ContainsFunc(in, func(f *file) bool { return fits(f) && f.started < to && f.head > over })
		if got := r.some(from, to, over, room); got != some {
			t.Fatalf("seed %d, step %d: some %v, want %v", seed, step, got, some)
		}
		if got := len(inOrder(r.root, nil)); got != len(in) {
			t.Fatalf("seed %d, step %d: %d files, want %d", seed, step, got, len(in))
		}
	}
	if depth := deep(r.root); depth > 40 {
		t.Errorf("seed %d: %d files are %d deep", seed, len(in), depth)
	}
}

func deep(f *file) int {
	if f == nil {
		return 0
	}
	return 1 + max(deep(f.before), deep(f.behind))
}

// TestReadyStaysFlat: files come and go in order, as they do; the last of many
// is found in few steps.
func TestReadyStaysFlat(t *testing.T) {
	var r ready
	var files []*file
	for i := range uint64(20_000) {
		f := &file{started: i + 1}
		files = append(files, f)
		r.put(f, 1)
		if i >= 10_000 {
			r.remove(files[i-10_000])
		}
	}
	if depth := deep(r.root); depth > 50 {
		t.Errorf("10,000 files are %d deep", depth)
	}
}

// TestTurns: many files on few connections, moved, delayed, aborted and
// refreshed at random. Nothing waits that could be sent.
func TestTurns(t *testing.T) {
	base := rand.Uint64()
	for i := range 8 {
		seed := base + uint64(i)
		cfg := Config{Transfers: 1 + i%5, SmallTransfers: 30 * (i % 3), Connections: 1 + i%4, Budget: int64(i%4) * 9 << 20, MaxWindow: int64(i%3) * 7 << 20}
		w := newWorld(cfg, seed)
		for range 150 {
			w.addFile(w.millis(0, 20_000))
		}
		for id := range FileID(150) {
			if w.rng.IntN(8) == 0 {
				w.later(w.millis(20_000, 60_000), Abort{File: id + 1})
			}
		}
		if i%2 == 1 {
			w.later(w.millis(0, 5_000), SetLimits{Limits{Down: 5 << 20, Requests: 20}})
			w.later(w.millis(40_000, 60_000), SetLimits{})
		}
		for w.core.Files() > 0 || len(w.queue) > 0 {
			use := inUse(w.core)
			more, err := w.step()
			if err == nil && slices.Equal(use, inUse(w.core)) { // else there are more, from the next event on
				err = idle(w.core)
			}
			if err != nil {
				t.Fatalf("seed %d, %v: %v", seed, w.now.Sub(epoch), err)
			}
			if !more || w.now.Sub(epoch) > 4*time.Hour {
				break
			}
		}
	}
}

// TestAbortDelayed: nothing is left of a file whose parts a retry holds back.
func TestAbortDelayed(t *testing.T) {
	c := New(Config{})
	for id := range FileID(2) {
		c.Handle(epoch, Add{File: id, Route: Route{DC: 2, Method: "upload.getFile"}, Size: 9 << 20})
		for _, a := range c.Handle(epoch, Ready{File: id, Parts: []Part{{N: 0, Size: 1}, {N: 1, Size: 1}, {N: 2, Size: 1}}}) {
			c.Handle(epoch, Failed{Attempt: a.(*Send).Attempt, Failure: Failure{Kind: Trouble}})
		}
	}
	if len(c.delayed) != 6 {
		t.Fatalf("%d parts held back, want 6", len(c.delayed))
	}
	c.Handle(epoch, Abort{File: 0})
	if err := checkCounts(c); err != nil || len(c.delayed) != 3 {
		t.Errorf("%d parts held back, want 3; %v", len(c.delayed), err)
	}
	c.Handle(epoch, Abort{File: 1})
	if at, ok := c.Wake(); ok {
		t.Errorf("something is due at %v, although there is no file", at)
	}
}

// TestTakeTurns: with room for one request at a time the files send one part
// each, in the order in which they started, over and over. One that starts when
// the last has just had its turn comes after the others.
func TestTakeTurns(t *testing.T) {
	c := New(Config{Transfers: 4, Connections: 1})
	c.Handle(epoch, SetLimits{Limits{Requests: 1}})
	now := epoch
	var sent []FileID
	act := func(e Event) {
		for _, a := range c.Handle(now, e) {
			if s, ok := a.(*Send); ok {
				sent = append(sent, s.File)
			}
		}
	}
	add := func(id FileID) {
		act(Add{File: id, Route: Route{DC: int(id), Method: "upload.getFile"}, Size: 9 << 20})
		act(Ready{File: id, Parts: []Part{{N: 0, Size: 1 << 20}, {N: 1, Size: 1 << 19}, {N: 2, Size: 1}}})
	}
	add(1)
	add(2)
	add(3)
	for len(sent) < 8 {
		now = now.Add(time.Second)
		act(Tick{})
		if len(sent) == 4 && c.files[4] == nil {
			add(4)
		}
	}
	if want := []FileID{1, 1, 2, 3, 1, 2, 3, 4}; !slices.Equal(sent[:8], want) {
		t.Errorf("sent parts of %v, want %v", sent[:8], want)
	}
}

// BenchmarkFull is an answer while so many files wait for room.
func BenchmarkFull(b *testing.B) {
	for _, files := range []int{10, 100, 1000, 10_000} {
		b.Run(fmt.Sprint(files), func(b *testing.B) {
			c := New(Config{Transfers: math.MaxInt32, SmallTransfers: math.MaxInt32})
			var parts []Part
			for n := range 64 {
				parts = append(parts, Part{N: n, Size: 1 << 20})
			}
			last, now := FileID(0), epoch
			more := func() {
				last++
				c.Handle(now, Add{File: last, Route: Route{DC: 2, Method: "upload.getFile"}, Size: 64 << 20})
				c.Handle(now, Ready{File: last, Parts: parts})
			}
			for range files {
				more()
			}
			for b.Loop() {
				now = now.Add(time.Millisecond)
				a := c.flying[0].id
				c.Handle(now, Answered{Attempt: a})
				c.Handle(now, Written{Attempt: a})
				for c.Files() < files {
					more()
				}
			}
		})
	}
}
