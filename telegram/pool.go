package telegram

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tghaul/haul/mtproto"
)

// A filePool holds the sessions that move files, each with its own connection.
type filePool struct {
	mu     sync.Mutex
	slots  map[slotKey]*slot
	closed bool
}

type slotKey struct {
	dc  int
	cdn bool
	use Use
	n   int
}

// A slot has at most one session; one caller at a time makes it.
type slot struct {
	flight flight

	mu     sync.Mutex
	s      session // nil, or perhaps dead
	closed bool    // takes no session any more
}

func (p *filePool) slot(k slotKey) (*slot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	if p.slots == nil {
		p.slots = make(map[slotKey]*slot)
	}
	s, ok := p.slots[k]
	if !ok {
		s = new(slot)
		p.slots[k] = s
	}
	return s, nil
}

// alive lists the sessions that live, with all but CDN DCs.
func (p *filePool) alive() (list []line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, s := range p.slots {
		if k.cdn {
			continue
		}
		if l := s.get(); l != nil {
			list = append(list, line{l, k.dc})
		}
	}
	return list
}

// take removes the slots that match, and ends their sessions.
func (p *filePool) take(match func(slotKey) bool) {
	p.mu.Lock()
	var taken []*slot
	for k, s := range p.slots {
		if match(k) {
			taken = append(taken, s)
			delete(p.slots, k)
		}
	}
	p.mu.Unlock()
	var wg sync.WaitGroup
	for _, s := range taken {
		wg.Go(s.close)
	}
	wg.Wait()
}

// drop ends all sessions of a DC.
func (p *filePool) drop(dc int) {
	p.take(func(k slotKey) bool { return k.dc == dc })
}

func (p *filePool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.take(func(slotKey) bool { return true })
}

func (s *slot) get() session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.s == nil || !alive(s.s) {
		return nil
	}
	return s.s
}

// dead is the session that was in the slot and has ended, or nil.
func (s *slot) dead() session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.s == nil || alive(s.s) {
		return nil
	}
	return s.s
}

// put stores a new session; of a slot that was taken from the pool it closes it.
func (s *slot) put(n session) error {
	s.mu.Lock()
	old, closed := s.s, s.closed
	if !closed {
		s.s = n
	}
	s.mu.Unlock()
	if old != nil {
		_ = old.Close() // dead already
	}
	if closed {
		_ = n.Close() // nobody has used it
		return errDropped
	}
	return nil
}

func (s *slot) close() {
	s.mu.Lock()
	old := s.s
	s.s, s.closed = nil, true
	s.mu.Unlock()
	if old != nil {
		_ = old.Close() // its error is that of its connection, of no interest any more
	}
}

// errDropped: the slot was dropped while its session was being made.
var errDropped = fmt.Errorf("telegram: session dropped: %w", mtproto.ErrClosed)

// commons have what the sessions of each DC share.
type commons struct {
	mu  sync.Mutex
	dcs map[int]*common
}

type common struct {
	crowd mtproto.Crowd
	temps mtproto.TempKeys
}

func (c *commons) get(dc int) *common {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dcs == nil {
		c.dcs = make(map[int]*common)
	}
	if c.dcs[dc] == nil {
		c.dcs[dc] = new(common)
	}
	return c.dcs[dc]
}

// FileSession is the n-th session (from 0) for files with a DC. It is made on
// the first call for it, with the account signed in at that DC, and made anew
// once it has died. Sessions belong to the client: do not close them. Uploads
// go to the home DC only. Callers who ask for the same session at the same
// time get the same one.
//
// A 401 from such a session is answered with [Client.ReauthorizeDC], a
// connection that does not move with [Client.DropFileSession].
func (c *Client) FileSession(ctx context.Context, dc int, use Use, n int) (*mtproto.Session, error) {
	s, err := c.fileSession(ctx, dc, use, n)
	if err != nil {
		return nil, err
	}
	return s.(*mtproto.Session), nil
}

func (c *Client) fileSession(ctx context.Context, dc int, use Use, n int) (session, error) {
	if home := c.HomeDC(); use == Upload && dc != home {
		return nil, fmt.Errorf("telegram: uploads go to the home DC %d, not to %d", home, dc)
	}
	if err := c.checkLoggedIn(); err != nil {
		return nil, err
	}
	return c.pooled(ctx, slotKey{dc: dc, use: use, n: n}, func(ctx context.Context) (session, error) {
		s, err := c.dialFiles(ctx, dc, use)
		if err != nil {
			return nil, fmt.Errorf("connect to DC %d for %s: %w", dc, use, err)
		}
		return s, nil
	})
}

// dialFiles makes a session at a DC where the account is signed in. A key that
// a guest DC has forgotten is replaced, once: nothing but the authorisation is
// lost with it. At home the login is lost with it.
func (c *Client) dialFiles(ctx context.Context, dc int, use Use) (session, error) {
	for again := false; ; again = true {
		if err := c.authorize(ctx, dc); err != nil {
			return nil, err
		}
		find := func() []mtproto.Endpoint { return c.dcs.files(dc, use) }
		if err := c.knowDC(ctx, dc, find); err != nil {
			return nil, err
		}
		key := c.keep.dc(dc).Key
		s, err := c.dialGuest(ctx, dc, find)
		if again || !errors.Is(err, mtproto.ErrKeyUnknown) {
			return s, err
		}
		if err := c.keyUnknown(dc, key, err); err != nil {
			return nil, err
		}
	}
}

// bury takes note of why a session has ended: if its DC has forgotten the key,
// another with the same key would end in the same way. s may be nil.
func (c *Client) bury(dc int, s session) error {
	if s == nil || !errors.Is(s.Err(), mtproto.ErrKeyUnknown) || s.KeyState().Key == nil {
		return nil
	}
	key := s.KeyState().Key.Bytes()
	return c.keyUnknown(dc, key[:], s.Err())
}

// keyUnknown forgets a key of dc. At home the login is lost with it.
func (c *Client) keyUnknown(dc int, key SecretBytes, err error) error {
	if dc == c.HomeDC() && c.LoggedIn() && string(c.keep.dc(dc).Key) == string(key) {
		return c.endLogin(err)
	}
	c.keep.dropKey(dc, key)
	return nil
}

// pooled is the session of a slot, made by dial if it has none that lives.
func (c *Client) pooled(ctx context.Context, k slotKey, dial func(context.Context) (session, error)) (session, error) {
	for {
		slot, err := c.files.slot(k)
		if err != nil {
			return nil, err
		}
		if s := slot.get(); s != nil {
			return s, nil
		}
		err = slot.flight.do(ctx, func(ctx context.Context) error {
			if slot.get() != nil {
				return nil
			}
			if err := c.bury(k.dc, slot.dead()); err != nil {
				return err
			}
			s, err := dial(ctx)
			if err != nil {
				return err
			}
			return slot.put(s)
		})
		if err != nil {
			if c.closed() {
				return nil, ErrClosed
			}
			return nil, err
		}
	}
}

// DropFileSession ends a session of the pool; the next FileSession for it
// makes a new one. Calls in flight on it fail.
func (c *Client) DropFileSession(dc int, use Use, n int) {
	want := slotKey{dc: dc, use: use, n: n}
	c.files.take(func(k slotKey) bool { return k == want })
}
