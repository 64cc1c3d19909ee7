package telegram

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// Signing in by phone, core.telegram.org/api/auth:
//
//	1. auth.sendCode, at the DC where the account lives; the answer says how
//	   the code comes
//	2. auth.signIn with the code, or auth.resendCode to get it another way
//	3. auth.checkPassword, if the account has a two-step password
//
// What was reached is kept in the session: the code may arrive when the
// process that asked for it is gone.

// A CodeKind says how a login code comes.
type CodeKind string

// Kinds of login codes.
const (
	CodeApp        CodeKind = "app"          // a message from Telegram in another app that is signed in
	CodeSMS        CodeKind = "sms"          //
	CodeCall       CodeKind = "call"         // a voice tells it
	CodeFlashCall  CodeKind = "flash_call"   // it is the number that calls, which fits Detail
	CodeMissedCall CodeKind = "missed_call"  // it is the end of the number that calls, which begins with Detail
	CodeEmail      CodeKind = "email"        // to an address like Detail
	CodeEmailSetUp CodeKind = "email_set_up" // none before the account has an e-mail address; see EmailAsker
	CodeFragment   CodeKind = "fragment"     // of an anonymous number: at the address Detail
	CodeFirebase   CodeKind = "firebase"     // only official apps can receive it
	CodeWord       CodeKind = "sms_word"     // a word in an SMS, which begins with Detail
	CodePhrase     CodeKind = "sms_phrase"   // a phrase in an SMS, which begins with Detail
)

// A SentCode says how a login code was sent.
type SentCode struct {
	Kind   CodeKind  `json:"kind"`
	Length int       `json:"length,omitempty"` // characters; 0: not known
	Detail string    `json:"detail,omitempty"` // see the kinds
	Next   CodeKind  `json:"next,omitempty"`   // how another one would come; "": by no other way that is known
	Resend time.Time `json:"resend,omitzero"`  // when another may be asked for; zero: at once
	// CanReset says, of CodeEmail, that the address can be given up (ErrResetEmail),
	// and ResetPeriod how long that takes; ResetAt is when it will be, if somebody
	// has asked for it.
	CanReset    bool          `json:"can_reset,omitempty"`
	ResetPeriod time.Duration `json:"reset_period,omitempty"`
	ResetAt     time.Time     `json:"reset_at,omitzero"`
}

// A CodeRequest asks a person for a code.
type CodeRequest struct {
	SentCode
	// Problem is why it is asked for again: ErrCodeInvalid, ErrCodeExpired
	// (then this is a new one), ErrCodeUnavailable, ErrCodeEarly or ErrResetPending.
	// nil at first.
	Problem error
}

// A PasswordRequest asks a person for the two-step password.
type PasswordRequest struct {
	Hint    string // as the person has chosen it; "": none
	Problem error  // ErrPasswordWrong when it is asked for again
}

// A PasswordAsker asks for the password of an account that has one.
type PasswordAsker interface {
	Password(context.Context, PasswordRequest) (string, error)
}

// A CodeAsker asks for what a login by phone needs. Code may return
// ErrResendCode or ErrResetEmail instead of a code. Any other error ends the login; a later
// one goes on with the code that was sent.
type CodeAsker interface {
	PasswordAsker
	Code(context.Context, CodeRequest) (string, error)
}

// ErrResendCode is what CodeAsker.Code returns to get another code, sent in
// another way if there is one.
var ErrResendCode = errors.New("telegram: send another code")

// A PendingLogin is a login by phone that was begun. It is a secret, as the
// session is.
type PendingLogin struct {
	Phone    string    `json:"phone"` // digits
	CodeHash string    `json:"code_hash"`
	Code     SentCode  `json:"code"`
	Begun    time.Time `json:"begun"`
	Password bool      `json:"password,omitempty"` // only the password is missing
	Email    string    `json:"email,omitempty"`    // address that is to be set up, to which a code was sent
}

// Format prints what is no secret of the login, whatever the verb.
func (p PendingLogin) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "login begun at %v, code by %s", p.Begun, p.Code.Kind)
}

