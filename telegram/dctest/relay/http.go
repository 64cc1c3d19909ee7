package relay

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
)

// connect does the server's part of HTTP CONNECT.
func (r *Relay) connect(ctx context.Context, c net.Conn) (pump, net.Conn, error) {
	in := bufio.NewReader(c)
	q, err := http.ReadRequest(in)
	if err != nil {
		return nil, nil, &refusal{BadProtocol, err}
	}
	answer := func(text string) error {
		_, err := fmt.Fprintf(c, "HTTP/1.1 %s\r\n\r\n", text)
		return err
	}
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(r.cfg.User+":"+r.cfg.Password))
	switch {
	case q.Method != http.MethodConnect:
		return nil, nil, &refusal{BadProtocol, errors.Join(errors.New(q.Method), answer("405 Method Not Allowed"))}
	case r.cfg.User != "" && !same(q.Header.Get("Proxy-Authorization"), want):
		return nil, nil, &refusal{BadAuth, errors.Join(errors.New("wrong user name or password"), answer("407 Proxy Authentication Required"))}
	}
	server, err := r.cfg.Dial(ctx, "tcp", q.Host)
	if err != nil {
		return nil, nil, &refusal{BadRoute, errors.Join(err, answer("502 Bad Gateway"))}
	}
	if err := answer("200 Connection established"); err != nil {
		return nil, server, err
	}
	return pipe(c, server, in), server, nil
}
