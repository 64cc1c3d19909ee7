package proxy

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

// maxHTTPHeader bounds what a proxy may say before the connection begins.
const maxHTTPHeader = 16 << 10

// connect asks the proxy at the other end of c for a connection to address.
func (p *Proxy) connect(c net.Conn, address string) (net.Conn, error) {
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: make(http.Header)}
	request.Header.Set("User-Agent", "") // none
	if p.User != "" {
		text := base64.StdEncoding.EncodeToString([]byte(p.User + ":" + p.Password))
		request.Header.Set("Proxy-Authorization", "Basic "+text)
	}
	if err := request.Write(c); err != nil {
		return nil, p.Fail(ErrNotProxy, err)
	}
	in := bufio.NewReader(&io.LimitedReader{R: c, N: maxHTTPHeader})
	if err := p.connectReply(in, request); err != nil {
		return nil, err
	}
	if in.Buffered() == 0 {
		return c, nil
	}
	early, _ := in.Peek(in.Buffered()) // as many as there are
	return &earlyConn{Conn: c, early: early}, nil
}

func (p *Proxy) connectReply(in *bufio.Reader, request *http.Request) error {
	answer, err := http.ReadResponse(in, request)
	if err != nil {
		return p.Fail(ErrNotProxy, err)
	}
	switch {
	case answer.StatusCode == http.StatusProxyAuthRequired:
		return p.Fail(ErrAuth, nil)
	case answer.StatusCode/100 != 2:
		return p.Fail(ErrRefused, fmt.Errorf("HTTP status %d", answer.StatusCode))
	}
	return nil
}

// An earlyConn returns first what was read too early.
type earlyConn struct {
	net.Conn
	early []byte
}

func (c *earlyConn) Read(b []byte) (int, error) {
	if len(c.early) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.early)
	c.early = c.early[n:]
	return n, nil
}
