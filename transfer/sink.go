package transfer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync"
	"sync/atomic"
	"time"
)

// partSuffix ends the name of an unfinished file. SafeName never gives such a name.
const partSuffix = ".part"

// asideSuffix ends it for a moment; see enterAgain. Since SafeName gives no name that
// ends in partSuffix, no other file is called so while it is unfinished.
const asideSuffix = partSuffix + partSuffix

// errPath says that a path leads out of its folder, or is none.
var errPath = errors.New("transfer: path is not inside the destination")

// A sink is the unfinished file of a download.
type sink struct {
	dir     folder // of the file
	name    string // the final one, with slashes, from the root on
	size    int64
	file    file
	entry   link      // of the file
	modTime time.Time // that the complete file gets; zero: none
	// named says that the entry is durable.
	named atomic.Bool
	// onLost is told once, by the committer, that what was written is lost.
	onLost func(error)

	// pen, of size 1, is full while somebody writes. The file systems let only one
	// write to a file at a time, and who waits for it there burns a CPU.
	pen chan struct{}

	reserving sync.Mutex   // held while room is being reserved
	reserved  atomic.Int64 // up to this offset

	// syncErr is set by a failed sync: what was written before it may be
	// lost, whatever a later sync says.
	syncErr atomic.Pointer[lostError]
	told    atomic.Bool // onLost was called
}

// checkPath refuses what does not name a file inside a folder.
func checkPath(name string) error {
	if name == "" || !fs.ValidPath(name) || name == "." {
		return fmt.Errorf("%w: %q", errPath, name)
	}
	return nil
}

// openSink opens the unfinished file, and makes it and its folders if there
// are none. Content that is there already stays, up to the size.
func openSink(dir folder, name string, size int64) (*sink, error) {
	if err := checkPath(name); err != nil {
		return nil, err
	}
	entry := newLink(dir)
	if dir.name != "." {
		if err := dir.fs.MkdirAll(dir.name); err != nil {
			return nil, fmt.Errorf("make folder: %w", err)
		}
	}
	part := name + partSuffix
	switch fi, err := dir.fs.Lstat(part); {
	case err == nil && !fi.Mode().IsRegular():
		return nil, fmt.Errorf("%w: %s is no regular file", ErrExists, part)
	case errors.Is(err, fs.ErrNotExist): // or an earlier run has ended in enterAgain
		if err := dir.fs.RenameNew(name+asideSuffix, part); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	f, err := dir.fs.OpenFile(part, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	s := &sink{dir: dir, name: name, size: size, file: f, entry: entry, onLost: func(error) {}, pen: make(chan struct{}, 1)}
	if err := s.cut(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

// cut takes off what is beyond the size.
func (s *sink) cut() error {
	fi, err := s.file.Stat()
	if err != nil || fi.Size() <= s.size {
		return err
	}
	return s.file.Truncate(s.size)
}

// Room is reserved in steps ahead of what is written, since writing parts in
// any order then costs half as much. Never for the whole file at once: its
// size is the sender's word, and a lie must not fill the disk.
const (
	minReserve  = 4 << 20  // size from which it is worth it
	reserveStep = 16 << 20 // at a time
)

// reserve sees to it that room is reserved where a part goes.
func (s *sink) reserve(end int64) {
	if s.size < minReserve || end <= s.reserved.Load() || !s.reserving.TryLock() {
		return
	}
	defer s.reserving.Unlock()
	from := s.reserved.Load()
	if to := min(s.size, end+reserveStep); to > from {
		s.file.Reserve(from, min(to-from, 2*reserveStep)) // a part far ahead leaves a hole
		s.reserved.Store(to)
	}
}

// enterAgain makes the file's entry in its folder anew, so that a sync of the
// folder has something to do. One that failed before may have lost the entry.
func (s *sink) enterAgain() error {
	part, aside := s.name+partSuffix, s.name+asideSuffix
	s.entry = newLink(s.dir)
	if err := s.dir.fs.RenameNew(part, aside); err != nil {
		return err
	}
	return s.dir.fs.RenameNew(aside, part)
}

// clear throws away all content.
func (s *sink) clear() error {
	fi, err := s.file.Stat()
	if err != nil || fi.Size() == 0 {
		return err
	}
	return s.file.Truncate(0)
}

// writeAt writes a part. It never writes beyond the size. The error is a
// lostError if the device has failed.
func (s *sink) writeAt(b []byte, off int64) error {
	if off < 0 || off > s.size || int64(len(b)) > s.size-off {
		panic("transfer: write beyond the size of the file")
	}
	s.reserve(off + int64(len(b)))
	s.pen <- struct{}{}
	defer func() { <-s.pen }()
	if _, err := s.file.WriteAt(b, off); err != nil {
		return lost(err)
	}
	return nil
}

// sync makes everything written so far durable. Once failed it fails for ever,
// with the same *lostError.
func (s *sink) sync() error {
	if p := s.syncErr.Load(); p != nil {
		return p
	}
	err := s.file.Datasync()
	if err == nil {
		return nil
	}
	s.syncErr.CompareAndSwap(nil, &lostError{fmt.Errorf("sync: %w", err)})
	return s.syncErr.Load()
}

// lose tells the download, the first time, that a sync has failed.
func (s *sink) lose(err error) {
	if !s.told.Swap(true) {
		s.onLost(err)
	}
}

// publish gives the file its final name, unless that is taken. The file has to
// be synced before, and the entry s.entry after.
func (s *sink) publish() error {
	if err := s.complete(); err != nil {
		return err
	}
	s.date()
	s.entry = newLink(s.dir)
	err := s.dir.fs.RenameNew(s.name+partSuffix, s.name)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s", ErrExists, s.name)
	}
	return err
}

// complete fails unless the unfinished file has the right size and still bears
// its name.
func (s *sink) complete() error {
	fi, err := s.file.Stat()
	if err != nil {
		return err
	}
	if fi.Size() != s.size {
		return fmt.Errorf("%w: %d bytes on disk, want %d", ErrSize, fi.Size(), s.size)
	}
	// The name must still stand for the file that was written to.
	part := s.name + partSuffix
	now, err := s.dir.fs.Lstat(part)
	if err != nil {
		return err
	}
	if !s.dir.fs.SameFile(fi, now) {
		return fmt.Errorf("%w: %s was replaced", ErrExists, part)
	}
	return nil
}

// date gives the unfinished file, to which nothing is written any more, its
// time. That comes before the name, so that no complete file ever has another
// one. Some file systems keep no such times: that fails no file.
func (s *sink) date() {
	if !s.modTime.IsZero() {
		_ = s.dir.fs.SetTime(s.name+partSuffix, s.modTime)
	}
}

// unpublish takes the final name back, since it could not be made durable.
func (s *sink) unpublish() error { return s.dir.fs.RenameNew(s.name, s.name+partSuffix) }

// pathDir is the folder of a name, "." if it has none.
func pathDir(name string) string { return path.Dir(name) }

func (s *sink) close() error { return s.file.Close() }
