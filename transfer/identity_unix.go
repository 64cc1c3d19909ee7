//go:build unix

package transfer

import (
	"os"
	"syscall"

	"github.com/tghaul/haul/checkpoint"
)

// identity is what tells whether a file is still the same, unchanged.
func identity(fi os.FileInfo) checkpoint.Source {
	s := checkpoint.Source{Size: fi.Size(), ModTime: fi.ModTime()}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		s.Inode = st.Ino
	}
	return s
}
