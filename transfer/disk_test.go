package transfer

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
	"github.com/tghaul/haul/transfer/internal/faultfs"
)

// onFaultFS is an engine for the bench that writes to a fault file system.
func (b *bench) onFaultFS() (*Engine, *faultfs.FS) {
	fsys := faultfs.New()
	e := NewFor(b, b.opts)
	e.fs = func(*os.Root) fileSystem { return faultRoot{fsys} }
	return e, fsys
}

// inFolders lists every file of the fake, each with its name for a path.
func (b *bench) inFolders() iter.Seq2[Download, error] {
	return func(yield func(Download, error) bool) {
		for d, err := range b.all() {
			d.Path = d.File.Name
			if !yield(d, err) {
				return
			}
		}
	}
}

// checkFS compares the files on a fault file system with the server's.
func (b *bench) checkFS(fsys *faultfs.FS, ids ...int64) {
	b.t.Helper()
	for _, id := range ids {
		got, err := fsys.ReadFile(b.files[id].Name)
		if err != nil || string(got) != string(b.files[id].data) {
			b.t.Errorf("%s: %d bytes, %v; want the %d of the server", b.files[id].Name, len(got), err, len(b.files[id].data))
		}
	}
}

// pauses are the seconds of each pause that was told, and ended.
func (b *bench) pauses() (seconds []float64) {
	b.t.Helper()
	paused := false
	for _, e := range b.events {
		switch e := e.(type) {
		case Paused:
			if paused || e.Reason != DiskFull || e.Error == "" {
				b.t.Errorf("paused %v: %+v", paused, e)
			}
			paused = true
		case Resumed:
			if !paused {
				b.t.Error("resumed without a pause")
			}
			paused = false
			seconds = append(seconds, e.Seconds)
		}
	}
	if paused {
		b.t.Error("paused, and never resumed")
	}
	return seconds
}

// A full disk (faults 41): the run pauses, says so, looks again every few
// seconds, and goes on by itself. Nothing is fetched twice.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 6*mib, 2)
		b.add(2, 300_000, 4)
		e, fsys := b.onFaultFS()
		fsys.SetCapacity(3*mib + 100)
		var ops atomic.Int32
		fsys.SetFault(func(faultfs.Op) error { ops.Add(1); return nil })
		time.AfterFunc(time.Hour, func() {
			if n := ops.Load(); n > 100 {
				t.Errorf("%d operations while the disk was full", n)
			}
			fsys.SetCapacity(-1)
		})
		report, err := e.Download(t.Context(), b.all())
		if err != nil || report.FilesDone != 2 || report.BytesResent != 0 {
			t.Errorf("%v, %+v; want 2 files done, nothing twice", err, report.Counters)
		}
		b.checkFS(fsys, 1, 2)
		if s := b.pauses(); len(s) != 1 || s[0] < 3590 || s[0] > 3610 {
			t.Errorf("pauses of %v s, want one of an hour", s)
		}
	})
}

// fullCheckpoint has no room for a while.
type fullCheckpoint struct {
	*checkpoint.Memory
	until time.Time
	tries atomic.Int32
}

func (c *fullCheckpoint) Commit(b *checkpoint.Batch) error {
	if c.tries.Add(1); time.Now().Before(c.until) && b.Len() > 0 {
		return &checkpoint.SpaceError{Dir: "store", Free: 1, Need: 2}
	}
	return c.Memory.Commit(b)
}

// When the store has no room left the run pauses before the disk is full: what
// is written and not marked stays bounded (faults 41).
func TestCheckpointFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 40*mib, 2)
		b.add(2, 10*mib, 2)
		cp := &fullCheckpoint{Memory: b.cp, until: time.Now().Add(time.Minute)}
		b.opts.Checkpoint = cp
		e, fsys := b.onFaultFS()
		var writes atomic.Int32 // of 1 MiB each
		fsys.SetFault(func(o faultfs.Op) error {
			if o.Kind == faultfs.Write {
				writes.Add(1)
			}
			return nil
		})
		time.AfterFunc(59*time.Second, func() {
			if n := writes.Load(); n == 0 || n > maxUnmarked/mib {
				t.Errorf("%d MiB written while nothing could be recorded, want at most %d", n, maxUnmarked/mib)
			}
			if n := cp.tries.Load(); n > 30 {
				t.Errorf("%d tries in a minute", n)
			}
		})
		report, err := e.Download(t.Context(), b.all())
		if err != nil || report.FilesDone != 2 || report.BytesResent != 0 {
			t.Errorf("%v, %+v; want 2 files done, nothing twice", err, report.Counters)
		}
		b.checkFS(fsys, 1, 2)
		if s := b.pauses(); len(s) != 1 || s[0] < 50 || s[0] > 65 {
			t.Errorf("pauses of %v s, want one of about a minute", s)
		}
	})
}

