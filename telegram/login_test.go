package telegram_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
)

// A person answers the questions of a login from lists.
type person struct {
	codes     []string // "resend" asks for another one, "reset" to give the e-mail up
	emails    []string
	passwords []string
	wait      time.Duration // before each answer
	asked     []telegram.CodeRequest
	passAsked []telegram.PasswordRequest
	mailAsked []telegram.EmailRequest
	shown     []telegram.LoginToken
	scan      func(n int, token telegram.LoginToken) // n from 1
}

var errNothingToSay = errors.New("nothing to say")

func (p *person) Code(_ context.Context, r telegram.CodeRequest) (string, error) {
	time.Sleep(p.wait)
	p.asked = append(p.asked, r)
	if len(p.codes) == 0 {
		return "", errNothingToSay
	}
	code := p.codes[0]
	p.codes = p.codes[1:]
	switch code {
	case "resend":
		return "", telegram.ErrResendCode
	case "reset":
		return "", telegram.ErrResetEmail
	}
	return code, nil
}

func (p *person) Email(_ context.Context, r telegram.EmailRequest) (string, error) {
	time.Sleep(p.wait)
	p.mailAsked = append(p.mailAsked, r)
	if len(p.emails) == 0 {
		return "", errNothingToSay
	}
	email := p.emails[0]
	p.emails = p.emails[1:]
	return email, nil
}

func (p *person) Password(_ context.Context, r telegram.PasswordRequest) (string, error) {
	time.Sleep(p.wait)
	p.passAsked = append(p.passAsked, r)
	if len(p.passwords) == 0 {
		return "", errNothingToSay
	}
	password := p.passwords[0]
	p.passwords = p.passwords[1:]
	return password, nil
}

func (p *person) ShowToken(_ context.Context, t telegram.LoginToken) error {
	p.shown = append(p.shown, t)
	if p.scan != nil {
		p.scan(len(p.shown), t)
	}
	return nil
}

const (
	phone1 = "+9996620001"
	pass   = "correct horse"
)

