// Package proxy is a bad network on loopback: it stands between clients and a
// server and resets connections, leaves them half-open, stalls them, lets them
// trickle, delays, cuts up or corrupts what goes over them. What befalls a
// connection follows from a seed and the connection's number.
//
//	p, err := proxy.New(proxy.Config{Faults: []proxy.Fault{{Kind: proxy.Reset, Rate: 0.1, After: 1 << 20}}})
//	if err != nil {
//		return err
//	}
//	defer p.Close()
//	address, err := p.Front("127.0.0.1:10443")
//
// It does not import testing: tests, the simulated cluster and bench share it.
package proxy

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

// Kinds of faults.
const (
	Reset    = "reset"     // both sides see the connection reset
	HalfOpen = "half_open" // it stays open, and what is sent is swallowed
	Stall    = "stall"     // nothing moves for a time
	Trickle  = "trickle"   // it goes on at BytesPerSecond
	Latency  = "latency"   // what is sent arrives later, and in order
	Fragment = "fragment"  // it arrives in odd pieces
	Corrupt  = "corrupt"   // one bit of one byte is turned over
)

var kinds = []string{Reset, HalfOpen, Stall, Trickle, Latency, Fragment, Corrupt}

// Directions of a Fault.
const (
	Up   = "up"   // from client to server
	Down = "down" // from server to client
	Both = "both"
)

// A Fault is what may befall a connection, once.
type Fault struct {
	Kind string
	// Rate is the share of connections that it befalls, 0 to 1; At are numbers
	// of connections, from 1, that it befalls in any case.
	Rate float64
	At   []int64
	// After is how many bytes have passed in the Direction when it strikes;
	// if Within is greater, a random number from After to Within.
	After, Within int64
	// Direction is what suffers; "" is Both. Of Both, and of Reset, bytes are
	// counted from server to client.
	Direction string
	// Times bounds how often it strikes, over all connections; 0: no bound.
	Times int

	For            time.Duration // of a Stall; a minute if 0
	BytesPerSecond int           // of a Trickle; 1 if 0
	Delay, Jitter  time.Duration // of Latency: Delay, and up to Jitter more
}

// Check reports what is wrong with a fault.
func (f *Fault) Check() error {
	switch {
	case !slices.Contains(kinds, f.Kind):
		return fmt.Errorf("unknown kind %q", f.Kind)
	case f.Direction != "" && f.Direction != Up && f.Direction != Down && f.Direction != Both:
		return fmt.Errorf("unknown direction %q", f.Direction)
	case !(f.Rate >= 0 && f.Rate <= 1):
		return fmt.Errorf("rate is %v, want 0 to 1", f.Rate)
	case f.Rate == 0 && len(f.At) == 0:
		return fmt.Errorf("%s never strikes: set rate or at", f.Kind)
	case slices.Min(append([]int64{1}, f.At...)) < 1:
		return errors.New("at counts connections from 1")
	case f.After < 0 || f.Within < 0 || f.Times < 0 || f.For < 0 || f.BytesPerSecond < 0 || f.Delay < 0 || f.Jitter < 0:
		return fmt.Errorf("%s: a number is negative", f.Kind)
	}
	return nil
}

// Config describes a bad network. The zero value is a good one.
type Config struct {
	Seed   uint64
	Faults []Fault
	Log    *slog.Logger // silent if nil
}

// Stats is what a proxy has counted since its start.
type Stats struct {
	Connections int64            `json:"connections"` // accepted
	Struck      map[string]int64 `json:"struck"`      // faults that struck, by kind
}

// A Proxy is a bad network in front of any number of addresses. Its methods
// may be called concurrently.
type Proxy struct {
	cfg     Config
	running sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	listeners []net.Listener
	conns     map[*conn]struct{}
	times     []int // how often each fault has struck
	stats     Stats
}

// New makes a proxy. Close it.
func New(cfg Config) (*Proxy, error) {
	for i := range cfg.Faults {
		if err := cfg.Faults[i].Check(); err != nil {
			return nil, fmt.Errorf("proxy: faults[%d]: %w", i, err)
		}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Proxy{
		cfg: cfg, conns: make(map[*conn]struct{}), times: make([]int, len(cfg.Faults)),
		stats: Stats{Struck: make(map[string]int64)},
	}, nil
}

// Front listens on a port of its own in front of an address, and returns where.
func (p *Proxy) Front(target string) (address string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("proxy: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return "", errors.Join(net.ErrClosed, l.Close())
	}
	p.listeners = append(p.listeners, l)
	p.running.Go(func() { p.accept(l, target) })
	return l.Addr().String(), nil
}

func (p *Proxy) accept(l net.Listener, target string) {
	for {
		client, err := l.Accept()
		if err != nil {
			return // closed
		}
		p.running.Go(func() {
			server, err := net.Dial("tcp", target)
			if err != nil {
				p.cfg.Log.Debug("proxy: no server", "target", target, "err", err)
				_ = client.Close() // the client sees a server that is gone
				return
			}
			p.Carry(client, server)
		})
	}
}

// Carry puts the network between two connections, such as the ends of pipes in
// memory, and returns when both are closed.
func (p *Proxy) Carry(client, server net.Conn) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		_ = client.Close()
		_ = server.Close()
		return
	}
	p.stats.Connections++
	c := newConn(p, p.stats.Connections, client, server)
	p.conns[c] = struct{}{}
	p.mu.Unlock()
	c.run()
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}

// mayStrike counts a strike of fault i, unless it has struck often enough.
func (p *Proxy) mayStrike(i int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := &p.cfg.Faults[i]
	if f.Times > 0 && p.times[i] >= f.Times {
		return false
	}
	p.times[i]++
	p.stats.Struck[f.Kind]++
	return true
}

// Stats returns the counters.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Struck = maps.Clone(s.Struck)
	return s
}

// Close ends all connections and waits. It may be called more than once.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	listeners := p.listeners
	p.listeners = nil
	for c := range p.conns {
		c.close()
	}
	p.mu.Unlock()
	var failed []error
	for _, l := range listeners {
		failed = append(failed, l.Close())
	}
	p.running.Wait()
	return errors.Join(failed...)
}
