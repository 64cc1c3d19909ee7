package transfer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// Verifying a file meets what fetching it meets: it gets over server trouble,
// waits, follows the file to another DC and renews its reference.
func TestVerifyGetsOver(t *testing.T) {
	t.Parallel()
	const method = "upload.getFileHashes"
	tests := []struct {
		name    string
		answers []error // to the first calls; then it succeeds
		want    error
		atLeast time.Duration
		spoil   func(f *fakeFile)
	}{
		{name: "trouble", answers: []error{rpcError(500, "RPC_CALL_FAIL", method), rpcError(-503, "Timedout", method)}, atLeast: time.Second},
		{name: "a wait", answers: []error{rpcError(420, "FLOOD_WAIT_20", method)}, atLeast: 20 * time.Second},
		{name: "an unreadable answer", answers: []error{mtproto.ErrBadAnswer}},
		{name: "a lost connection", answers: []error{mtproto.ErrClosed}},
		{name: "an expired reference", answers: []error{rpcError(400, "FILE_REFERENCE_EXPIRED", method)}},
		{name: "another DC", answers: []error{rpcError(303, "FILE_MIGRATE_5", method)}, spoil: func(f *fakeFile) { f.dc = 5 }},
		{name: "trouble for ever", answers: repeat(rpcError(500, "RPC_CALL_FAIL", method), 99), want: &mtproto.RPCError{}, atLeast: 80 * time.Second},
		{name: "a reference that stays expired", answers: repeat(rpcError(400, "FILE_REFERENCE_EXPIRED", method), 99), want: errStale},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.opts.VerifyServer = true
				f := b.add(1, 3*mib+7, 2)
				left := tt.answers
				b.hook = func(r request) (tl.Object, error, bool) {
					if _, ok := r.q.(*api.UploadGetFileHashesRequest); !ok || len(left) == 0 {
						return nil, nil, false
					}
					if tt.spoil != nil {
						tt.spoil(f)
					}
					err := left[0]
					left = left[1:]
					return nil, err, true
				}
				start := time.Now()
				report, err := b.download(b.all())
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took < tt.atLeast || took > tt.atLeast+5*time.Minute {
					t.Errorf("took %v, want %v at least", took, tt.atLeast)
				}
				b.checkDone(report)
				var rpc *mtproto.RPCError
				switch {
				case tt.want == nil && report.FilesDone != 1:
					t.Errorf("failed: %v", report.Failed)
				case errors.As(tt.want, &rpc) && !errors.As(b.failed(report).Err, &rpc),
					tt.want != nil && rpc == nil && !errors.Is(b.failed(report).Err, tt.want):
					t.Errorf("failed with %v, want %v", b.failed(report).Err, tt.want)
				}
			})
		})
	}
}

func repeat(err error, n int) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// A wait for a call beside the parts holds that method at that DC, in this run
// and in the next.
func TestAsideWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.opts.VerifyServer = true
		b.slowErrors = true
		// All of them are verified before the first answer is there, though the
		// committer may hand them on in several groups.
		b.latency = 3 * waitersDelay
		for id := range int64(8) {
			b.add(id+1, 10, 2)
		}
		short := 0
		var told, until time.Time
		held := func(r request) bool { return r.at.After(told.Add(b.latency)) && r.at.Before(until) }
		b.hook = func(r request) (tl.Object, error, bool) {
			if _, ok := r.q.(*api.UploadGetFileHashesRequest); !ok {
				return nil, nil, false
			}
			if told.IsZero() {
				told, until = r.at, r.at.Add(100*time.Second)
				return nil, rpcError(420, "FLOOD_WAIT_100", "upload.getFileHashes"), true
			}
			if !r.at.After(told.Add(b.latency)) { // sent before the first was answered: its answer says less
				short++
				return nil, rpcError(420, "FLOOD_WAIT_50", "upload.getFileHashes"), true
			}
			if held(r) {
				t.Errorf("a request %v inside the wait", until.Sub(r.at))
			}
			return nil, nil, false
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if _, err := NewFor(b, b.opts).Download(ctx, b.all()); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("the first run: %v", err)
		}
		waits := 0
		for _, e := range b.events {
			if _, ok := e.(FloodWait); ok {
				waits++
			}
		}
		if waits < 1 || waits > 2 || short < 3 { // two if the shorter one came first
			t.Errorf("%d waits were told, of %d answers; want 1 or 2 of several", waits, 1+short)
		}
		b.mustDownload()
		if over := time.Since(until); over < 0 || over > 2*time.Second {
			t.Errorf("done %v after the wait", over)
		}
	})
}

// A wait that comes to a part when the run has been stopped is recorded for
// the next one.
func TestWaitAtTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 10, 2)
		ctx, cancel := context.WithCancel(t.Context())
		var until time.Time
		b.hook = func(r request) (tl.Object, error, bool) {
			if until.IsZero() {
				cancel()
				until = r.at.Add(50 * time.Second)
				return nil, rpcError(420, "FLOOD_WAIT_50", "upload.getFile"), true
			}
			if r.at.Before(until) {
				t.Errorf("a request %v inside the wait", until.Sub(r.at))
			}
			return nil, nil, false
		}
		if _, err := NewFor(b, b.opts).Download(ctx, b.all()); !errors.Is(err, context.Canceled) {
			t.Fatalf("the first run: %v", err)
		}
		b.mustDownload()
	})
}

// An answer that mtproto cannot read, or a call that the server refuses again
// and again, fails the file after a few tries, and no connection is lost for it.
func TestUnreadableParts(t *testing.T) {
	t.Parallel()
	for _, bad := range []error{mtproto.ErrBadAnswer, mtproto.ErrRefused} {
		for _, times := range []int{2, 99} {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.add(1, 3*mib, 2)
				b.add(2, 10, 2)
				left := times
				b.hook = func(r request) (tl.Object, error, bool) {
					if n, ok := part(r, 1); !ok || n != 1 || left == 0 {
						return nil, nil, false
					}
					left--
					return nil, bad, true
				}
				report, err := b.download(b.all())
				if err != nil || report.FilesDone != 2 != (times == 99) || b.dropped != 0 {
					t.Errorf("%v %d times: %v, %d files done, %d sessions dropped", bad, times, err, report.FilesDone, b.dropped)
				}
			})
		}
	}
}
