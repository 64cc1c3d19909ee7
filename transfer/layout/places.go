package layout

import (
	"os"
	"path/filepath"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
)

// Places are those of files in a folder that has no list of its files. A file
// keeps the place that it has or has begun to get, whatever the template says by
// now. It is not safe for concurrent use.
type Places struct {
	dir   string
	tmpl  *Template
	known func(telegram.File) string
	names transfer.Names
	given map[uint64]string // by Subject.number
}

// NewPlaces begins to give places below dir. known says which one a file has
// there from an earlier run, "" if none: see transfer.Engine.KnownPath.
func NewPlaces(dir string, t *Template, known func(telegram.File) string) *Places {
	return &Places{dir: dir, tmpl: t, known: known, given: make(map[uint64]string)}
}

// Path is the place of a file. No two files have the same, and none has one that
// is taken on disk by what cannot be this file.
func (p *Places) Path(s Subject) (string, error) {
	if path, ok := p.given[s.number()]; ok { // it is listed twice
		return path, nil
	}
	path, err := p.find(s)
	if err == nil {
		p.given[s.number()] = path
	}
	return path, err
}

func (p *Places) find(s Subject) (string, error) {
	if known := p.known(s.File); known != "" && p.names.Reserve(known) {
		return known, nil
	}
	wanted, err := p.tmpl.Path(s)
	if err != nil {
		return "", err
	}
	for {
		path := p.names.TakePath(wanted, s.File.ID)
		if !p.taken(path, s.File.Size) {
			return path, nil
		}
	}
}

// taken reports whether something else has a place: an unfinished file that is
// not known to be this one, or one of another size. If the size is right the
// engine will prove it.
func (p *Places) taken(path string, size int64) bool {
	name := filepath.Join(p.dir, filepath.FromSlash(path))
	if _, err := os.Lstat(name + ".part"); err == nil {
		return true
	}
	fi, err := os.Lstat(name)
	return err == nil && (!fi.Mode().IsRegular() || fi.Size() != size)
}
