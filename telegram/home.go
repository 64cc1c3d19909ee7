package telegram

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// A homeLine is the main session: the one that signs in, lists and sends, and
// that gets updates.
type homeLine struct {
	flight flight // connecting, or moving to another DC

	mu     sync.Mutex
	line   line
	closed bool
}

// A line is a session with the DC that it is with.
type line struct {
	session
	dc int
}

// alive reports whether the session can be used.
func (l line) alive() bool { return l.session != nil && alive(l.session) }

func alive(s session) bool {
	select {
	case <-s.Done():
		return false
	default:
		return true
	}
}

func (h *homeLine) get() line {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.line
}

// set replaces the session and returns the former one, to be closed. After
// close it takes nothing: then l itself is returned, and false.
func (h *homeLine) set(l line) (old line, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return l, false
	}
	old, h.line = h.line, l
	return old, true
}

func (h *homeLine) close() {
	h.mu.Lock()
	h.closed = true
	l := h.line
	h.mu.Unlock()
	if l.session != nil {
		_ = l.Close() // its error is that of its connection, of no interest any more
	}
}

// homeSession is the main session. A dead one is replaced.
func (c *Client) homeSession(ctx context.Context) (line, error) {
	for {
		if c.closed() {
			return line{}, ErrClosed
		}
		if l := c.home.get(); l.alive() {
			return l, nil
		}
		if err := c.home.flight.do(ctx, c.connectHome); err != nil {
			return line{}, err
		}
	}
}

// connectHome makes the main session, unless there is one. Runs in home.flight.
func (c *Client) connectHome(ctx context.Context) error {
	old := c.home.get()
	if old.alive() {
		return nil
	}
	if err := c.bury(old.dc, old.session); err != nil {
		return err
	}
	for again := false; ; again = true {
		dc := c.HomeDC()
		key := c.keep.dc(dc).Key
		s, err := c.dialOrdinary(ctx, dc)
		switch {
		case err == nil:
			return c.setHome(line{s, dc})
		case again || !errors.Is(err, mtproto.ErrKeyUnknown):
			return fmt.Errorf("connect to DC %d: %w", dc, err)
		}
		if err := c.keyUnknown(dc, key, err); err != nil {
			return err
		}
	}
}

// setHome makes l the main session and closes the former one.
func (c *Client) setHome(l line) error {
	old, ok := c.home.set(l)
	if old.session != nil {
		_ = old.Close() // of no interest any more
	}
	if !ok {
		return ErrClosed
	}
	return nil
}

// dialOrdinary makes a session for everything but files. The session of the
// home DC gets updates, others do not.
func (c *Client) dialOrdinary(ctx context.Context, dc int) (session, error) {
	find := func() []mtproto.Endpoint { return c.dcs.ordinary(dc) }
	if len(find()) == 0 {
		return nil, fmt.Errorf("%w %d", ErrUnknownDC, dc)
	}
	o := c.options(dc, find)
	o.PFS = c.cfg.PFS
	o.OnUpdate = c.onUpdate
	return c.open(ctx, dc, o)
}

// onUpdate runs on the session's reader: it must not block.
func (c *Client) onUpdate(body tl.Raw) {
	if u := body.TypeID(); u == (&api.UpdateShort{}).TypeID() && len(body) >= 8 {
		switch body[4:].TypeID() {
		case api.UpdateLoginTokenID:
			c.qrAccepted()
		case (&api.UpdateConfig{}).TypeID(), (&api.UpdateDcOptions{}).TypeID():
			c.config.expire()
			c.troubles.listChanged()
		}
	}
	if c.cfg.OnUpdate != nil {
		c.cfg.OnUpdate(body)
	}
	if c.cfg.OnTouched != nil {
		c.cfg.OnTouched(touchedChats(body))
	}
}

// Invoke calls a method at the home DC. It moves to another home DC when the
// server says so, waits out floods up to MaxFloodWait, and repeats after
// server trouble. The response must be released, see [mtproto.Response].
//
// Errors: ErrNotLoggedIn, ErrLoggedOut, ErrUserOnly, ErrClosed, a wait that is
// too long or any other *mtproto.RPCError, and those of package mtproto.
func (c *Client) Invoke(ctx context.Context, q tl.Object) (*mtproto.Response, error) {
	return c.invoke(ctx, q, c.cfg.MaxFloodWait)
}

// invoke is Invoke with a limit of its own for flood waits.
func (c *Client) invoke(ctx context.Context, q tl.Object, maxWait time.Duration) (*mtproto.Response, error) {
	t := tries{maxWait: maxWait}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := c.ending.err(); err != nil {
			return nil, err
		}
		l, err := c.homeSession(ctx)
		if err != nil {
			return nil, err
		}
		if err := c.floods.pass(ctx, floodScope{l.dc, q.TypeName()}, maxWait); err != nil {
			return nil, err
		}
		resp, err := l.Invoke(ctx, q)
		if err == nil {
			return resp, nil
		}
		if err := c.handle(ctx, l, q, err, &t); err != nil {
			return nil, err
		}
	}
}

// tries counts what was done about the errors of one call.
type tries struct {
	backOffs, floods, moves, configs, lines, takeouts int
	maxWait                                           time.Duration // longest flood wait to obey
}

