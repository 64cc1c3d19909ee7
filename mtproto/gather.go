package mtproto

import (
	"runtime"
	"slices"
	"sync"

	"github.com/tghaul/haul/mtproto/crypto"
)

// Packets of several connections are encrypted and decrypted together, for
// that costs a third to a half of doing one after the other. Whoever has a
// packet comes with it to a gatherer:
//
//	1. if a worker's place is free he takes it, and does his own packet and
//	   those that wait, four in all. Nobody waits for company
//	2. else he waits. A worker on his way out either has done his packet
//	   too, or gives him the place
//
// There is half a place for each core: the other half of the cores reads and
// writes meanwhile, so that packets come to wait when there are many, and only then.

// smallPacket is the length in bytes up to which a packet goes by itself: it
// takes less time than what it might have to wait for.
const smallPacket = 16 << 10

// A Sealer encrypts and decrypts the packets of all sessions that share it.
type Sealer struct {
	opens gatherer[crypto.Packet]
	seals gatherer[crypto.Sealing]
}

// NewSealer returns a Sealer for any number of sessions.
func NewSealer() *Sealer {
	places := runtime.GOMAXPROCS(0)
	if crypto.AtOnce() > 1 {
		places = max(1, places/2)
	}
	s := new(Sealer)
	s.opens.free, s.opens.do = places, func(batch []crypto.Packet) { crypto.OpenAll(batch, crypto.FromServer) }
	s.seals.free, s.seals.do = places, func(batch []crypto.Sealing) { crypto.SealAll(batch, crypto.FromClient) }
	return s
}

// open is crypto.AuthKey.Open for a client. r is the caller's own.
func (s *Sealer) open(r *request[crypto.Packet], key *crypto.AuthKey, packet []byte) ([]byte, error) {
	if len(packet) <= smallPacket {
		return key.Open(packet, crypto.FromServer)
	}
	p := s.opens.run(r, crypto.Packet{Key: key, Bytes: packet})
	return p.Plaintext, p.Err
}

// seal is crypto.AuthKey.Seal for a client, with as little padding as possible.
func (s *Sealer) seal(r *request[crypto.Sealing], sealing crypto.Sealing) ([]byte, error) {
	if sealing.N <= smallPacket {
		packet, _, err := sealing.Key.Seal(sealing.Buf, sealing.N, crypto.FromClient, 0, sealing.Rand)
		return packet, err
	}
	sealing = s.seals.run(r, sealing)
	return sealing.Packet, sealing.Err
}

// gather is how many items are done together.
const gather = crypto.MaxAtOnce

// A gatherer does items of several goroutines together.
type gatherer[T any] struct {
	do func(batch []T)

	mu sync.Mutex
	// free is how many more may work at the same time. If it is not 0, nobody waits.
	free    int
	waiting []*request[T] // in the order in which they came
}

// A request is what one goroutine brings, again and again. While it waits, a
// worker owns it.
type request[T any] struct {
	item  T
	turn  chan turn // of size 1: a worker never waits for those whose items he did
	batch []T       // empty; memory for when it works
	mates []*request[T]
}

func newRequest[T any]() *request[T] {
	return &request[T]{turn: make(chan turn, 1), batch: make([]T, 0, gather), mates: make([]*request[T], 0, gather-1)}
}

// A turn is how waiting ends.
type turn int

const (
	done turn = iota // the item was done by another
	work             // the place is the waiting one's own now
)

// run does item, and returns it as do has left it.
func (g *gatherer[T]) run(r *request[T], item T) T {
	r.item = item
	g.mu.Lock()
	if g.free > 0 {
		g.free--
		g.mu.Unlock()
		g.work(r)
	} else {
		g.waiting = append(g.waiting, r)
		g.mu.Unlock()
		if <-r.turn == work {
			g.work(r)
		}
	}
	var none T // r holds on to no packet
	item, r.item = r.item, none
	return item
}

// work does the items of r, which has a place, and of some that wait, and
// gives the place to the next.
func (g *gatherer[T]) work(r *request[T]) {
	g.mu.Lock()
	mates := g.takeLocked(r.mates[:0], gather-1)
	g.mu.Unlock()

	batch := append(r.batch[:0], r.item)
	for _, m := range mates {
		batch = append(batch, m.item)
	}
	g.do(batch)
	r.item = batch[0]
	for i, m := range mates {
		m.item = batch[i+1]
		m.turn <- done // from here on it is not ours
	}
	clear(batch)
	clear(mates)

	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.free++
		return
	}
	next := g.takeLocked(r.mates[:0], 1)
	next[0].turn <- work
	clear(next)
}

// takeLocked moves those that have waited longest, up to n, behind list.
func (g *gatherer[T]) takeLocked(list []*request[T], n int) []*request[T] {
	n = min(n, len(g.waiting))
	list = append(list, g.waiting[:n]...)
	g.waiting = slices.Delete(g.waiting, 0, n)
	return list
}
