package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/tghaul/haul/mtproto/transport"
)

// ErrURL is wrapped by errors about a text that names no proxy. They show
// nothing of it that could be secret.
var ErrURL = errors.New("proxy: want socks5://[USER:PASSWORD@]HOST:PORT, http://[USER:PASSWORD@]HOST:PORT, " +
	"or a link tg://proxy?server=HOST&port=PORT&secret=SECRET")

// maxURL bounds what is looked at.
const maxURL = 4096

// Parse reads how people write proxies: socks5://, socks5h:// and http:// URLs,
// and the links of Telegram, tg://proxy, tg://socks, https://t.me/proxy and
// https://t.me/socks, also without their https. Errors wrap ErrURL.
func Parse(text string) (*Proxy, error) {
	text = strings.TrimSpace(text)
	if len(text) > maxURL {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrURL, maxURL)
	}
	if rest, ok := strings.CutPrefix(text, "tg:"); ok {
		text = "tg://" + strings.TrimPrefix(rest, "//")
	} else if !strings.Contains(text, "://") && strings.HasPrefix(text, "t.me/") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil { // its text has the URL, and that the password
		return nil, fmt.Errorf("%w: not a URL", ErrURL)
	}
	p, err := parse(u)
	if err != nil {
		return nil, err
	}
	return p, p.check()
}

func parse(u *url.URL) (*Proxy, error) {
	host := strings.TrimPrefix(strings.ToLower(u.Host), "www.")
	link := host == "t.me" || host == "telegram.me" || host == "telegram.dog"
	switch scheme := strings.ToLower(u.Scheme); {
	case scheme == "tg":
		return parseLink(strings.ToLower(u.Host), u)
	case (scheme == "https" || scheme == "http") && link:
		return parseLink(strings.Trim(u.Path, "/"), u)
	case scheme == "socks5" || scheme == "socks5h":
		return parseURL(SOCKS5, u)
	case scheme == "http":
		return parseURL(HTTP, u)
	case scheme == "https":
		return nil, fmt.Errorf("%w: proxies that are spoken to over TLS are not supported", ErrURL)
	default:
		return nil, ErrURL
	}
}

func parseURL(kind Kind, u *url.URL) (*Proxy, error) {
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%w: something follows the port", ErrURL)
	}
	p := &Proxy{Kind: kind, Address: u.Host}
	if u.User != nil {
		p.User = u.User.Username()
		p.Password, _ = u.User.Password()
		if p.User == "" {
			return nil, fmt.Errorf("%w: a password without a user name", ErrURL)
		}
	}
	return p, nil
}

// parseLink reads core.telegram.org/api/links#mtproxy-links and socks5 links.
func parseLink(action string, u *url.URL) (*Proxy, error) {
	q := u.Query()
	p := &Proxy{Address: net.JoinHostPort(q.Get("server"), q.Get("port"))}
	switch action {
	case "socks":
		p.Kind, p.User, p.Password = SOCKS5, q.Get("user"), q.Get("pass")
		return p, nil
	case "proxy":
		p.Kind = MTProxy
		secret, err := transport.ParseSecret(strings.ReplaceAll(q.Get("secret"), " ", "+")) // a + may arrive as a blank
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrURL, err)
		}
		p.Secret = secret
		return p, nil
	default:
		return nil, fmt.Errorf("%w: this link leads to no proxy", ErrURL)
	}
}

// check reports what is wrong with a proxy that was put together by Parse.
func (p *Proxy) check() error {
	host, port, err := net.SplitHostPort(p.Address)
	if err != nil || host == "" || strings.ContainsAny(host, " \r\n\t") {
		return fmt.Errorf("%w: no host and port", ErrURL)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%w: port is not in 1..65535", ErrURL)
	}
	switch {
	case p.Kind == MTProxy && p.Secret.Key == nil:
		return fmt.Errorf("%w: an MTProxy needs its secret", ErrURL)
	case len(p.User) > maxSOCKS || len(p.Password) > maxSOCKS:
		return fmt.Errorf("%w: user name and password have %d bytes at most", ErrURL, maxSOCKS)
	case p.Kind == HTTP && strings.Contains(p.User, ":"):
		return fmt.Errorf("%w: a user name of HTTP has no colon", ErrURL)
	}
	return nil
}
