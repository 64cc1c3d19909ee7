package crypto

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/tghaul/haul/mtproto/internal/ige"
)

// A Side is who encrypted a message; the keys of the two directions differ.
type Side int

// The values are x of the key derivation.
const (
	FromClient Side = 0
	FromServer Side = 8
)

const (
	// PacketHeader is what stands before the encrypted bytes: auth_key_id and msg_key.
	PacketHeader = 24
	// HeaderSize is what stands before a message's body inside: salt, session id, msg_id, seqno, length.
	HeaderSize = 32
	minPadding = 12
	maxPadding = 1024
)

// Errors of Open and ParseHeader. Which one it was must not be told to the
// peer, nor may the reaction differ.
var (
	ErrKeyID  = errors.New("crypto: packet is for another auth key")
	ErrLength = errors.New("crypto: bad length of packet, body or padding")
	ErrMsgKey = errors.New("crypto: msg_key does not match")
)

// A Header is what stands before the body of an encrypted message.
// See core.telegram.org/mtproto/description#encrypted-message-encrypted-data.
type Header struct {
	Salt, SessionID, MsgID int64
	SeqNo                  int32
	Length                 int32 // of the body in bytes, a multiple of 4
}

// Put writes h to the first HeaderSize bytes of b.
func (h Header) Put(b []byte) {
	binary.LittleEndian.PutUint64(b[0:], uint64(h.Salt))
	binary.LittleEndian.PutUint64(b[8:], uint64(h.SessionID))
	binary.LittleEndian.PutUint64(b[16:], uint64(h.MsgID))
	binary.LittleEndian.PutUint32(b[24:], uint32(h.SeqNo))
	binary.LittleEndian.PutUint32(b[28:], uint32(h.Length))
}

// ParseHeader takes what Open returned apart. It fails unless the length is
// a multiple of 4 and leaves 12 to 1024 bytes of padding. body aliases plaintext.
func ParseHeader(plaintext []byte) (h Header, body []byte, err error) {
	if len(plaintext) < HeaderSize+minPadding {
		return h, nil, ErrLength
	}
	h = Header{
		Salt:      int64(binary.LittleEndian.Uint64(plaintext[0:])),
		SessionID: int64(binary.LittleEndian.Uint64(plaintext[8:])),
		MsgID:     int64(binary.LittleEndian.Uint64(plaintext[16:])),
		SeqNo:     int32(binary.LittleEndian.Uint32(plaintext[24:])),
		Length:    int32(binary.LittleEndian.Uint32(plaintext[28:])),
	}
	padding := int64(len(plaintext)) - HeaderSize - int64(h.Length)
	if h.Length < 0 || h.Length%4 != 0 || padding < minPadding || padding > maxPadding {
		return h, nil, ErrLength
	}
	return h, plaintext[HeaderSize : HeaderSize+int(h.Length)], nil
}

// SealedSize is the length of the packet that Seal makes of n bytes with minimal padding.
func SealedSize(n int) int { return PacketHeader + n + minimalPadding(n) }

func minimalPadding(n int) int {
	return minPadding + (-(n + minPadding) & 15)
}

// hashPrefix is what msg_key_large hashes before the plaintext.
func (k *AuthKey) hashPrefix(side Side) [32]byte {
	return [32]byte(k.value[88+side : 120+side])
}

// messageKeys derives AES key and iv of a message, MTProto 2.0.
// See core.telegram.org/mtproto/description#defining-aes-key-and-initialization-vector.
func (k *AuthKey) messageKeys(msgKey []byte, side Side) (key, iv [32]byte) {
	var buf [52]byte
	copy(buf[:], msgKey)
	copy(buf[16:], k.value[side:side+36])
	a := sha256.Sum256(buf[:])
	copy(buf[:], k.value[40+side:76+side])
	copy(buf[36:], msgKey)
	b := sha256.Sum256(buf[:])
	copy(key[:], a[0:8])
	copy(key[8:], b[8:24])
	copy(key[24:], a[24:32])
	copy(iv[:], b[0:8])
	copy(iv[8:], a[8:24])
	copy(iv[24:], b[24:32])
	return key, iv
}

// IGEEncrypt encrypts src into dst with AES-256-IGE. key and iv have 32
// bytes; the lengths are equal multiples of 16, and dst may be src but must
// not overlap it otherwise. Anything else panics.
func IGEEncrypt(dst, src, key, iv []byte) {
	m := igeMessage(dst, src, key, iv)
	ige.Encrypt(m[:])
}

// IGEDecrypt is the inverse of IGEEncrypt.
func IGEDecrypt(dst, src, key, iv []byte) {
	m := igeMessage(dst, src, key, iv)
	ige.Decrypt(m[:])
}

func igeMessage(dst, src, key, iv []byte) [1]ige.Message {
	if len(dst) != len(src) || len(key) != 32 || len(iv) != 32 {
		panic("crypto: lengths do not fit AES-256-IGE")
	}
	copy(dst, src)
	return [1]ige.Message{{Data: dst, Key: [32]byte(key), IV: [32]byte(iv)}}
}
