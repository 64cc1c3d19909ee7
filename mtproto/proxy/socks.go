package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
)

// SOCKS5, RFC 1928, with user name and password, RFC 1929. It is written out
// here since libraries tell of a refusal only in words, which nobody can act on.

const (
	socksVersion  = 5
	socksNoAuth   = 0
	socksPassword = 2
	socksConnect  = 1

	socksV4   = 1
	socksName = 3
	socksV6   = 4

	// maxSOCKS bounds user names, passwords and host names: one byte has their length.
	maxSOCKS = 255
)

// socksReplies are what a proxy says in place of success.
var socksReplies = [...]string{
	1: "general failure", 2: "its rules do not allow it", 3: "network unreachable", 4: "host unreachable",
	5: "connection refused", 6: "TTL expired", 7: "it cannot connect", 8: "it does not know this kind of address",
}

// socks asks the proxy at the other end of c for a connection to address.
func (p *Proxy) socks(c io.ReadWriter, address string) error {
	request, err := socksRequest(address)
	if err != nil {
		return err
	}
	if err := p.socksGreet(c); err != nil {
		return err
	}
	if _, err := c.Write(request); err != nil {
		return p.Fail(ErrRefused, err)
	}
	return p.socksReply(c)
}

func socksRequest(address string) ([]byte, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("port of %q: %w", address, err)
	}
	b := []byte{socksVersion, socksConnect, 0}
	switch ip, err := netip.ParseAddr(host); {
	case err == nil && ip.Unmap().Is4():
		b = append(append(b, socksV4), ip.Unmap().AsSlice()...)
	case err == nil:
		b = append(append(b, socksV6), ip.AsSlice()...)
	case len(host) > maxSOCKS:
		return nil, errors.New("host name is too long for SOCKS5")
	default:
		b = append(append(b, socksName, byte(len(host))), host...)
	}
	return append(b, byte(n>>8), byte(n)), nil
}

// socksGreet agrees on a method, and authenticates.
func (p *Proxy) socksGreet(c io.ReadWriter) error {
	method := byte(socksNoAuth)
	if p.User != "" {
		method = socksPassword
	}
	if _, err := c.Write([]byte{socksVersion, 1, method}); err != nil {
		return p.Fail(ErrNotProxy, err)
	}
	var answer [2]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return p.Fail(ErrNotProxy, err)
	}
	switch {
	case answer[0] != socksVersion:
		return p.Fail(ErrNotProxy, fmt.Errorf("version %d", answer[0]))
	case answer[1] == 0xff && method == socksNoAuth:
		return p.Fail(ErrAuth, errors.New("it wants one"))
	case answer[1] != method:
		return p.Fail(ErrAuth, fmt.Errorf("it wants method %d", answer[1]))
	case method == socksPassword:
		return p.socksLogin(c)
	}
	return nil
}

func (p *Proxy) socksLogin(c io.ReadWriter) error {
	b := append([]byte{1, byte(len(p.User))}, p.User...)
	b = append(append(b, byte(len(p.Password))), p.Password...)
	if _, err := c.Write(b); err != nil {
		return p.Fail(ErrAuth, err)
	}
	var answer [2]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return p.Fail(ErrAuth, err)
	}
	if answer[1] != 0 {
		return p.Fail(ErrAuth, nil)
	}
	return nil
}

// socksReply reads the answer to a request, up to the bytes of the connection itself.
func (p *Proxy) socksReply(c io.Reader) error {
	var head [5]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return p.Fail(ErrRefused, err)
	}
	if head[0] != socksVersion {
		return p.Fail(ErrNotProxy, fmt.Errorf("version %d", head[0]))
	}
	if code := int(head[1]); code != 0 {
		text := "code " + strconv.Itoa(code)
		if code < len(socksReplies) {
			text = socksReplies[code]
		}
		return p.Fail(ErrRefused, errors.New(text))
	}
	var rest int // of the address it connects from, of which the first byte is read
	switch head[3] {
	case socksV4:
		rest = 3
	case socksV6:
		rest = 15
	case socksName:
		rest = int(head[4])
	default:
		return p.Fail(ErrNotProxy, fmt.Errorf("address of kind %d", head[3]))
	}
	if _, err := io.ReadFull(c, make([]byte, rest+2)); err != nil {
		return p.Fail(ErrRefused, err)
	}
	return nil
}
