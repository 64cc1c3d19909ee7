// Package ctr is AES-256 in counter mode, which MTProto's obfuscation puts over
// every byte of a connection, and which files of CDN DCs are encrypted with. See
// core.telegram.org/mtproto/mtproto-transports#transport-obfuscation and core.telegram.org/cdn.
//
// The standard library computes one block per instruction. On amd64 CPUs that have AES
// for wide registers (VAES) the assembly here computes two, which is found out
// at start; with the build tag purego, and elsewhere, the standard library does the work.
package ctr

import (
	"crypto/aes"
	"crypto/cipher"
)

const block = aes.BlockSize

// New returns the stream whose first block of the key stream is made from iv. The counter
// is all 128 bits, big-endian, as in [cipher.NewCTR]. What the stream encrypts may be given in
// pieces of any length. dst and src of a call are the same memory or do not overlap, and
// dst is not shorter, or else it panics. A call does not allocate. One goroutine at a
// time may use a stream.
func New(key [32]byte, iv [16]byte) cipher.Stream {
	if best == portable {
		return newPortable(key, iv)
	}
	return newStream(key, iv)
}

func newPortable(key [32]byte, iv [16]byte) cipher.Stream {
	c, err := aes.NewCipher(key[:])
	if err != nil {
		panic("ctr: " + err.Error())
	}
	return cipher.NewCTR(c, iv[:])
}

// A path is a way to do the work. What there is beside the portable one
// depends on the architecture.
type path int

const portable path = 0

// best is the path for this CPU.
var best = detect()

func (p path) String() string {
	return pathNames[p]
}
