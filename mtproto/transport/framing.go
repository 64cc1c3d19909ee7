// Package transport carries MTProto packets over a byte stream: the framings
// abridged, intermediate, padded intermediate and full, with or without
// obfuscation, for both ends. See core.telegram.org/mtproto/mtproto-transports.
package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
)

// A Framing is how packets are told apart in the stream.
type Framing int

// The framings. Intermediate is the default of this package's clients.
const (
	Intermediate Framing = iota
	Abridged
	PaddedIntermediate
	Full
)

var framingNames = [...]string{"intermediate", "abridged", "padded", "full"}

// String is the name that ParseFraming takes.
func (f Framing) String() string {
	if f < 0 || int(f) >= len(framingNames) {
		return fmt.Sprintf("Framing(%d)", int(f))
	}
	return framingNames[f]
}

// ParseFraming reads "abridged", "intermediate", "padded" or "full".
func ParseFraming(name string) (Framing, error) {
	for i, n := range framingNames {
		if n == name {
			return Framing(i), nil
		}
	}
	return 0, fmt.Errorf("transport: unknown framing %q: want abridged, intermediate, padded or full", name)
}

// tag is the byte that announces a framing: alone for abridged, four times
// for the intermediate ones and in the obfuscation header.
var tag = map[Framing]byte{Abridged: 0xef, Intermediate: 0xee, PaddedIntermediate: 0xdd}

// init bytes that a client sends first, once.
func (f Framing) initBytes() []byte {
	switch t := tag[f]; f {
	case Abridged:
		return []byte{t}
	case Intermediate, PaddedIntermediate:
		return []byte{t, t, t, t}
	default:
		return nil
	}
}

// DefaultMaxFrame is the longest frame a Conn takes unless told otherwise.
const DefaultMaxFrame = 1<<22 + 1024

// Errors of ReadFrame, besides those of the stream, *Error and *QuickAck.
var (
	ErrFrameTooLong = errors.New("transport: frame is longer than allowed")
	ErrFrame        = errors.New("transport: malformed frame")
)

// An Error is what a peer sends in place of a packet: a negative number like
// an HTTP status. It may be forged: nothing is to be destroyed on its word alone.
// See core.telegram.org/mtproto/mtproto-transports#transport-errors.
type Error struct{ Code int32 }

func (e *Error) Error() string { return fmt.Sprintf("transport error %d", e.Code) }

// A QuickAck is the receipt of a packet that asked for one. ReadFrame returns
// it in place of a frame; the connection stays good.
type QuickAck struct{ Token uint32 }

func (q *QuickAck) Error() string { return fmt.Sprintf("quick ack %08x", q.Token) }

const (
	quickAckBit = 1 << 31
	maxTail     = 15 // of padded intermediate
)

// writeFrame appends the frame's head to head and returns it with what follows
// the payload, which stays where it is.
func (c *Conn) frameParts(payload []byte, quickAck bool) (head, tail []byte, err error) {
	if len(payload)%4 != 0 || len(payload) == 0 || len(payload) > c.maxFrame {
		return nil, nil, fmt.Errorf("%w: payload of %d bytes", ErrFrame, len(payload))
	}
	head = c.head[:0]
	n := uint32(len(payload))
	var ack uint32
	if quickAck {
		ack = quickAckBit
	}
	switch c.framing {
	case Abridged:
		if words := n / 4; words < 0x7f {
			head = append(head, byte(words)|byte(ack>>24))
		} else {
			head = append(head, 0x7f|byte(ack>>24), byte(words), byte(words>>8), byte(words>>16))
		}
	case Intermediate:
		head = binary.LittleEndian.AppendUint32(head, n|ack)
	case PaddedIntermediate:
		tail = c.tail[:rand.IntN(c.maxTail+1)] // length and content of padding carry no secret
		binary.LittleEndian.PutUint64(c.tail[:8], rand.Uint64())
		binary.LittleEndian.PutUint64(c.tail[8:], rand.Uint64())
		head = binary.LittleEndian.AppendUint32(head, n+uint32(len(tail))|ack)
	case Full:
		if quickAck {
			return nil, nil, errors.New("transport: full framing has no quick ack")
		}
		head = binary.LittleEndian.AppendUint32(head, n+12)
		head = binary.LittleEndian.AppendUint32(head, c.sent)
		crc := crc32.Update(crc32.ChecksumIEEE(head), crc32.IEEETable, payload)
		tail = binary.LittleEndian.AppendUint32(c.tail[:0], crc)
		c.sent++
	}
	return head, tail, nil
}

