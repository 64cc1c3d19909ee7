package mtproto

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/mtproto/transport"
	"github.com/tghaul/haul/tl/mt"
)

const (
	ackDelay     = 500 * time.Millisecond // unacknowledged answers are sent again: not later than this
	writeTimeout = 30 * time.Second
	closeTimeout = 250 * time.Millisecond // for the last acknowledgements
	stateTimeout = 10 * time.Second       // for the state of calls sent on an earlier connection
	// The server closes the connection if no ping follows one for this many
	// intervals.
	disconnectIntervals = 6
	// slowest is the rate, in bytes a second, below which a connection that
	// brings no answers is taken for dead, although bytes drip out of it.
	slowest = 1 << 10
	// callPatience is how long a call may go unanswered before the server is
	// asked about it, and how long the server's word on it is trusted.
	callPatience = time.Minute
)

// Reasons to give a connection up that is still open.
var (
	errDeaf  = errors.New("mtproto: what is sent is not answered")
	errStuck = errors.New("mtproto: an answer does not come")
)

// A liveConn gives up on a connection on which nothing arrives for too long,
// or which takes nothing: a half-open one says nothing else.
type liveConn struct {
	net.Conn
	patience time.Duration
	first    time.Duration // patience until something has come
	received *atomic.Int64 // counts bytes
}

func (c *liveConn) Read(b []byte) (int, error) {
	patience := c.patience
	if c.first > 0 {
		patience = c.first
	}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.first = 0
	}
	c.received.Add(int64(n))
	return n, err
}

func (c *liveConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// WriteBuffers writes pieces as if they were one.
func (c *liveConn) WriteBuffers(pieces *net.Buffers) error {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if w, ok := c.Conn.(transport.BuffersWriter); ok {
		return w.WriteBuffers(pieces)
	}
	_, err := pieces.WriteTo(c.Conn)
	return err
}

// serve runs one connection: a reader and a writer, until either fails.
func (s *Session) serve(ctx context.Context, link *transport.Conn, key *crypto.AuthKey) error {
	start := time.Now()
	if err := s.beginLink(start); err != nil {
		return err
	}
	// A temporary key is replaced on behalf of all sessions that share it, so
	// that goes on when this connection ends.
	renew := func(lot int, like Endpoint, perm KeyState) {
		s.renewals.Go(func() { s.renew(ctx, lot, like, perm) })
	}
	g, linked := errgroup.WithContext(ctx)
	defer context.AfterFunc(linked, func() { _ = link.Close() })()
	g.Go(func() error { return s.read(link, key) })
	g.Go(func() error { return s.write(linked, link, key, start, renew) })
	err := g.Wait()
	s.mu.Lock()
	s.linked = false
	s.mu.Unlock()
	return err
}

// beginLink prepares what must go out first on a new connection.
func (s *Session) beginLink(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.linked, s.leaving = true, time.Time{}
	s.hearLocked(now)
	// A suspended machine's clock stands still: let the first message say what time it is.
	s.clock.synced = false
	if err := s.bindLocked(); err != nil {
		return err
	}
	if len(s.calls) > 0 {
		ids := make([]int64, 0, len(s.calls))
		for id, c := range s.calls {
			s.askedLocked(c, now)
			ids = append(ids, id)
		}
		s.askStateLocked(ids)
	}
	s.pingLocked(now)
	return nil
}

func (s *Session) pingLocked(now time.Time) {
	for id, sent := range s.pings { // late answers to the last few still prove life
		if now.Sub(sent) > s.patience() {
			delete(s.pings, id)
		}
	}
	id := now.UnixNano()
	s.pings[id] = now
	s.serviceLocked(&mt.PingDelayDisconnectRequest{
		PingID: id, DisconnectDelay: int32(max(1, s.opts.PingInterval*disconnectIntervals/time.Second)),
	})
}

// write sends what is due until ctx ends, the session is closed, or the
// connection is left for another.
func (s *Session) write(ctx context.Context, link *transport.Conn, key *crypto.AuthKey, start time.Time, renew func(int, Endpoint, KeyState)) error {
	acks := time.NewTicker(ackDelay)
	defer acks.Stop()
	pings := time.NewTicker(s.opts.PingInterval)
	defer pings.Stop()
	p := packer{seal: s.opts.Sealer.Encloser()}
	flush := false
	for {
		if err := s.writeAll(&p, link, key, flush); err != nil {
			return err
		}
		flush = false
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.wake:
			s.mu.Lock()
			closing := s.closing
			s.mu.Unlock()
			if closing {
				_ = s.writeAll(&p, link, key, true)
				return ErrClosed
			}
			if s.left(time.Now()) {
				_ = s.writeAll(&p, link, key, true)
				return errRestart
			}
		case now := <-acks.C:
			flush = true
			if s.deaf(now) {
				return errDeaf
			}
			if s.keepTemp(now, renew); s.left(now) {
				s.signal()
			}
		case now := <-pings.C:
			if err := s.tick(now, start); err != nil {
				return err
			}
		}
	}
}

