package telegram_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
)

// An account that needs a login e-mail gets one, and from then on its codes go there.
func TestSetUpEmail(t *testing.T) {
	const good = "ann@example.org"
	for _, tt := range []struct {
		name   string
		person person
		mails  []error // problem of each question for an address
		asks   []error // and for a code
		want   error
	}{
		{name: "at once", person: person{emails: []string{" " + good + "\n"}, codes: []string{dctest.EmailCode, "22222"}}, mails: []error{nil}, asks: []error{nil, nil}},
		{
			name: "no address", person: person{emails: []string{"ann", "ann@x.invalid", good}, codes: []string{dctest.EmailCode, "22222"}},
			mails: []error{nil, telegram.ErrEmailInvalid, telegram.ErrEmailNotAllowed}, asks: []error{nil, nil},
		},
		{
			name: "only bad addresses", person: person{emails: []string{"1", "2", "3", "4", "5", good}}, want: telegram.ErrEmailInvalid,
			mails: []error{nil, telegram.ErrEmailInvalid, telegram.ErrEmailInvalid, telegram.ErrEmailInvalid, telegram.ErrEmailInvalid},
		},
		{
			name: "wrong code", person: person{emails: []string{good}, codes: []string{"1", dctest.EmailCode, "22222"}},
			mails: []error{nil}, asks: []error{nil, telegram.ErrCodeInvalid, nil},
		},
		{
			name: "only wrong codes", person: person{emails: []string{good}, codes: []string{"1", "2", "3", "4", "5", dctest.EmailCode}}, want: telegram.ErrCodeInvalid,
			mails: []error{nil}, asks: []error{nil, telegram.ErrCodeInvalid, telegram.ErrCodeInvalid, telegram.ErrCodeInvalid, telegram.ErrCodeInvalid},
		},
		{
			name: "another address", person: person{emails: []string{"anne@example.org", good}, codes: []string{"resend", dctest.EmailCode, "22222"}},
			mails: []error{nil, nil}, asks: []error{nil, nil, nil},
		},
		{
			name: "too slow", person: person{emails: []string{good, good}, codes: []string{dctest.EmailCode}, wait: 6 * time.Minute},
			mails: []error{nil, telegram.ErrCodeExpired}, asks: []error{nil, nil}, want: errNothingToSay,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := cluster(t, user(func(a *dctest.AccountConfig) { a.CodeType = "set_up_email" }))
				store := new(telegram.MemorySession)
				client := dial(t, c, store, nil)
				p := tt.person
				u, err := client.LoginPhone(t.Context(), phone1, &p)
				if !errors.Is(err, tt.want) || (tt.want == nil) != (u != nil) {
					t.Fatalf("got %v, %v; want error %v", u, err, tt.want)
				}
				var mails []error
				for _, r := range p.mailAsked {
					mails = append(mails, r.Problem)
				}
				checkProblems(t, "the address", mails, tt.mails)
				checkProblems(t, "a code", p.problems(), tt.asks)
				if u == nil {
					return
				}
				first, last := p.asked[0].SentCode, p.asked[len(p.asked)-1].SentCode
				if first.Kind != telegram.CodeEmailSetUp || first.Detail != "a***@e******.org" || first.Length != 6 || last.Kind != telegram.CodeEmail || last.Detail != first.Detail {
					t.Errorf("asked for %+v first, at last for %+v", first, last)
				}
				checkSignedIn(t, c, client, store)
			})
		})
	}
}

func checkProblems(t *testing.T, of string, got, want []error) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("asked for %s with %v, want %v", of, got, want)
	}
	for i := range want {
		if !errors.Is(got[i], want[i]) {
			t.Errorf("question %d for %s: problem %v, want %v", i, of, got[i], want[i])
		}
	}
}

