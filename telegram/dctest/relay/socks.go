package relay

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
)

// socks does the server's part of SOCKS5, RFC 1928 and RFC 1929.
func (r *Relay) socks(ctx context.Context, c net.Conn) (pump, net.Conn, error) {
	if err := r.socksGreet(c); err != nil {
		return nil, nil, err
	}
	address, err := socksRequest(c)
	if err != nil {
		return nil, nil, &refusal{BadProtocol, err}
	}
	server, err := r.cfg.Dial(ctx, "tcp", address)
	code := byte(0)
	if err != nil {
		code = 5 // connection refused
	}
	if _, writeErr := c.Write([]byte{5, code, 0, 1, 127, 0, 0, 1, 0, 0}); err != nil || writeErr != nil {
		return nil, server, &refusal{BadRoute, errors.Join(err, writeErr)}
	}
	return pipe(c, server, c), server, nil
}

func (r *Relay) socksGreet(c net.Conn) error {
	offered, err := socksField(c, 5)
	if err != nil {
		return &refusal{BadProtocol, err}
	}
	method := byte(0)
	if r.cfg.User != "" {
		method = 2
	}
	if !slices.Contains(offered, method) {
		_, _ = c.Write([]byte{5, 0xff}) // the client is refused in any case
		return &refusal{BadAuth, fmt.Errorf("methods %v are offered, want %d", offered, method)}
	}
	if _, err := c.Write([]byte{5, method}); err != nil || method == 0 {
		return err
	}
	user, err := socksField(c, 1)
	if err != nil {
		return &refusal{BadProtocol, err}
	}
	var n [1]byte
	if _, err := io.ReadFull(c, n[:]); err != nil {
		return &refusal{BadProtocol, err}
	}
	password := make([]byte, n[0])
	if _, err := io.ReadFull(c, password); err != nil {
		return &refusal{BadProtocol, err}
	}
	if !same(string(user), r.cfg.User) || !same(string(password), r.cfg.Password) {
		_, _ = c.Write([]byte{1, 1}) // the client is refused in any case
		return &refusal{BadAuth, errors.New("wrong user name or password")}
	}
	_, err = c.Write([]byte{1, 0})
	return err
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// socksField reads a version and a field behind its length.
func socksField(c io.Reader, version byte) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	if head[0] != version {
		return nil, fmt.Errorf("version %d, want %d", head[0], version)
	}
	b := make([]byte, head[1])
	_, err := io.ReadFull(c, b)
	return b, err
}

// socksRequest reads which address the client wants.
func socksRequest(c io.Reader) (string, error) {
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return "", err
	}
	if head[0] != 5 || head[1] != 1 || head[2] != 0 {
		return "", fmt.Errorf("request %x", head[:3])
	}
	size := map[byte]int{1: 4, 4: 16}[head[3]]
	if head[3] == 3 {
		var n [1]byte
		if _, err := io.ReadFull(c, n[:]); err != nil {
			return "", err
		}
		size = int(n[0])
	}
	if size == 0 {
		return "", fmt.Errorf("address of kind %d", head[3])
	}
	b := make([]byte, size+2)
	if _, err := io.ReadFull(c, b); err != nil {
		return "", err
	}
	host := string(b[:size])
	if ip, ok := netip.AddrFromSlice(b[:size]); ok && head[3] != 3 {
		host = ip.String()
	}
	return net.JoinHostPort(host, strconv.Itoa(int(b[size])<<8|int(b[size+1]))), nil
}
