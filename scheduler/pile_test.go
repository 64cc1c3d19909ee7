package scheduler

import (
	"math/rand/v2"
	"slices"
	"testing"
)

type numbered struct{ n, at int }

type byN struct{}

func (byN) before(a, b *numbered) bool { return a.n < b.n }
func (byN) moved(x *numbered, at int)  { x.at = at }

// TestPile: the least is at the top, whatever is taken out, and everything
// knows where it is.
func TestPile(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	var h pile[*numbered, byN]
	for step := range 20_000 {
		var out *numbered
		switch n := rng.IntN(10); {
		case len(h) == 0 || n < 5 && len(h) < 100:
			h.push(&numbered{n: rng.IntN(1000)})
		case n < 7:
			out = h.pop()
		default:
			out = h.remove(h[rng.IntN(len(h))].at)
		}
		if out != nil && (out.at != -1 || slices.Contains(h, out)) {
			t.Fatalf("seed %d, step %d: %+v was taken out and is still there", seed, step, out)
		}
		for i, x := range h {
			if x.at != i || h[(i-1)/2].n > x.n {
				t.Fatalf("seed %d, step %d: %+v at %d, below %+v", seed, step, x, i, h[(i-1)/2])
			}
		}
	}
}
