package tl

import (
	"encoding/binary"
	"math"
	"slices"
)

// VectorID is the constructor of a boxed Vector.
const VectorID = 0x1cb5c415

// Constructors of Bool.
const (
	BoolTrueID  = 0x997275b5
	BoolFalseID = 0xbc799737
)

// An Encoder appends TL values to a buffer. The zero value is ready to use.
// It cannot fail: what a Go value can hold, TL can express, but for a string
// of 2^24 bytes or more, which panics, since no message may be that long.
type Encoder struct {
	buf []byte
}

// NewEncoder returns an encoder that appends to buf.
func NewEncoder(buf []byte) *Encoder { return &Encoder{buf: buf} }

// Bytes is everything encoded so far, and what the encoder started with. It
// is valid until the next call that changes the encoder.
func (e *Encoder) Bytes() []byte { return e.buf }

// Len is the length of Bytes.
func (e *Encoder) Len() int { return len(e.buf) }

// Reset empties the encoder and keeps its memory.
func (e *Encoder) Reset() { e.buf = e.buf[:0] }

// ID appends a constructor id.
func (e *Encoder) ID(id uint32) { e.Nat(id) }

// Nat appends an unsigned 32-bit number, as `#` stands for in a schema.
func (e *Encoder) Nat(v uint32) { e.buf = binary.LittleEndian.AppendUint32(e.buf, v) }

// Int appends an int.
func (e *Encoder) Int(v int32) { e.Nat(uint32(v)) }

// Long appends a long.
func (e *Encoder) Long(v int64) { e.buf = binary.LittleEndian.AppendUint64(e.buf, uint64(v)) }

// Double appends a double.
func (e *Encoder) Double(v float64) {
	e.buf = binary.LittleEndian.AppendUint64(e.buf, math.Float64bits(v))
}

// Int128 appends 16 raw bytes.
func (e *Encoder) Int128(v [16]byte) { e.buf = append(e.buf, v[:]...) }

// Int256 appends 32 raw bytes.
func (e *Encoder) Int256(v [32]byte) { e.buf = append(e.buf, v[:]...) }

// Bool appends a boxed Bool.
func (e *Encoder) Bool(v bool) {
	if v {
		e.ID(BoolTrueID)
		return
	}
	e.ID(BoolFalseID)
}

// String appends a string with its length and padding.
func (e *Encoder) String(s string) {
	e.stringHeader(len(s))
	e.buf = append(e.buf, s...)
	e.pad(len(s))
}

// Blob appends bytes with their length and padding. It copies b.
func (e *Encoder) Blob(b []byte) {
	e.stringHeader(len(b))
	e.buf = append(e.buf, b...)
	e.pad(len(b))
}

// BlobSpace appends the header and padding of bytes of length n and returns
// the n bytes between them, for the caller to fill, all of them, before the next
// call that changes the encoder. Until then they are what the memory held.
func (e *Encoder) BlobSpace(n int) []byte {
	e.stringHeader(n)
	start := len(e.buf)
	e.buf = slices.Grow(e.buf, n+3)[:start+n]
	e.pad(n)
	return e.buf[start : start+n : start+n]
}

// BlobLen is how many bytes n bytes take with their length and padding.
func BlobLen(n int) int {
	if n < 254 {
		return (1 + n + 3) &^ 3
	}
	return (4 + n + 3) &^ 3
}

// Vector appends the header of a boxed vector of n items.
func (e *Encoder) Vector(n int) {
	e.ID(VectorID)
	e.Int(int32(n))
}

// Count appends the header of a bare vector of n items.
func (e *Encoder) Count(n int) { e.Int(int32(n)) }

// Raw appends bytes that are TL already.
func (e *Encoder) Raw(b []byte) { e.buf = append(e.buf, b...) }

func (e *Encoder) stringHeader(n int) {
	switch {
	case n < 254:
		e.buf = append(e.buf, byte(n))
	case n < 1<<24:
		e.buf = append(e.buf, 254, byte(n), byte(n>>8), byte(n>>16))
	default:
		panic("tl: a string of 2^24 bytes or more fits no message")
	}
}

// pad appends the zeros that follow a string of n bytes: its length prefix,
// bytes and padding make a multiple of 4 together.
func (e *Encoder) pad(n int) {
	prefix := 1
	if n >= 254 {
		prefix = 4
	}
	for total := prefix + n; total < BlobLen(n); total++ {
		e.buf = append(e.buf, 0)
	}
}