// LogValue logs what Format prints.
func (p PendingLogin) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(p)) }

const (
	pendingLife      = 15 * time.Minute // that a later process goes on with a login
	maxCodeTries     = 5                // wrong codes
	maxCodeAsks      = 20               // questions, those for another code included
	maxLoginRestarts = 3
	maxFutureTokens  = 20
)

// keepToken adds a future auth token, and forgets the oldest beyond 20.
func (s *Session) keepToken(token []byte) {
	if len(token) == 0 {
		return
	}
	s.FutureTokens = append(s.FutureTokens[:len(s.FutureTokens):len(s.FutureTokens)], token)
	if n := len(s.FutureTokens) - maxFutureTokens; n > 0 {
		s.FutureTokens = s.FutureTokens[n:]
	}
}

// impatient calls methods of a login, or others where the caller tells of floods
// and waits by itself: it waits none out.
type impatient struct{ c *Client }

func (i impatient) Invoke(ctx context.Context, q tl.Object) (*mtproto.Response, error) {
	return i.c.invoke(ctx, q, 0)
}

// CleanPhone is a phone number as the server wants it: digits only, without
// the blanks, dashes, dots, brackets and the plus that people write.
// Errors: ErrPhoneInvalid.
func CleanPhone(phone string) (string, error) {
	digits := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -.()/\t\u00a0", r) {
			return -1
		}
		return r
	}, strings.TrimSpace(phone))
	digits = strings.TrimPrefix(digits, "+")
	if !allDigits(digits) || len(digits) < 5 || len(digits) > 15 {
		return "", ErrPhoneInvalid
	}
	return digits, nil
}

// LoginPhone signs in as the user with the phone number, and asks for what
// that needs. It makes no new accounts: ErrSignUp. A code that an earlier call
// has asked for within 15 minutes is used, also by another process with the
// same session.
//
// Errors: those of login_errors.go, ErrSignedIn, those of ask and of Invoke.
// A flood wait is returned, and not waited for.
func (c *Client) LoginPhone(ctx context.Context, phone string, ask CodeAsker) (*User, error) {
	digits, err := CleanPhone(phone)
	if err != nil {
		return nil, err
	}
	if err := c.beginLogin(); err != nil {
		return nil, err
	}
	var problem error
	for range maxLoginRestarts + 1 {
		l := phoneLogin{c: c, ask: ask, phone: digits, problem: problem}
		user, err := l.run(ctx)
		switch {
		case errors.Is(err, ErrCodeExpired):
			problem = ErrCodeExpired
		case errors.Is(err, ErrLoginRestart), errors.Is(err, errStaleLogin):
			problem = nil
		default:
			return user, err
		}
		c.cfg.Log.Info("the login begins anew", "err", err)
		if err := c.keep.updateNow(func(s *Session) { s.Pending = nil }); err != nil {
			return nil, err
		}
	}
	return nil, ErrLoginRestart
}

// errStaleLogin: the server has forgotten a login that waited for a password.
var errStaleLogin = errors.New("telegram: the server has forgotten the login")

// A phoneLogin is one try at a login by phone.
type phoneLogin struct {
	c       *Client
	ask     CodeAsker
	phone   string
	problem error // for the next question
}

func (l *phoneLogin) run(ctx context.Context) (*User, error) {
	p := l.pending(ctx)
	if p == nil {
		user, err := l.sendCode(ctx)
		if user != nil || err != nil {
			return user, err
		}
		p = l.saved()
	}
	if p.Code.Kind == CodeEmailSetUp {
		user, err := l.setUpEmail(ctx, p)
		if user != nil || err != nil {
			return user, err
		}
		if p = l.saved(); p.Code.Kind == CodeEmailSetUp {
			return nil, ErrEmailRequired
		}
	}
	if !p.Password {
		user, err := l.askCode(ctx, p)
		if !errors.Is(err, errPasswordNeeded) {
			return user, err
		}
		if err := l.save(&PendingLogin{Phone: l.phone, Password: true}); err != nil {
			return nil, err
		}
	}
	user, err := l.c.askPassword(ctx, l.ask)
	if errors.Is(err, ErrNotLoggedIn) {
		return nil, fmt.Errorf("%w: %w", errStaleLogin, err)
	}
	return user, err
}

