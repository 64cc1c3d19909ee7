//go:build !purego

package ige

import (
	"testing"

	"github.com/tghaul/haul/mtproto/internal/cputest"
)

// What the kernel says about the CPU decides the path, too: a machine that has the
// instructions must not fall back silently, nor take a path that it has not.
func TestDetect(t *testing.T) {
	flags := cputest.ReadFlags(t)
	want := portable
	switch {
	case flags.Has("aes", "sha_ni", "ssse3", "vaes", "avx512f", "avx512vl", "avx512bw"):
		want = vaes
	case flags.Has("aes", "sha_ni", "ssse3"):
		want = shaNI
	case flags.Has("aes"):
		want = aesNI
	}
	if best != want {
		t.Errorf("got %v, want %v: flags %v", best, want, flags)
	}
}
