package transport

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var fakeSecret = Secret{Key: []byte("0123456789abcdef"), Padded: true, Domain: "www.example.com"}

// The reply of a proxy that others wrote is taken, and no other.
func TestServerHelloVector(t *testing.T) {
	for _, v := range load(t).FakeTLS {
		random := [randomSize]byte(unhex(t, v.Random))
		reply := unhex(t, v.Reply)
		if err := readServerHello(bytes.NewReader(reply), unhex(t, v.Secret), random); err != nil {
			t.Fatal(err)
		}
		for _, at := range []int{helloRandom, helloRandom + 31, 60, len(reply) - 1} {
			bad := bytes.Clone(reply)
			bad[at] ^= 1
			if err := readServerHello(bytes.NewReader(bad), unhex(t, v.Secret), random); !errors.Is(err, ErrFakeTLS) {
				t.Errorf("with byte %d changed: got %v, want ErrFakeTLS", at, err)
			}
		}
		random[0] ^= 1
		if err := readServerHello(bytes.NewReader(reply), unhex(t, v.Secret), random); !errors.Is(err, ErrFakeTLS) {
			t.Errorf("reply to another hello: got %v, want ErrFakeTLS", err)
		}
	}
}

// Go's TLS server, which knows nothing of proxies, must find the hello well-formed.
func TestClientHelloIsTLS(t *testing.T) {
	var seen [][]byte
	for range 8 {
		hello, random, err := clientHello(fakeSecret, time.Unix(1707425105, 0))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(hello[helloRandom:helloSession], random[:]) {
			t.Error("the random that is returned is not the one that is sent")
		}
		var info *tls.ClientHelloInfo
		server := tls.Server(&wire{in: bytes.NewReader(hello)}, &tls.Config{
			GetConfigForClient: func(i *tls.ClientHelloInfo) (*tls.Config, error) {
				info = i
				return nil, errors.New("seen enough")
			},
		})
		if err := server.Handshake(); err == nil || info == nil {
			t.Fatalf("the hello was not understood: %v", err)
		}
		if info.ServerName != fakeSecret.Domain || !slices.Equal(info.SupportedProtos, []string{"h2", "http/1.1"}) ||
			!slices.Contains(info.SupportedVersions, tls.VersionTLS13) || !slices.Contains(info.SupportedCurves, tls.X25519MLKEM768) {
			t.Errorf("got %q, %q, versions %x, curves %v", info.ServerName, info.SupportedProtos, info.SupportedVersions, info.SupportedCurves)
		}
		seen = append(seen, hello)
	}
	order := func(hello []byte) (ids string) {
		for b := hello[helloCiphers+2+32+2+2:]; len(b) > 4; b = b[4+int(binary.BigEndian.Uint16(b[2:])):] {
			if b[0]&0x0f != 0x0a { // no GREASE
				ids += string(b[:2])
			}
		}
		return ids
	}
	if len(order(seen[0])) != 32 {
		t.Errorf("%d extensions, want 16", len(order(seen[0]))/2)
	}
	if !slices.ContainsFunc(seen, func(h []byte) bool { return order(h) != order(seen[0]) }) {
		t.Error("the extensions always come in the same order")
	}
}

// fakePair makes a connection of both ends. The client's clock is off by skew.
func fakePair(t *testing.T, client Secret, skew time.Duration, o FakeTLSOptions) (near, far net.Conn, clientErr, serverErr error) {
	t.Helper()
	c, s := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if far, serverErr = AcceptFakeTLS(t.Context(), s, o); serverErr != nil {
			_ = RefuseFakeTLS(s)
			_ = s.Close()
		}
	}()
	near, clientErr = FakeTLS(t.Context(), c, client, time.Now().Add(skew))
	if clientErr != nil {
		_ = c.Close()
	}
	<-done
	return near, far, clientErr, serverErr
}

func TestFakeTLSBothEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far, err, serverErr := fakePair(t, fakeSecret, time.Minute, FakeTLSOptions{Secret: fakeSecret})
		if err != nil || serverErr != nil {
			t.Fatal(err, serverErr)
		}
		client, err := Client(near, Options{Obfuscated: true, DC: -10002, Secret: fakeSecret})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- echo(far, Options{Obfuscated: true, DC: -10002, Secret: fakeSecret}) }()
		for _, n := range []int{40, 56, 4000, 1 << 20} {
			packet := bytes.Repeat([]byte{7}, (n-24)/16*16+24)
			if err := client.WriteFrame(bytes.Clone(packet)); err != nil {
				t.Fatal(err)
			}
			if got, err := client.ReadFrame(alloc); err != nil || !bytes.Equal(got, packet) {
				t.Fatalf("%d bytes: got %d, %v", len(packet), len(got), err)
			}
		}
		_ = client.Close()
		if err := <-done; !errors.Is(err, io.EOF) {
			t.Error(err)
		}
	})
}

