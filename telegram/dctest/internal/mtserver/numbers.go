package mtserver

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"encoding/binary"
	"math/big"
)

// makePQ returns two different primes of 31 bits, the smaller first.
func makePQ() (p, q uint64) {
	p, q = randomPrime31(), randomPrime31()
	for p == q {
		q = randomPrime31()
	}
	return min(p, q), max(p, q)
}

// randomPrime31 is a random prime of exactly 31 bits.
func randomPrime31() uint64 {
	var b [4]byte
	for {
		_, _ = rand.Read(b[:]) // never fails
		n := binary.LittleEndian.Uint32(b[:])>>1 | 1<<30 | 1
		// Below 2^64 ProbablyPrime makes no mistakes.
		if new(big.Int).SetUint64(uint64(n)).ProbablyPrime(0) {
			return uint64(n)
		}
	}
}

// minimalBytes is v big-endian without leading zeros.
func minimalBytes(v uint64) []byte {
	return bytes.TrimLeft(binary.BigEndian.AppendUint64(nil, v), "\x00")
}

// randomNumber is a random number of n bytes at most.
func randomNumber(n int) *big.Int {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return new(big.Int).SetBytes(b)
}

// withHash is SHA1(data) || data || random bytes up to a multiple of 16.
func withHash(data []byte) []byte {
	hash := sha1.Sum(data)
	out := append(hash[:], data...)
	pad := make([]byte, -len(out)&15)
	_, _ = rand.Read(pad) // never fails
	return append(out, pad...)
}

// checkHash undoes withHash. How long the data is says measure; at most 15
// bytes may follow it.
func checkHash(b []byte, measure func([]byte) (int, error)) ([]byte, bool) {
	if len(b) < sha1.Size {
		return nil, false
	}
	body := b[sha1.Size:]
	n, err := measure(body)
	if err != nil || len(body)-n > 15 {
		return nil, false
	}
	hash := sha1.Sum(body[:n])
	return body[:n], bytes.Equal(hash[:], b[:sha1.Size])
}

// decryptOldPadding undoes the padding that RSA_PAD replaced: SHA1(data) ||
// data || random bytes, 255 bytes in all.
func decryptOldPadding(key *rsa.PrivateKey, encrypted []byte) ([]byte, bool) {
	c := new(big.Int).SetBytes(encrypted)
	if len(encrypted) > 256 || c.Cmp(key.N) >= 0 {
		return nil, false
	}
	m := c.Exp(c, key.D, key.N)
	if m.BitLen() > 255*8 {
		return nil, false
	}
	var plain [255]byte
	m.FillBytes(plain[:])
	data := plain[sha1.Size:]
	n, err := measureInner(data)
	if err != nil {
		return nil, false
	}
	hash := sha1.Sum(data[:n])
	return data[:n], bytes.Equal(hash[:], plain[:sha1.Size])
}

// measureInner is the length of the inner data at the start of b.
func measureInner(b []byte) (int, error) {
	in, err := parseInner(b)
	if err != nil {
		return 0, err
	}
	n := 4 + 16 + 16 + 32
	for _, s := range [][]byte{in.pq, in.p, in.q} {
		n += (len(s) + 1 + 3) &^ 3 // never 254 bytes or more: b is 235
	}
	if in.hasDC {
		n += 4
	}
	if in.temp {
		n += 4
	}
	return n, nil
}
