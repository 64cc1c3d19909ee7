package dctest

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/telegram/internal/srp"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

func sendCodeTo(phone string) *api.AuthSendCodeRequest {
	return &api.AuthSendCodeRequest{PhoneNumber: phone, APIID: 1, APIHash: "h"}
}

func signInWith(hash, code string) *api.AuthSignInRequest {
	return &api.AuthSignInRequest{PhoneNumber: Phone, PhoneCodeHash: hash, PhoneCode: tl.Some(code)}
}

func withPassword(password string) Config {
	return Config{Accounts: []AccountConfig{{Phone: Phone, Code: Code, Password: password, Hint: "a hint"}}}
}

// The server's side of SRP agrees with the documented computations, which the
// client's side is tested by too.
func TestSRPVectors(t *testing.T) {
	b, err := os.ReadFile("../internal/srp/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		SRP []struct{ Password, Salt1, Salt2, X, V string }
	}
	if err := json.Unmarshal(b, &file); err != nil || len(file.SRP) == 0 {
		t.Fatal(err)
	}
	for _, v := range file.SRP {
		salt1, _ := hex.DecodeString(v.Salt1)
		salt2, _ := hex.DecodeString(v.Salt2)
		x := srpSecret(v.Password, salt1, salt2)
		if got := fmt.Sprintf("%064x", x); got != v.X {
			t.Errorf("%s: x = %s, want %s", v.Password, got, v.X)
		}
		if got := fmt.Sprintf("%0512x", new(big.Int).Exp(big.NewInt(srpGenerator), x, crypto.KnownPrime)); got != v.V {
			t.Errorf("%s: v = %s, want %s", v.Password, got, v.V)
		}
	}
}

// proof answers the challenge of account.getPassword.
func (c *caller) proof(password string) *api.InputCheckPasswordSRP {
	c.t.Helper()
	p := must[*api.AccountPassword](c, &api.AccountGetPasswordRequest{})
	algorithm, ok := p.CurrentAlgo.(*api.PasswordKdfAlgoSHA256SHA256PBKDF2HMACSHA512iter100000SHA256ModPow)
	if !ok || !p.HasPassword || p.Hint.Value != "a hint" {
		c.t.Fatalf("password is %+v", p)
	}
	proof, err := srp.Prove(srp.Params{
		Salt1: algorithm.Salt1, Salt2: algorithm.Salt2, G: int(algorithm.G), P: algorithm.P, B: p.SrpB,
	}, []byte(password), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	return &api.InputCheckPasswordSRP{SrpID: p.SrpID.Value, A: proof.A[:], M1: proof.M1[:]}
}

func TestPassword(t *testing.T) {
	c := start(t, withPassword("secret"))
	k := &caller{t: t, c: c, dc: 2, key: 1}
	k.fails(&api.AccountGetPasswordRequest{}, "401 AUTH_KEY_UNREGISTERED")
	k.fails(&api.AuthCheckPasswordRequest{Password: &api.InputCheckPasswordSRP{}}, "401 AUTH_KEY_UNREGISTERED")
	hash := must[*api.AuthSentCode](k, sendCodeTo(Phone)).PhoneCodeHash
	k.fails(signInWith(hash, Code), "401 SESSION_PASSWORD_NEEDED")
	k.fails(&api.UpdatesGetStateRequest{}, "401 AUTH_KEY_UNREGISTERED")
	check := func(p api.InputCheckPasswordSRPClass, want string) {
		t.Helper()
		k.fails(&api.AuthCheckPasswordRequest{Password: p}, want)
	}
	check(&api.InputCheckPasswordEmpty{}, "400 PASSWORD_HASH_INVALID")
	wrong := k.proof("Secret")
	check(wrong, "400 PASSWORD_HASH_INVALID")
	check(wrong, "400 SRP_ID_INVALID") // used up
	old := k.proof("secret")
	for name, change := range map[string]func(*api.InputCheckPasswordSRP){
		"A is 0":        func(p *api.InputCheckPasswordSRP) { p.A = make([]byte, 256) },
		"A is p":        func(p *api.InputCheckPasswordSRP) { p.A = crypto.KnownPrime.Bytes() },
		"A is short":    func(p *api.InputCheckPasswordSRP) { p.A = p.A[1:] },
		"M1 is changed": func(p *api.InputCheckPasswordSRP) { p.M1[0]++ },
	} {
		p := k.proof("secret")
		change(p)
		k.fails(&api.AuthCheckPasswordRequest{Password: p}, "400 PASSWORD_HASH_INVALID")
		if t.Failed() {
			t.Fatal(name)
		}
		delete(c.wrong, c.accounts[0].id) // the count of wrong ones has a test of its own
	}
	check(old, "400 SRP_ID_INVALID") // a later challenge has voided it
	other := &caller{t: t, c: c, dc: 2, key: 2}
	other.fails(&api.AuthCheckPasswordRequest{Password: k.proof("secret")}, "401 AUTH_KEY_UNREGISTERED")
	check(k.proof("secret"), "")
	k.fails(&api.UpdatesGetStateRequest{}, "")
	if p := k.proof("secret"); p.SrpID == 0 {
		t.Error("no challenge for who is signed in")
	}
}

func TestWrongPasswords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, withPassword("secret"))
		k := &caller{t: t, c: c, dc: 2, key: 1}
		k.fails(signInWith(must[*api.AuthSentCode](k, sendCodeTo(Phone)).PhoneCodeHash, Code), "401 SESSION_PASSWORD_NEEDED")
		for range maxWrongPasses {
			k.fails(&api.AuthCheckPasswordRequest{Password: k.proof("guess")}, "400 PASSWORD_HASH_INVALID")
		}
		k.fails(&api.AuthCheckPasswordRequest{Password: k.proof("secret")}, "420 FLOOD_WAIT_300")
		time.Sleep(wrongPassWait)
		k.fails(&api.AuthCheckPasswordRequest{Password: k.proof("secret")}, "")
	})
}

func TestCodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, Config{})
		k, other := &caller{t: t, c: c, dc: 2, key: 1}, &caller{t: t, c: c, dc: 2, key: 2}
		send := func() string { return must[*api.AuthSentCode](k, sendCodeTo(Phone)).PhoneCodeHash }
		first := send()
		hash := send()
		k.fails(signInWith(first, Code), "400 PHONE_CODE_EXPIRED")    // another was sent
		other.fails(signInWith(hash, Code), "400 PHONE_CODE_EXPIRED") // to another client
		k.fails(&api.AuthSignInRequest{PhoneNumber: Phone, PhoneCodeHash: hash}, "400 PHONE_CODE_EMPTY")
		k.fails(&api.AuthSignInRequest{PhoneNumber: "+9996620009", PhoneCodeHash: hash, PhoneCode: tl.Some(Code)}, "400 PHONE_CODE_EXPIRED")
		k.fails(sendCodeTo("99966200O1"), "406 PHONE_NUMBER_INVALID")
		for range maxWrongCodes {
			k.fails(signInWith(hash, "00000"), "400 PHONE_CODE_INVALID")
		}
		k.fails(signInWith(hash, Code), "400 PHONE_CODE_EXPIRED")
		hash = send()
		time.Sleep(5 * time.Minute)
		k.fails(signInWith(hash, Code), "400 PHONE_CODE_EXPIRED")
		hash = send()
		must[boxedBool](k, &api.AuthCancelCodeRequest{PhoneNumber: Phone, PhoneCodeHash: hash})
		k.fails(signInWith(hash, Code), "400 PHONE_CODE_EXPIRED")
		k.fails(&api.AuthCancelCodeRequest{PhoneNumber: Phone, PhoneCodeHash: hash}, "400 PHONE_CODE_EXPIRED")
		hash = send()
		must[*api.AuthAuthorization](k, signInWith(hash, Code))
		k.fails(signInWith(hash, Code), "400 PHONE_CODE_EXPIRED")
	})
}

func TestResendCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, Config{})
		k := &caller{t: t, c: c, dc: 2, key: 1}
		sent := must[*api.AuthSentCode](k, sendCodeTo(Phone))
		again := func() *api.AuthResendCodeRequest {
			return &api.AuthResendCodeRequest{PhoneNumber: Phone, PhoneCodeHash: sent.PhoneCodeHash}
		}
		if _, ok := sent.Type.(*api.AuthSentCodeTypeApp); !ok || sent.Timeout != tl.Some[int32](60) {
			t.Errorf("sent %+v", sent)
		}
		k.fails(again(), "420 FLOOD_WAIT_60")
		time.Sleep(61 * time.Second)
		first := sent.PhoneCodeHash
		sent = must[*api.AuthSentCode](k, again())
		if _, ok := sent.Type.(*api.AuthSentCodeTypeSms); !ok || sent.NextType == nil || sent.PhoneCodeHash == first {
			t.Errorf("then sent %+v", sent)
		}
		k.fails(signInWith(first, Code), "400 PHONE_CODE_EXPIRED")
		time.Sleep(61 * time.Second)
		sent = must[*api.AuthSentCode](k, again())
		if _, ok := sent.Type.(*api.AuthSentCodeTypeCall); !ok || sent.NextType != nil || sent.Timeout.Set {
			t.Errorf("at last sent %+v", sent)
		}
		time.Sleep(61 * time.Second)
		k.fails(again(), "406 SEND_CODE_UNAVAILABLE")
		must[*api.AuthAuthorization](k, signInWith(sent.PhoneCodeHash, Code))
	})
}

func TestPhoneFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, Config{CodesPerDay: 2})
		for i, want := range []string{"", "", "400 PHONE_NUMBER_FLOOD", "400 PHONE_NUMBER_FLOOD"} {
			(&caller{t: t, c: c, dc: 2, key: int64(i)}).fails(sendCodeTo(Phone), want)
		}
		k := &caller{t: t, c: c, dc: 2, key: 9}
		k.fails(sendCodeTo("+9996620002"), "") // another phone
		time.Sleep(24 * time.Hour)
		k.fails(sendCodeTo(Phone), "")
	})
}

// A code from an e-mail is not taken for one from a phone, nor the reverse.
func TestEmailCode(t *testing.T) {
	cfg := withPassword("")
	cfg.Accounts[0].Hint, cfg.Accounts[0].CodeType = "", "email"
	c := start(t, cfg)
	k := &caller{t: t, c: c, dc: 2, key: 1}
	hash := must[*api.AuthSentCode](k, sendCodeTo(Phone)).PhoneCodeHash
	k.fails(signInWith(hash, Code), "400 PHONE_CODE_EMPTY")
	q := &api.AuthSignInRequest{PhoneNumber: Phone, PhoneCodeHash: hash, EmailVerification: &api.EmailVerificationCode{Code: Code}}
	must[*api.AuthAuthorization](k, q)
	k2 := &caller{t: t, c: start(t, Config{}), dc: 2, key: 1}
	q.PhoneCodeHash = must[*api.AuthSentCode](k2, sendCodeTo(Phone)).PhoneCodeHash
	k2.fails(q, "400 PHONE_CODE_EMPTY")
}

func TestLoginTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, Config{Accounts: []AccountConfig{{Phone: Phone, Code: Code}, {Phone: "+9996640001", Code: "4", DC: 4}}})
		phone := user(t, c)
		k := &caller{t: t, c: c, dc: 2, key: 1}
		export := &api.AuthExportLoginTokenRequest{APIID: 1, APIHash: "h"}
		k.fails(&api.AuthExportLoginTokenRequest{APIHash: "h"}, "400 API_ID_INVALID")
		phone.fails(export, "500 AUTH_RESTART")
		first := must[*api.AuthLoginToken](k, export)
		if same := must[*api.AuthLoginToken](k, export); string(same.Token) != string(first.Token) {
			t.Error("asking voids the token")
		}
		k.fails(&api.AuthImportLoginTokenRequest{Token: first.Token}, "400 AUTH_TOKEN_INVALID")
		time.Sleep(time.Until(time.Unix(int64(first.Expires), 0)))
		phone.fails(&api.AuthAcceptLoginTokenRequest{Token: first.Token}, "400 AUTH_TOKEN_EXPIRED")
		second := must[*api.AuthLoginToken](k, export)
		if string(second.Token) == string(first.Token) {
			t.Error("an expired token again")
		}
		k.fails(&api.AuthAcceptLoginTokenRequest{Token: second.Token}, "401 AUTH_KEY_UNREGISTERED")
		if err := c.AcceptLoginToken("+1", second.Token); err == nil {
			t.Error("accepted by nobody")
		}
		// The second account lives at DC 4, and there is where to go.
		if err := c.AcceptLoginToken("+9996640001", second.Token); err != nil {
			t.Fatal(err)
		}
		move := must[*api.AuthLoginTokenMigrateTo](k, export)
		import4 := &api.AuthImportLoginTokenRequest{Token: move.Token}
		if move.DCID != 4 {
			t.Errorf("move to DC %d", move.DCID)
		}
		k.fails(import4, "400 AUTH_TOKEN_INVALID")
		(&caller{t: t, c: c, dc: 4, key: 9}).fails(import4, "")
		(&caller{t: t, c: c, dc: 4, key: 10}).fails(import4, "400 AUTH_TOKEN_ALREADY_ACCEPTED")
		// Who does not come for the login in time does not get it.
		late := must[*api.AuthLoginToken](k, export)
		must[*api.Authorization](phone, &api.AuthAcceptLoginTokenRequest{Token: late.Token})
		time.Sleep(acceptedLives)
		if _, ok := must[any](k, export).(*api.AuthLoginToken); !ok {
			t.Error("signed in long after the code was accepted")
		}
		// Nobody is signed in twice.
		mine := must[*api.AuthLoginToken](k, &api.AuthExportLoginTokenRequest{APIID: 1, APIHash: "h", ExceptIDs: []int64{firstUserID}})
		phone.fails(&api.AuthAcceptLoginTokenRequest{Token: mine.Token}, "")
		must[*api.AuthLoginTokenSuccess](k, export)
		other := &caller{t: t, c: c, dc: 2, key: 3}
		mine = must[*api.AuthLoginToken](other, &api.AuthExportLoginTokenRequest{APIID: 1, APIHash: "h", ExceptIDs: []int64{firstUserID}})
		phone.fails(&api.AuthAcceptLoginTokenRequest{Token: mine.Token}, "400 AUTH_TOKEN_EXCEPTION")
	})
}

// Logging out ends the logins that the account has brought to other DCs, and
// no others of the account; its token spares the next one the code, once.
func TestLogOutEverywhere(t *testing.T) {
	c := start(t, Config{})
	u := user(t, c)
	guest := u.at(4)
	other := &caller{t: t, c: c, dc: 2, key: 77}
	hash := must[*api.AuthSentCode](other, sendCodeTo(Phone)).PhoneCodeHash
	must[*api.AuthAuthorization](other, signInWith(hash, Code))
	self := &api.UsersGetUsersRequest{ID: []api.InputUserClass{&api.InputUserSelf{}}}
	guest.fails(self, "")
	out := must[*api.AuthLoggedOut](u, &api.AuthLogOutRequest{})
	u.fails(self, "401 AUTH_KEY_UNREGISTERED")
	guest.fails(self, "401 AUTH_KEY_UNREGISTERED")
	other.fails(self, "")
	again := sendCodeTo(Phone)
	again.Settings.LogoutTokens = [][]byte{[]byte("nonsense"), out.FutureAuthToken}
	must[*api.AuthSentCodeSuccess](u, again)
	u.fails(self, "")
	must[*api.AuthSentCode](&caller{t: t, c: c, dc: 2, key: 78}, again)
}

// Logins and future tokens survive a restart of the cluster.
func TestSignInState(t *testing.T) {
	cfg := Config{StateDir: t.TempDir()}
	first := start(t, cfg)
	u := user(t, first)
	u.at(4)
	token := first.futureToken(first.accounts[1])
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := start(t, cfg)
	u.c = second
	self := &api.UsersGetUsersRequest{ID: []api.InputUserClass{&api.InputUserSelf{}}}
	u.fails(self, "")
	must[*api.AuthLoggedOut](u, &api.AuthLogOutRequest{})
	(&caller{t: t, c: second, dc: 4, key: u.key + 4000}).fails(self, "401 AUTH_KEY_UNREGISTERED")
	again := sendCodeTo(Phone)
	again.Settings.LogoutTokens = [][]byte{token}
	must[*api.AuthSentCodeSuccess](u, again)
}
