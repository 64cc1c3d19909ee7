package crypto

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

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

// Seal encrypts the n bytes of plaintext (header and body) that stand at
// buf[PacketHeader:], in place, and returns the packet, a prefix of buf, and
// its quick-ack token. padding is the number of padding bytes: one that fits,
// or 0 for as few as possible; buf has room for them. rnd supplies them.
func (k *AuthKey) Seal(buf []byte, n int, side Side, padding int, rnd io.Reader) (packet []byte, quickAck uint32, err error) {
	if padding == 0 {
		padding = minimalPadding(n)
	}
	total := n + padding
	if padding < minPadding || padding > maxPadding || total%16 != 0 || len(buf) < PacketHeader+total {
		return nil, 0, ErrLength
	}
	packet = buf[:PacketHeader+total]
	plaintext := packet[PacketHeader:]
	if _, err := io.ReadFull(rnd, plaintext[n:]); err != nil {
		return nil, 0, fmt.Errorf("crypto: padding: %w", err)
	}
	messages := [1]ige.Message{{Data: plaintext, Prefix: k.hashPrefix(side)}}
	m := &messages[0]
	ige.Hash(messages[:]) // msg_key_large
	binary.LittleEndian.PutUint64(packet, uint64(k.id))
	copy(packet[8:PacketHeader], m.Sum[8:24])
	m.Key, m.IV = k.messageKeys(packet[8:PacketHeader], side)
	ige.Encrypt(messages[:])
	return packet, binary.LittleEndian.Uint32(m.Sum[:4]) | 1<<31, nil
}

// Open decrypts a packet from side in place and returns the plaintext with its
// padding, which aliases packet. msg_key is compared in constant time before
// a byte of it is looked at. ParseHeader comes next.
func (k *AuthKey) Open(packet []byte, side Side) (plaintext []byte, err error) {
	p := [1]Packet{{Bytes: packet}}
	k.OpenAll(p[:], side)
	return p[0].Plaintext, p[0].Err
}

// A Packet is one of those that OpenAll opens.
type Packet struct {
	Bytes []byte
	// Plaintext and Err are what Open would return.
	Plaintext []byte
	Err       error
}

// openAtOnce is how many packets are opened together. More would bring
// nothing: see package ige.
const openAtOnce = 4

// OpenAll opens packets that do not overlap, each as Open does and whatever
// becomes of the others. Up to four take about a third of the time that they
// would take one by one, if they are of the same size.
func (k *AuthKey) OpenAll(packets []Packet, side Side) {
	for len(packets) > openAtOnce {
		k.openSome(packets[:openAtOnce], side)
		packets = packets[openAtOnce:]
	}
	k.openSome(packets, side)
}

func (k *AuthKey) openSome(packets []Packet, side Side) {
	var messages [openAtOnce]ige.Message
	var sound [openAtOnce]*Packet // those whose messages these are
	n := 0
	for i := range packets {
		p, m := &packets[i], &messages[n]
		if p.Plaintext, p.Err = nil, k.checkPacket(p.Bytes); p.Err != nil {
			continue
		}
		m.Data, m.Prefix = p.Bytes[PacketHeader:], k.hashPrefix(side)
		m.Key, m.IV = k.messageKeys(p.Bytes[8:PacketHeader], side)
		sound[n] = p
		n++
	}
	ige.Open(messages[:n])
	for i, p := range sound[:n] {
		if subtle.ConstantTimeCompare(messages[i].Sum[8:24], p.Bytes[8:PacketHeader]) != 1 {
			p.Err = ErrMsgKey
			continue
		}
		p.Plaintext = messages[i].Data
	}
}

// checkPacket is what can be said before decryption.
func (k *AuthKey) checkPacket(packet []byte) error {
	if len(packet) < PacketHeader+16 || (len(packet)-PacketHeader)%16 != 0 {
		return ErrLength
	}
	if int64(binary.LittleEndian.Uint64(packet)) != k.id {
		return ErrKeyID
	}
	return nil
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
