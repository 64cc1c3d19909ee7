package transport

import (
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	mathrand "math/rand/v2"
	"time"
)

// The ClientHello of fake TLS looks like the one of a current Chrome. Its
// random is not random: it is an HMAC of the whole under the secret, xored with
// the time, by which an MTProxy knows its clients.

const (
	recordHeader = 5
	helloRandom  = 11 // offset of the 32 bytes of random in a record with a hello
	randomSize   = 32
)

// clientHello builds the record, and returns its random beside it.
func clientHello(secret Secret, now time.Time) (record []byte, random [randomSize]byte, err error) {
	if record, err = blankHello(secret.Domain); err != nil {
		return nil, random, err
	}
	random = helloProof(secret.Key, record)
	stamp := binary.LittleEndian.Uint32(random[28:]) ^ uint32(now.Unix())
	binary.LittleEndian.PutUint32(random[28:], stamp)
	copy(record[helloRandom:], random[:])
	return record, random, nil
}

// helloProof is the HMAC over pieces, the last of which has a random of zeros.
func helloProof(key []byte, pieces ...[]byte) (sum [randomSize]byte) {
	mac := hmac.New(sha256.New, key)
	for _, p := range pieces {
		mac.Write(p)
	}
	mac.Sum(sum[:0])
	return sum
}

// prefixed appends what fill appends, behind its length in two bytes.
func prefixed(b []byte, fill func([]byte) []byte) []byte {
	at := len(b)
	b = fill(append(b, 0, 0))
	binary.BigEndian.PutUint16(b[at:], uint16(len(b)-at-2))
	return b
}

// extension appends an extension of the hello.
func extension(b []byte, id uint16, content ...byte) []byte {
	return prefixed(binary.BigEndian.AppendUint16(b, id), func(b []byte) []byte { return append(b, content...) })
}

// blankHello is the hello with a random of zeros.
func blankHello(domain string) ([]byte, error) {
	keys, err := keyShares()
	if err != nil {
		return nil, err
	}
	g := grease()
	var sessionID [32]byte
	_, _ = rand.Read(sessionID[:]) // never fails
	b := []byte{0x16, 0x03, 0x01}
	return prefixed(b, func(b []byte) []byte {
		b = append(b, 0x01, 0x00) // client_hello, and the highest byte of its length
		return prefixed(b, func(b []byte) []byte {
			b = append(b, 0x03, 0x03)
			b = append(b, make([]byte, randomSize)...)
			b = append(append(b, byte(len(sessionID))), sessionID[:]...)
			b = append(b, 0x00, 0x20, g[0], g[0],
				0x13, 0x01, 0x13, 0x02, 0x13, 0x03, 0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30, 0xcc, 0xa9,
				0xcc, 0xa8, 0xc0, 0x13, 0xc0, 0x14, 0x00, 0x9c, 0x00, 0x9d, 0x00, 0x2f, 0x00, 0x35)
			b = append(b, 0x01, 0x00) // no compression
			return prefixed(b, func(b []byte) []byte { return extensions(b, domain, g, keys) })
		})
	}), nil
}

// extensions appends those of Chrome: GREASE at both ends, what is between them
// in a new order each time. A hello with an ML-KEM key is too long to need padding.
func extensions(b []byte, domain string, g [7]byte, keys []byte) []byte {
	list := [][]byte{
		extension(nil, 0x0000, serverName(domain)...),
		extension(nil, 0x0005, 1, 0, 0, 0, 0),
		extension(nil, 0x000a, 0, 10, g[4], g[4], 0x11, 0xec, 0, 0x1d, 0, 0x17, 0, 0x18),
		extension(nil, 0x000b, 1, 0),
		extension(nil, 0x000d, 0, 16, 0x04, 0x03, 0x08, 0x04, 0x04, 0x01, 0x05, 0x03, 0x08, 0x05, 0x05, 0x01, 0x08, 0x06, 0x06, 0x01),
		extension(nil, 0x0010, []byte("\x00\x0c\x02h2\x08http/1.1")...),
		extension(nil, 0x0012),
		extension(nil, 0x0017),
		extension(nil, 0x001b, 2, 0, 2),
		extension(nil, 0x0023),
		extension(nil, 0x002b, 6, g[6], g[6], 3, 4, 3, 3),
		extension(nil, 0x002d, 1, 1),
		extension(nil, 0x0033, prefixed(nil, func(b []byte) []byte { return append(append(b, g[4], g[4], 0, 1, 0), keys...) })...),
		extension(nil, 0x44cd, []byte("\x00\x03\x02h2")...),
		extension(nil, 0xfe0d, encryptedHello()...),
		extension(nil, 0xff01, 0),
	}
	mathrand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] }) // the order carries no secret
	b = extension(b, uint16(g[2])<<8|uint16(g[2]))
	for _, e := range list {
		b = append(b, e...)
	}
	return extension(b, uint16(g[3])<<8|uint16(g[3]), 0)
}

func serverName(domain string) []byte {
	return prefixed(nil, func(b []byte) []byte {
		return prefixed(append(b, 0), func(b []byte) []byte { return append(b, domain...) })
	})
}

// encryptedHello is what Chrome sends in place of an encrypted ClientHello
// when it has no key for one: random bytes of a plausible length.
func encryptedHello() []byte {
	b := []byte{0, 0, 1, 0, 1}
	b = append(b, randomBytes(1)...)
	b = append(b, 0, 32)
	b = append(b, randomBytes(32)...)
	return prefixed(b, func(b []byte) []byte { return append(b, randomBytes(144+32*mathrand.IntN(4))...) })
}

// keyShares are the public keys of the hello: the hybrid of ML-KEM-768 and
// X25519, then X25519 alone. They are real, and their private halves forgotten.
func keyShares() ([]byte, error) {
	kem, err := mlkem.GenerateKey768()
	if err != nil {
		return nil, err
	}
	b := []byte{0x11, 0xec}
	var points [2][]byte
	for i := range points {
		k, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		points[i] = k.PublicKey().Bytes()
	}
	b = prefixed(b, func(b []byte) []byte { return append(append(b, kem.EncapsulationKey().Bytes()...), points[0]...) })
	return prefixed(append(b, 0x00, 0x1d), func(b []byte) []byte { return append(b, points[1]...) }), nil
}

// grease are the values that TLS clients throw in so that servers learn to
// ignore what they do not know (RFC 8701). Neighbours differ.
func grease() (g [7]byte) {
	copy(g[:], randomBytes(len(g)))
	for i := range g {
		g[i] = g[i]&0xf0 | 0x0a
		if i%2 == 1 && g[i] == g[i-1] {
			g[i] ^= 0x10
		}
	}
	return g
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}
