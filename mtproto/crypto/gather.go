package crypto

import (
	"slices"
	"sync"
	"time"
)

// Packets of several connections are encrypted and decrypted together, for
// that costs a third to a half of doing one after the other. Whoever has a
// packet comes with it to a gatherer:
//
//	1. if a worker's place is free he takes it, and does his own packet and
//	   those that wait, four in all
//	2. else he waits. A worker on his way out either has done his packet
//	   too, or gives him the place
//
// Who has several packets at once brings them together.
//
// Who is alone never waits for company. But where others have just come, others
// are about to: then who takes a place waits for them, for less time than a
// part takes on its way through a connection with others before it.
//
// There is half a place for each core: the other half of the cores reads and
// writes meanwhile, so that packets come to wait when there are many, and only then.

const (
	// Patience is how long company is waited for at most. It is of use from some
	// hundred parts a second on, when there are always many under way.
	Patience = 4 * time.Millisecond
	// Company is expected if enough packets of others came in the last while.
	lately      = 5 * Patience
	enoughCame  = 2
	rememberedN = 8
)

// gather is how many items are done together.
const gather = MaxAtOnce

// A gatherer does items of several goroutines together.
type gatherer[T any] struct {
	do       func(batch []T)
	patience time.Duration // 0: company is never waited for

	mu sync.Mutex
	// free is how many more may work at the same time. If it is not 0, nobody
	// waits, unless for the one in host to have company enough.
	free    int
	waiting []*request[T] // in the order in which they came
	host    *request[T]   // has a place, and waits for company
	came    [rememberedN]arrival[T]
	next    int // in came
}

// An arrival is when somebody has come, with how many items.
type arrival[T any] struct {
	who *request[T]
	at  time.Time
	n   int
}

// A request is what one goroutine brings, again and again. While it waits, a
// worker owns it.
type request[T any] struct {
	items []T           // 1 to gather; the caller's memory
	one   [1]T          // for who brings one
	turn  chan turn     // of size 1: a worker never waits for those whose items he did
	full  chan struct{} // of size 1: there is company enough
	limit *time.Timer   // of waiting for it
	batch []T           // empty; memory for when it works
	mates []*request[T]
}

func newRequest[T any]() *request[T] {
	return &request[T]{turn: make(chan turn, 1), full: make(chan struct{}, 1), batch: make([]T, 0, gather), mates: make([]*request[T], 0, gather-1)}
}

// A turn is how waiting ends.
type turn int

const (
	done turn = iota // the item was done by another
	work             // the place is the waiting one's own now
)

// run does item, and returns it as do has left it.
func (g *gatherer[T]) run(r *request[T], item T) T {
	r.one[0] = item
	g.runAll(r, r.one[:])
	var none T // r holds on to no packet
	item, r.one[0] = r.one[0], none
	return item
}

// runAll does 1 to gather items, in the same batch, and leaves them as do has.
func (g *gatherer[T]) runAll(r *request[T], items []T) {
	r.items = items
	defer func() { r.items = nil }()
	g.mu.Lock()
	came := time.Now()
	expected := g.companyLocked(r, came)
	if g.free > 0 && g.host == nil {
		g.free--
	} else {
		g.waiting = append(g.waiting, r)
		if g.host != nil && len(g.host.items)+g.itemsLocked() >= gather {
			g.host.full <- struct{}{}
			g.host = nil
		}
		g.mu.Unlock()
		if <-r.turn == done {
			return
		}
		g.mu.Lock()
	}
	wait := g.patience - time.Since(came)
	if !expected || wait <= 0 || g.host != nil || len(items)+g.itemsLocked() >= gather {
		g.mu.Unlock()
	} else {
		g.host = r
		g.mu.Unlock()
		g.await(r, wait)
	}
	g.work(r)
}

// itemsLocked is how many items wait.
func (g *gatherer[T]) itemsLocked() (n int) {
	for _, r := range g.waiting {
		n += len(r.items)
	}
	return n
}

// busy reports whether items come often enough that the next one is near.
func (g *gatherer[T]) busy() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, n := time.Now(), 0
	for _, a := range g.came {
		if a.who != nil && now.Sub(a.at) <= lately {
			n += a.n
		}
	}
	return n >= enoughCame
}

// companyLocked notes that r has come, and reports whether others are about to.
func (g *gatherer[T]) companyLocked(r *request[T], now time.Time) bool {
	others := 0
	for _, a := range g.came {
		if a.who != nil && a.who != r && now.Sub(a.at) <= lately {
			others += a.n
		}
	}
	g.came[g.next] = arrival[T]{r, now, len(r.items)}
	g.next = (g.next + 1) % len(g.came)
	return others >= enoughCame && g.patience > 0
}

// await waits until there is company enough for r, which is the host, and no longer than d.
func (g *gatherer[T]) await(r *request[T], d time.Duration) {
	if r.limit == nil {
		r.limit = time.NewTimer(d)
	} else {
		r.limit.Reset(d)
	}
	defer r.limit.Stop()
	select {
	case <-r.full:
		return
	case <-r.limit.C:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.host == r {
		g.host = nil
		return
	}
	<-r.full // it came meanwhile
}

// work does the items of r, which has a place, and of some that wait, and
// gives the place to the next.
func (g *gatherer[T]) work(r *request[T]) {
	g.mu.Lock()
	mates := g.takeLocked(r.mates[:0], gather-len(r.items))
	g.passLocked()
	g.mu.Unlock()

	batch := append(r.batch[:0], r.items...)
	for _, m := range mates {
		batch = append(batch, m.items...)
	}
	g.do(batch)
	n := copy(r.items, batch)
	for _, m := range mates {
		n += copy(m.items, batch[n:])
		m.turn <- done // from here on it is not ours
	}
	clear(batch)
	clear(mates)

	g.mu.Lock()
	defer g.mu.Unlock()
	g.free++
	g.passLocked()
}

// passLocked gives a free place to the one that has waited longest, unless it waits for
// the host. It will do the same for the next when it has its mates.
func (g *gatherer[T]) passLocked() {
	if g.free > 0 && len(g.waiting) > 0 && g.host == nil {
		g.free--
		next := g.waiting[0]
		g.waiting = slices.Delete(g.waiting, 0, 1)
		next.turn <- work
	}
}

// takeLocked moves those that have waited longest behind list, with as many
// items as there is room for.
func (g *gatherer[T]) takeLocked(list []*request[T], room int) []*request[T] {
	n := 0
	for n < len(g.waiting) && len(g.waiting[n].items) <= room {
		room -= len(g.waiting[n].items)
		n++
	}
	list = append(list, g.waiting[:n]...)
	g.waiting = slices.Delete(g.waiting, 0, n)
	return list
}
