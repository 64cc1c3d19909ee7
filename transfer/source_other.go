//go:build !unix

package transfer

import (
	"io/fs"

	"github.com/tghaul/haul/checkpoint"
)

// identify is what tells one content of a file from another.
func identify(fi fs.FileInfo) checkpoint.Source {
	return checkpoint.Source{Size: fi.Size(), ModTime: fi.ModTime().UTC()}
}
