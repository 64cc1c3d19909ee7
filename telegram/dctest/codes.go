package dctest

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// Signing in by phone: auth.sendCode, resendCode, cancelCode and signIn.
// See core.telegram.org/api/auth.

// signIns is what goes on before somebody is signed in. Guarded by Cluster.mu.
type signIns struct {
	codes   map[string]*sentCode   // by phone_code_hash
	sends   map[string][]time.Time // codes sent within a day, by phone
	halfway map[keyAt]int64        // accounts of which only the password is missing
	srp     map[int64]*srpTry      // by srp_id
	wrong   map[int64]*wrongTries  // passwords, by account
	futures map[string]int64       // accounts by future auth token
	tokens  map[string]*loginToken // QR codes
	shown   map[keyAt]string       // the token that a key shows
	watched map[keyAt]bool         // keys whose token is about to be scanned
}

func newSignIns() signIns {
	return signIns{
		codes: map[string]*sentCode{}, sends: map[string][]time.Time{}, halfway: map[keyAt]int64{}, srp: map[int64]*srpTry{},
		wrong: map[int64]*wrongTries{}, futures: map[string]int64{}, tokens: map[string]*loginToken{}, shown: map[keyAt]string{},
		watched: map[keyAt]bool{},
	}
}

const (
	minPhone      = 5 // digits of a phone number
	maxPhone      = 15
	maxWrongCodes = 5  // then the code is void
	maxFutures    = 20 // logout_tokens that a client may send
	codeHashSize  = 9
)

func digits(s string) string {
	return strings.Map(func(c rune) rune {
		if c < '0' || c > '9' {
			return -1
		}
		return c
	}, s)
}

// phoneNumber is the number in digits. A plus in front and blanks are passed
// over, as the real servers do.
func phoneNumber(s string) (string, error) {
	d := digits(s)
	if len(d) < minPhone || len(d) > maxPhone || strings.Trim(s, "+0123456789 ") != "" {
		return "", refuse(406, "PHONE_NUMBER_INVALID")
	}
	return d, nil
}

func (c *Cluster) byPhone(phone string) *account {
	for _, a := range c.accounts {
		if a.cfg.Phone != "" && digits(a.cfg.Phone) == phone {
			return a
		}
	}
	return nil
}

// A sentCode is a code that was sent and not used yet.
type sentCode struct {
	phone string // digits
	key   keyAt
	code  string
	kind  string
	next  []string // kinds that resendCode goes on with
	sent  time.Time
	wrong int
	// account is who it is for; 0 for nobody.
	account int64
}

// codeKinds make the type of a sent code, by its name in scenarios.
var codeKinds = map[string]func(c *sentCode) api.AuthSentCodeTypeClass{
	"app": func(c *sentCode) api.AuthSentCodeTypeClass { return &api.AuthSentCodeTypeApp{Length: c.length()} },
	"sms": func(c *sentCode) api.AuthSentCodeTypeClass { return &api.AuthSentCodeTypeSms{Length: c.length()} },
	"call": func(c *sentCode) api.AuthSentCodeTypeClass {
		return &api.AuthSentCodeTypeCall{Length: c.length()}
	},
	"flash_call": func(c *sentCode) api.AuthSentCodeTypeClass {
		return &api.AuthSentCodeTypeFlashCall{Pattern: "*"}
	},
	"missed_call": func(c *sentCode) api.AuthSentCodeTypeClass {
		return &api.AuthSentCodeTypeMissedCall{Prefix: "155501", Length: c.length()}
	},
	setUpEmail: func(*sentCode) api.AuthSentCodeTypeClass { return &api.AuthSentCodeTypeSetUpEmailRequired{} },
	"fragment": func(c *sentCode) api.AuthSentCodeTypeClass {
		return &api.AuthSentCodeTypeFragmentSms{URL: "https://fragment.com/number/" + c.phone + "/code", Length: c.length()}
	},
	"firebase": func(c *sentCode) api.AuthSentCodeTypeClass {
		return &api.AuthSentCodeTypeFirebaseSms{Length: c.length()}
	},
	"sms_word": func(c *sentCode) api.AuthSentCodeTypeClass {
		return &api.AuthSentCodeTypeSmsWord{Beginning: tl.Some(c.code[:1])}
	},
	"sms_phrase": func(c *sentCode) api.AuthSentCodeTypeClass {
		first, _, _ := strings.Cut(c.code, " ")
		return &api.AuthSentCodeTypeSmsPhrase{Beginning: tl.Some(first)}
	},
}

