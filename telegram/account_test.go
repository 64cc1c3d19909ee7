package telegram

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// Each error about an account is told for what it is, by calls and by file
// sessions, and remembered by the next client if it ends the login.
func TestAccountErrors(t *testing.T) {
	for _, tt := range []struct {
		cause error
		self  error // what the server says when asked who is signed in
		state AccountState
		ends  bool
		says  string
	}{
		{rpcErr(401, "AUTH_KEY_UNREGISTERED", 0), rpcErr(401, "AUTH_KEY_UNREGISTERED", 0), LoginEnded, true, "ended this login"},
		{rpcErr(401, "SESSION_REVOKED", 0), rpcErr(401, "AUTH_KEY_UNREGISTERED", 0), LoginRevoked, true, "on another device"},
		{rpcErr(401, "SESSION_EXPIRED", 0), rpcErr(401, "AUTH_KEY_UNREGISTERED", 0), LoginExpired, true, "expired"},
		{rpcErr(401, "USER_DEACTIVATED", 0), rpcErr(401, "USER_DEACTIVATED", 0), Deactivated, true, "deleted"},
		{rpcErr(401, "USER_DEACTIVATED_BAN", 0), rpcErr(401, "AUTH_KEY_UNREGISTERED", 0), Banned, true, "banned"},
		{rpcErr(400, "PHONE_NUMBER_BANNED", 0), rpcErr(401, "AUTH_KEY_UNREGISTERED", 0), Banned, true, "banned"},
		{rpcErr(400, "PHONE_NUMBER_BANNED", 0), rpcErr(400, "PHONE_NUMBER_BANNED", 0), Banned, true, "banned"},
		{rpcErr(400, "PHONE_NUMBER_BANNED", 0), nil, Banned, false, "banned"},
		{rpcErr(406, "AUTH_KEY_DUPLICATED", 0), nil, KeyDuplicated, true, "two places"},
		{rpcErr(420, "FROZEN_METHOD_INVALID", 0), nil, Frozen, false, "frozen"},
		{rpcErr(400, "FROZEN_PARTICIPANT_MISSING", 0), nil, Frozen, false, "frozen"},
		{rpcErr(400, "PEER_FLOOD", 0), nil, Limited, false, "spammer"},
	} {
		for _, dc := range []int{0, 2, 4} { // the DC of a file session; 0: a call
			t.Run(tt.cause.Error()+map[int]string{0: " to a call", 2: " at home", 4: " elsewhere"}[dc], func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					over := false
					f := &fakeTelegram{answer: func(c fakeCall) (tl.Object, error) {
						switch c.q.(type) {
						case *api.MessagesGetChatsRequest:
							over = true
							return nil, tt.cause
						case *api.UsersGetUsersRequest, *api.AuthExportAuthorizationRequest:
							if over {
								return nil, tt.self
							}
						case *api.HelpGetAppConfigRequest:
							return nil, rpcErr(400, "NOT_NOW", 0)
						}
						return nil, nil
					}}
					store := new(MemorySession)
					if err := store.Save(testSession()); err != nil {
						t.Fatal(err)
					}
					client := fakeClient(t, f, func(cfg *Config) { cfg.Session = store })
					err := error(nil)
					if dc == 0 {
						_, err = mtproto.Call(t.Context(), client, &api.MessagesGetChatsRequest{})
					} else {
						over = true
						err = client.ReauthorizeDC(t.Context(), dc, tt.cause)
					}
					if !AboutAccount(tt.cause) {
						t.Error("it is not about the account")
					}
					checkAccountError(t, err, tt.state, tt.ends || tt.state == Banned, tt.says)
					before := len(f.calls)
					if err = client.CheckLogin(); !tt.ends && err != nil {
						t.Errorf("the login has ended: %v", err)
					}
					if !tt.ends {
						return
					}
					_, err = client.Self(t.Context())
					checkAccountError(t, err, tt.state, true, tt.says)
					if len(f.calls) != before {
						t.Errorf("%d calls after the end", len(f.calls)-before)
					}
					if err := client.Close(); err != nil {
						t.Fatal(err)
					}
					next := fakeClient(t, f, func(cfg *Config) { cfg.Session = store })
					checkAccountError(t, next.CheckLogin(), tt.state, true, tt.says)
					if _, err := next.LoginBot(t.Context(), "7:x"); err != nil || next.CheckLogin() != nil {
						t.Errorf("another login: %v, then %v", err, next.CheckLogin())
					}
				})
			})
		}
	}
}

