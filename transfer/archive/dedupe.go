package archive

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	sha256 "github.com/minio/sha256-simd"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
)

// A Dedupe says what becomes of a file whose content is there already.
type Dedupe string

// The ways.
const (
	DedupeOff       Dedupe = "off"       // it is fetched
	DedupeHardlink  Dedupe = "hardlink"  // a second name; a copy where there are no hard links
	DedupeReference Dedupe = "reference" // a line of the manifest with the path of the other
)

// A Pool knows all files of the archives in and below a folder by their
// content, so that none is fetched, or kept, twice: by the id of document or
// photo before anything is fetched, by size and SHA-256 after that.
//
// What a manifest says of a file is not believed for that: it says what was
// there once. To link to a file that has been damaged since would spread the
// damage under a hash that is no longer true. So a file of an earlier run is
// read and hashed before it is used, once in a run, as long as it does not
// change; that costs less than fetching it. Files of this run were hashed as
// they came. One that is not what it should be is passed over.
//
// It takes some 300 bytes for each file. It is safe for concurrent use; files
// with the same Download.Same must not be under way at the same time.
type Pool struct {
	base *os.Root
	way  Dedupe
	warn func(text string)
	once sync.Once                    // warn was called
	link func(old, name string) error // base.Link; tests have their own

	mu         sync.Mutex
	byDocument map[content]*kept
	bySum      map[[32]byte]*kept
}

// content is what two files share if their content is the same, as Telegram has it.
type content struct {
	document int64
	photo    bool
	size     int64
}

func contentOf(f telegram.File) content {
	return content{document: f.ID, photo: f.Kind == telegram.KindPhoto, size: f.Size}
}

// A kept is a file on disk. All but proven is constant.
type kept struct {
	path string // below the pool's folder
	size int64
	sum  [32]byte

	mu     sync.Mutex
	proven fs.FileInfo // what it was when its hash was right; nil: not known
}

// OpenPool reads the manifests in and below a folder, which need not exist. warn
// is told once if there are no hard links. Close the pool when done.
func OpenPool(ctx context.Context, dir string, way Dedupe, warn func(text string)) (_ *Pool, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, transfer.AsTargetError(dir, err)
	}
	p := &Pool{way: way, warn: warn, byDocument: make(map[content]*kept), bySum: make(map[[32]byte]*kept)}
	if p.base, err = os.OpenRoot(dir); err != nil {
		return nil, err
	}
	p.link = p.base.Link
	folders, err := find(ctx, dir)
	if errors.Is(err, ErrNone) {
		err = nil
	}
	for _, folder := range folders {
		if err == nil {
			err = p.load(ctx, folder)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", dir, err), p.Close())
	}
	return p, nil
}

func (p *Pool) load(ctx context.Context, folder string) error {
	root, err := p.base.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // it was only read
	files, _, err := Files(ctx, root)
	for _, e := range files {
		if sum, err := hex.DecodeString(e.SHA256); err == nil && !e.Reference && e.Thumb == "" {
			k := &kept{path: path.Join(folder, e.Path), size: e.Size, sum: [32]byte(sum)}
			p.add(content{e.Document, e.Kind == telegram.KindPhoto, e.Size}, k)
		}
	}
	return err
}

// add takes a file in. Of several with one content the first one stays.
func (p *Pool) add(c content, k *kept) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byDocument[c] == nil {
		p.byDocument[c] = k
	}
	if p.bySum[k.sum] == nil && k.size > 0 {
		p.bySum[k.sum] = k
	}
}

// drop takes out a file that is not what it should be.
func (p *Pool) drop(k *kept) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c, other := range p.byDocument {
		if other == k {
			delete(p.byDocument, c)
		}
	}
	if p.bySum[k.sum] == k {
		delete(p.bySum, k.sum)
	}
}

// Close closes the pool. It may be called twice.
func (p *Pool) Close() error { return p.base.Close() }

