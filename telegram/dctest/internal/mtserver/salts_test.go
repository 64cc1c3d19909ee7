package mtserver

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestSaltsRotate(t *testing.T) {
	const life = 30 * time.Minute
	t0 := time.Unix(1_700_000_000, 0)
	s := newSalts(42, t0, life)
	tests := []struct {
		name           string
		after          time.Duration
		firstValid     bool
		firstIsCurrent bool
	}{
		{"at once", 0, true, true},
		{"just before the second", life - 1, true, true},
		{"second begins", life, true, false},
		{"just before the end", 2*life - 1, true, false},
		{"end", 2 * life, false, false},
		{"long after", 100 * life, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now := t0.Add(tt.after)
			s.advance(now, life, 0)
			if got := s.valid(42, now); got != tt.firstValid {
				t.Errorf("valid(42) = %v, want %v", got, tt.firstValid)
			}
			if got := s.current(now) == 42; got != tt.firstIsCurrent {
				t.Errorf("42 is current: %v, want %v", got, tt.firstIsCurrent)
			}
			if !s.valid(s.current(now), now) {
				t.Error("the current salt is not valid")
			}
		})
	}
}

// TestSaltsWindow: whenever and however often they are asked for, the salts
// announced are the ones valid later.
func TestSaltsWindow(t *testing.T) {
	const life = time.Minute
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	now := time.Unix(1_700_000_000, 0)
	s := newSalts(1, now, life)
	var told salts
	for step := range 2000 {
		now = now.Add(time.Duration(rnd.Int64N(int64(life))))
		s.advance(now, life, 0)
		for _, x := range told {
			inside := !now.Before(x.Since) && now.Before(x.Until)
			if got := s.valid(x.Value, now); got != inside {
				t.Fatalf("seed %d step %d: salt told for %v..%v valid at %v: %v, want %v", seed, step, x.Since, x.Until, now, got, inside)
			}
		}
		if step%50 == 0 {
			n := 1 + rnd.IntN(maxFutureSalts)
			s.advance(now, life, n)
			told = append(salts(nil), s.window(now, n)...)
			if len(told) != n {
				t.Fatalf("seed %d: %d salts, want %d", seed, len(told), n)
			}
			if told[0].Value != s.current(now) {
				t.Fatalf("seed %d: the first of future_salts is not the current one", seed)
			}
		}
	}
}
