package telegram

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/telegram/internal/srp"
	"github.com/tghaul/haul/tl/api"
)

// maxPasswordTries bounds wrong passwords in one login: the server counts them
// too, and makes one wait for long.
const maxPasswordTries = 5

// askPassword asks for the two-step password until it is right. The server has
// seen all else. Errors: ErrNotLoggedIn if it has forgotten that.
// See core.telegram.org/api/srp.
func (c *Client) askPassword(ctx context.Context, ask PasswordAsker) (*User, error) {
	var problem error
	for tries := 1; ; tries++ {
		p, err := c.getPassword(ctx)
		if err != nil {
			return nil, err
		}
		password, err := ask.Password(ctx, PasswordRequest{Hint: p.Hint.Value, Problem: problem})
		if err != nil {
			return nil, err
		}
		user, err := c.checkPassword(ctx, p, password)
		if !errors.Is(err, ErrPasswordWrong) || tries >= maxPasswordTries {
			return user, err
		}
		problem = err
	}
}

// getPassword gets a challenge, which can be answered once.
func (c *Client) getPassword(ctx context.Context) (*api.AccountPassword, error) {
	p, err := mtproto.Call(ctx, impatient{c}, &api.AccountGetPasswordRequest{})
	if err != nil {
		return nil, loginError("ask about the password", err)
	}
	return p, nil
}

// checkPassword proves the password. A challenge that the server has
// forgotten, perhaps while it was being typed, is replaced once.
func (c *Client) checkPassword(ctx context.Context, p *api.AccountPassword, password string) (*User, error) {
	for again := false; ; again = true {
		proof, err := prove(p, password)
		if err != nil {
			return nil, err
		}
		answer, err := mtproto.Call(ctx, impatient{c}, &api.AuthCheckPasswordRequest{Password: proof})
		if err == nil {
			return c.SignedIn(answer)
		}
		if _, stale := isRPC(err, "SRP_ID_INVALID", "SRP_PASSWORD_CHANGED"); again || !stale {
			return nil, loginError("check the password", err)
		}
		if p, err = c.getPassword(ctx); err != nil {
			return nil, err
		}
	}
}

func prove(p *api.AccountPassword, password string) (*api.InputCheckPasswordSRP, error) {
	algorithm, ok := p.CurrentAlgo.(*api.PasswordKdfAlgoSHA256SHA256PBKDF2HMACSHA512iter100000SHA256ModPow)
	if !ok || !p.SrpID.Set {
		return nil, ErrTooOld
	}
	proof, err := srp.Prove(srp.Params{
		Salt1: algorithm.Salt1, Salt2: algorithm.Salt2, G: int(algorithm.G), P: algorithm.P, B: p.SrpB,
	}, []byte(password), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("prove the password: %w", err)
	}
	return &api.InputCheckPasswordSRP{SrpID: p.SrpID.Value, A: proof.A[:], M1: proof.M1[:]}, nil
}
