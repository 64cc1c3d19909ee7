package transfer

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

const mib = 1 << 20

func TestDownload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		sizes := []int{0, 1, 4096, 4097, 100_000, mib - 1, mib, mib + 1, 5*mib + 123, 20 * mib}
		var total int64
		for i, size := range sizes {
			b.add(int64(i+1), size, 1+i%4)
			total += int64(size)
		}
		report := b.mustDownload()
		if report.FilesDone != len(sizes) || report.Bytes != total || report.BytesReceived != total || report.PartsRepeated != 0 {
			t.Errorf("report %+v; want %d files, %d bytes, nothing twice", report.Counters, len(sizes), total)
		}
		again, err := b.download(b.all())
		if err != nil || again.FilesSkipped != len(sizes) || again.BytesReceived != 0 || again.Parts != 0 {
			t.Errorf("second run: %+v, %v; want everything skipped", again.Counters, err)
		}
	})
}

func TestDownloadIntoFolder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		f := b.add(1, 10, 2)
		told := 0
		report, err := b.download(func(yield func(Download, error) bool) {
			yield(Download{File: f.File, Dir: b.root, Path: "a/b/c.bin", Finished: func(r FileResult) error {
				told++
				if _, err := os.Stat(filepath.Join(b.dir, r.Path)); err != nil {
					t.Errorf("Finished before the file is there: %v", err)
				}
				return nil
			}}, nil)
		})
		if err != nil || report.FilesDone != 1 || told != 1 {
			t.Errorf("%+v, %v, Finished called %d times", report, err, told)
		}
		b.checkDone(report)
	})
}

// Sizes that make no sense (faults 29): nothing is asked for, nothing is made.
func TestSenselessSizes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, size := range []int64{-1, math.MinInt64, math.MaxInt64, telegram.MaxFileSize + 1} {
			b := newBench(t)
			b.add(1, 10, 2).Size = size
			b.add(2, 10, 2)
			report, err := b.download(b.all())
			if f := b.failed(report); err != nil || !errors.Is(f.Err, ErrSize) || f.Retryable || report.FilesDone != 1 {
				t.Errorf("size %d: %v, %v, %d done; want ErrSize, not retryable, the other file done", size, err, f.Err, report.FilesDone)
			}
			if names := b.names(); len(names) != 1 {
				t.Errorf("size %d: folder has %v", size, names)
			}
		}
	})
}

func (b *bench) names() []string {
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// part is the number of the part that a request asks for; false if it is none
// of the file.
func part(r request, id int64) (int, bool) {
	q, ok := r.q.(*api.UploadGetFileRequest)
	if !ok || q.Location.(*api.InputDocumentFileLocation).ID != id {
		return 0, false
	}
	return int(q.Offset / mib), true
}

func uploadFile(b []byte) tl.Object {
	return &api.UploadFile{Type: &api.Other{Raw: tl.Raw{0x05, 0x3b, 0x96, 0xaa}}, Bytes: b}
}

// Answers of a wrong length (faults 27, 28). A short one is asked for again,
// then the file fails; a long one is refused. Nothing of either is written.
func TestWrongLengths(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		part   int
		answer int // bytes
		times  int // how often it comes
		want   error
	}{
		{"short once", 1, mib - 1, 1, nil},
		{"empty twice", 1, 0, 2, nil},
		{"short for ever", 1, 4096, 99, ErrShort},
		{"empty for ever", 0, 0, 99, ErrShort},
		{"last one short", 2, 99, 99, ErrShort},
		{"longer than asked", 1, mib + 1, 1, ErrLong},
		{"longer than the file", 2, 101, 1, ErrLong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.add(1, 2*mib+100, 2)
				b.add(2, 1000, 2)
				times := 0
				b.hook = func(r request) (tl.Object, error, bool) {
					if n, ok := part(r, 1); !ok || n != tt.part || times >= tt.times {
						return nil, nil, false
					}
					times++
					return uploadFile(make([]byte, tt.answer)), nil, true
				}
				report, err := b.download(b.all())
				if err != nil {
					t.Fatal(err)
				}
				b.checkDone(report)
				if tt.want == nil {
					if report.FilesDone != 2 {
						t.Errorf("%d files done, want 2: %v", report.FilesDone, report.Failed)
					}
					return
				}
				f := b.failed(report)
				if most := map[error]int{ErrShort: 3, ErrLong: 1}[tt.want]; times != most {
					t.Errorf("asked %d times, want %d", times, most)
				}
				if !errors.Is(f.Err, tt.want) || f.ID != 1 || report.FilesDone != 1 {
					t.Errorf("failed: %d, %v; want 1, %v, and the other done", f.ID, f.Err, tt.want)
				}
				fi, err := os.Stat(filepath.Join(b.dir, f.Path+partSuffix))
				if err != nil || fi.Size() > 2*mib+100 {
					t.Errorf("unfinished file: %v, %v; want it to stay, within its size", fi, err)
				}
				if _, err := os.Stat(filepath.Join(b.dir, f.Path)); err == nil {
					t.Error("a failed file bears its final name")
				}
			})
		})
	}
}

