package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Four hashes in step. SHA-NI's instructions take X0 to X15 only, in which
// there is room for two messages: so hash4 of sha.go does two after two, and
// waits for SHA256RNDS2 most of the time. Here the rounds of all four are
// in step, which takes nine registers. The message schedule, which would take 24,
// has its own instructions: it is computed a block ahead of the rounds, which find it in
// memory, and most of what it has to remember is in X16 to X24, for which AVX-512 is needed.

// A roundLane is the rounds of one message in registers, with the constants of its schedule.
type roundLane struct {
	lane       int
	data       Register
	abef, cdgh VecPhysical
	// stream is 0, or else 1 and 2 for the two blocks of each turn of a lane that
	// takes two, one after the other: see beside.go.
	stream int

	words  VecPhysical    // the last four words of the schedule, Wt-4 to Wt-1
	before VecPhysical    // the four before them
	parked [2]VecPhysical // the two times four before those, which SHA256MSG1 was done with
}

var (
	fourLanes = []roundLane{
		{0, R12, X1, X2, 0, X9, X13, [2]VecPhysical{X16, X17}},
		{1, R13, X3, X4, 0, X10, X14, [2]VecPhysical{X18, X19}},
		{2, RSI, X5, X6, 0, X11, X15, [2]VecPhysical{X20, X21}},
		{3, RBX, X7, X8, 0, X12, X24, [2]VecPhysical{X22, X23}},
	}
	// Schedules of one block of each lane: the one whose rounds come next,
	// and the one that is made meanwhile. They change places in each turn.
	scheduled, ahead = RDX, R15
	// What the kernel keeps in the caller's scratch memory. scratchSize in
	// path_amd64.go is both schedules, the keys, and 63 bytes to align them.
	aligned = R14
)

const scheduleSize = 4 * 256

// inStep is a kernel for lanes in step: func(lanes, scratch *byte, n int). beside returns what
// each turn does beside the hash, before and after what comes first and last.
func inStep(name, doc string, lanes []roundLane, before func(), beside func() stream, after func()) {
	begin(name, "func(lanes, scratch *byte, n int)", doc)
	Load(Param("lanes"), RDI)
	Load(Param("scratch"), scheduled)
	Load(Param("n"), RCX)
	ADDQ(Imm(63), scheduled)
	ANDQ(I32(-64), scheduled)
	LEAQ(Mem{Base: scheduled, Disp: scheduleSize}, ahead)
	LEAQ(Mem{Base: ahead, Disp: scheduleSize}, aligned)
	for _, h := range lanes {
		MOVQ(field(h.lane, offHash), h.data)
		MOVOU(field(h.lane, offSum), h.abef)
		MOVOU(field(h.lane, offSum+16), h.cdgh)
	}
	before()
	XORQ(RAX, RAX)
	emit(makeSchedules(lanes, 0, scheduled))
	DECQ(RCX)
	JZ(LabelRef("last"))
	Label("loop")
	emit(append([]stream{beside(), makeSchedules(lanes, 1, ahead)}, inStepRounds(lanes)...)...)
	XCHGQ(scheduled, ahead)
	ADDQ(Imm(shaBlock), RAX)
	DECQ(RCX)
	JNZ(LabelRef("loop"))
	Label("last")
	emit(append([]stream{beside()}, inStepRounds(lanes)...)...)
	after()
	VZEROUPPER()
	RET()
}

// ofSchedule is where words 4g to 4g+3 are, with the round constants added.
func ofSchedule(base Register, h roundLane, g int) Mem {
	return Mem{Base: base, Disp: h.slot()*256 + g*16}
}

func (h roundLane) slot() int { return h.lane + max(0, h.stream-1) }

// block is byte off of the block that the lane hashes so many turns from here.
func (h roundLane) block(turn, off int) Mem {
	if h.stream == 0 {
		return at(h.data, shaBlock*turn+off)
	}
	return Mem{Base: h.data, Index: RAX, Scale: 2, Disp: 2*shaBlock*turn + shaBlock*(h.stream-1) + off}
}

// inStepRounds is the rounds of all lanes: those that take a block each turn in
// step, and beside them those that take two.
func inStepRounds(lanes []roundLane) []stream {
	var single []roundLane
	var double stream
	for _, h := range lanes {
		if h.stream == 0 {
			single = append(single, h)
		} else {
			double = append(double, rounds64(h)...)
		}
	}
	if double == nil {
		return []stream{rounds64(single...)}
	}
	return []stream{rounds64(single...), double}
}

// rounds64 is the 64 rounds of a block of each lane: FIPS 180-4, 6.2.2, steps 2 to 4.
func rounds64(lanes ...roundLane) (s stream) {
	each := func(f func(h roundLane)) {
		for _, h := range lanes {
			s = append(s, func() { f(h) })
		}
	}
	for g := range 16 {
		each(func(h roundLane) {
			MOVOA(ofSchedule(scheduled, h, g), X0)
			SHA256RNDS2(X0, h.abef, h.cdgh)
		})
		each(func(h roundLane) {
			MOVQ(ofSchedule(scheduled, h, g).Offset(8), X0)
			SHA256RNDS2(X0, h.cdgh, h.abef)
		})
	}
	each(func(h roundLane) {
		for i, state := range []VecPhysical{h.abef, h.cdgh} {
			VPADDD(field(h.lane, offSum+16*i), state, state)
			VMOVDQU(state, field(h.lane, offSum+16*i))
		}
	})
	return s
}

// makeSchedules is step 1 of the same for the blocks of the turn that is so many from here.
func makeSchedules(lanes []roundLane, turn int, to Register) (s stream) {
	each := func(f func(h roundLane)) {
		for _, h := range lanes {
			s = append(s, func() { f(h) })
		}
	}
	for g := range 16 {
		each(func(h roundLane) {
			if g < 4 {
				VMOVDQU(h.block(turn, 16*g), h.words)
				VPSHUFB(bigEndian, h.words, h.words)
			}
			VPADDD(constants.Offset(16*g), h.words, X0)
			VMOVDQA(X0, ofSchedule(to, h, g))
		})
		each(func(h roundLane) { h.extend(g) })
	}
	return s
}

// extend makes four words of the sixteen before them, if the schedule has
// begun and does not end yet. The parked ones of two groups take turns.
func (h roundLane) extend(g int) {
	prepares, extends := 1 <= g && g <= 12, 3 <= g && g <= 14
	parked := h.parked[g%2]
	if prepares {
		VMOVDQA32(h.before, X0)
	}
	if extends {
		VPALIGNR(U8(4), h.before, h.words, h.before)
		VPADDD(parked, h.before, h.before)
	}
	if prepares {
		SHA256MSG1(h.words, X0)
		VMOVDQA32(X0, parked)
	}
	if extends {
		VMOVDQA32(h.before, X0)
		SHA256MSG2(h.words, X0)
	}
	if extends || g < 3 {
		VMOVDQA32(h.words, h.before)
	}
	if extends {
		VMOVDQA(X0, h.words)
	}
}
