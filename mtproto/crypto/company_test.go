package crypto

import (
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Company is waited for only by those who can expect it, never for longer than
// patience, and no longer than until there is enough of it.
func TestCompany(t *testing.T) {
	a, b, c, d, e := 0, 1, 2, 3, 4
	at := func(ms ...int) (list []time.Duration) {
		for _, n := range ms {
			list = append(list, time.Duration(n)*time.Millisecond)
		}
		return list
	}
	for _, tt := range []struct {
		name  string
		who   []int           // comes
		when  []time.Duration // in ascending order
		waits []time.Duration // how long each is there
	}{
		{"one alone, often", []int{a, a, a, a, a, a}, at(0, 1, 2, 3, 4, 5), at(0, 0, 0, 0, 0, 0)},
		{"one other is not enough", []int{a, b, a}, at(0, 1, 2), at(0, 0, 0)},
		{"two others came, and nobody comes", []int{a, b, c}, at(0, 1, 2), at(0, 0, 4)},
		{"the same other came twice", []int{a, a, b}, at(0, 1, 2), at(0, 0, 4)},
		{"they came long ago", []int{a, b, c}, at(0, 1, 22), at(0, 0, 0)},
		{"one joins in time", []int{a, b, c, d}, at(0, 1, 2, 5), at(0, 0, 4, 1)},
		{"enough join", []int{a, b, c, d, e, a}, at(0, 1, 2, 3, 4, 5), at(0, 0, 3, 2, 1, 0)},
		{"who comes after that begins anew", []int{a, b, c, d, e, a, b}, at(0, 1, 2, 3, 4, 5, 6), at(0, 0, 3, 2, 1, 0, 4)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := gatherer[int]{free: 1, patience: Patience, do: func([]int) {}}
				requests := map[int]*request[int]{}
				for _, who := range tt.who {
					if requests[who] == nil {
						requests[who] = newRequest[int]()
					}
				}
				start := time.Now()
				var group sync.WaitGroup
				for i, who := range tt.who {
					time.Sleep(time.Until(start.Add(tt.when[i])))
					group.Go(func() {
						came := time.Now()
						g.run(requests[who], i)
						if took := time.Since(came); took != tt.waits[i] {
							t.Errorf("visit %d, of %d after %v, takes %v, want %v", i, who, tt.when[i], took, tt.waits[i])
						}
					})
					synctest.Wait()
				}
				group.Wait()
				if g.free != 1 || len(g.waiting) != 0 || g.host != nil {
					t.Errorf("%d places are free of 1, %d wait, host %p", g.free, len(g.waiting), g.host)
				}
			})
		})
	}
}

// With two places, who waits for company keeps nobody from the other one for
// longer than that, and everybody gets his item back.
func TestCompanyCrowd(t *testing.T) {
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	synctest.Test(t, func(t *testing.T) {
		const places = 2
		var working atomic.Int64
		g := gatherer[int]{free: places, patience: Patience}
		g.do = func(batch []int) {
			if n := working.Add(1); n > places {
				t.Errorf("%d work at the same time", n)
			}
			time.Sleep(time.Millisecond)
			for i := range batch {
				batch[i] = -batch[i]
			}
			working.Add(-1)
		}
		var group sync.WaitGroup
		for k := range 12 {
			group.Go(func() {
				rnd := mathrand.New(mathrand.NewPCG(seed, uint64(k)))
				r := newRequest[int]()
				for i := range 200 {
					time.Sleep(time.Duration(rnd.IntN(30_000)) * time.Microsecond)
					came := time.Now()
					if got := g.run(r, i); got != -i {
						t.Errorf("%d became %d", i, got)
					}
					// Two batches before the own one, and the wait for company.
					if took := time.Since(came); took > Patience+5*time.Millisecond {
						t.Errorf("item %d of %d took %v", i, k, took)
					}
				}
			})
		}
		group.Wait()
		if g.free != places || len(g.waiting) != 0 || g.host != nil {
			t.Errorf("%d places are free of %d, %d wait, host %p", g.free, places, len(g.waiting), g.host)
		}
	})
}

// BenchmarkCompany opens packets of 1 MiB that come by chance over eight connections, as
// many a second as the name says, with and without waiting for company: how
// many were opened together, how long a packet took from its arrival, and
// how long opening itself took.
func BenchmarkCompany(b *testing.B) {
	const connections, size = 8, 1 << 20
	key := NewAuthKey([256]byte{1})
	sealed, _, err := key.Seal(make([]byte, SealedSize(size)), size, FromServer, 0, rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	for _, rate := range []int{25, 100, 200, 400} {
		for _, wait := range []time.Duration{0, Patience} {
			b.Run(fmt.Sprintf("%d/%v", rate, wait), func(b *testing.B) {
				s := NewSealer(FromClient, Patience)
				s.opens.patience = wait
				var batches, busy, inside, left atomic.Int64
				do := s.opens.do
				s.opens.do = func(batch []Packet) {
					start := time.Now()
					do(batch)
					busy.Add(int64(time.Since(start)))
					batches.Add(1)
				}
				left.Store(int64(b.N))
				var group sync.WaitGroup
				for k := range connections {
					group.Go(func() {
						rnd := mathrand.New(mathrand.NewPCG(1, uint64(k)))
						buf, r := make([]byte, len(sealed)), s.Opener()
						for left.Add(-1) >= 0 {
							time.Sleep(time.Duration(rnd.ExpFloat64() * float64(connections) / float64(rate) * float64(time.Second)))
							copy(buf, sealed)
							came := time.Now()
							if _, err := r.Open(key, buf); err != nil {
								b.Error(err)
							}
							inside.Add(int64(time.Since(came)))
						}
					})
				}
				group.Wait()
				n := float64(b.N)
				b.ReportMetric(n/float64(batches.Load()), "together")
				b.ReportMetric(float64(inside.Load())/n/1e6, "ms-from-arrival")
				b.ReportMetric(float64(busy.Load())/n/1e6, "ms-opening")
			})
		}
	}
}
