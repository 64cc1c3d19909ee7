package follow_test

import (
	"testing"
	"testing/synctest"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/selection"
)

// What is protected content does not count as done: it is fetched once that is
// lifted, whatever was done of its message and beside it meanwhile.
func TestProtectionLifted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, reverse := range []bool{false, true} {
			r := newRig(t, channel(10, 30))
			protected := map[int]bool{}
			for _, f := range r.cluster.Files()[:3] {
				protected[f.MessageID] = true
			}
			r.source.change = func(m *telegram.Message) {
				for i := range m.Files {
					m.Files[i].NoForwards = protected[m.ID]
				}
			}
			j := job{s: selection.Selection{Reverse: reverse}}
			for i, want := range []int{7, 0} {
				if report := r.must(j); report.FilesDone != want || report.FilesSkipped != 0 {
					t.Errorf("run %d: %+v, want %d files", i, report.Counters, want)
				}
			}
			clear(protected)
			if report := r.must(j); report.FilesDone != 3 {
				t.Errorf("after it was lifted: %+v", report.Counters)
			}
			r.whole()
			before := r.calls("channels.getMessages")
			r.must(j)
			if n := r.calls("channels.getMessages") - before; n != 0 {
				t.Errorf("%d calls for what is done", n)
			}
		}
	})
}
