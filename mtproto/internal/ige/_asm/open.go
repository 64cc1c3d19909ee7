package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Opening decrypts and hashes in one pass. In each turn 64 bytes are decrypted,
// while 64 bytes that were decrypted before are hashed: the caller keeps
// the pointer of the hash behind that of AES by 64 bytes or more.
func openKernels() {
	aes := cipherLane{0, R8, X9, X10, X11, X12}
	sha := hashLane{0, R12, X1, X2, [4]VecPhysical{X3, X4, X5, X6}, X7}
	kernel("open1", "decrypts and hashes n times 64 bytes of a lane. AES-NI and SHA-NI.", shaBlock,
		func() { aes.load(); sha.load(); MOVOU(bigEndian, swapRegister) },
		func() {
			var blocks stream
			for off := 0; off < shaBlock; off += aesBlock {
				blocks = append(blocks, decrypt.block(off, aes)...)
			}
			emit(blocks, hashBlock(sha))
		},
		func() { aes.store() })

	var four wideCipher
	first, second := pair(0, R12, R13), pair(2, RSI, RBX)
	kernel("open4", "decrypts and hashes n times 64 bytes of each of 4 lanes. VAES, AVX-512 and SHA-NI.", shaBlock,
		func() {
			four.load()
			for _, h := range append(first, second...) {
				h.load()
			}
			MOVOU(bigEndian, swapRegister)
		},
		func() {
			var blocks stream
			for off := 0; off < shaBlock; off += aesBlock {
				blocks = append(blocks, four.decrypt(off)...)
			}
			emit(blocks, append(hashBlock(first...), hashBlock(second...)...))
		},
		func() { four.store(); VZEROUPPER() })
}

// A wideCipher is the AES of four messages in registers of 64 bytes, one
// in each quarter.
type wideCipher struct {
	keys [rounds + 1]Op // most in registers, three in memory
}

var (
	wideData  = [4]Register{R8, R9, R10, R11}
	wideState = Z28
	widePrev  = Z29
	wideIn    = Z30
	wideScrap = Z31
)

// gather fills a register from four places.
func gather(place func(lane int) Mem, z VecPhysical) (s stream) {
	s = append(s, func() { VMOVDQU32(place(0), z.AsX()) })
	for i := 1; i < 4; i++ {
		s = append(s, func() { VINSERTI32X4(U8(i), place(i), z, z) })
	}
	return s
}

// scatter is the inverse of gather.
func scatter(place func(lane int) Mem, z VecPhysical) (s stream) {
	s = append(s, func() { VMOVDQU32(z.AsX(), place(0)) })
	for i := 1; i < 4; i++ {
		s = append(s, func() { VEXTRACTI32X4(U8(i), z, place(i)) })
	}
	return s
}

func (c *wideCipher) load() {
	registers := []VecPhysical{Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27}
	memory := AllocLocal((len(c.keys) - len(registers)) * 64)
	for i := range c.keys {
		place := func(lane int) Mem { return field(lane, offKeys+aesBlock*i) }
		if i < len(registers) {
			emit(gather(place, registers[i]))
			c.keys[i] = registers[i]
			continue
		}
		m := memory.Offset((i - len(registers)) * 64)
		emit(gather(place, wideScrap))
		VMOVDQU64(wideScrap, m)
		c.keys[i] = m
	}
	for i, p := range wideData {
		MOVQ(field(i, offCipher), p)
	}
	emit(gather(func(lane int) Mem { return field(lane, offChain) }, wideState))
	emit(gather(func(lane int) Mem { return field(lane, offChain+aesBlock) }, widePrev))
}

func (c *wideCipher) store() {
	emit(scatter(func(lane int) Mem { return field(lane, offChain) }, wideState))
	emit(scatter(func(lane int) Mem { return field(lane, offChain+aesBlock) }, widePrev))
}

// decrypt is direction.block for four lanes in one register.
func (c *wideCipher) decrypt(off int) (s stream) {
	place := func(lane int) Mem { return at(wideData[lane], off) }
	add := func(f func()) { s = append(s, f) }
	s = append(s, gather(place, wideIn)...)
	add(func() { VPXORQ(c.keys[0], wideIn, wideScrap) })
	add(func() { VPXORQ(wideScrap, wideState, wideState) })
	for i := 1; i < rounds; i++ {
		add(func() { VAESDEC(c.keys[i], wideState, wideState) })
	}
	add(func() { VPXORQ(c.keys[rounds], widePrev, wideScrap) })
	add(func() { VAESDECLAST(wideScrap, wideState, wideState) })
	add(func() { VMOVDQA64(wideIn, widePrev) })
	return append(s, scatter(place, wideState)...)
}