// tick does what is due at each ping.
func (s *Session) tick(now, start time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(start) > stateTimeout { // the server did not say what became of them
		s.requeueLocked(func(c *call) bool { return !c.acked && c.sentAt.Before(start) })
	}
	if err := s.missedLocked(now); err != nil {
		return err
	}
	s.refreshSaltsLocked(now)
	s.pingLocked(now)
	return nil
}

// hearLocked notes that the server has answered something.
func (s *Session) hearLocked(now time.Time) {
	s.heard, s.heardAt = now, s.received.Load()
}

// deaf reports whether the server has stopped answering. Bytes alone prove
// nothing: what drips out of a line in trouble, or what the server sends
// unasked, says nothing about whether it hears us. A slow line that is busy
// with a long answer is not meant.
func (s *Session) deaf(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	silence := now.Sub(s.heard)
	return silence >= s.patience() && float64(s.received.Load()-s.heardAt) < silence.Seconds()*slowest
}

// patience is how long a connection may be silent.
func (s *Session) patience() time.Duration { return s.opts.PingInterval * 5 / 2 }

// askedLocked notes that the server is asked about a call.
func (s *Session) askedLocked(c *call, now time.Time) {
	c.asked, c.askedAt, c.working = now, s.received.Load(), false
}

// passedByLocked reports whether the answer to a call would be here if it were
// on its way: since the server was asked about it, a younger call was answered,
// or the line was idle.
func (s *Session) passedByLocked(c *call, now time.Time) bool {
	return s.youngest.After(c.asked) || float64(s.received.Load()-c.askedAt) < now.Sub(c.asked).Seconds()*slowest
}

// missedLocked looks after calls that were not answered for callPatience, on a
// connection that is alive otherwise. The server is asked about them. If it
// does not know them, they are sent again; if it is at work, they wait. If its
// answer must have got lost, a new connection makes it send what we have not
// acknowledged; and if that does not help, the call is repeated.
func (s *Session) missedLocked(now time.Time) error {
	var ask []int64
	restart := false
	for id, c := range s.calls {
		switch {
		case c == s.bind || now.Sub(c.sentAt) < callPatience || now.Sub(c.asked) < callPatience:
		case c.asked.IsZero() || c.working:
			s.askedLocked(c, now)
			ask = append(ask, id)
		case !s.passedByLocked(c, now): // a slow line may still be busy with what comes before it
		case !c.missed:
			c.missed, restart = true, true
		default:
			s.again(c)
		}
	}
	if restart {
		return errStuck
	}
	if len(ask) > 0 {
		s.askStateLocked(ask)
	}
	return nil
}

// writeAll sends packets until nothing is due.
func (s *Session) writeAll(p *packer, link *transport.Conn, key *crypto.AuthKey, flush bool) error {
	for {
		n, err := s.pack(p, time.Now(), flush)
		if err != nil || n == 0 {
			return err
		}
		if err := s.fill(p); err != nil {
			return err
		}
		packet, _, err := p.seal.Seal(crypto.Sealing{Key: key, Buf: p.buf, N: n, Rand: s.opts.Rand})
		if err != nil {
			return err
		}
		s.counts.bytesOut.Add(int64(len(packet)))
		if err := link.WriteFrame(packet); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		flush = false
	}
}

// read takes frames apart until the connection ends or one breaks a rule.
func (s *Session) read(link *transport.Conn, key *crypto.AuthKey) error {
	r := receiver{Session: s, key: key, open: s.opts.Sealer.Opener()}
	var f *frame
	alloc := func(n int) []byte {
		f = s.frames.get(n)
		return f.mem
	}
	for {
		f = nil
		packet, err := link.ReadFrame(alloc)
		if err == nil {
			s.counts.bytesIn.Add(int64(len(packet)))
			err = r.receive(packet, f)
		}
		if f != nil {
			f.release()
		}
		if err != nil && !harmless(err) {
			return fmt.Errorf("read: %w", err)
		}
	}
}

// harmless reports whether the connection stays good in spite of an error of a read.
func harmless(err error) bool {
	var status *transport.Error
	var ack *transport.QuickAck
	return errors.As(err, &ack) || errors.As(err, &status) && status.Code == 0
}
