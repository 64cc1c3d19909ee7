package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/urfave/cli/v2"

	"github.com/tghaul/haul/telegram/dctest/content"
	"github.com/tghaul/haul/telegram/markup"
	"github.com/tghaul/haul/transfer"
)

// makeFile writes a file of a kind, as the cluster makes them: made FILE KIND SEED.
func makeFile(ts *testscript.TestScript, _ bool, args []string) {
	kind := map[string]content.Kind{
		"photo": content.Photo, "video": content.Video, "audio": content.Audio, "voice": content.Voice,
	}[args[1]]
	seed, err := strconv.ParseInt(args[2], 10, 64)
	ts.Check(err)
	f := content.New(uint64(seed), seed, kind, 9000)
	b, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	ts.Check(err)
	path := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
	ts.Check(os.WriteFile(path, b, 0o644))
}

// fakeFFmpeg is what scripts find as ffmpeg. It makes a grey picture, whatever
// the video, and notes what it was called with in the file that $FFMPEG_LOG names.
func fakeFFmpeg() {
	if path := os.Getenv("FFMPEG_LOG"); path != "" {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = fmt.Fprintln(f, strings.Join(os.Args[1:], " "))
		}
		if err != nil {
			os.Exit(1)
		}
	}
	if jpeg.Encode(os.Stdout, image.NewGray(image.Rect(0, 0, 320, 180)), nil) != nil {
		os.Exit(1)
	}
}

