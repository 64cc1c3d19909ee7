package transfer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/tl"
)

// A dyingCheckpoint stops recording at some moment, as a process does that is
// killed: what is written after it has no mark.
type dyingCheckpoint struct {
	*checkpoint.Memory
	mu   sync.Mutex
	left int // commits until it dies
	die  func()
}

func (c *dyingCheckpoint) Commit(b *checkpoint.Batch) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left < 0 {
		return errors.New("killed")
	}
	err := c.Memory.Commit(b)
	if c.left == 0 {
		c.die()
	}
	return err
}

// TestKilledAnywhere ends runs at every commit in turn, goes on, and compares
// every byte (faults 38, 40). What is fetched twice is bounded by what may be
// written and not yet marked.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.latency = 100 * time.Millisecond
		var total int64
		for id, size := range []int{30 * mib, 10, 7*mib + 1, 500_000, 3 * mib} {
			b.add(int64(id+1), size, 2)
			total += int64(size)
		}
		runs, received := 0, int64(0)
		for ; runs < 100; runs++ {
			ctx, cancel := context.WithCancel(t.Context())
			o := b.opts
			o.Checkpoint = &dyingCheckpoint{Memory: b.cp, left: 1, die: cancel}
			report, err := NewFor(b, o).Download(ctx, b.all())
			cancel()
			b.checkDone(report)
			received += report.BytesReceived
			if err == nil && len(report.Failed) == 0 {
				break
			}
		}
		report := b.mustDownload()
		if received += report.BytesReceived; runs < 3 || report.FilesSkipped+report.FilesDone != 5 {
			t.Errorf("%d runs, then %+v; want some, and 5 files in the end", runs, report.Counters)
		}
		if twice := received - total; twice > int64(runs)*32*mib {
			t.Errorf("%d bytes fetched twice in %d runs", twice, runs)
		}
		t.Logf("%d runs, %d MiB of %d MiB fetched twice", runs, (received-total)/mib, total/mib)
	})
}

// Marks and bytes that disagree: the checksums decide (faults 40).
func TestMarksAndBytesDisagree(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		damage  func(t *testing.T, path string)
		atLeast int64 // bytes that must be fetched again
	}{
		{"nothing", func(*testing.T, string) {}, 0},
		{"a byte flipped", func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close() //nolint:errcheck // written without a buffer
			if _, err := f.WriteAt([]byte{0}, 3*mib+5); err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt([]byte{1}, 3*mib+6); err != nil {
				t.Fatal(err)
			}
		}, mib},
		{"cut", func(t *testing.T, path string) {
			if err := os.Truncate(path, 2*mib+5); err != nil {
				t.Fatal(err)
			}
		}, mib},
		{"gone", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, 4 * mib},
		{"longer", func(t *testing.T, path string) {
			if err := os.Truncate(path, 100*mib); err != nil {
				t.Fatal(err)
			}
		}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				f := b.add(1, 10*mib, 2)
				b.stopAfter(8)
				tt.damage(t, filepath.Join(b.dir, f.Name+partSuffix))
				report := b.mustDownload()
				if report.BytesResent < tt.atLeast || tt.atLeast == 0 && report.BytesResent != 0 {
					t.Errorf("%d bytes fetched again, want at least %d", report.BytesResent, tt.atLeast)
				}
				if got := report.BytesReceived + report.Done[0].ResumedBytes; got != 10*mib {
					t.Errorf("received and resumed %d bytes, want %d", got, 10*mib)
				}
			})
		})
	}
}

// stopAfter downloads until n parts were asked for, and a little longer.
func (b *bench) stopAfter(n int) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	defer cancel()
	asked := 0
	b.hook = func(request) (tl.Object, error, bool) {
		if asked++; asked > n {
			time.AfterFunc(time.Second, cancel)
			return nil, errStall, true
		}
		return nil, nil, false
	}
	report, err := NewFor(b, b.opts).Download(ctx, b.all())
	if !errors.Is(err, context.Canceled) {
		b.t.Fatalf("interrupted run: %v, %+v", err, report)
	}
	b.hook = nil
}

