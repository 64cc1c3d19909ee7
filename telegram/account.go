package telegram

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl/api"
)

// What a server says when an account, or the login to it, can do no more. All
// that is known of these errors is in this file: which there are, and what a
// person is told. See core.telegram.org/api/errors.

// An AccountState is why an account can do no more.
type AccountState string

// States of accounts. All but the last two end the login.
const (
	LoginEnded    AccountState = "login_ended"    // by the server, which does not say why
	LoginRevoked  AccountState = "login_revoked"  // from another device
	LoginExpired  AccountState = "login_expired"  // it was not used for long
	KeyDuplicated AccountState = "key_duplicated" // the login was used in two places at once
	Deactivated   AccountState = "deactivated"    // the account was deleted
	Banned        AccountState = "banned"
	Frozen        AccountState = "frozen"  // it may read only
	Limited       AccountState = "limited" // it may not send to this chat for now: PEER_FLOOD
)

// accountStates are the errors about accounts, by their type.
var accountStates = map[string]AccountState{
	"AUTH_KEY_UNREGISTERED":      LoginEnded,
	"AUTH_KEY_INVALID":           LoginEnded,
	"SESSION_REVOKED":            LoginRevoked,
	"SESSION_EXPIRED":            LoginExpired,
	"AUTH_KEY_DUPLICATED":        KeyDuplicated,
	"USER_DEACTIVATED":           Deactivated,
	"USER_DEACTIVATED_BAN":       Banned,
	"PHONE_NUMBER_BANNED":        Banned,
	"FROZEN_METHOD_INVALID":      Frozen,
	"FROZEN_PARTICIPANT_MISSING": Frozen,
	"PEER_FLOOD":                 Limited,
}

// accountTexts are what people are told: what has happened, and what to do next.
var accountTexts = map[AccountState]struct{ what, next string }{
	LoginEnded: {
		"Telegram has ended this login",
		"sign in again: what was moved is kept, and goes on from there",
	},
	LoginRevoked: {
		"this login was ended, on another device or by Telegram",
		"sign in again if you ended it yourself; if not, look in an official app (Settings > Devices) who else is signed in",
	},
	LoginExpired: {
		"this login has expired, as it was not used for long",
		"sign in again: what was moved is kept, and goes on from there",
	},
	KeyDuplicated: {
		"this login was in use in two places at once, so Telegram has ended it for good",
		"sign in again, and give each machine and each program a login of its own: a session that was copied or imported must not be used elsewhere any more",
	},
	Deactivated: {
		"this account was deleted",
		"sign in with another account; what was moved is kept",
	},
	Banned: {
		"Telegram has banned this account",
		"if that is a mistake write to recover@telegram.org; what was moved is kept, and other accounts are not concerned",
	},
	Frozen: {
		"Telegram has frozen this account: it may read, but not send",
		"appeal in an official app, or through @SpamBot; what was moved is kept, and downloads still work",
	},
	Limited: {
		"Telegram does not let this account send there for now, since it takes it for a spammer (PEER_FLOOD)",
		"ask @SpamBot in an official app for how long; do not try before. What was uploaded is kept, on the server for some hours",
	},
}

// An AccountError says that the account, or this login to it, can do no more:
// nothing at all, or nothing of the kind. It is not retryable. It is ErrLoggedOut,
// but for the states that leave the login alone.
type AccountError struct {
	State AccountState
	Err   error // what the server said: an *mtproto.RPCError or mtproto.ErrKeyUnknown
	// Until is when a frozen account is deleted unless it has appealed, and
	// Appeal where that is done. Zero if the server does not say.
	Until  time.Time
	Appeal string
}

// Error says what has happened.
func (e *AccountError) Error() string {
	text := accountTexts[e.State].what
	if !e.Until.IsZero() {
		text += ", and will be deleted on " + e.Until.Local().Format("2006-01-02")
	}
	if rpc, ok := isRPC(e.Err); ok && e.State != Limited {
		text += " (" + rpc.Type + ")"
	}
	return "telegram: " + text
}

// Advice says what a person can do next.
func (e *AccountError) Advice() string {
	if e.Appeal != "" {
		return "appeal at " + e.Appeal + "; what was moved is kept, and downloads still work"
	}
	return accountTexts[e.State].next
}

// Unwrap returns what the server said.
func (e *AccountError) Unwrap() error { return e.Err }

// Is matches ErrLoggedOut if the login has ended.
func (e *AccountError) Is(target error) bool {
	return target == ErrLoggedOut && e.State != Frozen && e.State != Limited
}