// A file that cannot be fetched (faults 30) fails alone, is named, and goes on
// in the next run with what was fetched.
func TestFileFailsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 4*mib, 2)
		b.add(2, 3*mib, 2)
		b.add(3, 10, 4)
		asked := false
		b.hook = func(r request) (tl.Object, error, bool) {
			if n, ok := part(r, 1); ok && n == 3 {
				if !asked { // the others arrive meanwhile
					asked = true
					return nil, rpcError(500, "WORKER_BUSY_TOO_LONG_RETRY", "upload.getFile"), true
				}
				return nil, rpcError(400, "FILE_ID_INVALID", "upload.getFile"), true
			}
			return nil, nil, false
		}
		report, err := b.download(b.all())
		f := b.failed(report)
		var rpc *mtproto.RPCError
		if err != nil || f.ID != 1 || !errors.As(f.Err, &rpc) || rpc.Type != "FILE_ID_INVALID" || report.FilesDone != 2 {
			t.Fatalf("%v, failed %+v, %d done", err, f, report.FilesDone)
		}
		b.checkDone(report)
		b.hook = nil
		report = b.mustDownload()
		if report.BytesReceived >= 4*mib || report.Done[0].ResumedBytes+report.BytesReceived != 4*mib || report.BytesResent != 0 {
			t.Errorf("second run received %d, resumed %d, resent %d; want only what was missing",
				report.BytesReceived, report.Done[0].ResumedBytes, report.BytesResent)
		}
	})
}

// What came just before a file failed is marked too, and not fetched again.
func TestFailureKeepsParts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const parts = 8
		b := newBench(t)
		b.opts.PartSize = 128 << 10
		size := int64(parts * b.opts.PartSize)
		b.add(1, int(size), 2)
		// The last part is asked for a moment after the others have come.
		b.opts.Limits = func(time.Time) (Limits, time.Time) { return Limits{Requests: 20}, time.Time{} }
		b.hook = func(r request) (tl.Object, error, bool) {
			if q := r.q.(*api.UploadGetFileRequest); q.Offset == size-int64(b.opts.PartSize) {
				return nil, rpcError(400, "FILE_ID_INVALID", "upload.getFile"), true
			}
			return nil, nil, false
		}
		if report, err := b.download(b.all()); err != nil || len(report.Failed) != 1 {
			t.Fatalf("%v, %d files failed; want 1", err, len(report.Failed))
		}
		b.hook = nil
		if report := b.mustDownload(); report.Parts != 1 || report.Done[0].ResumedBytes != size*(parts-1)/parts {
			t.Errorf("%d bytes resumed, %d parts received; want all but one, and that", report.Done[0].ResumedBytes, report.Parts)
		}
	})
}