// cluster is one in memory, with the accounts.
func cluster(t *testing.T, cfg dctest.Config) *dctest.Cluster {
	t.Helper()
	cfg.InMemory = true
	c, err := dctest.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// dial is a client of the cluster that keeps its session in store.
func dial(t *testing.T, c *dctest.Cluster, store telegram.SessionStore, change func(*telegram.Config)) *telegram.Client {
	t.Helper()
	d := c.Datacenters()
	dcs := &telegram.Datacenters{Name: d.Name, HomeDC: d.HomeDC, Test: d.Test, PublicKeys: d.PublicKeys}
	for _, e := range d.DC {
		dcs.DC = append(dcs.DC, telegram.DC{ID: e.ID, Address: e.Address, MediaOnly: e.MediaOnly, CDN: e.CDN, Secret: e.Secret})
	}
	cfg := telegram.Config{AppID: 1, AppHash: "hash", Session: store, Datacenters: dcs, Dial: c.Dial}
	if change != nil {
		change(&cfg)
	}
	client, err := telegram.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// signedIn signs a new client in by phone.
func signedIn(t *testing.T, c *dctest.Cluster, store telegram.SessionStore, p *person, phone string) *telegram.Client {
	t.Helper()
	client := dial(t, c, store, nil)
	if _, err := client.LoginPhone(t.Context(), phone, p); err != nil {
		t.Fatal(err)
	}
	return client
}

func user(change func(*dctest.AccountConfig)) dctest.Config {
	a := dctest.AccountConfig{Phone: phone1, Code: "22222"}
	if change != nil {
		change(&a)
	}
	return dctest.Config{Accounts: []dctest.AccountConfig{a}}
}

func withPassword(a *dctest.AccountConfig) { a.Password, a.Hint = pass, "the comic" }

// problems are why questions were asked again.
func (p *person) problems() (list []error) {
	for _, r := range p.asked {
		list = append(list, r.Problem)
	}
	return list
}

func TestLoginPhone(t *testing.T) {
	for _, tt := range []struct {
		name   string
		cfg    dctest.Config
		phone  string
		person person
		want   error   // nil: signed in
		asks   []error // problem of each question for a code
		passes int     // questions for the password
	}{
		{name: "code", cfg: user(nil), person: person{codes: []string{" 22222\n"}}, asks: []error{nil}},
		{
			name: "another DC", cfg: user(func(a *dctest.AccountConfig) { a.DC = 4 }),
			person: person{codes: []string{"22222"}}, asks: []error{nil},
		},
		{
			name: "the network is nearer to another DC", person: person{codes: []string{"22222"}}, asks: []error{nil},
			cfg: dctest.Config{
				Accounts: user(func(a *dctest.AccountConfig) { a.DC = 4 }).Accounts,
				Faults:   []dctest.Fault{{Kind: "error", Method: "auth.sendCode", At: []int64{1}, Code: 303, Message: "NETWORK_MIGRATE_4"}},
			},
		},
		{
			name: "wrong code", cfg: user(nil), person: person{codes: []string{"1", "22222"}},
			asks: []error{nil, telegram.ErrCodeInvalid},
		},
		{
			name: "empty code", cfg: user(nil), person: person{codes: []string{"", "22222"}},
			asks: []error{nil, telegram.ErrCodeInvalid},
		},
		{
			name: "only wrong codes", cfg: user(nil), person: person{codes: []string{"1", "2", "3", "4", "5", "22222"}}, want: telegram.ErrCodeInvalid,
			asks: []error{nil, telegram.ErrCodeInvalid, telegram.ErrCodeInvalid, telegram.ErrCodeInvalid, telegram.ErrCodeInvalid},
		},
		{
			name: "expired code", cfg: user(nil), person: person{codes: []string{"22222"}, wait: 6 * time.Minute},
			asks: []error{nil, telegram.ErrCodeExpired}, want: errNothingToSay,
		},
		{name: "password", cfg: user(withPassword), person: person{codes: []string{"22222"}, passwords: []string{pass}}, asks: []error{nil}, passes: 1},
		{
			name: "password at another DC", cfg: user(func(a *dctest.AccountConfig) { withPassword(a); a.DC = 4 }),
			person: person{codes: []string{"22222"}, passwords: []string{pass}}, asks: []error{nil}, passes: 1,
		},
		{
			name: "wrong password", cfg: user(withPassword),
			person: person{codes: []string{"22222"}, passwords: []string{"x", pass + " ", pass}}, asks: []error{nil}, passes: 3,
		},
		{
			name: "only wrong passwords", cfg: user(withPassword), want: telegram.ErrPasswordWrong,
			person: person{codes: []string{"22222"}, passwords: []string{"1", "2", "3", "4", "5", pass}}, asks: []error{nil}, passes: 5,
		},
		{name: "e-mail", cfg: user(func(a *dctest.AccountConfig) { a.CodeType = "email" }), person: person{codes: []string{"22222"}}, asks: []error{nil}},
		{name: "no e-mail to give", cfg: user(func(a *dctest.AccountConfig) { a.CodeType = "set_up_email" }), want: errNothingToSay},
		{name: "payment", cfg: user(func(a *dctest.AccountConfig) { a.CodeType = "payment" }), want: telegram.ErrCodePayment},
		{name: "banned", cfg: user(func(a *dctest.AccountConfig) { a.Banned = true }), want: telegram.ErrPhoneBanned},
		{name: "flood", cfg: dctest.Config{CodesPerDay: 1, CodeLifetime: dctest.Duration(time.Second)}, person: person{codes: []string{"22222"}, wait: time.Minute}, asks: []error{nil}, want: telegram.ErrPhoneFlood},
		{name: "no account", cfg: user(nil), phone: "+1 (555) 010-9999", person: person{codes: []string{"22222"}}, asks: []error{nil}, want: telegram.ErrSignUp},
		{name: "not a number", cfg: user(nil), phone: "abcdef", want: telegram.ErrPhoneInvalid},
		{name: "a short number", cfg: user(nil), phone: "+12", want: telegram.ErrPhoneInvalid},
		{
			name: "resend too early", cfg: user(nil), person: person{codes: []string{"resend", "22222"}},
			asks: []error{nil, telegram.ErrCodeEarly},
		},
		{
			name: "resend until no way is left", cfg: user(nil), person: person{codes: []string{"resend", "resend", "resend", "22222"}, wait: 61 * time.Second},
			asks: []error{nil, nil, nil, telegram.ErrCodeUnavailable},
		},
		{
			name: "flood wait", cfg: dctest.Config{Faults: []dctest.Fault{{Kind: "flood_wait", Method: "auth.sendCode", At: []int64{1}, Seconds: 3600}}},
			want: mtproto.ErrFloodWait,
		},
		{
			name:   "restart",
			cfg:    dctest.Config{Faults: []dctest.Fault{{Kind: "error", Method: "auth.signIn", At: []int64{1}, Code: 500, Message: "AUTH_RESTART_2"}}},
			person: person{codes: []string{"22222", "22222"}}, asks: []error{nil, nil},
		},
		{
			name: "restart for ever", cfg: dctest.Config{Faults: []dctest.Fault{{Kind: "error", Method: "auth.sendCode", Rate: 1, Code: 500, Message: "AUTH_RESTART"}}},
			want: telegram.ErrLoginRestart,
		},
		{
			name: "published app id", cfg: dctest.Config{Faults: []dctest.Fault{{Kind: "error", Method: "auth.sendCode", Rate: 1, Code: 400, Message: "API_ID_PUBLISHED_FLOOD"}}},
			want: telegram.ErrAppID,
		},
		{
			name: "captcha", cfg: dctest.Config{Faults: []dctest.Fault{{Kind: "error", Method: "auth.sendCode", Rate: 1, Code: 403, Message: "RECAPTCHA_CHECK_login__key"}}},
			want: telegram.ErrOfficialOnly,
		},
		{
			name: "stale challenge", cfg: dctest.Config{
				Accounts: user(withPassword).Accounts,
				Faults:   []dctest.Fault{{Kind: "error", Method: "auth.checkPassword", At: []int64{1}, Code: 400, Message: "SRP_ID_INVALID"}},
			},
			person: person{codes: []string{"22222"}, passwords: []string{pass}}, asks: []error{nil}, passes: 1,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := cluster(t, tt.cfg)
				store := new(telegram.MemorySession)
				client := dial(t, c, store, nil)
				p := tt.person
				if tt.phone == "" {
					tt.phone = phone1
				}
				u, err := client.LoginPhone(t.Context(), tt.phone, &p)
				if !errors.Is(err, tt.want) || (tt.want == nil) != (u != nil) {
					t.Fatalf("got %v, %v; want error %v", u, err, tt.want)
				}
				got := p.problems()
				if len(got) != len(tt.asks) || len(p.passAsked) != tt.passes {
					t.Fatalf("asked for the code with %v, want %v; for the password %d times, want %d", got, tt.asks, len(p.passAsked), tt.passes)
				}
				for i, want := range tt.asks {
					if !errors.Is(got[i], want) {
						t.Errorf("question %d: problem %v, want %v", i, got[i], want)
					}
				}
				if u != nil {
					checkSignedIn(t, c, client, store)
				}
			})
		})
	}
}

