//go:build !unix

package transfer

import (
	"os"

	"github.com/tghaul/haul/checkpoint"
)

// identity is what tells whether a file is still the same, unchanged.
func identity(fi os.FileInfo) checkpoint.Source {
	return checkpoint.Source{Size: fi.Size(), ModTime: fi.ModTime()}
}
