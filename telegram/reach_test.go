package telegram

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/mtproto/proxy"
	"github.com/tghaul/haul/mtproto/transport"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/telegram/dctest/relay"
	"github.com/tghaul/haul/tl/api"
)

// These tests are about reaching a cluster: by which way, and at which address.
// All of it is in memory and in virtual time; there are no sockets that could
// lead anywhere.

// A reach is a cluster, and a client's way to it.
type reach struct {
	t       *testing.T
	cluster *dctest.Cluster
	cfg     Config
	log     bytes.Buffer

	mu     sync.Mutex
	dialed []string
}

func newReach(t *testing.T, cfg dctest.Config) *reach {
	t.Helper()
	cfg.InMemory = true
	cluster, err := dctest.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })
	doc, err := json.Marshal(cluster.Datacenters())
	if err != nil {
		t.Fatal(err)
	}
	dcs, err := ParseDatacenters(doc)
	if err != nil {
		t.Fatal(err)
	}
	r := &reach{t: t, cluster: cluster}
	r.cfg = Config{
		AppID: 1, AppHash: "x", Datacenters: dcs, Dial: r.count(cluster.Dial), Session: new(MemorySession),
		Log: slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	return r
}

// count notes which addresses are dialed.
func (r *reach) count(dial mtproto.DialFunc) mtproto.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		r.mu.Lock()
		r.dialed = append(r.dialed, address)
		r.mu.Unlock()
		return dial(ctx, network, address)
	}
}

// first is the address dialed first since the last call.
func (r *reach) first() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.dialed = nil }()
	if len(r.dialed) == 0 {
		return ""
	}
	return r.dialed[0]
}

const proxyAddress = "192.0.2.80:8080"

// behind puts a relay between client and cluster, at proxyAddress. The cluster
// is reached by no other way.
func (r *reach) behind(cfg relay.Config, p *proxy.Proxy) *relay.Relay {
	r.t.Helper()
	cfg.Dial, cfg.Route = r.cluster.Dial, r.cluster.Route
	server, err := relay.New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = server.Close() })
	p.Address = proxyAddress
	r.cfg.Proxy = p
	r.cfg.Dial = r.count(func(_ context.Context, _, address string) (net.Conn, error) {
		if address != proxyAddress {
			return nil, fmt.Errorf("%s was dialed past the proxy", address)
		}
		near, far := net.Pipe()
		go server.ServeConn(far) // ends with the relay
		return near, nil
	})
	return server
}

