//go:build unix

package doctor

import (
	"os"
	"syscall"
)

// stranger is the owner of a file, if that is another user. To root every file
// belongs as much as its own.
func stranger(fi os.FileInfo) (uid int, other bool) {
	st, is := fi.Sys().(*syscall.Stat_t)
	own := os.Geteuid()
	if !is || own == 0 || int(st.Uid) == own {
		return 0, false
	}
	return int(st.Uid), true
}
