package crypto

import (
	"crypto/rand"
	"crypto/sha256"
	"hash"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto/internal/ige"
)

// A counted piece is released once, in its turn.
type counted struct {
	t    *testing.T
	n    int
	over *atomic.Int64 // how many were released before
}

func (c counted) Release() {
	if got := c.over.Add(1) - 1; got != int64(c.n) {
		c.t.Errorf("piece %d is released as number %d", c.n, got)
	}
}

func noise(rnd *mathrand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

func seeded(t *testing.T, stream uint64) *mathrand.Rand {
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	return mathrand.New(mathrand.NewPCG(seed, stream))
}

// sealedPacket is one that an Opener of a client takes.
func sealedPacket(t testing.TB, key *AuthKey, n int) []byte {
	packet, _, err := key.Seal(make([]byte, SealedSize(n)), n, FromServer, 0, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

// Files of pieces of all lengths, some written and some queued, while packets
// pass or none do, are hashed as the standard library does it. Every piece is
// released, and nothing changes it.
func TestHash(t *testing.T) {
	rnd := seeded(t, 1)
	s := NewSealer(FromClient, 0)
	key := NewAuthKey([256]byte{1})
	sealed := sealedPacket(t, key, 64<<10)
	data := noise(rnd, 3<<20)
	for round := range 6 {
		stop, packets := make(chan struct{}), sync.WaitGroup{}
		for range round % 4 {
			packets.Go(func() {
				o, buf := s.Opener(), make([]byte, len(sealed))
				for {
					select {
					case <-stop:
						return
					default:
					}
					copy(buf, sealed)
					if _, err := o.Open(key, buf); err != nil {
						t.Error(err)
					}
				}
			})
		}
		var files sync.WaitGroup
		for file := range 3 {
			rnd := mathrand.New(mathrand.NewPCG(rnd.Uint64(), uint64(file)))
			files.Go(func() {
				h, want, over := s.NewHash(), sha256.New(), new(atomic.Int64)
				for n := range 20 {
					b := data[:rnd.IntN(1<<(1+rnd.IntN(20)))+1]
					if rnd.IntN(2) == 0 {
						b = data[:64*rnd.IntN(1<<14)+128<<10]
					}
					want.Write(b)
					h.Append(b, counted{t, n, over})
					if rnd.IntN(3) == 0 {
						h.Wait(int64(rnd.IntN(2)) << 20)
					}
					if h.Left() == 0 && rnd.IntN(2) == 0 {
						want.Write(data[:100])
						_, _ = h.Write(data[:100])
					}
				}
				if got := h.Finish(); got != [32]byte(want.Sum(nil)) {
					t.Errorf("hashed %x, want %x", got, want.Sum(nil))
				}
				if over.Load() != 20 || h.Left() != 0 {
					t.Errorf("%d pieces of 20 were released, %d bytes are left", over.Load(), h.Left())
				}
			})
		}
		files.Wait()
		close(stop)
		packets.Wait()
	}
	if s.streams.any.Load() || len(s.streams.waiting)+len(s.streams.out) != 0 {
		t.Error("a hash is still lent")
	}
}

// Pieces of any length are hashed in slices, and as the standard library does it.
func TestHashWrite(t *testing.T) {
	rnd := seeded(t, 1)
	data := noise(rnd, 5*sliceBytes)
	for range 50 {
		all := data[:rnd.IntN(len(data)+1)]
		h := NewHash()
		for rest := all; len(rest) > 0; {
			n := 1 + rnd.IntN(len(rest))
			if got, err := h.Write(rest[:n]); got != n || err != nil {
				t.Fatalf("wrote %d of %d bytes: %v", got, n, err)
			}
			rest = rest[n:]
		}
		if got, want := h.Finish(), sha256.Sum256(all); got != want {
			t.Fatalf("%d bytes: got %x, want %x", len(all), got, want)
		}
	}
	l := new(longest)
	h := newHash(nil, l)
	_, _ = h.Write(make([]byte, 3*sliceBytes+1))
	if l.n != sliceBytes {
		t.Errorf("%d bytes at once, want %d", l.n, sliceBytes)
	}
}

// A longest records the longest piece.
type longest struct {
	hash.Hash
	n int
}

func (l *longest) Write(b []byte) (int, error) {
	l.n = max(l.n, len(b))
	return len(b), nil
}

// passing has n large packets pass through s.
func passing(t *testing.T, s *Sealer, n int) {
	key := NewAuthKey([256]byte{1})
	o := s.Opener()
	for range n {
		if _, err := o.Open(key, sealedPacket(t, key, 256<<10)); err != nil {
			t.Error(err)
		}
	}
}

type nobody struct{}

func (nobody) Release() {}

// Bytes wait for packets if some have just passed, are hashed beside the next, and
// alone if none comes in time. What is not worth it never waits.
func TestHashWaits(t *testing.T) {
	if !ige.Besides() {
		t.Skip("nothing is hashed beside packets on this CPU")
	}
	const piece = 256 << 10
	for _, tt := range []struct {
		name   string
		before int           // packets that pass first
		ago    time.Duration // when
		write  int           // bytes that are written first
		piece  int
		next   time.Duration // when two packets pass; 0: never
		wait   int64         // until no more is left
		waits  time.Duration
	}{
		{"no packets", 0, 0, 0, piece, 0, 0, 0},
		{"one packet", 1, 0, 0, piece, 0, 0, 0},
		{"packets long ago", 2, lately + 1, 0, piece, 0, 0, 0},
		{"packets just now", 2, lately, 0, piece, 0, 0, hashPatience},
		{"another comes", 2, 0, 0, piece, time.Millisecond, 0, time.Millisecond},
		{"too short", 2, 0, 0, minPiece - 1, time.Millisecond, 0, 0},
		{"not at a border", 2, 0, 100, piece, time.Millisecond, 0, 0},
		{"at one", 2, 0, 128, piece, time.Millisecond, 0, time.Millisecond},
		{"as much as may be left", 2, 0, 0, piece, 0, piece, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := NewSealer(FromClient, 0)
				passing(t, s, tt.before)
				time.Sleep(tt.ago)
				h := s.NewHash()
				_, _ = h.Write(make([]byte, tt.write))
				h.Append(make([]byte, tt.piece), nobody{})
				start := time.Now()
				if tt.next > 0 {
					time.AfterFunc(tt.next, func() { passing(t, s, 2) })
				}
				h.Wait(tt.wait)
				if took := time.Since(start); took != tt.waits {
					t.Errorf("took %v, want %v", took, tt.waits)
				}
				if got, want := h.Finish(), sha256.Sum256(make([]byte, tt.write+tt.piece)); got != want {
					t.Errorf("hashed %x, want %x", got, want)
				}
				time.Sleep(time.Second) // the packets end
			})
		})
	}
}

