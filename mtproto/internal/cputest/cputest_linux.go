// Package cputest is for tests of assembly: which instructions the kernel says
// that the CPU has, and memory beyond which there is none.
package cputest

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Flags are those of /proc/cpuinfo. Where there are none the test is skipped.
type Flags []string

// ReadFlags reads them.
func ReadFlags(t *testing.T) Flags {
	t.Helper()
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Skip(err)
	}
	line := regexp.MustCompile(`(?m)^flags\s*:(.*)$`).FindStringSubmatch(string(info))
	if line == nil {
		t.Skip("no flags in /proc/cpuinfo")
	}
	return strings.Fields(line[1])
}

// Has reports whether all names are among the flags.
func (f Flags) Has(names ...string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(f, name) })
}

// Guarded is n bytes that end where memory ends, or begin where it begins:
// whoever reads or writes beyond them crashes. They live until the test ends.
func Guarded(t *testing.T, n int, atEnd bool) []byte {
	t.Helper()
	page := os.Getpagesize()
	size := (n + page - 1) / page * page
	b, err := syscall.Mmap(-1, 0, size+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Munmap(b); err != nil {
			t.Error(err)
		}
	})
	for _, guard := range [][]byte{b[:page], b[page+size:]} {
		if err := syscall.Mprotect(guard, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	if atEnd {
		return b[page+size-n : page+size]
	}
	return b[page : page+n]
}
