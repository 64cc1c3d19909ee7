package transfer_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/telegram/selection"
	"github.com/tghaul/haul/transfer"
)

// These tests select of a channel of a million messages, in virtual time.

const (
	longMessages = 1_000_000
	longFiles    = 50_000
	longRTT      = 100 * time.Millisecond
)

// longChannel has a file in every twentieth message: documents, and 400
// pieces of music.
func longChannel() []dctest.FileSpec {
	return []dctest.FileSpec{
		{Kind: "document", Count: longFiles - 400, MinSize: 1000, MaxSize: 9000},
		{Kind: "audio", Count: 400, MinSize: 3000, MaxSize: 9000},
		{Kind: "text", Count: longMessages - longFiles},
	}
}

// startLong serves a channel, and signs its user in.
func startLong(t *testing.T, files []dctest.FileSpec, bandwidth int64) (*dctest.Cluster, *telegram.Client) {
	t.Helper()
	cluster, err := dctest.Start(t.Context(), dctest.Config{
		InMemory: true, RTT: dctest.Duration(longRTT), ConnBandwidth: bandwidth, DCs: []dctest.DCConfig{{ID: 2}},
		Channels: []dctest.ChannelConfig{{Username: dctest.BigChannel, Title: "Long", Files: files}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })
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
	t.Cleanup(func() { _ = client.Close() })
	if _, err := client.LoginPhone(t.Context(), dctest.Phone, oneCode{}); err != nil {
		t.Fatal(err)
	}
	return cluster, client
}

// oneCode types the code.
type oneCode struct{ telegram.CodeAsker }

func (oneCode) Code(context.Context, telegram.CodeRequest) (string, error) { return dctest.Code, nil }

// listCalls is how many pages were asked for.
func listCalls(c *dctest.Cluster) (n int64) {
	for method, byDC := range c.Stats().Methods {
		if strings.HasPrefix(method, "messages.get") || method == "messages.search" {
			for _, s := range byDC {
				n += s.Requests
			}
		}
	}
	return n
}

// fetch downloads what a selection means, until done says that it is enough.
func fetch(t *testing.T, client *telegram.Client, s *selection.Selection, enough func(transfer.Event) bool) (*selection.Pass, *transfer.Report) {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close() //nolint:errcheck // nothing of it is read
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	peer, err := client.Resolve(ctx, "@"+dctest.BigChannel)
	if err != nil {
		t.Fatal(err)
	}
	s.FilesOnly = true
	pass := selection.NewPass(s, client)
	events := func(e transfer.Event) {
		if enough(e) {
			stop()
		}
	}
	report, err := transfer.New(client, transfer.Options{Checkpoint: checkpoint.NewMemory(), Events: events}).Download(ctx,
		func(yield func(transfer.Download, error) bool) {
			for m, err := range pass.Chat(ctx, peer) {
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
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	return pass, report
}

// The first file of a long channel is there within two seconds, after few calls.
func TestFirstByteOfAMillion(t *testing.T) {
	filter, err := selection.ParseFilter(`size > 5*KB and type == "document"`, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	day := func(month time.Month, d int) time.Time { return time.Date(2024, month, d, 0, 0, 0, 0, time.UTC) }
	tests := []struct {
		name  string
		s     selection.Selection
		calls int64 // at most
	}{
		{"newest first", selection.Selection{}, 8},
		{"oldest first", selection.Selection{Reverse: true}, 8},
		{"a day in the middle", selection.Selection{
			From: selection.Bound{Time: day(9, 1)}, To: selection.Bound{Time: day(9, 2)},
		}, 10},
		{"since a day, oldest first", selection.Selection{From: selection.Bound{Time: day(9, 1)}, Reverse: true}, 10},
		{"a range of ids", selection.Selection{From: selection.Bound{ID: 400_000}, To: selection.Bound{ID: 500_000}}, 8},
		{"rare files by a search", selection.Selection{Kinds: []telegram.FileKind{telegram.KindAudio}}, 8},
		{"a filter", selection.Selection{Filter: filter}, 8},
	}
	synctest.Test(t, func(t *testing.T) {
		cluster, client := startLong(t, longChannel(), 0)
		for _, tt := range tests {
			before, calls := listCalls(cluster), int64(0)
			begun, first := time.Now(), time.Duration(0)
			_, report := fetch(t, client, &tt.s, func(e transfer.Event) bool {
				if _, done := e.(transfer.FileDone); done && first == 0 {
					first, calls = time.Since(begun), listCalls(cluster)-before
				}
				return first > 0
			})
			t.Logf("%s: first file after %v of virtual time and %d calls", tt.name, first, calls)
			if report.FilesDone == 0 || first > 2*time.Second || calls > tt.calls {
				t.Errorf("%s: %d files; the first after %v and %d calls, want 2 s and %d at most", tt.name, report.FilesDone, first, calls, tt.calls)
			}
		}
	})
}

// A search asks for no message in vain.
func TestRareFilesTakeFewCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, client := startLong(t, longChannel(), 0)
		pass, report := fetch(t, client, &selection.Selection{Kinds: []telegram.FileKind{telegram.KindAudio}}, func(transfer.Event) bool { return false })
		if report.FilesDone != 400 || pass.Files != 400 {
			t.Errorf("%d files done of %d, want 400", report.FilesDone, pass.Files)
		}
		if calls := listCalls(cluster); calls > 5 { // and one that finds nothing
			t.Errorf("%d calls for 400 files in %d messages, want 5", calls, longMessages)
		}
	})
}

// The list is read as fast as files are done, and no faster: what is listed and
// not done is bounded, however long the channel is.
func TestListingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cluster, client := startLong(t, []dctest.FileSpec{{Kind: "document", Count: longMessages, MinSize: 200_000}}, 20_000)
		begun := time.Now()
		pass, report := fetch(t, client, new(selection.Selection), func(transfer.Event) bool { return time.Since(begun) > 2*time.Minute })
		calls, most := listCalls(cluster), int64(4096+report.FilesDone)/100+2
		t.Logf("%d files done, %d listed by %d calls", report.FilesDone, pass.Files, calls)
		if calls > most || calls < 20 {
			t.Errorf("%d calls while %d files were done, want %d at most", calls, report.FilesDone, most)
		}
	})
}