// A moved file (faults 13) is followed, and no byte is fetched twice.
func TestFileMigrate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 12*mib, 2).dc = 4
		report := b.mustDownload()
		if report.BytesReceived != 12*mib || report.BytesResent != 0 {
			t.Errorf("received %d, resent %d", report.BytesReceived, report.BytesResent)
		}
	})
}

// A file that moves while it is fetched: what is under way is refused and asked
// for at the other DC, what has come is kept, and the old DC is left alone.
func TestFileMovesMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		f := b.add(1, 24*mib, 2)
		var moved time.Time
		asked := 0
		b.hook = func(r request) (tl.Object, error, bool) {
			n, _ := part(r, 1)
			switch asked++; {
			case asked == 9:
				b.mu.Lock()
				f.dc, moved = 5, r.at
				b.mu.Unlock()
			case asked > 9 && r.dc == 2 && r.at.After(moved.Add(2*b.latency)):
				t.Errorf("part %d was asked for at the old DC after %v", n, r.at.Sub(moved))
			}
			return nil, nil, false
		}
		report := b.mustDownload()
		if report.BytesReceived != 24*mib || report.BytesResent != 0 || report.Parts != 24 {
			t.Errorf("received %d bytes in %d parts, %d bytes again; want each once", report.BytesReceived, report.Parts, report.BytesResent)
		}
		if asked > 24+10 {
			t.Errorf("%d requests for 24 parts", asked)
		}
	})
}

// A wait holds the DC and method: no request is sent inside it; others go on.
func TestFloodWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 30*mib, 2)
		b.add(2, 30*mib, 4)
		var told, until time.Time
		b.hook = func(r request) (tl.Object, error, bool) {
			if n, ok := part(r, 1); !ok || n != 10 || !told.IsZero() {
				if ok && !told.IsZero() && r.at.After(told) && r.at.Before(until) {
					t.Errorf("request %v inside the wait", until.Sub(r.at))
				}
				return nil, nil, false
			}
			told = time.Now()
			until = told.Add(30 * time.Second)
			return nil, rpcError(420, "FLOOD_WAIT_30", "upload.getFile"), true
		}
		start := time.Now()
		report := b.mustDownload()
		if len(report.Done) != 2 {
			t.Fatal("not done")
		}
		if report.FloodWaits != 1 || report.WaitSeconds != 30 {
			t.Errorf("%d waits, %v s; want 1, 30", report.FloodWaits, report.WaitSeconds)
		}
		if took := time.Since(start); took < 30*time.Second || took > 32*time.Second {
			t.Errorf("took %v, want a little over 30s", took)
		}
		if report.Done[0].ID != 2 {
			t.Error("the other DC did not go on")
		}
		found := false
		for _, e := range b.events {
			if w, ok := e.(FloodWait); ok {
				found = w.Seconds == 30 && w.Reason == "FLOOD_WAIT" && w.DC == 2 && w.Scope == "upload.getFile at DC 2"
			}
		}
		if !found {
			t.Error("no flood_wait event with the wait's seconds and scope")
		}
	})
}

// TestWaitDuringDial: a connection is being made for a part, and when it is
// there a wait has begun. The part is held by it as all others are.
func TestWaitDuringDial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 30*mib, 2)
		b.dialing = 2 * time.Second
		var told, until time.Time
		b.hook = func(r request) (tl.Object, error, bool) {
			if told.IsZero() {
				told = time.Now()
				until = told.Add(30 * time.Second)
				return nil, rpcError(420, "FLOOD_WAIT_30", "upload.getFile"), true
			}
			if r.at.After(told) && r.at.Before(until) {
				t.Errorf("request %v inside the wait", until.Sub(r.at))
			}
			return nil, nil, false
		}
		b.mustDownload()
	})
}