// A paused run ends at once when it is told to, and has recorded nothing that
// is not so.
func TestFullInterrupted(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"disk", "checkpoint"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				f := b.add(1, 40*mib, 2)
				cp := &fullCheckpoint{Memory: b.cp}
				b.opts.Checkpoint = cp
				e, fsys := b.onFaultFS()
				if name == "disk" {
					fsys.SetCapacity(9*mib + 5)
				} else {
					cp.until = time.Now().Add(24 * time.Hour)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Second)
				defer cancel()
				start := time.Now()
				report, err := e.Download(ctx, b.all())
				if took := time.Since(start); took > time.Minute+2*time.Second {
					t.Errorf("took %v, want to end with the context after 61 s", took)
				}
				if !errors.Is(err, context.DeadlineExceeded) || report.FilesDone+report.FilesFailed != 0 {
					t.Errorf("%v, %+v; want the context's error", err, report.Counters)
				}
				lab := &crashLab{fake: b.fake, token: b.root}
				for _, what := range lab.untrue(fsys, b.cp) {
					t.Error(what)
				}
				record, _, _ := b.cp.Download(keyOf(Download{File: f.File, Dir: b.root}))
				if name == "disk" && len(record.Parts) < 8 || name == "checkpoint" && len(record.Parts) != 0 {
					t.Errorf("%d parts marked", len(record.Parts))
				}
			})
		})
	}
}

// What the caller writes during a run may meet a full disk too.
func TestCallerFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		f := b.add(1, 1000, 2)
		e := NewFor(b, b.opts)
		start := time.Now()
		full := func(until time.Duration) error {
			if time.Since(start) < until {
				return &fs.PathError{Op: "write", Path: "list", Err: syscall.ENOSPC}
			}
			return nil
		}
		report, err := e.Download(t.Context(), func(yield func(Download, error) bool) {
			if err := e.WhenRoom(t.Context(), func() error { return full(10 * time.Second) }); err != nil {
				t.Errorf("WhenRoom: %v", err)
			}
			yield(Download{File: f.File, Dir: b.root, Finished: func(FileResult) error { return full(time.Minute) }}, nil)
		})
		if err != nil || report.FilesDone != 1 {
			t.Errorf("%v, %+v", err, report.Failed)
		}
		if s := b.pauses(); len(s) != 2 || s[0] != 12 {
			t.Errorf("pauses of %v s, want one of 12 s and another", s)
		}
	})
}

// failing makes a fault hook that fails operations of a kind on a file, some
// number of times.
func failing(kind faultfs.Kind, name string, times int, err error) func(faultfs.Op) error {
	return func(o faultfs.Op) error {
		if o.Kind == kind && strings.HasPrefix(o.Name, name) && times > 0 {
			times--
			return err
		}
		return nil
	}
}

// A device that fails to write (faults 42): what is not marked by then is
// fetched and written again, and in the end it is really on disk.
func TestDeviceFails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		kind  faultfs.Kind
		on    string
		times int
		err   error
	}{
		{"sync", faultfs.Sync, "file1", 1, syscall.EIO},
		{"sync, twice", faultfs.Sync, "file1", 2, syscall.EIO},
		{"sync, no room", faultfs.Sync, "file1", 9, syscall.ENOSPC},
		{"write", faultfs.Write, "file1", 2, syscall.EIO},
		{"sync of the folder", faultfs.SyncDir, ".", 2, syscall.EIO},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.add(1, 9*mib, 2)
				b.add(2, 100, 2)
				b.hook = noHashes
				e, fsys := b.onFaultFS()
				fsys.SetFault(failing(tt.kind, tt.on, tt.times, tt.err))
				report, err := e.Download(t.Context(), b.all())
				if err != nil || report.FilesDone != 2 || report.BytesResent == 0 {
					t.Fatalf("%v, %+v, %v; want 2 files done, and some parts twice", err, report.Counters, report.Failed)
				}
				if got := report.Done[1].ResumedBytes; got != 0 {
					t.Errorf("%d bytes were there before the run, want none", got)
				}
				replay := fsys.Replay()
				for replay.Next() {
				}
				b.checkFS(replay.Crash(faultfs.Lost, newCrashLab(t, b.root, 1).rng), 1, 2)
				if isFull(tt.err) && len(b.pauses()) == 0 {
					t.Error("no pause")
				}
			})
		})
	}
}

