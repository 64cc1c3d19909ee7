package dctest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tghaul/haul/telegram/dctest/internal/layers"
	"github.com/tghaul/haul/telegram/dctest/internal/mtserver"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// Signing in by QR code. See core.telegram.org/api/qr-login.

// A loginToken is what a QR code shows.
type loginToken struct {
	key      keyAt
	session  *mtserver.Session // told when it is accepted; nil: nobody
	layer    int
	expires  time.Time
	except   []int64
	account  int64 // who has accepted it; 0 while nobody has
	imported bool
}

const (
	loginTokenSize = 32
	acceptedLives  = 5 * time.Minute // for the client to come and get it
)

func (r *request) exportLoginToken(q *api.AuthExportLoginTokenRequest) (tl.Object, error) {
	switch {
	case q.APIID <= 0 || q.APIHash == "":
		return nil, refuse(400, "API_ID_INVALID")
	case r.me != nil:
		return nil, refuse(500, "AUTH_RESTART") // signed in: there is nothing to show
	}
	r.c.mu.Lock()
	_, half := r.c.halfway[r.key()]
	token := r.c.shown[r.key()]
	t := r.c.tokens[token]
	switch {
	case half:
		r.c.mu.Unlock()
		return nil, refuse(401, "SESSION_PASSWORD_NEEDED")
	case t != nil && t.account != 0 && r.now.Before(t.expires):
		a := r.c.accountLocked(t.account)
		r.c.mu.Unlock()
		return r.accepted(token, a)
	case t == nil || !r.now.Before(t.expires):
		delete(r.c.tokens, token)
		token, t = r.newTokenLocked(q.ExceptIDs)
	}
	defer r.c.mu.Unlock()
	if !r.quiet {
		t.session, t.layer = r.Session, r.layer
	}
	return &api.AuthLoginToken{Expires: int32(t.expires.Unix()), Token: []byte(token)}, nil
}

// accepted tells the client whose token was accepted to come in, or where to go.
func (r *request) accepted(token string, a *account) (tl.Object, error) {
	if a.cfg.DC != r.DC {
		return &api.AuthLoginTokenMigrateTo{DCID: int32(a.cfg.DC), Token: []byte(token)}, nil
	}
	return r.importToken(token)
}

func (r *request) newTokenLocked(except []int64) (string, *loginToken) {
	b := make([]byte, loginTokenSize)
	_, _ = rand.Read(b) // never fails
	token := string(b)
	// Expiry is told in whole seconds.
	expires := r.now.Add(time.Duration(r.c.cfg.LoginTokenLifetime)).Truncate(time.Second).Add(time.Second)
	t := &loginToken{key: r.key(), expires: expires, except: slices.Clone(except)}
	r.c.tokens[token], r.c.shown[r.key()] = t, token
	for _, a := range r.c.accounts {
		if a.cfg.ScanAfter > 0 && !slices.Contains(except, a.id) {
			r.c.scanLocked(a, r.key())
			break
		}
	}
	return token, t
}

// scanLocked makes an account accept what the key's client shows after a
// while, as a person with a telephone would.
func (c *Cluster) scanLocked(a *account, key keyAt) {
	if c.watched[key] {
		return
	}
	c.watched[key] = true
	timer := time.NewTimer(time.Duration(a.cfg.ScanAfter))
	c.running.Go(func() error {
		defer timer.Stop()
		select {
		case <-c.done:
		case now := <-timer.C:
			c.mu.Lock()
			token := c.shown[key]
			delete(c.watched, key)
			c.mu.Unlock()
			_ = c.acceptToken(a, token, now) // one that has expired just now: the next is scanned
		}
		return nil
	})
}

func (r *request) importLoginToken(q *api.AuthImportLoginTokenRequest) (tl.Object, error) {
	return r.importToken(string(q.Token))
}

// importToken signs the client in to the account that has accepted the token.
func (r *request) importToken(token string) (tl.Object, error) {
	a, err := r.useToken(token)
	if err != nil {
		return nil, err
	}
	auth, err := r.enter(a)
	if err != nil {
		return nil, err
	}
	return &api.AuthLoginTokenSuccess{Authorization: auth.(*api.AuthAuthorization)}, nil
}

func (r *request) useToken(token string) (*account, error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	t := r.c.tokens[token]
	switch {
	case t == nil || t.account == 0:
		return nil, refuse(400, "AUTH_TOKEN_INVALID")
	case t.imported:
		return nil, refuse(400, "AUTH_TOKEN_ALREADY_ACCEPTED")
	case !r.now.Before(t.expires):
		return nil, refuse(400, "AUTH_TOKEN_EXPIRED")
	}
	a := r.c.accountLocked(t.account)
	if a.cfg.DC != r.DC {
		return nil, refuse(400, "AUTH_TOKEN_INVALID")
	}
	t.imported = true
	delete(r.c.shown, t.key)
	return a, nil
}

func (r *request) acceptLoginToken(q *api.AuthAcceptLoginTokenRequest) (tl.Object, error) {
	if err := r.c.acceptToken(r.me, string(q.Token), r.now); err != nil {
		return nil, err
	}
	return &api.Authorization{
		DeviceModel: "sim", Platform: "sim", SystemVersion: "1", APIID: 1, AppName: "sim", AppVersion: "1",
		DateCreated: int32(r.now.Unix()), DateActive: int32(r.now.Unix()), Hash: r.c.world.accessHash(r.me.id, r.now.UnixNano()),
		Unconfirmed: true, IP: "127.0.0.1", Country: "Simulation",
	}, nil
}

// acceptToken signs in whoever shows the token, as the account.
func (c *Cluster) acceptToken(a *account, token string, now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tokens[token]
	switch {
	case t == nil:
		return refuse(400, "AUTH_TOKEN_INVALIDX")
	case t.account != 0:
		return refuse(400, "AUTH_TOKEN_ALREADY_ACCEPTED")
	case !now.Before(t.expires):
		return refuse(400, "AUTH_TOKEN_EXPIRED")
	case slices.Contains(t.except, a.id):
		return refuse(400, "AUTH_TOKEN_EXCEPTION")
	}
	t.account, t.expires = a.id, now.Add(acceptedLives)
	if t.session == nil {
		return nil
	}
	update, err := layers.Downgrade(&api.UpdateShort{Update: &api.UpdateLoginToken{}, Date: int32(now.Unix())}, t.layer)
	if err != nil {
		c.cfg.Log.Error("update has no form in an old layer", "layer", t.layer, "err", err)
		return nil
	}
	t.session.Push(update)
	return nil
}

// AcceptLoginToken scans a QR code: the client that shows the token is signed
// in as the user with the phone number. It is what a telephone does with
// auth.acceptLoginToken.
func (c *Cluster) AcceptLoginToken(phone string, token []byte) error {
	a := c.byPhone(digits(phone))
	if a == nil {
		return errors.New("dctest: no account with this phone number")
	}
	if err := c.acceptToken(a, string(token), time.Now()); err != nil {
		return fmt.Errorf("dctest: login token: %w", err)
	}
	return nil
}
