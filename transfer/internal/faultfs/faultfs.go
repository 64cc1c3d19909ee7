// Package faultfs is a file system in memory that can lose power and fail. Of
// each file and folder it keeps what programs see and what is on disk: what was
// not synced may be lost, torn or reordered. Syncing a file makes neither its
// entry nor its folder durable.
//
// Everything that changes something is an operation, and the history of all
// operations can be replayed, so that the power can be lost after each.
package faultfs

import (
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Kind is what an operation does.
type Kind uint8

// Kinds of operations.
const (
	Write Kind = iota
	Truncate
	Sync
	Create
	Mkdir
	Rename
	Remove
	SetTime
	SyncDir
	Note // nothing: a mark in the history
)

// An Op is an operation that is about to be done.
type Op struct {
	Kind Kind
	Name string // of the file or folder; of Rename the old one
	N    int    // how many operations were tried before
}

// An FS is a file system. It is safe for concurrent use. Names have slashes
// and are relative to its root, ".". There are no links.
type FS struct {
	mu       sync.Mutex
	now      *state
	begin    *state // before the first operation
	history  []op
	tried    int
	fault    func(Op) error
	capacity int64 // bytes; negative: no limit
}

// New returns an empty file system.
func New() *FS { return from(newState()) }

func from(s *state) *FS {
	return &FS{now: s, begin: s.clone(), capacity: -1}
}

// SetFault has f asked before each operation; an error of it is what comes of
// the operation. A Write that fails so has written the first half, a Sync or
// SyncDir that fails has forgotten what it should have made durable: what is
// seen is no longer what will be on disk, and a second one succeeds.
func (f *FS) SetFault(fault func(Op) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

// SetCapacity limits the bytes of all files together; negative for no limit.
// What does not fit is refused with ENOSPC.
func (f *FS) SetCapacity(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.capacity = bytes
}

// Used is how many bytes all files have together.
func (f *FS) Used() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now.used()
}

// Note puts a mark into the history.
func (f *FS) Note() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.doLocked(op{kind: Note})
}

// Names lists all files, in order.
func (f *FS) Names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var names []string
	f.now.walk(root, ".", func(name string, _ int) { names = append(names, name) })
	slices.Sort(names)
	return names
}

// ReadFile is the content of a file.
func (f *FS) ReadFile(name string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, err := f.now.find(name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return slices.Clone(f.now.nodes[id].data), nil
}

// tryLocked asks the fault hook.
func (f *FS) tryLocked(k Kind, name string) error {
	f.tried++
	if f.fault == nil {
		return nil
	}
	if err := f.fault(Op{Kind: k, Name: name, N: f.tried - 1}); err != nil {
		return &fs.PathError{Op: kindNames[k], Path: name, Err: err}
	}
	return nil
}

var kindNames = [...]string{"write", "truncate", "sync", "open", "mkdir", "rename", "remove", "sync folder", "note"}

func (f *FS) doLocked(o op) {
	f.now.apply(o)
	f.history = append(f.history, o)
}

// roomLocked refuses what would make a file of that size too large.
func (f *FS) roomLocked(id int, size int64) error {
	grows := size - int64(len(f.now.nodes[id].data))
	if f.capacity >= 0 && grows > 0 && f.now.used()+grows > f.capacity {
		return syscall.ENOSPC
	}
	return nil
}

// MkdirAll makes a folder and those above it.
func (f *FS) MkdirAll(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	above := "."
	for _, element := range strings.Split(name, "/") {
		at := path.Join(above, element)
		id, err := f.now.find(at)
		switch {
		case err == nil && !f.now.nodes[id].isDir():
			return &fs.PathError{Op: "mkdir", Path: at, Err: syscall.ENOTDIR}
		case err != nil:
			if err := f.makeLocked(Mkdir, at); err != nil {
				return err
			}
		}
		above = at
	}
	return nil
}

// makeLocked makes a file or folder that is not there.
func (f *FS) makeLocked(k Kind, name string) error {
	dir, err := f.now.find(path.Dir(name))
	if err != nil {
		return &fs.PathError{Op: kindNames[k], Path: name, Err: err}
	}
	if err := f.tryLocked(k, name); err != nil {
		return err
	}
	f.doLocked(op{kind: k, dir: dir, name: path.Base(name), id: len(f.now.nodes)})
	return nil
}

// OpenFile opens a file. Of the flags it knows O_CREATE and O_EXCL.
func (f *FS) OpenFile(name string, flag int) (*File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, err := f.now.find(name)
	switch {
	case err == nil && flag&os.O_EXCL != 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	case err == nil && f.now.nodes[id].isDir():
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EISDIR}
	case err != nil && flag&os.O_CREATE == 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	case err != nil:
		id = len(f.now.nodes)
		if err := f.makeLocked(Create, name); err != nil {
			return nil, err
		}
	}
	return &File{fs: f, id: id, name: name}, nil
}

// Lstat describes a file or folder.
func (f *FS) Lstat(name string) (fs.FileInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, err := f.now.find(name)
	if err != nil {
		return nil, &fs.PathError{Op: "lstat", Path: name, Err: err}
	}
	return f.infoLocked(id, name), nil
}

