package transfer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/scheduler"
)

// A slowDisk is a download whose parts are written one after the other, each in
// some time.
type slowDisk struct {
	*download
	disk chan struct{} // a token for who writes
}

func (d slowDisk) move(ctx context.Context, s scheduler.Send, m *scratch) (payload, error) {
	p, err := d.download.move(ctx, s, m)
	if err != nil {
		return nil, err
	}
	return slowPart{p, d.disk}, nil
}

type slowPart struct {
	payload
	disk chan struct{}
}

func (p slowPart) store() error {
	p.disk <- struct{}{}
	time.Sleep(100 * time.Millisecond)
	<-p.disk
	return p.payload.store()
}

// TestSlowDisk: the network brings parts as fast as they are asked for, the
// disk takes ten a second (faults 50). What is asked for and not written stays
// within the budget of 40 MiB, beside what waits for its hash, and in the end nothing is held.
func TestSlowDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		for id := range int64(4) {
			b.add(id+1, 40*mib, []int{1, 2, 4, 5}[id])
		}
		disk := make(chan struct{}, 1)
		var r *run
		start := time.Now()
		report, err := runOf(t.Context(), NewFor(b, b.opts), Downloads, b.all(), func(of *run, d Download) job {
			r = of
			return slowDisk{newDownload(of, d).(*download), disk}
		})
		if err != nil || report.FilesDone != 4 {
			t.Fatalf("%v, %d files done, failed %v", err, report.FilesDone, report.Failed)
		}
		b.checkDone(report)
		if took := time.Since(start); took < 16*time.Second || took > 20*time.Second {
			t.Errorf("160 parts took %v, want ten a second", took)
		}
		const budget = 40 + maxHeld/mib // parts of 1 MiB each
		if b.most > budget || b.most < budget/2 {
			t.Errorf("up to %d parts were in memory, want %d at most, and the disk to be behind", b.most, budget)
		}
		if r.core.Held() != 0 || b.buffers != 0 || r.holding.Load() != 0 {
			t.Errorf("%d bytes are held in the end, %d buffers", r.core.Held(), b.buffers)
		}
	})
}
