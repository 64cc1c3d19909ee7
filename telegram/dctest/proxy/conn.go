package proxy

import (
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	chunkSize = 32 << 10
	// lineLength is how many chunks may be on their way in one direction: it
	// bounds what a delayed or stalled connection holds.
	lineLength = 64
	// maxPiece is the largest piece of a fragmented connection: what fits one
	// packet of a real network.
	maxPiece = 1460
)

// A conn is one connection. Each direction is a lane with a reader and a
// writer of its own; faults strike where bytes are written.
type conn struct {
	proxy  *Proxy
	n      int64
	ends   [2]net.Conn // client, server
	down   *lane       // from server to client
	up     *lane
	closed chan struct{}
	once   sync.Once
}

func newConn(p *Proxy, n int64, client, server net.Conn) *conn {
	c := &conn{proxy: p, n: n, ends: [2]net.Conn{client, server}, closed: make(chan struct{})}
	c.up = &lane{conn: c, from: client, to: server}
	c.down = &lane{conn: c, from: server, to: client}
	for i := range p.cfg.Faults {
		c.plan(i)
	}
	for i, l := range []*lane{c.up, c.down} {
		slices.SortStableFunc(l.strikes, func(a, b strike) int { return int(min(max(a.at-b.at, -1), 1)) })
		l.random = c.rand(-1 - i)
	}
	return c
}

// rand is the source of chance for one purpose on this connection.
func (c *conn) rand(purpose int) *rand.Rand {
	return rand.New(rand.NewPCG(c.proxy.cfg.Seed, uint64(c.n)<<16^uint64(purpose)))
}

// plan decides whether fault i befalls the connection, and when.
func (c *conn) plan(i int) {
	f := &c.proxy.cfg.Faults[i]
	r := c.rand(i)
	if !slices.Contains(f.At, c.n) && r.Float64() >= f.Rate {
		return
	}
	s := strike{fault: i, at: f.After}
	if f.Within > f.After {
		s.at += r.Int64N(f.Within - f.After + 1)
	}
	l := c.down
	if f.Direction == Up {
		l = c.up
	}
	l.strikes = append(l.strikes, s)
}

// run carries bytes until both directions have ended.
func (c *conn) run() {
	defer c.close()
	var lanes sync.WaitGroup
	for _, l := range []*lane{c.up, c.down} {
		line := make(chan chunk, lineLength)
		lanes.Go(func() { l.read(line) })
		lanes.Go(func() { l.write(line) })
	}
	lanes.Wait()
}

// close closes both sides, for good. It may be called more than once.
func (c *conn) close() {
	c.once.Do(func() {
		close(c.closed)
		for _, e := range c.ends {
			_ = e.Close() // nobody is left to tell
		}
	})
}

// reset closes both sides as a crash would: TCP sends RST, nothing queued.
func (c *conn) reset() {
	for _, e := range c.ends {
		if t, ok := e.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // it may be closed already
		}
	}
	c.close()
}

// pause waits; false if the connection was closed meanwhile.
func (c *conn) pause(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.closed:
		return false
	}
}

// A strike is a fault that befalls a lane when at bytes have passed.
type strike struct {
	fault int
	at    int64
}

// A chunk is bytes on their way; none means that their sender has closed.
type chunk struct {
	bytes []byte
	due   time.Time
}

// A lane is one direction of a connection. Its reader and its writer share
// what is atomic; the rest is the writer's, and random belongs to it too.
type lane struct {
	conn     *conn
	from, to net.Conn
	strikes  []strike
	random   *rand.Rand
	passed   int64

	pieces  atomic.Bool  // it is fragmented
	swallow atomic.Bool  // nothing arrives any more
	stall   atomic.Int64 // Unix nanoseconds until which nothing moves
	pace    atomic.Int64 // bytes a second, 0: no limit
	delay   atomic.Int64 // nanoseconds
	jitter  atomic.Int64 // nanoseconds
}

