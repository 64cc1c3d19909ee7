package gallery

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
)

// partsName is the folder, in that of the gallery, of all files but the page
// itself. They are named after their content, so that none is ever changed.
const partsName = "files"

// generator is how a page that is ours is known.
const generator = `<meta name="generator" content="haul gallery">`

// A folder is the gallery's own. It writes nothing but files in partsName and
// the page.
type folder struct {
	root  *os.Root
	parts *os.Root
	used  map[string]bool // names in parts
}

// openFolder opens the gallery's folder in base, and makes it if there is none.
// Whatever else has its name is left alone.
func openFolder(base *os.Root, name string) (_ *folder, err error) {
	f := &folder{used: make(map[string]bool)}
	if f.root, err = ownFolder(base, name); err != nil {
		return nil, err
	}
	page, err := f.root.ReadFile(pageName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	case err == nil && !bytes.Contains(page, []byte(generator)):
		err = fmt.Errorf("%s/%s was not made by haul gallery: move it away, then run this again", name, pageName)
	}
	if err == nil {
		f.parts, err = ownFolder(f.root, partsName)
	}
	if err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// ownFolder opens a folder, and makes it if need be. It follows no link, which
// might lead to the files of an archive.
func ownFolder(in *os.Root, name string) (*os.Root, error) {
	if err := in.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if fi, err := in.Lstat(name); err != nil {
		return nil, err
	} else if !fi.IsDir() {
		return nil, fmt.Errorf("%s is no folder: move it away, then run this again", name)
	}
	return in.OpenRoot(name)
}

func (f *folder) close() {
	for _, root := range []*os.Root{f.root, f.parts} {
		if root != nil {
			_ = root.Close() // what was written was closed before
		}
	}
}

// add adds a file with this content, unless it is there. It returns its name,
// seen from the page.
func (f *folder) add(ext string, data []byte) (string, error) {
	sum := sha256.Sum256(data)
	name := hex.EncodeToString(sum[:10]) + ext
	f.used[name] = true
	if fi, err := f.parts.Lstat(name); err == nil && fi.Mode().IsRegular() {
		if old, err := f.parts.ReadFile(name); err == nil && bytes.Equal(old, data) {
			return partsName + "/" + name, nil
		}
	}
	return partsName + "/" + name, replace(f.parts, name, data)
}

// replace gives the page a new content.
func (f *folder) replace(name string, data []byte) error {
	if old, err := f.root.ReadFile(name); err == nil && bytes.Equal(old, data) {
		return nil
	}
	syncFolder(f.parts)
	if err := replace(f.root, name, data); err != nil {
		return err
	}
	syncFolder(f.root)
	return nil
}

// replace writes a file beside the one with this name, then renames it.
func replace(root *os.Root, name string, data []byte) error {
	fresh := name + ".new"
	if err := root.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	w, err := root.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	if err = errors.Join(err, w.Sync(), w.Close()); err != nil {
		return errors.Join(err, root.Remove(fresh))
	}
	return root.Rename(fresh, name)
}

// syncFolder makes the entries of a folder durable, where the system can.
func syncFolder(root *os.Root) {
	if d, err := root.Open("."); err == nil {
		_ = errors.Join(d.Sync(), d.Close())
	}
}

// partName is what add and replace call their files.
var partName = regexp.MustCompile(`^[0-9a-f]{20}\.(js|css)(\.new)?$`)

// sweep removes the files of earlier pages.
func (f *folder) sweep() error {
	list, err := fs.ReadDir(f.parts.FS(), ".")
	if err != nil {
		return err
	}
	for _, d := range list {
		if d.Type().IsRegular() && partName.MatchString(d.Name()) && !f.used[d.Name()] {
			if err := f.parts.Remove(d.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}
