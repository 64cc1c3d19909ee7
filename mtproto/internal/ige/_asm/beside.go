package main

import (
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// Two messages are as much work for the one unit that computes SHA-256 as a
// stream of twice their rate, and that rate is what a stream can have at most, for each of
// its rounds waits for the one before. So the hash of a whole file goes beside two
// messages: lane 2 is the stream, which takes two blocks in each turn. It
// costs next to nothing there that AES of the messages does not take anyway.

// besideLanes are two messages and a stream. The schedules of the stream's two
// blocks do not depend on each other.
var besideLanes = []roundLane{
	fourLanes[0],
	fourLanes[1],
	{2, RSI, X5, X6, 1, X11, X15, [2]VecPhysical{X20, X21}},
	{2, RSI, X5, X6, 2, X12, X24, [2]VecPhysical{X22, X23}},
}

func besideKernels() {
	wide := wideCipher{Mem{Base: aligned}, 1}
	inStep("openBeside", "decrypts and hashes n times 64 bytes of each of lanes 0 and 1, and hashes n times 128 of lane 2. VAES, AVX-512 and SHA-NI.", besideLanes,
		wide.load, func() stream { return wide.turn(wideDecrypt) }, wide.store)
	inStep("encryptBeside", "encrypts n times 64 bytes of each of lanes 0 and 1, hashes n times 64 of each, and n times 128 of lane 2. VAES, AVX-512 and SHA-NI.", besideLanes,
		wide.load, func() stream { return wide.turn(wideEncrypt) }, wide.store)
}
