package follow_test

import (
	"testing"
	"testing/synctest"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/telegram/selection"
	"github.com/tghaul/haul/transfer/archive/follow"
)

// An edit that a run of one selection is told of is not lost to the others.
func TestEditOfOtherSelection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, channel(10, 0))
		r.must(job{})
		r.ok(r.cluster.Edit(dctest.BigChannel, 3, document("another file")))
		r.ok(r.cluster.Edit(dctest.BigChannel, 9, document("one more")))
		for _, s := range []selection.Selection{
			{Kinds: []telegram.FileKind{telegram.KindPhoto}},
			{To: selection.Bound{ID: 5}, Kinds: []telegram.FileKind{telegram.KindVideo}},
		} {
			if report := r.must(job{s: s}); report.FilesDone != 0 {
				t.Errorf("%+v of a selection that means none", report.Counters)
			}
		}
		lines := r.lines(r.folder())
		wantLines(t, lines, map[int][]string{3: {lines[3][0], "another file*"}, 9: {lines[9][0], "one more*"}})
		if report := r.must(job{}); report.FilesDone != 2 {
			t.Errorf("%+v of everything, want both", report.Counters)
		}
		files := r.entries(r.folder())
		if len(files[3]) != 2 || len(files[9]) != 2 {
			t.Errorf("the files are %+v, %+v", files[3], files[9])
		}
		if report := r.must(job{}); report.FilesDone+report.FilesSkipped != 0 {
			t.Errorf("%+v of a run that has nothing to do", report.Counters)
		}
	})
}

// A file that an edit has brought and that was not fetched is something that
// has failed since the last finished run.
func TestEditedFileFailsSinceLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := channel(10, 0)
		cfg.Faults = []dctest.Fault{{Kind: "error", Code: 400, Message: "FILE_ID_INVALID", At: []int64{11}}}
		r := newRig(t, cfg)
		r.must(job{})
		r.ok(r.cluster.Edit(dctest.BigChannel, 3, document("another file")))
		last := job{o: follow.Options{SinceLast: true}}
		for i, want := range []int{0, 1, 0} {
			if report := r.must(last); report.FilesDone != want || report.FilesFailed != (1-i)*(2-i)/2 {
				t.Errorf("run %d: %+v, want %d files", i, report.Counters, want)
			}
		}
		if files := r.entries(r.folder())[3]; len(files) != 2 {
			t.Errorf("the files are %+v", files)
		}
	})
}
