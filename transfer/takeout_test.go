package transfer_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/transfer"
)

// A coder gives the code of the cluster's user.
type coder struct{}

func (coder) Code(context.Context, telegram.CodeRequest) (string, error) { return dctest.Code, nil }

func (coder) Password(context.Context, telegram.PasswordRequest) (string, error) {
	return "", errors.New("no password")
}

// userOf is a client that is signed in as the cluster's user.
func userOf(t *testing.T, cluster *dctest.Cluster) *telegram.Client {
	t.Helper()
	client := connected(t, cluster, cluster.Dial)
	if _, err := client.LoginPhone(t.Context(), dctest.Phone, coder{}); err != nil {
		t.Fatal(err)
	}
	return client
}

// exportOf is six files of 1.5 MiB at a DC.
func exportOf(dc int, faults ...dctest.Fault) dctest.Config {
	return dctest.Config{
		InMemory: true, RTT: dctest.Duration(40 * time.Millisecond), ConnBandwidth: 1 << 20, Faults: faults,
		Channels: []dctest.ChannelConfig{{
			Username: dctest.BigChannel, Title: "Files",
			Files: []dctest.FileSpec{{Kind: "document", Count: 6, MinSize: 3 << 19, MaxSize: 3 << 19, DC: dc}},
		}},
	}
}

// TestTakeout: files are fetched within a takeout session, at home and elsewhere.
// When the server ends it in the middle, and with it the file references that it
// has given out, the run goes on without.
func TestTakeout(t *testing.T) {
	lost := dctest.Fault{Kind: "takeout_ended", At: []int64{14}}
	for name, tt := range map[string]struct {
		dc     int
		faults []dctest.Fault
	}{
		"at home": {dc: 2}, "elsewhere": {dc: 4}, "lost at home": {2, []dctest.Fault{lost}}, "lost elsewhere": {4, []dctest.Fault{lost}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { exportAll(t, exportOf(tt.dc, tt.faults...)) })
		})
	}
}

func exportAll(t *testing.T, cfg dctest.Config) {
	cluster, err := dctest.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close() //nolint:errcheck // the test is about what happens before
	client := userOf(t, cluster)
	defer client.Close() //nolint:errcheck // the test is about what happens before
	peer, err := client.Resolve(t.Context(), "@"+dctest.BigChannel)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.BeginTakeout(t.Context(), telegram.TakeoutOf([]telegram.Peer{peer}, 1<<30)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	report, err := archiveAll(t, client, t.TempDir(), transfer.Options{Checkpoint: checkpoint.NewMemory(), PartSize: 256 << 10, VerifyServer: true})
	if err != nil || report.FilesDone != 6 || report.BytesReceived != 6*3<<19 {
		t.Errorf("%v, %d files, %d bytes, failed %v; want all, each byte once", err, report.FilesDone, report.BytesReceived, report.Failed)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
	stats := cluster.Stats()
	within, all := stats.Takeouts.Calls["upload.getFile"], requests(&stats, "upload.getFile")
	if cfg.Faults == nil && (within != all || stats.Takeouts.Calls["upload.getFileHashes"] != requests(&stats, "upload.getFileHashes")) {
		t.Errorf("%d of %d parts asked for within the takeout session", within, all)
	}
	if cfg.Faults != nil && (within == 0 || within > 80 || report.ReferenceRefreshes == 0) {
		t.Errorf("%d of %d parts asked for within the takeout session that has ended, %d refreshes", within, all, report.ReferenceRefreshes)
	}
}