func (l *phoneLogin) saved() *PendingLogin {
	return get(l.c.keep, func(s *Session) *PendingLogin { return s.Pending })
}

func (l *phoneLogin) save(p *PendingLogin) error {
	p.Begun = time.Now().UTC()
	return l.c.keep.updateNow(func(s *Session) { s.Pending = p })
}

// pending is an earlier login to go on with, nil if there is none. That of
// another number is given up.
func (l *phoneLogin) pending(ctx context.Context) *PendingLogin {
	p := l.saved()
	age := time.Duration(0)
	if p != nil {
		age = time.Since(p.Begun)
	}
	switch {
	case p == nil || age < 0 || age > pendingLife:
		return nil
	case p.Phone != l.phone:
		if !p.Password {
			q := &api.AuthCancelCodeRequest{PhoneNumber: p.Phone, PhoneCodeHash: p.CodeHash}
			if _, err := mtproto.Call(ctx, impatient{l.c}, q); err != nil {
				l.c.cfg.Log.Debug("code not cancelled", "err", err) // it will expire
			}
		}
		return nil
	}
	return p
}

// sendCode asks for a code and keeps what to go on with. The user is set if
// that has signed in already.
func (l *phoneLogin) sendCode(ctx context.Context) (*User, error) {
	var settings api.CodeSettings
	for _, t := range get(l.c.keep, func(s *Session) []SecretBytes { return s.FutureTokens }) {
		settings.LogoutTokens = append(settings.LogoutTokens, t)
	}
	answer, err := mtproto.Call(ctx, impatient{l.c}, &api.AuthSendCodeRequest{
		PhoneNumber: l.phone, APIID: int32(l.c.cfg.AppID), APIHash: l.c.cfg.AppHash, Settings: settings,
	})
	if err == nil {
		return l.sent(answer)
	}
	if err = loginError("ask for a code", err); errors.Is(err, errPasswordNeeded) {
		return nil, l.save(&PendingLogin{Phone: l.phone, Password: true})
	}
	return nil, err
}

// sent keeps what the server says about a code.
func (l *phoneLogin) sent(answer api.AuthSentCodeClass) (*User, error) {
	switch a := answer.(type) {
	case *api.AuthSentCodeSuccess:
		return l.c.SignedIn(a.Authorization)
	case *api.AuthSentCode:
		code, err := newSentCode(a)
		if err != nil {
			return nil, err
		}
		return nil, l.save(&PendingLogin{Phone: l.phone, CodeHash: a.PhoneCodeHash, Code: code})
	default:
		return nil, ErrCodePayment
	}
}

// askCode asks for the code until it is right.
func (l *phoneLogin) askCode(ctx context.Context, p *PendingLogin) (*User, error) {
	for wrong, asks := 0, 0; asks < maxCodeAsks; asks++ {
		code, err := l.ask.Code(ctx, CodeRequest{SentCode: p.Code, Problem: l.problem})
		switch {
		case errors.Is(err, ErrResendCode), errors.Is(err, ErrResetEmail):
			another := l.resend
			if errors.Is(err, ErrResetEmail) {
				another = l.resetEmail
			}
			user, err := another(ctx, p)
			if user != nil || err != nil {
				return user, err
			}
			p = l.saved()
			continue
		case err != nil:
			return nil, err
		}
		user, err := l.signIn(ctx, p, code)
		if !errors.Is(err, ErrCodeInvalid) {
			return user, err
		}
		if wrong++; wrong >= maxCodeTries {
			return nil, err
		}
		l.problem = err
	}
	return nil, ErrCodeInvalid
}

