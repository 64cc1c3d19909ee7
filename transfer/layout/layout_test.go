package layout_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer/layout"
)

// subject is a video of a topic.
func subject() layout.Subject {
	peer := telegram.Peer{Kind: telegram.PeerChannel, ID: 1500000001, Username: "films", Title: "Old/New Films", Forum: true}
	date := time.Date(2024, 3, 1, 23, 30, 5, 0, time.FixedZone("", 3600))
	return layout.Subject{
		Message: &telegram.Message{Peer: peer, ID: 17, Date: date, Text: "two\nlines / one slash", GroupedID: 99, Topic: 2, ReplyTo: 2},
		File: telegram.File{
			ID: 4711, Kind: telegram.KindAnimation, Name: "My FirstFilm.part2.MP4", Size: 3 << 20, MimeType: "video/mp4", W: 640, H: 480,
			Origin: telegram.Origin{Peer: peer, MessageID: 17},
		},
		Topic: "A/B", Now: time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

func TestTemplate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{"{{.Name}}", "My FirstFilm.part2.MP4"},
		{"{{.Chat}}/{{.Topic}}/{{.Stem}}-{{.ID}}{{.Ext}}", "films/A%2FB/My FirstFilm.part2-17.MP4"},
		{`{{.Date.Format "2006/01"}}/{{.Type}}/{{.Name}}`, "2024/03/gif/My FirstFilm.part2.MP4"},
		{"{{.Title}}/{{.Album}}/{{.Document}}", "Old%2FNew Films/99/4711"},
		{"{{.Text}}/{{.ID}}", "two lines %2F one slash/17"},
		{"{{.ChatID}} {{.TopicID}} {{.Width}}x{{.Height}} {{size .Size}} {{.ReplyTo}}", "-1001500000001 2 640x480 3.0 MiB 2"},
		{"{{ .DialogID }}_{{ .MessageID }}_{{ filenamify .FileName }}", "1500000001_17_My FirstFilm.part2.MP4"},
		{"{{ .MessageDate }} {{ .DownloadDate }} {{ .FileSize }} {{ .FileCaption | upper }}", "1709332205 1735787045 3.0 MiB TWO LINES %2F ONE SLASH"},
		{"{{ formatDate .MessageDate }}/{{ formatDate .DownloadDate `2006-01-02-15-04-05` }}/{{.ID}}", "20240301223005/2025-01-02-03-04-05/17"},
		{"{{ formatDate (now) }}{{ formatDate .Date `2006/01` }}/{{.ID}}", "202501020304052024/03/17"},
		{"{{ replace .FileCaption ` ` `_` `/` `-` `\n` `+` }}", "two+lines_-_one_slash"},
		{"{{ snakecase .Stem }}{{.ID}}", "my_first_film.part217"},
		{"{{ kebabcase .FileName }}", "my-first-film.part2.mp4"},
		{"{{ camelcase .FileName }}", "MyFirstFilm.Part2.MP4"},
		{"{{ repeat `ab` 3 }}{{.ID}} {{ lower .Ext }}", "ababab17 .mp4"},
		{"{{ filenamify .Topic 1 }}{{ filenamify .Topic }}{{.ID}}", "AA!B17"},
		{"{{ if .Album }}albums{{ else }}single{{ end }}/{{ .Name }}", "albums/My FirstFilm.part2.MP4"},
		{"{{ range $i := 2 }}{{ $i }}{{ end }}{{ $.ID }}", "0117"},
	} {
		tmpl, err := layout.Parse(tt.text)
		if err != nil {
			t.Errorf("Parse(%s): %v", tt.text, err)
			continue
		}
		if got, err := tmpl.Path(subject()); err != nil || got != tt.want {
			t.Errorf("%s gives %q, %v; want %q", tt.text, got, err, tt.want)
		}
	}
}

