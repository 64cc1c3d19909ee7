package checkpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// A LockedError says that another process has the store open.
type LockedError struct {
	Dir string
	PID int // 0 if unknown
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("checkpoint: %s is in use by process %d", e.Dir, e.PID)
}

// writePID notes in the lock file who holds the lock.
func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	return err
}

// holder is the process that the lock file names, 0 if it names none.
func holder(f *os.File) int {
	b := make([]byte, 20)
	n, _ := f.ReadAt(b, 0) // a short read is the rule here
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		return 0
	}
	return pid
}
