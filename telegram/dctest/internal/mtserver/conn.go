package mtserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/mtproto/transport"
)

// maxHeld bounds the bytes of received frames that one connection's handlers
// hold. The reader waits when there are more.
const maxHeld = 32 << 20

// Reasons for which the server ends a connection.
var (
	errBroken  = errors.New("mtserver: packet fails a check of the encryption")
	errPing    = errors.New("mtserver: no ping within disconnect_delay")
	errRefused = errors.New("mtserver: transport error sent")
	errReset   = errors.New("mtserver: connection reset on purpose")
)

// A serverConn is one connection of a client. It carries any number of
// sessions and keys.
type serverConn struct {
	dc     *DC
	id     int64
	media  bool
	net    *shapedConn
	frames *transport.Conn
	opener *crypto.Opener   // the reader's
	sealer *crypto.Encloser // the writer's
	remote string
	held   *semaphore.Weighted
	excess bool          // more connections than the DC takes: it gets -429
	deaf   bool          // a last transport error was queued: what comes is not looked at; the reader's
	served bool          // a frame was handled; the reader's
	wake   chan struct{} // room for one: a signal that the writer should look again

	answers, queries atomic.Int64

	mu       sync.Mutex
	own      []ownFrame // what belongs to no session
	sessions []*Session
	closeAt  time.Time // of ping_delay_disconnect, zero: never
}

// An ownFrame is a frame outside of sessions: exactly one of the first three.
type ownFrame struct {
	packet   []byte
	code     int32  // transport error
	quickAck uint32 // token
	due      time.Time
	last     bool // close the connection after it
}

// ServeConn serves one connection until it ends, ctx ends or the DC is closed,
// and closes it. A connection that the client closed is no error.
func (d *DC) ServeConn(ctx context.Context, nc net.Conn, mediaOnly bool) error {
	c := d.newConn(nc, mediaOnly)
	if !d.addConn(c) {
		_ = c.net.Close()
		return ErrClosed
	}
	defer d.removeConn(c)
	err := c.serve(ctx)
	d.log.Debug("connection ended", "conn", c.id, "err", err)
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) && ctx.Err() == nil {
		return nil
	}
	return err
}

func (d *DC) newConn(nc net.Conn, mediaOnly bool) *serverConn {
	c := &serverConn{
		dc: d, id: lastConnID.Add(1), media: mediaOnly, net: newShapedConn(nc, d),
		opener: d.sealer.Opener(), sealer: d.sealer.Encloser(),
		held: semaphore.NewWeighted(maxHeld), wake: make(chan struct{}, 1),
	}
	if a := nc.RemoteAddr(); a != nil {
		c.remote = a.String()
	}
	return c
}

func (c *serverConn) serve(ctx context.Context) error {
	defer func() { _ = c.net.Close() }()
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() { _ = c.net.Close() })
	defer stop()
	frames, err := transport.Server(c.net, transport.ServerOptions{})
	if err != nil {
		return fmt.Errorf("connection %d: %w", c.id, err)
	}
	c.frames = frames
	g.Go(func() error { return c.readLoop(ctx, g) })
	g.Go(func() error { return c.writeLoop(ctx) })
	err = g.Wait()
	c.mu.Lock()
	sessions := c.sessions
	c.sessions = nil
	c.mu.Unlock()
	for _, s := range sessions {
		s.detach(c)
	}
	return err
}

// readLoop takes frames off the connection, and handles them at once or, if
// the network has a delay, when they have travelled.
func (c *serverConn) readLoop(ctx context.Context, g *errgroup.Group) error {
	handle := func(f *frameBuf, quick bool) error {
		defer f.release()
		return c.handleFrame(ctx, f, quick)
	}
	if delay := c.dc.cfg.Shape.RTT / 2; delay > 0 {
		line := make(chan travelling, 1024) // the link's length; the quota of bytes bounds it too
		defer close(line)
		arrive := handle
		g.Go(func() error { return arriveLate(ctx, line, arrive) })
		handle = func(f *frameBuf, quick bool) error {
			select {
			case line <- travelling{f, quick, time.Now().Add(delay)}:
				return nil
			case <-ctx.Done():
				f.release()
				return ctx.Err()
			}
		}
	}
	for {
		f, quick, err := c.readFrame(ctx)
		if err != nil {
			return err
		}
		if err := handle(f, quick); err != nil {
			return err
		}
	}
}

