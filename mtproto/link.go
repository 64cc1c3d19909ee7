package mtproto

import (
	"context"
	"errors"
	"fmt"
	"net"
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
)

// A liveConn gives up on a connection on which nothing arrives for too long,
// or which takes nothing: a half-open one says nothing else.
type liveConn struct {
	net.Conn
	patience time.Duration
}

func (c *liveConn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.patience)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c *liveConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// serve runs one connection: a reader and a writer, until either fails.
func (s *Session) serve(ctx context.Context, link *transport.Conn, key *crypto.AuthKey) error {
	start := time.Now()
	if err := s.beginLink(start); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { _ = link.Close() })()
	g.Go(func() error { return s.read(link, key) })
	g.Go(func() error { return s.write(ctx, link, key, start) })
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
	s.linked = true
	// A suspended machine's clock stands still: let the first message say what time it is.
	s.clock.synced = false
	if err := s.bindLocked(); err != nil {
		return err
	}
	if len(s.calls) > 0 {
		ids := make([]int64, 0, len(s.calls))
		for id := range s.calls {
			ids = append(ids, id)
		}
		s.askStateLocked(ids)
	}
	s.pingLocked(now)
	return nil
}

func (s *Session) pingLocked(now time.Time) {
	clear(s.pings)
	id := now.UnixNano()
	s.pings[id] = now
	s.serviceLocked(&mt.PingDelayDisconnectRequest{
		PingID: id, DisconnectDelay: int32(max(1, s.opts.PingInterval*disconnectIntervals/time.Second)),
	})
}

// write sends what is due until ctx ends or the session is closed.
func (s *Session) write(ctx context.Context, link *transport.Conn, key *crypto.AuthKey, start time.Time) error {
	acks := time.NewTicker(ackDelay)
	defer acks.Stop()
	pings := time.NewTicker(s.opts.PingInterval)
	defer pings.Stop()
	var p packer
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
		case <-acks.C:
			flush = true
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
	if s.temp != nil && s.temp.staleAt(now) {
		return errRestart
	}
	if now.Sub(start) > stateTimeout { // the server did not say what became of them
		s.requeueLocked(func(c *call) bool { return !c.acked && c.sentAt.Before(start) })
	}
	s.refreshSaltsLocked(now)
	s.pingLocked(now)
	return nil
}

// writeAll sends packets until nothing is due.
func (s *Session) writeAll(p *packer, link *transport.Conn, key *crypto.AuthKey, flush bool) error {
	for {
		n, err := s.pack(p, time.Now(), flush)
		if err != nil || n == 0 {
			return err
		}
		packet, _, err := key.Seal(p.buf, n, crypto.FromClient, 0, s.opts.Rand)
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
	for {
		var f *frame
		packet, err := link.ReadFrame(func(n int) []byte {
			f = s.frames.get(n)
			return f.mem
		})
		if err == nil {
			s.counts.bytesIn.Add(int64(len(packet)))
			err = s.receive(packet, f, key)
		}
		if f != nil {
			f.release()
		}
		var status *transport.Error
		var ack *transport.QuickAck
		switch {
		case err == nil, errors.As(err, &ack), errors.As(err, &status) && status.Code == 0:
		default:
			return fmt.Errorf("read: %w", err)
		}
	}
}
