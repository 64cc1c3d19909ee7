package follow_test

import (
	"testing"
	"testing/synctest"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
)

// A file that is asked for while it is under way, as an edit may have it, is
// fetched once.
func TestSameFileTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, channel(2, 0))
		folder, err := archive.Open(r.dir, r.peer)
		r.ok(err)
		report, err := transfer.New(r.client, transfer.Options{Checkpoint: checkpoint.NewMemory()}).Download(t.Context(),
			func(yield func(transfer.Download, error) bool) {
				for m, err := range r.client.Messages(t.Context(), r.peer, telegram.MessagesOptions{}) {
					r.ok(err)
					for _, f := range append(m.Files, m.Files...) {
						d := transfer.Download{File: f, Dir: folder.Root(), Path: folder.Path(f)}
						folder.Share(nil, m, &d)
						if !yield(d, nil) {
							return
						}
					}
				}
			})
		r.ok(err)
		r.ok(folder.Close())
		if report.FilesDone != 2 || report.FilesSkipped != 2 || report.FilesFailed != 0 || r.calls("upload.getFile") != 2 {
			t.Errorf("%+v, with %d calls", report.Counters, r.calls("upload.getFile"))
		}
	})
}
