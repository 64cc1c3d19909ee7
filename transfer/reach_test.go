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
	"github.com/tghaul/haul/mtproto/proxy"
	"github.com/tghaul/haul/mtproto/transport"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/telegram/dctest/relay"
	"github.com/tghaul/haul/transfer"
)

// These tests change the way to Telegram under a transfer, in virtual time.

// A journey is a download of files of DCs 1 and 2 while something happens.
type journey struct {
	cluster     *dctest.Cluster
	connections int // to a DC, at most
	configure   func(*telegram.Config)
	// meanwhile runs beside the download, of which it takes about ten seconds.
	meanwhile func()
	// between runs before the second file is handed out.
	between func()
}

const journeySize = 20 << 20

func newJourney(t *testing.T) *journey { return newJourneyOf(t, journeySize) }

// newJourneyOf is a journey with two files of size bytes.
func newJourneyOf(t *testing.T, size int64) *journey {
	t.Helper()
	cluster, err := dctest.Start(t.Context(), dctest.Config{
		InMemory: true, RTT: dctest.Duration(40 * time.Millisecond), ConnBandwidth: 1 << 20, DCBandwidth: 2 << 20,
		DCs: []dctest.DCConfig{{ID: 1}, {ID: 2}},
		Channels: []dctest.ChannelConfig{{Username: dctest.BigChannel, Title: "Two files", Files: []dctest.FileSpec{
			{Kind: "document", Count: 1, MinSize: size, DC: 1},
			{Kind: "document", Count: 1, MinSize: size, DC: 2},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })
	return &journey{cluster: cluster, connections: 4, configure: func(*telegram.Config) {}, meanwhile: func() {}, between: func() {}}
}

func (j *journey) client(t *testing.T) *telegram.Client {
	t.Helper()
	doc, err := json.Marshal(j.cluster.Datacenters())
	if err != nil {
		t.Fatal(err)
	}
	dcs, err := telegram.ParseDatacenters(doc)
	if err != nil {
		t.Fatal(err)
	}
	cfg := telegram.Config{AppID: 1, AppHash: "x", Datacenters: dcs, Dial: j.cluster.Dial}
	j.configure(&cfg)
	client, err := telegram.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.LoginBot(t.Context(), dctest.BotToken); err != nil {
		t.Fatal(err)
	}
	return client
}

// run downloads both files and compares every byte, by SHA-256. At least so many
// connections that moved files must have been lost, or nothing was tested.
func (j *journey) run(t *testing.T, lost int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 48*time.Hour) // that nobody goes on trying for ever
	defer cancel()
	client := j.client(t)
	defer client.Close() //nolint:errcheck // the test is about what happens before
	peer, err := client.Resolve(ctx, "@"+dctest.BigChannel)
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close() //nolint:errcheck // only read in the end
	var beside sync.WaitGroup
	beside.Go(j.meanwhile)
	files := 0
	report, err := transfer.New(client, transfer.Options{Checkpoint: checkpoint.NewMemory(), Connections: j.connections}).Download(ctx,
		func(yield func(transfer.Download, error) bool) {
			for m, err := range client.Messages(ctx, peer, telegram.MessagesOptions{}) {
				for _, f := range m.Files {
					if files++; files == 2 {
						j.between()
					}
					if !yield(transfer.Download{File: f, Dir: root}, err) {
						return
					}
				}
			}
		})
	beside.Wait()
	if err != nil || len(report.Done) != 2 || len(report.Failed) != 0 {
		t.Fatalf("%d files done, %d failed, %v; want both", len(report.Done), len(report.Failed), err)
	}
	if report.Reconnects < lost {
		t.Errorf("%d connections were lost, want %d at least", report.Reconnects, lost)
	}
	want := map[string]bool{}
	for _, f := range j.cluster.Files() {
		want[f.SHA256] = true
	}
	for _, d := range report.Done {
		if sum := hex.EncodeToString(d.SHA256[:]); !want[sum] {
			t.Errorf("%s has SHA-256 %s, which no file of the cluster has", d.Path, sum)
		}
	}
}

// TestProxyRestarts: the proxy is gone for a while in the middle, twice.
func TestProxyRestarts(t *testing.T) {
	t.Parallel()
	secret, err := transport.ParseSecret("ee000102030405060708090a0b0c0d0e0f7777772e6578616d706c652e636f6d")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		relay relay.Config
		proxy proxy.Proxy
	}{
		{relay.Config{Kind: relay.SOCKS5}, proxy.Proxy{Kind: proxy.SOCKS5}},
		{relay.Config{Kind: relay.MTProxy, Secret: secret}, proxy.Proxy{Kind: proxy.MTProxy, Secret: secret}},
	} {
		t.Run(tt.relay.Kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := newJourney(t)
				tt.relay.Dial, tt.relay.Route = j.cluster.Dial, j.cluster.Route
				var mu sync.Mutex
				var current *relay.Relay // nil while it is gone
				start := func() {
					r, err := relay.New(tt.relay)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					current = r
					mu.Unlock()
				}
				stop := func() {
					mu.Lock()
					r := current
					current = nil
					mu.Unlock()
					_ = r.Close()
				}
				start()
				defer stop()
				tt.proxy.Address = "proxy:1"
				j.configure = func(cfg *telegram.Config) {
					cfg.Proxy = &tt.proxy
					cfg.Dial = func(context.Context, string, string) (net.Conn, error) {
						mu.Lock()
						defer mu.Unlock()
						if current == nil {
							return nil, errors.New("connection refused")
						}
						near, far := net.Pipe()
						go current.ServeConn(far) // ends with the relay
						return near, nil
					}
				}
				j.meanwhile = func() {
					for _, pause := range []time.Duration{3 * time.Second, 20 * time.Second} {
						time.Sleep(3 * time.Second)
						stop()
						time.Sleep(pause)
						start()
					}
				}
				j.run(t, 2)
			})
		})
	}
}

// TestDCsMove: all DCs get other addresses in the middle, and nobody answers at
// the old ones.
func TestDCsMove(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := newJourney(t)
		j.meanwhile = func() {
			for _, dc := range []int{1, 2} {
				time.Sleep(3 * time.Second)
				if err := j.cluster.Move(dc); err != nil {
					t.Error(err)
				}
			}
		}
		start := time.Now()
		j.run(t, 2)
		if took := time.Since(start); took > time.Minute {
			t.Errorf("took %v, want less than a minute", took)
		}
	})
}

// TestTemporaryKeysExpire: a day passes between two files, in which temporary
// keys and all file references expire.
func TestTemporaryKeysExpire(t *testing.T) {
	t.Parallel()
	if transfer.UnderRace {
		t.Skip("a day of pings takes long with the race detector; `make test-full` runs without it")
	}
	synctest.Test(t, func(t *testing.T) {
		j := newJourney(t)
		j.configure = func(cfg *telegram.Config) { cfg.PFS = true }
		j.between = func() { time.Sleep(25 * time.Hour) }
		j.run(t, 0)
		if n := j.cluster.Stats().DCs["2"].Bindings; n < 2 {
			t.Errorf("%d temporary keys were bound, want 2: the test did not take a day", n)
		}
	})
}
