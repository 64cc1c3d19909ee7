package vault

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// CheckFolder fails if others can change what is in a folder, which need not
// be there: they could put another session into it.
func CheckFolder(path string) error {
	fi, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case runtime.GOOS != "windows" && fi.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%s has mode %04o, %w and change what is in it: run chmod go-w %s", path, fi.Mode().Perm(), ErrExposed, path)
	}
	return owned(path, fi)
}

// private fails if others have any right to a file or folder.
func private(path string, folder bool) error {
	mode := 0o600
	if folder {
		mode = 0o700
	}
	fi, err := os.Lstat(path)
	switch {
	case err != nil:
		return err
	case fi.IsDir() != folder || !folder && !fi.Mode().IsRegular():
		return fmt.Errorf("%s is not what it should be: %v", path, fi.Mode())
	case runtime.GOOS != "windows" && fi.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s has mode %04o, %w: run chmod %o %s", path, fi.Mode().Perm(), ErrExposed, mode, path)
	}
	return owned(path, fi)
}

// readPrivate reads a file that only its owner can read.
func readPrivate(path string, limit int64) ([]byte, error) {
	if err := private(path, false); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s: %w: too long", path, ErrDamaged)
	}
	return b, err
}

// replace writes a file anew beside the old one and renames it, so that a
// crash leaves either of them whole.
func replace(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.new") // mode 0600
	if err != nil {
		return err
	}
	err = writeSynced(f, b)
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncFolder(filepath.Dir(path))
}

func writeSynced(f *os.File, b []byte) error {
	_, err := f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
