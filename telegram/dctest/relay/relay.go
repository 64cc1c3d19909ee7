// Package relay has the proxies that people put between themselves and
// Telegram: SOCKS5, HTTP CONNECT and MTProxy, the last with plain secrets, with
// dd, and with fake TLS (ee). They are strict, and they let nothing out of this
// machine: what is not a loopback address is refused.
//
// It does not import testing: tests, the simulated cluster and embedders share it.
package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/tghaul/haul/mtproto/transport"
)

// Kinds of relays.
const (
	SOCKS5  = "socks5"
	HTTP    = "http"
	MTProxy = "mtproxy"
)

// Config describes a relay.
type Config struct {
	Kind string
	// User and Password that SOCKS5 and HTTP clients must have; "": none.
	User, Password string
	// Secret that MTProxy clients must have.
	Secret transport.Secret
	// Route says where the DC of an MTProxy client is: an id as in the
	// obfuscation header, +10000 for test servers, negative for media-only endpoints.
	Route func(dc int16) (address string, err error)
	// MaxPadding of padded frames to MTProxy clients; 15 if 0.
	MaxPadding int
	// Silent relays take connections, do their own part, and let nothing through.
	Silent bool
	// Dial reaches the servers. nil: a net.Dialer that refuses all but loopback.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Now  func() time.Time // time.Now if nil
	Log  *slog.Logger     // silent if nil
}

// handshakeTimeout bounds what happens before the first byte is relayed.
const handshakeTimeout = 10 * time.Second

// Reasons for which a relay turns clients away; keys of Stats.Refused.
const (
	BadAuth     = "auth"
	BadHello    = "hello"
	BadProtocol = "protocol"
	BadRoute    = "route"
)

// refusal is why a client was turned away.
type refusal struct {
	reason string
	err    error
}

func (r *refusal) Error() string { return r.reason + ": " + r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// Stats is what a relay has counted since its start.
type Stats struct {
	Connections int64            // accepted
	Relayed     int64            // of which reached a server
	Refused     map[string]int64 // by reason
}

// A Relay is a running proxy. Its methods may be called concurrently.
type Relay struct {
	cfg     Config
	running sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	conns     map[net.Conn]context.CancelFunc // of clients
	listeners []net.Listener
	stats     Stats
	seen      map[[32]byte]bool // randoms of hellos
}

// New makes a relay. Close it.
func New(cfg Config) (*Relay, error) {
	switch {
	case cfg.Kind != SOCKS5 && cfg.Kind != HTTP && cfg.Kind != MTProxy:
		return nil, fmt.Errorf("relay: unknown kind %q", cfg.Kind)
	case cfg.Kind == MTProxy && (cfg.Secret.Key == nil || cfg.Route == nil):
		return nil, errors.New("relay: an MTProxy needs a secret and a route")
	}
	if cfg.Dial == nil {
		cfg.Dial = dialLoopback
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Relay{
		cfg: cfg, conns: make(map[net.Conn]context.CancelFunc),
		stats: Stats{Refused: make(map[string]int64)}, seen: make(map[[32]byte]bool),
	}, nil
}

// dialLoopback reaches servers on this machine and no others.
func dialLoopback(ctx context.Context, network, address string) (net.Conn, error) {
	a, err := netip.ParseAddrPort(address)
	if err != nil || !a.Addr().IsLoopback() {
		return nil, fmt.Errorf("relay: %s is not on loopback", address)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// Listen listens at address, such as "127.0.0.1:0", and returns where.
func (r *Relay) Listen(address string) (string, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", fmt.Errorf("relay: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return "", errors.Join(net.ErrClosed, l.Close())
	}
	r.listeners = append(r.listeners, l)
	r.running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			r.running.Go(func() { r.ServeConn(c) })
		}
	})
	return l.Addr().String(), nil
}

// ServeConn serves one client, such as the end of a pipe in memory, and returns
// when it is gone.
func (r *Relay) ServeConn(c net.Conn) {
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if !r.enter(c, cancel) {
		return
	}
	err := r.serve(ctx, c)
	r.cfg.Log.Debug("relay: connection ended", "kind", r.cfg.Kind, "err", err)
	r.leave(c, err)
}

// enter notes a client, for whose end Close then waits.
func (r *Relay) enter(c net.Conn, cancel context.CancelFunc) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.conns[c] = cancel
	r.stats.Connections++
	r.running.Add(1)
	return true
}

func (r *Relay) leave(c net.Conn, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
	var no *refusal
	if errors.As(err, &no) {
		r.stats.Refused[no.reason]++
	}
	r.running.Done()
}

// A pump relays between a client and a server that is connected, until either ends.
type pump func() error

func (r *Relay) serve(ctx context.Context, c net.Conn) error {
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	begin, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	stop := context.AfterFunc(begin, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	var run pump
	var server net.Conn
	var err error
	switch r.cfg.Kind {
	case SOCKS5:
		run, server, err = r.socks(begin, c)
	case HTTP:
		run, server, err = r.connect(begin, c)
	default:
		run, server, err = r.mtproxy(begin, c)
	}
	if server != nil {
		defer func() { _ = server.Close() }()
	}
	if err != nil {
		return err
	}
	if !stop() {
		return begin.Err()
	}
	r.mu.Lock()
	r.stats.Relayed++
	r.mu.Unlock()
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if r.cfg.Silent {
		_, err := io.Copy(io.Discard, c)
		return err
	}
	return run()
}

// both runs two directions; when one ends, it closes both sides and waits for the other.
func both(a, b io.Closer, up, down func() error) error {
	var wg sync.WaitGroup
	var errs [2]error
	for i, f := range []func() error{up, down} {
		wg.Go(func() {
			errs[i] = f()
			_ = a.Close()
			_ = b.Close()
		})
	}
	wg.Wait()
	return errors.Join(errs[:]...)
}

// pipe relays bytes; what the client has sent so far comes from in.
func pipe(client, server net.Conn, in io.Reader) pump {
	return func() error {
		return both(client, server,
			func() error { _, err := io.Copy(server, in); return err },
			func() error { _, err := io.Copy(client, server); return err })
	}
}

// Stats returns the counters.
func (r *Relay) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Refused = maps.Clone(s.Refused)
	return s
}

// Close ends all connections and waits. It may be called more than once.
func (r *Relay) Close() error {
	r.mu.Lock()
	r.closed = true
	listeners := r.listeners
	r.listeners = nil
	for _, cancel := range r.conns {
		cancel()
	}
	r.mu.Unlock()
	var failed []error
	for _, l := range listeners {
		failed = append(failed, l.Close())
	}
	r.running.Wait()
	return errors.Join(failed...)
}
