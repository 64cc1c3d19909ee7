package dctest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/tghaul/haul/tl"
)

// Limits of uploads, core.telegram.org/api/files#uploading-files.
const (
	partUnit      = 1024      // a part's size is a multiple of it
	maxUploadPart = 512 << 10 // and divides this
	smallFile     = 10 << 20  // above, files go by saveBigFilePart
	maxParts      = 4000      // if the scenario says nothing; with Premium twice as many
)

// A part is one call of upload.saveFilePart or upload.saveBigFilePart.
type part struct {
	id            int64 // chosen by the client
	number, total int   // total is -1 while the client does not know it
	big           bool
	bytes         []byte
}

type uploadKey struct{ account, id int64 }

// savePart checks a part and keeps it. What was kept before under the same
// number is replaced, so that sending a part again is safe.
func (r *request) savePart(p part) (tl.Object, error) {
	if r.DC != r.me.cfg.DC {
		return nil, refuse(303, "FILE_MIGRATE_"+strconv.Itoa(r.me.cfg.DC))
	}
	if err := p.check(r.maxParts()); err != nil {
		return nil, err
	}
	key := uploadKey{r.me.id, p.id}
	r.c.mu.Lock()
	u := r.c.uploads[key]
	if u == nil {
		u = &upload{big: p.big, sizes: map[int]int{}, early: map[int][]byte{}, path: r.c.spoolPath(key)}
		r.c.uploads[key] = u
	}
	r.c.mu.Unlock()
	if err := u.save(p); err != nil {
		return nil, err
	}
	r.c.stats.partSaved(p.id, p.number, len(p.bytes))
	return boxedBool(true), nil
}

func (r *request) maxParts() int {
	if r.me.cfg.Premium {
		return 2 * r.c.cfg.UploadParts
	}
	return r.c.cfg.UploadParts
}

// check applies the rules that concern a part alone.
func (p *part) check(limit int) error {
	last := p.big && p.number == p.total-1
	switch {
	case len(p.bytes) == 0 && (!last || p.number <= 0):
		return refuse(400, "FILE_PART_EMPTY") // but a stream may end at a border
	case len(p.bytes) > maxUploadPart:
		return refuse(400, "FILE_PART_TOO_BIG")
	case p.big && p.total != -1 && (p.total < 1 || p.total > limit):
		return refuse(400, "FILE_PARTS_INVALID")
	case p.number < 0 || p.number >= limit || p.big && p.total > 0 && p.number >= p.total:
		return refuse(400, "FILE_PART_INVALID")
	case p.big && !last && !validPartSize(len(p.bytes)):
		return refuse(400, "FILE_PART_SIZE_INVALID")
	}
	return nil
}

func validPartSize(n int) bool { return n > 0 && n%partUnit == 0 && maxUploadPart%n == 0 }

// An upload is what an account has sent under one file id. Parts of small
// files stay in memory, those of big ones are written to a file.
type upload struct {
	mu       sync.Mutex
	big      bool
	streamed bool // a part came whose client did not know the total
	total    int  // as the client said, 0 if it did not yet
	partSize int  // of all parts but the last of a big file; 0: not known yet
	sizes    map[int]int
	early    map[int][]byte // parts whose place is not known yet
	stored   int            // bytes in early
	path     string
	spool    *os.File
	done     source // once assembled
}

// save applies the rules that concern the parts of a file together.
func (u *upload) save(p part) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.big != p.big || u.done != nil && u.sizes[p.number] != len(p.bytes) {
		return refuse(400, "FILE_PART_INVALID")
	}
	if u.done != nil {
		return nil
	}
	if !p.big {
		if u.stored+len(p.bytes)-len(u.early[p.number]) > smallFile {
			return refuse(400, "FILE_PART_INVALID")
		}
		u.keep(p)
		return nil
	}
	last := p.number == p.total-1
	switch {
	case p.total > 0 && u.total > 0 && p.total != u.total:
		return refuse(400, "FILE_PARTS_INVALID")
	case len(p.bytes) == 0 && !u.streamed:
		return refuse(400, "FILE_PART_EMPTY")
	case u.partSize > 0 && (len(p.bytes) > u.partSize || !last && len(p.bytes) != u.partSize):
		return refuse(400, "FILE_PART_SIZE_CHANGED")
	}
	if p.total > 0 {
		u.total = p.total
	} else {
		u.streamed = true
	}
	if !last {
		u.partSize = len(p.bytes)
	}
	return u.write(p)
}

// keep holds a part in memory, as a copy: its bytes are those of the packet.
func (u *upload) keep(p part) {
	u.stored += len(p.bytes) - len(u.early[p.number])
	u.early[p.number] = bytes.Clone(p.bytes)
	u.sizes[p.number] = len(p.bytes)
}

