package transfer

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/scheduler"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl"
)

// The user's limits hold over all DCs, and change when they say so.
func TestUserLimits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		limits Limits
		least  time.Duration // that 20 MiB in parts of 1 MiB take
	}{
		{"none", Limits{}, 0},
		{"bytes", Limits{Down: 2 * mib}, 9 * time.Second},
		{"requests", Limits{Requests: 4}, 4500 * time.Millisecond},
		{"bytes of uploads do not count", Limits{Up: 1}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.add(1, 10*mib, 2)
				b.add(2, 10*mib, 4)
				b.opts.Limits = func(time.Time) (Limits, time.Time) { return tt.limits, time.Time{} }
				start := time.Now()
				b.mustDownload()
				// The clock is virtual: what it shows is exact.
				if took := time.Since(start); took < tt.least || took > tt.least+2*time.Second {
					t.Errorf("took %v, want %v and a little", took, tt.least)
				}
			})
		})
	}
}

// TestOrder: files begin in the order that was asked for.
func TestOrder(t *testing.T) {
	t.Parallel()
	tests := []struct {
		order Order
		want  []int64
	}{
		{Listed, []int64{1, 2, 3, 4}},
		{Smallest, []int64{1, 3, 4, 2}},
		{Largest, []int64{1, 2, 4, 3}},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			// The first one begins before the others are listed.
			for id, size := range map[int64]int{1: 5 * mib, 2: 4 * mib, 3: 2 * mib, 4: 3 * mib} {
				b.add(id, size, 2)
			}
			b.opts.Transfers, b.opts.Order = 1, tt.order
			b.mustDownload()
			var got []int64
			for _, e := range b.events {
				if s, ok := e.(FileStarted); ok {
					got = append(got, s.ID)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("order %d: %v, want %v", tt.order, got, tt.want)
			}
		})
	}
}

// TestTier: Premium accounts get twice the connections and upload parts,
// unless they were set.
func TestTier(t *testing.T) {
	t.Parallel()
	tests := []struct {
		o                  Options
		connections, parts int
	}{
		{Options{}, 4, 4000},
		{Options{Premium: true}, 8, 8000},
		{Options{Premium: true, Connections: 3, MaxUploadParts: 10}, 3, 10},
	}
	for _, tt := range tests {
		o, err := tt.o.withDefaults()
		if err != nil || o.Connections != tt.connections || o.MaxUploadParts != tt.parts {
			t.Errorf("%+v: %d connections, %d parts, %v; want %d and %d", tt.o, o.Connections, o.MaxUploadParts, err, tt.connections, tt.parts)
		}
	}
}

func TestUserLimitsChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 20*mib, 2)
		start := time.Now()
		b.opts.Limits = func(now time.Time) (Limits, time.Time) {
			if change := start.Add(5 * time.Second); now.Before(change) {
				return Limits{Down: mib}, change
			}
			return Limits{}, time.Time{}
		}
		b.mustDownload()
		if took := time.Since(start); took < 5*time.Second || took > 7*time.Second {
			t.Errorf("took %v; the limit of 1 MiB/s ends after 5s", took)
		}
	})
}

// What a wait has taught is told, recorded, and kept to by the next run.
func TestLimitsAreRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 100*mib, 2)
		n := 0
		b.hook = func(request) (tl.Object, error, bool) {
			if n++; n == 40 {
				return nil, rpcError(420, "FLOOD_WAIT_5", "upload.getFile"), true
			}
			return nil, nil, false
		}
		b.mustDownload()
		told := false
		for _, e := range b.events {
			l, ok := e.(LimitLearned)
			told = told || ok && l.DC == 2 && l.Method == "upload.getFile" && (l.PerSecond > 0 || l.InFlight > 0)
		}
		limits, err := b.cp.Limits()
		if err != nil || !told || len(limits) != 1 || limits[0].Rate == 0 && limits[0].InFlight == 0 || len(limits[0].Standing) == 0 {
			t.Fatalf("told %v, recorded %+v, %v", told, limits, err)
		}

		next := newBench(t)
		next.cp = checkpoint.NewMemory()
		var batch checkpoint.Batch
		batch.PutLimit(checkpoint.Limit{DC: 2, Method: "upload.getFile", Rate: 5, At: time.Now()})
		batch.PutLimit(checkpoint.Limit{DC: 4, Method: "upload.getFile", Rate: 1, At: time.Now().Add(-2 * limitLife)})
		if err := next.cp.Commit(&batch); err != nil {
			t.Fatal(err)
		}
		next.opts.Checkpoint = next.cp
		next.add(1, 20*mib, 2)
		next.add(2, 20*mib, 4) // what is known of DC 4 is too old
		start := time.Now()
		var others time.Time
		next.hook = func(r request) (tl.Object, error, bool) {
			if r.dc == 4 {
				others = r.at
			}
			return nil, nil, false
		}
		next.mustDownload()
		if took := time.Since(start); took < 3*time.Second || others.Sub(start) > 2*time.Second {
			t.Errorf("20 requests took %v at 5 a second; those to DC 4 %v", took, others.Sub(start))
		}
	})
}