// emailKind is a code by e-mail, see emailCode; setUpEmail is none before there is an address.
const (
	emailKind  = "email"
	setUpEmail = "set_up_email"
)

// paymentKind is the answer that asks for a payment instead of sending a code.
const paymentKind = "payment"

// nextKinds are the kinds that a sent code can announce as the next one.
var nextKinds = map[string]api.AuthCodeTypeClass{
	"sms": &api.AuthCodeTypeSms{}, "call": &api.AuthCodeTypeCall{}, "flash_call": &api.AuthCodeTypeFlashCall{},
	"missed_call": &api.AuthCodeTypeMissedCall{}, "fragment": &api.AuthCodeTypeFragmentSms{},
}

func (c *sentCode) length() int32 { return int32(len(c.code)) }

// checkCode reports what is wrong with how an account gets its codes.
func (a *AccountConfig) checkCode() error {
	if codeKinds[a.CodeType] == nil && a.CodeType != paymentKind && a.CodeType != emailKind {
		return fmt.Errorf("unknown code_type %q", a.CodeType)
	}
	for _, kind := range a.ResendTypes {
		if nextKinds[kind] == nil {
			return fmt.Errorf("resend_types: no code is sent again by %q", kind)
		}
	}
	if a.Phone != "" && (len(digits(a.Phone)) < minPhone || len(digits(a.Phone)) > maxPhone || a.Code == "") {
		return errors.New("a phone needs a number in international form and a code")
	}
	return nil
}

func (r *request) sendCode(q *api.AuthSendCodeRequest) (tl.Object, error) {
	if q.APIID <= 0 || q.APIHash == "" {
		return nil, refuse(400, "API_ID_INVALID")
	}
	phone, err := phoneNumber(q.PhoneNumber)
	if err != nil {
		return nil, err
	}
	a := r.c.byPhone(phone)
	switch {
	case a == nil:
	case a.cfg.Banned:
		return nil, refuse(400, "PHONE_NUMBER_BANNED")
	case a.cfg.DC != r.DC:
		return nil, refuse(303, "PHONE_MIGRATE_"+strconv.Itoa(a.cfg.DC))
	case r.takeFuture(a, q.Settings.LogoutTokens):
		auth, err := r.enter(a)
		if err != nil {
			return nil, err
		}
		return &api.AuthSentCodeSuccess{Authorization: auth.(*api.AuthAuthorization)}, nil
	case a.cfg.CodeType == paymentKind:
		return &api.AuthSentCodePaymentRequired{
			StoreProduct: "sim", PhoneCodeHash: newCodeHash(), SupportEmailAddress: "nobody@example.org", Currency: "EUR", Amount: 100,
		}, nil
	}
	return r.newCode(phone, a)
}

// takeFuture uses a future auth token of the account up, if there is one.
func (r *request) takeFuture(a *account, tokens [][]byte) bool {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	for _, t := range tokens[:min(len(tokens), maxFutures)] {
		if r.c.futures[string(t)] == a.id {
			delete(r.c.futures, string(t))
			return true
		}
	}
	return false
}