// A wait outlives the run.
func TestFloodWaitSurvives(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 10, 2)
		b.opts.MaxWait = 10 * time.Second
		b.hook = func(request) (tl.Object, error, bool) {
			return nil, rpcError(420, "FLOOD_PREMIUM_WAIT_100", "upload.getFile"), true
		}
		_, err := b.download(b.all())
		var wait *WaitError
		if !errors.As(err, &wait) || wait.Wait != 100*time.Second || wait.DC != 2 {
			t.Fatalf("%v; want a WaitError of 100s", err)
		}
		b.opts.MaxWait = 0
		until := time.Now().Add(99 * time.Second)
		b.hook = func(r request) (tl.Object, error, bool) {
			if r.at.Before(until) {
				t.Errorf("request %v before the wait of the last run is over", until.Sub(r.at))
			}
			return nil, nil, false
		}
		b.mustDownload()
	})
}

// Server trouble (faults 6): repeated at most 8 times, at moments that differ
// from file to file, then the file fails, and others go on.
func TestServerTrouble(t *testing.T) {
	t.Parallel()
	for _, answer := range []error{
		rpcError(-503, "Timedout", "upload.getFile"), rpcError(500, "Timedout", "upload.getFile"),
		rpcError(500, "RPC_CALL_FAIL", "upload.getFile"), rpcError(-500, "INTERDC_2_CALL_ERROR", "upload.getFile"),
	} {
		for _, times := range []int{8, 99} {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.add(1, 10, 2)
				b.add(2, 10, 2)
				b.add(3, 10, 2)
				asked := make(map[int64][]time.Duration)
				start := time.Now()
				b.hook = func(r request) (tl.Object, error, bool) {
					id := r.q.(*api.UploadGetFileRequest).Location.(*api.InputDocumentFileLocation).ID
					asked[id] = append(asked[id], r.at.Sub(start))
					return nil, answer, id != 3 && len(asked[id]) <= times
				}
				report, err := b.download(b.all())
				if err != nil {
					t.Fatal(err)
				}
				b.checkDone(report)
				if want := map[int]int{8: 3, 99: 1}[times]; report.FilesDone != want {
					t.Errorf("%v %d times: %d files done, want %d", answer, times, report.FilesDone, want)
				}
				for _, f := range report.Failed {
					if !f.Retryable || !errors.Is(f.Err, answer) {
						t.Errorf("%v, retryable %v", f.Err, f.Retryable)
					}
				}
				if len(asked[1]) != 9 || len(asked[2]) != 9 || len(asked[3]) != 1 {
					t.Errorf("asked %d, %d, %d times; want 9, 9, 1", len(asked[1]), len(asked[2]), len(asked[3]))
				}
				if slices.Equal(asked[1], asked[2]) || asked[1][8] < 30*time.Second {
					t.Errorf("asked at %v and at %v; want growing pauses with jitter", asked[1], asked[2])
				}
			})
		}
	}
}

// A 401 of a guest DC is met by one authorisation.
func TestUnauthorized(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 3*mib, 4)
		b.hook = func(r request) (tl.Object, error, bool) {
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.reauths > 0 {
				return nil, nil, false
			}
			return nil, rpcError(401, "AUTH_KEY_UNREGISTERED", "upload.getFile"), true
		}
		b.mustDownload()
		if b.reauths == 0 {
			t.Error("ReauthorizeDC was not called")
		}
	})
}

// A logout (faults 15) stops the run at once; what was fetched stays.
func TestLoggedOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 20*mib, 2)
		b.hook = func(r request) (tl.Object, error, bool) {
			if n, ok := part(r, 1); ok && n == 15 {
				return nil, rpcError(401, "SESSION_REVOKED", "upload.getFile"), true
			}
			return nil, nil, false
		}
		b.onReauth = func(error) error { return fmt.Errorf("%w: test", telegram.ErrLoggedOut) }
		start := time.Now()
		report, err := b.download(b.all())
		if !errors.Is(err, telegram.ErrLoggedOut) || time.Since(start) > time.Second || len(report.Failed) != 0 {
			t.Errorf("%v after %v, failed %v; want ErrLoggedOut within 1s", err, time.Since(start), report.Failed)
		}
		b.hook, b.onReauth = nil, nil
		if report = b.mustDownload(); report.Done[0].ResumedBytes == 0 {
			t.Error("nothing was kept")
		}
	})
}