// A program that ends between naming a file and recording that finds its file
// again, and does not fetch it.
func TestAdopt(t *testing.T) {
	t.Parallel()
	for _, spoil := range []bool{false, true} {
		t.Run(fmt.Sprintf("spoilt=%v", spoil), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				f := b.add(1, 3*mib+5, 2)
				key := keyOf(Download{File: f.File, Dir: b.root})
				record := checkpoint.Download{Path: f.Name, Size: f.Size, PartSize: mib}
				var batch checkpoint.Batch
				batch.Begin(key, record)
				for n := range 4 {
					batch.Mark(key, n, crcOf(f.data[n*mib:min((n+1)*mib, len(f.data))]))
				}
				if err := b.cp.Commit(&batch); err != nil {
					t.Fatal(err)
				}
				data := f.data
				if spoil {
					data = append([]byte{data[0] + 1}, data[1:]...)
				}
				if err := os.WriteFile(filepath.Join(b.dir, f.Name), data, 0o600); err != nil {
					t.Fatal(err)
				}
				// It may have two names still, or three.
				for _, suffix := range []string{partSuffix, asideSuffix} {
					if err := os.Link(filepath.Join(b.dir, f.Name), filepath.Join(b.dir, f.Name+suffix)); err != nil {
						t.Fatal(err)
					}
				}
				report, err := b.download(b.all())
				if err != nil {
					t.Fatal(err)
				}
				if left, err := filepath.Glob(filepath.Join(b.dir, "*"+partSuffix)); err != nil || !spoil && len(left) > 0 {
					t.Errorf("%v are left over, %v", left, err)
				}
				if spoil {
					if f := b.failed(report); !errors.Is(f.Err, ErrExists) {
						t.Errorf("spoilt file: %v, want ErrExists", f.Err)
					}
					return
				}
				if report.FilesSkipped != 1 || report.BytesReceived != 0 {
					t.Errorf("%+v; want it skipped", report.Counters)
				}
				if _, found, _ := b.cp.Done(key); !found {
					t.Error("the adopted file is not recorded")
				}
			})
		})
	}
}

// TestAdoptLeavesOthers: what is called as the file that is adopted was while it
// was unfinished, and is another file, stays.
func TestAdoptLeavesOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		f := b.add(1, 5000, 2)
		var batch checkpoint.Batch
		key := keyOf(Download{File: f.File, Dir: b.root})
		batch.Begin(key, checkpoint.Download{Path: f.Name, Size: f.Size, PartSize: mib})
		batch.Mark(key, 0, crcOf(f.data))
		if err := b.cp.Commit(&batch); err != nil {
			t.Fatal(err)
		}
		names := map[string][]byte{f.Name: f.data, f.Name + partSuffix: []byte("another"), f.Name + asideSuffix: f.data}
		for name, data := range names {
			if err := os.WriteFile(filepath.Join(b.dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if report, err := b.download(b.all()); err != nil || report.FilesSkipped != 1 {
			t.Fatalf("%+v, %v; want it adopted", report, err)
		}
		for name, data := range names {
			if got, err := os.ReadFile(filepath.Join(b.dir, name)); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s: %d bytes, %v; want it as it was", name, len(got), err)
			}
		}
	})
}

// TestBesideAgain: a file that is called as another with ".again" after it is
// fetched beside that one, and goes on where it was.
func TestBesideAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		f := b.add(1, 5000, 2)
		unfinished := filepath.Join(b.dir, f.Name+".again"+partSuffix)
		if err := os.WriteFile(unfinished, []byte("another"), 0o600); err != nil {
			t.Fatal(err)
		}
		if report, err := b.download(b.all()); err != nil || report.FilesDone != 1 {
			t.Fatalf("%+v, %v; want it fetched", report, err)
		}
		if got, err := os.ReadFile(unfinished); err != nil || string(got) != "another" {
			t.Errorf("the other one is %q, %v; want it as it was", got, err)
		}
	})
}

