package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/transfer"
)

// VerifyOptions say how Verify works. A zero field means its default.
type VerifyOptions struct {
	// Files is how many are read at once. Default 4.
	Files int
	// Events gets what happens, one call at a time: RunStarted with the
	// direction Verifying, Progress, FileWrong, FileExtra, LineBad and
	// VerifyDone. nil: nobody listens.
	Events func(transfer.Event)
	// ProgressInterval is the time between two Progress events. Default 500 ms.
	ProgressInterval time.Duration
}

// A Verification is what Verify has found.
type Verification struct {
	VerifyCounters
	Wrong []Wrong // by folder, chat and message
}

// A Wrong is a file that is not what the manifest says.
type Wrong struct {
	Dir     string   // the archive's folder; the one above if Entry refers to a file beside it
	Entry   Entry    // Path is relative to Dir
	SHA256  [32]byte // that it should have
	Problem Problem
	Err     error // of reading it; nil if it could be read
}

// A Problem is what may be wrong with a file.
type Problem string

// Problems.
const (
	Missing    Problem = "missing"
	NotFile    Problem = "not_a_file" // something else has its name
	WrongSize  Problem = "size"
	WrongHash  Problem = "hash"
	Unreadable Problem = "unreadable"
)

// Verify reads every file that the manifests in and below a folder list, and
// compares size and SHA-256. Of the lines of one file the last counts. It needs
// neither an account nor a network and changes nothing.
//
// That files are wrong is in the result; the error is that of ctx, ErrNone, or
// of reading folders and manifests. Memory is some 100 bytes for each file of
// the largest manifest, and what the wrong ones take.
func Verify(ctx context.Context, dir string, o VerifyOptions) (*Verification, error) {
	v := newVerifier(o)
	folders, err := find(ctx, dir)
	if err != nil {
		return &v.found, err
	}
	v.events(transfer.RunStarted{Header: head("run_started", v.begun), Direction: Verifying})
	archives := make(map[string]bool, len(folders))
	for _, f := range folders {
		archives[f] = true
	}
	for i, f := range folders {
		v.last = i == len(folders)-1
		if err := v.folder(ctx, dir, f, archives); err != nil {
			return &v.found, fmt.Errorf("verify %s: %w", filepath.Join(dir, filepath.FromSlash(f)), err)
		}
	}
	slices.SortFunc(v.found.Wrong, func(a, b Wrong) int {
		return cmp.Or(cmp.Compare(a.Dir, b.Dir), cmp.Compare(a.Entry.Chat, b.Entry.Chat), cmp.Compare(a.Entry.Message, b.Entry.Message))
	})
	v.found.Archives, v.found.Seconds = len(folders), time.Since(v.begun).Seconds()
	v.told = time.Time{}
	v.tellLocked()
	v.events(VerifyDone{Header: head("verify_done", time.Now()), VerifyCounters: v.found.VerifyCounters})
	return &v.found, nil
}

// A verifier is one call of Verify.
type verifier struct {
	o     VerifyOptions
	begun time.Time
	last  bool // this is the last archive
	bufs  sync.Pool

	mu         sync.Mutex // guards what follows, and is held while an event is told
	found      Verification
	filesKnown int
	bytesKnown int64
	bytesOver  int64 // size of the files that are over
	active     []*transfer.FileProgress
	told       time.Time // when the last Progress was
}

func newVerifier(o VerifyOptions) *verifier {
	if o.Files <= 0 {
		o.Files = 4
	}
	if o.ProgressInterval <= 0 {
		o.ProgressInterval = 500 * time.Millisecond
	}
	if o.Events == nil {
		o.Events = func(transfer.Event) {}
	}
	const readSize = 1 << 20
	return &verifier{o: o, begun: time.Now(), bufs: sync.Pool{New: func() any { return new([readSize]byte) }}}
}

// events tells of an event. Only Verify calls it, while no file is being read;
// others hold mu and use o.Events.
func (v *verifier) events(e transfer.Event) { v.o.Events(e) }

