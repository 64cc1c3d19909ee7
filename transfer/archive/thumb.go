package archive

import (
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
)

// Thumb is what has to be fetched of the thumbnail of a file, which is the
// download d: it lies beside the file, by its path and transfer.ThumbSuffix,
// which no file of a chat has. It is false if the file has none.
func (a *Archive) Thumb(m *telegram.Message, d *transfer.Download) (transfer.Download, bool) {
	f, ok := d.File.ThumbFile()
	if !ok || d.File.Err != nil {
		return transfer.Download{}, false
	}
	a.mu.Lock()
	e, known := a.entries[fileKeyOf(f)]
	a.mu.Unlock()
	if !known {
		e.Path = d.Path + transfer.ThumbSuffix
	}
	return transfer.Download{
		File: f, Dir: a.root, Path: e.Path, SHA256: a.SHA256(f), ModTime: d.ModTime, Same: a.same(f),
		Finished: func(res transfer.FileResult) error { return a.AddFileOf(m, f, res) },
	}, true
}
