package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tghaul/haul/telegram/dctest/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	plainHex = "000102030405060708090a0b0c0d0e0f"
	fakeHex  = "ee" + plainHex + "7777772e6578616d706c652e636f6d" // www.example.com
)

func TestParse(t *testing.T) {
	for _, tt := range []struct{ text, want, user, password, domain string }{
		{text: "socks5://127.0.0.1:1080", want: "socks5://127.0.0.1:1080"},
		{text: "socks5h://anna:se%20cret@proxy.example:1080/", want: "socks5://proxy.example:1080", user: "anna", password: "se cret"},
		{text: "socks5://[::1]:1080", want: "socks5://[::1]:1080"},
		{text: "http://anna@127.0.0.1:3128", want: "http://127.0.0.1:3128", user: "anna"},
		{text: "tg://proxy?server=127.0.0.1&port=443&secret=" + plainHex, want: "mtproxy://127.0.0.1:443"},
		{text: "tg:proxy?server=127.0.0.1&port=443&secret=dd" + plainHex, want: "mtproxy://127.0.0.1:443"},
		{text: " https://t.me/proxy?server=127.0.0.1&port=443&secret=" + fakeHex, want: "mtproxy://127.0.0.1:443", domain: "www.example.com"},
		{text: "t.me/proxy?server=127.0.0.1&port=443&secret=7gABAgMEBQYHCAkKCwwNDg93d3cuZXhhbXBsZS5jb20", want: "mtproxy://127.0.0.1:443", domain: "www.example.com"},
		{text: "https://t.me/socks?server=127.0.0.1&port=9050&user=a&pass=b", want: "socks5://127.0.0.1:9050", user: "a", password: "b"},
	} {
		p, err := Parse(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if p.String() != tt.want || p.User != tt.user || p.Password != tt.password || p.Secret.Domain != tt.domain {
			t.Errorf("%s: got %v, user %q, domain %q", tt.text, p, p.User, p.Secret.Domain)
		}
	}
}

// No error shows what may be secret.
func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "want socks5://"},
		{"127.0.0.1:1080", "not a URL"},
		{"ftp://127.0.0.1:21", "want socks5://"},
		{"https://127.0.0.1:443", "over TLS"},
		{"socks5://127.0.0.1", "no host and port"},
		{"socks5://:1080", "no host and port"},
		{"socks5://127.0.0.1:0", "port is not in"},
		{"socks5://127.0.0.1:1080/path", "follows the port"},
		{"socks5://u:canary%@127.0.0.1:1080", "not a URL"},
		{"socks5://:canary@127.0.0.1:1080", "without a user name"},
		{"socks5://u:" + strings.Repeat("canary", 50) + "@127.0.0.1:1080", "255 bytes"},
		{"http://u%3Av:canary@127.0.0.1:1080", "no colon"},
		{"tg://proxy?server=127.0.0.1&port=443", "needs its secret"},
		{"tg://proxy?server=127.0.0.1&port=443&secret=canary!", "a secret is 16 bytes"},
		{"tg://proxy?server=127.0.0.1&port=70000&secret=" + plainHex, "port is not in"},
		{"tg://resolve?domain=canary", "no proxy"},
		{"https://t.me/canary", "no proxy"},
		{"socks5://" + strings.Repeat("x", maxURL), "longer"},
	} {
		p, err := Parse(tt.text)
		if !errors.Is(err, ErrURL) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60q: got %v, %v, want ErrURL that says %q", tt.text, p, err, tt.want)
		} else if strings.Contains(err.Error(), "canary") {
			t.Errorf("%.60q: the error shows what it may not: %v", tt.text, err)
		}
	}
}

func TestFormat(t *testing.T) {
	p, err := Parse("socks5://u:canary@127.0.0.1:1080")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(p), fmt.Sprintf("%+v %#v %s", p, p, p), p.Fail(ErrAuth, nil).Error()} {
		if strings.Contains(text, "canary") {
			t.Errorf("shows the password: %s", text)
		}
	}
}

