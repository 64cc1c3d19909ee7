package transfer

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/transfer/internal/faultfs"
)

// A number of images for a long run: make crash IMAGES=100000.
var (
	crashImages = flag.Int("images", 2000, "how many crash images TestCrashImages resumes from; a tenth with -short or -race")
	crashSeed   = flag.Uint64("crashseed", 0, "seed of TestCrashImages; 0: a new one")
)

// faultRoot makes a destination of the fault file system.
type faultRoot struct{ *faultfs.FS }

func (r faultRoot) Name() string { return "fault file system" }

func (r faultRoot) OpenFile(name string, flag int) (file, error) {
	f, err := r.FS.OpenFile(name, flag)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// A recorder keeps every batch that was committed, and marks the moment in the
// history of the file system: with it, what was on disk and what was recorded
// can be had for any moment.
type recorder struct {
	*checkpoint.Memory
	fs      *faultfs.FS
	delay   time.Duration // of each commit
	mu      sync.Mutex
	batches []*checkpoint.Batch
}

func (r *recorder) Commit(b *checkpoint.Batch) error {
	if b.Len() == 0 {
		return nil
	}
	time.Sleep(r.delay)
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.Memory.Commit(b)
	if err == nil {
		r.batches = append(r.batches, b.Clone())
		r.fs.Note()
	}
	return err
}

// replayed is a checkpoint with the batches.
func replayed(batches []*checkpoint.Batch) *checkpoint.Memory {
	m := checkpoint.NewMemory()
	for _, b := range batches {
		if err := m.Commit(b); err != nil {
			panic(err) // it was committed before
		}
	}
	return m
}

// A crashLab downloads the files of a fake onto fault file systems.
type crashLab struct {
	*fake
	token *os.Root // stands for the destination
	rng   *rand.Rand
	// wrap changes what the engine sees of the file system; nil: nothing.
	wrap func(fileSystem) fileSystem
}

func newCrashLab(t *testing.T, token *os.Root, seed uint64) *crashLab {
	l := &crashLab{fake: newFake(t), token: token, rng: rand.New(rand.NewPCG(seed, 0))}
	l.latency = time.Duration(1+l.rng.IntN(200)) * time.Millisecond
	sizes := []int{0, 1 + l.rng.IntN(20_000), 128 << 10, 130_000 + l.rng.IntN(300_000), 400_000 + l.rng.IntN(100_000)}
	if l.rng.IntN(4) == 0 {
		sizes = append(sizes, 1_300_000+l.rng.IntN(100_000))
	}
	for i, size := range sizes {
		f := l.add(int64(i+1), size, 1+l.rng.IntN(2))
		if i%2 == 1 {
			f.Name = "a/b/" + f.Name
		}
	}
	return l
}

// run downloads everything. told is which files the caller heard to be done.
func (l *crashLab) run(t *testing.T, fsys *faultfs.FS, cp Checkpoint) (report *Report, told map[int64]bool) {
	told = make(map[int64]bool)
	e := NewFor(l, Options{Checkpoint: cp, PartSize: 128 << 10})
	e.fs = func(*os.Root) fileSystem {
		if l.wrap != nil {
			return l.wrap(faultRoot{fsys})
		}
		return faultRoot{fsys}
	}
	report, err := e.Download(t.Context(), func(yield func(Download, error) bool) {
		for _, id := range slices.Sorted(maps.Keys(l.files)) {
			f := l.files[id].File
			d := Download{File: f, Dir: l.token, Path: f.Name, Finished: func(FileResult) error { told[id] = true; return nil }}
			if !yield(d, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Errorf("run: %v", err)
	}
	return report, told
}

// key is what the checkpoint knows a file by.
func (l *crashLab) key(f *fakeFile) checkpoint.Key {
	return keyOf(Download{File: f.File, Dir: l.token})
}

// untrue lists what an image must not be: a final name with other bytes than
// the server's, a record of a file or a part that is not there.
func (l *crashLab) untrue(fsys *faultfs.FS, cp *checkpoint.Memory) (wrong []string) {
	for _, f := range l.files {
		b, err := fsys.ReadFile(f.Name)
		if err == nil && !bytes.Equal(b, f.data) {
			wrong = append(wrong, fmt.Sprintf("%s has its final name and wrong bytes", f.Name))
		}
		if done, found, _ := cp.Done(l.key(f)); found && (err != nil || done.SHA256 != sha256.Sum256(f.data)) {
			wrong = append(wrong, fmt.Sprintf("%s is recorded as done: %v", f.Name, err))
		}
		record, _, _ := cp.Download(l.key(f))
		if err != nil {
			if b, err = fsys.ReadFile(f.Name + partSuffix); err != nil {
				b, _ = fsys.ReadFile(f.Name + asideSuffix)
			}
		}
		for n, crc := range record.Parts {
			from, to := n*record.PartSize, min((n+1)*record.PartSize, len(f.data))
			if to > len(b) || crc32.Checksum(b[from:to], castagnoli) != crc {
				wrong = append(wrong, fmt.Sprintf("part %d of %s is marked and not there", n, f.Name))
			}
		}
	}
	return wrong
}

// incomplete lists what a resumed run must not leave.
func (l *crashLab) incomplete(fsys *faultfs.FS, report *Report, told map[int64]bool) (wrong []string) {
	for _, f := range report.Failed {
		wrong = append(wrong, fmt.Sprintf("%s failed: %v", f.Path, f.Err))
	}
	for id, f := range l.files {
		b, err := fsys.ReadFile(f.Name)
		if err != nil || !bytes.Equal(b, f.data) || !told[id] {
			wrong = append(wrong, fmt.Sprintf("%s: %d of %d bytes, %v, told %v", f.Name, len(b), len(f.data), err, told[id]))
		}
	}
	for _, name := range fsys.Names() {
		if strings.HasSuffix(name, partSuffix) {
			wrong = append(wrong, name+" is left over")
		}
	}
	return wrong
}

// A crashStart is what a run finds.
type crashStart struct {
	fs      *faultfs.FS
	batches []*checkpoint.Batch
}

// crash runs once, and then takes an image after each operation for each way
// to lose what was not synced, up to a number. Each is looked at, and resumed
// from. One of them is where the next run may start from.
func (l *crashLab) crash(t *testing.T, start crashStart, limit int, report func(image, what string)) (images int, next crashStart) {
	rec := &recorder{Memory: replayed(start.batches), fs: start.fs, batches: slices.Clone(start.batches)}
	rec.delay = time.Duration(l.rng.IntN(3)*l.rng.IntN(300)) * time.Millisecond
	l.run(t, start.fs, rec)
	start.fs.SetFault(nil)
	start.fs.SetCapacity(-1)
	known := len(start.batches)
	for at, replay := 0, start.fs.Replay(); replay.Next() && images < limit; at++ {
		for loss := range faultfs.Losses {
			batches := rec.batches[:known+replay.Notes()]
			image, cp := replay.Crash(loss, l.rng), replayed(batches)
			name := fmt.Sprintf("after operation %d, %v", at, loss)
			for _, what := range l.untrue(image, cp) {
				report(name, what)
			}
			if images++; l.rng.IntN(images) == 0 {
				next = crashStart{replay.Crash(loss, l.rng), batches}
			}
			if l.wrap != nil {
				continue // it is about the image alone
			}
			result, told := l.run(t, image, cp)
			for _, what := range l.incomplete(image, result, told) {
				report(name+", resumed", what)
			}
		}
	}
	return images, next
}

// disturb has a file system fail now and then, and be full for a while.
func (l *crashLab) disturb(fsys *faultfs.FS) {
	rng := rand.New(rand.NewPCG(l.rng.Uint64(), 1))
	fsys.SetFault(func(o faultfs.Op) error {
		// That of a folder above the file's is not: it could be repaired only
		// by making the folder anew.
		oneIn := 30
		switch {
		case o.Kind == faultfs.SyncDir && o.Name == "a/b":
			oneIn = 6
		case o.Kind != faultfs.Write && o.Kind != faultfs.Sync:
			return nil
		}
		if rng.IntN(oneIn) == 0 {
			return syscall.EIO
		}
		return nil
	})
	if l.rng.IntN(2) == 0 {
		fsys.SetCapacity(fsys.Used() + int64(l.rng.IntN(500_000)))
		time.AfterFunc(20*time.Second, func() { fsys.SetCapacity(-1) })
	}
}

// TestCrashImages loses the power after every operation of downloads (faults
// 39, 40, and with disturbances 41 and 42): lost, torn and reordered. In every
// image what is recorded is there, and what bears its final name is right; from
// every one a new run ends with every file right.
func TestCrashImages(t *testing.T) {
	t.Parallel()
	seed := *crashSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	limit := *crashImages
	if testing.Short() || UnderRace {
		limit /= 10
	}
	const workers = 2
	for w := range uint64(workers) {
		t.Run(fmt.Sprint(w), func(t *testing.T) {
			t.Parallel()
			token, err := os.OpenRoot(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer token.Close() //nolint:errcheck // nothing is in it
			images := 0
			for n := uint64(0); images < limit/workers && !t.Failed(); n++ {
				synctest.Test(t, func(t *testing.T) {
					seed := seed + w<<32 + n
					l := newCrashLab(t, token, seed)
					start := crashStart{fs: faultfs.New()}
					for generation := 0; generation < 2 && images < limit/workers && !t.Failed(); generation++ {
						if n%2 == 1 {
							l.disturb(start.fs)
						}
						var taken int
						taken, start = l.crash(t, start, limit/workers-images, func(image, what string) {
							t.Errorf("seed %d, run %d, image %s: %s", seed, generation, image, what)
						})
						images += taken
					}
				})
			}
			t.Logf("%d images, seed %d", images, seed)
		})
	}
}

// lying says that it has synced files or folders, and has not.
type lying struct {
	fileSystem
	files, folders bool
}

func (l lying) OpenFile(name string, flag int) (file, error) {
	f, err := l.fileSystem.OpenFile(name, flag)
	if err == nil && l.files {
		f = lyingFile{f}
	}
	return f, err
}

func (l lying) SyncDir(name string) error {
	if l.folders {
		return nil
	}
	return l.fileSystem.SyncDir(name)
}

type lyingFile struct{ file }

func (lyingFile) Datasync() error { return nil }

// TestCrashImagesHaveTeeth: without syncs of files, or of folders, the images
// are found untrue.
func TestCrashImagesHaveTeeth(t *testing.T) {
	t.Parallel()
	token, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = token.Close() })
	tests := []struct {
		name   string
		liar   lying
		expect []string
	}{
		{"files", lying{files: true}, []string{"wrong bytes", "is marked and not there"}},
		{"folders", lying{folders: true}, []string{"is recorded as done", "is marked and not there"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newCrashLab(t, token, 1)
				l.wrap = func(f fileSystem) fileSystem { return lying{f, tt.liar.files, tt.liar.folders} }
				var all strings.Builder
				l.crash(t, crashStart{fs: faultfs.New()}, 250, func(_, what string) { fmt.Fprintln(&all, what) })
				for _, want := range tt.expect {
					if !strings.Contains(all.String(), want) {
						t.Errorf("nothing is said to be %q", want)
					}
				}
			})
		})
	}
}