// checkSignedIn makes sure that the login is one for the server too, and for
// the next process.
func checkSignedIn(t *testing.T, c *dctest.Cluster, client *telegram.Client, store telegram.SessionStore) {
	t.Helper()
	if u, err := client.Self(t.Context()); err != nil || u.Phone != "9996620001" {
		t.Errorf("self is %+v, %v", u, err)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	s, err := store.Load()
	if err != nil || s.Pending != nil || s.User == nil || len(s.FutureTokens) != 1 {
		t.Errorf("session after the login: %v, pending %v, %v", s, s.Pending, err)
	}
	again := dial(t, c, store, nil)
	if u, err := again.Self(t.Context()); err != nil || !again.LoggedIn() {
		t.Errorf("after a restart self is %+v, %v", u, err)
	}
}

// The person is told how each code comes and how the next one would.
func TestCodeKinds(t *testing.T) {
	for _, kind := range []telegram.CodeKind{
		telegram.CodeApp, telegram.CodeSMS, telegram.CodeCall, telegram.CodeFlashCall, telegram.CodeMissedCall, telegram.CodeEmail,
		telegram.CodeFragment, telegram.CodeFirebase, telegram.CodeWord, telegram.CodePhrase,
	} {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := cluster(t, user(func(a *dctest.AccountConfig) { a.CodeType, a.Code = string(kind), "apple pie" }))
				p := &person{codes: []string{"resend", "resend", "apple pie"}, wait: 61 * time.Second}
				signedIn(t, c, new(telegram.MemorySession), p, phone1)
				first := p.asked[0].SentCode
				if first.Kind != kind || first.Next != telegram.CodeSMS || first.Resend.IsZero() || (first.Length == 0) == (first.Detail == "") && kind != telegram.CodeEmail && kind != telegram.CodeFragment && kind != telegram.CodeMissedCall {
					t.Errorf("sent code is %+v", first)
				}
				if second, third := p.asked[1], p.asked[2]; second.Kind != telegram.CodeSMS || second.Next != telegram.CodeCall || third.Kind != telegram.CodeCall || third.Next != "" {
					t.Errorf("then %+v, then %+v", second, third)
				}
			})
		})
	}
}

