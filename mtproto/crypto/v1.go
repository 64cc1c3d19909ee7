package crypto

import (
	"bytes"
	"crypto/sha1"
)

// MessageKeysV1 derives AES key and iv of a message as MTProto 1.0 did. It
// lives on only inside auth.bindTempAuthKey, and in the files of Telegram Desktop.
// See core.telegram.org/mtproto/description_v1#defining-aes-key-and-initialization-vector.
func (k *AuthKey) MessageKeysV1(msgKey []byte, side Side) (key, iv [32]byte) {
	sum := func(parts ...[]byte) [20]byte { return sha1.Sum(bytes.Join(parts, nil)) }
	v, x := k.value[:], int(side)
	a := sum(msgKey, v[x:x+32])
	b := sum(v[32+x:48+x], msgKey, v[48+x:64+x])
	c := sum(v[64+x:96+x], msgKey)
	d := sum(msgKey, v[96+x:128+x])
	copy(key[:], a[0:8])
	copy(key[8:], b[8:20])
	copy(key[20:], c[4:16])
	copy(iv[:], a[8:20])
	copy(iv[12:], b[0:8])
	copy(iv[20:], c[16:20])
	copy(iv[24:], d[0:8])
	return key, iv
}

// DecryptV1 returns what src was before MTProto 1.0 encrypted it, padding
// included. It checks nothing: the caller compares msgKey with the hash. msgKey
// has 16 bytes; len(src) is a multiple of 16, anything else panics.
func (k *AuthKey) DecryptV1(src, msgKey []byte, side Side) []byte {
	key, iv := k.MessageKeysV1(msgKey, side)
	dst := make([]byte, len(src))
	IGEDecrypt(dst, src, key[:], iv[:])
	return dst
}
