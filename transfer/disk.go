package transfer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// A fileSystem is the destination of downloads: what the engine needs of the
// file system below one folder. Names are relative to that, with slashes;
// nothing outside is ever touched, whatever links say. Implementations are
// comparable and safe for concurrent use. There are two: rootFS, and the fault
// file system of the tests.
type fileSystem interface {
	// MkdirAll makes a folder and those above it.
	MkdirAll(name string) error
	// OpenFile opens a regular file; flag is as for os.OpenFile.
	OpenFile(name string, flag int) (file, error)
	// Lstat follows no link in the last element of the name.
	Lstat(name string) (fs.FileInfo, error)
	// SameFile reports whether both are the same file.
	SameFile(a, b fs.FileInfo) bool
	// RenameNew renames within one folder. It replaces nothing: the error
	// wraps fs.ErrExist if to is there.
	RenameNew(from, to string) error
	// Rename renames within one folder, in place of a file that has the name.
	Rename(from, to string) error
	Remove(name string) error
	// SetTime sets the time of a file's last change.
	SetTime(name string, at time.Time) error
	// SyncDir makes the entries of one folder durable, not those above it.
	SyncDir(name string) error
	// Name is where the folder is, for people.
	Name() string
}

// A file is an open file of a fileSystem. It is safe for concurrent use.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
	// Datasync makes content and length durable. After an error nothing that
	// was written since the last success may be believed to be on disk, even
	// if a later Datasync succeeds.
	Datasync() error
	// Reserve tries to have room allocated for so many bytes from an offset
	// on, without changing the length. It is a help only.
	Reserve(off, size int64)
}

// rootFS is the real file system below a folder.
type rootFS struct{ root *os.Root }

func (r rootFS) MkdirAll(name string) error             { return r.root.MkdirAll(name, 0o755) }
func (r rootFS) Lstat(name string) (fs.FileInfo, error) { return r.root.Lstat(name) }
func (r rootFS) SameFile(a, b fs.FileInfo) bool         { return os.SameFile(a, b) }
func (r rootFS) RenameNew(from, to string) error        { return renameNew(r.root, from, to) }
func (r rootFS) Rename(from, to string) error           { return r.root.Rename(from, to) }
func (r rootFS) Remove(name string) error               { return r.root.Remove(name) }
func (r rootFS) SetTime(name string, at time.Time) error {
	return r.root.Chtimes(name, time.Time{}, at)
}
func (r rootFS) Name() string { return r.root.Name() }

func (r rootFS) OpenFile(name string, flag int) (file, error) {
	f, err := r.root.OpenFile(name, flag, 0o644)
	if err != nil {
		return nil, err
	}
	return rootFile{f}, nil
}

func (r rootFS) SyncDir(name string) error {
	d, err := r.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(syncDir(d), d.Close())
}

// rootFile is an open file of a rootFS.
type rootFile struct{ *os.File }

func (f rootFile) Datasync() error         { return datasync(f.File) }
func (f rootFile) Reserve(off, size int64) { reserve(f.File, off, size) }

// renameByLink renames without replacing, by means that every system with hard
// links has.
func renameByLink(root *os.Root, from, to string) error {
	err := root.Link(from, to)
	switch {
	case err == nil:
		return root.Remove(from)
	case errors.Is(err, fs.ErrExist):
		return err
	}
	// No hard links here: look first. Only another program could be faster.
	if _, err := root.Lstat(to); err == nil {
		return &fs.PathError{Op: "rename to", Path: to, Err: fs.ErrExist}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return root.Rename(from, to)
}

// A lostError says that bytes which were written may not be on disk. What is
// not marked by then has to be written again, to a file that is opened anew:
// Linux forgets about pages that it failed to write, so that a second sync of
// them succeeds without having done anything.
type lostError struct{ err error }

func (e *lostError) Error() string { return e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// lost makes a lostError of what a device has failed to do. Other errors, which
// say that nothing was done, stay as they are.
func lost(err error) error {
	if errors.Is(err, syscall.EIO) {
		return &lostError{err}
	}
	return err
}

// isLost reports whether an error is a lostError.
func isLost(err error) bool {
	loss := (*lostError)(nil)
	return errors.As(err, &loss)
}

// isDenied reports whether the error says that writing is not allowed there.
func isDenied(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)
}

// A TargetError ends a run, or keeps it from beginning, when nothing can be
// written to the folder where its files should go.
type TargetError struct {
	Path string
	Err  error
}

func (e *TargetError) Error() string {
	err := e.Err
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Sprintf("cannot write to %s: %v", e.Path, err)
}

func (e *TargetError) Unwrap() error { return e.Err }

// AsTargetError makes a *TargetError of an error that says that writing to the
// folder is not allowed. Others it returns as they are.
func AsTargetError(folder string, err error) error {
	if err == nil || !isDenied(err) {
		return err
	}
	return &TargetError{Path: folder, Err: err}
}

// checkTarget tells a folder in which nothing can be written, a *TargetError,
// from one file that cannot be, which gives err back.
func checkTarget(dir fileSystem, err error) error {
	if !isDenied(err) {
		return err
	}
	probe := ".haul-" + strconv.FormatInt(time.Now().UnixNano(), 36) + partSuffix
	f, cannot := dir.OpenFile(probe, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if isDenied(cannot) {
		return &TargetError{Path: dir.Name(), Err: cannot}
	}
	if cannot == nil {
		_ = errors.Join(f.Close(), dir.Remove(probe)) // an empty file: harmless
	}
	return err
}

// A folder is a directory whose entries can be made durable. It is comparable,
// so that a group syncs it once.
type folder struct {
	fs    fileSystem
	name  string // with slashes; "." is the root
	above *durables
}

// durables are what a run knows of the folders it writes to. The zero value
// is ready to use.
type durables struct {
	mu sync.Mutex
	// entered are those whose own entries in the folders above are durable.
	entered map[folder]bool
	// losses is how many syncs of each have failed.
	losses map[folder]int
}

// sync makes the folder's entries durable, and the first time also its own
// entry and those of the folders above it: the run may have made them.
func (f folder) sync() error {
	err := f.fs.SyncDir(f.name)
	for name := f.name; err == nil && name != "." && !f.above.isEntered(f); {
		name = path.Dir(name)
		err = f.fs.SyncDir(name)
	}
	f.above.mu.Lock()
	defer f.above.mu.Unlock()
	if f.above.losses == nil {
		f.above.entered, f.above.losses = make(map[folder]bool), make(map[folder]int)
	}
	if err != nil {
		f.above.losses[f]++
		return &lostError{fmt.Errorf("sync folder: %w", err)}
	}
	f.above.entered[f] = true
	return nil
}

func (d *durables) isEntered(f folder) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.entered[f]
}

// A link is an entry of a folder that is yet to become durable.
type link struct {
	dir folder
	// since is how many syncs of the folder had failed when the entry was made.
	// If more have by now it may be lost, even if a later one succeeds.
	since int
}

// newLink begins a link. The entry has to be made after it.
func newLink(f folder) link {
	f.above.mu.Lock()
	defer f.above.mu.Unlock()
	return link{f, f.above.losses[f]}
}

// check fails, with a *lostError, if the entry may be lost. The folder has to
// be synced before.
func (l link) check() error {
	if newLink(l.dir) != l {
		return &lostError{errors.New("sync folder: failed before")}
	}
	return nil
}