// read puts what comes on the line.
func (l *lane) read(line chan<- chunk) {
	defer close(line)
	wobble := l.conn.rand(1 << 20)
	for {
		b := make([]byte, chunkSize)
		n, err := l.from.Read(b)
		due := time.Now().Add(time.Duration(l.delay.Load()))
		if j := l.jitter.Load(); j > 0 {
			due = due.Add(time.Duration(wobble.Int64N(j)))
		}
		if n > 0 {
			select {
			case line <- chunk{b[:n], due}:
			case <-l.conn.closed:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// write takes from the line what is due. When the sender has closed, so does
// the lane, unless it swallows everything: a half-open connection does not end.
func (l *lane) write(line <-chan chunk) {
	for c := range line {
		if !l.conn.pause(time.Until(c.due)) || !l.pass(c.bytes) {
			l.conn.close()
			break
		}
	}
	for range line { // let the reader go
	}
	if l.swallow.Load() {
		return
	}
	if t, ok := l.to.(*net.TCPConn); ok {
		_ = t.CloseWrite() // it may be closed already
	} else {
		l.conn.close() // pipes cannot be closed by halves
	}
}

// pass forwards bytes, and lets faults strike in the middle of them. It
// reports false when the connection is over.
func (l *lane) pass(b []byte) bool {
	for len(l.strikes) > 0 && l.strikes[0].at < l.passed+int64(len(b)) {
		s := l.strikes[0]
		l.strikes = l.strikes[1:]
		n := max(0, s.at-l.passed)
		if !l.forward(b[:n]) {
			return false
		}
		b = b[n:]
		if l.conn.proxy.mayStrike(s.fault) && !l.strike(&l.conn.proxy.cfg.Faults[s.fault], b) {
			return false
		}
	}
	return l.forward(b)
}

// strike lets a fault happen; next is what comes first after it.
func (l *lane) strike(f *Fault, next []byte) bool {
	c := l.conn
	c.proxy.cfg.Log.Debug("proxy: strike", "conn", c.n, "kind", f.Kind, "passed", l.passed)
	switch f.Kind {
	case Reset:
		c.reset()
		return false
	case Corrupt:
		next[0] ^= 1 << l.random.IntN(8)
		return true
	}
	for _, o := range c.suffer(f.Direction) {
		switch f.Kind {
		case HalfOpen:
			o.swallow.Store(true)
		case Stall:
			d := f.For
			if d == 0 {
				d = time.Minute
			}
			o.stall.Store(time.Now().Add(d).UnixNano())
		case Trickle:
			o.pace.Store(int64(max(1, f.BytesPerSecond)))
		case Latency:
			o.delay.Store(int64(f.Delay))
			o.jitter.Store(int64(f.Jitter))
		case Fragment:
			o.pieces.Store(true)
		}
	}
	return true
}

// suffer lists the lanes that a direction means.
func (c *conn) suffer(direction string) []*lane {
	switch direction {
	case Up:
		return []*lane{c.up}
	case Down:
		return []*lane{c.down}
	}
	return []*lane{c.up, c.down}
}

// forward writes bytes as the state of the lane allows.
func (l *lane) forward(b []byte) bool {
	for len(b) > 0 {
		if !l.conn.pause(time.Until(time.Unix(0, l.stall.Load()))) {
			return false
		}
		if l.swallow.Load() {
			l.passed += int64(len(b))
			return true
		}
		n := len(b)
		if l.pieces.Load() {
			n = min(n, 1+l.random.IntN(maxPiece))
		}
		if pace := l.pace.Load(); pace > 0 {
			n = min(n, int(max(1, pace/10)))
			if !l.conn.pause(time.Duration(float64(n) / float64(pace) * float64(time.Second))) {
				return false
			}
		}
		if _, err := l.to.Write(b[:n]); err != nil {
			return false
		}
		l.passed += int64(n)
		b = b[n:]
	}
	return true
}
