package telegram

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/tl/api"
)

// CDN DCs are caches that are not trusted: they have RSA keys of their own,
// named by the home DC, learn nothing about the account, and serve encrypted
// parts only. See core.telegram.org/cdn.

// cdnKeys are the RSA keys of CDN DCs.
type cdnKeys struct {
	flight flight

	mu   sync.Mutex
	keys map[int][]*crypto.PublicKey // nil: not fetched
}

func (k *cdnKeys) get(dc int) ([]*crypto.PublicKey, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys[dc], k.keys != nil
}

func (k *cdnKeys) set(keys map[int][]*crypto.PublicKey) {
	k.mu.Lock()
	k.keys = keys
	k.mu.Unlock()
}

// cdnKeysOf are the keys of a CDN DC, fetched if none are known or again is set.
func (c *Client) cdnKeysOf(ctx context.Context, dc int, again bool) ([]*crypto.PublicKey, error) {
	if keys, ok := c.cdn.get(dc); ok && !again {
		return keys, nil
	}
	if err := c.cdn.flight.do(ctx, c.fetchCDNKeys); err != nil {
		return nil, fmt.Errorf("fetch CDN keys: %w", err)
	}
	keys, _ := c.cdn.get(dc)
	return keys, nil
}

// fetchCDNKeys leaves out keys that cannot be read: other DCs' keys still serve.
func (c *Client) fetchCDNKeys(ctx context.Context) error {
	conf, err := mtproto.Call(ctx, c, &api.HelpGetCdnConfigRequest{})
	if err != nil {
		return err
	}
	keys := make(map[int][]*crypto.PublicKey)
	for _, k := range conf.PublicKeys {
		parsed, err := crypto.ParsePublicKeys([]byte(k.PublicKey))
		if err != nil {
			c.cfg.Log.Warn("unreadable CDN key", "dc", k.DCID, "err", err)
			continue
		}
		keys[int(k.DCID)] = append(keys[int(k.DCID)], parsed...)
	}
	c.cdn.set(keys)
	return nil
}

// CDNSession is the n-th session (from 0) with a CDN DC, to which
// upload.fileCdnRedirect led. Nobody is signed in on it, and it is told
// nothing about the client. Otherwise as [Client.FileSession];
// [Client.DropCDNSession] ends it.
func (c *Client) CDNSession(ctx context.Context, dc int, n int) (*mtproto.Session, error) {
	s, err := c.cdnSession(ctx, dc, n)
	if err != nil {
		return nil, err
	}
	return s.(*mtproto.Session), nil
}

func (c *Client) cdnSession(ctx context.Context, dc, n int) (session, error) {
	return c.pooled(ctx, slotKey{dc: dc, cdn: true, n: n}, func(ctx context.Context) (session, error) {
		if err := c.knowDC(ctx, dc, func() []mtproto.Endpoint { return c.dcs.cdn(dc) }); err != nil {
			return nil, err
		}
		s, err := c.firstCDN(ctx, dc)
		if s == nil && err == nil {
			s, err = c.dialCDN(ctx, dc)
		}
		if err != nil {
			return nil, fmt.Errorf("connect to CDN DC %d: %w", dc, err)
		}
		return s, nil
	})
}

// firstCDN makes the session that makes the key with the DC, once for all who
// need one. Without a session and error: another caller made the key.
func (c *Client) firstCDN(ctx context.Context, dc int) (session, error) {
	var made session
	known := func() bool { return len(c.keep.dc(dc).Key) > 0 }
	if known() {
		return nil, nil
	}
	err := c.guests.get(dc).flight.do(ctx, func(ctx context.Context) (err error) {
		if !known() {
			made, err = c.dialCDN(ctx, dc)
		}
		return err
	})
	return made, err
}

// dialCDN connects with the key that is known, makes one otherwise, and fetches
// the RSA keys again if the DC shows another than the known ones.
func (c *Client) dialCDN(ctx context.Context, dc int) (session, error) {
	for again := false; ; again = true {
		keys, err := c.cdnKeysOf(ctx, dc, again)
		if err != nil {
			return nil, err
		}
		if len(keys) == 0 && !again {
			continue
		}
		o := c.options(dc, func() []mtproto.Endpoint { return c.dcs.cdn(dc) })
		o.PublicKeys, o.Init = keys, c.initCDN
		s, err := c.open(ctx, dc, o)
		switch {
		case err == nil || again:
			return s, err
		case errors.Is(err, mtproto.ErrKeyUnknown): // CDN DCs forget keys at will
			c.keep.dropKey(dc, c.keep.dc(dc).Key)
		case !errors.Is(err, mtproto.ErrNoPublicKey):
			return nil, err
		}
	}
}

// DropCDNSession is DropFileSession for CDN sessions.
func (c *Client) DropCDNSession(dc, n int) {
	want := slotKey{dc: dc, cdn: true, n: n}
	c.files.take(func(k slotKey) bool { return k == want })
}
