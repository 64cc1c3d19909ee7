package main

import "github.com/tghaul/haul/mtproto/internal/ige/_asm/fips"

// A hashLane is the SHA-256 of one message in registers.
type hashLane struct {
	lane       int
	abcd, efgh int
	saved      int
	scrap      int
	words      [4]int // the last 16 words of the schedule
}

// pair is two lanes in V0 to V15.
func pair(lane int) []hashLane {
	return []hashLane{
		{lane, 0, 1, 2, 3, [4]int{4, 5, 6, 7}},
		{lane + 1, 8, 9, 10, 11, [4]int{12, 13, 14, 15}},
	}
}

// hashBlock is one block of each lane: FIPS 180-4, 6.2.2, four rounds at a time.
func hashBlock(s *stream, lanes []hashLane) {
	for _, h := range lanes {
		s.add("FMOVQ %d(%s), %s", offSum, laneOf[h.lane], f(h.abcd))
		s.add("FMOVQ %d(%s), %s", offSum+16, laneOf[h.lane], f(h.efgh))
	}
	for g := range 16 {
		for _, h := range lanes {
			word := func(i int) int { return h.words[(g+i)%4] }
			if g < 4 {
				s.add("FMOVQ %d(%s), %s", 16*g, hashOf[h.lane], f(word(0)))
				s.add("VREV32 %s, %s", v(word(0)), v(word(0)))
			}
			s.add("FMOVQ %d(R5), %s", 16*g, f(h.scrap))
			s.add("VADD %s, %s, %s", w(word(0)), w(h.scrap), w(h.scrap))
			s.add("VMOV %s, %s", v(h.abcd), v(h.saved))
			s.add("SHA256H %s, V%d, V%d", w(h.scrap), h.efgh, h.abcd)
			s.add("SHA256H2 %s, V%d, V%d", w(h.scrap), h.saved, h.efgh)
		}
		if 3 <= g && g <= 14 {
			// Four words of the sixteen before them, in the place of the first.
			for _, h := range lanes {
				word := func(i int) int { return h.words[(g+i)%4] }
				s.add("SHA256SU0 %s, %s", w(word(2)), w(word(1)))
				s.add("SHA256SU1 %s, %s, %s", w(word(0)), w(word(3)), w(word(1)))
			}
		}
	}
	for _, h := range lanes {
		for i, state := range []int{h.abcd, h.efgh} {
			s.add("FMOVQ %d(%s), %s", offSum+16*i, laneOf[h.lane], f(h.scrap))
			s.add("VADD %s, %s, %s", w(h.scrap), w(state), w(state))
			s.add("FMOVQ %s, %d(%s)", f(state), offSum+16*i, laneOf[h.lane])
		}
	}
}

// hashOne is the kernel that has its data apart from the lane.
func hashOne(h hashLane) {
	var before, body stream
	before.add("MOVD lane+0(FP), R0")
	before.add("MOVD data+8(FP), %s", hashOf[0])
	before.add("MOVD $roundConstants<>(SB), R5")
	hashBlock(&body, []hashLane{h})
	turns("hash1", "(lane, data *byte, n int)", "n+16(FP)", 24, before, nil, []string{hashOf[0]}, shaBlock, body)
}

// putConstants writes the constants of the rounds.
func putConstants() {
	put("")
	for i, k := range fips.RoundConstants() {
		put("DATA roundConstants<>+%d(SB)/4, $%#08x", 4*i, k)
	}
	put("GLOBL roundConstants<>(SB), RODATA|NOPTR, $256")
}
