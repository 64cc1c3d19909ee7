package transport

import (
	"bufio"
	"context"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Fake TLS: what goes over the connection looks like TLS 1.3 with some web
// site. There is no encryption in it; that is the business of the obfuscation
// inside. Secrets that begin with ee ask for it.

// ErrFakeTLS is wrapped when the other end of a connection does not prove that
// it knows the secret. It is no proxy of that secret; or it is one that has
// refused the client and passes it on to the web site that it hides behind,
// which MTProxies do with a wrong secret and a wrong clock.
var ErrFakeTLS = errors.New("transport: the other end does not prove that it knows the secret")

// Types of records.
const (
	recordCipher    = 0x14 // change_cipher_spec
	recordAlert     = 0x15
	recordHandshake = 0x16
	recordData      = 0x17
)

const (
	// maxWritten bounds the data of an outgoing record, as reference clients do.
	maxWritten = 2878
	// maxReply bounds what is read before the other end is trusted.
	maxReply = 1 << 16
)

var cipherRecord = []byte{recordCipher, 3, 3, 0, 1, 1}

// FakeTLS does the client's part of the handshake over c, and returns the
// connection inside. now is the time by the server's clock; a proxy refuses
// clients that are off by minutes. ctx bounds the handshake. After an error c
// is not to be used again. Errors: ErrFakeTLS, and those of the connection.
func FakeTLS(ctx context.Context, c net.Conn, secret Secret, now time.Time) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	hello, random, err := clientHello(secret, now)
	if err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(c, readBuffer)
	if _, err = c.Write(hello); err == nil {
		err = readServerHello(in, secret.Key, random)
	}
	switch {
	case err == nil && !stop(): // the deadline was just set: nobody must find it on the connection
		return nil, ctx.Err()
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("fake TLS: %w", err)
	}
	return &tlsConn{Conn: c, in: in, greet: true}, nil
}

// readServerHello reads the reply to a hello up to its first record of data,
// and checks the proof in it.
func readServerHello(in io.Reader, key []byte, clientRandom [randomSize]byte) error {
	var reply []byte
	for ended, records := false, 0; !ended; records++ {
		kind, record, err := readReplyRecord(in, maxReply-len(reply))
		if err != nil {
			return err
		}
		switch {
		case records == 0 && (kind != recordHandshake || len(record) < helloRandom+randomSize || record[recordHeader] != 2):
			return fmt.Errorf("%w: its answer is no ServerHello", ErrFakeTLS)
		case kind == recordAlert:
			return fmt.Errorf("%w: it ends the handshake with an alert", ErrFakeTLS)
		case kind != recordHandshake && kind != recordCipher && kind != recordData:
			return fmt.Errorf("%w: record of type %d", ErrFakeTLS, kind)
		}
		reply = append(reply, record...)
		ended = kind == recordData
	}
	var proof [randomSize]byte
	copy(proof[:], reply[helloRandom:])
	clear(reply[helloRandom : helloRandom+randomSize])
	if want := helloProof(key, clientRandom[:], reply); subtle.ConstantTimeCompare(proof[:], want[:]) != 1 {
		return ErrFakeTLS
	}
	return nil
}

// readReplyRecord reads one record of the handshake, with its header.
func readReplyRecord(in io.Reader, limit int) (kind byte, record []byte, err error) {
	var head [recordHeader]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return 0, nil, err
	}
	n := int(binary.BigEndian.Uint16(head[3:]))
	if head[1] != 3 || head[2] > 3 || recordHeader+n > limit {
		return 0, nil, fmt.Errorf("%w: its answer is not TLS", ErrFakeTLS)
	}
	record = append(head[:], make([]byte, n)...)
	if _, err := io.ReadFull(in, record[recordHeader:]); err != nil {
		return 0, nil, err
	}
	return head[0], record, nil
}

// A tlsConn carries bytes in records of data. One goroutine may read and
// another write at the same time.
type tlsConn struct {
	net.Conn
	in    *bufio.Reader
	left  int  // bytes of the current record that are still to be read
	greet bool // a client sends change_cipher_spec first
}

// Read returns bytes of one record. Records of change_cipher_spec are skipped.
func (c *tlsConn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for c.left == 0 {
		if err := c.nextRecord(); err != nil {
			return 0, err
		}
	}
	n, err := c.in.Read(b[:min(len(b), c.left)])
	c.left -= n
	if errors.Is(err, io.EOF) && c.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *tlsConn) nextRecord() error {
	var head [recordHeader]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return err
	}
	n := int(binary.BigEndian.Uint16(head[3:]))
	switch {
	case head[1] != 3 || head[2] != 3:
		return fmt.Errorf("%w: record of version %d.%d", ErrFrame, head[1], head[2])
	case head[0] == recordData:
		c.left = n
		return nil
	case head[0] == recordCipher && n == 1:
		_, err := c.in.Discard(n)
		return err
	default:
		return fmt.Errorf("%w: record of type %d with %d bytes", ErrFrame, head[0], n)
	}
}

// Write sends b in as many records as it takes.
func (c *tlsConn) Write(b []byte) (int, error) {
	if err := c.WriteBuffers(&net.Buffers{b}); err != nil {
		return 0, err
	}
	return len(b), nil
}

// WriteBuffers sends pieces as if they were one.
func (c *tlsConn) WriteBuffers(pieces *net.Buffers) error {
	total := 0
	for _, p := range *pieces {
		total += len(p)
	}
	var out net.Buffers
	if c.greet && total > 0 {
		out = append(out, cipherRecord)
		c.greet = false
	}
	heads := make([]byte, 0, recordHeader*(total/maxWritten+1))
	room := 0 // left in the record that was begun
	for _, p := range *pieces {
		for len(p) > 0 {
			if room == 0 {
				room = min(maxWritten, total)
				at := len(heads)
				heads = append(heads, recordData, 3, 3, byte(room>>8), byte(room))
				out = append(out, heads[at:])
			}
			n := min(room, len(p))
			out = append(out, p[:n])
			p, room, total = p[n:], room-n, total-n
		}
	}
	return writeBuffers(c.Conn, &out)
}

// A BuffersWriter is a connection that takes pieces as if they were one, where
// [net.Buffers] would write each by itself. It may change the slice.
type BuffersWriter interface {
	WriteBuffers(pieces *net.Buffers) error
}

// writeBuffers writes pieces in as few writes as the connection can. Pieces
// that are small go in one, so that they travel in one packet.
func writeBuffers(c net.Conn, pieces *net.Buffers) error {
	if w, ok := c.(BuffersWriter); ok {
		return w.WriteBuffers(pieces)
	}
	_, err := pieces.WriteTo(c)
	return err
}
