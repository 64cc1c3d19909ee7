// Package flood applies flood rules as a server does. It has no clock: whoever
// asks tells the time, so it serves the simulated cluster as well as
// simulations in virtual time.
package flood

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Rule limits how often an account may call a method. Each account and
// DC is counted for itself. See core.telegram.org/api/errors#420-flood.
type Rule struct {
	Method string `json:"method"` // "upload.getFile"; "upload.*" for a group, counted together
	DC     int    `json:"dc"`     // 0: every DC
	// Kind: token_bucket (Rate a second, Burst at once), fixed_window and
	// sliding_window (Burst in each Window), concurrency (Burst at the same
	// time), growing (as token_bucket, but the wait doubles with each request
	// that comes inside it).
	Kind    string   `json:"kind"`
	Rate    float64  `json:"rate"`
	Burst   int      `json:"burst"`
	Window  Duration `json:"window"`
	Wait    int      `json:"wait"`    // seconds to answer with at least; as long as it takes if 0
	Premium bool     `json:"premium"` // FLOOD_PREMIUM_WAIT, and none for accounts with Premium
}

// maxPenalty is the longest wait that a growing rule reaches.
const maxPenalty = 24 * time.Hour

// exportRule is always in force: the real servers punish clients that transfer
// their authorisation again and again.
var exportRule = Rule{
	Method: "auth.exportAuthorization", Kind: "sliding_window", Burst: 60, Window: Duration(time.Minute), Wait: 1000,
}

// Check tells what a rule lacks, or nil.
func (r *Rule) Check() error {
	switch r.Kind {
	case "token_bucket", "growing":
		if !(r.Rate > 0) || math.IsInf(r.Rate, 1) {
			return fmt.Errorf("kind %s needs a rate above 0", r.Kind)
		}
	case "fixed_window", "sliding_window":
		if r.Window <= 0 {
			return fmt.Errorf("kind %s needs a window above 0", r.Kind)
		}
	case "concurrency":
	default:
		return fmt.Errorf("unknown kind %q", r.Kind)
	}
	switch {
	case r.Method == "":
		return errors.New("method is missing")
	case r.Burst < 1:
		return fmt.Errorf("burst is %d, want 1 at least", r.Burst)
	case r.Wait < 0:
		return fmt.Errorf("wait is %d", r.Wait)
	}
	return nil
}

// Covers reports whether pattern, as in Rule.Method, means a method.
func Covers(pattern, method string) bool {
	if group, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(method, group)
	}
	return pattern == method
}

// A Guard applies the rules. It may be used from several goroutines at once.
type Guard struct {
	mu    sync.Mutex
	rules []Rule
	state map[key]*state
	waits map[scope]*pause
	grace time.Duration
	// issued counts waits that began or grew; inside counts requests that were
	// begun inside one although its answer had had the time to arrive.
	issued, inside int64
}

type key struct {
	rule    int
	account int64
	dc      int
}

// A scope is what a wait closes.
type scope struct {
	account int64
	dc      int
	method  string
}

// A pause is a wait that was answered with last in a scope.
type pause struct {
	until   time.Time
	told    time.Time // when the answer left; zero: it has not yet
	premium bool
	rule    int // -1: a fault
}

// state is what one rule has counted for one account at one DC.
type state struct {
	tokens  float64
	last    time.Time
	hits    []time.Time // of a sliding window
	active  int         // of concurrency
	penalty time.Duration
}

// NewGuard returns a guard. Requests that are begun within grace after a
// wait was answered are taken for underway already.
func NewGuard(rules []Rule, grace time.Duration) *Guard {
	return &Guard{
		rules: append(slices.Clone(rules), exportRule), grace: grace,
		state: map[key]*state{}, waits: map[scope]*pause{},
	}
}

// A Verdict says whether a request may pass: if Wait is 0. Its Done must be
// called when the request is answered.
type Verdict struct {
	Wait    int  // seconds
	Premium bool // the wait is one that accounts with Premium do not get
	Done    func()

	guard *Guard
	began *pause // the wait, if it begins with this
}

// Later says that the answer leaves only when the function is called which it
// returns: who has not been told of a wait does not break it.
func (v Verdict) Later() (told func(at time.Time)) {
	if v.began == nil {
		return func(time.Time) {}
	}
	set := func(at time.Time) {
		v.guard.mu.Lock()
		defer v.guard.mu.Unlock()
		v.began.told = at
	}
	set(time.Time{})
	return set
}