// What a file does not have leaves no empty folder.
func TestTemplateAbsent(t *testing.T) {
	t.Parallel()
	s := subject()
	s.Message.GroupedID, s.Message.Topic, s.Message.Peer.Forum, s.Topic, s.Message.Peer.Username = 0, 0, false, "", ""
	for text, want := range map[string]string{
		"{{.Topic}}/{{.Album}}/{{.Name}}": "My FirstFilm.part2.MP4",
		"{{.Chat}}/{{.ID}}":               "Old%2FNew Films/17",
	} {
		tmpl, err := layout.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tmpl.Path(s); err != nil || got != want {
			t.Errorf("%s gives %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{"{{.Name", "unclosed action"},
		{"{{.Nmae}}", "files have no .Nmae"},
		{"{{.Name}}{{if eq .Type `sticker`}}{{.Foo}}{{end}}", "files have no .Foo"},
		{"{{.Name}}{{if eq .Type `sticker`}}{{$.Foo}}{{end}}", "files have no .Foo"},
		{"{{shout .Name}}", `function "shout" not defined`},
		{"{{.Name.First}}", "can't evaluate field First"},
		{"{{slice .Name 0 5}}", "out of range"},
		{"/srv/{{.Name}}", "leave out the slash in front"},
		{"../{{.Name}}", "leads out of the folder"},
		{"a/./{{.Name}}", "leads out of the folder"},
		{"{{.Name}}/", "names no file"},
		{"photos/photo.jpg", "every file the same path"},
		{"{{repeat .Name 1000000}}", "too often"},
		{"{{replace .Name `a`}}", "pairs"},
		{"{{rand 5 5}}{{.ID}}", "nothing is between"},
		{"{{formatDate .Name}}", "is no date"},
		{strings.Repeat("x", 5000) + "{{.ID}}", "longer than"},
		{"{{range 100000}}xxxxxxxxxxx{{end}}{{.ID}}", "more than"},
	} {
		if _, err := layout.Parse(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Parse(%.60s): %v; want %q in it", tt.text, err, tt.want)
		}
	}
}

// rand and now are the same for a file in every run of a job.
func TestTemplateSteady(t *testing.T) {
	t.Parallel()
	const text = "{{rand 1 1000000}}_{{now}}_{{.ID}}"
	var paths []string
	for range 2 {
		tmpl, err := layout.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		path, err := tmpl.Path(subject())
		if err != nil {
			t.Fatal(err)
		}
		other := subject()
		other.File.ID++
		if p, err := tmpl.Path(other); err != nil || p == path {
			t.Errorf("another file has %q too, %v", p, err)
		}
		paths = append(paths, path)
	}
	if paths[0] != paths[1] {
		t.Errorf("paths %q", paths)
	}
}

// A template that fails for one file says so, and goes on with others.
func TestTemplateFailsOnce(t *testing.T) {
	t.Parallel()
	tmpl, err := layout.Parse("{{slice .Name 0 1}}{{.ID}}")
	if err != nil {
		t.Fatal(err)
	}
	s := subject()
	s.File.Name = ""
	if _, err := tmpl.Path(s); err == nil {
		t.Error("no error for a name that is too short")
	}
	if p, err := tmpl.Path(subject()); err != nil || p != "M17" {
		t.Errorf("path %q, %v", p, err)
	}
}

// Places keeps what a file has, and gives none that is another's.
func TestPlaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{"other.bin": "12345", "begun.bin.part": "", "mine.bin": "1234567"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tmpl, err := layout.Parse("{{.Name}}")
	if err != nil {
		t.Fatal(err)
	}
	known := func(f telegram.File) string {
		if f.ID == 4 {
			return "old/place.bin"
		}
		return ""
	}
	places := layout.NewPlaces(dir, tmpl, known)
	for _, tt := range []struct {
		id   int64
		name string
		want string
	}{
		{1, "other.bin", "other (1).bin"}, // of another size
		{2, "begun.bin", "begun (2).bin"}, // somebody has begun it
		{3, "mine.bin", "mine.bin"},       // of the right size: the engine looks into it
		{4, "moved.bin", "old/place.bin"}, // known
		{5, "Mine.bin", "Mine (5).bin"},
		{1, "other.bin", "other (1).bin"}, // listed twice
	} {
		s := subject()
		s.File.ID, s.File.Name, s.File.Size = tt.id, tt.name, 7
		if got, err := places.Path(s); err != nil || got != tt.want {
			t.Errorf("place of %s is %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
}

// hostile makes a text out of the pieces that attacks are made of.
func hostile(rng *rand.Rand) string {
	pieces := []string{
		"..", "/", "\\", "../", "CON", "nul", ".", " ", "%", "%41", "%_", "%~", "a", "A", "é", "e\u0301", "ﬁ", "ß", "İ", "\x00", "\u202e", "\xff",
		":", ".part", ".PART", ".thumb.jpg", ".haul.json", "haul-", "manifest.jsonl", "Messages.jsonl", "haul-gallery", "\ufdd0", "\u200d",
		"日本", "\n", "😀", strings.Repeat("x", 90), strings.Repeat("ж", 40), "{{.ID}}", "C:", "~1", "\u2028",
	}
	var b strings.Builder
	for range rng.IntN(6) {
		b.WriteString(pieces[rng.IntN(len(pieces))])
	}
	return b.String()
}

// FuzzTemplate holds paths to their promise, whatever strangers write.
func FuzzTemplate(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		f.Add(hostile(rng), hostile(rng), hostile(rng))
	}
	tmpl, err := layout.Parse("{{.Chat}}/{{.Title}}/{{.Topic}}/{{snakecase .Text}}/{{replace .Name `/` `_`}}{{.Ext}}{{camelcase .Name}}")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, text, title string) {
		s := subject()
		s.File.Name, s.Message.Text, s.Message.Peer.Title, s.Topic, s.Message.Peer.Username = name, text, title, title+name, text
		p, err := tmpl.Path(s)
		if err != nil {
			t.Fatal(err)
		}
		if !filepath.IsLocal(p) || strings.Count(p, "/") > 4 || len(p) > 800 || strings.HasPrefix(p, "/") {
			t.Fatalf("path %q", p)
		}
	})
}

func ExampleParse() {
	_, err := layout.Parse("{{.Chat}}/{{.Nmae}}")
	fmt.Println(err)
	// Output: files have no .Nmae; docs/guide.md lists what they have
}