// resend asks for another code. What keeps it from coming is told with the next
// question: the one that was sent still holds.
func (l *phoneLogin) resend(ctx context.Context, p *PendingLogin) (*User, error) {
	if wait := time.Until(p.Code.Resend); wait > 0 {
		l.problem = fmt.Errorf("%w: possible in %v", ErrCodeEarly, wait.Truncate(time.Second)+time.Second)
		return nil, nil
	}
	answer, err := mtproto.Call(ctx, impatient{l.c}, &api.AuthResendCodeRequest{PhoneNumber: p.Phone, PhoneCodeHash: p.CodeHash})
	if err != nil {
		if err = loginError("ask for another code", err); errors.Is(err, ErrCodeUnavailable) {
			l.problem = err
			return nil, nil
		}
		return nil, err
	}
	l.problem = nil
	return l.sent(answer)
}

func (l *phoneLogin) signIn(ctx context.Context, p *PendingLogin, code string) (*User, error) {
	code = strings.TrimSpace(code)
	q := &api.AuthSignInRequest{PhoneNumber: p.Phone, PhoneCodeHash: p.CodeHash}
	if p.Code.Kind == CodeEmail {
		q.EmailVerification = &api.EmailVerificationCode{Code: code}
	} else {
		q.PhoneCode = tl.Some(code)
	}
	answer, err := mtproto.Call(ctx, impatient{l.c}, q)
	if err != nil {
		return nil, loginError("sign in", err)
	}
	return l.c.SignedIn(answer)
}

// newSentCode reads how a code comes. Errors: ErrTooOld.
func newSentCode(a *api.AuthSentCode) (SentCode, error) {
	var s SentCode
	switch t := a.Type.(type) {
	case *api.AuthSentCodeTypeApp:
		s = SentCode{Kind: CodeApp, Length: int(t.Length)}
	case *api.AuthSentCodeTypeSms:
		s = SentCode{Kind: CodeSMS, Length: int(t.Length)}
	case *api.AuthSentCodeTypeCall:
		s = SentCode{Kind: CodeCall, Length: int(t.Length)}
	case *api.AuthSentCodeTypeFlashCall:
		s = SentCode{Kind: CodeFlashCall, Detail: t.Pattern}
	case *api.AuthSentCodeTypeMissedCall:
		s = SentCode{Kind: CodeMissedCall, Detail: t.Prefix, Length: int(t.Length)}
	case *api.AuthSentCodeTypeEmailCode:
		s = SentCode{Kind: CodeEmail, Detail: t.EmailPattern, Length: int(t.Length)}.withReset(t)
	case *api.AuthSentCodeTypeSetUpEmailRequired:
		s = SentCode{Kind: CodeEmailSetUp}
	case *api.AuthSentCodeTypeFragmentSms:
		s = SentCode{Kind: CodeFragment, Detail: t.URL, Length: int(t.Length)}
	case *api.AuthSentCodeTypeFirebaseSms:
		s = SentCode{Kind: CodeFirebase, Length: int(t.Length)}
	case *api.AuthSentCodeTypeSmsWord:
		s = SentCode{Kind: CodeWord, Detail: t.Beginning.Value}
	case *api.AuthSentCodeTypeSmsPhrase:
		s = SentCode{Kind: CodePhrase, Detail: t.Beginning.Value}
	default:
		return s, fmt.Errorf("%w: a code comes as %s", ErrTooOld, a.Type.TypeName())
	}
	switch a.NextType.(type) {
	case *api.AuthCodeTypeSms:
		s.Next = CodeSMS
	case *api.AuthCodeTypeCall:
		s.Next = CodeCall
	case *api.AuthCodeTypeFlashCall:
		s.Next = CodeFlashCall
	case *api.AuthCodeTypeMissedCall:
		s.Next = CodeMissedCall
	case *api.AuthCodeTypeFragmentSms:
		s.Next = CodeFragment
	}
	if a.Timeout.Value > 0 {
		s.Resend = time.Now().UTC().Add(time.Duration(a.Timeout.Value) * time.Second)
	}
	return s, nil
}
