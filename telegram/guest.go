package telegram

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl/api"
)

// At a DC other than home the account is a guest: it has a key of its own
// there, and the home DC vouches for it once (export, import). This is kept
// with the key. Servers punish repeating it with waits of many minutes, so
// it is done for all sessions together. See core.telegram.org/api/datacenter.

const (
	// reauthSettled is how long after an import a 401 is taken for an echo of
	// the time before: sessions lose their authorisation together, and their
	// complaints do not arrive together.
	reauthSettled = 2 * time.Second
	// reauthWindow and maxReauths bound imports that do not last.
	reauthWindow = 10 * time.Minute
	maxReauths   = 3
	maxImports   = 3 // tries with fresh exports, within one authorisation
)

// A guestBook has a guest for each DC.
type guestBook struct {
	mu     sync.Mutex
	guests map[int]*guest
}

// A guest is what goes on with one DC apart from its sessions.
type guest struct {
	flight flight // making a key, or authorising it

	mu      sync.Mutex
	imports []time.Time // within reauthWindow, of this process
}

func (b *guestBook) get(dc int) *guest {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.guests == nil {
		b.guests = make(map[int]*guest)
	}
	g, ok := b.guests[dc]
	if !ok {
		g = new(guest)
		b.guests[dc] = g
	}
	return g
}

// recent counts the imports within the window, and says when the last one was.
func (g *guest) recent() (n int, last time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	for len(g.imports) > 0 && now.Sub(g.imports[0]) > reauthWindow {
		g.imports = g.imports[1:]
	}
	if len(g.imports) > 0 {
		last = g.imports[len(g.imports)-1]
	}
	return len(g.imports), last
}

func (g *guest) imported() {
	g.mu.Lock()
	g.imports = append(g.imports, time.Now())
	g.mu.Unlock()
}

// checkLoggedIn is nil while an account is signed in.
func (c *Client) checkLoggedIn() error {
	in := c.LoggedIn() // before ending: that is set first
	if c.closed() {
		return ErrClosed
	}
	if err := c.ending.err(); err != nil {
		return err
	}
	if in {
		return nil
	}
	if why := get(c.keep, func(s *Session) AccountState { return s.Ended }); why != "" { // found out by an earlier client
		return &AccountError{State: why}
	}
	return ErrNotLoggedIn
}

// CheckLogin is nil while an account is signed in, as far as is known here.
// Errors: ErrNotLoggedIn, *AccountError if the server has ended the login, ErrClosed.
func (c *Client) CheckLogin() error { return c.checkLoggedIn() }

// authorize makes sure that the account is signed in at dc, whichever it is.
func (c *Client) authorize(ctx context.Context, dc int) error {
	if err := c.checkLoggedIn(); err != nil || c.keep.dc(dc).Authorized {
		return err
	}
	return c.guests.get(dc).flight.do(ctx, func(ctx context.Context) error {
		if c.keep.dc(dc).Authorized {
			return nil
		}
		return c.becomeGuest(ctx, dc)
	})
}

// becomeGuest makes a key with dc if there is none, and has the home DC vouch
// for it. A key that dc has forgotten is replaced, once. Runs in the guest's flight.
func (c *Client) becomeGuest(ctx context.Context, dc int) error {
	find := func() []mtproto.Endpoint { return c.dcs.ordinary(dc) }
	if err := c.knowDC(ctx, dc, find); err != nil {
		return err
	}
	for again := false; ; again = true {
		key := c.keep.dc(dc).Key
		err := c.vouch(ctx, dc, find)
		if again || !errors.Is(err, mtproto.ErrKeyUnknown) || errors.Is(err, ErrLoggedOut) {
			return err
		}
		c.keep.dropKey(dc, key)
	}
}

// vouch brings the authorisation to dc.
func (c *Client) vouch(ctx context.Context, dc int, find func() []mtproto.Endpoint) error {
	s, err := c.dialGuest(ctx, dc, find)
	if err != nil {
		return fmt.Errorf("connect to DC %d: %w", dc, err)
	}
	defer s.Close() //nolint:errcheck // it served its purpose, or failed it with another error
	if err := c.importAuthorization(ctx, c, s, dc); err != nil {
		return fmt.Errorf("authorise at DC %d: %w", dc, err)
	}
	c.guests.get(dc).imported()
	c.cfg.Log.Info("authorised at another DC", "dc", dc)
	return c.keep.setAuthorized(dc, true, time.Now().UTC())
}

// dialGuest connects to dc without updates.
func (c *Client) dialGuest(ctx context.Context, dc int, find func() []mtproto.Endpoint) (session, error) {
	o := c.options(dc, find)
	o.PFS, o.NoUpdates = c.cfg.PFS, true
	return c.open(ctx, dc, o)
}