// folder verifies one archive. archives are all, so that none is looked into twice.
func (v *verifier) folder(ctx context.Context, dir, name string, archives map[string]bool) error {
	root, err := os.OpenRoot(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // it was only read
	manifest, err := root.Open(ManifestName)
	if err != nil {
		return err
	}
	defer manifest.Close() //nolint:errcheck // it was only read
	list, err := v.index(ctx, manifest, name)
	if err != nil {
		return err
	}
	if _, err := manifest.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := v.files(ctx, root, manifest, name, list); err != nil {
		return err
	}
	return walk(ctx, root, ".", func(file string, d fs.DirEntry) (bool, error) {
		switch {
		case d.IsDir():
			return file != GalleryName && !archives[path.Join(name, file)], nil
		case file != ManifestName && file != MessagesName && file != ProgressName && !list.paths[list.hash(file)] && !isSidecar(file):
			v.found.FilesExtra++
			v.events(FileExtra{
				Header: head("file_extra", time.Now()), Path: path.Join(name, file),
				Unfinished: strings.HasSuffix(file, ".part"),
			})
		}
		return false, nil
	})
}

// An index is what is kept of a manifest.
type index struct {
	last  map[fileKey]lastLine
	seed  maphash.Seed
	paths map[uint64]bool // hashes of all paths: two files that share one cost a line about an extra file at most
}

type lastLine struct{ at, size int64 }

func (x *index) hash(path string) uint64 { return maphash.String(x.seed, path) }

// index reads a manifest for the first time: which line of each file is the
// last, and which lines make no sense.
func (v *verifier) index(ctx context.Context, manifest io.Reader, name string) (*index, error) {
	x := &index{last: make(map[fileKey]lastLine), seed: maphash.MakeSeed(), paths: make(map[uint64]bool)}
	err := eachLine(manifest, maxLine, func(n int, at int64, line []byte) error {
		e, _, err := parseEntry(line)
		if err != nil {
			v.found.LinesBad++
			v.events(LineBad{Header: head("line_bad", time.Now()), Path: path.Join(name, ManifestName), Line: n, Error: err.Error()})
			return ctx.Err()
		}
		key := e.key()
		v.bytesKnown += e.Size - x.last[key].size
		x.last[key] = lastLine{at, e.Size}
		if !e.Reference {
			x.paths[x.hash(e.Path)] = true
		}
		return ctx.Err()
	})
	v.filesKnown += len(x.last)
	return x, err
}

// files reads a manifest for the second time, and each file whose line is the
// last of it, several at once.
func (v *verifier) files(ctx context.Context, root *os.Root, manifest io.Reader, name string, list *index) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(v.o.Files)
	beside := neighbourhood{root: root}
	defer beside.close() //nolint:errcheck // it was only read
	err := eachLine(manifest, maxLine, func(_ int, at int64, line []byte) error {
		e, sum, err := parseEntry(line)
		if err != nil || list.last[e.key()].at != at {
			return ctx.Err()
		}
		lies, err := beside.of(&e)
		if err != nil {
			return err
		}
		shown := path.Join(name, e.Path)
		e.Path = lies.path
		g.Go(func() error { return v.file(ctx, lies.root, shown, e, sum) })
		return ctx.Err()
	})
	if waited := g.Wait(); waited != nil {
		return waited
	}
	return err
}

// file verifies one file, of which the path is relative to root.
func (v *verifier) file(ctx context.Context, root *os.Root, shown string, e Entry, sum [32]byte) error {
	p := &transfer.FileProgress{ID: e.Document, Path: shown, Size: e.Size}
	v.mu.Lock()
	v.active = append(v.active, p)
	v.mu.Unlock()
	problem, err := v.compare(ctx, root, e, sum, p)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.active = slices.DeleteFunc(v.active, func(a *transfer.FileProgress) bool { return a == p })
	v.found.Bytes += p.Bytes
	v.bytesOver += e.Size
	if problem == "" {
		v.found.FilesRight++
	} else {
		v.found.FilesWrong++
		v.found.Wrong = append(v.found.Wrong, Wrong{Dir: root.Name(), Entry: e, SHA256: sum, Problem: problem, Err: err})
		v.o.Events(FileWrong{
			Header: head("file_wrong", time.Now()), ID: e.Document, Path: p.Path, Message: e.Message,
			Problem: problem, Error: errorText(err),
		})
	}
	v.tellLocked()
	return nil
}

// compare returns what is wrong with a file, "" if nothing is.
func (v *verifier) compare(ctx context.Context, root *os.Root, e Entry, sum [32]byte, p *transfer.FileProgress) (Problem, error) {
	fi, err := root.Lstat(e.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Missing, nil
	case err != nil:
		return Unreadable, err
	case !fi.Mode().IsRegular():
		return NotFile, nil
	case fi.Size() != e.Size:
		return WrongSize, nil
	}
	f, err := root.Open(e.Path)
	if err != nil {
		return Unreadable, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	got, n, err := v.sum(ctx, f, p)
	switch {
	case err != nil:
		return Unreadable, err
	case n != e.Size: // it changed meanwhile
		return WrongSize, nil
	case got != sum:
		return WrongHash, nil
	}
	return "", nil
}

// sum is the SHA-256 of a file and how long it is.
func (v *verifier) sum(ctx context.Context, r io.Reader, p *transfer.FileProgress) (sum [32]byte, n int64, err error) {
	buf := v.bufs.Get().(*[1 << 20]byte)
	defer v.bufs.Put(buf)
	h := crypto.NewHash()
	for ctx.Err() == nil {
		k, err := r.Read(buf[:])
		_, _ = h.Write(buf[:k]) // a hash never fails
		n += int64(k)
		v.mu.Lock()
		p.Bytes = n
		v.tellLocked()
		v.mu.Unlock()
		if errors.Is(err, io.EOF) {
			return h.Finish(), n, nil
		}
		if err != nil {
			return sum, n, err
		}
	}
	return sum, n, ctx.Err()
}

// tellLocked sends a Progress event, unless the last one is too young.
func (v *verifier) tellLocked() {
	now := time.Now()
	if now.Sub(v.told) < v.o.ProgressInterval {
		return
	}
	v.told = now
	p := transfer.Progress{
		Header: head("progress", now), FilesDone: v.found.FilesRight, FilesFailed: v.found.FilesWrong,
		FilesKnown: v.filesKnown, ListComplete: v.last, Bytes: v.found.Bytes, BytesDone: v.bytesOver, BytesKnown: v.bytesKnown,
		Active: make([]transfer.FileProgress, 0, len(v.active)),
	}
	for _, a := range v.active {
		p.Bytes += a.Bytes
		p.BytesDone += a.Bytes
		p.Active = append(p.Active, *a)
	}
	if elapsed := now.Sub(v.begun).Seconds(); elapsed > 0 {
		p.BytesRate = int64(float64(p.Bytes) / elapsed)
	}
	v.o.Events(p)
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func head(event string, now time.Time) transfer.Header {
	return transfer.Header{Event: event, Time: now}
}
