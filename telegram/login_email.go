package telegram

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl/api"
)

// Login e-mails, core.telegram.org/api/auth#email-verification. Of some accounts
// Telegram wants an address before it sends a code: account.sendVerifyEmailCode
// sends one there that proves it, account.verifyEmail takes that and answers how
// the code for the login comes. auth.resetLoginEmail gives an address up that
// the person can read no more.

// An EmailRequest asks a person for an e-mail address, to which Telegram will
// send codes for logins from then on.
type EmailRequest struct {
	// Problem is why it is asked for again: ErrEmailInvalid, ErrEmailNotAllowed,
	// or ErrCodeExpired if its code was not given in time. nil at first.
	Problem error
}

// An EmailAsker is a CodeAsker that can also set up the e-mail address that an
// account needs for its logins. The code that proves the address is asked for as
// a code of kind CodeEmailSetUp; ErrResendCode then asks for the address again.
type EmailAsker interface {
	CodeAsker
	Email(context.Context, EmailRequest) (string, error)
}

// ErrResetEmail is what CodeAsker.Code returns, asked for a code of kind
// CodeEmail, to have the address given up: at once or after
// SentCode.ResetPeriod the code is sent in another way.
var ErrResetEmail = errors.New("telegram: give the login e-mail up")

// setUpPurpose says for which login an address is.
func (p *PendingLogin) setUpPurpose() *api.EmailVerifyPurposeLoginSetup {
	return &api.EmailVerifyPurposeLoginSetup{PhoneNumber: p.Phone, PhoneCodeHash: p.CodeHash}
}

// setUpEmail asks for an address and for its code until that is right. The user
// is set if that has signed in already; else the login goes on with what was saved.
func (l *phoneLogin) setUpEmail(ctx context.Context, p *PendingLogin) (*User, error) {
	ask, ok := l.ask.(EmailAsker)
	if !ok {
		return nil, ErrEmailRequired
	}
	for wrong, asks := 0, 0; asks < maxCodeAsks; asks++ {
		if p.Email == "" {
			var err error
			if p, err = l.askEmail(ctx, ask, p); err != nil {
				return nil, err
			}
		}
		code, err := ask.Code(ctx, CodeRequest{SentCode: p.Code, Problem: l.problem})
		if errors.Is(err, ErrResendCode) {
			p, l.problem = p.withoutEmail(), nil
			continue
		}
		if err != nil {
			return nil, err
		}
		user, err := l.verifyEmail(ctx, p, code)
		_, late := isRPC(err, "EMAIL_VERIFY_EXPIRED")
		switch {
		case late:
			p, l.problem = p.withoutEmail(), ErrCodeExpired
		case !errors.Is(err, ErrCodeInvalid):
			return user, err
		default:
			if wrong++; wrong >= maxCodeTries {
				return nil, err
			}
			l.problem = err
		}
	}
	return nil, ErrCodeInvalid
}

// withoutEmail is the login before an address was given.
func (p *PendingLogin) withoutEmail() *PendingLogin {
	return &PendingLogin{Phone: p.Phone, CodeHash: p.CodeHash, Code: SentCode{Kind: CodeEmailSetUp}}
}

// askEmail asks for an address until the server sends a code there.
func (l *phoneLogin) askEmail(ctx context.Context, ask EmailAsker, p *PendingLogin) (*PendingLogin, error) {
	for range maxCodeTries {
		email, err := ask.Email(ctx, EmailRequest{Problem: l.problem})
		if err != nil {
			return nil, err
		}
		email = strings.TrimSpace(email)
		sent, err := mtproto.Call(ctx, impatient{l.c}, &api.AccountSendVerifyEmailCodeRequest{Purpose: p.setUpPurpose(), Email: email})
		if err == nil {
			l.problem = nil
			p = p.withoutEmail()
			p.Email, p.Code.Detail, p.Code.Length = email, sent.EmailPattern, int(sent.Length)
			return p, l.save(p)
		}
		err = loginError("send a code to the e-mail address", err)
		if !errors.Is(err, ErrEmailInvalid) && !errors.Is(err, ErrEmailNotAllowed) {
			return nil, err
		}
		l.problem = err
	}
	return nil, l.problem
}

// verifyEmail proves the address with the code that was sent there.
func (l *phoneLogin) verifyEmail(ctx context.Context, p *PendingLogin, code string) (*User, error) {
	verified, err := mtproto.Call(ctx, impatient{l.c}, &api.AccountVerifyEmailRequest{
		Purpose: p.setUpPurpose(), Verification: &api.EmailVerificationCode{Code: strings.TrimSpace(code)},
	})
	if err != nil {
		return nil, loginError("prove the e-mail address", err)
	}
	login, ok := verified.(*api.AccountEmailVerifiedLogin)
	if !ok {
		return nil, fmt.Errorf("prove the e-mail address: %w: %s", mtproto.ErrBadAnswer, verified.TypeName())
	}
	l.problem = nil
	return l.sent(login.SentCode)
}

// resetEmail has the login e-mail given up. What keeps it from being so is told
// with the next question.
func (l *phoneLogin) resetEmail(ctx context.Context, p *PendingLogin) (*User, error) {
	if p.Code.Kind != CodeEmail || !p.Code.CanReset && p.Code.ResetAt.IsZero() {
		l.problem = ErrCodeUnavailable
		return nil, nil
	}
	answer, err := mtproto.Call(ctx, impatient{l.c}, &api.AuthResetLoginEmailRequest{PhoneNumber: p.Phone, PhoneCodeHash: p.CodeHash})
	if _, asked := isRPC(err, "TASK_ALREADY_EXISTS"); asked {
		l.problem = ErrResetPending
		return nil, nil
	}
	if err != nil {
		return nil, loginError("give the login e-mail up", err)
	}
	l.problem = nil
	user, err := l.sent(answer)
	if user == nil && err == nil && l.saved().Code.Kind == CodeEmail {
		l.problem = ErrResetPending
	}
	return user, err
}

// withReset adds to a code by e-mail what is known of giving the address up.
func (s SentCode) withReset(t *api.AuthSentCodeTypeEmailCode) SentCode {
	if s.CanReset = t.ResetAvailablePeriod.Set; s.CanReset {
		s.ResetPeriod = time.Duration(max(t.ResetAvailablePeriod.Value, 0)) * time.Second
	}
	if t.ResetPendingDate.Set {
		s.ResetAt = unixTime(t.ResetPendingDate.Value)
	}
	return s
}