// A session that dies is replaced, and its parts are asked for again.
func TestSessionDies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 10*mib, 2)
		times := 0
		b.hook = func(r request) (tl.Object, error, bool) {
			b.mu.Lock()
			defer b.mu.Unlock()
			if times++; times > 3 {
				return nil, nil, false
			}
			return nil, mtproto.ErrClosed, true
		}
		report := b.mustDownload()
		if b.dropped == 0 || report.BytesResent != 0 {
			t.Errorf("%d sessions dropped, %d bytes resent", b.dropped, report.BytesResent)
		}
	})
}

// A part that stalls is asked for elsewhere, and the late answer is dropped
// (faults 3, 23).
func TestStall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 8*mib, 2)
		stalled := false
		b.hook = func(r request) (tl.Object, error, bool) {
			if n, ok := part(r, 1); !ok || n != 2 || stalled {
				return nil, nil, false
			}
			stalled = true
			return nil, errStall, true
		}
		start := time.Now()
		b.mustDownload()
		if took := time.Since(start); took > time.Minute {
			t.Errorf("took %v", took)
		}
		var conns []int
		for _, r := range b.getFiles() {
			if n, ok := part(r, 1); ok && n == 2 {
				conns = append(conns, r.conn)
			}
		}
		if len(conns) != 2 || conns[0] == conns[1] {
			t.Errorf("part 2 was asked for on connections %v; want two different ones", conns)
		}
	})
}

// A late answer to a part that came meanwhile is not written, only counted,
// whether its file is still under way or over (faults 23).
func TestLateAnswer(t *testing.T) {
	t.Parallel()
	for _, slow := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.add(1, 12*mib, 2)
			if slow { // the late answer comes after 40 s
				b.opts.Limits = func(time.Time) (Limits, time.Time) { return Limits{Down: mib / 5}, time.Time{} }
			}
			first := true
			b.hook = func(r request) (tl.Object, error, bool) {
				if n, ok := part(r, 1); !ok || n != 1 || !first {
					return nil, nil, false
				}
				first = false
				return uploadFile(make([]byte, mib)), errLate, true
			}
			start := time.Now()
			report := b.mustDownload()
			if report.Parts != 13 || report.PartsRepeated != 1 || report.BytesResent != mib {
				t.Errorf("slow %v: %+v; want 13 parts, one of them a second time", slow, report.Counters)
			}
			if took := time.Since(start); slow != (took > 45*time.Second) {
				t.Errorf("slow %v: took %v", slow, took)
			}
		})
	}
}

// An existing file is never replaced.
func TestExists(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		f := b.add(1, 10, 2)
		mine := []byte("mine")
		if err := os.WriteFile(filepath.Join(b.dir, f.Name), mine, 0o600); err != nil {
			t.Fatal(err)
		}
		report, err := b.download(b.all())
		if f := b.failed(report); err != nil || !errors.Is(f.Err, ErrExists) {
			t.Errorf("%v, %v; want ErrExists", err, f.Err)
		}
		if got, _ := os.ReadFile(filepath.Join(b.dir, f.Name)); !bytes.Equal(got, mine) {
			t.Errorf("existing file is now %q", got)
		}
	})
}

// It is not replaced either if it appears while the download runs.
func TestAppears(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		f := b.add(1, 10, 2)
		b.hook = func(request) (tl.Object, error, bool) {
			if err := os.WriteFile(filepath.Join(b.dir, f.Name), []byte("mine"), 0o600); err != nil {
				t.Error(err)
			}
			return nil, nil, false
		}
		report, err := b.download(b.all())
		if f := b.failed(report); err != nil || !errors.Is(f.Err, ErrExists) {
			t.Errorf("%v, %v; want ErrExists", err, f.Err)
		}
	})
}

