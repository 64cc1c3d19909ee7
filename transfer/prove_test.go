package transfer

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// noHashes makes a server that serves no file hashes.
func noHashes(r request) (tl.Object, error, bool) {
	if _, ok := r.q.(*api.UploadGetFileHashesRequest); ok {
		return hashVector{}, nil, true
	}
	return nil, nil, false
}

// TestAdoptWithoutRecord finds files under their final names when the
// checkpoint was lost (faults 45): they are proven and adopted, or left alone.
func TestAdoptWithoutRecord(t *testing.T) {
	t.Parallel()
	const size = 3*mib + 5
	tests := []struct {
		name     string
		size     int
		damage   bool
		listed   bool // the caller knows the SHA-256
		noHashes bool
		received int64 // bytes
		hashes   bool  // the server is asked
		skipped  bool
		done     bool
	}{
		{name: "listed", size: size, listed: true, skipped: true},
		{name: "listed and damaged", size: size, listed: true, damage: true},
		{name: "hashes", size: size, hashes: true, skipped: true},
		{name: "hashes and damaged", size: size, damage: true, hashes: true},
		{name: "no hashes", size: size, noHashes: true, hashes: true, received: size, done: true},
		{name: "no hashes and damaged", size: size, noHashes: true, damage: true, hashes: true, received: size},
		{name: "small", size: 1000, received: 1000, done: true},
		{name: "small and damaged", size: 1000, damage: true, received: 1000},
		{name: "empty", size: 0, skipped: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				f := b.add(1, tt.size, 2)
				if tt.noHashes {
					b.hook = noHashes
				}
				data := bytes.Clone(f.data)
				if tt.damage {
					data[len(data)-1]++
				}
				path := filepath.Join(b.dir, f.Name)
				if err := os.WriteFile(path, data, 0o600); err != nil {
					t.Fatal(err)
				}
				d := Download{File: f.File, Dir: b.root}
				if tt.listed {
					d.SHA256 = sha256.Sum256(f.data)
				}
				report, err := b.download(func(yield func(Download, error) bool) { yield(d, nil) })
				if err != nil || report.BytesReceived > tt.received || report.BytesReceived < tt.received && !tt.damage {
					t.Errorf("%v, %d bytes received, want %d", err, report.BytesReceived, tt.received)
				}
				if got := b.hashCalls() > 0; got != tt.hashes {
					t.Errorf("asked for hashes: %v, want %v", got, tt.hashes)
				}
				if report.FilesSkipped == 1 != tt.skipped || report.FilesDone == 1 != tt.done {
					t.Errorf("%+v; want skipped %v, done %v", report.Counters, tt.skipped, tt.done)
				}
				done, found, _ := b.cp.Done(keyOf(d))
				if found != (tt.skipped || tt.done) || found && done.SHA256 != sha256.Sum256(f.data) {
					t.Errorf("recorded: %v, %+v", found, done)
				}
				if tt.damage && !errors.Is(b.failed(report).Err, ErrExists) {
					t.Errorf("%v, want ErrExists", report.Failed[0].Err)
				}
				if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, data) {
					t.Errorf("the file was changed: %v", err)
				}
				if names := b.names(); len(names) != 1 {
					t.Errorf("folder has %v", names)
				}
			})
		})
	}
}

// TestUnmarkedPart continues an unfinished file of which the checkpoint knows
// nothing: what the server proves is kept, the rest is fetched.
func TestUnmarkedPart(t *testing.T) {
	t.Parallel()
	for _, served := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			f := b.add(1, 6*mib+100, 2)
			if !served {
				b.hook = noHashes
			}
			data := make([]byte, 5*mib) // the last part is missing, another is a hole
			copy(data, f.data)
			clear(data[mib : 2*mib])
			data[3*mib+7]++
			if err := os.WriteFile(filepath.Join(b.dir, f.Name+partSuffix), data, 0o600); err != nil {
				t.Fatal(err)
			}
			report := b.mustDownload()
			want := f.Size
			if served { // parts 0, 2 and 4 are proven
				want -= 3 * mib
			}
			if report.BytesReceived != want {
				t.Errorf("served %v: %d bytes received, want %d", served, report.BytesReceived, want)
			}
			if resumed := report.Done[0].ResumedBytes; resumed+report.BytesReceived != f.Size {
				t.Errorf("%d bytes resumed, %d received; want %d together", resumed, report.BytesReceived, f.Size)
			}
		})
	}
}

// A file that was lost to the checkpoint in the middle of its parts is not
// asked about: marks prove what they are about.
func TestMarkedPartAsksNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 6*mib, 2)
		b.stopAfter(3)
		b.mustDownload()
		if n := b.hashCalls(); n != 0 {
			t.Errorf("the server was asked for hashes %d times", n)
		}
	})
}

// After a flood wait for hashes no more are asked for.
func TestHashesFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		for id := int64(1); id <= 5; id++ {
			f := b.add(id, 2*mib, 2)
			if err := os.WriteFile(filepath.Join(b.dir, f.Name), f.data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		b.hook = func(r request) (tl.Object, error, bool) {
			if _, ok := r.q.(*api.UploadGetFileHashesRequest); ok {
				return nil, rpcError(420, "FLOOD_WAIT_1000", "upload.getFileHashes"), true
			}
			return nil, nil, false
		}
		b.opts.Transfers = 1
		report := b.mustDownload()
		if n := b.hashCalls(); n > 4 || report.FilesDone != 5 {
			t.Errorf("asked %d times, %+v; want 5 files, fetched and compared", n, report.Counters)
		}
	})
}

// A lost checkpoint costs no byte twice where the server serves hashes.
func TestCheckpointLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		for id := int64(1); id <= 3; id++ {
			b.add(id, int(id)*2*mib, 2)
		}
		b.mustDownload()
		b.opts.Checkpoint = checkpoint.NewMemory()
		report := b.mustDownload()
		if report.FilesSkipped != 3 || report.BytesReceived != 0 {
			t.Errorf("%+v; want 3 skipped", report.Counters)
		}
	})
}
