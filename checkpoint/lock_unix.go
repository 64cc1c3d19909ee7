//go:build unix

package checkpoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A lock keeps other processes out of a store. It ends with the process, even
// when that is killed. The file names the process that holds it.
type lock struct{ file *os.File }

func acquire(path string) (*lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = &LockedError{Dir: filepath.Dir(path), PID: holder(f)}
	} else if err == nil {
		err = writePID(f)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &lock{f}, nil
}

// release lets others have the lock. The file stays: removing it would let
// two processes lock two files of one name.
func (l *lock) release() error {
	err := l.file.Truncate(0)
	return errors.Join(err, l.file.Close())
}