// messageContext is a context with flags of haul up.
func messageContext(t *testing.T, flags map[string]string) *cli.Context {
	t.Helper()
	set := flag.NewFlagSet("up", flag.ContinueOnError)
	for _, f := range upJob().what() {
		if err := f.Apply(set); err != nil {
			t.Fatal(err)
		}
	}
	c := cli.NewContext(nil, set, nil)
	for name, value := range flags {
		if err := c.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestMessageFlags(t *testing.T) {
	now := time.Date(2025, 3, 1, 12, 0, 0, 0, time.Local)
	p, err := parseMessages(messageContext(t, map[string]string{
		"as": "photo, video", "album": "true", "parse-mode": "HTML", "topic": "7", "reply-to": "https://t.me/Films/20", "to": "@films",
		"silent": "true", "schedule": "+1d2h",
	}), now)
	if err != nil {
		t.Fatal(err)
	}
	if p.as != transfer.AsPhoto|transfer.AsVideo || !p.album || p.mode != markup.HTML || p.send.Topic != 7 || p.send.ReplyTo != 20 || !p.send.Silent {
		t.Errorf("%+v", p)
	}
	if want := now.Add(26 * time.Hour); !p.send.Schedule.Equal(want) {
		t.Errorf("scheduled for %v, want %v", p.send.Schedule, want)
	}
	if p, err = parseMessages(messageContext(t, nil), now); err != nil || p.as != transfer.AsVideo|transfer.AsAudio || p.send.Schedule.Unix() > 0 {
		t.Errorf("without flags: %+v, %v", p, err)
	}
	if p, err = parseMessages(messageContext(t, map[string]string{"schedule": "2025-03-05T18:00"}), now); err != nil || p.send.Schedule.Day() != 5 || p.send.Schedule.Hour() != 18 {
		t.Errorf("a date: %+v, %v", p, err)
	}
	for _, bad := range []map[string]string{
		{"as": "picture"},
		{"parse-mode": "word"},
		{"topic": "0"},
		{"reply-to": "x y"},
		{"reply-to": "https://t.me/other/3", "to": "@films"},
		{"schedule": "12"},
		{"schedule": "soon"},
		{"schedule": "+"},
		{"thumbs": "large"},
		{"caption": "**a", "parse-mode": "markdown"},
	} {
		if _, err := parseMessages(messageContext(t, bad), now); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
	for at, ok := range map[time.Duration]bool{-time.Hour: false, time.Second: false, time.Hour: true, 364 * 24 * time.Hour: true, 366 * 24 * time.Hour: false} {
		if err := checkSchedule(now.Add(at), now); (err == nil) != ok {
			t.Errorf("in %v: %v", at, err)
		}
	}
}

// TestCaptionFormatting: what a file is called never becomes formatting, by
// whichever way it comes into the caption.
func TestCaptionFormatting(t *testing.T) {
	s := source{path: "x", rel: "**d**/<b>_`n`__||[x](http://e.vil)&amp;.jpg"}
	for _, tt := range []struct {
		mode       markup.Mode
		text, want string
		entities   int
	}{
		{markup.Markdown, "**{{.Name}}** in {{.Dir}}", "<b>_`n`__||[x](http:/e.vil)&amp;.jpg", 1},
		{markup.Markdown, "`{{.Dir}}`", "**d**/<b>_`n`__||[x](http:", 1},
		{markup.Markdown, `{{if .Name}}{{with .Dir}}{{.}}{{end}}{{else}}{{end}}{{define "x"}}{{.Ext}}{{end}}{{template "x" .}}`, "**d**", 0},
		{markup.Markdown, `{{$n := .Dir}}{{range 0}}x{{else}}{{printf "%s" $n}}{{end}}`, "**d**", 0},
		{markup.HTML, `<b>{{.Dir}}</b><a href="https://e.org/{{.Ext}}">{{.Name}}</a>`, "**d**", 2},
		{markup.None, "{{.Dir}}", "**d**", 0},
	} {
		c, err := parseCaption(tt.text, tt.mode)
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		text, err := c.of(s)
		if err != nil {
			t.Fatal(err)
		}
		plain, entities, err := tt.mode.Parse(text)
		if err != nil || !strings.Contains(plain, "d**") && !strings.Contains(plain, "e.vil") || len(entities) != tt.entities {
			t.Errorf("%q: %q, %d entities, %v; want %q, %d", tt.text, plain, len(entities), err, tt.want, tt.entities)
		}
	}
}

// TestSidecar: which picture is the preview of which file, and which is a file
// of its own.
func TestSidecar(t *testing.T) {
	dir := t.TempDir()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 900, 600)), nil); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"a.mp4": {1}, "a.jpg": b.Bytes(), "b.mp4": {1}, "b.thumb": b.Bytes(), "b.jpg": []byte("not looked at"), "c.thumb": b.Bytes(), "d.mp4": {1}, "d.png": []byte("broken"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	th, err := newThumbs("sidecar")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a.mp4": "yes", "b.mp4": "yes", "e.mp4": "no", "d.mp4": "error"} {
		got := "no"
		thumb, err := th.of(source{path: filepath.Join(dir, name)})(context.Background())
		if len(thumb) > 0 {
			got = "yes"
		}
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%s: %s (%v), want %s", name, got, err, want)
		}
	}
	for name, want := range map[string]bool{"b.thumb": true, "c.thumb": false, "a.jpg": false} {
		if got := isSidecar(filepath.Join(dir, name)); got != want {
			t.Errorf("%s is left out: %v", name, got)
		}
	}
}

// TestNoFFmpeg: what goes without a preview for want of ffmpeg is told once.
func TestNoFFmpeg(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	th, err := newThumbs("")
	if err != nil {
		t.Fatal(err)
	}
	f := content.New(1, 1, content.Video, 9000)
	b, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "v.mp4")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var told strings.Builder
	th.say(&told)
	for range 2 {
		if b, err := th.of(source{path: path})(t.Context()); len(b) > 0 || err != nil {
			t.Errorf("%d bytes, %v", len(b), err)
		}
	}
	if th.say(&told); !strings.HasPrefix(told.String(), "haul: 2 videos went without a preview") || strings.Count(told.String(), "\n") != 1 {
		t.Errorf("told %q", told.String())
	}
	if none, err := newThumbs("none"); err != nil || none.of(source{path: path}) != nil {
		t.Errorf("none makes one, %v", err)
	}
}
