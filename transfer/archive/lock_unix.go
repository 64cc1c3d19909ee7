//go:build unix

package archive

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// errBusy is the error of a lock that somebody else has.
var errBusy error = unix.EWOULDBLOCK

// lock locks a file that is open for reading and writing, as network file
// systems want it, or fails with errBusy.
func lock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, errors.ErrUnsupported), errors.Is(err, unix.ENOLCK):
			return nil // no locks here
		default:
			return err
		}
	}
}
