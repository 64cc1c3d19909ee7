//go:build !purego

package ctr

import (
	"testing"

	"github.com/tghaul/haul/mtproto/internal/cputest"
)

// What the kernel says about the CPU decides the path, too: a machine that has the
// instructions must not fall back silently, nor take a path that it has not.
func TestDetect(t *testing.T) {
	flags := cputest.ReadFlags(t)
	want := portable
	if flags.Has("aes", "avx", "avx2", "vaes") {
		want = vaes
	}
	if best != want {
		t.Errorf("got %v, want %v: flags %v", best, want, flags)
	}
	if _, ok := New([32]byte{}, [block]byte{}).(*stream); ok != (want == vaes) {
		t.Errorf("on path %v New uses the assembly: %v", best, ok)
	}
}

// The kernel neither reads nor writes beyond what it is given: there is no memory.
func TestGuardedMemory(t *testing.T) {
	const size = 1024
	atStart, atEnd := cputest.Guarded(t, size, false), cputest.Guarded(t, size, true)
	for n := range size + 1 {
		for _, data := range [][]byte{atStart[:n], atEnd[size-n:]} {
			s := New([32]byte{}, [block]byte{})
			s.XORKeyStream(data, data)
			s.XORKeyStream(data[:n/2], data[:n/2])
			s.XORKeyStream(data, data)
		}
	}
}