// accountError gives an error about the account its meaning; nil if it is none.
func accountError(err error) *AccountError {
	if known := (*AccountError)(nil); errors.As(err, &known) {
		return known
	}
	if rpc, ok := isRPC(err); ok {
		if state, ok := accountStates[rpc.Type]; ok {
			return &AccountError{State: state, Err: rpc}
		}
		return nil
	}
	if errors.Is(err, mtproto.ErrKeyUnknown) {
		return &AccountError{State: LoginEnded, Err: err}
	}
	return nil
}

// An ending is why the login has ended, or may have.
type ending struct {
	mu    sync.Mutex
	cause *AccountError // the most telling one; nil: none was seen
	over  bool          // it is certain
}

// telling are the states that end a login, from what says the least on: calls
// that are under way at the end may be refused in several ways.
var telling = []AccountState{LoginEnded, LoginExpired, LoginRevoked, KeyDuplicated, Deactivated, Banned}

// suspect takes in a cause; the most telling one stays.
func (e *ending) suspect(cause *AccountError) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if cause != nil && (e.cause == nil || slices.Index(telling, cause.State) > slices.Index(telling, e.cause.State)) {
		e.cause = cause
	}
}

// end makes it certain. It returns the cause, and whether that is news.
func (e *ending) end() (cause *AccountError, news bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cause == nil {
		e.cause = &AccountError{State: LoginEnded}
	}
	news, e.over = !e.over, true
	return e.cause, news
}

// err is the cause once it is certain, else nil.
func (e *ending) err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.over {
		return nil
	}
	return e.cause
}

// reset forgets all, for a new login. acquit forgets a suspicion that was wrong.
func (e *ending) reset() {
	e.mu.Lock()
	e.cause, e.over = nil, false
	e.mu.Unlock()
}

func (e *ending) acquit() {
	e.mu.Lock()
	if !e.over {
		e.cause = nil
	}
	e.mu.Unlock()
}

// freezeTimeout bounds the question about a freeze: a run that ends for it must
// end soon.
const freezeTimeout = 500 * time.Millisecond

// A freeze is what the server says of the freezing of the account.
type freeze struct {
	flight flight

	mu     sync.Mutex
	known  bool
	until  time.Time
	appeal string
}

// barred is the error for what the account may not do, if it is one: whether a
// ban has ended the login is found out.
func (c *Client) barred(ctx context.Context, err error) error {
	e := accountError(err)
	switch {
	case e == nil || !c.LoggedIn(): // an answer to a login
		return err
	case e.State == Banned:
		l, failed := c.homeSession(ctx)
		if failed != nil {
			return errors.Join(e, failed)
		}
		return c.confirmLogin(ctx, l, err)
	case e.State != Frozen:
		return e
	}
	bounded, cancel := context.WithTimeout(ctx, freezeTimeout)
	defer cancel()
	if err := c.freeze.flight.do(bounded, c.askFreeze); err != nil {
		c.cfg.Log.Info("until when the account is frozen is not known", "err", err)
	}
	c.freeze.mu.Lock()
	defer c.freeze.mu.Unlock()
	return &AccountError{State: Frozen, Err: e.Err, Until: c.freeze.until, Appeal: c.freeze.appeal}
}

// linkText is a link that can be shown as it is.
var linkText = regexp.MustCompile(`^https://[!-~]{1,200}$`)

// askFreeze fetches until when the account is frozen. Runs in freeze.flight.
// See core.telegram.org/api/auth#frozen-accounts.
func (c *Client) askFreeze(ctx context.Context) error {
	c.freeze.mu.Lock()
	known := c.freeze.known
	c.freeze.mu.Unlock()
	if known {
		return nil
	}
	l, err := c.homeSession(ctx)
	if err != nil {
		return err
	}
	fields, err := appConfig(ctx, l)
	if err != nil {
		return err
	}
	c.freeze.mu.Lock()
	defer c.freeze.mu.Unlock()
	c.freeze.known = true
	for _, f := range fields {
		switch v := f.Value.(type) {
		case *api.JsonNumber:
			if f.Key == "freeze_until_date" && v.Value > 0 && v.Value < 1<<32 {
				c.freeze.until = time.Unix(int64(v.Value), 0).UTC()
			}
		case *api.JsonString:
			if f.Key == "freeze_appeal_url" && linkText.MatchString(v.Value) {
				c.freeze.appeal = v.Value
			}
		}
	}
	return nil
}
