package virtual

import (
	"fmt"
	"testing"
	"time"

	"github.com/tghaul/haul/scheduler"
	"github.com/tghaul/haul/telegram/dctest/flood"
)

// short are forty runs, each of which is over before any rate has been held
// for long.
var short = Plan{Runs: 40, Least: 60 * time.Second, Most: 90 * time.Second, Pause: 5 * time.Second}

// slowLine gives 20 parts of 1 MiB a second.
var slowLine = Network{RTT: 50 * time.Millisecond, Service: 50 * time.Millisecond, DCRate: 20 << 20}

// perSecond is how many parts came in a second of some runs.
func perSecond(results []Result) float64 {
	n, took := 0, 0.0
	for _, r := range results {
		n += len(r.Arrived)
		took += r.Took.Seconds()
	}
	return float64(n) / took
}

// count adds up waits, and requests inside one.
func count(results []Result) (waits int, inside int64) {
	for _, r := range results {
		waits += len(r.Waits)
		inside += r.Inside
	}
	return waits, inside
}

// TestOddWaits: waits that follow no rate do not make one run slower than the
// one before. The more of them there are the sooner that is found out.
func TestOddWaits(t *testing.T) {
	for _, odd := range some(Odd{0.01, 2 * time.Second}, Odd{0.3, time.Second}, Odd{0.004, 5 * time.Second}, Odd{0.002, 10 * time.Second}) {
		t.Run(fmt.Sprint(odd), func(t *testing.T) {
			t.Parallel()
			// Each request takes its time on the line, and its share of the waits.
			const line, told = 1 / 20.0, 0.2
			want := 1 / (line + odd.Rate*(odd.Wait.Seconds()+told))
			for _, seed := range some[uint64](0, 1) {
				plan := short
				plan.Odd = odd
				runs := HaulRuns(slowLine, nil, plan, scheduler.Config{Connections: 8}, seed)
				for i := plan.Runs / 4; i < plan.Runs; i += plan.Runs / 4 {
					if got := perSecond(runs[i : i+plan.Runs/4]); got < 0.6*want {
						t.Errorf("seed %d: from run %d on %.2f parts a second, want about %.2f", seed, i, got, want)
					}
				}
				if _, inside := count(runs); inside != 0 {
					t.Errorf("seed %d: %d requests inside a wait", seed, inside)
				}
			}
		})
	}
}

// TestOddWaitsInLegs: the same for runs of seconds, most of which meet no wait
// at all. It takes longer, since so little is known of each.
func TestOddWaitsInLegs(t *testing.T) {
	line := Network{RTT: 50 * time.Millisecond, Service: 50 * time.Millisecond, DCRate: 8 << 20}
	plan := Plan{Runs: 400, Least: time.Second, Most: 12 * time.Second, Pause: 3 * time.Second, Odd: Odd{0.01, 2 * time.Second}}
	for _, seed := range some[uint64](0, 4) {
		runs := HaulRuns(line, nil, plan, scheduler.Config{Connections: 4}, seed)
		if got := perSecond(runs[plan.Runs/2:]); got < 6 {
			t.Errorf("seed %d: %.2f parts a second in the second half; the line gives 8", seed, got)
		}
	}
}

// TestRulesOverRuns: a limit that is real is kept to right after a restart, and
// many short runs do not meet more waits than one long run.
func TestRulesOverRuns(t *testing.T) {
	for _, kind := range some("token_bucket", "fixed_window", "sliding_window") {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			for _, seed := range some[uint64](0, 1, 3) {
				c, cfg := NewCase(kind, seed), scheduler.Config{Connections: 8}
				runs := HaulRuns(c.Network, c.Rules(), short, cfg, seed)
				all, inside := count(runs)
				later, _ := count(runs[short.Runs/4:])
				// In the same time, pauses included.
				long := len(Haul(c.Network, c.Rules(), Endless, cfg, 53*time.Minute, seed).Waits)
				if all > long+long/2 || later > short.Runs/2 || inside != 0 {
					t.Errorf("seed %d: %d waits, %d of them after the first quarter, %d requests inside one; one long run meets %d",
						seed, all, later, inside, long)
				}
				if share := perSecond(runs[short.Runs/4:]) / c.Rate; share < 0.9 {
					t.Errorf("seed %d: %.3f of what is permitted", seed, share)
				}
			}
		})
	}
}

// TestStaleLimit: a limit that is no more is found out although no run is long.
func TestStaleLimit(t *testing.T) {
	for _, seed := range some[uint64](0, 1, 2) {
		plan := short
		plan.Ruled = 10
		rules := []flood.Rule{{Method: method, Kind: "token_bucket", Rate: 3, Burst: 20}}
		runs := HaulRuns(slowLine, rules, plan, scheduler.Config{Connections: 8}, seed)
		ruled, free := perSecond(runs[:plan.Ruled]), perSecond(runs[plan.Runs-10:])
		if ruled > 3.5 || free < 18 {
			t.Errorf("seed %d: %.2f parts a second under a rule of 3, %.2f long after it; the line gives 20", seed, ruled, free)
		}
	}
}

// some are all that are given, or with the race detector the first: here is
// one goroutine that computes. `make test-full` runs these tests without it.
func some[T any](all ...T) []T {
	if underRace {
		return all[:1]
	}
	return all
}
