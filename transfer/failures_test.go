package transfer_test

import (
	"os"
	"testing"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/transfer"
)

// failing is a run over the newest files of a channel: all, then once more those
// that failed, as a watch does it.
func failing(t *testing.T, s *stage, max int) *transfer.Report {
	t.Helper()
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close() //nolint:errcheck // nothing is written through it
	over := make(chan transfer.Event, 100)
	o := transfer.Options{Checkpoint: checkpoint.NewMemory(), MaxResults: max, Events: func(e transfer.Event) {
		switch e.(type) {
		case transfer.FileDone, transfer.FileFailed, transfer.FileSkipped:
			over <- e
		}
	}}
	var files []telegram.File
	for _, m := range s.newest(6) {
		files = append(files, m.Files...)
	}
	report, err := transfer.New(s.client, o).Download(t.Context(), func(yield func(transfer.Download, error) bool) {
		for _, list := range [][]telegram.File{files[:3], files[3:], files, files[:4]} { // each waits for the one before
			for _, f := range list {
				if !yield(transfer.Download{File: f, Dir: root, Path: f.Name}, nil) {
					return
				}
			}
			for range list {
				select {
				case <-over:
				case <-time.After(time.Hour):
					t.Error("a file is not over")
					return
				}
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func sixFiles(faults ...dctest.Fault) dctest.Config {
	return dctest.Config{
		Channels: []dctest.ChannelConfig{{Username: dctest.BigChannel, Files: []dctest.FileSpec{{Kind: "document", Count: 6, MinSize: 1000, MaxSize: 1000}}}},
		Faults:   faults,
	}
}

// A file that failed and was done later in the run has not failed.
func TestFailureHealed(t *testing.T) {
	t.Parallel()
	bad := dctest.Fault{Kind: "error", Method: "upload.getFile", At: []int64{1, 2, 4}, Code: 400, Message: "LOCATION_INVALID"}
	onStage(t, sixFiles(bad), func(t *testing.T, s *stage) {
		r := failing(t, s, 0)
		if r.FilesFailed != 0 || len(r.Failed) != 0 || r.Retryable != 0 || r.FilesDone != 6 || len(r.Done) != 6 {
			t.Errorf("%+v, %v", r.Counters, r.Failed)
		}
	})
}

// A file that fails again and again is one file; and a long run keeps few
// results, but counts them all.
func TestFailureCountedOnce(t *testing.T) {
	t.Parallel()
	bad := dctest.Fault{Kind: "error", Method: "upload.getFile", Rate: 1, Code: 400, Message: "LOCATION_INVALID"}
	onStage(t, sixFiles(bad), func(t *testing.T, s *stage) {
		for max, kept := range map[int]int{0: 6, 2: 2} {
			r := failing(t, s, max)
			if r.FilesFailed != 6 || len(r.Failed) != kept || r.FilesDone != 0 {
				t.Errorf("at most %d: %+v, %d kept", max, r.Counters, len(r.Failed))
			}
		}
	})
	onStage(t, sixFiles(), func(t *testing.T, s *stage) {
		if r := failing(t, s, 2); r.FilesDone != 6 || len(r.Done) != 2 {
			t.Errorf("%d done, %d kept", r.FilesDone, len(r.Done))
		}
	})
}