// A final name that could not be made durable is given anew, not believed to be
// so after the next sync (faults 39, 42).
func TestNameLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 2*mib, 2)
		e, fsys := b.onFaultFS()
		named, failed := false, false
		fsys.SetFault(func(o faultfs.Op) error {
			named = named || o.Kind == faultfs.Rename
			if o.Kind == faultfs.SyncDir && named && !failed {
				failed = true
				return syscall.EIO
			}
			return nil
		})
		report, err := e.Download(t.Context(), b.all())
		if err != nil || report.FilesDone != 1 || !failed || report.BytesResent != 0 {
			t.Errorf("%v, %+v, %v", err, report.Counters, report.Failed)
		}
		replay := fsys.Replay()
		for replay.Next() {
		}
		b.checkFS(replay.Crash(faultfs.Lost, rand.New(rand.NewPCG(1, 1))), 1)
	})
}

// A device that never recovers fails the file, which is named and stays
// unfinished. Others are done.
func TestDeviceBroken(t *testing.T) {
	t.Parallel()
	for _, kind := range []faultfs.Kind{faultfs.Sync, faultfs.Write} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.add(1, 5*mib, 2)
			b.add(2, 100, 2)
			e, fsys := b.onFaultFS()
			fsys.SetFault(failing(kind, "file1", 1<<30, syscall.EIO))
			report, err := e.Download(t.Context(), b.all())
			f := b.failed(report)
			if err != nil || !errors.Is(f.Err, syscall.EIO) || f.ID != 1 || !f.Retryable || report.FilesDone != 1 {
				t.Errorf("%v, %+v, %d done; want a retryable EIO of file 1, and the other done", err, f, report.FilesDone)
			}
			if names := fsys.Names(); !slices.Equal(names, []string{"file1.bin.part", "file2.bin"}) {
				t.Errorf("files: %v", names)
			}
			record, _, _ := b.cp.Download(keyOf(Download{File: b.files[1].File, Dir: b.root}))
			if len(record.Parts) != 0 {
				t.Errorf("%d parts are marked that were never synced", len(record.Parts))
			}
		})
	}
}

// Where nothing may be written (faults 43) the run fails before the first byte
// moves, and says where.
func TestTargetDenied(t *testing.T) {
	t.Parallel()
	for _, denied := range []error{syscall.EACCES, syscall.EPERM, syscall.EROFS} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.add(1, 5*mib, 2)
			b.add(2, 100, 4).Name = "a/b"
			e, fsys := b.onFaultFS()
			fsys.SetFault(func(faultfs.Op) error { return denied })
			report, err := e.Download(t.Context(), b.all())
			var target *TargetError
			if !errors.As(err, &target) || !errors.Is(err, denied) || target.Path != "fault file system" {
				t.Errorf("%v; want a TargetError with the path", err)
			}
			if len(b.getFiles()) != 0 || report.FilesDone != 0 || len(report.Failed) != 0 {
				t.Errorf("%d requests, %+v", len(b.getFiles()), report)
			}
		})
	}
}

// One folder or file that may not be written to fails alone.
func TestOneFileDenied(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 100, 2).Name = "locked/file"
		b.add(2, 100, 2)
		e, fsys := b.onFaultFS()
		fsys.SetFault(func(o faultfs.Op) error {
			if strings.HasPrefix(o.Name, "locked/") {
				return syscall.EACCES
			}
			return nil
		})
		report, err := e.Download(t.Context(), b.inFolders())
		if f := b.failed(report); err != nil || f.ID != 1 || !errors.Is(f.Err, fs.ErrPermission) || report.FilesDone != 1 {
			t.Errorf("%v, %+v, %d done", err, f, report.FilesDone)
		}
		if names := fsys.Names(); !slices.Equal(names, []string{"file2.bin"}) {
			t.Errorf("files: %v; want only the one that is done", names)
		}
	})
}

