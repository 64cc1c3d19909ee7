package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// repairPart is the part size in these tests: two of the server's ranges.
const repairPart = 256 << 10

// repairBench has one file of 10 parts and some, which is done.
func repairBench(t *testing.T) (*bench, *fakeFile) {
	t.Helper()
	b := newBench(t)
	b.opts.PartSize = repairPart
	f := b.add(1, 10*repairPart+5, 2)
	b.mustDownload()
	return b, f
}

// repair is the download that makes a file of the fake good again.
func (b *bench) repair(f *fakeFile) func(func(Download, error) bool) {
	sum := sumOf(f.data)
	return func(yield func(Download, error) bool) {
		yield(Download{File: f.File, Dir: b.root, Repair: &Repair{SHA256: sum}}, nil)
	}
}

// mustRepair fails the test unless the file is good in the end.
func (b *bench) mustRepair(f *fakeFile) *Report {
	b.t.Helper()
	report, err := b.download(b.repair(f))
	if err != nil || report.FilesDone != 1 {
		b.t.Fatalf("repair: %v, %v, %+v", err, report.Failed, report.Counters)
	}
	b.checkDone(report)
	return report
}

// damages are what can happen to a file of 10 parts and some, and how many parts
// of it have to be fetched then.
var damages = []struct {
	name   string
	damage func(data []byte) []byte // nil: the file is gone
	parts  int
}{
	{"a bit flipped", func(b []byte) []byte { b[3*repairPart+7] ^= 1; return b }, 1},
	{"a range overwritten", func(b []byte) []byte { clear(b[3*repairPart-5 : 5*repairPart]); return b }, 3},
	{"the end cut off", func(b []byte) []byte { return b[:4*repairPart+1] }, 7},
	{"something appended", func(b []byte) []byte { return append(b, "more"...) }, 0},
	{"emptied", func([]byte) []byte { return []byte{} }, 11},
	{"gone", func([]byte) []byte { return nil }, 11},
	{"all wrong", func(b []byte) []byte { return bytes.Repeat([]byte{5}, len(b)) }, 11},
}

func (b *bench) damage(f *fakeFile, how func([]byte) []byte) []byte {
	b.t.Helper()
	data, path := how(bytes.Clone(f.data)), filepath.Join(b.dir, f.Name)
	if data == nil {
		if err := os.Remove(path); err != nil {
			b.t.Fatal(err)
		}
		return nil
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		b.t.Fatal(err)
	}
	return data
}

// TestRepair: only the bad parts are fetched, whether the checkpoint or the
// server tells which they are; all if nobody does.
func TestRepair(t *testing.T) {
	t.Parallel()
	noHashes := func(answer tl.Object, err error) func(request) (tl.Object, error, bool) {
		return func(r request) (tl.Object, error, bool) {
			_, is := r.q.(*api.UploadGetFileHashesRequest)
			return answer, err, is
		}
	}
	known := []struct {
		name    string
		forget  bool // the checkpoint does not know the file
		hook    func(request) (tl.Object, error, bool)
		all     bool // everything has to be fetched
		noCalls bool // of getFileHashes
	}{
		{"by the checkpoint", false, noHashes(nil, rpcError(500, "NOT_TO_BE_ASKED", "")), false, true},
		{"by the server", true, nil, false, false},
		{"by nobody", true, noHashes(hashVector{}, nil), true, false},
		{"the server refuses", true, noHashes(nil, rpcError(400, "LOCATION_INVALID", "upload.getFileHashes")), true, false},
	}
	for _, k := range known {
		for _, d := range damages {
			t.Run(k.name+"/"+d.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, f := repairBench(t)
					b.damage(f, d.damage)
					if k.forget {
						b.cp = checkpoint.NewMemory()
						b.opts.Checkpoint = b.cp
					}
					b.hook = k.hook
					before := len(b.getFiles())
					report := b.mustRepair(f)
					want := d.parts
					if k.all {
						want = 11
					}
					if got := len(b.getFiles()) - before; got != want || report.Parts != want {
						t.Errorf("%d parts fetched, %d reported; want %d", got, report.Parts, want)
					}
					if got := report.BytesReceived + report.Done[0].ResumedBytes; got != f.Size {
						t.Errorf("%d bytes received and salvaged, want %d", got, f.Size)
					}
					if asked := b.hashCalls() > 0; asked && k.noCalls {
						t.Error("the server was asked for hashes that are known")
					}
					b.checkRepaired(f, 11)
				})
			})
		}
	}
}