// The code of the address may come when the process that asked for it is gone.
func TestSetUpEmailLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, user(func(a *dctest.AccountConfig) { a.CodeType = "set_up_email" }))
		store := new(telegram.MemorySession)
		for i, p := range []*person{{}, {emails: []string{"ann@example.org"}}, {codes: []string{dctest.EmailCode}}, {codes: []string{"22222"}}} {
			client := dial(t, c, store, nil)
			_, err := client.LoginPhone(t.Context(), phone1, p)
			if want := map[bool]error{false: errNothingToSay, true: nil}[i == 3]; !errors.Is(err, want) {
				t.Fatalf("process %d: %v, want %v", i, err, want)
			}
			if err := client.Close(); err != nil {
				t.Fatal(err)
			}
			if len(p.mailAsked) != map[int]int{0: 1, 1: 1}[i] {
				t.Errorf("process %d has asked %d times for the address", i, len(p.mailAsked))
			}
		}
		if sent, mails := requests(c, "auth.sendCode"), requests(c, "account.sendVerifyEmailCode"); sent != 1 || mails != 1 {
			t.Errorf("%d codes and %d e-mails were asked for, want one each", sent, mails)
		}
	})
}

// A CodeAsker that cannot give an address is told that one is needed.
func TestEmailRequired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, user(func(a *dctest.AccountConfig) { a.CodeType = "set_up_email" }))
		client := dial(t, c, new(telegram.MemorySession), nil)
		_, err := client.LoginPhone(t.Context(), phone1, struct{ telegram.CodeAsker }{&person{}})
		if !errors.Is(err, telegram.ErrEmailRequired) {
			t.Errorf("got %v", err)
		}
	})
}

// Who cannot read the login e-mail any more has it given up: at once, or when
// the time for that is over.
func TestResetEmail(t *testing.T) {
	byEmail := func(after time.Duration) dctest.Config {
		return user(func(a *dctest.AccountConfig) {
			a.CodeType, a.EmailResetAfter = "email", dctest.Duration(after)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, byEmail(0))
		p := &person{codes: []string{"reset", "22222"}}
		signedIn(t, c, new(telegram.MemorySession), p, phone1)
		if first, second := p.asked[0].SentCode, p.asked[1].SentCode; !first.CanReset || first.ResetPeriod != 0 || second.Kind != telegram.CodeSMS {
			t.Errorf("asked for %+v, then for %+v", first, second)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c := cluster(t, byEmail(2*time.Minute))
		p := &person{codes: []string{"reset", "reset", "reset", "22222"}, wait: time.Minute - time.Second}
		signedIn(t, c, new(telegram.MemorySession), p, phone1)
		checkProblems(t, "a code", p.problems(), []error{nil, telegram.ErrResetPending, telegram.ErrResetPending, telegram.ErrResetPending})
		first, second := p.asked[0].SentCode, p.asked[1].SentCode
		if !first.CanReset || first.ResetPeriod != 2*time.Minute || second.CanReset || second.ResetAt.IsZero() || p.asked[3].Kind != telegram.CodeEmail {
			t.Errorf("asked for %+v, then for %+v, at last for %+v", first, second, p.asked[3])
		}
	})
	synctest.Test(t, func(t *testing.T) { // later, by another login
		c := cluster(t, byEmail(30*time.Minute))
		store := new(telegram.MemorySession)
		client := dial(t, c, store, nil)
		if _, err := client.LoginPhone(t.Context(), phone1, &person{codes: []string{"reset"}}); !errors.Is(err, errNothingToSay) {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Minute)
		p := &person{codes: []string{"reset", "22222"}}
		if _, err := client.LoginPhone(t.Context(), phone1, p); err != nil || p.asked[0].ResetAt.IsZero() || p.asked[1].Kind != telegram.CodeSMS {
			t.Errorf("%v, asked %+v", err, p.asked)
		}
	})
	synctest.Test(t, func(t *testing.T) { // there is none
		c := cluster(t, user(nil))
		p := &person{codes: []string{"reset", "22222"}}
		signedIn(t, c, new(telegram.MemorySession), p, phone1)
		checkProblems(t, "a code", p.problems(), []error{nil, telegram.ErrCodeUnavailable})
	})
}