// What is put in the place of a destination while files are under way (faults
// 34): nothing is written through it, and the file fails.
func TestDestinationSwapped(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		swap func(t *testing.T, dir, outside string) error
	}{
		{"folder by a link out", func(t *testing.T, dir, outside string) error {
			return becomeLink(filepath.Join(dir, "sub"), outside)
		}},
		{"folder by a link inside", func(t *testing.T, dir, _ string) error {
			return errors.Join(os.Mkdir(filepath.Join(dir, "other"), 0o700), becomeLink(filepath.Join(dir, "sub"), "other"))
		}},
		{"file by a link out", func(t *testing.T, dir, outside string) error {
			part := filepath.Join(dir, "sub", "file.part")
			target := filepath.Join(outside, "target")
			return errors.Join(os.Remove(part), os.WriteFile(target, []byte("mine"), 0o600), os.Symlink(target, part))
		}},
		{"folder removed", func(t *testing.T, dir, _ string) error { return os.RemoveAll(filepath.Join(dir, "sub")) }},
		{"destination removed", func(t *testing.T, dir, _ string) error { return os.RemoveAll(dir) }},
		{"destination by a link out", func(t *testing.T, dir, outside string) error {
			return errors.Join(os.Rename(dir, dir+".old"), os.Symlink(outside, dir))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				outside := t.TempDir()
				b.add(1, 4*mib, 2).Name = "sub/file"
				b.add(2, 100, 2).Name = "sub/later"
				swapped := false
				b.hook = func(r request) (tl.Object, error, bool) {
					if n, ok := part(r, 1); ok && n == 2 && !swapped {
						swapped = true
						if err := tt.swap(t, b.dir, outside); err != nil {
							t.Error(err)
						}
					}
					return nil, nil, false
				}
				b.opts.Transfers = 1
				report, err := b.download(b.inFolders())
				if err != nil || !swapped {
					t.Errorf("%v, swapped %v", err, swapped)
				}
				if tt.name == "destination by a link out" {
					b.dir += ".old" // the run goes on where it began
				}
				b.checkDone(report) // a folder that was removed is made anew
				if strings.Contains(tt.name, "by a link") && tt.name[:4] != "dest" && len(report.Failed) == 0 {
					t.Error("no file has failed")
				}
				err = filepath.WalkDir(outside, func(path string, d fs.DirEntry, err error) error {
					if b, _ := os.ReadFile(path); !d.IsDir() && string(b) != "mine" {
						t.Errorf("%s was written to outside", path)
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// becomeLink puts a link in the place of a folder. The engine makes the folder
// anew if it finds none, so it may have to be moved out of the way again.
func becomeLink(folder, target string) error {
	for i := 0; ; i++ {
		if err := os.Rename(folder, folder+".old"+strconv.Itoa(i)); err != nil {
			return err
		}
		if err := os.Symlink(target, folder); !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
}

// A file is opened again while marks of it are being committed: they must not
// be about bytes that are thrown away meanwhile.
func TestOpenedAgainDuringCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 4*128<<10, 2)
		b.opts.PartSize = 128 << 10
		e, fsys := b.onFaultFS()
		rec := &recorder{Memory: b.cp, fs: fsys, delay: time.Hour}
		e.opts.Checkpoint = rec
		asked := 0
		b.hook = func(r request) (tl.Object, error, bool) {
			q, ok := r.q.(*api.UploadGetFileRequest)
			if !ok || q.Offset != 3*128<<10 {
				return nil, nil, false
			}
			switch asked++; asked {
			case 1: // when it is asked for again the others are being committed
				return nil, errStall, true
			case 2:
				fsys.SetFault(failing(faultfs.Write, "file1", 1, syscall.EIO))
			}
			return nil, nil, false
		}
		report, err := e.Download(t.Context(), b.all())
		if err != nil || report.FilesDone != 1 || report.BytesResent != 128<<10 {
			t.Errorf("%v, %+v, %v; want one part twice", err, report.Counters, report.Failed)
		}
		lab := &crashLab{fake: b.fake, token: b.root}
		rng := rand.New(rand.NewPCG(1, 1))
		for replay := fsys.Replay(); replay.Next(); {
			for loss := range faultfs.Losses {
				for _, what := range lab.untrue(replay.Crash(loss, rng), replayed(rec.batches[:replay.Notes()])) {
					t.Error(what)
				}
			}
		}
	})
}

// After a failed sync of a folder its entries are suspect for good, those made
// later are not (faults 42).
func TestFailedSyncOfFolder(t *testing.T) {
	t.Parallel()
	fsys := faultfs.New()
	dir := folder{fs: faultRoot{fsys}, name: ".", above: new(durables)}
	before := newLink(dir)
	fsys.SetFault(failing(faultfs.SyncDir, ".", 1, syscall.EIO))
	for i, want := range []bool{true, true} {
		synced := make(map[syncer]error)
		syncAll([]change{{after: before}}, synced)
		if err := lossOf(before, synced); (err != nil) != want {
			t.Errorf("sync %d: %v; want the entry to be lost", i, err)
		}
	}
	after := newLink(dir)
	synced := make(map[syncer]error)
	syncAll([]change{{after: after}, {after: before}}, synced)
	if err := lossOf(after, synced); err != nil {
		t.Errorf("an entry made after the failure: %v", err)
	}
}

// A size that is a lie reserves no room for it (faults 29, 41).
func TestReserve(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	dir := folder{fs: rootFS{b.root}, name: ".", above: new(durables)}
	s, err := openSink(dir, "x", 4<<30)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close() //nolint:errcheck // nothing of it matters
	if err := s.writeAt(make([]byte, 4096), 0); err != nil {
		t.Fatal(err)
	}
	if used := allocated(t, filepath.Join(b.dir, "x"+partSuffix)); used > 2*reserveStep {
		t.Errorf("%d bytes are allocated for a part of 4096", used)
	}
}
