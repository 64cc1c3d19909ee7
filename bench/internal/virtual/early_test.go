package virtual

import (
	"fmt"
	"testing"
	"time"

	"github.com/tghaul/haul/scheduler"
)

// TestOddWaitsEarly: waits that come after a few requests each, by chance, do not
// leave a scope with a rate so low that hardly a wait comes any more by which that
// could be found out. The seeds are some of those by which that was so.
func TestOddWaitsEarly(t *testing.T) {
	line := Network{RTT: 50 * time.Millisecond, Service: 50 * time.Millisecond, DCRate: 8 << 20}
	type chance struct {
		odd  Odd
		seed uint64
	}
	for _, c := range some(chance{Odd{0.01, 2 * time.Second}, 14}, chance{Odd{0.02, 2 * time.Second}, 26}) {
		t.Run(fmt.Sprint(c.odd, c.seed), func(t *testing.T) {
			t.Parallel()
			plan := Plan{Runs: 150, Least: time.Second, Most: 12 * time.Second, Pause: 3 * time.Second, Odd: c.odd}
			runs := HaulRuns(line, nil, plan, scheduler.Config{Connections: 8}, c.seed)
			for from := 50; from < plan.Runs; from += 50 {
				if got := perSecond(runs[from : from+50]); got < 4 {
					t.Errorf("from run %d on %.2f parts a second; the line gives 8", from, got)
				}
			}
			if _, inside := count(runs); inside != 0 {
				t.Errorf("%d requests inside a wait", inside)
			}
		})
	}
}
