package transfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/transfer/split"
)

// Joining pieces:
//
//  1. They are copied into NAME.joined.part, each at its offset. The copy is the file
//     system's own where it has one, so that some share the blocks and need no
//     room. What an earlier try has copied is told by its hash.
//  2. It is synced, read from front to back, and must have the hashes of every
//     piece and of the whole.
//  3. It gets its name, without replacing anything, and the folder is synced.
//  4. The checkpoint takes in that the pieces lie within it.
//  5. Only then they are removed.

// JoinSuffix ends the name of a file that is being joined. It is no download's,
// nor anybody's own: what has it is of an earlier try, and may be written over.
const JoinSuffix = ".joined" + partSuffix

// JoinFiles makes one file of pieces, below a folder, and leaves the pieces where
// they are. names are theirs, in the order of the manifest; target is that of the
// whole. A file of that name is left alone: it is right already, or the error
// wraps ErrExists. It may be called again after any error.
func JoinFiles(ctx context.Context, dir *os.Root, m *split.Manifest, names []string, target string) error {
	if len(names) != len(m.Pieces) {
		return fmt.Errorf("transfer: %d files for %d pieces", len(names), len(m.Pieces))
	}
	if err := checkPath(target); err != nil {
		return err
	}
	switch _, err := dir.Lstat(target); {
	case err == nil:
		return joinedBefore(ctx, dir, m, target)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	f, err := openRegular(dir, target+JoinSuffix, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	err = fill(ctx, dir, m, names, f)
	if err == nil {
		err = proveWhole(ctx, m, f)
		if errors.Is(err, ErrHash) { // the next try begins anew
			err = errors.Join(err, f.Truncate(0))
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	root := rootFS{dir}
	if err := root.RenameNew(target+JoinSuffix, target); err != nil {
		return err
	}
	return root.SyncDir(path.Dir(target))
}

// openRegular opens a regular file, and no link.
func openRegular(dir *os.Root, name string, flag int) (*os.File, error) {
	if fi, err := dir.Lstat(name); err == nil && !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is no regular file", ErrExists, name)
	}
	return dir.OpenFile(name, flag, 0o644)
}

// joinedBefore says whether the file of the name is the whole.
func joinedBefore(ctx context.Context, dir *os.Root, m *split.Manifest, target string) error {
	f, err := openRegular(dir, target, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	if err := proveWhole(ctx, m, f); errors.Is(err, ErrHash) {
		return fmt.Errorf("%w: %s has other content", ErrExists, target)
	} else if err != nil {
		return err
	}
	return nil
}

// fill copies the pieces, and syncs.
func fill(ctx context.Context, dir *os.Root, m *split.Manifest, names []string, f *os.File) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if fi.Size() > m.Size {
		if err := f.Truncate(m.Size); err != nil {
			return err
		}
	}
	at := int64(0)
	for i, p := range m.Pieces {
		if fi.Size() >= at+p.Size {
			if sum, err := sumFrom(ctx, f, at, p.Size); err == nil && sum == p.SHA256 {
				at += p.Size
				continue
			}
		}
		if err := copyPiece(ctx, dir, names[i], p.Size, f, at); err != nil {
			return fmt.Errorf("piece %d, %s: %w", i+1, names[i], err)
		}
		at += p.Size
	}
	return f.Sync()
}

func sumFrom(ctx context.Context, f io.ReaderAt, at, size int64) (sum split.Sum, err error) {
	h := sha256.New()
	n, err := io.Copy(h, &stopping{ctx, io.NewSectionReader(f, at, size)})
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	return split.Sum(h.Sum(nil)), err
}

// copyStep is how much is copied between two looks at whether to stop.
const copyStep = 64 << 20

func copyPiece(ctx context.Context, dir *os.Root, name string, size int64, to *os.File, at int64) error {
	from, err := openRegular(dir, name, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer from.Close() //nolint:errcheck // only read
	if fi, err := from.Stat(); err != nil || fi.Size() != size {
		return errors.Join(err, fmt.Errorf("%w: it is not of %d bytes", ErrHash, size))
	}
	if _, err := to.Seek(at, io.SeekStart); err != nil {
		return err
	}
	for left := size; left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.CopyN(to, from, min(left, copyStep))
		if err != nil {
			return err
		}
		left -= n
	}
	return nil
}

// proveWhole fails, with ErrHash, unless a file has exactly the content that the
// manifest says.
func proveWhole(ctx context.Context, m *split.Manifest, f *os.File) error {
	if fi, err := f.Stat(); err != nil || fi.Size() != m.Size {
		return errors.Join(err, fmt.Errorf("%w: it is not of %d bytes", ErrHash, m.Size))
	}
	whole, at := sha256.New(), int64(0)
	for i, p := range m.Pieces {
		h := sha256.New()
		if _, err := io.Copy(io.MultiWriter(h, whole), &stopping{ctx, io.NewSectionReader(f, at, p.Size)}); err != nil {
			return err
		}
		if !hasSum(h, p.SHA256) {
			return fmt.Errorf("%w: piece %d, %s", ErrHash, i+1, p.Name)
		}
		at += p.Size
	}
	if !hasSum(whole, m.SHA256) {
		return fmt.Errorf("%w: the pieces are right, but not those of the file that the manifest describes", ErrHash)
	}
	return nil
}

func hasSum(h hash.Hash, want split.Sum) bool { return split.Sum(h.Sum(nil)) == want }

// Join is JoinFiles for finished downloads to one folder, which are removed once
// the whole is proven and durable. The checkpoint then knows them as lying within
// it, so that no run fetches them again as long as it is there. It reports whether
// anything was left to do. No run may be under way.
func (e *Engine) Join(ctx context.Context, m *split.Manifest, pieces []Download, target string) (bool, error) {
	dir := pieces[0].Dir
	var b checkpoint.Batch
	var names []string
	news, at := false, int64(0)
	for i, d := range pieces {
		names = append(names, d.Path)
		done, found, err := e.opts.Checkpoint.Done(keyOf(d))
		if err != nil {
			return false, err
		}
		news = news || !found || done.Within != target
		b.Finish(keyOf(d), checkpoint.Done{
			Path: d.Path, Size: d.File.Size, SHA256: m.Pieces[i].SHA256, At: time.Now().UTC(), Within: target, Offset: at,
		})
		at += m.Pieces[i].Size
	}
	if fi, err := dir.Lstat(target); err != nil || fi.Size() != m.Size {
		news = true
	}
	if news {
		if err := JoinFiles(ctx, dir, m, names, target); err != nil {
			return true, err
		}
		if err := e.opts.Checkpoint.Commit(&b); err != nil {
			return true, err
		}
	}
	return news, RemovePieces(ctx, dir, m, names)
}

// RemovePieces removes the files of pieces, each only if it is the piece. "" is
// none.
func RemovePieces(ctx context.Context, dir *os.Root, m *split.Manifest, names []string) error {
	for i, name := range names {
		if name == "" {
			continue
		}
		f, err := openRegular(dir, name, os.O_RDONLY)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		fi, err := f.Stat()
		var sum split.Sum
		if err == nil && fi.Size() == m.Pieces[i].Size {
			sum, err = sumFrom(ctx, f, 0, fi.Size())
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		if sum != m.Pieces[i].SHA256 {
			continue // somebody's own
		}
		if err := dir.Remove(name); err != nil {
			return err
		}
	}
	return rootFS{dir}.SyncDir(path.Dir(names[0]))
}
