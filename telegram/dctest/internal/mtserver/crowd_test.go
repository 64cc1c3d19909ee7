package mtserver_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/telegram/dctest/internal/mtserver"
	"github.com/tghaul/haul/tl/api"
)

// A crowd is sessions with one DC that share a key and a Crowd, and when each
// connection was made.
type crowd struct {
	t     *testing.T
	dc    *mtserver.DC
	crowd mtproto.Crowd

	serving sync.WaitGroup
	mu      sync.Mutex
	dials   []time.Time
	lines   []net.Conn
	refuse  int // connections that will get -429
}

// refusing answers for the server's fault hook.
func (c *crowd) refusing(mtserver.Point) int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuse == 0 {
		return 0
	}
	c.refuse--
	return -429
}

func (c *crowd) connect(ctx context.Context, key mtproto.KeyState) *mtproto.Session {
	c.t.Helper()
	s, err := mtproto.Connect(ctx, mtproto.Options{
		Endpoints: []mtproto.Endpoint{{DC: 2, Test: true, Address: "memory"}},
		Dial: func(context.Context, string, string) (net.Conn, error) {
			a, b := net.Pipe()
			c.serving.Go(func() { _ = c.dc.ServeConn(ctx, b, false) })
			c.mu.Lock()
			defer c.mu.Unlock()
			c.dials, c.lines = append(c.dials, time.Now()), append(c.lines, a)
			return a, nil
		},
		Key: key, Crowd: &c.crowd, PublicKeys: []*crypto.PublicKey{c.dc.PublicKey()}, Init: testInit,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

// TestCrowded: the DC finds that there are too many connections. All sessions
// together then make them no faster than they may, and no key is given up.
func TestCrowded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := &crowd{t: t}
		c.dc = mtserver.NewDC(mtserver.Config{
			ID: 2, Test: true, RSA: testRSA(), Handler: nearest{}, Faults: mtserver.Faults{RefuseConn: c.refusing},
		})
		defer c.serving.Wait()
		defer func() { _ = c.dc.Close() }()
		defer cancel()
		sessions := []*mtproto.Session{c.connect(ctx, mtproto.KeyState{})}
		for range 5 {
			sessions = append(sessions, c.connect(ctx, sessions[0].KeyState()))
		}
		defer func() {
			for _, s := range sessions {
				_ = s.Close()
			}
		}()
		c.mu.Lock()
		c.refuse = 4
		for _, l := range c.lines {
			_ = l.Close()
		}
		c.dials = nil
		c.mu.Unlock()
		var calls sync.WaitGroup
		for _, s := range sessions {
			calls.Go(func() {
				if _, err := mtproto.Call(ctx, s, &api.HelpGetNearestDcRequest{}); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
		if c.refuse != 0 || len(c.dials) != 10 {
			t.Fatalf("%d connections, %d more to be refused; want 6 and 4 more, and none", len(c.dials), c.refuse)
		}
		// The first volley was under way before any of them was told.
		first := 0
		for first < len(c.dials) && c.dials[first].Sub(c.dials[0]) < 300*time.Millisecond {
			first++
		}
		after := c.dials[first:]
		for i := range after {
			for n, within := range map[int]time.Duration{1: time.Second, 2: 4 * time.Second, 3: 8 * time.Second} {
				if i >= n && after[i].Sub(after[i-n]) < within {
					t.Errorf("connections %d and %d after the refusal are %v apart, want at most %d in %v", i-n, i, after[i].Sub(after[i-n]), n, within)
				}
			}
		}
		for i, s := range sessions {
			if s.KeyState().Key.ID() != sessions[0].KeyState().Key.ID() {
				t.Errorf("session %d has another key", i)
			}
		}
		if n := c.dc.Stats().KeyExchanges; n != 1 {
			t.Errorf("%d key exchanges, want 1", n)
		}
	})
}
