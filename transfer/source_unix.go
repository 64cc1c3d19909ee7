//go:build unix

package transfer

import (
	"io/fs"
	"syscall"

	"github.com/tghaul/haul/checkpoint"
)

// identify is what tells one content of a file from another.
func identify(fi fs.FileInfo) checkpoint.Source {
	s := checkpoint.Source{Size: fi.Size(), ModTime: fi.ModTime().UTC()}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		s.Inode = st.Ino
	}
	return s
}
