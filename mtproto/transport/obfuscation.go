package transport

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/tghaul/haul/mtproto/internal/ctr"
)

// obfuscatedHeader is the length of what a client sends first.
// See core.telegram.org/mtproto/mtproto-transports#transport-obfuscation.
const obfuscatedHeader = 64

// obfuscate draws a header and keys both directions with it.
func (c *Conn) obfuscate(secret []byte) error {
	var header [obfuscatedHeader]byte
	for {
		if _, err := rand.Read(header[:]); err != nil {
			return fmt.Errorf("transport: obfuscation: %w", err)
		}
		if headerAllowed(header[:]) {
			break
		}
	}
	c.obfuscateWith(&header, secret)
	return nil
}

// obfuscateWith uses a given header, whose framing and DC it fills in.
func (c *Conn) obfuscateWith(header *[obfuscatedHeader]byte, secret []byte) {
	t := tag[c.framing]
	copy(header[56:60], []byte{t, t, t, t})
	binary.LittleEndian.PutUint16(header[60:], uint16(c.dc))
	encrypt, decrypt := headerStreams(header[:], secret)
	sent := slices.Clone(header[:])
	encrypt.XORKeyStream(sent, sent)
	copy(sent[:56], header[:56])
	c.encrypt, c.pending = encrypt, sent
	c.in = cipher.StreamReader{S: decrypt, R: c.in}
}

// headerAllowed says whether a random header cannot be taken for another protocol.
func headerAllowed(h []byte) bool {
	if h[0] == tag[Abridged] || binary.LittleEndian.Uint32(h[4:]) == 0 {
		return false
	}
	switch binary.LittleEndian.Uint32(h) {
	case 0x44414548, 0x54534f50, 0x20544547, 0x4954504f, 0xdddddddd, 0xeeeeeeee, 0x02010316:
		return false // HEAD, POST, GET, OPTI, the framings, TLS
	}
	return true
}

// headerStreams derives the streams of a header: client to server, and back.
func headerStreams(header, secret []byte) (up, down cipher.Stream) {
	reversed := slices.Clone(header)
	slices.Reverse(reversed)
	return headerStream(header, secret), headerStream(reversed, secret)
}

func headerStream(header, secret []byte) cipher.Stream {
	key := [32]byte(header[8:40])
	if secret != nil {
		key = sha256.Sum256(append(key[:], secret...))
	}
	return ctr.New(key, [16]byte(header[40:56]))
}

// acceptObfuscated keys the server's end by what the client sent first.
func (c *Conn) acceptObfuscated(header, secret []byte) error {
	up, down := headerStreams(header, secret)
	plain := slices.Clone(header)
	up.XORKeyStream(plain, plain)
	found := false
	for f, t := range tag {
		if bytes.Equal(plain[56:60], []byte{t, t, t, t}) {
			c.framing, found = f, true
		}
	}
	if !found {
		return fmt.Errorf("%w: no framing is announced", ErrFrame)
	}
	c.dc = int16(binary.LittleEndian.Uint16(plain[60:]))
	c.encrypt = down
	c.in = cipher.StreamReader{S: up, R: c.in}
	return nil
}