func (r *reach) dial() *Client {
	r.t.Helper()
	c, err := Dial(r.t.Context(), r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func secretOf(t *testing.T, text string) transport.Secret {
	t.Helper()
	s, err := transport.ParseSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const (
	simpleSecret = "000102030405060708090a0b0c0d0e0f"
	fakeSecret   = "ee" + simpleSecret + "7777772e6578616d706c652e636f6d"
)

// TestThroughProxies signs in and asks guest, media-only and CDN DCs through
// each kind of proxy.
func TestThroughProxies(t *testing.T) {
	for _, tt := range []struct {
		name  string
		kind  proxy.Kind
		relay relay.Config
	}{
		{"SOCKS5", proxy.SOCKS5, relay.Config{Kind: relay.SOCKS5, User: "anna", Password: "right"}},
		{"HTTP", proxy.HTTP, relay.Config{Kind: relay.HTTP, User: "anna", Password: "right"}},
		{"MTProxy", proxy.MTProxy, relay.Config{Kind: relay.MTProxy, Secret: secretOf(t, simpleSecret)}},
		{"MTProxy dd", proxy.MTProxy, relay.Config{Kind: relay.MTProxy, Secret: secretOf(t, "dd"+simpleSecret)}},
		{"MTProxy ee", proxy.MTProxy, relay.Config{Kind: relay.MTProxy, Secret: secretOf(t, fakeSecret)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReach(t, dctest.Config{StrictEnvironment: true})
				server := r.behind(tt.relay, &proxy.Proxy{Kind: tt.kind, User: tt.relay.User, Password: tt.relay.Password, Secret: tt.relay.Secret})
				r.cfg.PFS = true
				c := r.dial()
				defer c.Close() //nolint:errcheck // the test is about what happens before
				if _, err := c.LoginBot(t.Context(), dctest.BotToken); err != nil {
					t.Fatal(err)
				}
				for _, dc := range []int{1, 4} { // 4 has a media-only endpoint
					s, err := c.FileSession(t.Context(), dc, Download, 0)
					if err != nil {
						t.Fatal(err)
					}
					got, err := mtproto.Call(t.Context(), s, &api.HelpGetNearestDcRequest{})
					if err != nil || int(got.ThisDC) != dc {
						t.Errorf("DC %d answered %+v, %v", dc, got, err)
					}
				}
				if _, err := c.CDNSession(t.Context(), 203, 0); err != nil {
					t.Error(err)
				}
				if stats := server.Stats(); stats.Relayed < 4 || len(stats.Refused) > 0 {
					t.Errorf("the proxy saw %+v", stats)
				}
			})
		})
	}
}

// TestProxyTrouble: what is wrong is told by its type, within seconds where it
// will not pass by itself.
func TestProxyTrouble(t *testing.T) {
	for _, tt := range []struct {
		name   string
		relay  relay.Config
		client proxy.Proxy
		want   error
		within time.Duration
	}{
		{
			"wrong password",
			relay.Config{Kind: relay.SOCKS5, User: "anna", Password: "right"},
			proxy.Proxy{Kind: proxy.SOCKS5, User: "anna", Password: "wrong"},
			proxy.ErrAuth, 5 * time.Second,
		},
		{
			"no password",
			relay.Config{Kind: relay.HTTP, User: "anna", Password: "right"},
			proxy.Proxy{Kind: proxy.HTTP},
			proxy.ErrAuth, 5 * time.Second,
		},
		{
			"another kind",
			relay.Config{Kind: relay.HTTP},
			proxy.Proxy{Kind: proxy.SOCKS5},
			proxy.ErrNotProxy, time.Minute,
		},
		{
			"wrong ee secret",
			relay.Config{Kind: relay.MTProxy, Secret: secretOf(t, fakeSecret)},
			proxy.Proxy{Kind: proxy.MTProxy, Secret: secretOf(t, "ee"+strings.Repeat("ab", 16)+"612e62")},
			proxy.ErrSecret, 5 * time.Second,
		},
		{
			"wrong dd secret",
			relay.Config{Kind: relay.MTProxy, Secret: secretOf(t, "dd"+simpleSecret)},
			proxy.Proxy{Kind: proxy.MTProxy, Secret: secretOf(t, "dd"+strings.Repeat("ab", 16))},
			proxy.ErrSilent, time.Minute,
		},
		{
			"nothing behind it",
			relay.Config{Kind: relay.SOCKS5, Silent: true},
			proxy.Proxy{Kind: proxy.SOCKS5},
			proxy.ErrSilent, time.Minute,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReach(t, dctest.Config{})
				r.behind(tt.relay, &tt.client)
				start := time.Now()
				c, err := Dial(t.Context(), r.cfg)
				if c != nil || !errors.Is(err, ErrUnreachable) || !errors.Is(err, tt.want) {
					t.Errorf("got %v, want ErrUnreachable for %q", err, tt.want)
				}
				if took := time.Since(start); took > tt.within {
					t.Errorf("took %v, want %v at most", took, tt.within)
				}
				if err != nil && !strings.Contains(err.Error(), proxyAddress) {
					t.Errorf("the error does not name the proxy: %v", err)
				}
			})
		})
	}
}

