package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tghaul/haul/transfer"
)

// With --delete-source a picture lives until what may have it as preview is
// sent, whichever of them comes first, and no longer.
func TestPreviewsLive(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"clip.jpg", "clip.mp4", "talk.png", "talk.mp3", "talk.pdf", "alone.jpg", "notes.txt", "gone.webp", "gone.mov", "Film.JPG", "film.mp4"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		listed string // sources
		sent   string // in this order
		free   string // when: after each of them what may be deleted, then at the end; ! for what is needed
	}{
		{"clip.jpg clip.mp4", "clip.jpg clip.mp4", "; clip.mp4 clip.jpg; "},
		{"clip.jpg clip.mp4", "clip.mp4 clip.jpg", "clip.mp4; clip.jpg; "},
		{"clip.jpg clip.mp4", "clip.jpg", "; !clip.jpg"},
		{"clip.jpg", "clip.jpg", "; clip.jpg"},
		{"alone.jpg notes.txt", "alone.jpg notes.txt", "alone.jpg; notes.txt; "},
		{"talk.png talk.mp3 talk.pdf", "talk.png talk.mp3 talk.pdf", "; talk.mp3; talk.pdf talk.png; "},
		{"talk.png talk.mp3", "talk.png talk.mp3", "; talk.mp3; talk.png"},
		{"talk.png talk.mp3 talk.pdf", "talk.png talk.mp3", "; talk.mp3; !talk.png"},
		{"Film.JPG film.mp4", "Film.JPG film.mp4", "; film.mp4 Film.JPG; "},
	} {
		p := &previews{uses: make(map[string]*preview)}
		uses := make(map[string]*preview)
		for name := range strings.FieldsSeq(tt.listed) {
			uses[name] = p.of(filepath.Join(dir, name))
		}
		names := func(list []transfer.FileResult) (s []string) {
			for _, r := range list {
				s = append(s, filepath.Base(r.Path))
			}
			return s
		}
		var got []string
		for name := range strings.FieldsSeq(tt.sent) {
			got = append(got, strings.Join(names(p.sent(uses[name], transfer.FileResult{Path: filepath.Join(dir, name)})), " "))
		}
		free, needed := p.end()
		last := names(free)
		for _, name := range names(needed) {
			last = append(last, "!"+name)
		}
		slices.Sort(last)
		if got := strings.Join(append(got, strings.Join(last, " ")), "; "); got != tt.free {
			t.Errorf("%s: %q, want %q", tt.listed, got, tt.free)
		}
	}
}

// A folder that is named in two ways is one: a picture that is named by the one
// is the preview of what is named by the other.
func TestPreviewsOfOneFolder(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir := filepath.Join(top, "trip")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, filepath.Join(top, "link")); err != nil {
		t.Skip(err)
	}
	for _, name := range []string{"clip.jpg", "clip.mp4"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := &previews{uses: make(map[string]*preview)}
	if a, b := p.of(filepath.Join(dir, "clip.jpg")), p.of(filepath.Join(top, "link", "clip.mp4")); a != b {
		t.Error("the picture is not the preview of what is named through a link")
	}
	// Where case does not count the file system says that both are one folder.
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	p.folders = map[string][]knownFolder{strings.ToLower(dir): {{filepath.Join(top, "TRIP"), info}}}
	if id := p.folderID(dir); id != filepath.Join(top, "TRIP") {
		t.Errorf("another id: %s", id)
	}
	// And elsewhere that they are two.
	other := filepath.Join(top, "Trip")
	if err := os.Mkdir(other, 0o700); err == nil && p.folderID(other) != other {
		t.Error("two folders are taken for one")
	}
}
