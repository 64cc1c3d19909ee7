package transfer

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tghaul/haul/mtproto/crypto"
)

// A pooledPart is memory that is spoilt when it is given back, as that of a response may be.
type pooledPart struct {
	t    *testing.T
	b    []byte
	held *atomic.Int64 // parts that are held
	over atomic.Bool
}

func (p *pooledPart) Release() {
	if p.over.Swap(true) {
		p.t.Error("released twice")
	}
	p.held.Add(-1)
	clear(p.b)
}

// Parts arrive in random order, by many at once, some of them with their bytes,
// while packets pass. The hash is right, what was held is given back, and it was never too much.
func TestFrontierHolds(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	const partSize = 256 << 10
	for range 2 {
		size := rng.IntN(20 << 20)
		f, data := noiseFile(t, rng, size)
		r := &run{tg: new(fake)}
		h, held := r.newFrontier(f, int64(size), partSize), new(atomic.Int64)
		released := h.sum.Released
		h.sum = passingHash(t)
		h.sum.Released = released
		var wg sync.WaitGroup
		limit := make(chan struct{}, 8)
		for i, n := range nearly(rng, (size+partSize-1)/partSize) {
			limit <- struct{}{}
			wg.Go(func() {
				defer func() { <-limit }()
				b := append([]byte(nil), data[n*partSize:min((n+1)*partSize, size)]...)
				if i%5 == 0 {
					h.mark(n)
				} else if p := (&pooledPart{t: t, b: b, held: held}); h.hold(n, heldPart{b, p}) {
					held.Add(1)
				}
				if now := r.holding.Load(); now > maxHeld+8*partSize { // some are about to be refused
					t.Errorf("%d bytes are held", now)
				}
				h.catchUp(t.Context())
			})
		}
		wg.Wait()
		got, err := h.result(t.Context())
		if want := sumOf(data); err != nil || got != want {
			t.Fatalf("size %d: hash %x, %v; want %x", size, got, err, want)
		}
		if held.Load() != 0 || r.holding.Load() != 0 {
			t.Errorf("%d parts are still held, %d bytes", held.Load(), r.holding.Load())
		}
	}
}

// nearly is the numbers below n in an order like that of parts on several connections.
func nearly(rng *rand.Rand, n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	for i := range order {
		k := min(n-1, i+rng.IntN(60))
		order[i], order[k] = order[k], order[i]
	}
	return order
}

// passingHash is a hash beside packets, which pass until the test ends.
func passingHash(t *testing.T) *crypto.Hash {
	s, key := crypto.NewSealer(crypto.FromClient, 0), crypto.NewAuthKey([256]byte{1})
	stop, packets := make(chan struct{}), sync.WaitGroup{}
	packets.Go(func() {
		e, buf := s.Encloser(), make([]byte, crypto.SealedSize(64<<10))
		for {
			select {
			case <-stop:
				return
			default:
				if _, _, err := e.Seal(crypto.Sealing{Key: key, Buf: buf, N: 64 << 10, Rand: zeros{}}); err != nil {
					t.Error(err)
				}
			}
		}
	})
	t.Cleanup(func() { close(stop); packets.Wait() })
	return s.NewHash()
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func noiseFile(t *testing.T, rng *rand.Rand, size int) (*os.File, []byte) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(rng.Uint32())}).Read(data) // never fails
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	return f, data
}

// What is far ahead, or too much, or there already is not held; close gives
// back what is.
func TestFrontierRefuses(t *testing.T) {
	t.Parallel()
	const partSize = 1 << 20
	r, held := &run{tg: new(fake)}, new(atomic.Int64)
	part := func() heldPart {
		b := make([]byte, partSize)
		return heldPart{b, &pooledPart{t: t, b: b, held: held}}
	}
	h := r.newFrontier(nil, 100*partSize, partSize)
	for _, tt := range []struct {
		n    int
		want bool
	}{{1, true}, {1, false}, {maxHeld / partSize, false}, {maxHeld/partSize - 1, true}, {0, true}, {0, false}} {
		got := h.hold(tt.n, part())
		if got != tt.want {
			t.Errorf("part %d is held: %v", tt.n, got)
		}
		if got {
			held.Add(1)
		}
	}
	other := r.newFrontier(nil, 100*partSize, partSize)
	for n := range 20 {
		if other.hold(n, part()) {
			held.Add(1)
		}
	}
	if got := r.holding.Load(); got != maxHeld || held.Load() != maxHeld/partSize {
		t.Errorf("two files hold %d bytes, want %d", got, maxHeld)
	}
	h.close()
	other.close()
	if r.holding.Load() != 0 || held.Load() != 0 {
		t.Errorf("%d bytes are held in the end", r.holding.Load())
	}
}

// What is read back does not count against what may be held, and when nobody hashes
// any more there is nothing left to be hashed.
func TestFrontierReadsBack(t *testing.T) {
	t.Parallel()
	const partSize = 256 << 10
	rng := rand.New(rand.NewPCG(1, 2))
	f, data := noiseFile(t, rng, 5*partSize)
	r, held := &run{tg: new(fake)}, new(atomic.Int64)
	h := r.newFrontier(f, int64(len(data)), partSize)
	for n := range 4 {
		h.mark(n)
	}
	if !h.readBack(t.Context()) || h.sum.Left() != readAhead || r.holding.Load() != 0 {
		t.Errorf("%d bytes are read back, want %d, and %d are held", h.sum.Left(), readAhead, r.holding.Load())
	}
	b := append([]byte(nil), data[4*partSize:]...)
	if held.Add(1); !h.hold(4, heldPart{b, &pooledPart{t: t, b: b, held: held}}) || r.holding.Load() != partSize {
		t.Errorf("%d bytes are held, want %d", r.holding.Load(), partSize)
	}
	h.catchUp(t.Context())
	if h.moreToDo() || held.Load() != 0 || r.holding.Load() != 0 || h.next != 5 {
		t.Errorf("after catching up %d parts are queued, %d held", h.next, held.Load())
	}
	if got, err := h.result(t.Context()); err != nil || got != sumOf(data) {
		t.Errorf("hash %x, %v", got, err)
	}
}

// A file that cannot be read back is an error, whatever is held.
func TestFrontierBroken(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, err := range []error{broken, io.EOF} {
		r, held := &run{tg: new(fake)}, new(atomic.Int64)
		h := r.newFrontier(brokenFile{err}, 3000, 1000)
		h.mark(0)
		b := make([]byte, 1000)
		h.hold(1, heldPart{b, &pooledPart{t: t, b: b, held: held}})
		h.catchUp(t.Context())
		h.mark(2)
		_, got := h.result(t.Context())
		if want := map[error]error{broken: broken, io.EOF: io.ErrUnexpectedEOF}[err]; !errors.Is(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		h.close()
		if r.holding.Load() != 0 {
			t.Errorf("%d bytes are held in the end", r.holding.Load())
		}
	}
}

type brokenFile struct{ err error }

func (f brokenFile) ReadAt([]byte, int64) (int, error) { return 0, f.err }
