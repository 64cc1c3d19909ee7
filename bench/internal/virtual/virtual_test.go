package virtual

import (
	"testing"
	"time"

	"github.com/tghaul/haul/scheduler"
	"github.com/tghaul/haul/telegram/dctest/flood"
)

// TestGovernor: under each kind of rule nearly all of what it permits is used,
// with few waits, and no request leaves inside one. `make bench-flood` prints
// the figures of twenty rules of each kind; a few are enough here to notice
// that something broke.
func TestGovernor(t *testing.T) {
	const learn = time.Minute
	long := 30 * time.Minute
	if underRace { // as with some, which see
		long = 20 * time.Minute
	}
	for _, kind := range Kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			seeds := some[uint64](0, 1, 2, 3)
			var share, waits float64
			for _, seed := range seeds {
				c := NewCase(kind, seed)
				r := Haul(c.Network, []flood.Rule{c.Rule}, Endless, scheduler.Config{Connections: 8}, long, seed)
				if r.Inside != 0 {
					t.Errorf("seed %d: %d requests inside a wait", seed, r.Inside)
				}
				share += c.Share(r, learn, long) / float64(len(seeds))
				waits += float64(Count(r.Waits, learn, long)) / float64(len(seeds))
			}
			if perTwoMinutes := waits / (long - learn).Minutes() * 2; share < 0.95 || perTwoMinutes > 1 {
				t.Errorf("%.3f of what is permitted, %.2f waits in two minutes", share, perTwoMinutes)
			}
		})
	}
}

// TestSameSeed: a run follows from its seed alone.
func TestSameSeed(t *testing.T) {
	c := NewCase("token_bucket", 1)
	run := func() Result {
		return Haul(c.Network, []flood.Rule{c.Rule}, Endless, scheduler.Config{}, 2*time.Minute, 1)
	}
	a, b := run(), run()
	if len(a.Served) == 0 || len(a.Served) != len(b.Served) || a.Served[len(a.Served)-1] != b.Served[len(b.Served)-1] {
		t.Errorf("%d and %d requests served", len(a.Served), len(b.Served))
	}
}

// TestWorkersWait: workers that sleep each for itself collect a wait each.
func TestWorkersWait(t *testing.T) {
	c := NewCase("token_bucket", 2)
	r := Workers(8, c.Network, []flood.Rule{c.Rule}, Job{Files: 1, Size: 400 << 20}, time.Hour, 1)
	if len(r.Served) != 400 || len(r.Waits) < 8 {
		t.Errorf("%d parts served, %d waits", len(r.Served), len(r.Waits))
	}
}

// TestLongLine: 1 GiB over a line whose connections are slow one by one, with
// no more connections than help.
func TestLongLine(t *testing.T) {
	r := Haul(LongLine, nil, Job{Files: 1, Size: 1 << 30}, scheduler.Config{Connections: 12}, time.Hour, 1)
	if share := float64(r.Bytes) / r.Took.Seconds() / LongLine.DCRate; share < 0.93 {
		t.Errorf("%.3f of the bandwidth", share)
	}
	r = Haul(LongLine, nil, Job{Files: 10_000, Size: 110 << 10}, scheduler.Config{Connections: 12}, time.Hour, 1)
	if share := float64(r.Bytes) / r.Took.Seconds() / LongLine.DCRate; share < 0.93 {
		t.Errorf("small files: %.3f of the bandwidth", share)
	}
}
