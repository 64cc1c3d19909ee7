// Command asm writes the assembly of mtproto/internal/ige for amd64: run
// `make generate-asm` in the root of the repository.
//
// A kernel works on one lane or on four that lie one after the other, each a
// message of its own; see lane in lanes.go for the layout, and ige.go
// for why several at once are faster. Within a message AES-IGE waits for itself:
// 14 rounds for each block of 16 bytes. What fills that time, the AES of other
// messages and SHA-256, is written between the rounds.
//
// The memory operands of legacy SSE (AESENC, SHA256RNDS2, PADDD) must be
// aligned to 16 bytes, and neither Go's stacks nor the messages are: all memory
// is read with MOVOU. SHA-NI only knows the registers X0 to X15, so AES in wide
// registers keeps to Z16 to Z31; that also leaves the upper halves of the others
// clean, which legacy SSE is slowed down by on some CPUs.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Offsets in a lane, and its size. lanes.go does not compile with others.
const (
	offCipher = 0  // pointer to the next block of AES
	offHash   = 8  // pointer to the next block of SHA-256
	offChain  = 16 // output, then input of the AES block before
	offSum    = 48 // state of SHA-256, in the order of SHA-NI
	offKeys   = 80 // 15 round keys
	laneSize  = 344
)

const (
	aesBlock = 16
	shaBlock = 64
	rounds   = 14
)

// A stream is a sequence of instructions whose order matters only among themselves.
type stream []func()

// emit writes streams interleaved, each spread evenly over the whole.
func emit(streams ...stream) {
	total := 0
	for _, s := range streams {
		total = max(total, len(s))
	}
	done := make([]int, len(streams))
	for i := 1; i <= total; i++ {
		for k, s := range streams {
			for ; done[k] < len(s)*i/total; done[k]++ {
				s[done[k]]()
			}
		}
	}
}

// kernel is func(lanes *byte, n int): it runs body n times, n > 0.
// The pointers of the lanes stay; AX is how far the current pass is beyond them.
func kernel(name, doc string, step int, before, body, after func()) {
	begin(name, "func(lanes *byte, n int)", doc)
	Load(Param("lanes"), RDI)
	Load(Param("n"), RCX)
	before()
	loop(step, body)
	after()
	RET()
}

func begin(name, signature, doc string) {
	TEXT(name, NOSPLIT, signature)
	Pragma("noescape")
	Doc(name + " " + doc)
}

// loop runs body RCX times, with AX step higher each time.
func loop(step int, body func()) {
	XORQ(RAX, RAX)
	Label("loop")
	body()
	ADDQ(Imm(uint64(step)), RAX)
	DECQ(RCX)
	JNZ(LabelRef("loop"))
}

// field is a field of a lane.
func field(lane, offset int) Mem { return Mem{Base: RDI, Disp: lane*laneSize + offset} }

// at is memory off bytes from where a pointer stands in this pass.
func at(pointer Register, off int) Mem {
	return Mem{Base: pointer, Index: RAX, Scale: 1, Disp: off}
}

func main() {
	ConstraintExpr("!purego")
	expandKeys()
	aesKernels()
	hashKernels()
	openKernels()
	besideKernels()
	Generate()
}
