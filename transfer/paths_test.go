package transfer

import (
	"path"
	"slices"
	"strings"
	"testing"
)

func TestSafePath(t *testing.T) {
	t.Parallel()
	tests := []struct {
		elements []string
		want     string
	}{
		{[]string{"a", "b.txt"}, "a/b.txt"},
		{[]string{"", "a", "", "b"}, "a/b"},
		{nil, "%_"},
		{[]string{"..", "..", "etc", "passwd"}, "%2E%2E/%2E%2E/etc/passwd"},
		{[]string{"a/../b", "x"}, "a%2F..%2Fb/x"},
		{[]string{"CON", "nul.txt"}, "%43ON/%6Eul.txt"},
		{[]string{"manifest.jsonl"}, "%6Danifest.jsonl"},
		{[]string{"a", "MANIFEST.jsonl"}, "a/%4DANIFEST.jsonl"},
		{[]string{"messages.jsonl.new"}, "%6Dessages.jsonl.new"},
		{[]string{"Haul-Gallery", "index.html"}, "%48aul-Gallery/index.html"},
		{[]string{"ｈaul-gallery"}, "%EF%BD%88aul-gallery"},
		{[]string{"haul"}, "haul"},
		{[]string{"x.part", "y.THUMB.jpg", "z.haul.json"}, "x%2Epart/y%2ETHUMB.jpg/z%2Ehaul.json"},
	}
	for _, tt := range tests {
		if got := SafePath(tt.elements...); got != tt.want {
			t.Errorf("SafePath(%q) = %q, want %q", tt.elements, got, tt.want)
		}
	}
}

// Paths are bounded in depth and length, and different ones stay different.
func TestSafePathBounds(t *testing.T) {
	t.Parallel()
	deep := slices.Repeat([]string{"d"}, 40)
	wide := slices.Repeat([]string{strings.Repeat("w", 300)}, 9)
	for _, elements := range [][]string{deep, wide, slices.Concat(deep, wide), slices.Repeat([]string{strings.Repeat("\x01ж", 150)}, 12)} {
		a, b := SafePath(slices.Concat(elements, []string{"a.txt"})...), SafePath(slices.Concat(elements, []string{"b.txt"})...)
		if a == b || len(a) > maxPath || strings.Count(a, "/") >= maxDepth {
			t.Errorf("%d elements become %q (%d bytes) and %q", len(elements)+1, a, len(a), b)
		}
		for e := range strings.SplitSeq(a, "/") {
			if wrong := valid(e); wrong != "" {
				t.Errorf("%q %s", e, wrong)
			}
		}
	}
}

// A file never gets the name of a folder that others are in, nor the other way.
func TestTakePath(t *testing.T) {
	t.Parallel()
	var n Names
	for _, step := range []struct {
		path string
		id   int64
		want string
	}{
		{"a/b/c.txt", 1, "a/b/c.txt"},
		{"A/B", 2, "A/B (2)"},             // a/b is a folder
		{"a/b/C.TXT", 3, "a/b/C (3).TXT"}, // taken, where case does not count
		{"a/b/c.txt/d", 4, "a/b/c (4).txt/d"},
		{"a/b/c.txt/e", 5, "a/b/c (5).txt/e"},
		{"a/b/c.txt", 1, "a/b/c (1).txt"},
		{"a/b/c.txt", 1, "a/b/c (1-2).txt"},
		{"a/b/c.txt", 6, "a/b/c (6).txt"},
		{".x", 7, ".x"},
		{".x", 7, ".x (7)"},
	} {
		if got := n.TakePath(step.path, step.id); got != step.want {
			t.Errorf("TakePath(%q, %d) = %q, want %q", step.path, step.id, got, step.want)
		}
	}
}

// A document that comes again and again under one name costs no search each time.
func TestTakePathOften(t *testing.T) {
	t.Parallel()
	var n Names
	given := make(map[string]bool)
	for range 20_000 {
		given[n.TakePath("same.jpg", 7)] = true
	}
	if len(given) != 20_000 {
		t.Errorf("%d names for 20000 files", len(given))
	}
}

func FuzzSafePath(f *testing.F) {
	f.Add("a/b/c", "x")
	f.Add("../../x", "..")
	f.Add(strings.Repeat("é/", 50)+"x", "manifest.jsonl")
	f.Fuzz(func(t *testing.T, dirs, name string) {
		p := SafePath(append(strings.Split(dirs, "/"), name)...)
		if checkPath(p) != nil || path.Clean(p) != p || len(p) > maxPath || strings.Count(p, "/") >= maxDepth {
			t.Fatalf("path %q", p)
		}
		for e := range strings.SplitSeq(p, "/") {
			if wrong := valid(e); wrong != "" || isOwnName(e) {
				t.Fatalf("element %q %s", e, wrong)
			}
		}
	})
}
