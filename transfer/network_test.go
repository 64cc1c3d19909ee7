package transfer_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/transfer"
)

// An afar is a download over a network that goes wrong.
type afar struct {
	report *transfer.Report
	stats  dctest.Stats
	took   time.Duration
}

// fetchOver downloads one file over a network with a fault, in virtual time,
// and makes sure that every byte is right.
func fetchOver(t *testing.T, size int64, fault dctest.NetworkFault, check func(t *testing.T, a afar)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cluster, err := dctest.Start(t.Context(), dctest.Config{
			InMemory: true, RTT: dctest.Duration(40 * time.Millisecond), ConnBandwidth: 4 << 20,
			Network: []dctest.NetworkFault{fault},
			Channels: []dctest.ChannelConfig{{
				Username: dctest.BigChannel, Title: "One file",
				Files: []dctest.FileSpec{{Kind: "document", Count: 1, MinSize: size, MaxSize: size}},
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer cluster.Close() //nolint:errcheck // the test is about what happens before
		client := signedIn(t, cluster)
		defer client.Close() //nolint:errcheck // the test is about what happens before
		peer, err := client.Resolve(t.Context(), "@"+dctest.BigChannel)
		if err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close() //nolint:errcheck // only read in the end
		start := time.Now()
		report, err := transfer.New(client, transfer.Options{Checkpoint: checkpoint.NewMemory(), Connections: 4}).Download(t.Context(),
			func(yield func(transfer.Download, error) bool) {
				for m, err := range client.Messages(t.Context(), peer, telegram.MessagesOptions{}) {
					for _, f := range m.Files {
						if !yield(transfer.Download{File: f, Dir: root}, err) {
							return
						}
					}
				}
			})
		if err != nil || len(report.Done) != 1 {
			t.Fatalf("%d files done, %v; want the one", len(report.Done), err)
		}
		a := afar{report: report, stats: cluster.Stats(), took: time.Since(start)}
		want := cluster.Files()[0].SHA256
		if got := hex.EncodeToString(report.Done[0].SHA256[:]); got != want {
			t.Errorf("SHA-256 %s, want %s", got, want)
		}
		if n := a.stats.Network.Struck[fault.Kind]; n != 1 {
			t.Errorf("the fault struck %d times, want once", n)
		}
		check(t, a)
	})
}

func signedIn(t *testing.T, cluster *dctest.Cluster) *telegram.Client {
	t.Helper()
	doc, err := json.Marshal(cluster.Datacenters())
	if err != nil {
		t.Fatal(err)
	}
	dcs, err := telegram.ParseDatacenters(doc)
	if err != nil {
		t.Fatal(err)
	}
	client, err := telegram.Dial(t.Context(), telegram.Config{AppID: 1, AppHash: "x", Datacenters: dcs, Dial: cluster.Dial})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.LoginBot(t.Context(), dctest.BotToken); err != nil {
		t.Fatal(err)
	}
	return client
}

// served is what the cluster has counted of the one file.
func (a *afar) served() (f dctest.FileStats) {
	for _, only := range a.stats.Files {
		f = only
	}
	return f
}

// inAPart is where faults strike: beyond the first part of a connection.
const inAPart = 1<<20 + 300_000

// window is how many parts of 1 MiB one connection has under way at most.
const window = 4

// TestResetInAPart: the connection breaks in the middle of a part. What was
// under way on it comes over the next one; nothing else is asked for again.
func TestResetInAPart(t *testing.T) {
	fault := dctest.NetworkFault{Kind: "reset", Rate: 1, After: inAPart, Times: 1}
	fetchOver(t, 24<<20, fault, func(t *testing.T, a afar) {
		if a.report.Reconnects != 1 || a.report.PartsRepeated != 0 || a.served().Repeated > window {
			t.Errorf("%d reconnects, %d parts received twice, %d asked for twice; want 1, 0, at most %d",
				a.report.Reconnects, a.report.PartsRepeated, a.served().Repeated, window)
		}
	})
}

// TestStuckInAPart: the connection stays open but nothing moves, or next to
// nothing. Its parts are asked for elsewhere, the first answer counts, and the
// file is done soon.
func TestStuckInAPart(t *testing.T) {
	tests := []struct {
		name  string
		fault dctest.NetworkFault
	}{
		{"half-open", dctest.NetworkFault{Kind: "half_open", Rate: 1, After: inAPart}},
		{"half-open down", dctest.NetworkFault{Kind: "half_open", Rate: 1, After: inAPart, Direction: "down"}},
		// The first connection is the main one, the second moves files.
		{"half-open up", dctest.NetworkFault{Kind: "half_open", At: []int64{2}, After: 900, Direction: "up"}},
		{"stall", dctest.NetworkFault{Kind: "stall", Rate: 1, After: inAPart, For: dctest.Duration(10 * time.Minute)}},
		{"trickle", dctest.NetworkFault{Kind: "trickle", Rate: 1, After: inAPart}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.fault.Times = 1
			fetchOver(t, 24<<20, tt.fault, func(t *testing.T, a afar) {
				if a.took > 30*time.Second {
					t.Errorf("took %v, want 30s at most", a.took)
				}
				if n := a.served().Repeated; n > window {
					t.Errorf("%d parts were asked for twice, want at most %d", n, window)
				}
			})
		})
	}
}

// TestCorruptedPart: a byte is wrong on its way. The packet fails its check, and
// nothing of it is used.
func TestCorruptedPart(t *testing.T) {
	fault := dctest.NetworkFault{Kind: "corrupt", Rate: 1, After: inAPart, Times: 1, Direction: "down"}
	fetchOver(t, 24<<20, fault, func(t *testing.T, a afar) {
		if a.report.Reconnects != 1 || a.served().Repeated > window {
			t.Errorf("%d reconnects, %d parts asked for twice; want 1 and at most %d", a.report.Reconnects, a.served().Repeated, window)
		}
	})
}
