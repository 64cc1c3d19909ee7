package main

import "fmt"

// A direction of AES: the instructions of a round, of which the last has no second.
type direction struct{ round, mix string }

var (
	encrypt = direction{"AESE", "AESMC"}
	decrypt = direction{"AESD", "AESIMC"}
)

// inMemory says that round keys are loaded one by one.
const inMemory = -1

// A cipherLane is the AES of one message in registers. Between two blocks
// state ^ mask is the output of the block before, and in its input.
type cipherLane struct {
	lane                   int
	state, mask, in, scrap int
	keys                   int // the first of the registers of the round keys, or inMemory
}

// key returns the register that round key i is in: temporary, if it has to be loaded.
func (c cipherLane) key(s *stream, i, temporary int) int {
	if c.keys != inMemory {
		return c.keys + i
	}
	s.add("FMOVQ %d(%s), %s", offKeys+aesBlock*i, laneOf[c.lane], f(temporary))
	return temporary
}

func (c cipherLane) load(s *stream) {
	s.add("MOVD %d(%s), %s", offCipher, laneOf[c.lane], cipherOf[c.lane])
	s.add("FMOVQ %d(%s), %s", offChain, laneOf[c.lane], f(c.state))
	s.add("FMOVQ %d(%s), %s", offChain+aesBlock, laneOf[c.lane], f(c.in))
	s.add("VEOR %s, %s, %s", v(c.mask), v(c.mask), v(c.mask))
	if c.keys != inMemory {
		for i := range rounds + 1 {
			s.add("FMOVQ %d(%s), %s", offKeys+aesBlock*i, laneOf[c.lane], f(c.keys+i))
		}
	}
}

func (c cipherLane) store(s *stream) {
	s.add("VEOR %s, %s, %s", v(c.mask), v(c.state), v(c.state))
	s.add("FMOVQ %s, %d(%s)", f(c.state), offChain, laneOf[c.lane])
	s.add("FMOVQ %s, %d(%s)", f(c.in), offChain+aesBlock, laneOf[c.lane])
}

// block is one block of each lane, in place, round by round:
//
//	out = AES(in ^ out before) ^ in before
//
// What follows AES in this block and what comes before it in the next are put
// together in mask beforehand, so that a block waits 14 rounds and one xor for the one
// before it. All lanes read before one writes: lanes may be the same message.
func (d direction) block(s *stream, off int, lanes []cipherLane) {
	for _, c := range lanes {
		s.add("FMOVQ %d(%s), %s", off, cipherOf[c.lane], f(c.scrap))
		s.add("VEOR %s, %s, %s", v(c.scrap), v(c.mask), v(c.mask))
		s.add("VEOR %s, %s, %s", v(c.mask), v(c.state), v(c.state))
		s.add("VEOR %s, %s, %s", v(c.key(s, rounds, c.mask)), v(c.in), v(c.mask))
		s.add("VMOV %s, %s", v(c.scrap), v(c.in))
	}
	for i := range rounds {
		for _, c := range lanes {
			round := fmt.Sprintf("%s %s, %s", d.round, v(c.key(s, i, c.scrap)), v(c.state))
			if i < rounds-1 {
				// Many CPUs do both as one, if nothing stands between them.
				round += fmt.Sprintf("\n\t%s %s, %s", d.mix, v(c.state), v(c.state))
			}
			s.add("%s", round)
		}
	}
	for _, c := range lanes {
		s.add("VEOR %s, %s, %s", v(c.mask), v(c.state), v(c.scrap))
	}
	for _, c := range lanes {
		s.add("FMOVQ %s, %d(%s)", f(c.scrap), off, cipherOf[c.lane])
	}
}

// keyKernels is what key expansion, which is in path_arm64.go, needs of AES.
func keyKernels() {
	put(`
// func subWord(word uint32) uint32
TEXT ·subWord(SB), NOSPLIT, $0-12
	MOVWU word+0(FP), R0
	VDUP R0, V0.S4 // four equal columns, which ShiftRows leaves alone
	VEOR V1.B16, V1.B16, V1.B16
	AESE V1.B16, V0.B16
	VMOV V0.S[0], R0
	MOVW R0, ret+8(FP)
	RET

// func inverseMix(keys *byte, n int)
TEXT ·inverseMix(SB), NOSPLIT, $0-16
	MOVD keys+0(FP), R0
	MOVD n+8(FP), R1
loop:
	FMOVQ (R0), F0
	AESIMC V0.B16, V0.B16
	FMOVQ F0, (R0)
	ADD $16, R0
	SUBS $1, R1
	BNE loop
	RET`)
}
