package telegram

import (
	"errors"
	"strings"
	"testing"
)

func TestParseLink(t *testing.T) {
	const channel = -1001234567890
	for _, c := range []struct {
		in   string
		want Link
	}{
		{"https://t.me/durov", Link{Username: "durov"}},
		{"http://t.me/durov", Link{Username: "durov"}},
		{"t.me/durov", Link{Username: "durov"}},
		{"T.ME/durov", Link{Username: "durov"}},
		{"www.t.me/durov/", Link{Username: "durov"}},
		{"https://telegram.me/durov", Link{Username: "durov"}},
		{"https://telegram.dog/durov", Link{Username: "durov"}},
		{"https://t.me:443/durov", Link{Username: "durov"}},
		{"  https://t.me/durov#frag/x ", Link{Username: "durov"}},
		{"https://t.me/durov?start=abc", Link{Username: "durov"}},
		{"https://durov.t.me", Link{Username: "durov"}},
		{"https://durov.t.me/42", Link{Username: "durov", Message: 42}},
		{"t.me/s/durov", Link{Username: "durov"}},
		{"t.me/s/s/durov/7", Link{Username: "durov", Message: 7}},
		{"t.me/%73/durov/7", Link{Username: "durov", Message: 7}},
		{"t.me/durov/42", Link{Username: "durov", Message: 42}},
		{"t.me/durov/2147483647", Link{Username: "durov", Message: 2147483647}},
		{"t.me/durov/5/42", Link{Username: "durov", Thread: 5, Message: 42}},
		{"t.me/durov/42?thread=5", Link{Username: "durov", Thread: 5, Message: 42}},
		{"t.me/durov/42?single", Link{Username: "durov", Message: 42, Single: true}},
		{"t.me/durov/42?comment=7&single", Link{Username: "durov", Message: 42, Comment: 7, Single: true}},
		{"t.me/durov/42?t=1m30s", Link{Username: "durov", Message: 42}},
		{"t.me/durov/42?task=3&option=aa", Link{Username: "durov", Message: 42}},
		{"t.me/c/1234567890/42", Link{ID: channel, Message: 42}},
		{"t.me/c/1234567890/5/42?single", Link{ID: channel, Thread: 5, Message: 42, Single: true}},
		{"t.me/c/1234567890", Link{ID: channel}},
		{"t.me/c/1002147483649/3", Link{ID: -2002147483649, Message: 3}},
		{"t.me/+4912345", Link{Phone: "4912345"}},
		{"t.me/+AbC-_12", Link{Invite: "AbC-_12"}},
		{"t.me/%20AbC-_12", Link{Invite: "AbC-_12"}},
		{"t.me/ AbC-_12", Link{Invite: "AbC-_12"}},
		{"t.me/joinchat/AbC-_12", Link{Invite: "AbC-_12"}},
		{"tg://resolve?domain=durov", Link{Username: "durov"}},
		{"TG:resolve?domain=durov", Link{Username: "durov"}},
		{"tg://resolve?domain=durov&post=42&thread=5&single", Link{Username: "durov", Message: 42, Thread: 5, Single: true}},
		{"tg://resolve?domain=durov&post=42&comment=9", Link{Username: "durov", Message: 42, Comment: 9}},
		{"tg://resolve?phone=4912345", Link{Phone: "4912345"}},
		{"tg://join?invite=AbC-_12", Link{Invite: "AbC-_12"}},
		{"tg://privatepost?channel=1234567890&post=42", Link{ID: channel, Message: 42}},
		{"tg://privatepost?channel=1234567890&post=42&thread=5", Link{ID: channel, Message: 42, Thread: 5}},
		{"tg://resolve?domain=first&domain=second", Link{Username: "first"}},
	} {
		got, err := ParseLink(c.in)
		if err != nil || got != c.want {
			t.Errorf("ParseLink(%q) = %+v, %v; want %+v", c.in, got, err, c.want)
			continue
		}
		again, err := ParseLink(got.String())
		if err != nil || again != got {
			t.Errorf("ParseLink(%q) of %+v = %+v, %v", got.String(), got, again, err)
		}
	}
}