// TestRecall: a recorded limit is recalled with its age and how sure it is. A
// record of an older haul, or a clock that was set, do no harm.
func TestRecall(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name     string
		at       time.Time
		standing string
		age      time.Duration
		want     scheduler.Standing
	}{
		{
			"a standing", now.Add(-time.Hour), `{"phase":"probing","low":2.5,"held":60000000000}`, time.Hour,
			scheduler.Standing{Phase: "probing", Low: 2.5, Held: time.Minute},
		},
		{"none", now.Add(-time.Minute), "", time.Minute, scheduler.Standing{}},
		{"one that cannot be read", now, `{"phase":7,"low":2.5}`, 0, scheduler.Standing{}},
		{"from the future", now.Add(time.Hour), `{"phase":"holding"}`, 0, scheduler.Standing{Phase: "holding"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := recall(checkpoint.Limit{DC: 2, Method: "m", Rate: 5, At: tt.at, Standing: json.RawMessage(tt.standing)}, now)
			if got.Age != tt.age || got.Standing != tt.want || got.Rate != 5 || got.Scope.DC != 2 {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// Once it is known how long references live, they are renewed before they fail.
func TestReferencesAreRenewedAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const life = 10 * time.Minute
		b := newBench(t)
		b.add(1, 100*mib, 2)
		b.opts.Limits = func(time.Time) (Limits, time.Time) { return Limits{Down: mib / 30}, time.Time{} } // 50 minutes
		born, failures := time.Now(), 0
		b.onRefresh = func(ids []int) (map[int][]telegram.File, error) {
			born = time.Now()
			return b.fresh(ids), nil
		}
		b.hook = func(r request) (tl.Object, error, bool) {
			if r.at.Sub(born) > life {
				failures++
				return nil, rpcError(400, "FILE_REFERENCE_EXPIRED", "upload.getFile"), true
			}
			return nil, nil, false
		}
		report := b.mustDownload()
		if failures != 1 || report.ReferenceRefreshes < 4 {
			t.Errorf("%d requests with an expired reference, %d refreshes; want 1, and one every nine minutes", failures, report.ReferenceRefreshes)
		}
	})
}

// A wait that an earlier run has met counts for the next one: it too ends at
// once if that is longer than allowed.
func TestRecalledWaitTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 10, 2)
		var batch checkpoint.Batch
		batch.PutWait(checkpoint.Wait{DC: 2, Method: getFileMethod, Until: time.Now().Add(time.Hour)})
		if err := b.cp.Commit(&batch); err != nil {
			t.Fatal(err)
		}
		b.opts.MaxWait = 10 * time.Minute
		start := time.Now()
		var wait *WaitError
		_, err := b.download(b.all())
		if took := time.Since(start); !errors.As(err, &wait) || wait.Wait != time.Hour || took > time.Minute || len(b.getFiles()) > 0 {
			t.Errorf("%v after %v and %d requests; want a WaitError at once", err, took, len(b.getFiles()))
		}
		b.opts.MaxWait = 2 * time.Hour
		if report, err := b.download(b.all()); err != nil || report.FilesDone != 1 || time.Since(start) < time.Hour {
			t.Errorf("%v, %+v after %v; want the file after an hour", err, report.Counters, time.Since(start))
		}
	})
}
