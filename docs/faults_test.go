// Package docs checks what these documents say about the code.
package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var named = regexp.MustCompile("`([a-z/0-9]+) ((?:Test|Fuzz)[A-Za-z0-9]+)(?:/([a-z_]+))?`")

// TestFaults makes sure that each row of faults.md names tests that exist.
func TestFaults(t *testing.T) {
	text, err := os.ReadFile("faults.md")
	if err != nil {
		t.Fatal(err)
	}
	last := 0
	known := make(map[string]map[string]bool) // functions of tests by folder
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, " | ")
		n, err := strconv.Atoi(strings.Trim(cells[0], "| "))
		if err != nil {
			continue
		}
		if n <= last || len(cells) != 4 {
			t.Errorf("row %d after %d, with %d cells", n, last, len(cells))
		}
		last = n
		tests := named.FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(tests) == 0 {
			t.Errorf("row %d names no test", n)
		}
		for _, m := range tests {
			dir := filepath.Join("..", filepath.FromSlash(m[1]))
			if known[dir] == nil {
				known[dir] = functions(t, dir)
			}
			if !known[dir][m[2]] {
				t.Errorf("row %d: package %s has no %s", n, m[1], m[2])
			}
			if m[3] == "" {
				continue
			}
			if found, _ := filepath.Glob(filepath.Join(dir, "testdata", "*", m[3]+".*")); len(found) > 0 {
				continue
			}
			if found, _ := filepath.Glob(filepath.Join(dir, "testdata", m[3]+".*")); len(found) == 0 {
				t.Errorf("row %d: %s in %s has no case %s", n, m[2], m[1], m[3])
			}
		}
	}
	if last < 50 {
		t.Errorf("the last row is %d, want 50 at least", last)
	}
}

// functions are the names of all functions in the tests of a folder.
func functions(t *testing.T, dir string) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				names[f.Name.Name] = true
			}
		}
	}
	return names
}
