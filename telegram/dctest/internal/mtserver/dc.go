package mtserver

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tghaul/haul/mtproto/crypto"
)

// Config says what a DC is. RSA and Handler are required; zero in any other
// field is its default.
type Config struct {
	ID                 int              // of the DC, without the 10000 of test servers
	Test, CDN          bool             // kind of the DC
	RSA                *rsa.PrivateKey  // of the key exchange
	Keys               *KeyStore        // nil: an empty one
	Handler            Handler          // answers the API
	Now                func() time.Time // server time; nil: time.Now
	AnyEnvironment     bool             // of a test DC: clients may also name it without the 10000, as a production one
	AcceptOldHandshake bool             // also req_pq, inner data without a DC id, and the SHA-1 padding
	SaltLifetime       time.Duration    // 0: 30 minutes; a salt stays valid as long again
	MaxConns           int              // more connections at once get -429; 0: no limit
	Patience           time.Duration    // of packets for others to be encrypted with; see crypto.NewSealer
	Log                *slog.Logger     // nil: silent
	Faults             Faults
	Shape              Shape
}

// Shape is the network in front of a DC.
type Shape struct {
	RTT           time.Duration // half of it is added to each message each way
	ConnBandwidth int64         // bytes a second, each way, per connection; 0: unlimited
	DCBandwidth   int64         // the same, over all connections of the DC
}

// ErrClosed is returned by Serve and ServeConn after Close.
var ErrClosed = errors.New("mtserver: DC closed")

// A DC is one simulated DC. Its methods are safe for concurrent use.
type DC struct {
	cfg       Config
	rsa       *crypto.PublicKey
	keys      *KeyStore
	log       *slog.Logger
	sealer    *crypto.Sealer
	stats     counters
	limits    dcLimits
	keep      int64 // bytes of answers that a session keeps until acknowledged
	exchanges exchangeTable
	running   sync.WaitGroup // handlers and connections

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	conns     map[*serverConn]struct{}
	sessions  map[sessionKey]*Session
	swept     time.Time // when dead sessions were last looked for
}

// lastConnID numbers connections through the process, so that a number means
// one connection in the logs and counters of a whole cluster.
var lastConnID atomic.Int64

// NewDC returns a DC that serves what Serve and ServeConn are given. Close it.
func NewDC(cfg Config) *DC {
	if cfg.Keys == nil {
		cfg.Keys = NewKeyStore()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.SaltLifetime <= 0 {
		cfg.SaltLifetime = defaultSaltLifetime
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &DC{
		cfg:       cfg,
		rsa:       &crypto.PublicKey{N: cfg.RSA.N, E: cfg.RSA.E},
		keys:      cfg.Keys,
		log:       cfg.Log.With("dc", cfg.ID),
		sealer:    crypto.NewSealer(crypto.FromServer, cfg.Patience),
		limits:    newDCLimits(cfg.Shape.DCBandwidth),
		keep:      maxKept,
		listeners: make(map[net.Listener]struct{}),
		conns:     make(map[*serverConn]struct{}),
		sessions:  make(map[sessionKey]*Session),
	}
}

// PublicKey is the key that clients must know.
func (d *DC) PublicKey() *crypto.PublicKey { return d.rsa }

// Stats returns the counters.
func (d *DC) Stats() Stats { return d.stats.snapshot() }

// Serve accepts connections until ctx ends, Close is called or the listener
// fails, and returns when all of them have ended. It closes l.
func (d *DC) Serve(ctx context.Context, l net.Listener, mediaOnly bool) error {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel()
	defer func() { _ = l.Close() }()
	if !d.addListener(l) {
		return ErrClosed
	}
	defer d.removeListener(l)
	for {
		c, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = c.Close()
			}
			return ctx.Err()
		case d.isClosed():
			if err == nil {
				_ = c.Close()
			}
			return ErrClosed
		case err != nil:
			return fmt.Errorf("dc %d: accept: %w", d.cfg.ID, err)
		}
		conns.Go(func() { _ = d.ServeConn(ctx, c, mediaOnly) })
	}
}

// Close ends all connections and handlers, forgets all sessions and waits. The
// keys stay in the store. It may be called twice.
func (d *DC) Close() error {
	d.mu.Lock()
	d.closed = true
	sessions := d.sessions
	d.sessions = make(map[sessionKey]*Session)
	for c := range d.conns {
		_ = c.net.Close()
	}
	for l := range d.listeners {
		_ = l.Close()
	}
	d.mu.Unlock()
	for _, s := range sessions {
		s.end()
	}
	d.running.Wait()
	return nil
}

func (d *DC) isClosed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}

// start runs f in a goroutine that Close waits for, unless the DC is closed.
func (d *DC) start(f func()) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.running.Go(f)
	return true
}

// addConn enters a connection, for which Close then waits.
func (d *DC) addConn(c *serverConn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.running.Add(1)
	d.conns[c] = struct{}{}
	d.stats.connections.Add(1)
	open := d.stats.open.Add(1)
	c.excess = d.cfg.MaxConns > 0 && open > int64(d.cfg.MaxConns)
	return true
}

func (d *DC) removeConn(c *serverConn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, c)
	d.stats.open.Add(-1)
	d.running.Done()
}

func (d *DC) addListener(l net.Listener) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.listeners[l] = struct{}{}
	return true
}

func (d *DC) removeListener(l net.Listener) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.listeners, l)
}
