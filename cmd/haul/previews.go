package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/tghaul/haul/transfer"
)

// With --delete-source a picture that is a source is deleted when the server's
// copy of it is proven, but for one that other sources may have as their preview:
// clip.jpg beside clip.mp4. It is deleted when these are sent, too.

// errPreview is why such a picture is kept.
var errPreview = errors.New("it is the preview of a file that is not sent yet")

// A preview is what is known of the files of one name that differ in their
// extension only, if there are both pictures and others among them.
type preview struct {
	users  int // files on disk that may have one of the pictures as their preview
	listed int // of those, sources
	over   int // of those, sent
	proven []transfer.FileResult
}

// previews are those of a run. The lister calls of, the others may come from
// another goroutine.
type previews struct {
	dir string             // the folder that was looked at last
	id  string             // of it, see folderID
	has map[string]*[2]int // of it: by stem, how many other files and how many pictures

	folders map[string][]knownFolder // by path in lower case

	mu   sync.Mutex
	uses map[string]*preview // by the folder's id and stem
}

type knownFolder struct {
	path string
	info os.FileInfo
}

// folderID is the same for a folder by whatever path it is named: through a link,
// or in another case where that does not count.
func (p *previews) folderID(dir string) string {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	info, err := os.Stat(dir)
	if err != nil {
		return dir // nothing of it can be sent
	}
	key := strings.ToLower(dir)
	for _, f := range p.folders[key] {
		if os.SameFile(f.info, info) {
			return f.path
		}
	}
	if p.folders == nil {
		p.folders = make(map[string][]knownFolder)
	}
	p.folders[key] = append(p.folders[key], knownFolder{dir, info})
	return dir
}

func isPicture(path string) bool {
	return slices.Contains(pictureExt, strings.ToLower(filepath.Ext(path)))
}

// stemOf is a name without its extension. Where the case of names does not
// count Clip.jpg is the preview of clip.mp4 too; elsewhere it is kept a little longer.
func stemOf(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, filepath.Ext(name)))
}

// of is the preview that a source has, or is; nil if there is none.
func (p *previews) of(path string) *preview {
	dir, name := filepath.Split(absolute(path))
	if p.has == nil || p.dir != dir {
		p.look(dir)
	}
	stem := stemOf(name)
	n := p.has[stem]
	if n == nil || n[0] == 0 || n[1] == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	key := filepath.Join(p.id, stem)
	use := p.uses[key]
	if use == nil {
		use = &preview{users: n[0]}
		p.uses[key] = use
	}
	if !isPicture(name) {
		use.listed++
	}
	return use
}

// look reads a folder.
func (p *previews) look(dir string) {
	p.dir, p.id, p.has = dir, p.folderID(dir), make(map[string]*[2]int)
	entries, _ := os.ReadDir(dir) // of one that cannot be read nothing is sent
	for _, e := range entries {
		name := e.Name()
		stem := stemOf(name)
		if p.has[stem] == nil {
			p.has[stem] = new([2]int)
		}
		if isPicture(name) {
			p.has[stem][1]++
		} else if !e.IsDir() {
			p.has[stem][0]++
		}
	}
}

// sent takes in that a source is sent and may be deleted as far as the server
// goes, and returns what may be deleted now. use is its preview, or nil.
func (p *previews) sent(use *preview, res transfer.FileResult) []transfer.FileResult {
	if use == nil {
		return []transfer.FileResult{res}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if isPicture(res.Path) {
		use.proven = append(use.proven, res)
		return use.free()
	}
	use.over++
	return append([]transfer.FileResult{res}, use.free()...)
}

// free are the pictures that nothing needs any more.
func (u *preview) free() (free []transfer.FileResult) {
	if u.over >= u.users {
		free, u.proven = u.proven, nil
	}
	return free
}

// end says of the pictures that are left, once all sources are listed and no
// more will be sent, which may be deleted and which are still needed.
func (p *previews) end() (free, needed []transfer.FileResult) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, u := range p.uses {
		if u.over < u.listed {
			needed = append(needed, u.proven...)
		} else {
			free = append(free, u.proven...)
		}
		u.proven = nil
	}
	return free, needed
}