// The hint is shown, and why the password is asked for again.
func TestPasswordRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, user(withPassword))
		p := &person{codes: []string{"22222"}, passwords: []string{"wrong", pass}}
		signedIn(t, c, new(telegram.MemorySession), p, phone1)
		if p.passAsked[0] != (telegram.PasswordRequest{Hint: "the comic"}) || !errors.Is(p.passAsked[1].Problem, telegram.ErrPasswordWrong) {
			t.Errorf("asked %+v", p.passAsked)
		}
	})
}

// A challenge that expires while the password is typed is replaced silently.
func TestSlowPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, user(withPassword))
		p := &slowTypist{person{codes: []string{"22222"}, passwords: []string{pass}}}
		client := dial(t, c, new(telegram.MemorySession), nil)
		if _, err := client.LoginPhone(t.Context(), phone1, p); err != nil || len(p.passAsked) != 1 {
			t.Errorf("%v after %d questions", err, len(p.passAsked))
		}
		if n := requests(c, "auth.checkPassword"); n != 2 {
			t.Errorf("%d proofs, want one for the old challenge and one for a new one", n)
		}
	})
}

type slowTypist struct{ person }

func (p *slowTypist) Password(ctx context.Context, r telegram.PasswordRequest) (string, error) {
	time.Sleep(11 * time.Minute)
	return p.person.Password(ctx, r)
}

// Too many wrong passwords make the server refuse more, and the wait is told
// rather than waited for.
func TestPasswordFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, user(withPassword))
		client := dial(t, c, new(telegram.MemorySession), nil)
		p := &person{codes: []string{"22222"}, passwords: []string{"1", "2", "3", "4", "5", pass, pass}}
		if _, err := client.LoginPhone(t.Context(), phone1, p); !errors.Is(err, telegram.ErrPasswordWrong) {
			t.Fatal(err)
		}
		start := time.Now()
		_, err := client.LoginPhone(t.Context(), phone1, p)
		var rpc *mtproto.RPCError
		if !errors.As(err, &rpc) || !errors.Is(err, mtproto.ErrFloodWait) || rpc.Arg < 290 || time.Since(start) > time.Minute {
			t.Fatalf("got %v after %v, want a flood wait at once", err, time.Since(start))
		}
		if len(p.asked) != 1 {
			t.Errorf("asked for a code %d times: the login went back", len(p.asked))
		}
		time.Sleep(time.Duration(rpc.Arg+1) * time.Second)
		if _, err := client.LoginPhone(t.Context(), phone1, p); err != nil {
			t.Errorf("after the wait: %v", err)
		}
	})
}

// A code may be typed into another process than the one that has asked for it,
// and so may the password after it.
func TestLoginInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, user(withPassword))
		store := new(telegram.MemorySession)
		step := func(p *person, want error) {
			t.Helper()
			client := dial(t, c, store, nil)
			if _, err := client.LoginPhone(t.Context(), phone1, p); !errors.Is(err, want) {
				t.Fatalf("got %v, want %v", err, want)
			}
			if err := client.Close(); err != nil {
				t.Fatal(err)
			}
		}
		step(&person{}, errNothingToSay)
		s, err := store.Load()
		if err != nil || s.Pending == nil {
			t.Fatalf("no pending login: %v", err)
		}
		for _, text := range []string{fmt.Sprintf("%+v %#v", s.Pending, *s.Pending), fmt.Sprint(s)} {
			if strings.Contains(text, s.Pending.Phone) || strings.Contains(text, s.Pending.CodeHash) {
				t.Errorf("the login shows its secrets: %s", text)
			}
		}
		step(&person{codes: []string{"22222"}}, errNothingToSay)
		last := &person{passwords: []string{pass}}
		step(last, nil)
		if len(last.asked) != 0 {
			t.Error("asked for the code again")
		}
		if n := requests(c, "auth.sendCode"); n != 1 {
			t.Errorf("%d codes were sent, want 1", n)
		}
	})
}

