package archive

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Spans against a plain set of ids.
func TestSpans(t *testing.T) {
	const top = 60
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	for range 300 {
		var s spans
		var model [top + 2]bool
		for range 30 {
			a, b := 1+rnd.IntN(top), 1+rnd.IntN(top)
			if rnd.IntN(3) == 0 {
				s.remove(a)
				model[a] = false
			} else {
				s.add(Span{a, min(b, a+rnd.IntN(10))})
				for id := a; id <= min(b, top); id++ {
					model[id] = model[id] || s.has(id)
				}
			}
			for i, x := range s {
				if x.From > x.To || i > 0 && s[i-1].To+1 >= x.From {
					t.Fatalf("%v is not in its form", s)
				}
			}
		}
		from, to := 1+rnd.IntN(top), 1+rnd.IntN(top)
		var want, got []int
		for id := from; id <= to; id++ {
			if model[id] != s.has(id) {
				t.Fatalf("%v has %d: %v", s, id, s.has(id))
			}
			if !model[id] {
				want = append(want, id)
			}
		}
		for _, gap := range s.gaps(Span{from, to}) {
			for id := gap.From; id <= gap.To; id++ {
				got = append(got, id)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("gaps of %v in %d to %d: %v, want %v", s, from, to, got, want)
		}
	}
}

// add against its meaning.
func TestSpansAdd(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	for range 500 {
		var s spans
		model := map[int]bool{}
		for range 12 {
			x := Span{1 + rnd.IntN(50), 0}
			x.To = x.From + rnd.IntN(8) - 1
			s.add(x)
			for id := x.From; id <= x.To; id++ {
				model[id] = true
			}
		}
		for id := range 70 {
			if s.has(id) != model[id] {
				t.Fatalf("%v has %d: %v", s, id, !model[id])
			}
		}
	}
}
