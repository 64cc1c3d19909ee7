// Package filehash is the SHA-256 of whole files.
//
// Where there are instructions for it, on amd64 and arm64, sha256-simd and the
// standard library use the same ones and are equally fast; elsewhere the former
// is the latter. BenchmarkHash shows it. Several hashes at once would be faster, as
// those of packets are, but the bytes of a file come in one order, and those of
// two files hardly ever at the same moment.
package filehash

import (
	"hash"

	sha256 "github.com/minio/sha256-simd"
)

// sliceBytes is how much is hashed before the scheduler may interrupt: it cannot
// stop assembly, and a garbage collection waits for it. About 20 µs.
const sliceBytes = 32 << 10

// New returns a SHA-256 that may be given long pieces.
func New() hash.Hash { return sliced{sha256.New()} }

type sliced struct{ hash.Hash }

func (s sliced) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := min(len(rest), sliceBytes)
		_, _ = s.Hash.Write(rest[:n]) // a hash never fails
		rest = rest[n:]
	}
	return len(b), nil
}
