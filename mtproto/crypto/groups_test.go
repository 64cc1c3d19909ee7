package crypto

import (
	"bytes"
	"crypto/rand"
	mathrand "math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Items that come together are done together, with others as long as there is room.
func TestGathererGroups(t *testing.T) {
	for _, tt := range []struct {
		name    string
		groups  []int // sizes; the first takes the only place, the others come while it works
		batches [][]int
	}{
		{"a group alone", []int{3}, [][]int{{0, 1, 2}}},
		{"two groups fit", []int{1, 2, 2}, [][]int{{0}, {1, 2, 3, 4}}},
		{"the second does not fit", []int{1, 2, 3, 1}, [][]int{{0}, {1, 2}, {3, 4, 5, 6}}},
		{"a full group", []int{4, 4, 1}, [][]int{{0, 1, 2, 3}, {4, 5, 6, 7}, {8}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var batches [][]int
				goOn := make(chan struct{})
				g := gatherer[int]{free: 1, do: func(batch []int) {
					batches = append(batches, slices.Clone(batch))
					<-goOn
					for i := range batch {
						batch[i] = -batch[i]
					}
				}}
				var group sync.WaitGroup
				next := 0
				for _, size := range tt.groups {
					var items, want []int
					for range size {
						items, want = append(items, next), append(want, -next)
						next++
					}
					group.Go(func() {
						if g.runAll(newRequest[int](), items); !slices.Equal(items, want) {
							t.Errorf("became %v, want %v", items, want)
						}
					})
					synctest.Wait()
				}
				for range tt.batches {
					goOn <- struct{}{}
					synctest.Wait()
				}
				group.Wait()
				if !slices.EqualFunc(batches, tt.batches, slices.Equal) {
					t.Errorf("done together: %v, want %v", batches, tt.batches)
				}
				if g.free != 1 || len(g.waiting) != 0 {
					t.Errorf("%d places are free of 1, %d wait", g.free, len(g.waiting))
				}
			})
		})
	}
}

// Groups count as many items as they have, and who gets a place from another
// waits for company like who found one free; but nobody for longer than patience
// since he came.
func TestGroupCompany(t *testing.T) {
	ms := time.Millisecond
	type visit struct{ at, size, there int } // when, how many items, and how long: in ms
	for _, tt := range []struct {
		name   string
		places int
		works  int // how long a batch takes
		visits []visit
	}{
		{"a full group waits for nobody", 1, 0, []visit{{0, 1, 0}, {1, 1, 0}, {2, 4, 0}}},
		{"a group makes the company full", 1, 0, []visit{{0, 1, 0}, {1, 1, 0}, {2, 1, 2}, {4, 3, 0}}},
		{"another that came with two is company", 1, 0, []visit{{0, 2, 0}, {1, 1, 4}}},
		{"not yet full", 1, 0, []visit{{0, 1, 0}, {1, 1, 0}, {2, 1, 4}, {4, 2, 2}}},
		{"who gets a place waits", 1, 3, []visit{{0, 1, 3}, {1, 1, 5}, {4, 1, 7}, {7, 1, 4}}},
		{"who gets a place has waited enough", 1, 6, []visit{{0, 2, 6}, {1, 1, 11}, {2, 1, 10}}},
		{"who does not fit takes the free place", 2, 6, []visit{{0, 1, 6}, {1, 1, 6}, {8, 2, 7}, {9, 3, 10}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := gatherer[int]{free: tt.places, patience: 4 * ms, do: func([]int) { time.Sleep(time.Duration(tt.works) * ms) }}
				start := time.Now()
				var group sync.WaitGroup
				for i, v := range tt.visits {
					time.Sleep(time.Until(start.Add(time.Duration(v.at) * ms)))
					group.Go(func() {
						came := time.Now()
						g.runAll(newRequest[int](), make([]int, v.size))
						if took := time.Since(came); took != time.Duration(v.there)*ms {
							t.Errorf("visit %d, of %d items after %d ms, takes %v, want %d ms", i, v.size, v.at, took, v.there)
						}
					})
					synctest.Wait()
				}
				group.Wait()
				if g.free != tt.places || len(g.waiting) != 0 || g.host != nil {
					t.Errorf("%d places are free of %d, %d wait, host %p", g.free, tt.places, len(g.waiting), g.host)
				}
			})
		})
	}
}

