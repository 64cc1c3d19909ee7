package filehash

import (
	"crypto/sha256"
	"hash"
	"math/rand/v2"
	"testing"
	"time"
)

// Pieces of any length are hashed as the standard library does it.
func TestHash(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	data := make([]byte, 5*sliceBytes)
	for i := range data {
		data[i] = byte(rnd.Uint32())
	}
	for range 50 {
		all := data[:rnd.IntN(len(data)+1)]
		h := New()
		for rest := all; len(rest) > 0; {
			n := 1 + rnd.IntN(len(rest))
			if got, err := h.Write(rest[:n]); got != n || err != nil {
				t.Fatalf("wrote %d of %d bytes: %v", got, n, err)
			}
			rest = rest[n:]
		}
		if got, want := [32]byte(h.Sum(nil)), sha256.Sum256(all); got != want {
			t.Fatalf("%d bytes: got %x, want %x", len(all), got, want)
		}
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

func TestSlices(t *testing.T) {
	l := new(longest)
	if n, err := (sliced{l}).Write(make([]byte, 3*sliceBytes+1)); n != 3*sliceBytes+1 || err != nil {
		t.Errorf("wrote %d bytes: %v", n, err)
	}
	if l.n != sliceBytes {
		t.Errorf("%d bytes at once, want %d", l.n, sliceBytes)
	}
}

// BenchmarkHash hashes 256 KiB with this package and with the standard
// library, in turns, and gives the rates of the fastest turns and their ratio.
func BenchmarkHash(b *testing.B) {
	data := make([]byte, 256<<10)
	ours, theirs := New(), sha256.New()
	best := [2]time.Duration{time.Hour, time.Hour}
	for b.Loop() {
		for i, h := range []hash.Hash{ours, theirs} {
			start := time.Now()
			_, _ = h.Write(data)
			best[i] = min(best[i], time.Since(start))
		}
	}
	rate := func(d time.Duration) float64 { return float64(len(data)) / (1 << 20) / d.Seconds() }
	b.ReportMetric(rate(best[0]), "MiB/s")
	b.ReportMetric(rate(best[1]), "MiB/s-standard")
	b.ReportMetric(rate(best[0])/rate(best[1]), "ratio")
}
