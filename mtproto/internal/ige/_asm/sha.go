package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"

	"github.com/tghaul/haul/mtproto/internal/ige/_asm/fips"
)

// A hashLane is the SHA-256 of one message in registers.
type hashLane struct {
	lane       int
	data       Register
	abef, cdgh VecPhysical
	w          [4]VecPhysical // the last 16 words of the schedule
	scrap      VecPhysical
}

var (
	constants, bigEndian Mem
	swapRegister         = X15
)

func (h hashLane) load() { MOVQ(field(h.lane, offHash), h.data) }

// block is one block of each lane: FIPS 180-4, 6.2.2, four rounds at a time.
// The lanes take turns with X0, which SHA256RNDS2 reads without naming it.
func hashBlock(lanes ...hashLane) (s stream) {
	each := func(f func(h hashLane)) {
		for _, h := range lanes {
			s = append(s, func() { f(h) })
		}
	}
	each(func(h hashLane) {
		MOVOU(field(h.lane, offSum), h.abef)
		MOVOU(field(h.lane, offSum+16), h.cdgh)
	})
	for g := range 16 {
		w := func(h hashLane, i int) VecPhysical { return h.w[(g+i+4)%4] }
		each(func(h hashLane) {
			if g < 4 {
				MOVOU(at(h.data, 16*g), w(h, 0))
				PSHUFB(swapRegister, w(h, 0))
			}
		})
		each(func(h hashLane) {
			MOVOU(constants.Offset(16*g), X0)
			PADDD(w(h, 0), X0)
			SHA256RNDS2(X0, h.abef, h.cdgh)
			PSHUFD(U8(0x0e), X0, X0)
			SHA256RNDS2(X0, h.cdgh, h.abef)
		})
		if g >= 3 && g <= 14 {
			each(func(h hashLane) {
				MOVO(w(h, 0), h.scrap)
				PALIGNR(U8(4), w(h, -1), h.scrap)
				PADDD(h.scrap, w(h, 1))
				SHA256MSG2(w(h, 0), w(h, 1))
			})
		}
		if g >= 1 && g <= 12 {
			each(func(h hashLane) { SHA256MSG1(w(h, 0), w(h, -1)) })
		}
	}
	each(func(h hashLane) {
		MOVOU(field(h.lane, offSum), h.scrap)
		PADDD(h.scrap, h.abef)
		MOVOU(h.abef, field(h.lane, offSum))
		MOVOU(field(h.lane, offSum+16), h.scrap)
		PADDD(h.scrap, h.cdgh)
		MOVOU(h.cdgh, field(h.lane, offSum+16))
	})
	return s
}

// pair is two lanes in all 16 registers.
func pair(lane int, a, b Register) []hashLane {
	return []hashLane{
		{lane, a, X1, X2, [4]VecPhysical{X3, X4, X5, X6}, X13},
		{lane + 1, b, X7, X8, [4]VecPhysical{X9, X10, X11, X12}, X14},
	}
}

func hashKernels() {
	constants = GLOBL("roundConstants", RODATA|NOPTR)
	for i, k := range fips.RoundConstants() {
		DATA(4*i, U32(k))
	}
	bigEndian = GLOBL("bigEndian", RODATA|NOPTR)
	DATA(0, U64(0x0405060700010203))
	DATA(8, U64(0x0c0d0e0f08090a0b))

	one := hashLane{0, R12, X1, X2, [4]VecPhysical{X3, X4, X5, X6}, X7}
	begin("hash1", "func(lane, data *byte, n int)", "hashes n blocks of 64 bytes at data, not at the lane's pointer. SHA-NI.")
	Load(Param("lane"), RDI)
	Load(Param("data"), one.data)
	Load(Param("n"), RCX)
	MOVOU(bigEndian, swapRegister)
	loop(shaBlock, func() { emit(hashBlock(one)) })
	RET()

	first, second := pair(0, R12, R13), pair(2, RSI, RBX)
	kernel("hash2", "hashes n blocks of 64 bytes of each of 2 lanes. SHA-NI.", shaBlock,
		func() {
			for _, h := range first {
				h.load()
			}
			MOVOU(bigEndian, swapRegister)
		},
		func() { emit(hashBlock(first...)) },
		func() {})
	kernel("hash4", "hashes n blocks of 64 bytes of each of 4 lanes. SHA-NI.", shaBlock,
		func() {
			for _, h := range append(first, second...) {
				h.load()
			}
			MOVOU(bigEndian, swapRegister)
		},
		func() { emit(hashBlock(first...)); emit(hashBlock(second...)) },
		func() {})
	inStep("hash4wide", "hashes n blocks of 64 bytes of each of 4 lanes. AVX-512 and SHA-NI.", fourLanes,
		func() {}, func() stream { return nil }, func() {})
}
