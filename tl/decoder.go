package tl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// MaxDepth is how deep values may nest. A deeper one is refused: it would be
// an attack on the stack, no message of the schema comes near.
const MaxDepth = 128

// Errors of a Decoder. They are wrapped with the place where they happened.
var (
	ErrShort = errors.New("tl: value runs past the end of the data")
	ErrDepth = errors.New("tl: value nests too deeply")
	ErrSize  = errors.New("tl: value takes too much memory")
	ErrValue = errors.New("tl: invalid value")
)

// An UnknownConstructorError is an id that the schema does not have where it
// was found. Nothing is known of what follows it, so decoding ends there.
type UnknownConstructorError struct {
	ID    uint32
	Want  string // the type that was expected, or ""
	Layer int    // of the schema, 0 if the place is the same in every layer
}

func (e *UnknownConstructorError) Error() string {
	text := fmt.Sprintf("tl: unknown constructor 0x%08x", e.ID)
	if e.Want != "" {
		text = fmt.Sprintf("tl: constructor 0x%08x is none of %s", e.ID, e.Want)
	}
	if e.Layer != 0 {
		text += fmt.Sprintf(" in layer %d", e.Layer)
	}
	return text
}

// A Decoder reads TL values from a buffer, which it never changes or copies:
// what Blob returns aliases it. The first error sticks: every later read
// returns a zero value, so callers may check Err once, at the end. Nothing is
// allocated on the word of a length field before the bytes are known to be there.
type Decoder struct {
	buf   []byte
	off   int
	depth int
	spent int // bytes charged so far; see Charge
	err   error
}

// NewDecoder returns a decoder of b.
func NewDecoder(b []byte) *Decoder { return &Decoder{buf: b} }

// Reset makes d the decoder of b that NewDecoder would return.
func (d *Decoder) Reset(b []byte) { *d = Decoder{buf: b} }

// Err is the first error, or nil.
func (d *Decoder) Err() error { return d.err }

// Fail makes err the decoder's error unless it has one.
func (d *Decoder) Fail(err error) {
	if d.err == nil {
		d.err = fmt.Errorf("at byte %d: %w", d.off, err)
	}
}

// Offset is how many bytes have been read.
func (d *Decoder) Offset() int { return d.off }

// Remaining is how many bytes have not been read.
func (d *Decoder) Remaining() int { return len(d.buf) - d.off }

// Rest returns the bytes that have not been read, without reading them.
func (d *Decoder) Rest() []byte { return d.buf[d.off:] }

// Span returns the bytes between two offsets. It aliases the input.
func (d *Decoder) Span(from, to int) []byte { return d.buf[from:to:to] }

// End fails the decoder if bytes are left over.
func (d *Decoder) End() error {
	if d.err == nil && d.Remaining() != 0 {
		d.Fail(fmt.Errorf("%w: %d bytes left over", ErrValue, d.Remaining()))
	}
	return d.err
}

// Enter is called on entering a value that may contain others, and reports
// whether decoding may go on. Each call that reports true is paired with Leave.
func (d *Decoder) Enter() bool {
	if d.err != nil {
		return false
	}
	if d.depth >= MaxDepth {
		d.Fail(ErrDepth)
		return false
	}
	d.depth++
	return true
}

// Leave undoes one Enter.
func (d *Decoder) Leave() { d.depth-- }

// Take reads n raw bytes. They alias the input.
func (d *Decoder) Take(n int) []byte {
	if d.err != nil {
		return nil
	}
	if n < 0 || n > d.Remaining() {
		d.Fail(ErrShort)
		return nil
	}
	b := d.buf[d.off : d.off+n : d.off+n]
	d.off += n
	return b
}

// ID reads a constructor id.
func (d *Decoder) ID() uint32 { return d.Nat() }

// PeekID is the next constructor id, not read yet; 0 if the data ends before.
func (d *Decoder) PeekID() uint32 {
	if d.err != nil || d.Remaining() < 4 {
		return 0
	}
	return binary.LittleEndian.Uint32(d.buf[d.off:])
}

// Expect reads a constructor id and fails unless it is want.
func (d *Decoder) Expect(want uint32, name string) {
	if id := d.ID(); d.err == nil && id != want {
		d.off -= 4
		d.Fail(&UnknownConstructorError{ID: id, Want: name})
	}
}

// Nat reads an unsigned 32-bit number.
func (d *Decoder) Nat() uint32 {
	b := d.Take(4)
	if b == nil {
		return 0
	}
	return binary.LittleEndian.Uint32(b)
}

// Int reads an int.
func (d *Decoder) Int() int32 { return int32(d.Nat()) }

// Long reads a long.
func (d *Decoder) Long() int64 {
	b := d.Take(8)
	if b == nil {
		return 0
	}
	return int64(binary.LittleEndian.Uint64(b))
}

// Double reads a double.
func (d *Decoder) Double() float64 { return math.Float64frombits(uint64(d.Long())) }

// Int128 reads 16 raw bytes.
func (d *Decoder) Int128() (v [16]byte) {
	copy(v[:], d.Take(16))
	return v
}

// Int256 reads 32 raw bytes.
func (d *Decoder) Int256() (v [32]byte) {
	copy(v[:], d.Take(32))
	return v
}

// Bool reads a boxed Bool.
func (d *Decoder) Bool() bool {
	switch id := d.ID(); {
	case d.err != nil:
		return false
	case id == BoolTrueID:
		return true
	case id == BoolFalseID:
		return false
	default:
		d.off -= 4
		d.Fail(&UnknownConstructorError{ID: id, Want: "Bool"})
		return false
	}
}

// Blob reads bytes. They alias the input; an empty value is not nil.
func (d *Decoder) Blob() []byte {
	head := d.Take(1)
	if head == nil {
		return nil
	}
	n, prefix := int(head[0]), 1
	switch head[0] {
	case 254:
		b := d.Take(3)
		if b == nil {
			return nil
		}
		n, prefix = int(b[0])|int(b[1])<<8|int(b[2])<<16, 4
	case 255: // a length of 7 bytes: longer than any frame may be
		d.Fail(fmt.Errorf("%w: string of 2^24 bytes or more", ErrValue))
		return nil
	}
	b := d.Take(n)
	if pad := -(prefix + n) & 3; pad != 0 {
		d.Take(pad)
	}
	if d.err != nil {
		return nil
	}
	return b
}

// String reads a string. It copies, unlike Blob.
func (d *Decoder) String() string {
	b := d.Blob()
	if !d.Charge(len(b)) {
		return ""
	}
	return string(b)
}

// Vector reads the header of a boxed vector and returns its count. minItem is
// the least size of an item in bytes: a count that cannot fit in the data fails.
func (d *Decoder) Vector(minItem int) int {
	d.Expect(VectorID, "Vector")
	return d.Count(minItem)
}

// Count reads the count of a bare vector; see Vector.
func (d *Decoder) Count(minItem int) int {
	n := int(d.Int())
	if d.err != nil {
		return 0
	}
	if n < 0 || n > d.Remaining()/max(minItem, 1) {
		d.Fail(fmt.Errorf("%w: vector of %d items in %d bytes", ErrShort, n, d.Remaining()))
		return 0
	}
	return n
}