// Between getting a place from another and looking whether to wait for company,
// anything may happen: somebody who has just come can take another place and wait
// for company already. Nobody may be forgotten then.
func TestGatherersRace(t *testing.T) {
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	for round := range 6 {
		places := 2 + round%2
		g := gatherer[int]{free: places, patience: 200 * time.Microsecond, do: func(batch []int) {
			for i := range batch {
				batch[i] = -batch[i]
			}
			runtime.Gosched()
		}}
		var group sync.WaitGroup
		for k := range 8 {
			group.Go(func() {
				rnd := mathrand.New(mathrand.NewPCG(seed, uint64(8*round+k)))
				r := newRequest[int]()
				for range 2000 {
					items := []int{1, 2, 3, 4}[:1+rnd.IntN(gather)]
					g.runAll(r, items)
					for i, got := range items {
						if got != -i-1 {
							t.Errorf("%d became %d", i+1, got)
						}
					}
				}
			})
		}
		left := make(chan struct{})
		go func() {
			group.Wait()
			close(left)
		}()
		select {
		case <-left:
		case <-time.After(time.Minute):
			t.Fatalf("round %d: somebody waits for ever", round) // perhaps with the lock
		}
		if g.free != places || len(g.waiting) != 0 || g.host != nil {
			t.Errorf("%d places are free of %d, %d wait, host %p", g.free, places, len(g.waiting), g.host)
		}
	}
}

// Items count, not those who bring them.
func TestBusy(t *testing.T) {
	for _, tt := range []struct {
		name  string
		sizes []int // of the groups that come, one after the other
		idle  time.Duration
		want  bool
	}{
		{"nobody came", nil, 0, false},
		{"one", []int{1}, 0, false},
		{"two at once", []int{2}, 0, true},
		{"two", []int{1, 1}, 0, true},
		{"just lately", []int{2}, lately, true},
		{"long ago", []int{2}, lately + 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := gatherer[int]{free: 1, do: func([]int) {}}
				for _, size := range tt.sizes {
					g.runAll(newRequest[int](), make([]int, size))
				}
				time.Sleep(tt.idle)
				if got := g.busy(); got != tt.want {
					t.Errorf("busy: %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// Packets of several sessions, some at a time, through one Sealer: each is as
// it would be alone.
func TestSealAllTogether(t *testing.T) {
	s := NewSealer(FromServer, Patience)
	s.seals.free = 1 // so that some wait
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	var group sync.WaitGroup
	for k := range 5 {
		group.Go(func() {
			rnd := mathrand.New(mathrand.NewPCG(seed, uint64(k)))
			key := NewAuthKey([256]byte{byte(k)})
			seal := s.Encloser()
			for i := range 15 {
				all := make([]Sealing, 1+rnd.IntN(MaxAtOnce))
				for j := range all {
					n := smallPacket + 4 + 4*rnd.IntN(smallPacket)
					if rnd.IntN(8) == 0 {
						n = 4 * rnd.IntN(100)
					}
					buf := make([]byte, SealedSize(n))
					copy(buf[PacketHeader:], bytes.Repeat([]byte{byte(i + j)}, n))
					all[j] = Sealing{Key: key, Buf: buf, N: n, Rand: rand.Reader}
				}
				seal.SealAll(all)
				for j, p := range all {
					want := bytes.Repeat([]byte{byte(i + j)}, p.N)
					if got, err := key.Open(p.Packet, FromServer); p.Err != nil || err != nil || !bytes.HasPrefix(got, want) {
						t.Errorf("packet %d of %d, of %d bytes: %v, %v", j, len(all), p.N, p.Err, err)
					}
				}
			}
		})
	}
	group.Wait()
}
