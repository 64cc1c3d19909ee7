package dctest

import (
	"regexp"
	"strings"
	"time"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// E-mail addresses to which login codes go: set up during a login by
// account.sendVerifyEmailCode and verifyEmail, given up by auth.resetLoginEmail.
// See core.telegram.org/api/auth#email-verification.

// emails is what goes on with them. Guarded by Cluster.mu.
type emails struct {
	set    map[int64]string    // address by account
	proofs map[string]*proof   // by phone_code_hash
	resets map[int64]time.Time // when an address is given up, by account
}

func newEmails() emails {
	return emails{set: map[int64]string{}, proofs: map[string]*proof{}, resets: map[int64]time.Time{}}
}

// A proof is a code that was sent to an address to prove that it is the user's.
type proof struct {
	address string
	sent    time.Time
	wrong   int
}

// emailSetUpLives is how long a login may take to set an address up.
const emailSetUpLives = 30 * time.Minute

var address = regexp.MustCompile(`^[!-?A-~]+@[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)+$`)

// emailPattern is an address as it is shown to who has not signed in.
func emailPattern(address string) string {
	name, domain, _ := strings.Cut(address, "@")
	host, top, _ := strings.Cut(domain, ".")
	return name[:1] + "***@" + host[:1] + strings.Repeat("*", max(len(host)-1, 1)) + "." + top
}

// setUpLocked is the login that is to set an address up.
func (r *request) setUpLocked(p api.EmailVerifyPurposeClass, expired string) (hash string, c *sentCode, err error) {
	q, ok := p.(*api.EmailVerifyPurposeLoginSetup)
	switch {
	case !ok && r.me == nil:
		return "", nil, refuse(401, "AUTH_KEY_UNREGISTERED")
	case !ok:
		return "", nil, refuse(400, "EMAIL_NOT_SETUP")
	}
	number, err := phoneNumber(q.PhoneNumber)
	if err != nil {
		return "", nil, err
	}
	c = r.c.codes[q.PhoneCodeHash]
	if c == nil || c.phone != number || c.key != r.key() || c.kind != setUpEmail || r.now.Sub(c.sent) >= emailSetUpLives {
		return "", nil, refuse(400, expired)
	}
	return q.PhoneCodeHash, c, nil
}

func (r *request) sendVerifyEmailCode(q *api.AccountSendVerifyEmailCodeRequest) (tl.Object, error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	hash, _, err := r.setUpLocked(q.Purpose, "PHONE_HASH_EXPIRED")
	switch {
	case err != nil:
		return nil, err
	case !address.MatchString(q.Email):
		return nil, refuse(400, "EMAIL_INVALID")
	case strings.HasSuffix(q.Email, ".invalid"): // RFC 2606: nobody can have one
		return nil, refuse(400, "EMAIL_NOT_ALLOWED")
	}
	r.c.emails.proofs[hash] = &proof{address: q.Email, sent: r.now}
	return &api.AccountSentEmailCode{EmailPattern: emailPattern(q.Email), Length: int32(len(EmailCode))}, nil
}

// verifyEmail compares the code that went to the address. Once it is right, the
// login goes on with a code that goes there too.
func (r *request) verifyEmail(q *api.AccountVerifyEmailRequest) (tl.Object, error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	hash, c, err := r.setUpLocked(q.Purpose, "EMAIL_VERIFY_EXPIRED")
	if err != nil {
		return nil, err
	}
	p := r.c.emails.proofs[hash]
	code, _ := q.Verification.(*api.EmailVerificationCode)
	switch {
	case p == nil || r.now.Sub(p.sent) >= time.Duration(r.c.cfg.CodeLifetime):
		return nil, refuse(400, "EMAIL_VERIFY_EXPIRED")
	case code == nil || code.Code != EmailCode:
		if p.wrong++; p.wrong >= maxWrongCodes {
			delete(r.c.emails.proofs, hash)
		}
		return nil, refuse(400, "CODE_INVALID")
	}
	delete(r.c.emails.proofs, hash)
	delete(r.c.codes, hash)
	a := r.c.byPhone(c.phone)
	r.c.emails.set[a.id] = p.address
	again := &sentCode{phone: c.phone, key: c.key, code: c.code, kind: emailKind, next: c.next, sent: r.now, account: a.id}
	hash = newCodeHash()
	r.c.codes[hash] = again
	return &api.AccountEmailVerifiedLogin{Email: p.address, SentCode: r.sent(hash, again)}, nil
}

// resetLoginEmail gives an address up, at once or after a while, and sends the
// code in another way then.
func (r *request) resetLoginEmail(q *api.AuthResetLoginEmailRequest) (tl.Object, error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	c, err := r.codeLocked(q.PhoneNumber, q.PhoneCodeHash)
	if err != nil {
		return nil, err
	}
	a := r.c.byPhone(c.phone)
	if c.kind != emailKind || a == nil {
		return nil, refuse(400, "EMAIL_INSTALL_MISSING")
	}
	at, asked := r.c.emails.resets[a.id]
	switch {
	case !asked && a.cfg.EmailResetAfter > 0:
		r.c.emails.resets[a.id] = r.now.Add(time.Duration(a.cfg.EmailResetAfter))
		return r.sent(q.PhoneCodeHash, c), nil
	case asked && r.now.Before(at):
		return nil, refuse(400, "TASK_ALREADY_EXISTS")
	}
	delete(r.c.emails.resets, a.id)
	delete(r.c.emails.set, a.id)
	delete(r.c.codes, q.PhoneCodeHash)
	again := &sentCode{phone: c.phone, key: c.key, code: c.code, kind: "sms", sent: r.now}
	hash := newCodeHash()
	r.c.codes[hash] = again
	return r.sent(hash, again), nil
}

// emailCode is the type of a code that went to the address of an account.
func (r *request) emailCode(c *sentCode) *api.AuthSentCodeTypeEmailCode {
	t := &api.AuthSentCodeTypeEmailCode{EmailPattern: "s***@e******.org", Length: c.length()}
	if address := r.c.emails.set[c.account]; address != "" {
		t.EmailPattern = emailPattern(address)
	}
	a := r.c.accountLocked(c.account)
	if a == nil {
		return t
	}
	if at, asked := r.c.emails.resets[a.id]; asked {
		t.ResetPendingDate = tl.Some(int32(at.Unix()))
	} else {
		t.ResetAvailablePeriod = tl.Some(int32(seconds(time.Duration(a.cfg.EmailResetAfter))))
	}
	return t
}