// importAuthorization lets from, where the account is signed in, vouch for it at to.
func (c *Client) importAuthorization(ctx context.Context, from, to mtproto.Invoker, dc int) error {
	var err error
	for range maxImports {
		var exported *api.AuthExportedAuthorization
		exported, err = mtproto.Call(ctx, from, &api.AuthExportAuthorizationRequest{DCID: int32(dc)})
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
		for n := range maxBackOffs + 1 {
			if n > 0 {
				if err := pause(ctx, backOffPause(n-1)); err != nil {
					return err
				}
			}
			_, err = mtproto.Call(ctx, to, &api.AuthImportAuthorizationRequest{ID: exported.ID, Bytes: exported.Bytes})
			if err == nil {
				return nil
			}
			if react(err) != backOff {
				break
			}
		}
		if _, stale := isRPC(err, "AUTH_BYTES_INVALID"); !stale { // single use, and short-lived
			break
		}
	}
	return fmt.Errorf("import: %w", err)
}

// ReauthorizeDC is to be called after an error on a file session of a DC, the
// cause, that is [AboutAccount]. At a guest DC it brings the authorisation there
// again, once for all who ask at the same time; if that does not last it makes
// a new key, and at last fails with ErrGuestAuth. At the home DC it finds out
// whether the account is signed out (ErrLoggedOut), which AUTH_KEY_DUPLICATED
// means anywhere: the session is in use elsewhere too, and the server has
// ended it. A takeout session that is over is used no more. nil: get the file
// session anew and repeat.
func (c *Client) ReauthorizeDC(ctx context.Context, dc int, cause error) error {
	if err := c.checkLoggedIn(); err != nil {
		return err
	}
	switch react(cause) {
	case loggedOut:
		return c.endLogin(cause)
	case noTakeout:
		return c.takeoutLost(cause)
	case barred:
		return c.barred(ctx, cause)
	default:
	}
	c.ending.suspect(accountError(cause))
	if dc == c.HomeDC() {
		_, err := c.Self(ctx)
		return err
	}
	g := c.guests.get(dc)
	return g.flight.do(ctx, func(ctx context.Context) error {
		n, last := g.recent()
		switch {
		case n > 0 && time.Since(last) < reauthSettled:
			return nil // done for another session a moment ago
		case n >= maxReauths:
			return fmt.Errorf("%w: DC %d, %d times in %v", ErrGuestAuth, dc, n, reauthWindow)
		case n > 1: // again already: perhaps the key itself is bad
			c.keep.dropKey(dc, c.keep.dc(dc).Key)
			c.files.drop(dc)
		default:
			if err := c.keep.setAuthorized(dc, false, time.Time{}); err != nil {
				return err
			}
		}
		err := c.becomeGuest(ctx, dc)
		if err == nil {
			c.ending.acquit()
		}
		return err
	})
}

// moveHome follows the account to another DC, unless another call has already.
func (c *Client) moveHome(ctx context.Context, from line, to int) error {
	return c.home.flight.do(ctx, func(ctx context.Context) error {
		if c.HomeDC() != from.dc || to == from.dc {
			return nil
		}
		if err := c.knowHome(ctx, from, to); err != nil {
			return err
		}
		s, err := c.dialOrdinary(ctx, to)
		if err != nil {
			return fmt.Errorf("move to DC %d: %w", to, err)
		}
		if c.LoggedIn() && !c.keep.dc(to).Authorized {
			if err := c.importAuthorization(ctx, from, s, to); err != nil {
				_ = s.Close() // the error that matters is known
				return fmt.Errorf("move to DC %d: %w", to, err)
			}
			if err := c.keep.setAuthorized(to, true, time.Time{}); err != nil {
				return errors.Join(err, s.Close())
			}
		}
		c.cfg.Log.Info("the account lives at another DC", "dc", to)
		if err := c.keep.updateNow(func(k *Session) { k.HomeDC = to }); err != nil {
			return errors.Join(err, s.Close())
		}
		return c.setHome(line{s, to})
	})
}

// knowHome makes sure that to has an address. It cannot use Config, which may
// wait for the flight that this runs in.
func (c *Client) knowHome(ctx context.Context, from line, to int) error {
	if len(c.dcs.ordinary(to)) > 0 {
		return nil
	}
	conf, err := mtproto.Call(ctx, from, &api.HelpGetConfigRequest{})
	if err != nil {
		return fmt.Errorf("fetch configuration: %w", err)
	}
	c.dcs.setOptions(conf.DCOptions)
	if len(c.dcs.ordinary(to)) == 0 {
		return fmt.Errorf("%w %d", ErrUnknownDC, to)
	}
	return nil
}
