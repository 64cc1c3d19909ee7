package ige

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
)

// sliceBytes is how much of a message is worked on before the scheduler may
// interrupt: it cannot stop assembly, here or in the standard library,
// and who stops the world waits for it. About 30 to 60 µs.
const sliceBytes = 32 << 10

func encryptPortable(m *Message) { encryptBlocks(m.Data, m.Key[:], m.IV[:]) }

func decryptPortable(m *Message) { decryptBlocks(m.Data, m.Key[:], m.IV[:]) }

// encryptBlocks encrypts data in place, with an AES key of any size.
func encryptBlocks(data, key, iv []byte) {
	c := newCipher(key)
	var prevOut, prevIn, in [block]byte
	copy(prevOut[:], iv[:block])
	copy(prevIn[:], iv[block:])
	for i := 0; i < len(data); i += block {
		out := data[i : i+block]
		copy(in[:], out)
		subtle.XORBytes(out, in[:], prevOut[:])
		c.Encrypt(out, out)
		subtle.XORBytes(out, out, prevIn[:])
		copy(prevOut[:], out)
		prevIn = in
	}
}

// decryptBlocks is the inverse of encryptBlocks.
func decryptBlocks(data, key, iv []byte) {
	c := newCipher(key)
	var prevIn, prevOut, in [block]byte
	copy(prevIn[:], iv[:block])
	copy(prevOut[:], iv[block:])
	for i := 0; i < len(data); i += block {
		out := data[i : i+block]
		copy(in[:], out)
		subtle.XORBytes(out, in[:], prevOut[:])
		c.Decrypt(out, out)
		subtle.XORBytes(out, out, prevIn[:])
		copy(prevOut[:], out)
		prevIn = in
	}
}

func newCipher(key []byte) cipher.Block {
	c, err := aes.NewCipher(key)
	if err != nil {
		panic("ige: " + err.Error())
	}
	return c
}

// hashPortable may use SHA-NI too: of one message, the standard library's is as fast.
func hashPortable(m *Message) {
	h := sha256.New()
	h.Write(m.Prefix[:])
	for rest := m.Data; len(rest) > 0; {
		n := min(len(rest), sliceBytes)
		h.Write(rest[:n])
		rest = rest[n:]
	}
	h.Sum(m.Sum[:0])
}