// write puts a part of a big file in its place, straight from the packet, and
// those that waited until the size of parts was known.
func (u *upload) write(p part) error {
	if u.partSize == 0 {
		u.keep(p)
		return nil
	}
	if u.spool == nil {
		f, err := os.OpenFile(u.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("store an upload: %w", err)
		}
		u.spool = f
	}
	delete(u.early, p.number) // replaced
	if err := u.put(p.number, p.bytes); err != nil {
		return err
	}
	for n, b := range u.early {
		if len(b) > u.partSize {
			return refuse(400, "FILE_PART_SIZE_CHANGED")
		}
		if err := u.put(n, b); err != nil {
			return err
		}
		delete(u.early, n)
	}
	u.stored = 0
	return nil
}

// put writes a part to its place in the file.
func (u *upload) put(number int, b []byte) error {
	if _, err := u.spool.WriteAt(b, int64(number)*int64(u.partSize)); err != nil {
		return fmt.Errorf("store an upload: %w", err)
	}
	u.sizes[number] = len(b)
	return nil
}

// assemble makes a file of the first n parts. It may be called again.
func (u *upload) assemble(n int, big bool) (source, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.big != big || big && u.total != n {
		return nil, refuse(400, "FILE_PARTS_INVALID")
	}
	var size int64
	for i := range n {
		if _, there := u.sizes[i]; !there {
			return nil, refuse(400, fmt.Sprintf("FILE_PART_%d_MISSING", i))
		}
	}
	for i := range n {
		length := u.sizes[i]
		switch {
		case i < n-1 && !validPartSize(length):
			return nil, refuse(400, "FILE_PART_SIZE_INVALID")
		case i < n-1 && length != u.sizes[0] || length > u.sizes[0]:
			return nil, refuse(400, "FILE_PART_LENGTH_INVALID")
		}
		size += int64(length)
	}
	if u.done == nil {
		u.done = u.finish(n, size)
	}
	if u.done.Size() != size {
		return nil, refuse(400, "FILE_PARTS_INVALID")
	}
	return u.done, nil
}

func (u *upload) finish(n int, size int64) source {
	if u.spool != nil {
		return &fileSource{f: u.spool, size: size}
	}
	b := make(memSource, 0, size)
	for i := range n {
		b = append(b, u.early[i]...)
	}
	clear(u.early)
	return b
}

// memSource is content in memory.
type memSource []byte

// ReadAt reads as io.ReaderAt demands.
func (m memSource) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(m).ReadAt(p, off)
}

// Size is the length.
func (m memSource) Size() int64 { return int64(len(m)) }

// fileSource is content in a file.
type fileSource struct {
	f    *os.File
	size int64
}

// ReadAt reads as io.ReaderAt demands.
func (f *fileSource) ReadAt(p []byte, off int64) (int, error) {
	if off >= f.size {
		return 0, io.EOF
	}
	short := int64(len(p)) > f.size-off
	if short {
		p = p[:f.size-off]
	}
	n, err := f.f.ReadAt(p, off)
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}

// Size is the length.
func (f *fileSource) Size() int64 { return f.size }

// spoolPath is where the parts of an upload go.
func (c *Cluster) spoolPath(key uploadKey) string {
	return filepath.Join(c.spoolDir, fmt.Sprintf("parts-%d-%x", key.account, uint64(key.id)))
}

// openSpool makes the place for uploads: StateDir, or a temporary one.
func (c *Cluster) openSpool() (err error) {
	if c.cfg.StateDir == "" {
		c.spoolDir, err = os.MkdirTemp("", "haul-sim-")
		return err
	}
	c.spoolDir = c.cfg.StateDir
	if err := os.MkdirAll(c.spoolDir, 0o700); err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(c.spoolDir, "parts-*")) // of an earlier run that lost its memory of them
	if err != nil {
		return err
	}
	var failed []error
	for _, path := range old {
		failed = append(failed, os.Remove(path))
	}
	return errors.Join(failed...)
}

// closeSpool closes what holds uploads, and removes what need not stay.
func (c *Cluster) closeSpool() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var failed []error
	for _, u := range c.uploads {
		if u.spool != nil {
			failed = append(failed, u.spool.Close(), os.Remove(u.path))
		}
	}
	for _, f := range c.world.uploaded {
		if s, ok := f.data.(*fileSource); ok && s.f != nil {
			if err := s.f.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
				failed = append(failed, err)
			}
		}
	}
	if c.cfg.StateDir == "" {
		failed = append(failed, os.RemoveAll(c.spoolDir))
	}
	return errors.Join(failed...)
}