// Share has a download of a file of the archive look first for what is there
// already: what the manifest refers to, and, unless it is nil, in the pool of
// the folder above. When it is finished it is entered into the manifest, and
// known to the pool. Path has to be set; Same, Local and Finished are: a file that
// is asked for again while it is under way waits, and is there then.
func (a *Archive) Share(p *Pool, m *telegram.Message, d *transfer.Download) {
	s := &shared{p: p, a: a, m: m, f: d.File, own: path.Join(a.folder, d.Path), modTime: d.ModTime}
	d.Local, d.Finished = s.local, s.finished
	d.Same = a.same(d.File)
	if p != nil {
		c := contentOf(d.File)
		d.Same = fmt.Sprint(c.document, c.photo, c.size)
	}
}

// same is equal for downloads of one file of the archive.
func (a *Archive) same(f telegram.File) string {
	return fmt.Sprint(a.chat, f.Origin.MessageID, f.ID, f.IsThumb)
}

// shared is a download that looks into the pool.
type shared struct {
	p       *Pool
	a       *Archive
	m       *telegram.Message
	f       telegram.File
	own     string // below the folder above the archive, which the pool is of
	modTime time.Time
	refer   *kept // the other file that it is, if local has found one
	before  bool  // it is in the manifest as a reference already
}

func (s *shared) local(ctx context.Context) (transfer.Local, error) {
	s.refer, s.before = nil, false
	if local := s.a.refers(s.f); local.Found {
		s.before = true
		return local, nil
	}
	if s.p == nil {
		return transfer.Local{}, nil
	}
	s.p.mu.Lock()
	k := s.p.byDocument[contentOf(s.f)]
	s.p.mu.Unlock()
	if k == nil || k.path == s.own {
		return transfer.Local{}, nil
	}
	if ok, err := s.p.prove(ctx, k); err != nil || !ok {
		return transfer.Local{}, err
	}
	local := transfer.Local{Found: true, SHA256: k.sum}
	if s.p.way == DedupeReference {
		s.refer, local.Elsewhere = k, true
		return local, nil
	}
	err := s.p.place(ctx, k, s.own, s.modTime)
	if err != nil {
		local = transfer.Local{}
		if !errors.Is(err, errChanged) {
			return local, fmt.Errorf("%s: %w", s.own, err)
		}
	}
	return local, nil
}

// finished enters the file. What was fetched and is there already under another
// document gives way.
func (s *shared) finished(res transfer.FileResult) error {
	if s.before {
		s.a.mu.Lock()
		e := s.a.entries[fileKeyOf(s.f)]
		s.a.mu.Unlock()
		return s.a.sidecar(e, s.m, res.Path)
	}
	if s.refer != nil {
		return s.enterReference(res, s.refer)
	}
	if s.p == nil {
		return s.a.AddFileOf(s.m, s.f, res)
	}
	k := &kept{path: s.own, size: res.Size, sum: res.SHA256}
	if !res.Skipped {
		k.proven, _ = s.p.base.Lstat(s.own) // it was hashed just now
		if other := s.p.twin(k); other != nil {
			if done, err := s.giveWay(res, other); done || err != nil {
				return err
			}
		}
	}
	s.p.add(contentOf(s.f), k)
	return s.a.AddFileOf(s.m, s.f, res)
}

// twin is another file with the same hash, proven; nil if there is none.
func (p *Pool) twin(k *kept) *kept {
	p.mu.Lock()
	other := p.bySum[k.sum]
	p.mu.Unlock()
	if other == nil || other.path == k.path || other.size != k.size {
		return nil
	}
	if ok, err := p.prove(context.Background(), other); err != nil || !ok { // the run may be over, but this one file is done
		return nil
	}
	return other
}

// giveWay puts another file in the place of the one that was fetched. It reports
// whether the file is entered. At every moment there is one that has the content.
func (s *shared) giveWay(res transfer.FileResult, other *kept) (bool, error) {
	if s.p.way == DedupeReference {
		if err := s.enterReference(res, other); err != nil {
			return false, err
		}
		s.p.also(contentOf(s.f), other)
		return true, s.p.base.Remove(s.own)
	}
	beside := s.own + ".part"
	if s.p.link(other.path, beside) != nil {
		return false, nil // it stays a copy
	}
	if !s.p.isStill(other, beside) {
		return false, s.p.base.Remove(beside)
	}
	if err := s.p.base.Rename(beside, s.own); err != nil {
		return false, errors.Join(err, s.p.base.Remove(beside))
	}
	return false, nil
}

