//go:build !purego

package ige

import (
	"encoding/binary"
	"math/bits"
	"unsafe"

	"golang.org/x/sys/cpu"
)

// armv8 is the cryptographic extension of ARMv8: one message decrypted and
// hashed in one pass, or four.
const armv8 path = 1

var pathNames = []string{"portable", "armv8"}

// detect asks the operating system.
func detect() path {
	if cpu.ARM64.HasAES && cpu.ARM64.HasSHA2 {
		return armv8
	}
	return portable
}

func (p path) hash(messages []Message) {
	if p == portable || len(messages) == 1 {
		for i := range messages {
			hashPortable(&messages[i])
		}
		return
	}
	p.run(hashing, messages, nil)
}

func (p path) open(messages []Message) {
	if p == portable {
		p.decrypt(messages)
		p.hash(messages)
		return
	}
	p.run(opening, messages, nil)
}

// besides reports whether there are kernels for a stream beside messages.
func (path) besides() bool { return false }

func (path) advanceBeside(*[MaxAtOnce]lane, int, int, *Stream) { panic("ige: no such kernel") }

func (p path) openBeside(messages []Message, _ Streams) { p.open(messages) }

func (p path) encryptBeside(messages, hash []Message, _ Streams) {
	p.encrypt(messages)
	p.hash(hash)
}

// lag is how far the hash stays behind the decryption, for which the message before its
// turns is decrypted by itself: what is hashed in one turn was decrypted in an earlier one.
func (path) lag(int, *loan) int { return hashBlock }

// width is for how many lanes the fastest kernel is, one by one or together,
// by the latencies and throughputs that Arm gives for its Cortex-A76: hashes of two
// messages already keep the one unit busy that computes them.
func (path) width(op operation, active int) int {
	if active == 1 || active == 2 && (op == hashing || op == opening) {
		return 1
	}
	return MaxAtOnce
}

// together is the kernel for so many lanes, which are four here.
func (path) together(op operation, _ int, lanes *byte, turns int) {
	switch op {
	case encrypting:
		encrypt4(lanes, turns)
	case decrypting:
		decrypt4(lanes, turns)
	case hashing:
		hash4(lanes, turns)
	case opening:
		open4(lanes, turns)
	}
}

// sumOrder is that of the standard.
var sumOrder = [8]int{0, 1, 2, 3, 4, 5, 6, 7}

// expandEncrypt computes the 15 round keys of encryption: FIPS 197, 5.2.
func expandEncrypt(keys *[15 * block]byte, key *[32]byte) {
	const words = len(key) / 4
	copy(keys[:], key[:])
	for i := words; i < len(keys)/4; i++ {
		word := binary.LittleEndian.Uint32(keys[4*i-4:])
		switch i % words {
		case 0:
			word = bits.RotateLeft32(subWord(word), -8) ^ 1<<(i/words-1)
		case words / 2:
			word = subWord(word)
		}
		binary.LittleEndian.PutUint32(keys[4*i:], word^binary.LittleEndian.Uint32(keys[4*(i-words):]))
	}
}

// expandDecrypt computes the 15 round keys of decryption, for the equivalent
// inverse cipher, which AESD computes: FIPS 197, 5.3.5.
func expandDecrypt(keys *[15 * block]byte, key *[32]byte) {
	const rounds = len(keys)/block - 1
	var forth [len(keys)]byte
	expandEncrypt(&forth, key)
	for i := range rounds + 1 {
		copy(keys[block*(rounds-i):], forth[block*i:block*(i+1)])
	}
	inverseMix((*byte)(unsafe.Pointer(&keys[block])), rounds-1)
}

// What follows is in kernels_arm64.s, and needs the cryptographic extension.

// subWord is the S-box of AES, for each byte.
//
//go:noescape
func subWord(word uint32) uint32

// inverseMix is InvMixColumns of n blocks of 16 bytes, n > 0.
//
//go:noescape
func inverseMix(keys *byte, n int)

// encrypt1 encrypts n blocks of 16 bytes of a lane.
//
//go:noescape
func encrypt1(lanes *byte, n int)

// decrypt1 decrypts n blocks of 16 bytes of a lane.
//
//go:noescape
func decrypt1(lanes *byte, n int)

// encrypt4 encrypts n blocks of 16 bytes of each of 4 lanes.
//
//go:noescape
func encrypt4(lanes *byte, n int)

// decrypt4 decrypts n blocks of 16 bytes of each of 4 lanes.
//
//go:noescape
func decrypt4(lanes *byte, n int)

// hash1 hashes n blocks of 64 bytes at data, not at the lane's pointer.
//
//go:noescape
func hash1(lane *byte, data *byte, n int)

// hash4 hashes n blocks of 64 bytes of each of 4 lanes.
//
//go:noescape
func hash4(lanes *byte, n int)

// open1 decrypts and hashes n times 64 bytes of a lane.
//
//go:noescape
func open1(lanes *byte, n int)

// open4 decrypts and hashes n times 64 bytes of each of 4 lanes.
//
//go:noescape
func open4(lanes *byte, n int)
