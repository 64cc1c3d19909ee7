package transfer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync/atomic"
)

// partSuffix ends the name of an unfinished file. SafeName never gives such a name.
const partSuffix = ".part"

// errPath says that a path leads out of its folder, or is none.
var errPath = errors.New("transfer: path is not inside the destination")

// A sink is the unfinished file of a download. All its names are relative to
// an os.Root, so nothing outside of that is ever touched.
type sink struct {
	root *os.Root
	name string // the final one, with slashes
	size int64
	file *os.File

	// syncErr is set by a failed sync: what was written before it may be
	// lost, whatever a later sync says.
	syncErr atomic.Pointer[error]
}

// checkPath refuses what does not name a file inside a folder.
func checkPath(name string) error {
	if name == "" || !fs.ValidPath(name) || name == "." {
		return fmt.Errorf("%w: %q", errPath, name)
	}
	return nil
}

// openSink opens the unfinished file, and makes it and its folders if there
// are none. Content that is there already stays.
func openSink(root *os.Root, name string, size int64) (*sink, error) {
	if err := checkPath(name); err != nil {
		return nil, err
	}
	if dir := path.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("make folder: %w", err)
		}
	}
	part := name + partSuffix
	if fi, err := root.Lstat(part); err == nil && !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is no regular file", ErrExists, part)
	}
	f, err := root.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	s := &sink{root: root, name: name, size: size, file: f}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

// prepare cuts off what is beyond the size, and reserves room.
func (s *sink) prepare() error {
	fi, err := s.file.Stat()
	if err != nil {
		return err
	}
	if fi.Size() > s.size {
		if err := s.file.Truncate(s.size); err != nil {
			return err
		}
	}
	if s.size >= minReserve && s.size <= maxReserve {
		reserve(s.file, s.size) // a help, not a need: writing tells if there is no room
	}
	return nil
}

// Room is reserved only for sizes for which it is worth it, and which
// Telegram's files can really have: the size is the sender's word.
const (
	minReserve = 4 << 20
	maxReserve = 4 << 30
)

// clear throws away all content.
func (s *sink) clear() error {
	if err := s.file.Truncate(0); err != nil {
		return err
	}
	return s.prepare()
}

// writeAt writes a part. It never writes beyond the size.
func (s *sink) writeAt(b []byte, off int64) error {
	if off < 0 || off > s.size || int64(len(b)) > s.size-off {
		panic("transfer: write beyond the size of the file")
	}
	_, err := s.file.WriteAt(b, off)
	return err
}

// sync makes everything written so far durable. Once failed it fails for ever.
func (s *sink) sync() error {
	if p := s.syncErr.Load(); p != nil {
		return *p
	}
	err := datasync(s.file)
	if err != nil {
		s.syncErr.CompareAndSwap(nil, &err)
	}
	return err
}

// publish gives the file its final name, unless that is taken. The file has to
// be synced before, and its folder after.
func (s *sink) publish() error {
	if err := s.complete(); err != nil {
		return err
	}
	return renameNew(s.root, s.name+partSuffix, s.name)
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
	now, err := s.root.Lstat(s.name + partSuffix)
	if err != nil {
		return err
	}
	if !os.SameFile(fi, now) {
		return fmt.Errorf("%w: %s was replaced", ErrExists, s.name+partSuffix)
	}
	return nil
}

// pathDir is the folder of a name, "." if it has none.
func pathDir(name string) string { return path.Dir(name) }

func (s *sink) close() error { return s.file.Close() }

// renameByLink renames without replacing, by means that every system with hard
// links has.
func renameByLink(root *os.Root, from, to string) error {
	err := root.Link(from, to)
	switch {
	case err == nil:
		return root.Remove(from)
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%w: %s", ErrExists, to)
	}
	// No hard links here: look first. Only another program could be faster.
	if _, err := root.Lstat(to); err == nil {
		return fmt.Errorf("%w: %s", ErrExists, to)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return root.Rename(from, to)
}

// A folder is a directory whose entries can be made durable. It is comparable,
// so that a group syncs it once.
type folder struct {
	root *os.Root
	name string // with slashes; "." is root itself
}

func (f folder) sync() error {
	d, err := f.root.Open(f.name)
	if err != nil {
		return err
	}
	return errors.Join(syncDir(d), d.Close())
}
