package transport

import (
	"bufio"
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"
)

// readBuffer is small: big frames bypass it, straight into the caller's buffer.
const readBuffer = 4096

// A Conn is a framed connection. One goroutine may read and another write at
// the same time; Close may be called from anywhere.
type Conn struct {
	raw      net.Conn
	in       io.Reader // raw, buffered and decrypted
	framing  Framing
	maxFrame int
	maxTail  int // of padded frames sent
	server   bool
	dc       int16

	// Of the writer.
	encrypt cipher.Stream // nil without obfuscation
	pending []byte        // what a client sends before its first frame
	sent    uint32        // frames, for full
	head    [8]byte
	tail    [16]byte
	pieces  [4][]byte   // of the frame being written
	out     net.Buffers // those that are not written yet

	// Of the reader.
	readHead [8]byte
	received uint32
	wantsAck bool
}

// Options of Client.
type Options struct {
	Framing    Framing
	Obfuscated bool
	// DC goes into the obfuscation header: the DC's id, +10000 for test
	// servers, negative for media-only endpoints.
	DC int16
	// Secret of the endpoint, as ParseSecret returns it; none for most.
	Secret Secret
	// MaxFrame is the longest frame to take, DefaultMaxFrame if 0.
	MaxFrame int
}

// Client prepares the client's end over c. Nothing is sent before the first
// frame. If the secret has a domain, c must be what FakeTLS has returned.
func Client(c net.Conn, o Options) (*Conn, error) {
	conn := newConn(c, o.MaxFrame)
	conn.framing, conn.dc = o.Framing, o.DC
	if o.Secret.Padded {
		conn.framing = PaddedIntermediate
	}
	if !o.Obfuscated && o.Secret.Key == nil {
		conn.pending = conn.framing.initBytes()
		return conn, nil
	}
	if conn.framing == Full {
		return nil, errors.New("transport: full framing cannot be obfuscated")
	}
	return conn, conn.obfuscate(o.Secret.Key)
}

// ServerOptions of Server.
type ServerOptions struct {
	Secret   []byte // 16 bytes, or none
	MaxFrame int    // DefaultMaxFrame if 0
	// MaxPadding of padded frames sent, 1 to 15 bytes; 15 if 0. Some clients
	// cannot take more than 3.
	MaxPadding int
}

// Server prepares the server's end over c: it reads the first bytes and tells
// from them which framing the client speaks, and whether obfuscated.
func Server(c net.Conn, o ServerOptions) (*Conn, error) {
	conn := newConn(c, o.MaxFrame)
	conn.server = true
	if o.MaxPadding > 0 {
		conn.maxTail = min(o.MaxPadding, maxTail)
	}
	first := make([]byte, 1, obfuscatedHeader)
	if err := conn.readFull(first); err != nil {
		return nil, err
	}
	if o.Secret == nil && first[0] == tag[Abridged] {
		conn.framing = Abridged
		return conn, nil
	}
	first = first[:8]
	if err := conn.readFull(first[1:4]); err != nil {
		return nil, err
	}
	if o.Secret == nil {
		for _, f := range []Framing{Intermediate, PaddedIntermediate} {
			if bytes.Equal(first[:4], f.initBytes()) {
				conn.framing = f
				return conn, nil
			}
		}
	}
	if err := conn.readFull(first[4:]); err != nil {
		return nil, err
	}
	// The full framing has no start of its own: a length, and the sequence
	// number 0, which an obfuscation header never has there.
	if o.Secret == nil && binary.LittleEndian.Uint32(first[4:]) == 0 {
		conn.framing = Full
		conn.in = io.MultiReader(bytes.NewReader(first), conn.in)
		return conn, nil
	}
	first = first[:obfuscatedHeader]
	if err := conn.readFull(first[8:]); err != nil {
		return nil, err
	}
	return conn, conn.acceptObfuscated(first, o.Secret)
}

func newConn(c net.Conn, maxFrame int) *Conn {
	if maxFrame <= 0 {
		maxFrame = DefaultMaxFrame
	}
	return &Conn{raw: c, in: bufio.NewReaderSize(c, readBuffer), maxFrame: maxFrame, maxTail: maxTail}
}

// Framing is the one in use.
func (c *Conn) Framing() Framing { return c.framing }

// DC is the id in the client's obfuscation header, 0 if there was none.
func (c *Conn) DC() int16 { return c.dc }

// WantsQuickAck reports whether the frame read last asked for a quick ack.
func (c *Conn) WantsQuickAck() bool { return c.wantsAck }

// NetConn is the connection underneath.
func (c *Conn) NetConn() net.Conn { return c.raw }

// Close closes the connection underneath.
func (c *Conn) Close() error { return c.raw.Close() }

// SetDeadline is that of the connection underneath.
func (c *Conn) SetDeadline(t time.Time) error { return c.raw.SetDeadline(t) }

// SetReadDeadline is that of the connection underneath.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.raw.SetReadDeadline(t) }

// SetWriteDeadline is that of the connection underneath.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.raw.SetWriteDeadline(t) }