// once counts up *n, and reports false beyond the limit.
func once(n *int, limit int) bool {
	*n++
	return *n <= limit
}

// handle does what the error of a call asks for. nil means: repeat the call.
func (c *Client) handle(ctx context.Context, l line, q tl.Object, err error, t *tries) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	method := q.TypeName()
	switch r := react(err); r {
	case backOff:
		if !once(&t.backOffs, maxBackOffs) {
			return fmt.Errorf("after %d repeats: %w", maxBackOffs, err)
		}
		c.cfg.Log.Debug("server trouble, repeating", "method", method, "try", t.backOffs, "err", err)
		return pause(ctx, backOffPause(t.backOffs-1))
	case waitFlood:
		return c.handleFlood(ctx, l, method, err, t)
	case moveHome:
		rpc, _ := isRPC(err)
		if !once(&t.moves, maxHomeMoves) {
			return fmt.Errorf("after %d changes of the home DC: %w", maxHomeMoves, err)
		}
		return c.moveHome(ctx, l, rpc.Arg)
	case checkLogin:
		return c.confirmLogin(ctx, l, err)
	case loggedOut:
		if !c.LoggedIn() && errors.Is(err, mtproto.ErrKeyUnknown) && once(&t.lines, 1) {
			return nil // connectHome makes another key
		}
		return c.endLogin(err)
	case barred:
		return c.barred(ctx, err)
	case noTakeout:
		if !inTakeout(method) {
			return err
		}
		if !once(&t.takeouts, maxTakeouts) {
			return fmt.Errorf("%w: %w", errTakeoutLoop, err)
		}
		return c.takeoutLost(err)
	case newConfig:
		if !once(&t.configs, 1) {
			return err
		}
		c.config.expire()
		_, err := c.Config(ctx)
		return err
	default:
		return c.giveUp(l, err, t)
	}
}

// giveUp returns the error, unless it is only that l was replaced under the call.
func (c *Client) giveUp(l line, err error, t *tries) error {
	if errors.Is(err, mtproto.ErrClosed) {
		if c.closed() {
			return ErrClosed
		}
		if c.home.get() != l && once(&t.lines, maxHomeMoves) {
			return nil
		}
	}
	if rpc, ok := isRPC(err, "BOT_METHOD_INVALID"); ok {
		return fmt.Errorf("%w: %w", ErrUserOnly, rpc)
	}
	return err
}

// handleFlood closes the gate of the method; Invoke waits there. A slow mode
// concerns one chat, so it closes no gate.
func (c *Client) handleFlood(ctx context.Context, l line, method string, err error, t *tries) error {
	rpc, _ := isRPC(err)
	wait := floodPause(rpc.Arg)
	if rpc.Type != "SLOWMODE_WAIT" {
		c.floods.shut(floodScope{l.dc, method}, wait, rpc)
		if err := c.keep.updateNow(func(s *Session) { s.Waits = c.floods.waits() }); err != nil {
			c.cfg.Log.Error("a wait is not kept for the next run", "err", err) // it holds in this one
		}
	}
	if time.Duration(rpc.Arg)*time.Second > t.maxWait || !once(&t.floods, maxFloods) {
		return err
	}
	c.cfg.Log.Info("waiting as the server asks", "method", method, "dc", l.dc, "wait", wait, "reason", rpc.Type)
	if c.cfg.OnFloodWait != nil {
		c.cfg.OnFloodWait(method, l.dc, wait)
	}
	if rpc.Type == "SLOWMODE_WAIT" {
		return pause(ctx, wait)
	}
	return nil
}

// confirmLogin asks once more who is signed in, since a 401 can be about one
// method only. See core.telegram.org/api/errors#401-unauthorized.
func (c *Client) confirmLogin(ctx context.Context, l line, err error) error {
	if out := c.checkLoggedIn(); out != nil { // perhaps another call has found out meanwhile
		return fmt.Errorf("%w: %w", out, err)
	}
	c.ending.suspect(accountError(err))
	resp, again := l.Invoke(ctx, selfQuery())
	if again == nil {
		resp.Release()
		c.ending.acquit()
		if e := accountError(err); e != nil && e.State == Banned {
			return e // it does not say that this login has ended, but what else could be done
		}
		return err
	}
	if e := accountError(again); react(again) == checkLogin || e != nil && e.Is(ErrLoggedOut) {
		return c.endLogin(again)
	}
	return fmt.Errorf("%w (not confirmed: %w)", err, again)
}

// endLogin notes that the server has signed the account out. The user stays
// known, so that one can be told who has to sign in again.
func (c *Client) endLogin(err error) error {
	if _, ok := isRPC(err, "AUTH_KEY_DUPLICATED"); ok || errors.Is(err, mtproto.ErrKeyUnknown) {
		dc := c.HomeDC()
		c.keep.dropKey(dc, c.keep.dc(dc).Key) // dead for good
	}
	c.ending.suspect(accountError(err))
	cause, news := c.ending.end()
	if news {
		c.cfg.Log.Error("signed out by the server", "err", err)
	}
	c.takeout.Store(0)
	save := c.keep.updateNow(func(s *Session) {
		s.Takeout, s.Ended = nil, cause.State
		for id, d := range s.DCs {
			d.Authorized, d.ImportedAt = false, time.Time{}
			s.DCs[id] = d
		}
	})
	return errors.Join(cause, save)
}
