package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"

	"github.com/tghaul/haul/mtproto/internal/ige/_asm/keys"
)

// A direction of AES: the instructions of a round and of the last one.
type direction struct{ round, last func(key, state Op) }

var (
	encrypt = direction{func(k, s Op) { AESENC(k, s) }, func(k, s Op) { AESENCLAST(k, s) }}
	decrypt = direction{func(k, s Op) { AESDEC(k, s) }, func(k, s Op) { AESDECLAST(k, s) }}
)

// A cipherLane is the AES of one message in registers. Between two blocks,
// state is the output of the block before and prev its input.
type cipherLane struct {
	lane                   int
	data                   Register
	state, prev, in, scrap VecPhysical
}

func (c cipherLane) load() {
	MOVQ(field(c.lane, offCipher), c.data)
	MOVOU(field(c.lane, offChain), c.state)
	MOVOU(field(c.lane, offChain+aesBlock), c.prev)
}

func (c cipherLane) store() {
	MOVOU(c.state, field(c.lane, offChain))
	MOVOU(c.prev, field(c.lane, offChain+aesBlock))
}

// block is one block of each lane, in place, round by round:
//
//	out = AES(in ^ out before) ^ in before
//
// Both xors go into the first and the last round key beforehand, so that a
// block waits 14 rounds and one xor for the one before it. All lanes read
// before one writes: lanes may be the same message.
func (d direction) block(off int, lanes ...cipherLane) (s stream) {
	each := func(f func(c cipherLane)) {
		for _, c := range lanes {
			s = append(s, func() { f(c) })
		}
	}
	key := func(c cipherLane, i int) Mem { return field(c.lane, offKeys+aesBlock*i) }
	each(func(c cipherLane) {
		MOVOU(at(c.data, off), c.in)
		MOVOU(key(c, 0), c.scrap)
		PXOR(c.in, c.scrap)
	})
	each(func(c cipherLane) { PXOR(c.scrap, c.state) })
	for i := 1; i < rounds; i++ {
		each(func(c cipherLane) {
			MOVOU(key(c, i), c.scrap)
			d.round(c.scrap, c.state)
		})
	}
	each(func(c cipherLane) {
		MOVOU(key(c, rounds), c.scrap)
		PXOR(c.prev, c.scrap)
		d.last(c.scrap, c.state)
		MOVO(c.in, c.prev)
	})
	each(func(c cipherLane) { MOVOU(c.state, at(c.data, off)) })
	return s
}

func aesKernels() {
	one := []cipherLane{{0, R8, X0, X4, X8, X12}}
	four := []cipherLane{
		{0, R8, X0, X4, X8, X12},
		{1, R9, X1, X5, X9, X13},
		{2, R10, X2, X6, X10, X14},
		{3, R11, X3, X7, X11, X15},
	}
	for _, k := range []struct {
		name, doc string
		d         direction
		lanes     []cipherLane
	}{
		{"encrypt1", "encrypts n blocks of 16 bytes of a lane. AES-NI.", encrypt, one},
		{"decrypt1", "decrypts n blocks of 16 bytes of a lane. AES-NI.", decrypt, one},
		{"encrypt4", "encrypts n blocks of 16 bytes of each of 4 lanes. AES-NI.", encrypt, four},
		{"decrypt4", "decrypts n blocks of 16 bytes of each of 4 lanes. AES-NI.", decrypt, four},
	} {
		kernel(k.name, k.doc, aesBlock,
			func() {
				for _, c := range k.lanes {
					c.load()
				}
			},
			func() { emit(k.d.block(0, k.lanes...)) },
			func() {
				for _, c := range k.lanes {
					c.store()
				}
			})
	}
}

// expandKeys is the round keys of encryption, and FIPS 197, 5.3.5 for the
// equivalent inverse cipher, which AESDEC computes.
func expandKeys() {
	for _, k := range []struct {
		name, doc string
		put       func(i int, key VecPhysical)
	}{
		{"expandEncrypt", "computes the 15 round keys of encryption. AES-NI.", func(i int, key VecPhysical) {
			MOVOU(key, Mem{Base: RDI, Disp: aesBlock * i})
		}},
		{"expandDecrypt", "computes the 15 round keys of decryption. AES-NI.", func(i int, key VecPhysical) {
			if i > 0 && i < rounds {
				AESIMC(key, X4)
				key = X4
			}
			MOVOU(key, Mem{Base: RDI, Disp: aesBlock * (rounds - i)})
		}},
	} {
		begin(k.name, "func(keys *[240]byte, key *[32]byte)", k.doc)
		Load(Param("keys"), RDI)
		Load(Param("key"), RSI)
		keys.Expand(RSI, k.put)
		RET()
	}
}