// Finish and Close wait for nobody.
func TestHashEnds(t *testing.T) {
	if !ige.Besides() {
		t.Skip("nothing is hashed beside packets on this CPU")
	}
	for name, end := range map[string]func(h *Hash){
		"finish": func(h *Hash) {
			if got, want := h.Finish(), sha256.Sum256(make([]byte, 2<<20)); got != want {
				t.Errorf("hashed %x, want %x", got, want)
			}
		},
		"close": func(h *Hash) { h.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, over := NewSealer(FromClient, 0), new(atomic.Int64)
				passing(t, s, 2)
				h := s.NewHash()
				h.Append(make([]byte, 1<<20), counted{t, 0, over})
				h.Append(make([]byte, 1<<20), counted{t, 1, over})
				if !h.lend() {
					t.Fatal("not lent")
				}
				start := time.Now()
				end(h)
				if took := time.Since(start); took != 0 || over.Load() != 2 || h.Left() != 0 {
					t.Errorf("took %v, %d of 2 pieces are released, %d bytes left", took, over.Load(), h.Left())
				}
			})
		})
	}
}

// Who has waited longest is taken first, and goes on first.
func TestStreamsInTurn(t *testing.T) {
	if !ige.Besides() {
		t.Skip("nothing is hashed beside packets on this CPU")
	}
	synctest.Test(t, streamsInTurn) // packets count as passing for 20 ms, which a busy machine lets go by
}

func streamsInTurn(t *testing.T) {
	s := NewSealer(FromClient, 0)
	passing(t, s, 2)
	var hashes [3]*Hash
	for i := range hashes {
		hashes[i] = s.NewHash()
		hashes[i].Append(make([]byte, 1<<20), nobody{})
		if !hashes[i].lend() {
			t.Fatal("not lent")
		}
	}
	first := s.streams.Take()
	second := s.streams.Take()
	if first != &hashes[0].stream || second != &hashes[1].stream {
		t.Error("not in the order in which they came")
	}
	s.streams.Put(second)
	if got := s.streams.Take(); got != second {
		t.Error("one that was begun has to wait again")
	}
	first.Data = nil
	s.streams.Put(first)
	if !hashes[0].isHome() || hashes[1].isHome() {
		t.Error("only what is used up goes home")
	}
	s.streams.Put(second)
	for _, h := range hashes {
		h.Close()
	}
}

// BenchmarkHash hashes 256 KiB with sha256-simd and with the standard
// library, in turns, and gives the rates of the fastest turns and their ratio.
func BenchmarkHash(b *testing.B) {
	data := make([]byte, 256<<10)
	ours, theirs := NewHash(), sha256.New()
	best := [2]time.Duration{time.Hour, time.Hour}
	for b.Loop() {
		for i, w := range []interface{ Write([]byte) (int, error) }{ours, theirs} {
			start := time.Now()
			_, _ = w.Write(data)
			best[i] = min(best[i], time.Since(start))
		}
	}
	rate := func(d time.Duration) float64 { return float64(len(data)) / (1 << 20) / d.Seconds() }
	b.ReportMetric(rate(best[0]), "MiB/s")
	b.ReportMetric(rate(best[1]), "MiB/s-standard")
	b.ReportMetric(rate(best[0])/rate(best[1]), "ratio")
}
