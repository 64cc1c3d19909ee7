package tl

import (
	"fmt"
	"unsafe"
)

// What decoding may allocate: budgetBase and budgetFactor times the input.
// A Go struct can be 30 times as large as its least form on the wire, so a
// frame full of those would cost far more than it brings. With these bounds one
// of 16 MiB costs at most 64 MiB, itself included. Real answers come in pages
// and stay far below: a thousand messages take about a megabyte.
const (
	budgetBase   = 8 << 20
	budgetFactor = 2

	leastObject = 16 // what the allocator may take for the smallest
)

// Charge says that n bytes are about to be allocated for what is decoded, and
// reports whether that is within bounds; beyond them d fails with [ErrSize].
func (d *Decoder) Charge(n int) bool {
	if d.err != nil {
		return false
	}
	if limit := budgetBase + budgetFactor*len(d.buf); n > limit-d.spent {
		d.Fail(fmt.Errorf("%w: over %d bytes for %d received", ErrSize, limit, len(d.buf)))
		return false
	}
	d.spent += n
	return true
}

// New is new(T), charged to d.
func New[T any](d *Decoder) *T {
	var v T
	if size := int(unsafe.Sizeof(v)); size > 0 {
		d.Charge(max(size, leastObject))
	}
	return new(T)
}

// MakeSlice returns an empty slice with room for n items, charged to d.
func MakeSlice[T any](d *Decoder, n int) []T {
	var item T
	if !d.Charge(n * int(unsafe.Sizeof(item))) {
		return nil
	}
	return make([]T, 0, n)
}

// Extend appends a zero item to s, charging d when the slice has to grow. It
// reports whether it did; it does not once d has failed.
func Extend[T any](d *Decoder, s *[]T) bool {
	var zero T
	if d.err != nil {
		return false
	}
	if len(*s) == cap(*s) {
		grown := MakeSlice[T](d, max(2*cap(*s), 4))
		if d.err != nil {
			return false
		}
		*s = append(grown, *s...)
	}
	*s = append(*s, zero)
	return true
}
