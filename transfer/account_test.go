package transfer_test

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/transfer"
)

// TestSignedOut: in the middle of a run the server ends the account, in each
// of the ways that it has, at the home DC and at another. The run ends within a
// second, nothing is tried again, and what was fetched is kept.
func TestSignedOut(t *testing.T) {
	t.Parallel()
	tests := []struct {
		message string
		code    int
	}{
		{"AUTH_KEY_UNREGISTERED", 401},
		{"SESSION_REVOKED", 401},
		{"SESSION_EXPIRED", 401},
		{"USER_DEACTIVATED", 401},
		{"USER_DEACTIVATED_BAN", 401},
		{"AUTH_KEY_DUPLICATED", 406},
	}
	for _, tt := range tests {
		for _, dc := range []int{2, 4} {
			t.Run(tt.message+map[int]string{2: " at home", 4: " elsewhere"}[dc], func(t *testing.T) {
				fault := dctest.Fault{Kind: "signed_out", Code: tt.code, Message: tt.message, At: []int64{14}}
				synctest.Test(t, func(t *testing.T) { signedOut(t, dc, fault) })
			})
		}
	}
}

// signedOut downloads from a DC until the account is signed out.
func signedOut(t *testing.T, dc int, fault dctest.Fault) {
	cluster, err := dctest.Start(t.Context(), dctest.Config{
		InMemory: true, RTT: dctest.Duration(40 * time.Millisecond), ConnBandwidth: 1 << 20, Faults: []dctest.Fault{fault},
		Channels: []dctest.ChannelConfig{{
			Username: dctest.BigChannel, Title: "Files",
			Files: []dctest.FileSpec{{Kind: "document", Count: 6, MinSize: 3 << 19, MaxSize: 3 << 19, DC: dc}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close() //nolint:errcheck // the test is about what happens before
	client := signedIn(t, cluster)
	defer client.Close() //nolint:errcheck // the test is about what happens before
	dir := t.TempDir()
	store := checkpoint.NewMemory()
	start := time.Now()
	var last time.Time // when a part came last
	report, err := archiveAll(t, client, dir, transfer.Options{
		Checkpoint: store, PartSize: 256 << 10, ProgressInterval: 50 * time.Millisecond,
		Events: func(e transfer.Event) {
			if p, ok := e.(transfer.Progress); ok && p.Bytes > 0 {
				last = p.Time
			}
		},
	})
	end := time.Now()
	if !errors.Is(err, telegram.ErrLoggedOut) || len(report.Failed) != 0 || report.BytesReceived == 0 {
		t.Fatalf("%v, %d files failed, %d bytes; want ErrLoggedOut, no file to blame, and some bytes", err, len(report.Failed), report.BytesReceived)
	}
	// At 1 MiB/s a connection the fourteenth request comes soon.
	if took := end.Sub(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	if silent := end.Sub(last); silent > time.Second {
		t.Errorf("ended %v after the last progress, want 1s at most", silent)
	}
	stats := cluster.Stats()
	if n := requests(&stats, "upload.getFile"); n > 80 {
		t.Errorf("%d requests for parts, want the 14 until the end and what is sent until that is certain", n)
	}
	before := total(&stats)
	if _, err := client.Self(t.Context()); !errors.Is(err, telegram.ErrLoggedOut) {
		t.Errorf("a call after the end: %v", err)
	}
	if _, err := archiveAll(t, client, dir, transfer.Options{Checkpoint: store, PartSize: 256 << 10}); !errors.Is(err, telegram.ErrLoggedOut) {
		t.Errorf("another run: %v", err)
	}
	if stats = cluster.Stats(); total(&stats) != before {
		t.Errorf("%d calls after the end, want none", total(&stats)-before)
	}

	again := signedIn(t, cluster)
	defer again.Close() //nolint:errcheck // the test is about what happens before
	report, err = archiveAll(t, again, dir, transfer.Options{Checkpoint: store, PartSize: 256 << 10})
	if err != nil || report.FilesDone+report.FilesSkipped != 6 || report.BytesReceived >= 6*3<<19 {
		t.Errorf("after another login: %v, %d files, %d bytes received; want all files, and some parts kept", err, report.FilesDone, report.BytesReceived)
	}
}

// archiveAll downloads all files of the big channel.
func archiveAll(t *testing.T, client *telegram.Client, dir string, o transfer.Options) (*transfer.Report, error) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close() //nolint:errcheck // only read in the end
	return transfer.New(client, o).Download(t.Context(), func(yield func(transfer.Download, error) bool) {
		peer, err := client.Resolve(t.Context(), "@"+dctest.BigChannel)
		if err != nil {
			yield(transfer.Download{}, err)
			return
		}
		for m, err := range client.Messages(t.Context(), peer, telegram.MessagesOptions{}) {
			if err != nil {
				yield(transfer.Download{}, err)
				return
			}
			for _, f := range m.Files {
				if !yield(transfer.Download{File: f, Dir: root}, nil) {
					return
				}
			}
		}
	})
}

// requests counts the calls of a method, total those of all.
func requests(s *dctest.Stats, method string) (n int64) {
	for _, m := range s.Methods[method] {
		n += m.Requests
	}
	return n
}

func total(s *dctest.Stats) (n int64) {
	for method := range s.Methods {
		n += requests(s, method)
	}
	return n
}
