package mtserver

import (
	"bytes"
	"crypto/rand"
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