// ReadFrame reads one frame and returns its payload. The buffer comes from
// alloc, which is asked for exactly as many bytes as the frame has, after its
// length was checked; it belongs to the caller, also if an error is returned.
// A payload too short for a packet becomes an *Error or *QuickAck. Only one
// ReadFrame may run at a time.
func (c *Conn) ReadFrame(alloc func(n int) []byte) ([]byte, error) {
	var n int
	var err error
	head := c.readHead[:]
	switch c.framing {
	case Abridged:
		n, err = c.abridgedLength(head)
	case Full:
		n, err = c.fullLength(head)
	default:
		n, err = c.intermediateLength(head)
	}
	if err != nil {
		return nil, err
	}
	if n > c.maxFrame {
		return nil, fmt.Errorf("%w: %d bytes", ErrFrameTooLong, n)
	}
	buf := alloc(n)[:n]
	if err := c.readFull(buf); err != nil {
		return nil, err
	}
	switch c.framing {
	case Full:
		return c.checkFull(head, buf)
	case PaddedIntermediate:
		buf = trimPadding(buf)
	default: // nothing around the payload
	}
	return c.packet(buf)
}

// packet tells packets from transport errors and padded quick acks.
func (c *Conn) packet(buf []byte) ([]byte, error) {
	switch {
	case len(buf) < 4:
		return nil, fmt.Errorf("%w: %d bytes", ErrFrame, len(buf))
	case len(buf) >= 16:
		return buf, nil
	}
	code := int32(binary.LittleEndian.Uint32(buf))
	if code == -1 && len(buf) >= 8 {
		return nil, &QuickAck{Token: binary.LittleEndian.Uint32(buf[4:])}
	}
	return nil, &Error{Code: code}
}

func (c *Conn) abridgedLength(head []byte) (int, error) {
	if err := c.readFull(head[:1]); err != nil {
		return 0, err
	}
	ack := head[0]&0x80 != 0
	if ack && !c.server { // token, first byte highest
		if err := c.readFull(head[1:4]); err != nil {
			return 0, err
		}
		return 0, &QuickAck{Token: binary.BigEndian.Uint32(head)}
	}
	c.wantsAck = ack
	words := int(head[0] & 0x7f)
	if words == 0x7f {
		if err := c.readFull(head[1:4]); err != nil {
			return 0, err
		}
		words = int(head[1]) | int(head[2])<<8 | int(head[3])<<16
	}
	return words * 4, nil
}

func (c *Conn) intermediateLength(head []byte) (int, error) {
	if err := c.readFull(head[:4]); err != nil {
		return 0, err
	}
	n := binary.LittleEndian.Uint32(head)
	if n&quickAckBit != 0 && !c.server {
		return 0, &QuickAck{Token: n}
	}
	c.wantsAck = n&quickAckBit != 0
	return int(n &^ quickAckBit), nil
}

func (c *Conn) fullLength(head []byte) (int, error) {
	if err := c.readFull(head[:8]); err != nil {
		return 0, err
	}
	n := binary.LittleEndian.Uint32(head)
	switch {
	case n < 12+4:
		return 0, fmt.Errorf("%w: total length %d", ErrFrame, n)
	case n > uint32(c.maxFrame)+12:
		return 0, fmt.Errorf("%w: %d bytes", ErrFrameTooLong, n)
	case binary.LittleEndian.Uint32(head[4:]) != c.received:
		return 0, fmt.Errorf("%w: sequence number %d, want %d", ErrFrame, binary.LittleEndian.Uint32(head[4:]), c.received)
	}
	c.received++
	return int(n - 8), nil // payload and checksum
}

