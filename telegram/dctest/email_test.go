package dctest

import (
	"testing"

	"github.com/tghaul/haul/tl/api"
)

// An address is set up only by the login that needs one, and proven by its own code.
func TestEmailSetUp(t *testing.T) {
	cfg := withPassword("")
	cfg.Accounts[0].Hint, cfg.Accounts[0].CodeType, cfg.StateDir = "", setUpEmail, t.TempDir()
	c := start(t, cfg)
	k := &caller{t: t, c: c, dc: 2, key: 1}
	sent := must[*api.AuthSentCode](k, sendCodeTo(Phone))
	if _, ok := sent.Type.(*api.AuthSentCodeTypeSetUpEmailRequired); !ok {
		t.Fatalf("sent %+v", sent)
	}
	hash := sent.PhoneCodeHash
	purpose := &api.EmailVerifyPurposeLoginSetup{PhoneNumber: Phone, PhoneCodeHash: hash}
	send := func(p api.EmailVerifyPurposeClass, to string) *api.AccountSendVerifyEmailCodeRequest {
		return &api.AccountSendVerifyEmailCodeRequest{Purpose: p, Email: to}
	}
	verify := func(code string) *api.AccountVerifyEmailRequest {
		return &api.AccountVerifyEmailRequest{Purpose: purpose, Verification: &api.EmailVerificationCode{Code: code}}
	}
	k.fails(signInWith(hash, Code), "400 PHONE_CODE_INVALID")
	k.fails(&api.AuthResendCodeRequest{PhoneNumber: Phone, PhoneCodeHash: hash}, "400 EMAIL_INSTALL_MISSING")
	k.fails(&api.AuthResetLoginEmailRequest{PhoneNumber: Phone, PhoneCodeHash: hash}, "400 EMAIL_INSTALL_MISSING")
	k.fails(verify(EmailCode), "400 EMAIL_VERIFY_EXPIRED")
	k.fails(send(&api.EmailVerifyPurposeLoginChange{}, "a@example.org"), "401 AUTH_KEY_UNREGISTERED")
	k.fails(send(&api.EmailVerifyPurposeLoginSetup{PhoneNumber: Phone, PhoneCodeHash: "x"}, "a@example.org"), "400 PHONE_HASH_EXPIRED")
	(&caller{t: t, c: c, dc: 2, key: 2}).fails(send(purpose, "a@example.org"), "400 PHONE_HASH_EXPIRED")
	for _, bad := range []string{"", "a", "a@b", "a b@example.org", "a@.example.org", "@example.org", "a@@example.org"} {
		k.fails(send(purpose, bad), "400 EMAIL_INVALID")
	}
	if s := must[*api.AccountSentEmailCode](k, send(purpose, "anna@mail.example.org")); s.EmailPattern != "a***@m***.example.org" || s.Length != 6 {
		t.Errorf("sent %+v", s)
	}
	for range maxWrongCodes {
		k.fails(verify(Code), "400 CODE_INVALID")
	}
	k.fails(verify(EmailCode), "400 EMAIL_VERIFY_EXPIRED")
	k.fails(send(purpose, "anna@example.org"), "")
	v := must[*api.AccountEmailVerifiedLogin](k, verify(EmailCode))
	next, ok := v.SentCode.(*api.AuthSentCode)
	if !ok || v.Email != "anna@example.org" {
		t.Fatalf("verified %+v", v)
	}
	if kind, ok := next.Type.(*api.AuthSentCodeTypeEmailCode); !ok || kind.EmailPattern != "a***@e******.org" {
		t.Errorf("then sent %+v", next.Type)
	}
	k.fails(verify(EmailCode), "400 EMAIL_VERIFY_EXPIRED")
	must[*api.AuthAuthorization](k, &api.AuthSignInRequest{PhoneNumber: Phone, PhoneCodeHash: next.PhoneCodeHash, EmailVerification: &api.EmailVerificationCode{Code: Code}})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	k = &caller{t: t, c: start(t, cfg), dc: 2, key: 3}
	if kind, ok := must[*api.AuthSentCode](k, sendCodeTo(Phone)).Type.(*api.AuthSentCodeTypeEmailCode); !ok {
		t.Errorf("a later login gets its code as %+v", kind)
	}
}