// TestMovedDC: the home DC and a guest move to other addresses. Sessions that
// live find them, and the next start begins with them.
func TestMovedDC(t *testing.T) {
	for _, told := range []bool{true, false} { // whether the update arrives
		t.Run(fmt.Sprintf("told %v", told), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReach(t, dctest.Config{})
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				c := r.dial()
				if _, err := c.LoginBot(ctx, dctest.BotToken); err != nil {
					t.Fatal(err)
				}
				s, err := c.FileSession(ctx, 1, Download, 0)
				if err != nil {
					t.Fatal(err)
				}
				if !told { // the main session is not there while the guest moves
					c.home.get().Close() //nolint:errcheck // on purpose
				}
				if err := r.cluster.Move(1); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Self(ctx); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				if _, err := mtproto.Call(ctx, s, &api.HelpGetNearestDcRequest{}); err != nil {
					t.Fatal(err)
				}
				if err := r.cluster.Move(2); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Self(ctx); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took > time.Minute {
					t.Errorf("it took %v to find both", took)
				}
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
				want, err := r.cluster.Route(2)
				if err != nil {
					t.Fatal(err)
				}
				r.first()
				c = r.dial()
				if got := r.first(); got != want {
					t.Errorf("the next start begins with %s, want %s", got, want)
				}
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// What was learned of one cluster is not used for another.
func TestServersOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReach(t, dctest.Config{})
		if err := r.dial().Close(); err != nil {
			t.Fatal(err)
		}
		other := newReach(t, dctest.Config{DCs: []dctest.DCConfig{{ID: 5}, {ID: 2}}, Channels: []dctest.ChannelConfig{}})
		other.cfg.Session = r.cfg.Session
		if s, err := other.cfg.Session.Load(); err != nil || s.Servers == nil || len(s.Servers.DCs) == 0 {
			t.Fatalf("nothing was learned: %v, %v", s, err)
		}
		want, err := other.cluster.Route(2)
		if err != nil {
			t.Fatal(err)
		}
		c := other.dial()
		defer c.Close() //nolint:errcheck // the test is about what happens before
		if got := other.first(); got != want {
			t.Errorf("dialed %s first, want %s", got, want)
		}
	})
}

// TestBackup: none of the built-in addresses answers, and the DNS knows another one.
func TestBackup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReach(t, dctest.Config{})
		address, err := r.cluster.Route(2)
		if err != nil {
			t.Fatal(err)
		}
		record := sealBackup(t, backupBody(time.Now().Add(time.Hour), "", 2, netip.MustParseAddrPort(address)))
		d := r.cfg.Datacenters
		d.DC = []DC{{ID: 2, Address: "192.0.2.2:443"}, {ID: 2, Address: "192.0.2.3:443"}}
		d.BackupDomain, d.BackupKey = "backup.example", testPEM()
		fetches := 0
		r.cfg.Backup = func(_ context.Context, domain string) ([]string, error) {
			if domain != "backup.example" {
				t.Errorf("asked for %s", domain)
			}
			r.mu.Lock()
			dialed := strings.Join(r.dialed, " ")
			r.mu.Unlock()
			for _, a := range []string{"192.0.2.2:443", "192.0.2.3:443"} {
				if n := strings.Count(dialed, a); n < 2 {
					t.Errorf("%s was tried %d times before, want 2", a, n)
				}
			}
			fetches++
			return record, nil
		}
		c := r.dial()
		defer c.Close() //nolint:errcheck // the test is about what happens before
		if _, err := c.LoginBot(t.Context(), dctest.BotToken); err != nil {
			t.Fatal(err)
		}
		if fetches != 1 {
			t.Errorf("%d fetches, want 1", fetches)
		}
	})
}

// While any address answers, nobody asks the DNS, even if a proxy or DC pauses.
func TestNoBackup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReach(t, dctest.Config{})
		d := r.cfg.Datacenters
		d.DC = append([]DC{{ID: 2, Address: "192.0.2.2:443"}}, d.DC...)
		d.BackupDomain, d.BackupKey = "backup.example", testPEM()
		r.cfg.Backup = noBackup(t)
		c := r.dial()
		defer c.Close() //nolint:errcheck // the test is about what happens before
		if _, err := c.LoginBot(t.Context(), dctest.BotToken); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			time.Sleep(time.Hour)
			if _, err := c.Self(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestSilentEndpoint: an address that takes connections and says nothing costs
// seconds, once; the next start goes to the good one at once.
func TestSilentEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReach(t, dctest.Config{})
		const hole = "192.0.2.2:443"
		r.cfg.Datacenters.DC = append([]DC{{ID: 2, Address: hole}}, r.cfg.Datacenters.DC...)
		good := r.cfg.Dial
		var swallowing sync.WaitGroup
		r.cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address != hole {
				return good(ctx, network, address)
			}
			r.mu.Lock()
			r.dialed = append(r.dialed, hole)
			r.mu.Unlock()
			near, far := net.Pipe()
			swallowing.Go(func() { _, _ = io.Copy(io.Discard, far) })
			return near, nil
		}
		start := time.Now()
		c := r.dial()
		if took := time.Since(start); took < time.Second || took > 15*time.Second {
			t.Errorf("took %v, want about 10s", took)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		r.first()
		start = time.Now()
		c = r.dial()
		if got, took := r.first(), time.Since(start); got == hole || took > time.Second {
			t.Errorf("the second start begins with %s and takes %v", got, took)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		swallowing.Wait()
	})
}