// Counts returns how many waits were answered, and how many requests came inside one.
func (g *Guard) Counts() (issued, inside int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.issued, g.inside
}

// Ask judges a request that comes at once, at time now.
func (g *Guard) Ask(account int64, hasPremium bool, dc int, method string, now time.Time) Verdict {
	return g.AskBegun(account, hasPremium, dc, method, now, now)
}

// AskBegun judges a request that was begun before it came at time now.
func (g *Guard) AskBegun(account int64, hasPremium bool, dc int, method string, begun, now time.Time) Verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	sc := scope{account, dc, method}
	if w := g.waits[sc]; w != nil {
		if now.Before(w.until) {
			return g.repeatLocked(sc, w, begun, now)
		}
		delete(g.waits, sc)
	}
	var held []*state
	done := func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, s := range held {
			s.active--
		}
	}
	for i := range g.rules {
		r := &g.rules[i]
		if !Covers(r.Method, method) || r.DC != 0 && r.DC != dc || r.Premium && hasPremium {
			continue
		}
		s := g.stateLocked(key{i, account, dc}, now)
		if wait := s.judge(r, now); wait > 0 {
			v := g.closeLocked(sc, wait, r.Premium, i, now)
			v.Done = done
			return v
		}
		if r.Kind == "concurrency" {
			s.active++
			held = append(held, s)
		}
	}
	return Verdict{Done: done}
}

// Close makes a scope wait, whatever the rules say.
func (g *Guard) Close(account int64, dc int, method string, wait time.Duration, now time.Time) Verdict {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closeLocked(scope{account, dc, method}, wait, false, -1, now)
}

func (g *Guard) closeLocked(sc scope, wait time.Duration, premium bool, rule int, now time.Time) Verdict {
	seconds := max(1, int(math.Ceil(wait.Seconds()-1e-6)))
	w := &pause{told: now, until: now.Add(time.Duration(seconds) * time.Second), premium: premium, rule: rule}
	g.waits[sc] = w
	g.issued++
	return Verdict{Wait: seconds, Premium: premium, Done: func() {}, guard: g, began: w}
}

// repeatLocked answers a request inside a wait.
func (g *Guard) repeatLocked(sc scope, w *pause, begun, now time.Time) Verdict {
	early := !w.told.IsZero() && begun.Sub(w.told) > g.grace
	if early {
		g.inside++
	}
	if early && w.rule >= 0 && g.rules[w.rule].Kind == "growing" {
		s := g.state[key{w.rule, sc.account, sc.dc}]
		s.penalty = min(2*s.penalty, maxPenalty)
		return g.closeLocked(sc, s.penalty, w.premium, w.rule, now)
	}
	left := max(1, int(math.Ceil(w.until.Sub(now).Seconds()-1e-6)))
	return Verdict{Wait: left, Premium: w.premium, Done: func() {}}
}

func (g *Guard) stateLocked(key key, now time.Time) *state {
	s := g.state[key]
	if s == nil {
		s = &state{tokens: float64(g.rules[key.rule].Burst), last: now}
		g.state[key] = s
	}
	return s
}

// judge counts a request and returns 0, or how long to wait.
func (s *state) judge(r *Rule, now time.Time) time.Duration {
	least := time.Duration(r.Wait) * time.Second
	switch r.Kind {
	case "token_bucket", "growing":
		s.tokens = min(float64(r.Burst), s.tokens+now.Sub(s.last).Seconds()*r.Rate)
		s.last = now
		if s.tokens >= 1-1e-9 {
			s.tokens--
			return 0
		}
		s.penalty = max(least, time.Second, time.Duration(min((1-s.tokens)/r.Rate, maxPenalty.Seconds())*float64(time.Second)))
		return s.penalty
	case "fixed_window":
		window := time.Duration(r.Window)
		if gone := now.Sub(s.last); gone >= window {
			s.last, s.tokens = s.last.Add(gone-gone%window), float64(r.Burst)
		}
		if s.tokens >= 1 {
			s.tokens--
			return 0
		}
		return max(least, s.last.Add(window).Sub(now))
	case "sliding_window":
		old := now.Add(-time.Duration(r.Window))
		s.hits = slices.DeleteFunc(s.hits, func(t time.Time) bool { return !t.After(old) })
		if len(s.hits) < r.Burst {
			s.hits = append(s.hits, now)
			return 0
		}
		return max(least, s.hits[0].Sub(old))
	default: // concurrency
		if s.active < r.Burst {
			return 0
		}
		return max(least, time.Second)
	}
}