// Another number gives the first one's code back.
func TestLoginAnotherNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, dctest.Config{Accounts: []dctest.AccountConfig{{Phone: phone1, Code: "1"}, {Phone: "+9996620002", Code: "2"}}})
		store := new(telegram.MemorySession)
		client := dial(t, c, store, nil)
		if _, err := client.LoginPhone(t.Context(), phone1, &person{}); !errors.Is(err, errNothingToSay) {
			t.Fatal(err)
		}
		u, err := client.LoginPhone(t.Context(), "+9996620002", &person{codes: []string{"2"}})
		if err != nil || u.Phone != "9996620002" {
			t.Fatalf("got %v, %v", u, err)
		}
		if n := requests(c, "auth.cancelCode"); n != 1 {
			t.Errorf("%d codes cancelled, want 1", n)
		}
		if _, err := client.LoginPhone(t.Context(), phone1, &person{}); !errors.Is(err, telegram.ErrSignedIn) {
			t.Errorf("got %v, want ErrSignedIn", err)
		}
	})
}

func requests(c *dctest.Cluster, method string) (n int) {
	for _, at := range c.Stats().Methods[method] {
		n += int(at.Requests)
	}
	return n
}

func TestLoginQR(t *testing.T) {
	const (
		phone2    = "+9996640002"
		everyCode = -1
	)
	for _, tt := range []struct {
		name    string
		account dctest.AccountConfig // whose telephone scans
		scan    int                  // which code is scanned; everyCode
		person  person
		faults  []dctest.Fault
		want    error
		within  time.Duration
		shown   int
	}{
		{name: "at once", scan: 1, within: time.Second, shown: 1},
		{name: "the second code", scan: 2, within: 35 * time.Second, shown: 2},
		{name: "at another DC", account: dctest.AccountConfig{DC: 4}, scan: 1, within: time.Second, shown: 1},
		{name: "password", account: dctest.AccountConfig{Password: pass}, scan: 1, person: person{passwords: []string{"wrong", pass}}, within: time.Second, shown: 1},
		{name: "password at another DC", account: dctest.AccountConfig{DC: 4, Password: pass}, scan: 1, person: person{passwords: []string{pass}}, within: time.Second, shown: 1},
		{name: "no password", account: dctest.AccountConfig{Password: pass}, scan: 1, want: errNothingToSay, within: time.Second, shown: 1},
		{name: "nobody", want: context.DeadlineExceeded, within: 5 * time.Minute, shown: 10},
		{
			name: "restart", scan: 1, within: 3 * time.Second, shown: 1,
			faults: []dctest.Fault{{Kind: "error", Method: "auth.exportLoginToken", At: []int64{1}, Code: 500, Message: "AUTH_RESTART"}},
		},
		{
			name: "token not taken", account: dctest.AccountConfig{DC: 4}, scan: everyCode, within: 3 * time.Second, shown: 2,
			faults: []dctest.Fault{{Kind: "error", Method: "auth.importLoginToken", At: []int64{1}, Code: 400, Message: "AUTH_TOKEN_EXPIRED"}},
		},
		{
			name: "restart for ever", want: telegram.ErrLoginRestart, within: 10 * time.Second,
			faults: []dctest.Fault{{Kind: "error", Method: "auth.exportLoginToken", Rate: 1, Code: 500, Message: "AUTH_RESTART"}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tt.account.Phone, tt.account.Code = phone2, "44444"
				c := cluster(t, dctest.Config{Accounts: []dctest.AccountConfig{{Phone: phone1, Code: "1"}, tt.account}, Faults: tt.faults})
				phone := signedIn(t, c, new(telegram.MemorySession), &person{codes: []string{"44444"}, passwords: []string{pass}}, phone2)
				store := new(telegram.MemorySession)
				client := dial(t, c, store, nil)
				p := tt.person
				p.scan = func(n int, token telegram.LoginToken) {
					if n != tt.scan && tt.scan != everyCode {
						return
					}
					if err := phone.AcceptLoginToken(t.Context(), token.URL); err != nil {
						t.Error("accept:", err)
					}
				}
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute+50*time.Second)
				defer cancel()
				u, err := client.LoginQR(ctx, &p)
				took := time.Since(start)
				if !errors.Is(err, tt.want) || (tt.want == nil) != (u != nil) || took > tt.within || len(p.shown) != tt.shown {
					t.Fatalf("got %v, %v after %v and %d codes; want %v within %v and %d", u, err, took, len(p.shown), tt.want, tt.within, tt.shown)
				}
				if u != nil && u.Phone != "9996640002" {
					t.Errorf("signed in as %+v", u)
				}
				for i, token := range p.shown {
					raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token.URL, "tg://login?token="))
					if err != nil || len(raw) != 32 || i > 0 && p.shown[i-1].URL == token.URL {
						t.Errorf("code %d is %s: %v", i, token.URL, err)
					}
				}
			})
		})
	}
}

