//go:build !purego

package ige

import "github.com/klauspost/cpuid/v2"

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

func (p path) encrypt(messages []Message) {
	if p == portable {
		for i := range messages {
			encryptPortable(&messages[i])
		}
		return
	}
	p.run(encrypting, messages)
}

func (p path) decrypt(messages []Message) {
	if p == portable {
		for i := range messages {
			decryptPortable(&messages[i])
		}
		return
	}
	p.run(decrypting, messages)
}

func (p path) hash(messages []Message) {
	if p < shaNI || len(messages) == 1 {
		for i := range messages {
			hashPortable(&messages[i])
		}
		return
	}
	p.run(hashing, messages)
}

func (p path) open(messages []Message) {
	if p < shaNI {
		p.decrypt(messages)
		p.hash(messages)
		return
	}
	p.run(opening, messages)
}