// What the client writes: change_cipher_spec, then records of at most 2878
// bytes, of which the first has the obfuscation header and the first frame.
func TestFakeTLSRecords(t *testing.T) {
	w := new(wire)
	c, err := Client(&tlsConn{Conn: w, greet: true}, Options{Obfuscated: true, DC: 2, Secret: fakeSecret})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.WriteFrame(make([]byte, 40)); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteFrame(make([]byte, 20000)); err != nil {
		t.Fatal(err)
	}
	b, ok := bytes.CutPrefix(w.out.Bytes(), cipherRecord)
	if !ok {
		t.Fatalf("begins with %x, want change_cipher_spec", w.out.Bytes()[:6])
	}
	var sizes []int
	for len(b) > 0 {
		n := int(binary.BigEndian.Uint16(b[3:]))
		if !bytes.Equal(b[:3], []byte{recordData, 3, 3}) || n > maxWritten {
			t.Fatalf("record %x", b[:5])
		}
		sizes = append(sizes, n)
		b = b[recordHeader+n:]
	}
	if first := obfuscatedHeader + 4 + 40; sizes[0] < first || sizes[0] > first+maxTail || len(sizes) != 1+7 {
		t.Errorf("records of %v bytes", sizes)
	}
}

func TestFakeTLSRefuses(t *testing.T) {
	other := fakeSecret
	other.Key = []byte("another key 1234")
	elsewhere := fakeSecret
	elsewhere.Domain = "www.example.org"
	always := func([32]byte) bool { return true }
	for _, tt := range []struct {
		name   string
		secret Secret
		skew   time.Duration
		seen   func([32]byte) bool
		want   string
	}{
		{"another secret", other, 0, nil, "proof"},
		{"another domain", elsewhere, 0, nil, "www.example.org"},
		{"slow clock", fakeSecret, -3 * time.Hour, nil, "clock is off by 3h"},
		{"fast clock", fakeSecret, 3 * time.Minute, nil, "clock is off by -3m"},
		{"replay", fakeSecret, 0, always, "came before"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, _, err, serverErr := fakePair(t, tt.secret, tt.skew, FakeTLSOptions{Secret: fakeSecret, Seen: tt.seen})
				if !errors.Is(err, ErrFakeTLS) {
					t.Errorf("client: got %v, want ErrFakeTLS", err)
				}
				if !errors.Is(serverErr, ErrHello) || !strings.Contains(serverErr.Error(), tt.want) {
					t.Errorf("server: got %v, want ErrHello that says %q", serverErr, tt.want)
				}
			})
		})
	}
}

// A server that does not answer ends with the context, and nothing waits on.
func TestFakeTLSBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := net.Pipe()
		defer s.Close() //nolint:errcheck // a pipe
		go func() { _, _ = io.Copy(io.Discard, s) }()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := FakeTLS(ctx, c, fakeSecret, time.Now()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want a deadline", err)
		}
	})
}

// FuzzServerHello: what a proxy answers is read with bounds, and without the secret never believed.
func FuzzServerHello(f *testing.F) {
	reply, err := serverHello(fakeSecret.Key, [32]byte{}, make([]byte, helloCiphers))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(reply)
	f.Add([]byte{recordAlert, 3, 3, 0, 2, 2, 112})
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		if err := readServerHello(r, []byte("a key of the fuzzer's own"), [32]byte{}); err == nil {
			t.Fatal("a reply without proof was taken")
		}
		if read := len(b) - r.Len(); read > maxReply {
			t.Fatalf("%d bytes were read", read)
		}
	})
}

// FuzzRecords: the bytes inside of records, or an error; and never more than came.
func FuzzRecords(f *testing.F) {
	f.Add([]byte{recordCipher, 3, 3, 0, 1, 1, recordData, 3, 3, 0, 2, 'h', 'i', recordData, 3, 3, 0, 0})
	f.Add([]byte{recordData, 3, 3, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &tlsConn{in: bufio.NewReader(bytes.NewReader(b))}
		got, err := io.ReadAll(c)
		if len(got) > len(b) || err == nil && len(got)+recordHeader > len(b) && len(got) > 0 {
			t.Fatalf("%d bytes inside of %d, %v", len(got), len(b), err)
		}
	})
}

func FuzzClientHello(f *testing.F) {
	hello, _, err := clientHello(fakeSecret, time.Unix(1, 0))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(hello)
	f.Add([]byte{recordHandshake, 3, 1, 0, 2, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = helloServerName(b)
		o := FakeTLSOptions{Secret: Secret{Key: []byte("a key of the fuzzer's own")}}
		if _, err := o.check(b); err == nil {
			t.Fatal("a hello without proof was taken")
		}
	})
}
