package transport

import (
	"bufio"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"strings"
	"time"
)

// FakeTLSOptions of AcceptFakeTLS.
type FakeTLSOptions struct {
	Secret Secret // with a domain
	// Now is the time, time.Now if nil. Clients that are further off than
	// MaxSkew (2 minutes if 0) are refused.
	Now     func() time.Time
	MaxSkew time.Duration
	// Seen reports whether a client's random came before, and remembers it; nil:
	// none ever did.
	Seen func(random [32]byte) bool
}

// ErrHello is wrapped when a client's first record is none that AcceptFakeTLS
// takes. Nothing was answered.
var ErrHello = errors.New("transport: not a ClientHello of this secret")

const (
	maxHello    = 1 << 13
	defaultSkew = 2 * time.Minute
)

// AcceptFakeTLS does the server's part of the handshake over c, and returns the
// connection inside. ctx bounds the handshake. Errors: ErrHello, and those of
// the connection.
func AcceptFakeTLS(ctx context.Context, c net.Conn, o FakeTLSOptions) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	in := bufio.NewReaderSize(c, readBuffer)
	_, hello, err := readReplyRecord(in, maxHello)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHello, err)
	}
	random, err := o.check(hello)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHello, err)
	}
	reply, err := serverHello(o.Secret.Key, random, hello)
	if err != nil {
		return nil, err
	}
	if _, err := c.Write(reply); err != nil {
		return nil, err
	}
	if !stop() {
		return nil, ctx.Err()
	}
	return &tlsConn{Conn: c, in: in}, nil
}

// Offsets in a record with a ClientHello: behind the random come the session id
// with its length, then the cipher suites.
const (
	helloSession = helloRandom + randomSize
	helloCiphers = helloSession + 1 + 32
)

// check verifies a client's hello, and returns its random.
func (o *FakeTLSOptions) check(hello []byte) (random [randomSize]byte, err error) {
	if len(hello) < helloCiphers || hello[0] != recordHandshake || hello[recordHeader] != 1 || hello[helloSession] != 32 {
		return random, errors.New("it is none")
	}
	copy(random[:], hello[helloRandom:])
	blank := append([]byte(nil), hello...)
	clear(blank[helloRandom:helloSession])
	want := helloProof(o.Secret.Key, blank)
	if subtle.ConstantTimeCompare(random[:28], want[:28]) != 1 {
		return random, errors.New("its proof is wrong")
	}
	now, skew := time.Now, o.MaxSkew
	if o.Now != nil {
		now = o.Now
	}
	if skew == 0 {
		skew = defaultSkew
	}
	stamp := time.Unix(int64(binary.LittleEndian.Uint32(random[28:])^binary.LittleEndian.Uint32(want[28:])), 0)
	if d := now().Sub(stamp); d.Abs() > skew {
		return random, fmt.Errorf("its clock is off by %v", d)
	}
	if name, ok := helloServerName(hello[helloCiphers:]); !ok || !strings.EqualFold(name, o.Secret.Domain) {
		return random, fmt.Errorf("it asks for %q", name)
	}
	if o.Seen != nil && o.Seen(random) {
		return random, errors.New("it came before")
	}
	return random, nil
}

// helloServerName finds the server's name in what follows the session id.
func helloServerName(b []byte) (string, bool) {
	r := helloReader{b: b}
	r.take(r.length(2))       // cipher suites
	r.take(r.length(1))       // compression
	r.b = r.take(r.length(2)) // extensions
	for !r.bad && len(r.b) > 0 {
		id := r.length(2)
		content := helloReader{b: r.take(r.length(2))}
		if id != 0 {
			continue
		}
		content.take(3) // length of the list, and the kind of its first name
		name := string(content.take(content.length(2)))
		return name, !content.bad && !r.bad
	}
	return "", false
}

// A helloReader takes bytes apart; once there are too few, it is bad and returns nothing.
type helloReader struct {
	b   []byte
	bad bool
}

func (r *helloReader) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *helloReader) length(size int) (n int) {
	for _, c := range r.take(size) {
		n = n<<8 | int(c)
	}
	return n
}

// serverHello is the reply to a hello: a ServerHello with the same session id,
// change_cipher_spec, and random data in place of a certificate.
func serverHello(key []byte, clientRandom [randomSize]byte, hello []byte) ([]byte, error) {
	share, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	b := prefixed([]byte{recordHandshake, 3, 3}, func(b []byte) []byte {
		return prefixed(append(b, 2, 0), func(b []byte) []byte {
			b = append(append(b, 3, 3), make([]byte, randomSize)...)
			b = append(b, hello[helloSession:helloCiphers]...)
			b = append(b, 0x13, 0x01, 0)
			return prefixed(b, func(b []byte) []byte {
				b = extension(b, 0x002b, 3, 4)
				return extension(b, 0x0033, append([]byte{0, 0x1d, 0, 32}, share.PublicKey().Bytes()...)...)
			})
		})
	})
	b = append(b, cipherRecord...)
	b = prefixed(append(b, recordData, 3, 3), func(b []byte) []byte {
		return append(b, randomBytes(1024+mathrand.IntN(3072))...)
	})
	proof := helloProof(key, clientRandom[:], b)
	copy(b[helloRandom:], proof[:])
	return b, nil
}

// RefuseFakeTLS answers a refused client as a web server does that is asked for
// a name it does not have.
func RefuseFakeTLS(w io.Writer) error {
	_, err := w.Write([]byte{recordAlert, 3, 3, 0, 2, 2, 112}) // fatal: unrecognized_name
	return err
}
