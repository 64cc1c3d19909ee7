package transfer_test

import (
	"testing"
	"time"

	"github.com/tghaul/haul/telegram/dctest"
)

// TestAlbumOldMedia: an earlier run has had the server make files and has not
// sent them. Later it has forgotten them: they are made anew, of their parts or
// of new ones, and the album is whole. That it refuses fresh ones is believed.
func TestAlbumOldMedia(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		after time.Duration
		parts int // sent by the second run
		made  int64
		want  string
	}{
		"after a minute":         {time.Minute, 0, 3, "|p*|p|p"},
		"after half an hour":     {30 * time.Minute, 0, 6, "|p*pp"},
		"when parts are too old": {4 * time.Hour, 3, 6, "|p*pp"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onStage(t, dctest.Config{Faults: []dctest.Fault{
				{Kind: "error", Method: "messages.sendMultiMedia", At: []int64{1}, Code: 403, Message: "CHAT_SEND_PHOTOS_FORBIDDEN"},
				{Kind: "error", Method: "messages.sendMultiMedia", At: []int64{2}, Code: 400, Message: "MEDIA_EMPTY"},
			}}, func(t *testing.T, s *stage) {
				uploads := s.photos(3, always("one"))
				if report, err := s.send(t.Context(), true, uploads...); err != nil || report.FilesFailed != 3 {
					t.Fatalf("%v, %+v; want all refused", err, report.Counters)
				}
				time.Sleep(c.after)
				report, err := s.send(t.Context(), true, uploads...)
				if err != nil || report.FilesDone != 3 || report.Parts != c.parts {
					t.Fatalf("%v, %d done with %d parts, failed %v", err, report.FilesDone, report.Parts, report.Failed)
				}
				if got := groups(s.newest(3)); got != c.want {
					t.Errorf("groups %s, want %s", got, c.want)
				}
				if n := s.cluster.Stats().Methods["messages.uploadMedia"]["2"].Answers; n != c.made {
					t.Errorf("%d files were made, want %d", n, c.made)
				}
			})
		})
	}
}