func checkAccountError(t *testing.T, err error, state AccountState, ended bool, says string) {
	t.Helper()
	var account *AccountError
	if !errors.As(err, &account) {
		t.Fatalf("got %v, want an AccountError", err)
	}
	if account.State != state || errors.Is(err, ErrLoggedOut) != ended || !strings.Contains(err.Error(), says) || account.Advice() == "" {
		t.Errorf("%s, ended %v: %q, %q; want %s, ended %v, and %q in it", account.State, errors.Is(err, ErrLoggedOut), err, account.Advice(), state, ended, says)
	}
}

// Every state has its texts, and its place among those that end a login.
func TestAccountTexts(t *testing.T) {
	for kind, state := range accountStates {
		text := accountTexts[state]
		e := &AccountError{State: state}
		if text.what == "" || text.next == "" || slices.Contains(telling, state) != e.Is(ErrLoggedOut) {
			t.Errorf("%s: %s says %q, %q, ends the login: %v", kind, state, text.what, text.next, e.Is(ErrLoggedOut))
		}
		if react(rpcErr(401, kind, 0)) == giveUp {
			t.Errorf("nothing is done about %s", kind)
		}
	}
}

// What says more stays, whichever comes first.
func TestMostTelling(t *testing.T) {
	var e ending
	for _, step := range []struct {
		state, want AccountState
	}{{LoginEnded, LoginEnded}, {LoginRevoked, LoginRevoked}, {LoginEnded, LoginRevoked}, {Banned, Banned}, {LoginExpired, Banned}} {
		if e.suspect(&AccountError{State: step.state}); e.cause.State != step.want {
			t.Errorf("after %s it is %s, want %s", step.state, e.cause.State, step.want)
		}
	}
	if e.acquit(); e.cause != nil || e.err() != nil {
		t.Error("a suspicion that was wrong stays")
	}
	cause, news := e.end()
	if e.acquit(); cause.State != LoginEnded || !news || !errors.Is(e.err(), ErrLoggedOut) {
		t.Error("what is certain was forgotten")
	}
}

// A frozen account is told until when, and where to appeal, once.
func TestFrozen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		until := time.Now().Add(30 * 24 * time.Hour).Truncate(time.Second)
		number := &api.JsonNumber{Value: float64(until.Unix())}
		link := "https://t.me/spambot?start=x"
		f := &fakeTelegram{answer: func(c fakeCall) (tl.Object, error) {
			switch c.q.(type) {
			case *api.MessagesSendMessageRequest:
				return nil, rpcErr(420, "FROZEN_METHOD_INVALID", 0)
			case *api.HelpGetAppConfigRequest:
				return &api.HelpAppConfig{Hash: 1, Config: &api.JsonObject{Value: []api.JsonObjectValue{
					{Key: "other", Value: &api.JsonNull{}},
					{Key: "freeze_until_date", Value: number},
					{Key: "freeze_appeal_url", Value: &api.JsonString{Value: link}},
				}}}, nil
			}
			return nil, nil
		}}
		send := func(c *Client) *AccountError {
			_, err := mtproto.Call(t.Context(), c, &api.MessagesSendMessageRequest{Peer: &api.InputPeerSelf{}, RandomID: 1})
			var e *AccountError
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			return e
		}
		client := fakeClient(t, f, nil)
		for range 2 {
			e := send(client)
			if !e.Until.Equal(until) || !strings.Contains(e.Error(), until.Local().Format("2006-01-02")) || !strings.Contains(e.Advice(), link) {
				t.Errorf("told %q, %q", e, e.Advice())
			}
		}
		if n := f.count("help.getAppConfig", 0); n != 1 {
			t.Errorf("asked %d times, want once", n)
		}
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
		// What would do more than show is not shown.
		link, number.Value = "https://x/\x1b[2J", -5
		if e := send(fakeClient(t, f, nil)); e.Appeal != "" || !e.Until.IsZero() {
			t.Errorf("told until %v, %q", e.Until, e.Appeal)
		}
	})
}
