package archive

import (
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
)

// A reference is an entry whose file is that of another entry, in the same
// archive or in one beside it: its path begins with "../" then, and stays below
// the folder that both are in. No more than that one step up is ever taken.

// checkPath refuses a path that leads elsewhere.
func (e *Entry) checkPath() error {
	p := e.Path
	if e.Reference {
		p = strings.TrimPrefix(p, "../")
	}
	if !fs.ValidPath(p) || p == "." {
		return fmt.Errorf("path %q leads out of the archive, or is none", e.Path)
	}
	return nil
}

// Beside reports whether the file lies in another archive: Path begins with "../".
func (e *Entry) Beside() bool { return e.Reference && strings.HasPrefix(e.Path, "../") }

// In is where the file lies below the folder above some archives, of which the
// entry's is called folder there; "." for that folder itself. It is false if that
// is outside.
func (e *Entry) In(folder string) (string, bool) {
	p := path.Join(folder, e.Path)
	return p, fs.ValidPath(p) && p != "."
}

// A place is a folder and the path of a file in it.
type place struct {
	root *os.Root
	path string
}

// A neighbourhood opens the files of an archive, and those beside it. The zero
// value but for root is ready to use; close it when done.
type neighbourhood struct {
	root  *os.Root // of the archive; stays the caller's
	above *os.Root // nil until it is needed
}

// of is where the file of an entry lies.
func (n *neighbourhood) of(e *Entry) (place, error) {
	if !e.Beside() {
		return place{n.root, e.Path}, nil
	}
	if n.above == nil {
		above, err := os.OpenRoot(filepath.Join(n.root.Name(), ".."))
		if err != nil {
			return place{}, err
		}
		n.above = above
	}
	return place{n.above, strings.TrimPrefix(e.Path, "../")}, nil
}

func (n *neighbourhood) close() error {
	if n.above == nil {
		return nil
	}
	return n.above.Close()
}

// refers returns the hash of a file that is in the archive by reference, if what
// it refers to is there, with the right size: no less is asked of any file that
// was complete before.
func (a *Archive) refers(f telegram.File) (local transfer.Local) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e, ok := a.entries[fileKeyOf(f)]
	if !ok || !e.Reference || e.Size != f.Size {
		return local
	}
	at, err := a.beside.of(&e)
	if err != nil {
		return local
	}
	fi, err := at.root.Lstat(at.path)
	sum, hexErr := hex.DecodeString(e.SHA256)
	if err != nil || hexErr != nil || !fi.Mode().IsRegular() || fi.Size() != e.Size || len(sum) != len(local.SHA256) {
		return local
	}
	return transfer.Local{Found: true, Elsewhere: true, SHA256: [32]byte(sum)}
}