// also notes that a document has the content of a file.
func (p *Pool) also(c content, k *kept) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byDocument[c] == nil {
		p.byDocument[c] = k
	}
}

// enterReference appends a line that refers to another file.
func (s *shared) enterReference(res transfer.FileResult, k *kept) error {
	e := s.a.entry(s.m, s.f, res)
	e.Reference, e.Name = true, s.f.Name
	if inside, ok := strings.CutPrefix(k.path, s.a.folder+"/"); ok {
		e.Path = inside
	} else {
		e.Path = "../" + k.path
	}
	return s.a.enter(e, s.m, res.Path)
}

// prove reports whether a file is what the pool has been told: it is read,
// unless that was done in this run and it has not changed since.
func (p *Pool) prove(ctx context.Context, k *kept) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, err := p.base.Open(k.path)
	if err != nil {
		p.drop(k)
		return false, nil //nolint:nilerr // then it is fetched
	}
	defer f.Close() //nolint:errcheck // it was only read
	before, err := f.Stat()
	named, linkErr := p.base.Lstat(k.path)
	if err == nil && linkErr == nil && before.Mode().IsRegular() && before.Size() == k.size && os.SameFile(before, named) {
		if k.proven != nil && os.SameFile(k.proven, before) && k.proven.ModTime().Equal(before.ModTime()) {
			return true, nil
		}
		sum, err := hashOf(ctx, f, nil)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if err == nil && sum == k.sum {
			k.proven = before
			return true, nil
		}
	}
	p.drop(k)
	return false, nil
}

// hashOf hashes a file, and copies it if to is not nil.
func hashOf(ctx context.Context, f io.Reader, to io.Writer) (sum [32]byte, err error) {
	h, buf := sha256.New(), make([]byte, 1<<20)
	for {
		if err := ctx.Err(); err != nil {
			return sum, err
		}
		n, err := f.Read(buf)
		_, _ = h.Write(buf[:n]) // a hash never fails
		if to != nil && n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return sum, err
			}
		}
		if errors.Is(err, io.EOF) {
			return [32]byte(h.Sum(nil)), nil
		}
		if err != nil {
			return sum, err
		}
	}
}

// isStill reports whether a name stands for a file that was proven.
func (p *Pool) isStill(k *kept, name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	fi, err := p.base.Lstat(name)
	return err == nil && k.proven != nil && os.SameFile(fi, k.proven) && fi.Size() == k.size
}

// errChanged says that a file was replaced while it was being linked to.
var errChanged = errors.New("archive: the file was replaced meanwhile")

// place gives a proven file a second name, or where that cannot be a copy.
func (p *Pool) place(ctx context.Context, k *kept, name string, modTime time.Time) error {
	if err := p.base.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	err := p.link(k.path, name)
	switch {
	case err == nil:
		if !p.isStill(k, name) {
			return errors.Join(errChanged, p.base.Remove(name))
		}
		return nil
	case errors.Is(err, fs.ErrExist):
		return err
	}
	p.once.Do(func() {
		p.warn(fmt.Sprintf("no hard links can be made (%v); files that are there already are copied", linkError(err)))
	})
	return p.copy(ctx, k, name, modTime)
}

func linkError(err error) error {
	if l := (*os.LinkError)(nil); errors.As(err, &l) {
		return l.Err
	}
	return err
}

// copy copies a file beside the name, proves the copy, and renames it.
func (p *Pool) copy(ctx context.Context, k *kept, name string, modTime time.Time) (err error) {
	from, err := p.base.Open(k.path)
	if err != nil {
		return errChanged
	}
	defer from.Close() //nolint:errcheck // it was only read
	beside := name + ".part"
	to, err := p.base.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.base.Remove(beside))
		}
	}()
	sum, err := hashOf(ctx, from, to)
	if err == nil && sum != k.sum {
		err = errChanged
	}
	if err == nil {
		err = to.Sync()
	}
	if err := errors.Join(err, to.Close()); err != nil {
		return err
	}
	if !modTime.IsZero() {
		_ = p.base.Chtimes(beside, time.Time{}, modTime) // some file systems keep none
	}
	if _, err := p.base.Lstat(name); err == nil {
		return &fs.PathError{Op: "rename to", Path: name, Err: fs.ErrExist}
	}
	return p.base.Rename(beside, name)
}
