package crypto

import (
	"bytes"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// Who is alone is served at once; who comes while others work waits, and is
// served with those that wait too, in their order.
func TestGatherer(t *testing.T) {
	for _, tt := range []struct {
		name    string
		places  int
		waiting int // that come while all places are taken
		batches [][]int
	}{
		{"alone", 1, 0, [][]int{{0}}},
		{"one waits", 1, 1, [][]int{{0}, {1}}},
		{"as many as go together", 1, 4, [][]int{{0}, {1, 2, 3, 4}}},
		{"more than go together", 1, 6, [][]int{{0}, {1, 2, 3, 4}, {5, 6}}},
		{"two places", 2, 5, [][]int{{0}, {1}, {2, 3, 4, 5}, {6}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var batches [][]int
				goOn := make(chan struct{})
				g := gatherer[int]{free: tt.places, do: func(batch []int) {
					mu.Lock()
					batches = append(batches, slices.Clone(batch))
					mu.Unlock()
					<-goOn
					for i := range batch {
						batch[i] = -batch[i]
					}
				}}
				var group sync.WaitGroup
				for i := range tt.places + tt.waiting {
					group.Go(func() {
						if got := g.run(newRequest[int](), i); got != -i {
							t.Errorf("%d became %d", i, got)
						}
					})
					synctest.Wait()
				}
				if len(batches) != tt.places {
					t.Errorf("%d work at the same time, want %d", len(batches), tt.places)
				}
				for range tt.batches {
					goOn <- struct{}{}
					synctest.Wait()
				}
				group.Wait()
				if !slices.EqualFunc(batches, tt.batches, slices.Equal) {
					t.Errorf("done together: %v, want %v", batches, tt.batches)
				}
				if g.free != tt.places || len(g.waiting) != 0 {
					t.Errorf("%d places are free of %d, %d wait", g.free, tt.places, len(g.waiting))
				}
			})
		})
	}
}

// Many at once: each gets its own item back, and no more work than there are places.
func TestGathererCrowd(t *testing.T) {
	const places, goroutines, items = 3, 12, 300
	var working atomic.Int64
	g := gatherer[[2]int]{free: places, do: func(batch [][2]int) {
		if n := working.Add(1); n > places {
			t.Errorf("%d work at the same time", n)
		}
		if len(batch) == 0 || len(batch) > gather {
			t.Errorf("%d items together", len(batch))
		}
		for i := range batch {
			batch[i][1] = batch[i][0] + 1
		}
		working.Add(-1)
	}}
	var group sync.WaitGroup
	for k := range goroutines {
		group.Go(func() {
			r := newRequest[[2]int]()
			for i := range items {
				item := k*items + i
				if got := g.run(r, [2]int{item}); got != [2]int{item, item + 1} {
					t.Errorf("%d became %v", item, got)
				}
			}
		})
	}
	group.Wait()
	if g.free != places || len(g.waiting) != 0 {
		t.Errorf("%d places are free of %d, %d wait", g.free, places, len(g.waiting))
	}
}

// Packets of several sessions, with keys of their own, large and small, good
// and bad, through one Sealer: each is as it would be alone.
func TestSealer(t *testing.T) {
	s := NewSealer(FromClient, Patience)
	s.opens.free, s.seals.free = 1, 1 // so that some wait
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	var group sync.WaitGroup
	for k := range 6 {
		group.Go(func() {
			rnd := mathrand.New(mathrand.NewPCG(seed, uint64(k)))
			key := NewAuthKey([256]byte{byte(k)})
			open, seal := s.Opener(), s.Encloser()
			for i := range 20 {
				n := 4 * rnd.IntN(4*smallPacket/4)
				if i%5 == 0 {
					n = smallPacket - 40 + 4*rnd.IntN(20)
				}
				plain := bytes.Repeat([]byte{byte(i)}, n)
				buf := make([]byte, SealedSize(n))
				copy(buf[PacketHeader:], plain)
				packet, _, err := seal.Seal(Sealing{Key: key, Buf: buf, N: n, Rand: rand.Reader})
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := key.Open(bytes.Clone(packet), FromClient); err != nil || !bytes.HasPrefix(got, plain) {
					t.Errorf("%d bytes are not sealed right: %v", n, err)
				}
				copy(buf[PacketHeader:], plain)
				if packet, _, err = key.Seal(buf, n, FromServer, 0, rand.Reader); err != nil {
					t.Error(err)
					return
				}
				bad := rnd.IntN(3) == 0
				if bad {
					packet[8+rnd.IntN(len(packet)-8)] ^= 1
				}
				got, err := open.Open(key, packet)
				if errors.Is(err, ErrMsgKey) != bad || (err == nil) == bad || bad != (got == nil) || !bad && !bytes.HasPrefix(got, plain) {
					t.Errorf("packet of %d bytes, bad: %v; got %d bytes, %v", n, bad, len(got), err)
				}
			}
		})
	}
	group.Wait()
}

// BenchmarkSealer opens packets of 1 MiB for eight connections, after a copy that
// stands for reading, each for itself and gathered; it says how many were opened together.
func BenchmarkSealer(b *testing.B) {
	const connections, size = 8, 1 << 20
	key := NewAuthKey([256]byte{1})
	sealed, _, err := key.Seal(make([]byte, SealedSize(size)), size, FromServer, 0, rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	for _, gathered := range []bool{false, true} {
		name := map[bool]string{false: "alone", true: "gathered"}[gathered]
		b.Run(name, func(b *testing.B) {
			s := NewSealer(FromClient, Patience)
			var batches atomic.Int64
			do := s.opens.do
			s.opens.do = func(batch []Packet) {
				batches.Add(1)
				do(batch)
			}
			b.SetBytes(size)
			b.ReportAllocs()
			b.SetParallelism((connections + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
			b.RunParallel(func(pb *testing.PB) {
				buf, r := make([]byte, len(sealed)), s.Opener()
				for pb.Next() {
					copy(buf, sealed)
					var err error
					if gathered {
						_, err = r.Open(key, buf)
					} else {
						_, err = key.Open(buf, FromServer)
					}
					if err != nil {
						b.Error(err)
					}
				}
			})
			if n := batches.Load(); n > 0 {
				b.ReportMetric(float64(b.N)/float64(n), "together")
			}
		})
	}
}
