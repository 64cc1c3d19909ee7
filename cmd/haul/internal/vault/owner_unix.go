//go:build unix

package vault

import (
	"fmt"
	"os"
	"syscall"
)

// owned fails if a file belongs to another user, who could change its mode.
// To root every file belongs as much as its own.
func owned(path string, fi os.FileInfo) error {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if uid := os.Geteuid(); ok && uid != 0 && int(st.Uid) != uid {
		return fmt.Errorf("%s belongs to user %d, %w: run chown %d %s", path, st.Uid, ErrExposed, uid, path)
	}
	return nil
}
