package transfer_test

import (
	"testing"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/transfer"
)

// TestUploadOfEarlyVersion: the first versions recorded uploads without a job.
// One that was cut short goes on in a job, with the parts that the server has;
// and one whose message was sent is not sent again.
func TestUploadOfEarlyVersion(t *testing.T) {
	t.Parallel()
	const size, parts = 3<<20 - 5, 6
	for name, faults := range map[string][]dctest.Fault{
		"parts are sent":      {{Kind: "error", Method: "messages.sendMedia", At: []int64{1}, Code: 400, Message: "CHAT_RESTRICTED"}},
		"the message is, too": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onStage(t, dctest.Config{Faults: faults}, func(t *testing.T, s *stage) {
				u := transfer.Upload{Path: s.file("a.bin", make([]byte, size))}
				store, before := s.store, s.newest(1)[0].ID
				s.store = cutOff{store, s.cluster}
				if report, err := s.send(t.Context(), false, u); err != nil || report.Parts != parts {
					t.Fatalf("%v, %d parts", err, report.Parts)
				}
				early := checkpoint.UploadKey{Source: checkpoint.TargetOf(u.Path), Chat: s.peer.MarkedID()}
				if _, found, err := store.Upload(early); err != nil || !found {
					t.Fatalf("there is no record of an early version: %v", err)
				}
				s.store, u.Job = store, "j"
				report, err := s.send(t.Context(), false, u)
				if err != nil || report.FilesDone != 1 || faults != nil && report.Parts != 0 { // else what was not recorded is sent again
					t.Errorf("%v, %d done with %d parts", err, report.FilesDone, report.Parts)
				}
				if n := s.newest(1)[0].ID - before; n != 1 {
					t.Errorf("%d messages, want 1", n)
				}
				if _, found, err := store.Upload(early); err != nil || found {
					t.Errorf("the record of the early version is there: %t, %v", found, err)
				}
			})
		})
	}
}
