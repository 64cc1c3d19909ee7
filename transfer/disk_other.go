//go:build !linux

package transfer

import (
	"os"
	"runtime"
)

// reserve does nothing: there is no portable way.
func reserve(*os.File, int64, int64) {}

// datasync makes the content and length of a file durable.
func datasync(f *os.File) error { return f.Sync() }

// syncDir makes the entries of a directory durable, where that is possible.
func syncDir(d *os.File) error {
	if runtime.GOOS == "windows" {
		return nil // entries are durable with the file
	}
	return d.Sync()
}

// renameNew renames within one folder of root and never replaces anything.
func renameNew(root *os.Root, from, to string) error { return renameByLink(root, from, to) }
