package archive

import (
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer/layout"
)

// Arrange says how files are called that are in no line of the manifest: as t
// says, or if that is nil by number and name, see Path. known says which path an
// unfinished file has from an earlier run, "" if none; see
// transfer.Engine.KnownPath. It is called before Place.
func (a *Archive) Arrange(t *layout.Template, known func(telegram.File) string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.template, a.known = t, known
}

// Place is Path for an archive that is arranged. A file that is in the manifest,
// unless by reference, or that has been begun, keeps its path whatever the template is by now.
//
// The path is what layout.Template.Path makes; if another file has that, the
// document's id is added. The error is that of the template, and concerns only
// this file.
func (a *Archive) Place(s layout.Subject) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := fileKeyOf(s.File)
	if e, ok := a.entries[key]; ok && !e.Reference {
		return e.Path, nil
	}
	if p, ok := a.paths[key]; ok {
		return p, nil
	}
	if a.known != nil {
		if p := a.known(s.File); p != "" && a.names.Reserve(p) {
			a.paths[key] = p
			return p, nil
		}
	}
	if a.template == nil {
		return a.pathLocked(s.File), nil
	}
	wanted, err := a.template.Path(s)
	if err != nil {
		return "", err
	}
	p := a.names.TakePath(wanted, s.File.ID)
	a.paths[key] = p
	return p, nil
}
