package transfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sync"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/transfer/split"
)

// Sources that are larger than the account may send go in pieces, straight from
// where they lie; then comes a manifest, the message that makes them a file again.
//
//  1. Split puts the pieces of a source in its place in the list.
//  2. When the list has ended it waits for the pieces of each source.
//  3. It reads the source from front to back, and compares each piece with what
//     was sent: only a source that was the same all the time gets a manifest.
//
// So a chat that has the manifest has the file. After a kill, pieces that are
// sent are known from the job, the one that was begun goes on, and only the
// reading of step 3 is done again.

// SplitSuffix ends the name of a manifest.
const SplitSuffix = split.Suffix

// SourceOf is what identifies the content of a source in the checkpoint.
func SourceOf(fi fs.FileInfo) checkpoint.Source { return identify(fi) }

// MaxUpload is the size of the largest file that the account may send.
func (e *Engine) MaxUpload() int64 { return int64(e.opts.MaxUploadParts) * uploadPartSize }

// Split replaces the uploads of a list, which is given to Upload next, whose
// sources are larger than size by uploads of their pieces, which have at most
// that size, and of a manifest. The Finished of such an upload is called once its
// manifest is sent, with the size and hash of the source, and Unconfirmed if that
// is so of any piece. If a piece fails there is no manifest. Uploads that are to
// be skipped, and those of sections, stay as they are.
func (e *Engine) Split(size int64, uploads iter.Seq2[Upload, error]) iter.Seq2[Upload, error] {
	return func(yield func(Upload, error) bool) {
		ctx := e.running.Load().ctx()
		var groups []*pieces
		for u, err := range uploads {
			var g *pieces
			if err == nil {
				g = newPieces(&u, size)
			}
			if g == nil {
				if !yield(u, err) {
					return
				}
				continue
			}
			for i := range g.plan {
				if !yield(g.upload(i), nil) {
					return
				}
			}
			groups = append(groups, g)
		}
		for _, g := range groups {
			u, complete := g.manifest(ctx)
			if err := ctx.Err(); err != nil { // or the list would seem to be complete
				yield(Upload{}, err)
				return
			}
			if complete && !yield(u, nil) {
				return
			}
		}
	}
}

// pieces are the uploads that a source has become.
type pieces struct {
	u    Upload
	name string
	size int64
	plan []split.Plan
	over chan struct{} // closed when all pieces are sent or given up

	mu   sync.Mutex
	left int
	done []*FileResult // by piece; nil: not sent
}

// newPieces is nil for an upload that is sent as it is. One that has to be sent in
// pieces and cannot be is Broken.
func newPieces(u *Upload, size int64) *pieces {
	fi, err := os.Stat(u.Path)
	if err != nil || !fi.Mode().IsRegular() || fi.Size() <= size || u.Skip != nil || u.Section != nil || u.Broken != nil {
		return nil
	}
	g := &pieces{u: *u, name: u.Name, size: fi.Size()}
	if g.name == "" {
		g.name = filepath.Base(u.Path)
	}
	if g.plan, err = split.PlanOf(g.name, g.size, size); err != nil {
		u.Broken = err
		return nil
	}
	g.done = make([]*FileResult, len(g.plan))
	g.left, g.over = len(g.plan), make(chan struct{})
	return g
}

// upload is piece i.
func (g *pieces) upload(i int) Upload {
	u, p := g.u, g.plan[i]
	u.Name, u.Section, u.over = p.Name, &Section{Offset: p.Offset, Size: p.Size}, g.oneOver
	u.MimeType, u.As, u.Thumb = "application/octet-stream", Documents, nil
	u.Finished = func(res FileResult) error {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.done[i] = &res
		return nil
	}
	return u
}

func (g *pieces) oneOver() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.left--; g.left == 0 {
		close(g.over)
	}
}

// manifest waits for the pieces and is the upload of their manifest; false if
// there is none to send. One that cannot be made fails when it is opened.
func (g *pieces) manifest(ctx context.Context) (Upload, bool) {
	select {
	case <-g.over:
	case <-ctx.Done():
		return Upload{}, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	unconfirmed := []error(nil)
	for i, res := range g.done {
		if res == nil {
			return Upload{}, false
		}
		if res.Unconfirmed != nil {
			unconfirmed = append(unconfirmed, fmt.Errorf("%s: %w", g.plan[i].Name, res.Unconfirmed))
		}
	}
	u := g.u
	u.Name, u.MimeType, u.As, u.Thumb = g.name+split.Suffix, "application/json", Documents, nil
	content, whole, since, err := g.describe(ctx)
	u.Section = &Section{Content: content, Whole: whole, broken: err, since: since}
	if u.Finished != nil {
		u.Finished = func(res FileResult) error {
			res.Path, res.Size, res.SHA256 = g.u.Path, g.size, whole
			res.Unconfirmed = errors.Join(append(unconfirmed, res.Unconfirmed)...)
			return g.u.Finished(res)
		}
	}
	return u, true
}

// describe reads the source and writes the manifest. It fails with ErrChanged
// unless the source was the same when each piece was sent, and before and after
// it is read: that is what since identifies.
func (g *pieces) describe(ctx context.Context) (content []byte, sum [32]byte, since checkpoint.Source, err error) {
	f, err := os.Open(g.u.Path)
	if err != nil {
		return nil, sum, since, err
	}
	defer f.Close() //nolint:errcheck // it is only read
	if since, err = g.same(f); err != nil {
		return nil, sum, since, err
	}
	m := split.Manifest{Name: g.name, Size: g.size}
	whole := sha256.New()
	for i, p := range g.plan {
		h, res := sha256.New(), g.done[i]
		n, err := io.Copy(io.MultiWriter(h, whole), &stopping{ctx, io.LimitReader(f, p.Size)})
		if err != nil {
			return nil, sum, since, fmt.Errorf("read the source again: %w", err)
		}
		if n != p.Size || [32]byte(h.Sum(nil)) != res.SHA256 {
			return nil, sum, since, fmt.Errorf("%w: piece %d was sent with other bytes", ErrChanged, i+1)
		}
		m.Pieces = append(m.Pieces, split.Piece{
			Name: p.Name, Size: p.Size, SHA256: res.SHA256, Message: res.MessageID, Document: res.ID,
		})
	}
	if _, err := g.same(f); err != nil { // it was written to while it was read
		return nil, sum, since, err
	}
	m.SHA256 = split.Sum(whole.Sum(nil))
	content, err = m.Encode()
	return content, [32]byte(m.SHA256), since, err
}

// same is what identifies the open source, if it is that of all pieces.
func (g *pieces) same(f *os.File) (checkpoint.Source, error) {
	fi, err := f.Stat()
	if err != nil {
		return checkpoint.Source{}, err
	}
	is := identify(fi)
	if fi.Size() != g.size {
		return is, fmt.Errorf("%w: it has %d bytes, and had %d", ErrChanged, fi.Size(), g.size)
	}
	for i, res := range g.done {
		if !res.Source.Equal(is) {
			return is, fmt.Errorf("%w since piece %d was sent", ErrChanged, i+1)
		}
	}
	return is, nil
}

// stopping reads until a context ends.
type stopping struct {
	ctx context.Context //nolint:containedctx // it lives no longer than one reading
	r   io.Reader
}

func (s *stopping) Read(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(b)
}
