package transfer_test

import (
	"os"
	"testing"

	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/transfer"
)

// On a slow line the answer that asks to wait is held up by parts that were
// asked for before. The cluster does not count against a client what it sends
// until then.
func TestWaitHeldUp(t *testing.T) {
	t.Parallel()
	onStage(t, dctest.Config{
		ConnBandwidth: 1 << 20,
		Channels:      []dctest.ChannelConfig{{Username: dctest.BigChannel, Files: []dctest.FileSpec{{Kind: "document", Count: 12, MinSize: 3 << 20, MaxSize: 3 << 20}}}},
		Faults:        []dctest.Fault{{Kind: "flood_wait", At: []int64{6, 20}, Seconds: 9}},
	}, func(t *testing.T, s *stage) {
		root, err := os.OpenRoot(s.dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close() //nolint:errcheck // nothing is written through it
		report, err := transfer.New(s.client, transfer.Options{}).Download(t.Context(), func(yield func(transfer.Download, error) bool) {
			for _, m := range s.newest(12) {
				if !yield(transfer.Download{File: m.Files[0], Dir: root}, nil) {
					return
				}
			}
		})
		if err != nil || report.FilesDone != 12 {
			t.Fatal(err, report.Failed)
		}
		if stats := s.cluster.Stats(); stats.WaitsIssued == 0 || stats.RequestsInsideWait != 0 {
			t.Errorf("%d waits, %d requests inside", stats.WaitsIssued, stats.RequestsInsideWait)
		}
	})
}
