package transfer_test

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/transfer"
)

// TestOneMessage: the server has sent the message, and its answer breaks off.
// There is one message in the end, whether the client asks again by itself or
// has ended before it could.
func TestOneMessage(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		t.Run(map[bool]string{false: "asked again", true: "restarted"}[restart], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { oneMessage(t, restart) })
		})
	}
}

func oneMessage(t *testing.T, restart bool) {
	cluster, err := dctest.Start(t.Context(), dctest.Config{
		InMemory: true, RTT: dctest.Duration(40 * time.Millisecond),
		Faults: []dctest.Fault{{Kind: "cut_answer", Method: "messages.sendMedia", At: []int64{1}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close() //nolint:errcheck // the test is about what happens before
	path := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(path, make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	store := checkpoint.NewMemory()
	if restart {
		ctx, cancel := context.WithCancel(t.Context())
		var first sync.WaitGroup
		first.Go(func() {
			if _, err := uploadBy(ctx, t, cluster, store, path); !errors.Is(err, context.Canceled) {
				t.Errorf("the first run: %v, want it cut", err)
			}
		})
		for len(cluster.Stats().Sent) == 0 { // until the server has sent it
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
		first.Wait()
	}
	report, err := uploadBy(t.Context(), t, cluster, store, path)
	if err != nil || len(report.Done) != 1 {
		t.Fatalf("%v, %d files done, failed %v", err, len(report.Done), report.Failed)
	}
	stats := cluster.Stats()
	if len(stats.Sent) != 1 || stats.Faults["cut_answer"] != 1 {
		t.Fatalf("%d messages, %d answers broken off; want 1 and 1", len(stats.Sent), stats.Faults["cut_answer"])
	}
	if sent, done := stats.Sent[0], report.Done[0]; sent.Message != done.MessageID || sent.SHA256 != hex.EncodeToString(done.SHA256[:]) {
		t.Errorf("sent %+v, reported as message %d with SHA-256 %x", sent, done.MessageID, done.SHA256)
	}
}

// uploadBy sends a file with a client of its own.
func uploadBy(ctx context.Context, t *testing.T, cluster *dctest.Cluster, store transfer.Checkpoint, path string) (*transfer.Report, error) {
	t.Helper()
	client := signedIn(t, cluster)
	defer client.Close() //nolint:errcheck // the test is about what happens before
	peer, err := client.Resolve(t.Context(), "@"+dctest.BigChannel)
	if err != nil {
		return new(transfer.Report), err
	}
	return transfer.New(client, transfer.Options{Checkpoint: store}).Upload(ctx, func(yield func(transfer.Upload, error) bool) {
		yield(transfer.Upload{Path: path, To: peer}, nil)
	})
}
