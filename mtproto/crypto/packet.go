package crypto

import (
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/tghaul/haul/mtproto/internal/ige"
)

// AtOnce is how many packets OpenAll and SealAll work on together: four, or
// one where several would take no less time than one after the other.
func AtOnce() int { return ige.AtOnce() }

// MaxAtOnce is what AtOnce is at most.
const MaxAtOnce = ige.MaxAtOnce

// A Packet is one of those that OpenAll opens.
type Packet struct {
	Key   *AuthKey
	Bytes []byte // the whole packet, decrypted in place
	// Plaintext and Err are what Key.Open(Bytes) would return.
	Plaintext []byte
	Err       error
}

// Open decrypts a packet from side in place and returns the plaintext with its
// padding, which aliases packet. msg_key is compared in constant time before
// a byte of it is looked at. ParseHeader comes next.
func (k *AuthKey) Open(packet []byte, side Side) (plaintext []byte, err error) {
	p := [1]Packet{{Key: k, Bytes: packet}}
	openSome(p[:], side, nil)
	return p[0].Plaintext, p[0].Err
}

// OpenAll opens packets that do not overlap, each as Open does and whatever
// becomes of the others. Four take about a third of the time that they would
// take one by one.
func OpenAll(packets []Packet, side Side) { openAll(packets, side, nil) }

// openAll hashes streams meanwhile.
func openAll(packets []Packet, side Side, beside *streams) {
	for len(packets) > MaxAtOnce {
		openSome(packets[:MaxAtOnce], side, beside)
		packets = packets[MaxAtOnce:]
	}
	openSome(packets, side, beside)
}

func openSome(packets []Packet, side Side, beside *streams) {
	var messages [MaxAtOnce]ige.Message
	var sound [MaxAtOnce]*Packet // those whose messages these are
	n := 0
	for i := range packets {
		p, m := &packets[i], &messages[n]
		if p.Plaintext, p.Err = nil, p.Key.checkPacket(p.Bytes); p.Err != nil {
			continue
		}
		m.Data, m.Prefix = p.Bytes[PacketHeader:], p.Key.hashPrefix(side)
		m.Key, m.IV = p.Key.messageKeys(p.Bytes[8:PacketHeader], side)
		sound[n] = p
		n++
	}
	ige.OpenBeside(messages[:n], beside.all())
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

// A Sealing is a packet that SealAll makes. The first five fields are what
// Seal takes, the others what it returns.
type Sealing struct {
	Key     *AuthKey
	Buf     []byte
	N       int
	Padding int
	Rand    io.Reader

	Packet   []byte
	QuickAck uint32
	Err      error
}

// Seal encrypts the n bytes of plaintext (header and body) that stand at
// buf[PacketHeader:], in place, and returns the packet, a prefix of buf, and
// its quick-ack token. padding is the number of padding bytes: one that fits,
// or 0 for as few as possible; buf has room for them. rnd supplies them.
func (k *AuthKey) Seal(buf []byte, n int, side Side, padding int, rnd io.Reader) (packet []byte, quickAck uint32, err error) {
	s := [1]Sealing{{Key: k, Buf: buf, N: n, Padding: padding, Rand: rnd}}
	sealSome(s[:], side, nil)
	return s[0].Packet, s[0].QuickAck, s[0].Err
}

// SealAll seals packets that do not overlap, each as Seal does and whatever
// becomes of the others. Four take less than half of the time that they would
// take one by one.
func SealAll(sealings []Sealing, side Side) { sealAll(sealings, side, nil) }

// sealAll hashes streams meanwhile.
func sealAll(sealings []Sealing, side Side, beside *streams) {
	for len(sealings) > MaxAtOnce {
		sealSome(sealings[:MaxAtOnce], side, beside)
		sealings = sealings[MaxAtOnce:]
	}
	sealSome(sealings, side, beside)
}

func sealSome(sealings []Sealing, side Side, beside *streams) {
	var messages [MaxAtOnce]ige.Message
	var sound [MaxAtOnce]*Sealing // those whose messages these are
	n := 0
	for i := range sealings {
		s := &sealings[i]
		s.QuickAck = 0
		if s.Packet, s.Err = s.pad(); s.Err != nil {
			continue
		}
		messages[n].Data, messages[n].Prefix = s.Packet[PacketHeader:], s.Key.hashPrefix(side)
		sound[n] = s
		n++
	}
	if !beside.waits() {
		ige.Hash(messages[:n])
		for i, s := range sound[:n] {
			s.head(&messages[i], side)
		}
		ige.Encrypt(messages[:n])
		return
	}
	// Some are encrypted while the next are hashed.
	first := min(n, ige.MaxBeside)
	ige.Hash(messages[:first])
	for from, to := 0, first; from < n; from, to = to, min(n, to+ige.MaxBeside) {
		for i, s := range sound[from:to] {
			s.head(&messages[from+i], side)
		}
		ige.EncryptBeside(messages[from:to], messages[to:min(n, to+ige.MaxBeside)], beside.all())
	}
}

// head writes what stands before the encrypted bytes, of which m.Sum is the
// msg_key_large, and sets the keys of m.
func (s *Sealing) head(m *ige.Message, side Side) {
	binary.LittleEndian.PutUint64(s.Packet, uint64(s.Key.id))
	copy(s.Packet[8:PacketHeader], m.Sum[8:24])
	m.Key, m.IV = s.Key.messageKeys(s.Packet[8:PacketHeader], side)
	s.QuickAck = binary.LittleEndian.Uint32(m.Sum[:4]) | 1<<31
}

// pad fills the padding and returns the packet, yet to be encrypted.
func (s *Sealing) pad() ([]byte, error) {
	padding := s.Padding
	if padding == 0 {
		padding = minimalPadding(s.N)
	}
	total := s.N + padding
	if padding < minPadding || padding > maxPadding || total%16 != 0 || len(s.Buf) < PacketHeader+total {
		return nil, ErrLength
	}
	packet := s.Buf[:PacketHeader+total]
	if _, err := io.ReadFull(s.Rand, packet[PacketHeader+s.N:]); err != nil {
		return nil, fmt.Errorf("crypto: padding: %w", err)
	}
	return packet, nil
}
