package transfer_test

import (
	"testing"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/transfer"
)

// A cutOff store takes nothing any more once the cluster has a message: haul was
// killed between a send and its record.
type cutOff struct {
	transfer.Checkpoint
	cluster *dctest.Cluster
}

func (c cutOff) Commit(b *checkpoint.Batch) error {
	if len(c.cluster.Stats().Sent) > 0 {
		return nil
	}
	return c.Checkpoint.Commit(b)
}

// TestAlbumRefusedAgain: a group is refused for what is in it, of its items sent
// one by one the first is, too, and haul is killed before it has recorded the
// others. In the next run the group is refused again and the first is taken: the
// caption is on the second only, which was sent with it.
func TestAlbumRefusedAgain(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]string{
		"for its media": "MEDIA_INVALID", "for the reference of the one that was sent": "FILE_REFERENCE_1_EXPIRED",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onStage(t, dctest.Config{Faults: []dctest.Fault{
				{Kind: "error", Method: "messages.sendMultiMedia", At: []int64{1}, Code: 400, Message: "MEDIA_INVALID"},
				{Kind: "error", Method: "messages.sendMultiMedia", At: []int64{2}, Code: 400, Message: again},
				{Kind: "error", Method: "messages.sendMedia", At: []int64{1}, Code: 400, Message: "MEDIA_INVALID"},
			}}, func(t *testing.T, s *stage) {
				uploads, before, store := s.photos(2, always("one")), s.newest(1)[0].ID, s.store
				s.store = cutOff{store, s.cluster}
				if _, err := s.send(t.Context(), true, uploads...); err != nil {
					t.Fatal(err)
				}
				s.store = store
				report, err := s.send(t.Context(), true, uploads...)
				if err != nil || report.FilesDone != 2 {
					t.Fatalf("again: %v, %d done, %v", err, report.FilesDone, report.Failed)
				}
				if got := groups(s.newest(2)); got != "|p*|p" || s.newest(1)[0].ID != before+2 {
					t.Errorf("groups %s, %d messages", got, s.newest(1)[0].ID-before)
				}
			})
		})
	}
}