func newCodeHash() string {
	b := make([]byte, codeHashSize)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// newCode sends a code to a phone, of an account or of nobody. It voids the
// one that the key had asked for before.
func (r *request) newCode(phone string, a *account) (tl.Object, error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	day := slices.DeleteFunc(r.c.sends[phone], func(t time.Time) bool { return r.now.Sub(t) >= 24*time.Hour })
	r.c.sends[phone] = day
	if len(day) >= r.c.cfg.CodesPerDay {
		return nil, refuse(400, "PHONE_NUMBER_FLOOD")
	}
	r.c.sends[phone] = append(day, r.now)
	for hash, c := range r.c.codes {
		if c.phone == phone && c.key == r.key() {
			delete(r.c.codes, hash)
		}
	}
	code := &sentCode{phone: phone, key: r.key(), kind: "sms", code: Code, sent: r.now}
	if a != nil {
		code.kind, code.code, code.next, code.account = a.cfg.CodeType, a.cfg.Code, a.cfg.ResendTypes, a.id
		if r.c.emails.set[a.id] != "" {
			code.kind = emailKind
		}
	}
	hash := newCodeHash()
	r.c.codes[hash] = code
	return r.sent(hash, code), nil
}

// sent tells a client of a code.
func (r *request) sent(hash string, c *sentCode) *api.AuthSentCode {
	s := &api.AuthSentCode{PhoneCodeHash: hash}
	if c.kind == emailKind {
		s.Type = r.emailCode(c)
	} else {
		s.Type = codeKinds[c.kind](c)
	}
	if len(c.next) > 0 {
		s.NextType = nextKinds[c.next[0]]
		if timeout := time.Duration(r.c.cfg.CodeTimeout); timeout >= time.Second {
			s.Timeout = tl.Some(int32(seconds(timeout)))
		}
	}
	return s
}

// seconds is a time in seconds, rounded up.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// codeLocked is the code that a hash stands for, if this client may use it still.
func (r *request) codeLocked(phone, hash string) (*sentCode, error) {
	number, err := phoneNumber(phone)
	if err != nil {
		return nil, err
	}
	c := r.c.codes[hash]
	switch {
	case hash == "":
		return nil, refuse(400, "PHONE_CODE_HASH_EMPTY")
	case c == nil || c.phone != number || c.key != r.key() || r.now.Sub(c.sent) >= time.Duration(r.c.cfg.CodeLifetime):
		return nil, refuse(400, "PHONE_CODE_EXPIRED")
	}
	return c, nil
}

func (r *request) resendCode(q *api.AuthResendCodeRequest) (tl.Object, error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	c, err := r.codeLocked(q.PhoneNumber, q.PhoneCodeHash)
	switch {
	case err != nil:
		return nil, err
	case c.kind == setUpEmail:
		return nil, refuse(400, "EMAIL_INSTALL_MISSING")
	case len(c.next) == 0:
		return nil, refuse(406, "SEND_CODE_UNAVAILABLE")
	}
	if left := time.Duration(r.c.cfg.CodeTimeout) - r.now.Sub(c.sent); left > 0 {
		return nil, refuse(420, "FLOOD_WAIT_"+itoa(seconds(left)))
	}
	delete(r.c.codes, q.PhoneCodeHash)
	again := &sentCode{phone: c.phone, key: c.key, code: c.code, kind: c.next[0], next: c.next[1:], sent: r.now, wrong: c.wrong, account: c.account}
	hash := newCodeHash()
	r.c.codes[hash] = again
	return r.sent(hash, again), nil
}

func (r *request) cancelCode(q *api.AuthCancelCodeRequest) (tl.Object, error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if _, err := r.codeLocked(q.PhoneNumber, q.PhoneCodeHash); err != nil {
		return nil, err
	}
	delete(r.c.codes, q.PhoneCodeHash)
	return boxedBool(true), nil
}

func (r *request) signIn(q *api.AuthSignInRequest) (tl.Object, error) {
	phone, err := r.useCode(q)
	if err != nil {
		return nil, err
	}
	a := r.c.byPhone(phone)
	if a == nil {
		return &api.AuthAuthorizationSignUpRequired{}, nil
	}
	return r.enter(a)
}

// useCode compares the code with the one that was sent. A right one is used
// up, and so is one of which too many wrong ones were tried.
func (r *request) useCode(q *api.AuthSignInRequest) (phone string, err error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	c, err := r.codeLocked(q.PhoneNumber, q.PhoneCodeHash)
	if err != nil {
		return "", err
	}
	typed := q.PhoneCode.Value
	if c.kind == emailKind {
		// Strict: a code from an e-mail is no phone_code.
		v, _ := q.EmailVerification.(*api.EmailVerificationCode)
		if typed = ""; v != nil {
			typed = v.Code
		}
	}
	switch {
	case typed == "":
		return "", refuse(400, "PHONE_CODE_EMPTY")
	case typed != c.code || c.kind == setUpEmail || c.kind == "firebase":
		if c.wrong++; c.wrong >= maxWrongCodes {
			delete(r.c.codes, q.PhoneCodeHash)
		}
		return "", refuse(400, "PHONE_CODE_INVALID")
	}
	delete(r.c.codes, q.PhoneCodeHash)
	return c.phone, nil
}
