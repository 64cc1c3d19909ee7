package dctest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// A FloodRule limits how often an account may call a method.
type FloodRule struct {
	Method string `json:"method"` // "upload.getFile"; "upload.*" for a group
	DC     int    `json:"dc"`     // 0: each DC for itself
	// Kind: token_bucket (Rate a second, Burst at once), fixed_window and
	// sliding_window (Burst in each Window), concurrency (Burst at once),
	// growing (as token_bucket, but each wait doubles while waits are ignored).
	Kind    string   `json:"kind"`
	Rate    float64  `json:"rate"`
	Burst   int      `json:"burst"`
	Window  Duration `json:"window"`
	Wait    int      `json:"wait"`    // seconds to answer with; as long as it takes if 0
	Premium bool     `json:"premium"` // FLOOD_PREMIUM_WAIT, for accounts without Premium
}

func (r *FloodRule) check() error {
	switch r.Kind {
	case "token_bucket", "growing":
		if r.Rate <= 0 {
			return errors.New("rate must be positive")
		}
	case "fixed_window", "sliding_window":
		if r.Window <= 0 {
			return errors.New("window must be positive")
		}
	case "concurrency":
	default:
		return fmt.Errorf("unknown kind %q", r.Kind)
	}
	if r.Burst < 1 || r.Method == "" || r.Wait < 0 {
		return errors.New("method and a burst of at least 1 are needed")
	}
	return nil
}

func (r *FloodRule) covers(method string) bool {
	if group, ok := strings.CutSuffix(r.Method, "*"); ok {
		return strings.HasPrefix(method, group)
	}
	return r.Method == method
}

// floodGuard applies the rules, for each account and DC.
type floodGuard struct {
	mu    sync.Mutex
	rules []FloodRule
	state map[floodKey]*floodState
}

type floodKey struct {
	rule    int
	account int64
	dc      int
}

type floodState struct {
	tokens  float64
	last    time.Time
	hits    []time.Time // of a sliding window
	active  int
	until   time.Time // end of the wait that was answered last
	penalty time.Duration
}

func newFloodGuard(rules []FloodRule) *floodGuard {
	return &floodGuard{rules: rules, state: map[floodKey]*floodState{}}
}

// A verdict says whether a request may pass. done must be called when it is answered.
type floodVerdict struct {
	wait    int // seconds, 0: passes
	premium bool
	inside  bool // it came inside a wait
	done    func()
}

// ask judges a request at time now.
func (g *floodGuard) ask(account int64, premium bool, dc int, method string, now time.Time) floodVerdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := floodVerdict{done: func() {}}
	for i := range g.rules {
		r := &g.rules[i]
		if !r.covers(method) || r.DC != 0 && r.DC != dc || r.Premium && premium {
			continue
		}
		key := floodKey{i, account, dc}
		s := g.state[key]
		if s == nil {
			s = &floodState{tokens: float64(r.Burst), last: now}
			g.state[key] = s
		}
		inside := now.Before(s.until)
		wait := s.judge(r, now)
		if wait > 0 {
			seconds := int(math.Ceil(wait.Seconds()))
			if !inside || r.Kind == "growing" {
				s.until = now.Add(time.Duration(seconds) * time.Second)
			}
			return floodVerdict{wait: seconds, premium: r.Premium, inside: inside, done: v.done}
		}
		if r.Kind == "concurrency" {
			s.active++
			before := v.done
			v.done = func() {
				before()
				g.mu.Lock()
				defer g.mu.Unlock()
				s.active--
			}
		}
	}
	return v
}

// judge returns how long to wait, 0 if the request passes.
func (s *floodState) judge(r *FloodRule, now time.Time) time.Duration {
	fixed := time.Duration(r.Wait) * time.Second
	if now.Before(s.until) {
		if r.Kind == "growing" {
			s.penalty *= 2
			return s.penalty
		}
		return s.until.Sub(now)
	}
	switch r.Kind {
	case "token_bucket", "growing":
		s.tokens = min(float64(r.Burst), s.tokens+now.Sub(s.last).Seconds()*r.Rate)
		s.last = now
		if s.tokens >= 1 {
			s.tokens--
			return 0
		}
		s.penalty = max(fixed, time.Second, time.Duration((1-s.tokens)/r.Rate*float64(time.Second)))
		return s.penalty
	case "fixed_window":
		window := time.Duration(r.Window)
		if now.Sub(s.last) >= window {
			s.last, s.tokens = now, float64(r.Burst)
		}
		if s.tokens >= 1 {
			s.tokens--
			return 0
		}
		return max(fixed, s.last.Add(window).Sub(now))
	case "sliding_window":
		old := now.Add(-time.Duration(r.Window))
		s.hits = slices.DeleteFunc(s.hits, func(t time.Time) bool { return !t.After(old) })
		if len(s.hits) < r.Burst {
			s.hits = append(s.hits, now)
			return 0
		}
		return max(fixed, s.hits[0].Sub(old))
	default: // concurrency
		if s.active < r.Burst {
			return 0
		}
		return max(fixed, time.Second)
	}
}

// A faultPlan counts requests and says which fault strikes.
type faultPlan struct {
	mu     sync.Mutex
	faults []Fault
	seen   []int64
	rnd    func() float64
}

// next returns the fault that strikes this request of method, if any.
func (p *faultPlan) next(method string, dc int, kinds ...string) (Fault, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, f := range p.faults {
		if f.Method != method || f.DC != 0 && f.DC != dc || !slices.Contains(kinds, f.Kind) {
			continue
		}
		p.seen[i]++
		if slices.Contains(f.At, p.seen[i]) || f.Rate > 0 && p.rnd() < f.Rate {
			return f, true
		}
	}
	return Fault{}, false
}
