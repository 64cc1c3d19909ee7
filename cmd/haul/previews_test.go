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
