package mtserver

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/tl"
)

// bodyOffset is where the body stands in a packet: after auth_key_id and
// msg_key, salt, session_id, msg_id, seqno and length.
const bodyOffset = 24 + 32

// sealRoom is what a packet needs behind its body.
const sealRoom = 64

// writeBatches sends a packet for each batch, until an error or the session's move:
// what was not begun by then leaves over the next connection. The messages are
// marked as being written, so their bytes belong to this goroutine until they are
// copied into the packets.
func (c *serverConn) writeBatches(s *Session, batches []*batch) error {
	packets := make([]packet, len(batches))
	for i, b := range batches {
		packets[i] = b.pack()
		defer putMem(packets[i].mem)
	}
	s.packed(c, batches)
	if err := s.sealAll(packets, c.sealer.SealAll); err != nil {
		return err
	}
	for i, b := range batches {
		if !s.begin(b) {
			return nil
		}
		err := c.writeBatch(b, packets[i].sealed)
		s.written(c, b, err)
		if err != nil {
			return err
		}
	}
	return nil
}

// writeBatch sends one packet.
func (c *serverConn) writeBatch(b *batch, sealed []byte) error {
	answers := 0
	for _, m := range b.msgs {
		if m.answers != nil && m.point.MsgID != 0 {
			answers++
		}
	}
	if answers == 0 {
		return c.write(sealed)
	}
	first := b.msgs[0]
	p := first.point
	p.Answers, p.Queries, p.ConnID = c.answers.Add(int64(answers)), c.queries.Load(), c.id
	return c.writeAnswer(p, sealed, !first.sent)
}

func (c *serverConn) write(packet []byte) error {
	if err := c.frames.WriteFrame(packet); err != nil {
		return err
	}
	c.dc.stats.packetsOut.Add(1)
	return nil
}

// writeAnswer writes a packet with an answer, unless a fault has it otherwise.
// An answer is dropped or doubled only the first time.
func (c *serverConn) writeAnswer(p Point, packet []byte, first bool) error {
	f := &c.dc.cfg.Faults
	if f.CutAnswer != nil {
		if n, cut := f.CutAnswer(p); cut {
			c.net.cutAfter.Store(int64(min(max(n, 0), len(packet)-1)))
			_ = c.frames.WriteFrame(packet) // resets the connection on the way
			return errReset
		}
	}
	if first && f.DropAnswer != nil && f.DropAnswer(p) {
		return nil
	}
	if first && f.DuplicateAnswer != nil && f.DuplicateAnswer(p) {
		// WriteFrame may change the packet it writes.
		if err := c.write(slices.Clone(packet)); err != nil {
			return err
		}
	}
	return c.write(packet)
}

// A packet is a message on its way into an encrypted packet. Its body stands in
// mem from bodyOffset to the end, and sealed begins where mem does.
type packet struct {
	mem    []byte
	id     int64
	seqNo  int32
	point  Point
	sealed []byte
}

// pack makes the packet of a batch, in pooled memory that goes back after
// writing. The messages are copied, or made there: sealing and obfuscation
// destroy a packet, and the messages may have to be sent again.
func (b *batch) pack() packet {
	size := bodyOffset + sealRoom + 8
	for _, m := range b.msgs {
		size += 16 + m.size
	}
	e := tl.NewEncoder(getMem(size)[:bodyOffset])
	first := b.msgs[0]
	p := packet{id: first.id, seqNo: first.seqNo, point: first.point}
	if b.container {
		p.id, p.seqNo = b.id, b.seqNo
		e.ID(idContainer)
		e.Int(int32(len(b.msgs)))
	}
	for _, m := range b.msgs {
		if b.container {
			e.Long(m.id)
			e.Int(m.seqNo)
			e.Int(int32(m.size))
		}
		m.put(e)
	}
	p.mem = e.Bytes()
	return p
}

// sealAlone is for packets that do not come from a connection's writer.
func sealAlone(s []crypto.Sealing) { crypto.SealAll(s, crypto.FromServer) }

