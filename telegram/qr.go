package telegram

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl/api"
)

// Signing in by QR code, core.telegram.org/api/qr-login: auth.exportLoginToken
// gives a token to show. When somebody has scanned it an update comes, and
// exporting again answers with the account, or with the DC where it lives. The
// update may get lost, so that is asked from time to time anyway, and a new
// token is shown when one expires.

// A LoginToken is what a QR code shows. Whoever accepts it lets this client
// into their account, and nothing else: it is worth little to a thief.
type LoginToken struct {
	URL     string    // tg://login?token=…, the text of the code
	Expires time.Time // by the local clock; the next token comes then
}

// A TokenShower shows the token of a login by QR code, in place of the one
// before. It must return soon: the login goes on when it does.
type TokenShower interface {
	PasswordAsker
	ShowToken(context.Context, LoginToken) error
}

const (
	qrPoll     = 10 * time.Second // between questions whether somebody has scanned it
	minQRLife  = time.Second      // bounds of what the server says of the life of a token
	maxQRLife  = 2 * time.Minute
	maxQRStale = 5 // restarts without a token in between
)

// LoginQR signs in as whoever scans the code that ask shows: in an official
// app, Settings > Devices > Link Desktop Device. It goes on showing new codes
// until ctx ends. Accounts with the user ids of except are signed in beside it,
// and cannot accept the code. Errors: those of login_errors.go, ErrSignedIn, those of ask
// and of Invoke. A flood wait is returned, and not waited for.
func (c *Client) LoginQR(ctx context.Context, ask TokenShower, except ...int64) (*User, error) {
	if err := c.beginLogin(); err != nil {
		return nil, err
	}
	q := qrLogin{c: c, ask: ask, except: except}
	user, err := q.run(ctx)
	if errors.Is(err, errPasswordNeeded) {
		return c.askPassword(ctx, ask)
	}
	return user, err
}

// qrAccepted takes updateLoginToken. It must not block.
func (c *Client) qrAccepted() {
	select {
	case c.qr <- struct{}{}:
	default: // the wake-up that waits serves for this one too
	}
}

type qrLogin struct {
	c      *Client
	ask    TokenShower
	except []int64
	shown  []byte
}

func (l *qrLogin) run(ctx context.Context) (*User, error) {
	for stale := 0; ; {
		answer, err := mtproto.Call(ctx, impatient{l.c}, &api.AuthExportLoginTokenRequest{
			APIID: int32(l.c.cfg.AppID), APIHash: l.c.cfg.AppHash, ExceptIDs: l.except,
		})
		if err == nil {
			answer, err = l.follow(ctx, answer)
		}
		if err != nil {
			if err = loginError("sign in by QR code", err); errors.Is(err, ErrLoginRestart) && stale < maxQRStale {
				stale++
				l.c.cfg.Log.Info("the login begins anew", "err", err)
				if err := pause(ctx, backOffPause(0)); err != nil {
					return nil, err
				}
				continue
			}
			return nil, err
		}
		switch a := answer.(type) {
		case *api.AuthLoginTokenSuccess:
			return l.c.SignedIn(a.Authorization)
		case *api.AuthLoginToken:
			stale = 0
			if err := l.show(ctx, a); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("sign in by QR code: %w: %s", mtproto.ErrBadAnswer, answer.TypeName())
		}
	}
}

// follow goes to the DC of the account that has scanned the code, if that is
// another one, and fetches the login there.
func (l *qrLogin) follow(ctx context.Context, answer api.AuthLoginTokenClass) (api.AuthLoginTokenClass, error) {
	for range maxHomeMoves {
		move, ok := answer.(*api.AuthLoginTokenMigrateTo)
		if !ok {
			return answer, nil
		}
		from, err := l.c.homeSession(ctx)
		if err != nil {
			return nil, err
		}
		if err := l.c.moveHome(ctx, from, int(move.DCID)); err != nil {
			return nil, err
		}
		answer, err = mtproto.Call(ctx, impatient{l.c}, &api.AuthImportLoginTokenRequest{Token: move.Token})
		if err != nil {
			return nil, err
		}
	}
	return answer, nil
}

// show shows a token, unless it is shown already, and returns when it is time
// to ask about it.
func (l *qrLogin) show(ctx context.Context, t *api.AuthLoginToken) error {
	offset := l.c.keep.dc(l.c.HomeDC()).TimeOffset
	life := time.Until(time.Unix(int64(t.Expires), 0).Add(-offset))
	life = min(max(life, minQRLife), maxQRLife)
	if !bytes.Equal(t.Token, l.shown) {
		l.shown = t.Token
		url := "tg://login?token=" + base64.RawURLEncoding.EncodeToString(t.Token)
		if err := l.ask.ShowToken(ctx, LoginToken{URL: url, Expires: time.Now().Add(life)}); err != nil {
			return err
		}
	}
	timer := time.NewTimer(min(life, qrPoll))
	defer timer.Stop()
	select {
	case <-l.c.qr:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// AcceptLoginToken signs another client in to this account: the one that shows
// the token of the tg://login?token=… link, as its QR code has it.
// Errors: ErrNotLink, ErrUserOnly, and those of Invoke.
func (c *Client) AcceptLoginToken(ctx context.Context, url string) error {
	const prefix = "tg://login?token="
	if len(url) <= len(prefix) || url[:len(prefix)] != prefix {
		return fmt.Errorf("%w: want %s…", ErrNotLink, prefix)
	}
	token, err := base64.RawURLEncoding.DecodeString(url[len(prefix):])
	if err != nil {
		return fmt.Errorf("%w: no token in it", ErrNotLink)
	}
	if err := c.checkLoggedIn(); err != nil {
		return err
	}
	if _, err := mtproto.Call(ctx, c, &api.AuthAcceptLoginTokenRequest{Token: token}); err != nil {
		return fmt.Errorf("accept the login: %w", err)
	}
	return nil
}
