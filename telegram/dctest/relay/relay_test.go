package relay

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tghaul/haul/mtproto/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A tape keeps what is written to a connection.
type tape struct {
	net.Conn
	written bytes.Buffer
}

func (t *tape) Write(b []byte) (int, error) {
	t.written.Write(b)
	return t.Conn.Write(b)
}

// A hello that somebody has listened to is of no use to him: the proxy answers
// as a web server that does not know the name, and shows no proof.
func TestReplayedHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secret := transport.Secret{Key: []byte("0123456789abcdef"), Padded: true, Domain: "www.example.com"}
		r, err := New(Config{Kind: MTProxy, Secret: secret, Route: func(int16) (string, error) { return "", errors.New("none") }})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close() //nolint:errcheck // no listener
		near, far := net.Pipe()
		go r.ServeConn(far)
		heard := &tape{Conn: near}
		if _, err := transport.FakeTLS(t.Context(), heard, secret, time.Now()); err != nil {
			t.Fatal(err)
		}
		_ = near.Close()
		near, far = net.Pipe()
		go r.ServeConn(far)
		if _, err := near.Write(heard.written.Bytes()); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(near)
		if err != nil || len(answer) != 7 || answer[0] != 0x15 {
			t.Errorf("the replay got %x, %v, want an alert", answer, err)
		}
		synctest.Wait()
		if n := r.Stats().Refused[BadHello]; n != 1 {
			t.Errorf("%d hellos were refused, want 1", n)
		}
	})
}

// Nothing leaves the machine through a relay.
func TestLoopbackOnly(t *testing.T) {
	for _, address := range []string{"192.0.2.1:443", "[2001:db8::1]:443", "dc.example.com:443", "0.0.0.0:443"} {
		if c, err := dialLoopback(t.Context(), "tcp", address); err == nil {
			_ = c.Close()
			t.Errorf("%s was dialed", address)
		}
	}
}
