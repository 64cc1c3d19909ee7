//go:build !purego

package ige

import "github.com/klauspost/cpuid/v2"

const (
	aesNI path = 1 + iota // AES in assembly, for up to four messages at once
	shaNI                 // and SHA-256, while one message is decrypted, or four at once
	vaes                  // four messages are decrypted and hashed at once
)

var pathNames = []string{"portable", "aesni", "shani", "vaes"}

// detect asks the CPU, and for wide registers the operating system too.
func detect() path {
	supports := cpuid.CPU.Supports
	switch {
	case !supports(cpuid.AESNI, cpuid.SSE2):
		return portable
	case !supports(cpuid.SHA, cpuid.SSSE3):
		return aesNI
	case !supports(cpuid.VAES, cpuid.AVX512F, cpuid.AVX512VL, cpuid.AVX512BW):
		return shaNI
	}
	return vaes
}

func (p path) hash(messages []Message) {
	if p < shaNI || len(messages) == 1 {
		for i := range messages {
			hashPortable(&messages[i])
		}
		return
	}
	p.run(hashing, messages, nil)
}

func (p path) open(messages []Message) {
	if p < shaNI {
		p.decrypt(messages)
		p.hash(messages)
		return
	}
	p.run(opening, messages, nil)
}

// besides reports whether there are kernels for a stream beside messages. They take
// more registers than there are without AVX-512.
func (p path) besides() bool { return p >= vaes }

// lag is how far the hash stays behind the decryption, for which the message before its
// turns is decrypted by itself: what is hashed in one turn was decrypted in an earlier
// one. Kernels that are a block ahead with the schedule need another block,
// but a message that is alone never comes to them.
func (p path) lag(messages int, beside *loan) int {
	if p >= vaes && (messages > 1 || beside != nil) {
		return 2 * hashBlock
	}
	return hashBlock
}

// width is for how many lanes the fastest kernel is: one after the other by
// that for one, or together by that for two or four.
// Without VAES two messages are opened as fast one by one, each in one pass;
// two hashes of four would be for nothing.
func (p path) width(op operation, active int) int {
	switch {
	case active == 1, active == 2 && op == opening && p < vaes:
		return 1
	case active == 2 && op == hashing:
		return 2
	}
	return MaxAtOnce
}

// sumOrder is where SHA-NI wants a, b, c, d, e, f, g and h.
var sumOrder = [8]int{3, 2, 7, 6, 1, 0, 5, 4}

// scratchSize is what the kernels with memory of their own take: see _asm/instep.go.
const scratchSize = 2*4*256 + 15*64 + 63

// together is the kernel for so many lanes.
func (p path) together(op operation, width int, lanes *byte, turns int) {
	var scratch [scratchSize]byte
	switch op {
	case encrypting:
		encrypt4(lanes, turns)
	case decrypting:
		decrypt4(lanes, turns)
	case hashing:
		switch {
		case width == 2:
			hash2(lanes, turns)
		case p >= vaes:
			hash4wide(lanes, &scratch[0], turns)
		default:
			hash4(lanes, turns)
		}
	case opening:
		if p >= vaes {
			open4(lanes, &scratch[0], turns)
			return
		}
		decrypt4(lanes, turns*hashBlock/block)
		hash4(lanes, turns)
	}
}
