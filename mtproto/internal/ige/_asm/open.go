package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Opening decrypts and hashes in one pass. In each turn 64 bytes are decrypted,
// while 64 bytes that were decrypted before are hashed: the caller keeps
// the pointer of the hash behind that of AES by 64 bytes or more, or by 128
// where the schedule is made a block ahead.
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

	wide := wideCipher{Mem{Base: aligned}, 2}
	inStep("open4", "decrypts and hashes n times 64 bytes of each of 4 lanes. VAES, AVX-512 and SHA-NI.", fourLanes,
		wide.load, func() stream { return wide.turn(wideDecrypt) }, wide.store)
}
