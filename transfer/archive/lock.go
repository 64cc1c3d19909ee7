package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A BusyError says that somebody else writes to an archive: another run of
// haul archive, or of haul verify --repair.
type BusyError struct{ Dir string } // the archive's folder

func (e *BusyError) Error() string {
	return fmt.Sprintf("another run of haul archives into %s, or repairs it", e.Dir)
}

// Busy lists the archives in and below a folder that somebody writes to, and
// counts the others. It is as of now: who is to be kept out needs a lock. The
// error is that of ctx, ErrNone, or of reading folders.
func Busy(ctx context.Context, dir string) (busy []*BusyError, free int, err error) {
	folders, err := find(ctx, dir)
	for _, name := range folders {
		folder := filepath.Join(dir, filepath.FromSlash(name))
		var is *BusyError
		if err := tryLock(folder); errors.As(err, &is) {
			busy = append(busy, is)
		} else {
			free++ // if something else is wrong with it, whoever opens it is told
		}
	}
	return busy, free, err
}

// tryLock locks an archive and gives the lock back.
func tryLock(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	f, err := openLocked(root, dir, 0)
	if err == nil {
		err = f.Close()
	}
	return errors.Join(err, root.Close())
}

// openLocked opens the manifest of an archive and locks it for one writer.
// The lock is that of the open file, so it ends when the file is closed, by
// whatever end of the process, and leaves nothing in the folder. Readers do
// without. Where the file system has no locks there is none.
func openLocked(root *os.Root, dir string, flag int) (*os.File, error) {
	for {
		f, err := root.OpenFile(ManifestName, os.O_RDWR|flag, 0o644)
		if err != nil {
			return nil, err
		}
		mine, err := lockNamed(root, f)
		switch {
		case errors.Is(err, errBusy):
			err = &BusyError{Dir: dir}
		case err != nil:
			err = fmt.Errorf("lock %s: %w", filepath.Join(dir, ManifestName), err)
		case mine:
			return f, nil
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
}

// lockNamed locks an open manifest, and reports whether the name is still its.
// replaceList gives the name to another file; whoever has opened the old one
// before that gets the lock of a file that is nobody's manifest.
func lockNamed(root *os.Root, f *os.File) (bool, error) {
	if err := lock(f); err != nil {
		return false, err
	}
	mine, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := root.Stat(ManifestName)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(mine, named), err
}