// Who is signed in beside it cannot accept the code.
func TestLoginQRExcept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, dctest.Config{Accounts: []dctest.AccountConfig{
			{Phone: phone1, Code: "22222", ScanAfter: dctest.Duration(time.Second)},
			{Phone: "+9996640002", Code: "33333", DC: 4, ScanAfter: dctest.Duration(time.Second)},
		}})
		first := dial(t, c, new(telegram.MemorySession), nil)
		a, err := first.LoginQR(t.Context(), &person{})
		if err != nil {
			t.Fatal(err)
		}
		second := dial(t, c, new(telegram.MemorySession), nil)
		b, err := second.LoginQR(t.Context(), &person{}, a.ID)
		if err != nil || b.ID == a.ID || a.Phone != "9996620001" {
			t.Errorf("signed in as %+v, then as %+v, %v", a, b, err)
		}
	})
}

// The server tells when the code is scanned; asking would take 10 s.
func TestLoginQRUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, user(func(a *dctest.AccountConfig) { a.ScanAfter = dctest.Duration(7 * time.Second) }))
		client := dial(t, c, new(telegram.MemorySession), nil)
		start := time.Now()
		if _, err := client.LoginQR(t.Context(), &person{}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 7*time.Second || took > 8*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// Who may accept a code, and how often.
func TestAcceptLoginToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, dctest.Config{})
		phone := signedIn(t, c, new(telegram.MemorySession), &person{codes: []string{dctest.Code}}, dctest.Phone)
		bot := dial(t, c, new(telegram.MemorySession), nil)
		if _, err := bot.LoginBot(t.Context(), dctest.BotToken); err != nil {
			t.Fatal(err)
		}
		client := dial(t, c, new(telegram.MemorySession), nil)
		p := &person{scan: func(_ int, token telegram.LoginToken) {
			accept := func(c *telegram.Client, url, want string) {
				t.Helper()
				err := c.AcceptLoginToken(t.Context(), url)
				if got := fmt.Sprint(err); want == "" && err != nil || want != "" && !strings.Contains(got, want) {
					t.Errorf("accept %s: got %v, want %q", url, err, want)
				}
			}
			accept(phone, "https://t.me/x", "not a Telegram link")
			accept(phone, "tg://login?token=!", "no token")
			accept(phone, "tg://login?token=AAAA", "AUTH_TOKEN_INVALIDX")
			accept(bot, token.URL, "bots may not")
			accept(client, token.URL, "not signed in")
			accept(phone, token.URL, "")
			accept(phone, token.URL, "AUTH_TOKEN_ALREADY_ACCEPTED")
		}}
		if _, err := client.LoginQR(t.Context(), p); err != nil {
			t.Error(err)
		}
	})
}

