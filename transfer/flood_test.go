package transfer

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/tl"
)

// Waits of every length (faults 7): the method is held at that DC for as long as
// was asked and a second more at most, and nothing else is. A restart in the
// middle changes nothing.
func TestFloodWaitLengths(t *testing.T) {
	t.Parallel()
	for _, seconds := range []int{1, 2, 30, 3600, 86_400} {
		for _, restart := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) { floodWaitLength(t, time.Duration(seconds)*time.Second, restart) })
		}
	}
}

func floodWaitLength(t *testing.T, wait time.Duration, restart bool) {
	b := newBench(t)
	b.opts.ProgressInterval = time.Minute
	b.add(1, 6*mib, 2)
	b.add(2, 6*mib, 4)
	var until, after, other time.Time
	b.hook = func(r request) (tl.Object, error, bool) {
		_, held := part(r, 1)
		switch {
		case !held:
			other = r.at
		case until.IsZero():
			until = r.at.Add(wait)
			return nil, waitError(wait), true
		// Those sent together with the one that was refused are not to blame.
		case r.at.Before(until) && r.at.After(until.Add(-wait)):
			t.Errorf("a request %v before the end of a wait of %v, restart %v", until.Sub(r.at), wait, restart)
		case after.IsZero() && !r.at.Before(until):
			after = r.at
		}
		return nil, nil, false
	}
	if restart {
		b.stopAt(wait / 2)
	}
	b.mustDownload()
	if late := after.Sub(until); late < 0 || late > time.Second {
		t.Errorf("the first request came %v after a wait of %v, restart %v; want 1s at most", late, wait, restart)
	}
	if wait >= 30*time.Second && other.After(until) {
		t.Errorf("the other DC was held too: asked %v after a wait of %v", other.Sub(until), wait)
	}
}

// A flood on every DC at once (faults 9): nobody asks inside a wait, and
// everything goes on after it.
func TestFloodEverywhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		dcs := []int{1, 2, 4, 5}
		for i := range 20 {
			b.add(int64(i+1), 3*mib, dcs[i%4])
		}
		start := time.Now()
		told := make(map[int]time.Time)
		until := make(map[int]time.Time)
		b.hook = func(r request) (tl.Object, error, bool) {
			if time.Since(start) < 40*time.Millisecond {
				return nil, nil, false
			}
			wait := time.Duration(60*r.dc) * time.Second
			if told[r.dc].IsZero() {
				told[r.dc], until[r.dc] = r.at, r.at.Add(wait)
				return nil, waitError(wait), true
			}
			if r.at.After(told[r.dc]) && r.at.Before(until[r.dc]) {
				t.Errorf("DC %d was asked %v inside its wait", r.dc, until[r.dc].Sub(r.at))
			}
			return nil, nil, false
		}
		report := b.mustDownload()
		if len(told) != 4 || report.FloodWaits != 4 || report.FilesDone != 20 {
			t.Errorf("%d DCs flooded, %d waits, %d files done; want 4, 4, 20", len(told), report.FloodWaits, report.FilesDone)
		}
		if took := time.Since(start); took < 300*time.Second || took > 310*time.Second {
			t.Errorf("took %v, want little more than the longest wait of 300s", took)
		}
	})
}

// FLOOD_PREMIUM_WAIT (faults 8) comes again and again, as it does to accounts
// without Premium: the run gets slower, and no file fails.
func TestPremiumWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.opts.PartSize = 128 << 10
		for id := range int64(10) {
			b.add(id+1, 20*b.opts.PartSize, 2)
		}
		var mu sync.Mutex
		tokens, last := 30.0, time.Now()
		waits := 0
		b.hook = func(r request) (tl.Object, error, bool) {
			mu.Lock()
			defer mu.Unlock()
			tokens = min(30, tokens+2*r.at.Sub(last).Seconds())
			last = r.at
			if tokens >= 1 {
				tokens--
				return nil, nil, false
			}
			waits++
			return nil, rpcError(420, "FLOOD_PREMIUM_WAIT_3", "upload.getFile"), true
		}
		start := time.Now()
		report := b.mustDownload()
		if report.FilesDone != 10 || waits == 0 {
			t.Errorf("%d files done, %d waits; want 10 and some", report.FilesDone, waits)
		}
		if took := time.Since(start); took < 80*time.Second || took > 3*time.Minute {
			t.Errorf("200 parts at 2 a second took %v", took)
		}
		premium := 0
		for _, e := range b.events {
			if w, ok := e.(FloodWait); ok && w.Reason == "FLOOD_PREMIUM_WAIT" {
				premium++
			}
		}
		if premium != report.FloodWaits || premium == 0 {
			t.Errorf("%d of %d waits were told as Premium's", premium, report.FloodWaits)
		}
	})
}
