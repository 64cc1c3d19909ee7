package telegram

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl/api"
)

// destroyTimeout bounds the making of a connection only to destroy its key. A
// key that is left behind is signed in to nothing.
const destroyTimeout = 15 * time.Second

// LogOut ends the login: on the server, with the keys that it knows, and in the
// session, of which only the token remains that spares this account the code
// of its next login. If the server cannot be told, nothing is
// changed and the error says why. A login that the server has ended already is
// taken for success. File sessions and their calls end.
// See core.telegram.org/method/auth.logOut.
func (c *Client) LogOut(ctx context.Context) error {
	if c.closed() {
		return ErrClosed
	}
	if c.User() == nil {
		return ErrNotLoggedIn
	}
	var token []byte
	if c.checkLoggedIn() == nil {
		out, err := mtproto.Call(ctx, impatient{c}, &api.AuthLogOutRequest{})
		switch {
		case err == nil:
			token = out.FutureAuthToken
		case !errors.Is(err, ErrLoggedOut) && !errors.Is(err, ErrNotLoggedIn):
			return fmt.Errorf("tell the server to log out: %w", err)
		}
	}
	c.cfg.Log.Info("logged out")
	// First what counts: a crash from here on leaves no login behind.
	err := c.keep.updateNow(func(s *Session) {
		s.User, s.Pending = nil, nil
		s.keepToken(token)
		for id, d := range s.DCs {
			d.Authorized, d.ImportedAt = false, time.Time{}
			s.DCs[id] = d
		}
	})
	if err != nil {
		return err
	}
	c.destroyKeys(ctx)
	return c.keep.forget(c.cfg.Datacenters.HomeDC)
}

// destroyKeys makes each DC forget its key, as far as it can be reached.
func (c *Client) destroyKeys(ctx context.Context) {
	keys := get(c.keep, func(s *Session) map[int]DCSession { return s.clone().DCs })
	if l := c.home.get(); l.session != nil {
		_ = l.Close() // nothing is signed in any more
	}
	for dc := range keys {
		c.files.drop(dc)
	}
	for dc := range keys {
		if err := c.destroyKey(ctx, dc); err != nil {
			c.cfg.Log.Info("key not destroyed, it will be forgotten", "dc", dc, "err", err)
		}
	}
}

// destroyKey uses a session of its own: one with PFS does not run on the key.
func (c *Client) destroyKey(ctx context.Context, dc int) error {
	ctx, cancel := context.WithTimeout(ctx, destroyTimeout)
	defer cancel()
	find := func() []mtproto.Endpoint { return c.dcs.ordinary(dc) }
	if len(find()) == 0 {
		return fmt.Errorf("%w %d", ErrUnknownDC, dc)
	}
	o := c.options(dc, find)
	o.NoUpdates = true
	s, err := c.open(ctx, dc, o)
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // its key is gone, or its error is known
	return s.DestroyKey(ctx)
}