// Paths that lead out of the folder are refused, also by way of links.
func TestContained(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		outside := t.TempDir()
		if err := os.Symlink(outside, filepath.Join(b.dir, "link")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(outside, "x"), filepath.Join(b.dir, "y.part")); err != nil {
			t.Fatal(err)
		}
		f := b.add(1, 10, 2)
		for _, path := range []string{"../x", "/x", "a/../../x", "link/x", ".", "a//b", "y", "x\x00y"} {
			report, err := b.download(func(yield func(Download, error) bool) {
				yield(Download{File: f.File, Dir: b.root, Path: path}, nil)
			})
			if err != nil || len(report.Failed) != 1 {
				t.Errorf("%q: %v, %d failed; want a failure", path, err, len(report.Failed))
			}
		}
		if left, _ := os.ReadDir(outside); len(left) != 0 {
			t.Errorf("written outside: %v", left)
		}
	})
}

func TestProtected(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 10, 2).NoForwards = true
		report, err := b.download(b.all())
		if f := b.failed(report); err != nil || !errors.Is(f.Err, ErrProtected) || f.Retryable || len(b.getFiles()) != 0 {
			t.Errorf("%v, %v, %d requests; want ErrProtected without any", err, f.Err, len(b.getFiles()))
		}
	})
}

func TestListFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		f := b.add(1, 10, 2)
		broken := errors.New("listing broke")
		report, err := b.download(func(yield func(Download, error) bool) {
			if yield(Download{File: f.File, Dir: b.root}, nil) {
				yield(Download{}, broken)
			}
		})
		if !errors.Is(err, broken) || report.FilesDone != 1 {
			t.Errorf("%v, %d done; want the listing's error after the file", err, report.FilesDone)
		}
	})
}

func TestVerifyServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.opts.VerifyServer = true
		b.add(1, 3*mib+7, 2)
		b.mustDownload()
		b.add(2, 3*mib+7, 2)
		b.hook = func(r request) (tl.Object, error, bool) {
			if q, ok := r.q.(*api.UploadGetFileHashesRequest); ok && q.Offset > 0 {
				return hashVector{{Offset: q.Offset, Limit: 4096, Hash: make([]byte, 32)}}, nil, true
			}
			return nil, nil, false
		}
		report, err := b.download(b.some(2))
		if f := b.failed(report); err != nil || !errors.Is(f.Err, ErrHash) {
			t.Errorf("%v, %v; want ErrHash", err, f.Err)
		}
	})
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 4096, 100 << 10, 3 << 20, -1} {
		e := NewFor(newFake(t), Options{PartSize: size})
		if _, err := e.Download(t.Context(), func(func(Download, error) bool) {}); err == nil {
			t.Errorf("part size %d: no error", size)
		}
	}
}

// brokenCheckpoint fails to commit.
type brokenCheckpoint struct {
	*checkpoint.Memory
	err error
}

func (c brokenCheckpoint) Commit(b *checkpoint.Batch) error {
	if b.Len() == 0 {
		return nil
	}
	return c.err
}

// A checkpoint that cannot be written ends no file with a name.
func TestCheckpointBroken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 10, 2)
		b.add(2, 20*mib, 2)
		broken := errors.New("disk is gone")
		b.opts.Checkpoint = brokenCheckpoint{b.cp, broken}
		report, err := b.download(b.all())
		if report.FilesDone != 0 || err == nil && len(report.Failed) != 2 {
			t.Errorf("%v, %+v; want failure", err, report)
		}
		for _, f := range report.Failed {
			if !errors.Is(f.Err, broken) {
				t.Errorf("%s: %v", f.Path, f.Err)
			}
		}
	})
}
