package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tghaul/haul/telegram/markup"
)

func TestSources(t *testing.T) {
	dir := t.TempDir()
	for path, text := range map[string]string{
		"top/b/2": "x", "top/b/1": "x", "top/a": "x", "top/empty": "", "top/c/d/e/deep": "x", "single": "x", "elsewhere/f": "x",
	} {
		path = filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for from, to := range map[string]string{"top/link": "../single", "top/folder": "../elsewhere", "shortcut": "top"} {
		if err := os.Symlink(to, filepath.Join(dir, filepath.FromSlash(from))); err != nil {
			t.Skip("no links here: ", err)
		}
	}
	list := func(paths ...string) (found []string, left leftOut) {
		for i, p := range paths {
			paths[i] = filepath.Join(dir, p)
		}
		for s := range sources(paths, &left) {
			found = append(found, s.rel)
			if fi, err := os.Stat(s.path); err == nil && fi.IsDir() {
				t.Errorf("%s is a folder", s.path)
			}
		}
		return found, left
	}
	want := "top/a top/b/1 top/b/2 top/c/d/e/deep"
	if got, left := list("top"); strings.Join(got, " ") != want || left != (leftOut{empty: 1, links: 2}) {
		t.Errorf("got %q and left out %v", got, left)
	}
	if got, _ := list("shortcut", "single"); len(got) != 5 || got[0] != "shortcut/a" || got[4] != "single" {
		t.Errorf("a link that is named, and a file: %q", got)
	}
	// What is not there is listed: sending it says so.
	if got, _ := list("single", "missing", "top/b"); !slices.Equal(got, []string{"single", "missing", "b/1", "b/2"}) {
		t.Errorf("with a file that is missing: %q", got)
	}
	// What is named twice comes once.
	if got, left := list("top/b/2", "top", "top/b/../a"); !slices.Equal(got, []string{"2", "top/a", "top/b/1", "top/c/d/e/deep"}) || left.twice != 2 {
		t.Errorf("with files that are named twice: %q, %v", got, left)
	}
	for s := range sources([]string{filepath.Join(dir, "top"), filepath.Join(dir, "single")}, new(leftOut)) {
		if s.rel != "top/a" {
			t.Errorf("%s after the list was left", s.rel)
		}
		break
	}
}

func TestCaption(t *testing.T) {
	s := source{path: "x", rel: "trip/day 1/photo.of.me.jpg"}
	for text, want := range map[string]string{
		"plain }}":                           "plain }}",
		"{{.Dir}} / {{.Stem}}{{.Ext}} ":      "trip/day 1 / photo.of.me.jpg",
		"{{.Path}} {{.Name}} {{size .Size}}": "trip/day 1/photo.of.me.jpg photo.of.me.jpg 0 B",
	} {
		c, err := parseCaption(text, markup.None)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.of(s); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	// No template takes all memory, or all time.
	for _, text := range []string{"{{", "{{.None}}", `{{define "a"}}{{template "a"}}x{{end}}{{template "a"}}`, `{{printf "%999999s" .Name}}`, "{{.Name.Bad}}"} {
		if _, err := parseCaption(text, markup.None); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
