//go:build !purego

package ctr

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"math"
	"math/bits"
	"unsafe"

	"github.com/klauspost/cpuid/v2"
)

// vaes is two blocks per instruction.
const vaes = portable + 1

var pathNames = []string{"portable", "vaes"}

// detect asks the CPU, and for wide registers the operating system too.
func detect() path {
	if cpuid.CPU.Supports(cpuid.AESNI, cpuid.AVX, cpuid.AVX2, cpuid.VAES) {
		return vaes
	}
	return portable
}

// unit is how many bytes of the key stream the kernel makes at least.
const unit = 2 * block

// sliceBytes is how much the kernel is given at a time. Assembly cannot be interrupted, and
// who stops the world waits for it: about 2 µs, or 30 where memory is slow.
const sliceBytes = 32 << 10

type stream struct {
	keys      [15 * block]byte
	high, low uint64 // the counter of the next block that has not been made
	ahead     [unit]byte
	used      int // of ahead: what comes after it is made and has not been used
}

func newStream(key [32]byte, iv [block]byte) cipher.Stream {
	s := &stream{high: binary.BigEndian.Uint64(iv[:8]), low: binary.BigEndian.Uint64(iv[8:]), used: unit}
	expandKey(&s.keys, &key)
	return s
}

// XORKeyStream is that of [cipher.Stream].
func (s *stream) XORKeyStream(dst, src []byte) {
	if len(dst) < len(src) {
		panic("ctr: output smaller than input")
	}
	dst = dst[:len(src)]
	if overlap(dst, src) {
		panic("ctr: invalid buffer overlap")
	}
	if s.used < unit {
		n := s.fromAhead(dst, src)
		dst, src = dst[n:], src[n:]
	}
	for len(src) >= unit {
		n := unit * s.xor(dst, src, min(len(src), sliceBytes)/unit)
		dst, src = dst[n:], src[n:]
	}
	if len(src) > 0 {
		clear(s.ahead[:])
		s.xor(s.ahead[:], s.ahead[:], 1)
		s.used = 0
		s.fromAhead(dst, src)
	}
}

func (s *stream) fromAhead(dst, src []byte) int {
	n := subtle.XORBytes(dst, src, s.ahead[s.used:])
	s.used += n
	return n
}

// xor takes so many units, fewer if a counter's low half would overflow on the
// way, but at least one. It returns how many.
func (s *stream) xor(dst, src []byte, units int) int {
	second, carry := bits.Add64(s.low, 1, 0)
	counters := [4]uint64{s.low, s.high, second, s.high + carry}
	if until := (math.MaxUint64-max(s.low, second))/2 + 1; uint64(units) > until {
		units = int(until)
	}
	xorUnits(&s.keys, &counters, &dst[0], &src[0], units)
	s.low, carry = bits.Add64(s.low, uint64(units)*unit/block, 0)
	s.high += carry
	return units
}

// overlap reports whether slices of the same length share memory and are not the same.
func overlap(a, b []byte) bool {
	if len(a) == 0 || &a[0] == &b[0] {
		return false
	}
	x, y := uintptr(unsafe.Pointer(&a[0])), uintptr(unsafe.Pointer(&b[0]))
	return max(x, y)-min(x, y) < uintptr(len(a))
}