// TestWrongClock: our clock is off by hours. It works, with a new key and with
// an old one, and is said once.
func TestWrongClock(t *testing.T) {
	for _, skew := range []time.Duration{9 * time.Hour, -30 * 24 * time.Hour, 0} {
		for _, pfs := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v pfs=%v", skew, pfs), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newReach(t, dctest.Config{ClockSkew: dctest.Duration(skew)})
					r.cfg.PFS = pfs
					c := r.dial()
					if _, err := c.LoginBot(t.Context(), dctest.BotToken); err != nil {
						t.Fatal(err)
					}
					for _, dc := range []int{1, 4} {
						if _, err := c.FileSession(t.Context(), dc, Download, 0); err != nil {
							t.Fatal(err)
						}
					}
					if pfs && skew > 0 {
						time.Sleep(26 * time.Hour) // past salts and temporary keys
					}
					if _, err := c.Self(t.Context()); err != nil {
						t.Fatal(err)
					}
					if err := c.Close(); err != nil {
						t.Fatal(err)
					}
					want := 1
					if skew == 0 {
						want = 0
					}
					if n := strings.Count(r.log.String(), "clock of this machine is wrong"); n != want {
						t.Errorf("said %d times, want %d: %s", n, want, r.log.String())
					}
					s, err := r.cfg.Session.Load()
					if err != nil {
						t.Fatal(err)
					}
					for id, dc := range s.DCs { // another wrong clock than the last time
						dc.TimeOffset = 0
						s.DCs[id] = dc
					}
					if err := r.cfg.Session.Save(s); err != nil {
						t.Fatal(err)
					}
					c = r.dial()
					if _, err := c.Self(t.Context()); err != nil {
						t.Fatal(err)
					}
					if err := c.Close(); err != nil {
						t.Fatal(err)
					}
					if n := strings.Count(r.log.String(), "clock of this machine is wrong"); n != 2*want {
						t.Errorf("said %d times in two runs, want %d", n, 2*want)
					}
				})
			})
		}
	}
}

// TestNobodyThere: when no address takes a connection, or the proxy is not
// there, Dial says so at once; with a backup configuration to look for, after
// that. A way that is found within the same start is still taken.
func TestNobodyThere(t *testing.T) {
	refuse := func(_ context.Context, _, address string) (net.Conn, error) {
		return nil, fmt.Errorf("dial %s: connection refused", address)
	}
	hang := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for _, tt := range []struct {
		name   string
		dial   mtproto.DialFunc
		backup BackupFunc
		proxy  *proxy.Proxy
		within time.Duration
	}{
		{"refused", refuse, nil, nil, time.Millisecond},
		{"no answer", hang, nil, nil, 11 * time.Second},
		{"dead proxy", refuse, nil, &proxy.Proxy{Kind: proxy.SOCKS5, Address: proxyAddress}, time.Millisecond},
		{"no backup either", refuse, func(context.Context, string) ([]string, error) { return nil, errors.New("refused too") }, nil, 3 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReach(t, dctest.Config{})
				r.cfg.Dial, r.cfg.Backup, r.cfg.Proxy = tt.dial, tt.backup, tt.proxy
				if tt.backup != nil {
					r.cfg.Datacenters.BackupDomain, r.cfg.Datacenters.BackupKey = "backup.example", testPEM()
				}
				start := time.Now()
				c, err := Dial(t.Context(), r.cfg)
				if c != nil || !errors.Is(err, ErrUnreachable) || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, want ErrUnreachable", err)
				}
				if took := time.Since(start); took > tt.within {
					t.Errorf("took %v, want %v at most", took, tt.within)
				}
				if tt.proxy != nil && !errors.Is(err, proxy.ErrNotReached) {
					t.Errorf("got %v, want to hear of the proxy", err)
				}
			})
		})
	}
}