func (b *bench) hashCalls() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.requests {
		if _, ok := r.q.(*api.UploadGetFileHashesRequest); ok {
			n++
		}
	}
	return n
}

// checkRepaired: the checkpoint knows the file as any other that is done, with
// its checksums, and nothing of the repair.
func (b *bench) checkRepaired(f *fakeFile, parts int) {
	b.t.Helper()
	d := Download{File: f.File, Dir: b.root}
	done, found, err := b.cp.Done(keyOf(d))
	if err != nil || !found || done.SHA256 != sumOf(f.data) {
		b.t.Errorf("Done = %+v, %v, %v; want the repaired file", done, found, err)
	}
	if sums, err := b.cp.Checksums(keyOf(d)); err != nil || len(sums) != parts {
		b.t.Errorf("%d checksums, %v; want %d", len(sums), err, parts)
	}
	if _, found, _ := b.cp.Download(repairKeyOf(d)); found {
		b.t.Error("the repair is still recorded as unfinished")
	}
	report, err := b.download(b.some(f.ID))
	if err != nil || report.FilesSkipped != 1 || report.BytesReceived != 0 {
		b.t.Errorf("the next download: %v, %+v; want it skipped", err, report.Counters)
	}
}

// The server has other content under the same id: the damaged file stays.
func TestRepairDiffers(t *testing.T) {
	t.Parallel()
	for _, forget := range []bool{false, true} {
		t.Run(fmt.Sprintf("forget=%v", forget), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, f := repairBench(t)
				kept := b.damage(f, damages[0].damage)
				if forget {
					b.opts.Checkpoint = checkpoint.NewMemory()
				}
				files := b.repair(f)
				f.data = bytes.Repeat([]byte{9}, len(f.data))
				report, err := b.download(files)
				if res := b.failed(report); err != nil || !errors.Is(res.Err, ErrDiffers) || res.Retryable {
					t.Errorf("%v, %v; want ErrDiffers for good", err, res.Err)
				}
				if got, err := os.ReadFile(filepath.Join(b.dir, f.Name)); err != nil || !bytes.Equal(got, kept) {
					t.Errorf("the damaged file was touched: %v", err)
				}
				if _, err := os.Stat(filepath.Join(b.dir, f.Name+partSuffix)); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("the useless file is left over: %v", err)
				}
			})
		})
	}
}

// Checksums that speak for bad bytes are found out by the hash of the whole.
func TestRepairDistrusts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, f := repairBench(t)
		data := b.damage(f, damages[0].damage)
		key := keyOf(Download{File: f.File, Dir: b.root})
		done, _, err := b.cp.Done(key)
		if err != nil {
			t.Fatal(err)
		}
		var batch checkpoint.Batch
		batch.Begin(key, checkpoint.Download{Path: f.Name, Size: f.Size, PartSize: repairPart})
		for n := range 11 {
			batch.Mark(key, n, crcOf(data[n*repairPart:min((n+1)*repairPart, len(data))]))
		}
		batch.Finish(key, done)
		if err := b.cp.Commit(&batch); err != nil {
			t.Fatal(err)
		}
		if report := b.mustRepair(f); report.Parts != 11 {
			t.Errorf("%d parts fetched, want all 11", report.Parts)
		}
		b.checkRepaired(f, 11)
	})
}

// TestRepairKilledAnywhere ends a repair at every commit in turn. The file is
// either as it was, or right; what was done is not done again.
func TestRepairKilledAnywhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.latency = 100 * time.Millisecond
		f := b.add(1, 30*mib+5, 2)
		b.mustDownload()
		kept := b.damage(f, func(data []byte) []byte { clear(data[10*mib : 25*mib]); return data })
		received, runs := int64(0), 0
		for ; runs < 100; runs++ {
			ctx, cancel := context.WithCancel(t.Context())
			o := b.opts
			o.Checkpoint = &dyingCheckpoint{Memory: b.cp, left: 1 + runs/6, die: cancel}
			report, err := NewFor(b, o).Download(ctx, b.repair(f))
			cancel()
			received += report.BytesReceived
			got, readErr := os.ReadFile(filepath.Join(b.dir, f.Name))
			if readErr != nil || !bytes.Equal(got, kept) && !bytes.Equal(got, f.data) {
				t.Fatalf("after run %d: %v, the file is neither as it was nor right", runs, readErr)
			}
			if err == nil && len(report.Failed) == 0 {
				break
			}
		}
		b.checkRepaired(f, 31)
		if runs < 3 || received < 15*mib || received > 15*mib+int64(runs)*10*mib {
			t.Errorf("%d runs received %d MiB, want some, and 15 MiB and little more", runs, received/mib)
		}
		got, err := os.ReadFile(filepath.Join(b.dir, f.Name))
		if err != nil || !bytes.Equal(got, f.data) {
			t.Errorf("the file is not repaired: %v", err)
		}
		t.Logf("%d runs, %d MiB received for 15", runs, received/mib)
	})
}

