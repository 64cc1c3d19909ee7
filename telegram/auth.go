package telegram

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl/api"
)

// LoginBot signs in as the bot of the token ("123456:ABC…"), which it keeps
// nowhere. If this bot is signed in already it only asks who that is: servers
// do not like repeated logins. Errors: ErrBotToken, and those of Invoke.
// See core.telegram.org/method/auth.importBotAuthorization.
func (c *Client) LoginBot(ctx context.Context, token string) (*User, error) {
	id, secret, ok := strings.Cut(token, ":")
	if !ok || !allDigits(id) || secret == "" || len(token) > 256 {
		return nil, fmt.Errorf("%w: want 123456:ABC… as @BotFather gives it", ErrBotToken)
	}
	if u := c.User(); u != nil && fmt.Sprint(u.ID) == id && c.checkLoggedIn() == nil {
		return c.Self(ctx)
	}
	if err := c.beginLogin(); err != nil {
		return nil, err
	}
	answer, err := mtproto.Call(ctx, c, &api.AuthImportBotAuthorizationRequest{
		APIID: int32(c.cfg.AppID), APIHash: c.cfg.AppHash, BotAuthToken: token,
	})
	if _, bad := isRPC(err, "ACCESS_TOKEN_INVALID", "ACCESS_TOKEN_EXPIRED"); bad {
		return nil, fmt.Errorf("%w: %w", ErrBotToken, err)
	}
	if err != nil {
		return nil, fmt.Errorf("sign in as bot: %w", err)
	}
	return c.SignedIn(answer)
}

// beginLogin fails while somebody is signed in.
func (c *Client) beginLogin() error {
	if u := c.User(); u != nil && c.checkLoggedIn() == nil {
		return fmt.Errorf("%w: the session belongs to user %d", ErrSignedIn, u.ID)
	}
	c.ending.reset()
	c.keep.update(func(s *Session) { s.Ended = "" })
	return nil
}

// SignedIn takes the answer to a login that was made through Invoke (such as
// auth.signIn) and keeps the account in the session. LoginBot calls it itself.
func (c *Client) SignedIn(answer api.AuthAuthorizationClass) (*User, error) {
	auth, ok := answer.(*api.AuthAuthorization)
	if !ok {
		return nil, ErrSignUp
	}
	u, ok := auth.User.(*api.User)
	if !ok {
		return nil, errors.New("telegram: signed in, but the server does not say as whom")
	}
	user := newUser(u)
	c.ending.reset()
	err := c.keep.updateNow(func(s *Session) {
		s.User, s.Pending, s.Takeout, s.Ended = user, nil, nil, ""
		s.keepToken(auth.FutureAuthToken)
		d := s.DCs[s.HomeDC]
		d.Authorized = true
		s.DCs[s.HomeDC] = d
	})
	if err != nil {
		return nil, err
	}
	c.cfg.Log.Info("signed in", "user", user.ID, "bot", user.Bot)
	return user, nil
}

// Self asks the server who is signed in, and keeps that in the session.
// Errors: ErrNotLoggedIn, ErrLoggedOut, and those of Invoke.
func (c *Client) Self(ctx context.Context) (*User, error) {
	users, err := mtproto.Call(ctx, c, selfQuery())
	if err != nil {
		return nil, fmt.Errorf("who is signed in: %w", err)
	}
	for _, u := range users {
		if u, ok := u.(*api.User); ok && (u.Self || len(users) == 1) {
			user := newUser(u)
			c.keep.update(func(s *Session) { s.User = user })
			copied := *user
			return &copied, nil
		}
	}
	return nil, errors.New("telegram: the server does not say who is signed in")
}

// selfQuery is the cheapest query that needs a login.
func selfQuery() *api.UsersGetUsersRequest {
	return &api.UsersGetUsersRequest{ID: []api.InputUserClass{&api.InputUserSelf{}}}
}
