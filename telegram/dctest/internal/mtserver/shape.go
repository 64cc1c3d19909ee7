package mtserver

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// paceSlice is how much is written at a time when bandwidth is limited, so
	// that connections share it fairly and the peer sees a stream, not bursts.
	paceSlice = 16 << 10
	// paceGrain is the shortest wait worth a timer. Shorter ones add up.
	paceGrain = time.Millisecond
	// paceSlack is how much of the link's time a sender may make up for after
	// it came late. Timers of a busy machine are late, by milliseconds each
	// time, and the link has not been idle for that.
	paceSlack = 20 * time.Millisecond
	// lingerTime is how long a refused client may take to close its side.
	lingerTime = 2 * time.Second
)

// A pacer is a link of fixed bandwidth: what is sent over it queues up. The
// zero value has no limit.
type pacer struct {
	rate int64 // bytes a second, 0: unlimited

	mu   sync.Mutex
	free time.Time // when everything accepted so far has left
}

// reserve queues n bytes and returns how long they take from now.
func (p *pacer) reserve(n int) time.Duration {
	if p.rate <= 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if late := now.Add(-paceSlack); p.free.Before(late) {
		p.free = late
	}
	p.free = p.free.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	return p.free.Sub(now)
}

// dcLimits are the links that all connections of a DC share.
type dcLimits struct{ in, out pacer }

func newDCLimits(rate int64) dcLimits {
	return dcLimits{in: pacer{rate: rate}, out: pacer{rate: rate}}
}

// A shapedConn is the network under a connection: it counts, paces, and can be
// cut in the middle of a write. Writes must not be concurrent, nor reads.
type shapedConn struct {
	net.Conn
	dc       *DC
	in, out  pacer
	closed   chan struct{} // ends waits
	once     sync.Once
	closeErr error

	// cutAfter is the number of bytes that may still be written before the
	// connection is reset, -1 for no end.
	cutAfter atomic.Int64
}

func newShapedConn(c net.Conn, d *DC) *shapedConn {
	rate := d.cfg.Shape.ConnBandwidth
	s := &shapedConn{Conn: c, dc: d, in: pacer{rate: rate}, out: pacer{rate: rate}, closed: make(chan struct{})}
	s.cutAfter.Store(-1)
	return s
}

// Read reads what is there, then takes as long as the link would have.
func (s *shapedConn) Read(b []byte) (int, error) {
	if s.paced() && len(b) > paceSlice {
		b = b[:paceSlice]
	}
	n, err := s.Conn.Read(b)
	s.dc.stats.bytesIn.Add(int64(n))
	if n > 0 && s.paced() {
		s.wait(max(s.in.reserve(n), s.dc.limits.in.reserve(n)))
	}
	return n, err
}

// Write writes slices at the pace of the link.
func (s *shapedConn) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		slice := b[done:]
		if s.paced() && len(slice) > paceSlice {
			slice = slice[:paceSlice]
		}
		if left := s.cutAfter.Load(); left >= 0 && int64(len(slice)) > left {
			n, _ := s.writeSlice(slice[:left])
			s.reset()
			return done + n, net.ErrClosed
		}
		n, err := s.writeSlice(slice)
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// WriteBuffers is Write of all pieces, as transport.BuffersWriter. Where nothing
// paces or cuts them they leave together: the peer is not woken for the
// few bytes of a frame's head.
func (s *shapedConn) WriteBuffers(pieces *net.Buffers) error {
	if !s.paced() && s.cutAfter.Load() < 0 {
		n, err := pieces.WriteTo(s.Conn)
		s.dc.stats.bytesOut.Add(n)
		return err
	}
	for _, p := range *pieces {
		if _, err := s.Write(p); err != nil {
			return err
		}
	}
	return nil
}

func (s *shapedConn) writeSlice(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if s.paced() && !s.wait(max(s.out.reserve(len(b)), s.dc.limits.out.reserve(len(b)))) {
		return 0, net.ErrClosed
	}
	n, err := s.Conn.Write(b)
	s.dc.stats.bytesOut.Add(int64(n))
	if left := s.cutAfter.Load(); left >= 0 {
		s.cutAfter.Store(left - int64(n))
	}
	return n, err
}

func (s *shapedConn) paced() bool {
	return s.out.rate > 0 || s.dc.limits.out.rate > 0
}

// wait reports false if the connection was closed meanwhile.
func (s *shapedConn) wait(d time.Duration) bool {
	if d < paceGrain {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.closed:
		return false
	}
}

// finish ends the connection so that the peer can still read what was written.
// Closing TCP with unread bytes waiting would reset it, so only the sending
// half is closed, and the peer gets a moment to close the other one.
func (s *shapedConn) finish() error {
	half, ok := s.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errRefused
	}
	if err := half.CloseWrite(); err != nil {
		return err
	}
	return s.SetReadDeadline(time.Now().Add(lingerTime))
}

// reset closes the connection as a crash would: TCP sends RST, nothing queued.
func (s *shapedConn) reset() {
	if t, ok := s.Conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = s.Close()
}

// Close closes the connection and ends all waits. It may be called twice.
func (s *shapedConn) Close() error {
	s.once.Do(func() {
		close(s.closed)
		s.closeErr = s.Conn.Close()
	})
	return s.closeErr
}