// sealAll encrypts packets, crypto.MaxAtOnce at most, in place. seal is
// crypto.Encloser.SealAll, or does the same.
func (s *Session) sealAll(packets []packet, seal func([]crypto.Sealing)) error {
	d := s.dc
	var all [crypto.MaxAtOnce]crypto.Sealing
	for i := range packets {
		p := &packets[i]
		_, salt := d.keys.checkSalt(s.key, 0, d.cfg.Now(), d.cfg.SaltLifetime)
		h := crypto.Header{Salt: salt, SessionID: s.id, MsgID: p.id, SeqNo: p.seqNo, Length: int32(len(p.mem) - bodyOffset)}
		h.Put(p.mem[24:])
		all[i] = crypto.Sealing{Key: s.key.key, Buf: p.mem[:cap(p.mem)], N: len(p.mem) - 24, Rand: rand.Reader}
	}
	if lie := d.cfg.Faults.Corrupt.Plaintext; lie != nil {
		return s.sealLies(packets, lie)
	}
	seal(all[:len(packets)])
	for i := range packets {
		p := &packets[i]
		if err := all[i].Err; err != nil {
			return fmt.Errorf("seal message %#x: %w", p.id, err)
		}
		p.sealed = all[i].Packet
		if lie := d.cfg.Faults.Corrupt.Packet; lie != nil {
			p.sealed = lie(p.point, p.sealed)
		}
	}
	return nil
}

// sealLies is sealAll for a server that lies.
func (s *Session) sealLies(packets []packet, lie func(Point, []byte) []byte) (err error) {
	for i := range packets {
		p := &packets[i]
		if p.sealed, err = s.sealLie(p.mem, p.point, lie); err != nil {
			return err
		}
	}
	return nil
}

// sealLie seals what a lying server makes of a message, whatever its padding.
func (s *Session) sealLie(mem []byte, p Point, lie func(Point, []byte) []byte) ([]byte, error) {
	plain := append([]byte(nil), mem[24:]...)
	pad := make([]byte, 12+(-(len(plain)+12))&15)
	_, _ = rand.Read(pad) // never fails
	plain = lie(p, append(plain, pad...))
	if len(plain) == 0 || len(plain)%16 != 0 {
		return nil, fmt.Errorf("corrupted plaintext has %d bytes", len(plain))
	}
	packet := sealRaw(s.key.key, plain)
	if lie := s.dc.cfg.Faults.Corrupt.Packet; lie != nil {
		packet = lie(p, packet)
	}
	return packet, nil
}

// sealRaw encrypts a plaintext with its padding as it is:
// core.telegram.org/mtproto/description, "Defining AES Key and Initialization
// Vector", for messages from the server (x = 8).
func sealRaw(k *crypto.AuthKey, plain []byte) []byte {
	const x = 8
	key := k.Bytes()
	large := sha256.Sum256(append(append([]byte(nil), key[88+x:120+x]...), plain...))
	msgKey := large[8:24]
	a := sha256.Sum256(append(append([]byte(nil), msgKey...), key[x:x+36]...))
	b := sha256.Sum256(append(append([]byte(nil), key[40+x:76+x]...), msgKey...))
	aesKey := append(append(append([]byte(nil), a[:8]...), b[8:24]...), a[24:]...)
	aesIV := append(append(append([]byte(nil), b[:8]...), a[8:24]...), b[24:]...)
	e := tl.NewEncoder(make([]byte, 0, 24+len(plain)))
	e.Long(k.ID())
	e.Raw(msgKey)
	e.Raw(plain)
	packet := e.Bytes()
	crypto.IGEEncrypt(packet[24:], packet[24:], aesKey, aesIV)
	return packet
}

// quickAckToken is the token for a packet from the client, whose plaintext is
// given with its padding.
func quickAckToken(k *crypto.AuthKey, plain []byte) uint32 {
	key := k.Bytes()
	h := sha256.New()
	h.Write(key[88:120])
	h.Write(plain)
	sum := h.Sum(nil)
	return uint32(sum[0]) | uint32(sum[1])<<8 | uint32(sum[2])<<16 | uint32(sum[3])<<24 | 1<<31
}
