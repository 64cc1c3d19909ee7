package transfer_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/mtproto"
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
	return signedInBy(t, cluster, cluster.Dial)
}

// signedInBy is a client that dials in its own way.
func signedInBy(t *testing.T, cluster *dctest.Cluster, dial mtproto.DialFunc) *telegram.Client {
	t.Helper()
	doc, err := json.Marshal(cluster.Datacenters())
	if err != nil {
		t.Fatal(err)
	}
	dcs, err := telegram.ParseDatacenters(doc)
	if err != nil {
		t.Fatal(err)
	}
	client, err := telegram.Dial(t.Context(), telegram.Config{AppID: 1, AppHash: "x", Datacenters: dcs, Dial: dial})
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
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
	fault := dctest.NetworkFault{Kind: "corrupt", Rate: 1, After: inAPart, Times: 1, Direction: "down"}
	fetchOver(t, 24<<20, fault, func(t *testing.T, a afar) {
		if a.report.Reconnects != 1 || a.served().Repeated > window {
			t.Errorf("%d reconnects, %d parts asked for twice; want 1 and at most %d", a.report.Reconnects, a.served().Repeated, window)
		}
	})
}

// TestDCDown: a DC cannot be reached for an hour, from the middle of a run on.
// Files elsewhere are done soon, and those there by themselves once it is back.
func TestDCDown(t *testing.T) {
	t.Parallel()
	for _, silent := range []bool{false, true} {
		t.Run(map[bool]string{false: "refused", true: "silent"}[silent], func(t *testing.T) { dcDown(t, silent) })
	}
}

// dcDown has the DC refuse connections, or not answer.
func dcDown(t *testing.T, silent bool) {
	synctest.Test(t, func(t *testing.T) {
		cluster, err := dctest.Start(t.Context(), dctest.Config{
			InMemory: true, RTT: dctest.Duration(40 * time.Millisecond), ConnBandwidth: 4 << 20,
			DCs: []dctest.DCConfig{{ID: 1}, {ID: 2}},
			Channels: []dctest.ChannelConfig{{
				Username: dctest.BigChannel, Title: "Files",
				Files: []dctest.FileSpec{
					{Kind: "document", Count: 12, MinSize: 3 << 20, MaxSize: 3 << 20, DC: 1},
					{Kind: "document", Count: 6, MinSize: 3 << 20, MaxSize: 3 << 20, DC: 2},
				},
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer cluster.Close() //nolint:errcheck // the test is about what happens before
		outage := &outage{cluster: cluster, dc: 1, after: 2 << 20, silent: silent}
		client := signedInBy(t, cluster, outage.dial)
		defer client.Close() //nolint:errcheck // the test is about what happens before
		start := time.Now()
		done := make(map[int]time.Duration) // when the last file of a DC was done
		report, err := archiveAll(t, client, t.TempDir(), transfer.Options{
			Checkpoint: checkpoint.NewMemory(), ProgressInterval: time.Minute, Transfers: 2,
			Events: func(e transfer.Event) {
				if e, ok := e.(transfer.FileDone); ok {
					for _, f := range cluster.Files() {
						if f.ID == e.ID {
							done[f.DC] = e.Time.Sub(start)
						}
					}
				}
			},
		})
		if err != nil || report.FilesDone != 18 || !outage.struck() {
			t.Fatalf("%v, %d files done, %v failed; want 18", err, report.FilesDone, report.Failed)
		}
		if done[2] > time.Minute {
			t.Errorf("the other DC's files took %v", done[2])
		}
		if done[1] < outageTime || done[1] > outageTime+3*time.Minute {
			t.Errorf("files of the DC that was away for %v were done after %v", outageTime, done[1])
		}
	})
}

const outageTime = time.Hour

// An outage takes a DC away for outageTime, once so many bytes have come from it.
type outage struct {
	cluster *dctest.Cluster
	dc      int
	after   int64
	silent  bool // connections are not refused: nobody answers

	mu    sync.Mutex
	got   int64
	until time.Time
}

func (o *outage) struck() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.until.IsZero()
}

func (o *outage) away() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return time.Now().Before(o.until)
}

// dial dials unless the DC is away. It knows the DC by its address.
func (o *outage) dial(ctx context.Context, network, address string) (net.Conn, error) {
	its := false
	for _, dc := range o.cluster.Datacenters().DC {
		its = its || dc.Address == address && dc.ID == o.dc
	}
	if its && o.away() {
		if o.silent {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return nil, errors.New("connection refused")
	}
	conn, err := o.cluster.Dial(ctx, network, address)
	if err != nil || !its {
		return conn, err
	}
	return &outageConn{conn, o}, nil
}

type outageConn struct {
	net.Conn
	o *outage
}

func (c *outageConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.o.mu.Lock()
	if c.o.got += int64(n); c.o.got > c.o.after && c.o.until.IsZero() {
		c.o.until = time.Now().Add(outageTime)
	}
	c.o.mu.Unlock()
	if !c.o.away() {
		return n, err
	}
	if c.o.silent {
		for err == nil {
			_, err = c.Conn.Read(b)
		}
		return 0, err
	}
	_ = c.Close()
	return 0, net.ErrClosed
}

// TestForgedKeyError: -404 is not authenticated, so that anybody on the way can
// send it. One that a fresh connection does not confirm costs a connection, no
// key and no login.
func TestForgedKeyError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cluster, err := dctest.Start(t.Context(), dctest.Config{
			InMemory: true, RTT: dctest.Duration(40 * time.Millisecond), ConnBandwidth: 4 << 20,
			Faults: []dctest.Fault{{Kind: "transport_error", Code: -404, At: []int64{20, 35}}},
			Channels: []dctest.ChannelConfig{{
				Username: dctest.BigChannel, Title: "Files",
				Files: []dctest.FileSpec{{Kind: "document", Count: 4, MinSize: 8 << 20, MaxSize: 8 << 20}},
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer cluster.Close() //nolint:errcheck // the test is about what happens before
		client := signedIn(t, cluster)
		defer client.Close() //nolint:errcheck // the test is about what happens before
		report, err := archiveAll(t, client, t.TempDir(), transfer.Options{Checkpoint: checkpoint.NewMemory()})
		stats := cluster.Stats()
		if err != nil || report.FilesDone != 4 || stats.Faults["transport_error"] != 2 {
			t.Errorf("%v, %d files done, %d times -404; want 4, 2", err, report.FilesDone, stats.Faults["transport_error"])
		}
		if n := stats.DCs["2"].KeyExchanges; n != 1 || !client.LoggedIn() {
			t.Errorf("%d keys made, signed in %v; want 1, true", n, client.LoggedIn())
		}
	})
}