// backend dials a server that sends back what it gets, at one address.
func backend(address string) DialFunc {
	return func(_ context.Context, _, got string) (net.Conn, error) {
		if got != address {
			return nil, fmt.Errorf("nobody listens on %s", got)
		}
		near, far := net.Pipe()
		go func() {
			_, _ = io.Copy(far, far)
			_ = far.Close()
		}()
		return near, nil
	}
}

// through dials a server at address through a relay in memory.
func through(t *testing.T, cfg relay.Config, p *Proxy, address string) (net.Conn, error) {
	t.Helper()
	r, err := relay.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return p.Dial(ctx, func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go r.ServeConn(far)
		return near, nil
	}, address)
}

func TestDial(t *testing.T) {
	for _, kind := range []Kind{SOCKS5, HTTP} {
		for _, user := range []string{"", "anna"} {
			for _, address := range []string{"192.0.2.1:443", "[2001:db8::1]:5222", "dc.example.com:80"} {
				t.Run(fmt.Sprintf("%s %s %s", kind.scheme(), user, address), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						cfg := relay.Config{Kind: kind.scheme(), User: user, Dial: backend(address)}
						if user != "" {
							cfg.Password = "secret:of hers"
						}
						c, err := through(t, cfg, &Proxy{Kind: kind, Address: "proxy:1", User: user, Password: cfg.Password}, address)
						if err != nil {
							t.Fatal(err)
						}
						defer c.Close()       //nolint:errcheck // a pipe
						time.Sleep(time.Hour) // the deadline of dialing is over
						if _, err := c.Write([]byte("hello")); err != nil {
							t.Fatal(err)
						}
						var b [5]byte
						if _, err := io.ReadFull(c, b[:]); err != nil || string(b[:]) != "hello" {
							t.Errorf("got %q, %v", b, err)
						}
					})
				})
			}
		}
	}
}

func TestDialFails(t *testing.T) {
	const address = "192.0.2.1:443"
	for _, tt := range []struct {
		name           string
		user, password string
		address        string
		reason         error
	}{
		{"wrong password", "anna", "wrong", address, ErrAuth},
		{"wrong user", "bert", "right", address, ErrAuth},
		{"no user", "", "", address, ErrAuth},
		{"server gone", "anna", "right", "192.0.2.9:443", ErrRefused},
	} {
		for _, kind := range []Kind{SOCKS5, HTTP} {
			t.Run(kind.scheme()+" "+tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg := relay.Config{Kind: kind.scheme(), User: "anna", Password: "right", Dial: backend(address)}
					p := &Proxy{Kind: kind, Address: "proxy:1", User: tt.user, Password: tt.password}
					_, err := through(t, cfg, p, tt.address)
					var failed *Error
					if !errors.Is(err, tt.reason) || !errors.As(err, &failed) {
						t.Fatalf("got %v, want %v", err, tt.reason)
					}
					if !strings.Contains(err.Error(), p.String()) || strings.Contains(err.Error(), "right") {
						t.Errorf("error text: %v", err)
					}
				})
			})
		}
	}
}

// scripted is a proxy that says what it is told to, whatever it is asked.
func scripted(answer string) DialFunc {
	return func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close() //nolint:errcheck // a pipe
			go func() { _, _ = io.Copy(io.Discard, far) }()
			_, _ = far.Write([]byte(answer))
		}()
		return near, nil
	}
}

func TestDialStrangers(t *testing.T) {
	for _, tt := range []struct {
		name   string
		kind   Kind
		answer string
		want   error
	}{
		{"a web server for SOCKS", SOCKS5, "HTTP/1.1 400 Bad Request\r\n\r\n", ErrNotProxy},
		{"closes at once", SOCKS5, "", ErrNotProxy},
		{"closes in the middle", SOCKS5, "\x05\x00\x05\x00", ErrRefused},
		{"rules", SOCKS5, "\x05\x00\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00", ErrRefused},
		{"odd address", SOCKS5, "\x05\x00\x05\x00\x00\x09\x00\x00\x00\x00\x00\x00", ErrNotProxy},
		{"SSH for HTTP", HTTP, "SSH-2.0-OpenSSH\r\n", ErrNotProxy},
		{"HTTP closes at once", HTTP, "", ErrNotProxy},
		{"forbidden", HTTP, "HTTP/1.1 403 Forbidden\r\n\r\n", ErrRefused},
		{"endless header", HTTP, "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: y\r\n", 4000), ErrNotProxy},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &Proxy{Kind: tt.kind, Address: "proxy:1"}
				if _, err := p.Dial(t.Context(), scripted(tt.answer), "192.0.2.1:443"); !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
			})
		})
	}
}

