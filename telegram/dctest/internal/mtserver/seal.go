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

// writeBatch sends one packet. The batch's messages are marked as being
// written, so their bytes belong to this goroutine.
func (c *serverConn) writeBatch(s *Session, b *batch) error {
	first := b.msgs[0]
	var faults []Point
	for _, m := range b.msgs {
		if m.answers != nil && m.point.MsgID != 0 {
			faults = append(faults, m.point)
		}
	}
	packet, scratch, err := c.pack(s, b)
	if err != nil {
		return err
	}
	defer putMem(scratch)
	if len(faults) > 0 {
		p := first.point
		p.Answers, p.Queries, p.ConnID = c.answers.Add(int64(len(faults))), c.queries.Load(), c.id
		return c.writeAnswer(p, packet, !first.sent)
	}
	return c.write(packet)
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

// pack makes the packet of a batch, in pooled memory that goes back after
// writing. The messages are copied, or made there: sealing and obfuscation
// destroy a packet, and the messages may have to be sent again.
func (c *serverConn) pack(s *Session, b *batch) (packet, scratch []byte, err error) {
	size := bodyOffset + sealRoom + 8
	for _, m := range b.msgs {
		size += 16 + m.size
	}
	e := tl.NewEncoder(getMem(size)[:bodyOffset])
	id, seqNo := b.msgs[0].id, b.msgs[0].seqNo
	if b.container {
		id, seqNo = b.id, b.seqNo
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
	scratch = e.Bytes()
	packet, err = s.seal(scratch, id, seqNo, b.msgs[0].point, c.sealer.Seal)
	if err != nil {
		putMem(scratch)
	}
	return packet, scratch, err
}

// A sealFunc is crypto.Encloser.Seal, or does the same.
type sealFunc func(crypto.Sealing) (packet []byte, quickAck uint32, err error)

// sealAlone is for packets that do not come from a connection's writer.
func sealAlone(s crypto.Sealing) (packet []byte, quickAck uint32, err error) {
	return s.Key.Seal(s.Buf, s.N, crypto.FromServer, s.Padding, s.Rand)
}

// seal encrypts, in place, a message whose body stands in mem from bodyOffset
// to its end. The packet begins where mem does.
func (s *Session) seal(mem []byte, id int64, seqNo int32, p Point, seal sealFunc) ([]byte, error) {
	d := s.dc
	_, salt := d.keys.checkSalt(s.key, 0, d.cfg.Now(), d.cfg.SaltLifetime)
	h := crypto.Header{Salt: salt, SessionID: s.id, MsgID: id, SeqNo: seqNo, Length: int32(len(mem) - bodyOffset)}
	h.Put(mem[24:])
	if lie := d.cfg.Faults.Corrupt.Plaintext; lie != nil {
		return s.sealLie(mem, p, lie)
	}
	packet, _, err := seal(crypto.Sealing{Key: s.key.key, Buf: mem[:cap(mem)], N: len(mem) - 24, Rand: rand.Reader})
	if err != nil {
		return nil, fmt.Errorf("seal message %#x: %w", id, err)
	}
	if lie := d.cfg.Faults.Corrupt.Packet; lie != nil {
		packet = lie(p, packet)
	}
	return packet, nil
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
