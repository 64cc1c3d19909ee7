package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// A wideCipher is the AES of four messages in two registers of 32 bytes, each
// of which holds two. Registers of 64 bytes would take half the instructions,
// but as long where the CPU computes them in two halves, and each of
// them keeps both of its AES units from everything else for that time.
// It has Y25 to Y31. Its round keys are in memory.
type wideCipher struct {
	keys   Mem
	halves int // 2, or 1 for two messages in one register
}

const wideKeysSize = (rounds + 1) * 64

var (
	wideData  = [4]Register{R8, R9, R10, R11}
	wideState = [2]VecPhysical{Y25, Y26} // output of the block before
	widePrev  = [2]VecPhysical{Y27, Y28} // its input, with the last round key
	wideIn    = [2]VecPhysical{Y29, Y30}
	wideScrap = Y31
)

// gather fills a register from the lanes of a half.
func gather(place func(lane int) Mem, half int, y VecPhysical) {
	VMOVDQU32(place(2*half), y.AsX())
	VINSERTI32X4(U8(1), place(2*half+1), y, y)
}

// scatter is the inverse of gather.
func scatter(place func(lane int) Mem, half int, y VecPhysical) {
	VMOVDQU32(y.AsX(), place(2*half))
	VEXTRACTI32X4(U8(1), y, place(2*half+1))
}

// key is round key i of the lanes of a half.
func (c wideCipher) key(i, half int) Mem { return c.keys.Offset(64*i + 32*half) }

func (c wideCipher) load() {
	for i, p := range wideData[:2*c.halves] {
		MOVQ(field(i, offCipher), p)
	}
	for half := range c.halves {
		for i := range rounds + 1 {
			gather(func(lane int) Mem { return field(lane, offKeys+aesBlock*i) }, half, wideScrap)
			VMOVDQU64(wideScrap, c.key(i, half))
		}
		gather(func(lane int) Mem { return field(lane, offChain) }, half, wideState[half])
		gather(func(lane int) Mem { return field(lane, offChain+aesBlock) }, half, widePrev[half])
		VPXORQ(c.key(rounds, half), widePrev[half], widePrev[half])
	}
}

func (c wideCipher) store() {
	for half := range c.halves {
		scatter(func(lane int) Mem { return field(lane, offChain) }, half, wideState[half])
		VPXORQ(c.key(rounds, half), widePrev[half], widePrev[half])
		scatter(func(lane int) Mem { return field(lane, offChain+aesBlock) }, half, widePrev[half])
	}
}

// A wideDirection is the wide form of a direction.
type wideDirection struct{ round, last func(key, in, out Op) }

var (
	wideEncrypt = wideDirection{func(k, in, out Op) { VAESENC(k, in, out) }, func(k, in, out Op) { VAESENCLAST(k, in, out) }}
	wideDecrypt = wideDirection{func(k, in, out Op) { VAESDEC(k, in, out) }, func(k, in, out Op) { VAESDECLAST(k, in, out) }}
)

// turn is 64 bytes of each lane, see direction.block.
func (c wideCipher) turn(d wideDirection) (s stream) {
	each := func(f func(half int, state, prev, in VecPhysical)) {
		for half := range c.halves {
			s = append(s, func() { f(half, wideState[half], widePrev[half], wideIn[half]) })
		}
	}
	for off := 0; off < shaBlock; off += aesBlock {
		place := func(lane int) Mem { return at(wideData[lane], off) }
		each(func(half int, state, prev, in VecPhysical) {
			gather(place, half, in)
			VPXORQ(c.key(0, half), in, wideScrap)
			VPXORQ(wideScrap, state, state)
		})
		for i := 1; i < rounds; i++ {
			each(func(half int, state, prev, in VecPhysical) { d.round(c.key(i, half), state, state) })
		}
		each(func(half int, state, prev, in VecPhysical) {
			d.last(prev, state, state)
			VPXORQ(c.key(rounds, half), in, prev)
		})
		each(func(half int, state, prev, in VecPhysical) { scatter(place, half, state) })
	}
	return s
}