func (f *FS) infoLocked(id int, name string) info {
	n := f.now.nodes[id]
	return info{name: path.Base(name), id: id, size: int64(len(n.data)), dir: n.isDir(), time: n.time}
}

// SameFile reports whether both are the same file.
func (f *FS) SameFile(a, b fs.FileInfo) bool { return a.(info).id == b.(info).id }

// RenameNew renames within a folder, and replaces nothing.
func (f *FS) RenameNew(from, to string) error { return f.rename(from, to, false) }

// Rename renames within a folder, in place of a file that has the name.
func (f *FS) Rename(from, to string) error { return f.rename(from, to, true) }

func (f *FS) rename(from, to string, replace bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, err := f.now.find(from)
	if err == nil && path.Dir(from) != path.Dir(to) {
		err = syscall.EXDEV
	}
	if err != nil {
		return &fs.PathError{Op: "rename", Path: from, Err: err}
	}
	if there, err := f.now.find(to); err == nil && (!replace || f.now.nodes[there].isDir()) {
		return &fs.PathError{Op: "rename to", Path: to, Err: fs.ErrExist}
	}
	if err := f.tryLocked(Rename, from); err != nil {
		return err
	}
	dir, _ := f.now.find(path.Dir(from)) // from is in it
	f.doLocked(op{kind: Rename, dir: dir, name: path.Base(from), to: path.Base(to), id: id})
	return nil
}

// Remove removes a file.
func (f *FS) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.now.find(name); err != nil {
		return &fs.PathError{Op: "remove", Path: name, Err: err}
	}
	if err := f.tryLocked(Remove, name); err != nil {
		return err
	}
	dir, _ := f.now.find(path.Dir(name)) // the file is in it
	f.doLocked(op{kind: Remove, dir: dir, name: path.Base(name)})
	return nil
}

// SetTime sets the time of the last change. It comes to disk with whatever is
// done to the folder after it, as in a journal.
func (f *FS) SetTime(name string, at time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, err := f.now.find(name)
	if err != nil {
		return &fs.PathError{Op: "set time", Path: name, Err: err}
	}
	if err := f.tryLocked(SetTime, name); err != nil {
		return err
	}
	f.doLocked(op{kind: SetTime, id: id, time: at})
	return nil
}

// SyncDir makes the entries of a folder durable.
func (f *FS) SyncDir(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	id, err := f.now.find(name)
	if err != nil {
		return &fs.PathError{Op: "sync folder", Path: name, Err: err}
	}
	err = f.tryLocked(SyncDir, name)
	f.doLocked(op{kind: SyncDir, dir: id, failed: err != nil})
	return err
}

// A File is an open file. It is safe for concurrent use.
type File struct {
	fs   *FS
	id   int
	name string // as it was opened

	closed bool // guarded by fs.mu
}

// ReadAt implements io.ReaderAt.
func (h *File) ReadAt(b []byte, off int64) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.closed {
		return 0, fs.ErrClosed
	}
	data := h.fs.now.nodes[h.id].data
	if off >= int64(len(data)) {
		return 0, io.EOF
	}
	n := copy(b, data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements io.WriterAt.
func (h *File) WriteAt(b []byte, off int64) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.closed {
		return 0, fs.ErrClosed
	}
	err := h.fs.roomLocked(h.id, off+int64(len(b)))
	if err == nil {
		err = h.fs.tryLocked(Write, h.name)
	}
	n := len(b)
	if err != nil {
		n = 0
		if room := h.fs.roomLocked(h.id, off+int64(len(b)/2)); room == nil {
			n = len(b) / 2
		}
	}
	if n > 0 {
		h.fs.doLocked(op{kind: Write, id: h.id, off: off, data: slices.Clone(b[:n])})
	}
	return n, err
}

// Truncate changes the length.
func (h *File) Truncate(size int64) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.closed {
		return fs.ErrClosed
	}
	if err := h.fs.tryLocked(Truncate, h.name); err != nil {
		return err
	}
	h.fs.doLocked(op{kind: Truncate, id: h.id, off: size})
	return nil
}

// Datasync makes content and length durable.
func (h *File) Datasync() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.closed {
		return fs.ErrClosed
	}
	err := h.fs.tryLocked(Sync, h.name)
	h.fs.doLocked(op{kind: Sync, id: h.id, failed: err != nil})
	return err
}

// Stat describes the file.
func (h *File) Stat() (fs.FileInfo, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	return h.fs.infoLocked(h.id, h.name), nil
}

// Reserve does nothing.
func (h *File) Reserve(int64, int64) {}

// Close closes the file. Nothing becomes durable by it.
func (h *File) Close() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	h.closed = true
	return nil
}

// info implements fs.FileInfo.
type info struct {
	name string
	id   int
	size int64
	dir  bool
	time time.Time
}

func (i info) Name() string { return i.name }
func (i info) Size() int64  { return i.size }
func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o755
	}
	return 0o644
}
func (i info) ModTime() time.Time { return i.time }
func (i info) IsDir() bool        { return i.dir }
func (i info) Sys() any           { return nil }
