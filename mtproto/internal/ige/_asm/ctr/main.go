// Command ctr writes the assembly of mtproto/internal/ctr for amd64: run
// `make generate-asm` in the root of the repository.
//
// Blocks of counter mode do not wait for each other, so the two AES units of a core
// can be kept busy: eight registers of two blocks each go through the rounds in
// step. Registers of 64 bytes are 5% faster on Zen 4, where each takes as long as two
// of these, but many CPUs have wide AES and no AVX-512.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"

	"github.com/tghaul/haul/mtproto/internal/ige/_asm/keys"
)

const (
	aesBlock = 16
	rounds   = 14
	unit     = 2 * aesBlock // what a register holds
)

var (
	states  = []VecPhysical{Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7}
	key     = Y8
	counter = Y9 // of the next two blocks, little-endian
	step    = Y10
	swap    = Y11
	scrap   = Y12

	keysAt, dst, src, left = RDI, R8, R9, RCX
	done                   = RAX // bytes
)

func expandKey() {
	begin("expandKey", "func(keys *[240]byte, key *[32]byte)", "computes the 15 round keys of encryption. AES-NI.")
	Load(Param("keys"), RDI)
	Load(Param("key"), RSI)
	keys.Expand(RSI, func(i int, key VecPhysical) { MOVOU(key, Mem{Base: RDI, Disp: aesBlock * i}) })
	RET()
}

func xorUnits() {
	constant := func(name string, low, high uint64) Mem {
		m := GLOBL(name, RODATA|NOPTR)
		DATA(0, U64(low))
		DATA(8, U64(high))
		return m
	}
	swapped := constant("byteSwap", 0x08090a0b0c0d0e0f, 0x0001020304050607)
	two := constant("two", 2, 0)

	begin("xorUnits", "func(keys *[240]byte, counters *[4]uint64, dst, src *byte, n int)",
		"xors n times 32 bytes with the key stream. counters are those of the first two blocks,",
		"low and high half of each; the low ones must not overflow on the way. VAES and AVX2.")
	Load(Param("keys"), keysAt)
	Load(Param("counters"), RSI)
	Load(Param("dst"), dst)
	Load(Param("src"), src)
	Load(Param("n"), left)
	VMOVDQU(Mem{Base: RSI}, counter)
	VBROADCASTI128(swapped, swap)
	VBROADCASTI128(two, step)
	XORQ(done, done)
	SUBQ(Imm(uint64(len(states))), left)
	JL(LabelRef("rest"))
	Label("loop")
	turn(states)
	SUBQ(Imm(uint64(len(states))), left)
	JGE(LabelRef("loop"))
	Label("rest")
	ADDQ(Imm(uint64(len(states))), left)
	JZ(LabelRef("end"))
	Label("one")
	turn(states[:1])
	DECQ(left)
	JNZ(LabelRef("one"))
	Label("end")
	VZEROUPPER()
	RET()
}

// turn is a unit for each state: FIPS 197, 5.1. The data goes into the last round key,
// whose xor is part of the last round.
func turn(states []VecPhysical) {
	for _, s := range states {
		VPSHUFB(swap, counter, s)
		VPADDQ(step, counter, counter)
	}
	for i := range rounds + 1 {
		VBROADCASTI128(Mem{Base: keysAt, Disp: aesBlock * i}, key)
		for k, s := range states {
			switch i {
			case 0:
				VPXOR(key, s, s)
			default:
				VAESENC(key, s, s)
			case rounds:
				VPXOR(Mem{Base: src, Index: done, Scale: 1, Disp: unit * k}, key, scrap)
				VAESENCLAST(scrap, s, s)
				VMOVDQU(s, Mem{Base: dst, Index: done, Scale: 1, Disp: unit * k})
			}
		}
	}
	ADDQ(I32(int32(unit*len(states))), done)
}

func begin(name, signature string, doc ...string) {
	TEXT(name, NOSPLIT, signature)
	Pragma("noescape")
	doc[0] = name + " " + doc[0]
	Doc(doc...)
}

func main() {
	ConstraintExpr("!purego")
	expandKey()
	xorUnits()
	Generate()
}
