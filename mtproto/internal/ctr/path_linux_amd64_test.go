//go:build !purego

package ctr

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// What the kernel says about the CPU decides the path, too: a machine that has the
// instructions must not fall back silently, nor take a path that it has not.
func TestDetect(t *testing.T) {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Skip(err)
	}
	line := regexp.MustCompile(`(?m)^flags\s*:(.*)$`).FindStringSubmatch(string(info))
	if line == nil {
		t.Skip("no flags in /proc/cpuinfo")
	}
	flags := strings.Fields(line[1])
	want := vaes
	for _, name := range []string{"aes", "avx", "avx2", "vaes"} {
		if !slices.Contains(flags, name) {
			want = portable
		}
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
	page := os.Getpagesize()
	b, err := syscall.Mmap(-1, 0, 3*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Munmap(b); err != nil {
			t.Error(err)
		}
	})
	for _, guard := range [][]byte{b[:page], b[2*page:]} {
		if err := syscall.Mprotect(guard, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	inside := b[page : 2*page]
	for n := range size + 1 {
		for _, data := range [][]byte{inside[:n], inside[page-n:]} {
			s := New([32]byte{}, [block]byte{})
			s.XORKeyStream(data, data)
			s.XORKeyStream(data[:n/2], data[:n/2])
			s.XORKeyStream(data, data)
		}
	}
}