// readFrame reads one frame into pooled memory, once the connection's quota
// has room for it. A frame too short for a packet is returned without data.
func (c *serverConn) readFrame(ctx context.Context) (f *frameBuf, quick bool, err error) {
	f = newFrame(c.held)
	var full error
	f.data, err = c.frames.ReadFrame(func(n int) []byte {
		if full = c.held.Acquire(ctx, int64(n)); full == nil {
			f.size = int64(n)
		}
		f.mem = getMem(n)
		return f.mem[:n]
	})
	var short *transport.Error
	if errors.As(err, &short) {
		err = nil
	}
	if err = errors.Join(err, full); err != nil {
		f.release()
		return nil, false, err
	}
	return f, c.frames.WantsQuickAck(), nil
}

// travelling is a frame on its way through a slow network.
type travelling struct {
	frame *frameBuf
	quick bool
	due   time.Time
}

// arriveLate handles each frame when it is due. It empties the line in the end.
func arriveLate(ctx context.Context, line <-chan travelling, arrive func(*frameBuf, bool) error) (err error) {
	timer := time.NewTimer(never)
	defer timer.Stop()
	for t := range line {
		if err == nil {
			timer.Reset(time.Until(t.due))
			select {
			case <-timer.C:
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		if err != nil {
			t.frame.release()
			continue
		}
		err = arrive(t.frame, t.quick)
	}
	return err
}

// writeLoop writes what the connection and its sessions have to send.
func (c *serverConn) writeLoop(ctx context.Context) error {
	timer := time.NewTimer(never)
	defer timer.Stop()
	for {
		wait, err := c.flush()
		if err != nil {
			return err
		}
		timer.Reset(wait)
		select {
		case <-c.wake:
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// flush writes everything that is due, and returns how long nothing will be.
func (c *serverConn) flush() (time.Duration, error) {
	for {
		now := time.Now()
		own, sessions, wait, err := c.due(now)
		if err != nil {
			return 0, err
		}
		busy := len(own) > 0
		for _, f := range own {
			if err := c.writeOwn(f); err != nil {
				return 0, err
			}
		}
		for _, s := range sessions {
			batches, later := s.takeSome(c, now, c.atOnce())
			if len(batches) == 0 {
				wait = min(wait, later)
				continue
			}
			busy = true
			if err := c.writeBatches(s, batches); err != nil {
				return 0, err
			}
		}
		if !busy {
			return wait, nil
		}
	}
}

// atOnce is how many packets are encrypted together. Over a slow line each is
// made when it is its turn.
func (c *serverConn) atOnce() int {
	if c.net.paced() {
		return 1
	}
	return crypto.AtOnce()
}

// due takes the frames of the connection itself that are due.
func (c *serverConn) due(now time.Time) (own []ownFrame, sessions []*Session, wait time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wait = never
	if !c.closeAt.IsZero() {
		if wait = c.closeAt.Sub(now); wait <= 0 {
			return nil, nil, 0, errPing
		}
	}
	n := 0
	for n < len(c.own) && !c.own[n].due.After(now) {
		n++
	}
	own, c.own = c.own[:n:n], c.own[n:]
	if len(c.own) > 0 {
		wait = min(wait, c.own[0].due.Sub(now))
	}
	return own, slices.Clone(c.sessions), wait, nil
}

func (c *serverConn) writeOwn(f ownFrame) (err error) {
	switch {
	case f.packet != nil:
		err = c.frames.WriteFrame(f.packet)
	case f.code != 0:
		err = c.frames.WriteError(f.code)
	default:
		err = c.frames.WriteQuickAck(f.quickAck)
	}
	if err == nil && f.last {
		return c.net.finish()
	}
	return err
}

// send queues a frame that belongs to no session.
func (c *serverConn) send(f ownFrame) {
	f.due = time.Now().Add(c.dc.cfg.Shape.RTT / 2)
	c.mu.Lock()
	c.own = append(c.own, f)
	c.mu.Unlock()
	c.signal()
}

// sendError queues a transport error; last closes the connection after it.
func (c *serverConn) sendError(code int32, last bool) {
	c.dc.stats.countTransport(code)
	c.send(ownFrame{code: code, last: last})
}

// signal makes the writer look again.
func (c *serverConn) signal() {
	select {
	case c.wake <- struct{}{}:
	default: // a signal is waiting already
	}
}

func (c *serverConn) addSession(s *Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions = append(c.sessions, s)
}

func (c *serverConn) removeSession(s *Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions = slices.DeleteFunc(c.sessions, func(x *Session) bool { return x == s })
}

// disconnectAfter is ping_delay_disconnect.
func (c *serverConn) disconnectAfter(d time.Duration) {
	c.mu.Lock()
	c.closeAt = time.Now().Add(d)
	c.mu.Unlock()
	c.signal()
}

// point is where the connection stands, for the faults.
func (c *serverConn) point() Point {
	return Point{
		DC: c.dc.cfg.ID, MediaOnly: c.media, ConnID: c.id,
		Answers: c.answers.Load(), Queries: c.queries.Load(),
	}
}