// Logging out ends the login on the server, at every DC, and leaves nothing in
// the session but what spares the next login its code.
func TestLogOut(t *testing.T) {
	for _, pfs := range []bool{false, true} {
		t.Run(fmt.Sprintf("pfs %v", pfs), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := cluster(t, dctest.Config{})
				store := new(telegram.MemorySession)
				client := dial(t, c, store, func(cfg *telegram.Config) { cfg.PFS = pfs })
				if _, err := client.LoginPhone(t.Context(), dctest.Phone, &person{codes: []string{dctest.Code}}); err != nil {
					t.Fatal(err)
				}
				for _, dc := range []int{2, 4} {
					if _, err := client.FileSession(t.Context(), dc, telegram.Download, 0); err != nil {
						t.Fatal(err)
					}
				}
				before, _ := store.Load()
				if len(before.DCs) != 2 || !before.DCs[4].Authorized {
					t.Fatalf("before: %v", before)
				}
				if err := client.LogOut(t.Context()); err != nil {
					t.Fatal(err)
				}
				after, _ := store.Load()
				if after.User != nil || len(after.DCs) != 0 || len(after.Peers) != 0 || len(after.FutureTokens) != 2 {
					t.Errorf("after: %v, %d tokens", after, len(after.FutureTokens))
				}
				if client.LoggedIn() {
					t.Error("still signed in")
				}
				if err := client.LogOut(t.Context()); !errors.Is(err, telegram.ErrNotLoggedIn) {
					t.Errorf("second logout: %v", err)
				}
				for dc := range before.DCs {
					keyIsGone(t, c, before, dc)
				}
				// The next login needs no code.
				if u, err := client.LoginPhone(t.Context(), dctest.Phone, &person{}); err != nil {
					t.Errorf("login with a future token: %v, %v", u, err)
				}
			})
		})
	}
}

// keyIsGone makes sure that a DC does not know a key of the session.
func keyIsGone(t *testing.T, c *dctest.Cluster, s *telegram.Session, dc int) {
	t.Helper()
	stolen := *s
	stolen.HomeDC = dc
	store := new(telegram.MemorySession)
	if err := store.Save(&stolen); err != nil {
		t.Fatal(err)
	}
	d := c.Datacenters()
	dcs := &telegram.Datacenters{Name: d.Name, HomeDC: d.HomeDC, Test: d.Test, PublicKeys: d.PublicKeys}
	for _, e := range d.DC {
		dcs.DC = append(dcs.DC, telegram.DC{ID: e.ID, Address: e.Address, MediaOnly: e.MediaOnly, CDN: e.CDN})
	}
	client, err := telegram.Dial(t.Context(), telegram.Config{AppID: 1, AppHash: "hash", Session: store, Datacenters: dcs, Dial: c.Dial})
	if !errors.Is(err, mtproto.ErrKeyUnknown) {
		t.Errorf("DC %d: got %v, want that it does not know the key", dc, err)
	}
	if err == nil {
		_ = client.Close()
	}
}

// A login with a password still needs it when a token spares it the code.
func TestFutureTokenAndPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, user(withPassword))
		store := new(telegram.MemorySession)
		client := signedIn(t, c, store, &person{codes: []string{"22222"}, passwords: []string{pass}}, phone1)
		if err := client.LogOut(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
		p := &person{passwords: []string{pass}}
		signedIn(t, c, store, p, phone1)
		if len(p.asked) != 0 || len(p.passAsked) != 1 {
			t.Errorf("asked for %d codes and %d passwords", len(p.asked), len(p.passAsked))
		}
	})
}

// If the server cannot be told, the login stays.
func TestLogOutFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, dctest.Config{Faults: []dctest.Fault{{Kind: "flood_wait", Method: "auth.logOut", At: []int64{1}, Seconds: 500}}})
		store := new(telegram.MemorySession)
		client := signedIn(t, c, store, &person{codes: []string{dctest.Code}}, dctest.Phone)
		if err := client.LogOut(t.Context()); !errors.Is(err, mtproto.ErrFloodWait) {
			t.Fatalf("got %v", err)
		}
		if s, _ := store.Load(); s.User == nil || len(s.DCs) != 1 {
			t.Errorf("session after it: %v", s)
		}
		if _, err := client.Self(t.Context()); err != nil {
			t.Errorf("self: %v", err)
		}
	})
}
