// Package ige is AES in Infinite Garble Extension mode, the cipher mode of
// MTProto, together with the SHA-256 that MTProto 2.0 takes over the plaintext.
// See core.telegram.org/mtproto/description and the paper it names.
//
// Both directions chain through the plaintext and so does the hash: one message
// is serial work, in which most of a CPU idles. So the assembly hashes while
// it decrypts, and works on up to four messages at once. Which instructions
// the CPU has is found out at start; with the build tag purego, and elsewhere
// than on amd64 and arm64, the standard library does the work.
package ige

import (
	"crypto/aes"
)

const block = aes.BlockSize

// A Message is what Open, Hash and Encrypt work on. Each belongs to the
// callee for the length of the call.
type Message struct {
	// Data is encrypted or decrypted in place. Its length is a multiple of 16,
	// anything else panics.
	Data []byte
	// Key is an AES-256 key.
	Key [32]byte
	// IV is the block before the first of the ciphertext, then of the plaintext.
	IV [32]byte
	// Prefix is what the hash takes before the plaintext.
	Prefix [32]byte
	// Sum is the SHA-256 of Prefix and plaintext: msg_key_large of MTProto 2.0.
	Sum [32]byte
}

// Open decrypts messages and sets their Sum. Several at once take less time
// than one after the other; their lengths may differ, their memory must not
// overlap. It may be called from several goroutines.
func Open(messages []Message) {
	checkLengths(messages)
	best.open(messages)
}

// Hash sets the Sum of messages whose Data is plaintext, and leaves Data alone.
func Hash(messages []Message) {
	checkLengths(messages)
	best.hash(messages)
}

// Encrypt encrypts messages; it neither uses nor sets their Sum. Of several,
// the same holds as in Open.
func Encrypt(messages []Message) {
	checkLengths(messages)
	best.encrypt(messages)
}

// Decrypt is the inverse of Encrypt: Open without the hash.
func Decrypt(messages []Message) {
	checkLengths(messages)
	best.decrypt(messages)
}

func checkLengths(messages []Message) {
	for i := range messages {
		if len(messages[i].Data)%block != 0 {
			panic("ige: length is no multiple of 16")
		}
	}
}

// A path is a way to do the work. Each includes those before it. What there is beside
// the portable one depends on the architecture.
type path int

const portable path = 0

// MaxAtOnce is how many messages are worked on at the same time at most. Four
// hide nearly all of the time that one waits for itself; more would bring little, for
// SHA-256 is then at the limit of the one unit of a core that computes it.
const MaxAtOnce = 4

// AtOnce is how many messages it is worth while to have together: 1 if each is
// worked on for itself.
func AtOnce() int {
	if best == portable {
		return 1
	}
	return MaxAtOnce
}

// best is the path for this CPU.
var best = detect()

func (p path) String() string {
	return pathNames[p]
}
