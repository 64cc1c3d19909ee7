//go:build !purego

package ige

import (
	"os"
	"regexp"
	"slices"
	"strings"
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
	has := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(flags, name) })
	}
	want := portable
	switch {
	case has("aes", "sha_ni", "ssse3", "vaes", "avx512f", "avx512vl", "avx512bw"):
		want = vaes
	case has("aes", "sha_ni", "ssse3"):
		want = shaNI
	case has("aes"):
		want = aesNI
	}
	if best != want {
		t.Errorf("got %v, want %v: flags %v", best, want, flags)
	}
}
