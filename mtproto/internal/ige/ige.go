// Package ige is AES in Infinite Garble Extension mode, the cipher mode of
// MTProto. See core.telegram.org/mtproto/description and the paper it names.
//
// Both directions chain through the plaintext, so one message is serial work.
package ige

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
)

const block = aes.BlockSize

// Encrypt encrypts src into dst, which may be the same slice but must not
// overlap it otherwise. len(src) is a multiple of 16, dst is as long, key is an
// AES key, iv has 32 bytes: anything else panics.
func Encrypt(dst, src, key, iv []byte) {
	c := check(dst, src, key, iv)
	var prevOut, prevIn, in [block]byte
	copy(prevOut[:], iv[:block])
	copy(prevIn[:], iv[block:])
	for i := 0; i < len(src); i += block {
		copy(in[:], src[i:])
		out := dst[i : i+block]
		subtle.XORBytes(out, in[:], prevOut[:])
		c.Encrypt(out, out)
		subtle.XORBytes(out, out, prevIn[:])
		copy(prevOut[:], out)
		prevIn = in
	}
}

// Decrypt decrypts src into dst, under the same conditions as Encrypt.
func Decrypt(dst, src, key, iv []byte) {
	c := check(dst, src, key, iv)
	var prevIn, prevOut, in [block]byte
	copy(prevIn[:], iv[:block])
	copy(prevOut[:], iv[block:])
	for i := 0; i < len(src); i += block {
		copy(in[:], src[i:])
		out := dst[i : i+block]
		subtle.XORBytes(out, in[:], prevOut[:])
		c.Decrypt(out, out)
		subtle.XORBytes(out, out, prevIn[:])
		copy(prevOut[:], out)
		prevIn = in
	}
}

func check(dst, src, key, iv []byte) cipher.Block {
	c, err := aes.NewCipher(key)
	switch {
	case err != nil:
		panic("ige: " + err.Error())
	case len(iv) != 2*block:
		panic("ige: iv is not 32 bytes")
	case len(src)%block != 0 || len(dst) != len(src):
		panic("ige: lengths differ or are no multiple of 16")
	}
	return c
}