func (c *Conn) checkFull(head, buf []byte) ([]byte, error) {
	payload := buf[:len(buf)-4]
	crc := crc32.Update(crc32.ChecksumIEEE(head), crc32.IEEETable, payload)
	if crc != binary.LittleEndian.Uint32(buf[len(payload):]) {
		return nil, fmt.Errorf("%w: bad checksum", ErrFrame)
	}
	return c.packet(payload)
}

// trimPadding cuts the random tail of a padded frame. Its length is not on
// the wire: an encrypted packet ends at the last multiple of 16 after its
// header, a plain one says how long it is.
func trimPadding(buf []byte) []byte {
	const packetHeader, plainHeader = 24, 20
	switch {
	case len(buf) < 16: // an error or a quick ack
		return buf
	case len(buf) >= plainHeader && binary.LittleEndian.Uint64(buf) == 0:
		if n := binary.LittleEndian.Uint32(buf[16:]); uint64(n) <= uint64(len(buf)-plainHeader) {
			return buf[:plainHeader+n]
		}
		return buf
	case len(buf) < packetHeader:
		return buf[:len(buf)&^3]
	default:
		return buf[:packetHeader+(len(buf)-packetHeader)&^15]
	}
}

func (c *Conn) readFull(b []byte) error {
	if _, err := io.ReadFull(c.in, b); err != nil {
		return err
	}
	return nil
}

// WriteFrame sends payload, a multiple of 4 bytes, as one frame. With
// obfuscation payload is encrypted in place and may not be used again. Only
// one write may run at a time.
func (c *Conn) WriteFrame(payload []byte) error { return c.write(payload, false) }

// WriteFrameQuickAck is WriteFrame for an encrypted packet whose receipt is asked for.
func (c *Conn) WriteFrameQuickAck(payload []byte) error { return c.write(payload, true) }

func (c *Conn) write(payload []byte, quickAck bool) error {
	head, tail, err := c.frameParts(payload, quickAck)
	if err != nil {
		return err
	}
	return c.writeParts(head, payload, tail)
}

// writeParts sends pieces as one, without copying the big one. What the client
// must send first goes with the first frame, in one packet of the network.
func (c *Conn) writeParts(parts ...[]byte) error {
	if c.encrypt != nil {
		for _, p := range parts {
			c.encrypt.XORKeyStream(p, p)
		}
	}
	c.out = c.pieces[:0]
	if len(c.pending) > 0 {
		c.out = append(c.out, c.pending)
		c.pending = nil
	}
	for _, p := range parts {
		if len(p) > 0 {
			c.out = append(c.out, p)
		}
	}
	err := writeBuffers(c.raw, &c.out)
	clear(c.pieces[:]) // the packet is the caller's again
	return err
}

// WriteError sends a transport error in place of a packet.
func (c *Conn) WriteError(code int32) error {
	return c.WriteFrame(binary.LittleEndian.AppendUint32(nil, uint32(code)))
}

// WriteQuickAck sends the receipt of a packet, for servers.
func (c *Conn) WriteQuickAck(token uint32) error {
	switch c.framing {
	case Abridged:
		return c.writeParts(binary.BigEndian.AppendUint32(nil, token))
	case Intermediate:
		return c.writeParts(binary.LittleEndian.AppendUint32(nil, token))
	case PaddedIntermediate:
		b := binary.LittleEndian.AppendUint32(nil, 8)
		b = binary.LittleEndian.AppendUint32(b, 0xffffffff)
		return c.writeParts(binary.LittleEndian.AppendUint32(b, token))
	default:
		return errors.New("transport: full framing has no quick ack")
	}
}
