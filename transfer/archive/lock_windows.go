package archive

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// errBusy is the error of a lock that somebody else has.
var errBusy error = windows.ERROR_LOCK_VIOLATION

// lockedHigh is the upper half of where the byte lies that is locked: far behind
// the lines, which anybody may read.
const lockedHigh = 1 << 30

// lock locks a file, or fails with errBusy.
func lock(f *os.File) error {
	err := windows.LockFileEx(windows.Handle(f.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0,
		&windows.Overlapped{OffsetHigh: lockedHigh})
	if errors.Is(err, windows.ERROR_INVALID_FUNCTION) || errors.Is(err, windows.ERROR_NOT_SUPPORTED) {
		return nil // no locks here
	}
	return err
}