// What the server says along with the proxy's answer is not lost.
func TestEarlyBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Proxy{Kind: HTTP, Address: "proxy:1"}
		c, err := p.Dial(t.Context(), scripted("HTTP/1.1 200 OK\r\n\r\nearly"), "192.0.2.1:443")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close() //nolint:errcheck // a pipe
		if b, err := io.ReadAll(c); err != nil || string(b) != "early" {
			t.Errorf("got %q, %v", b, err)
		}
	})
}

// A proxy that says nothing is left when the time is up; one that is gone is named.
func TestDialBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, kind := range []Kind{SOCKS5, HTTP} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			p := &Proxy{Kind: kind, Address: "proxy:1"}
			var far net.Conn
			_, err := p.Dial(ctx, func(context.Context, string, string) (near net.Conn, err error) {
				near, far = net.Pipe()
				go func() { _, _ = io.Copy(io.Discard, far) }()
				return near, nil
			}, "192.0.2.1:443")
			if !errors.Is(err, ErrNotProxy) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v: got %v, want ErrNotProxy and no deadline", p, err)
			}
			cancel()
		}
		p := &Proxy{Address: "proxy:1"}
		gone := errors.New("connection refused")
		_, err := p.Dial(t.Context(), func(context.Context, string, string) (net.Conn, error) { return nil, gone }, "192.0.2.1:443")
		if !errors.Is(err, ErrNotReached) || !errors.Is(err, gone) {
			t.Errorf("got %v, want ErrNotReached", err)
		}
	})
}

// A stream is what a proxy says, as bytes.
type stream struct {
	net.Conn
	io.Reader
}

func (s *stream) Read(b []byte) (int, error)  { return s.Reader.Read(b) }
func (s *stream) Write(b []byte) (int, error) { return len(b), nil }
func (s *stream) Close() error                { return nil }
func (s *stream) SetDeadline(time.Time) error { return nil }

// FuzzAnswer: what a proxy answers gives a connection or an *Error, and is read with bounds.
func FuzzAnswer(f *testing.F) {
	f.Add(false, false, []byte("\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00rest"))
	f.Add(false, true, []byte("\x05\x02\x01\x00\x05\x00\x00\x03\x03abc\x00\x00"))
	f.Add(true, false, []byte("HTTP/1.1 200 Connection established\r\n\r\nrest"))
	f.Add(true, true, []byte("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n"))
	f.Fuzz(func(t *testing.T, http, auth bool, b []byte) {
		p := &Proxy{Address: "proxy:1"}
		if http {
			p.Kind = HTTP
		}
		if auth {
			p.User, p.Password = "anna", "canary"
		}
		c, err := p.Dial(t.Context(), func(context.Context, string, string) (net.Conn, error) {
			return &stream{Reader: bytes.NewReader(b)}, nil
		}, "192.0.2.1:443")
		var failed *Error
		switch {
		case err == nil:
			if rest, err := io.ReadAll(c); err != nil || !bytes.HasSuffix(b, rest) {
				t.Errorf("%q, %v is what follows in %q", rest, err, b)
			}
		case !errors.As(err, &failed), strings.Contains(err.Error(), "canary"):
			t.Errorf("error %v", err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("socks5://u:p@127.0.0.1:1080")
	f.Add("https://t.me/proxy?server=127.0.0.1&port=443&secret=" + fakeHex)
	f.Add("tg:socks?server=::1&port=1")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			if !errors.Is(err, ErrURL) {
				t.Errorf("error %v does not wrap ErrURL", err)
			}
			return
		}
		if _, _, err := net.SplitHostPort(p.Address); err != nil {
			t.Errorf("%q: address %q", text, p.Address)
		}
	})
}