func TestParseLinkRefuses(t *testing.T) {
	for _, c := range []struct {
		in   string
		want error
	}{
		{"", ErrNotLink},
		{"https://example.com/durov", ErrNotLink},
		{"https://t.me.evil.com/durov", ErrNotLink},
		{"https://evil.com/t.me/durov", ErrNotLink},
		{"https://t.me@evil.com/durov", ErrNotLink},
		{"https://user:pw@t.me/durov", ErrNotLink},
		{"https://[::1]/durov", ErrNotLink},
		{"https://t.me:8080/durov", ErrNotLink},
		{"https://t.me:/durov", ErrNotLink},
		{"ftp://t.me/durov", ErrNotLink},
		{"javascript://t.me/durov", ErrNotLink},
		{"abc.t.me", ErrNotLink}, // too short a name
		{"addstickers.t.me/x", ErrNotLink},
		{"a.b.t.me/x", ErrNotLink},
		{"t.me/du\x00rov", ErrNotLink},
		{"t.me/durov\n", nil}, // trimmed
		{"t.me/du\nrov", ErrNotLink},
		{"t.me/%zz", ErrNotLink},
		{"t.me//", ErrLinkKind},
		{"t.me/durov//42", ErrNotLink},
		{strings.Repeat("t.me/", 1000), ErrNotLink},
		{"t.me", ErrLinkKind},
		{"t.me/", ErrLinkKind},
		{"t.me/12345", ErrLinkKind},
		{"t.me/1durov", ErrLinkKind},
		{"t.me/du__rov", ErrLinkKind},
		{"t.me/durov_", ErrLinkKind},
		{"t.me/дуров", ErrLinkKind},
		{"t.me/du%2Frov", ErrLinkKind},
		{"t.me/..", ErrLinkKind},
		{"t.me/" + strings.Repeat("x", 33), ErrLinkKind},
		{"t.me/$slug", ErrLinkKind},
		{"t.me/durov/0", ErrLinkKind},
		{"t.me/durov/-5", ErrLinkKind},
		{"t.me/durov/+5", ErrLinkKind},
		{"t.me/durov/2147483648", ErrLinkKind},
		{"t.me/durov/99999999999999999999", ErrLinkKind},
		{"t.me/durov/app", ErrLinkKind},
		{"t.me/durov/42?comment=x", ErrNotLink},
		{"t.me/durov/42?thread=-1", ErrNotLink},
		{"t.me/durov/x/42", ErrNotLink},
		{"t.me/durov/1/2/3", ErrLinkKind},
		{"t.me/durov/s/5", ErrLinkKind},
		{"t.me/durov/a/5", ErrLinkKind},
		{"t.me/addlist/slug", ErrLinkKind},
		{"t.me/contact/token", ErrLinkKind},
		{"t.me/addstickers/name", ErrLinkKind},
		{"t.me/m/slug", ErrLinkKind},
		{"t.me/proxy?server=1.2.3.4", ErrLinkKind},
		{"t.me/c", ErrLinkKind},
		{"t.me/c/0/5", ErrNotLink},
		{"t.me/c/-1001234567890/5", ErrNotLink},
		{"t.me/c/999999999999/5", ErrNotLink},
		{"t.me/c/99999999999999999999/5", ErrNotLink},
		{"t.me/joinchat/", ErrLinkKind},
		{"t.me/+", ErrNotLink},
		{"t.me/joinchat/123456", ErrNotLink},
		{"t.me/+ab$c", ErrNotLink},
		{"tg://", ErrLinkKind},
		{"tg://resolve", ErrNotLink},
		{"tg://resolve?domain=durov&post=0", ErrLinkKind},
		{"tg://resolve?domain=durov&story=1", ErrLinkKind},
		{"tg://resolve?phone=12x", ErrNotLink},
		{"tg://join?invite=", ErrNotLink},
		{"tg://privatepost?channel=5", ErrLinkKind},
		{"tg://addlist?slug=x", ErrLinkKind},
	} {
		got, err := ParseLink(c.in)
		if !errors.Is(err, c.want) {
			t.Errorf("ParseLink(%q) = %+v, %v; want error %v", c.in, got, err, c.want)
		}
	}
}

func TestParseChat(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Link
		err  error
	}{
		{"me", Link{Self: true}, nil},
		{"Self", Link{Self: true}, nil},
		{"@durov", Link{Username: "durov"}, nil},
		{"durov", Link{Username: "durov"}, nil},
		{" @big_channel ", Link{Username: "big_channel"}, nil},
		{"-1001234567890", Link{ID: -1001234567890}, nil},
		{"-1234", Link{ID: -1234}, nil},
		{"1234", Link{ID: 1234}, nil},
		{"t.me/c/1234567890", Link{ID: -1001234567890}, nil},
		{"https://t.me/durov/5", Link{Username: "durov", Message: 5}, nil},
		{"", Link{}, ErrNotLink},
		{"@", Link{}, ErrNotLink},
		{"@du rov", Link{}, ErrNotLink},
		{"@t.me", Link{}, ErrNotLink},
		{"0", Link{}, ErrPeerID},
		{"-1000000000000", Link{}, ErrPeerID},
		{"-1999999999999", Link{}, ErrPeerID},
		{"1099511627776", Link{}, ErrPeerID},
		{"-9223372036854775808", Link{}, ErrPeerID},
		{"9223372036854775808", Link{}, ErrNotLink},
		{"+5", Link{}, ErrNotLink},
	} {
		got, err := ParseChat(c.in)
		if !errors.Is(err, c.err) || got != c.want {
			t.Errorf("ParseChat(%q) = %+v, %v; want %+v, %v", c.in, got, err, c.want, c.err)
		}
	}
}

func FuzzParseChat(f *testing.F) {
	for _, s := range []string{
		"me", "@durov", "-1001234567890", "https://t.me/durov/5/42?single&comment=3", "t.me/c/1234567890/5",
		"tg://resolve?domain=durov&post=42&thread=5", "t.me/+AbC", "durov.t.me/7", "t.me/s/%73/x#y", "tg:join?invite=x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := ParseChat(s)
		if err != nil {
			if l != (Link{}) {
				t.Fatalf("ParseChat(%q) = %+v with error %v; want nothing", s, l, err)
			}
			return
		}
		set := 0
		for _, is := range []bool{l.Self, l.Username != "", l.ID != 0, l.Phone != "", l.Invite != ""} {
			if is {
				set++
			}
		}
		if set != 1 {
			t.Fatalf("ParseChat(%q) = %+v: %d of its forms are set, want 1", s, l, set)
		}
		if again, err := ParseChat(l.String()); err != nil || again != l {
			t.Fatalf("ParseChat(%q) = %+v; its String %q gives %+v, %v", s, l, l.String(), again, err)
		}
	})
}
