package transfer_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"net"
	"os"
	"path/filepath"
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

// A flow notes the longest time in which nothing came in or went out that was
// as long as flowBytes: pings and their like do not count.
type flow struct {
	mu      sync.Mutex
	last    time.Time
	longest time.Duration
}

const flowBytes = 1 << 10

func (f *flow) moved(n int) {
	if n < flowBytes {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if !f.last.IsZero() {
		f.longest = max(f.longest, now.Sub(f.last))
	}
	f.last = now
}

// take is the longest pause since the last call.
func (f *flow) take() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	longest := f.longest
	f.last, f.longest = time.Time{}, 0
	return longest
}

func (f *flow) watch(dial mtproto.DialFunc) mtproto.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &flowConn{c, f}, nil
	}
}

type flowConn struct {
	net.Conn
	flow *flow
}

func (c *flowConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.flow.moved(n)
	return n, err
}

func (c *flowConn) Write(b []byte) (int, error) {
	c.flow.moved(len(b))
	return c.Conn.Write(b)
}

// TestTemporaryKeysRenewed: temporary keys are replaced in the middle of two
// downloads and of an upload. No part is moved
// twice, and parts flow all the time.
func TestTemporaryKeysRenewed(t *testing.T) {
	t.Parallel()
	const (
		size     = 30 << 20         // takes fifteen seconds
		lifetime = 12 * time.Second // keys are replaced after three quarters of it
		pause    = time.Second      // on lines with 40 ms round trip, and two seconds of parts in flight
	)
	synctest.Test(t, func(t *testing.T) {
		var f flow
		j := newJourneyOf(t, size)
		j.connections = 2 // of more the answers take longer than the old keys have left
		j.configure = func(cfg *telegram.Config) {
			cfg.PFS, cfg.TempKeyLifetime, cfg.Dial = true, lifetime, f.watch(cfg.Dial)
		}
		j.run(t, 0)
		if got := f.take(); got > pause {
			t.Errorf("nothing was moved for %v of the downloads, want %v at most", got, pause)
		}
		down := j.cluster.Stats()
		for _, dc := range []string{"1", "2"} {
			if n := down.DCs[dc].Bindings; n < 2 {
				t.Errorf("%d temporary keys were bound at DC %s, want 2 or more: nothing was tested", n, dc)
			}
			if n := down.DCs[dc].TransportErrors; len(n) > 0 {
				t.Errorf("DC %s refused packets: %v; want the key replaced before it has expired", dc, n)
			}
		}
		for id, file := range down.Files {
			if file.Repeated != 0 {
				t.Errorf("%d parts of file %s were served twice", file.Repeated, id)
			}
		}
		f.take()
		sum := uploadOne(t, j, size)
		if got := f.take(); got > 2*pause { // what is underway is in pipes, and seen only when it enters them
			t.Errorf("nothing was moved for %v of the upload, want %v at most", got, 2*pause)
		}
		up := j.cluster.Stats()
		if n := up.DCs["2"].Bindings - down.DCs["2"].Bindings; n < 2 {
			t.Errorf("%d temporary keys were bound during the upload, want 2 or more", n)
		}
		if len(up.Sent) != 1 || up.Sent[0].SHA256 != sum {
			t.Errorf("sent: %+v, want one file with SHA-256 %s", up.Sent, sum)
		}
		for id, file := range up.Uploads {
			if file.Repeated != 0 {
				t.Errorf("%d parts of upload %s were received twice", file.Repeated, id)
			}
		}
	})
}

// uploadOne sends one file of size bytes, and returns its SHA-256.
func uploadOne(t *testing.T, j *journey, size int) string {
	t.Helper()
	client := j.client(t)
	defer client.Close() //nolint:errcheck // the test is about what happens before
	peer, err := client.Resolve(t.Context(), "@"+dctest.BigChannel)
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(source, bytes.Repeat([]byte("haul"), size/4), 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := transfer.New(client, transfer.Options{Checkpoint: checkpoint.NewMemory(), Connections: j.connections}).Upload(t.Context(),
		func(yield func(transfer.Upload, error) bool) { yield(transfer.Upload{Path: source, To: peer}, nil) })
	if err != nil || len(report.Done) != 1 {
		t.Fatalf("%d files sent, %v; want one", len(report.Done), err)
	}
	return hex.EncodeToString(report.Done[0].SHA256[:])
}
