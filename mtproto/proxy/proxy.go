// Package proxy reaches Telegram through the proxies that people have: SOCKS5,
// HTTP CONNECT and MTProxy. It reads the ways in which they are written down,
// and says in its errors what is wrong and on which side of the proxy.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/tghaul/haul/mtproto/transport"
)

// A Kind is what a proxy speaks.
type Kind int

// Kinds of proxies.
const (
	SOCKS5  Kind = iota // RFC 1928; the proxy resolves names
	HTTP                // CONNECT, RFC 9110 section 9.3.6
	MTProxy             // Telegram's own: it is told a DC in place of an address
)

// scheme is how a URL of the kind begins.
func (k Kind) scheme() string {
	switch k {
	case SOCKS5:
		return "socks5"
	case HTTP:
		return "http"
	default:
		return "mtproxy"
	}
}

// A Proxy stands between a client and Telegram. It is not changed once it is in use.
type Proxy struct {
	Kind    Kind
	Address string // host:port
	// User and Password of SOCKS5 and HTTP; without a user there is no
	// authentication.
	User, Password string
	// Secret of an MTProxy.
	Secret transport.Secret
}

// String is kind and address, without what is secret.
func (p *Proxy) String() string { return p.Kind.scheme() + "://" + p.Address }

// Format prints what String returns, whatever the verb.
func (p *Proxy) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(p.String())) }

// Reasons for which a proxy is of no use. An *Error has one of them.
var (
	// ErrNotReached: nothing takes connections at the proxy's address.
	ErrNotReached = errors.New("cannot be reached")
	// ErrAuth: it wants another user name and password, or any.
	ErrAuth = errors.New("does not accept the user name and password")
	// ErrRefused: it cannot or will not connect to Telegram.
	ErrRefused = errors.New("does not connect to Telegram")
	// ErrNotProxy: what answers does not speak as a proxy of that kind.
	ErrNotProxy = errors.New("answers, but not as a proxy of this kind")
	// ErrSecret: it does not prove that it knows the secret.
	ErrSecret = errors.New("does not take the secret: it is wrong, or the clock of this machine is, or there is no MTProxy at this address")
	// ErrSilent: it takes connections, and nothing comes through them.
	ErrSilent = errors.New("takes connections, but Telegram does not answer through it")
)

// An Error is trouble with a proxy. It shows no password and no secret.
type Error struct {
	Proxy  string // as Proxy.String returns it
	Reason error  // one of the reasons above
	Err    error  // what happened, nil if Reason says it all
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("the proxy %s %v", e.Proxy, e.Reason)
	}
	return fmt.Sprintf("the proxy %s %v (%v)", e.Proxy, e.Reason, e.Err)
}

// Unwrap returns the reason and what happened.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Reason}
	}
	return []error{e.Reason, e.Err}
}

// Fail is an Error of p.
func (p *Proxy) Fail(reason, err error) error {
	return &Error{Proxy: p.String(), Reason: reason, Err: err}
}

// A DialFunc opens a connection, as net.Dialer.DialContext does.
type DialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// Dial opens a connection to address, host:port, through the proxy, which it
// reaches with dial. An MTProxy takes no address: the connection is with the
// proxy itself, and fake TLS is the caller's business. ctx bounds all of it.
// Errors are *Error, also when ctx's time is up, or context.Canceled.
func (p *Proxy) Dial(ctx context.Context, dial DialFunc, address string) (net.Conn, error) {
	c, err := dial(ctx, "tcp", p.Address)
	if err != nil {
		return nil, p.ended(ctx, ErrNotReached, p.Fail(ErrNotReached, err))
	}
	inside := c
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	switch p.Kind {
	case SOCKS5:
		err = p.socks(c, address)
	case HTTP:
		inside, err = p.connect(c, address)
	case MTProxy:
	}
	if err == nil && !stop() { // the deadline was just set: nobody must find it on the connection
		err = ctx.Err()
	}
	if err != nil {
		_ = c.Close()
		return nil, p.ended(ctx, ErrNotProxy, err)
	}
	return inside, nil
}

// ended is err, or what it means if ctx has ended. The end of ctx's time is not
// wrapped: it is the proxy's silence that matters, and no deadline of a caller's.
func (p *Proxy) ended(ctx context.Context, reason, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case ctx.Err() != nil:
		return p.Fail(reason, errors.New("no answer in time"))
	default:
		return err
	}
}