// TestEvents holds the names of the events' fields, which are stable.
func TestEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1<<62+1, 3*mib, 2).ref = "new"
		b.files[1<<62+1].Origin.MessageID = 1
		b.files[1] = b.files[1<<62+1]
		b.add(2, 10, 2).NoForwards = true
		if _, err := b.download(b.some(1<<62+1, 2)); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			"run_started":         "event time direction",
			"file_started":        "event time id path size dc resumed_bytes",
			"file_done":           "event time id path size sha256 resumed_bytes chat message",
			"file_failed":         "event time id path error retryable chat message",
			"reference_refreshed": "event time chat files",
			"progress": "event time files_done files_failed files_skipped files_known list_done bytes bytes_done " +
				"bytes_known bytes_second active",
			"run_done": "event time files_done files_failed files_skipped bytes bytes_received bytes_resent parts " +
				"parts_repeated flood_waits wait_seconds reference_refreshes reconnects seconds",
		}
		seen := make(map[string]bool)
		var last time.Time
		for i, e := range b.events {
			line, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			name := e.Head().Event
			seen[name] = true
			if got := fieldNames(t, line); got != want[name] {
				t.Errorf("%s has the fields\n%s, want\n%s", name, got, want[name])
			}
			if name == "progress" {
				if since := e.Head().Time.Sub(last); since < 450*time.Millisecond {
					t.Errorf("progress %v after the last one", since)
				}
				last = e.Head().Time
			}
			if e.Head().Time.IsZero() {
				t.Errorf("%s has no time", name)
			}
			if (name == "run_started") != (i == 0) || (name == "run_done") != (i == len(b.events)-1) {
				t.Errorf("event %d of %d is %s", i, len(b.events), name)
			}
			if name == "file_done" && !strings.Contains(string(line), `"id":"4611686018427387905"`) {
				t.Errorf("id is not a string of the whole number: %s", line)
			}
		}
		for name := range want {
			if !seen[name] {
				t.Errorf("no %s event", name)
			}
		}
	})
}

// fieldNames lists the top-level fields of a JSON object, in order.
func fieldNames(t *testing.T, line []byte) string {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(line)))
	var names []string
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name.(string))
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			t.Fatal(err)
		}
	}
	return strings.Join(names, " ")
}

// TestFrontier hashes parts that arrive in random order, by many at once.
func TestFrontier(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 50 {
		size, partSize := rng.IntN(100_000), 4096
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		h := (&run{tg: new(fake)}).newFrontier(f, int64(size), partSize)
		var wg sync.WaitGroup
		for _, n := range rng.Perm((size + partSize - 1) / partSize) {
			wg.Go(func() {
				b := data[n*partSize : min((n+1)*partSize, size)]
				if _, err := f.WriteAt(b, int64(n*partSize)); err != nil {
					t.Error(err)
				}
				h.offer(n, b)
				h.catchUp(t.Context())
			})
		}
		wg.Wait()
		got, err := h.result(t.Context())
		if want := sumOf(data); err != nil || got != want {
			t.Fatalf("size %d: hash %x, %v; want %x", size, got, err, want)
		}
	}
}

// A file that becomes shorter under the hash is an error, not another hash.
func TestFrontierShort(t *testing.T) {
	t.Parallel()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	h := (&run{tg: new(fake)}).newFrontier(f, 10, 4096)
	h.mark(0)
	h.catchUp(t.Context())
	if _, err := h.result(t.Context()); err == nil {
		t.Error("no error")
	}
}

func TestMeter(t *testing.T) {
	t.Parallel()
	var m meter
	now := time.Unix(1000, 0)
	m.rate(now)
	for range 20 {
		now = now.Add(time.Second)
		m.add(now, 100)
	}
	if got := m.rate(now); got < 90 || got > 110 {
		t.Errorf("rate %d, want about 100", got)
	}
	if got := m.rate(now.Add(time.Hour)); got != 0 {
		t.Errorf("rate after an hour %d, want 0", got)
	}
	if m.total != 2000 {
		t.Errorf("total %d, want 2000", m.total)
	}
}
