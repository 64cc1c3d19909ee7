// Package keys is the key schedule that both modes of AES on amd64 begin with.
package keys

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const rounds = 14

// Expand is FIPS 197, 5.2 for the key of 256 bits at a register: put is called for
// each of the 15 round keys. It takes X0 to X3.
func Expand(key Register, put func(i int, key VecPhysical)) {
	MOVOU(Mem{Base: key}, X0)
	MOVOU(Mem{Base: key, Disp: 16}, X1)
	put(0, X0)
	put(1, X1)
	for i := 2; i <= rounds; i += 2 {
		next(X0, X1, 1<<(i/2-1), 0xff)
		put(i, X0)
		if i < rounds {
			next(X1, X0, 0, 0xaa)
			put(i+1, X1)
		}
	}
}

// next makes of a key the one two after it, from the one between.
func next(key, between VecPhysical, rcon, word uint8) {
	AESKEYGENASSIST(U8(rcon), between, X2)
	PSHUFD(U8(word), X2, X2)
	MOVO(key, X3)
	for range 3 {
		PSLLO(U8(4), X3)
		PXOR(X3, key)
	}
	PXOR(X2, key)
}