// Calls for hashes get over what calls for parts get over.
func TestHashesInTrouble(t *testing.T) {
	t.Parallel()
	const method = "upload.getFileHashes"
	for _, trouble := range []string{"FLOOD_WAIT_7", "FILE_REFERENCE_EXPIRED", "INTERNAL", "FILE_MIGRATE_4", "AUTH_KEY_UNREGISTERED"} {
		t.Run(trouble, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, f := repairBench(t)
				b.damage(f, damages[0].damage)
				b.opts.Checkpoint = checkpoint.NewMemory()
				code := map[string]int{"FLOOD_WAIT_7": 420, "FILE_REFERENCE_EXPIRED": 400, "INTERNAL": 500, "FILE_MIGRATE_4": 303, "AUTH_KEY_UNREGISTERED": 401}
				var asked []request
				b.hook = func(r request) (tl.Object, error, bool) {
					if _, ok := r.q.(*api.UploadGetFileHashesRequest); ok {
						if asked = append(asked, r); len(asked) == 1 {
							return nil, rpcError(code[trouble], trouble, method), true
						}
					}
					return nil, nil, false
				}
				report := b.mustRepair(f)
				if report.Parts != 1 {
					t.Errorf("%d parts fetched, want 1", report.Parts)
				}
				switch trouble {
				case "FLOOD_WAIT_7":
					if wait := asked[1].at.Sub(asked[0].at); wait < 7*time.Second || report.FloodWaits != 1 {
						t.Errorf("asked again after %v, %d waits counted; want 7 s, 1", wait, report.FloodWaits)
					}
				case "FILE_REFERENCE_EXPIRED":
					if len(b.refresh) != 1 {
						t.Errorf("%d refreshes, want 1", len(b.refresh))
					}
				case "FILE_MIGRATE_4":
					if asked[1].dc != 4 {
						t.Errorf("asked DC %d, want 4", asked[1].dc)
					}
				case "AUTH_KEY_UNREGISTERED":
					if b.reauths != 1 {
						t.Errorf("%d reauthorisations, want 1", b.reauths)
					}
				}
			})
		})
	}
}

// A wait for hashes that is longer than allowed ends the run.
func TestHashesLongWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, f := repairBench(t)
		b.damage(f, damages[0].damage)
		b.opts.Checkpoint, b.opts.MaxWait = checkpoint.NewMemory(), time.Minute
		b.hook = func(r request) (tl.Object, error, bool) {
			_, is := r.q.(*api.UploadGetFileHashesRequest)
			return nil, rpcError(420, "FLOOD_WAIT_61", "upload.getFileHashes"), is
		}
		start := time.Now()
		_, err := b.download(b.repair(f))
		var wait *WaitError
		if !errors.As(err, &wait) || wait.Wait != 61*time.Second || time.Since(start) > 30*time.Second {
			t.Errorf("%v after %v; want a WaitError at once", err, time.Since(start))
		}
	})
}

// TestVerifyServerRanges: each range that the server states is compared, also
// those behind one that it leaves out.
func TestVerifyServerRanges(t *testing.T) {
	t.Parallel()
	const size = 3*mib + 7
	for n := range size/maxHashBlock + 1 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.opts.VerifyServer = true
				f := b.add(1, size, 2)
				wrong := int64(n) * maxHashBlock
				b.hook = func(r request) (tl.Object, error, bool) {
					q, ok := r.q.(*api.UploadGetFileHashesRequest)
					if !ok {
						return nil, nil, false
					}
					var list hashVector
					for _, h := range hashesOf(f.data, q.Offset) {
						if h.Offset == wrong {
							h.Hash = make([]byte, 32)
						}
						if h.Offset != wrong-maxHashBlock || wrong == maxHashBlock { // one that is left out stands before it
							list = append(list, h)
						}
					}
					return list, nil, true
				}
				report, err := b.download(b.all())
				if res := b.failed(report); err != nil || !errors.Is(res.Err, ErrHash) {
					t.Errorf("%v, %v; want ErrHash for the range at %d", err, res.Err, wrong)
				}
			})
		})
	}
}
