package archive_test

import (
	"encoding/hex"
	"math/rand/v2"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
	"github.com/tghaul/haul/transfer/layout"
	"golang.org/x/text/unicode/norm"
)

func parseTemplate(t *testing.T, text string) *layout.Template {
	t.Helper()
	tmpl, err := layout.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

// hostileText makes a text out of the pieces that attacks are made of.
func hostileText(rng *rand.Rand) string {
	pieces := [...]string{
		"..", "/", "\\", "../", "/etc/", "CON", "nul", ".", " ", "%", "%41", "%_", "%~", "a", "A", "b", "é", "e\u0301", "ﬁ", "ß", "SS", "İ", "\x00",
		"\u202e", "\xff", ":", "*", ".part", ".PART", ".thumb.jpg", ".haul.json", "haul-", "manifest.jsonl", "MESSAGES.jsonl", "haul-gallery",
		"\ufdd0", "\u200d", "日本", "\n", "😀", strings.Repeat("x", 90), strings.Repeat("ж", 40), "LPT1", "COM¹", "C:", "$", "{{.ID}}",
	}
	var b strings.Builder
	for range rng.IntN(5) {
		b.WriteString(pieces[rng.IntN(len(pieces))])
	}
	return b.String()
}

// hostileSubject is a file of which everything that can be chosen is hostile.
func hostileSubject(rng *rand.Rand, i int) layout.Subject {
	p := peer
	p.Title = hostileText(rng)
	m := &telegram.Message{Peer: p, ID: 1 + i/2, Text: hostileText(rng), GroupedID: rng.Int64N(3), Topic: rng.IntN(3), Date: time.Unix(int64(i), 0)}
	return layout.Subject{
		Message: m, Topic: hostileText(rng),
		File: telegram.File{ID: rng.Int64N(50)<<1 | int64(i&1), Name: hostileText(rng), MimeType: hostileText(rng), Origin: telegram.Origin{Peer: p, MessageID: m.ID}},
	}
}

// asOthersSee is one form of all paths that Windows, macOS or Linux take for one.
func asOthersSee(p string) string {
	return strings.ToUpper(strings.ToLower(norm.NFKC.String(strings.ReplaceAll(p, "\u200d", ""))))
}

// TestHostilePlaces has 10^5 files of strangers placed by templates, entered in
// manifests and read again: none leads out or takes a name of haul's, no two
// share a path, none is lost, and the next run gives the same, by whatever
// template.
func TestHostilePlaces(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for n, text := range []string{
		"{{.Name}}", "{{.Title}}/{{.Topic}}/{{.Name}}", "{{.Text}}/{{.Album}}/{{.Stem}}{{.Ext}}", "{{replace .Name `.` `/`}}{{.Mime}}", "{{.Topic}}/{{lower .Name}}",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			placeAll(t, rand.New(rand.NewPCG(seed, uint64(n))), parseTemplate(t, text), hostilePlaces)
		})
	}
}

func placeAll(t *testing.T, rng *rand.Rand, tmpl *layout.Template, files int) {
	dir := t.TempDir()
	a := openArchive(t, dir)
	a.Arrange(tmpl, nil)
	subjects, paths := make([]layout.Subject, files), make([]string, files)
	seen, folders := make(map[string]bool), make(map[string]bool)
	for i := range subjects {
		s := hostileSubject(rng, i)
		p, err := a.Place(s)
		if err != nil {
			t.Fatal(err)
		}
		if wrong := wrongPath(p); wrong != "" {
			t.Fatalf("%q of %q %s", p, s.File.Name, wrong)
		}
		if key := asOthersSee(p); seen[key] {
			t.Fatalf("%q was given away twice", p)
		} else {
			seen[key] = true
		}
		for d := path.Dir(p); d != "."; d = path.Dir(d) {
			folders[asOthersSee(d)] = true
		}
		subjects[i], paths[i] = s, p
		if i%2 == 0 { // the others are not finished in this run
			if err := a.AddFile(s.File, transfer.FileResult{Path: p, SHA256: [32]byte{1}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for f := range folders {
		if seen[f] {
			t.Fatalf("%q is a file and a folder", f)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	checkPlaces(t, dir, subjects, paths)
}

// checkPlaces has the files placed once more, the last ones first, by another template.
func checkPlaces(t *testing.T, dir string, subjects []layout.Subject, paths []string) {
	begun := make(map[[2]int64]string)
	for i := range subjects {
		if i%2 == 1 {
			begun[[2]int64{int64(subjects[i].Message.ID), subjects[i].File.ID}] = paths[i]
		}
	}
	again := openArchive(t, dir)
	again.Arrange(parseTemplate(t, "elsewhere/{{.ID}}"), func(f telegram.File) string { return begun[[2]int64{int64(f.Origin.MessageID), f.ID}] })
	for i := len(subjects) - 1; i >= 0; i-- {
		if p, err := again.Place(subjects[i]); err != nil || p != paths[i] {
			t.Fatalf("the file at %q is at %q in the next run, %v", paths[i], p, err)
		}
	}
	kept, bad, err := archive.Files(t.Context(), again.Root())
	if err != nil || bad > 0 || len(kept) != (len(subjects)+1)/2 {
		t.Fatalf("the manifest has %d files and %d bad lines, %v; want %d", len(kept), bad, err, (len(subjects)+1)/2)
	}
}

// wrongPath says what is wrong with a path on some system.
func wrongPath(p string) string {
	if len(p) > 860 || strings.Count(p, "/") >= 12 || path.IsAbs(p) {
		return "is too long, too deep or absolute"
	}
	for e := range strings.SplitSeq(p, "/") {
		low := asOthersSee(e)
		switch {
		case e == "" || e == "." || e == "..", strings.HasPrefix(e, "."), strings.HasPrefix(e, " "), strings.HasSuffix(e, "."), strings.HasSuffix(e, " "):
			return "has an element that begins or ends badly"
		case len(e) > 240:
			return "has an element that is too long"
		case strings.ContainsAny(e, "\\:*?\"<>|\x00\n\u202e") || strings.ToValidUTF8(e, "") != e:
			return "has a forbidden character"
		case strings.HasPrefix(low, "HAUL-"), strings.HasPrefix(low, "MANIFEST.JSONL"), strings.HasPrefix(low, "MESSAGES.JSONL"),
			strings.HasSuffix(low, ".PART"), strings.HasSuffix(low, ".THUMB.JPG"), strings.HasSuffix(low, ".HAUL.JSON"):
			return "is haul's own"
		}
		stem, _, _ := strings.Cut(low, ".")
		switch strings.TrimRight(stem, " ") {
		case "CON", "NUL", "LPT1", "COM1":
			return "is a device"
		}
	}
	return ""
}

func openArchive(t *testing.T, dir string) *archive.Archive {
	t.Helper()
	a, err := archive.Open(dir, peer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// What the template makes of no use is told, and the line of a file tells its name.
func TestPlace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := openArchive(t, dir)
	a.Arrange(parseTemplate(t, "{{slice .Name 0 1}}/{{.Name}}"), nil)
	file := func(id int64, name string) layout.Subject {
		m := &telegram.Message{Peer: peer, ID: int(id)}
		return layout.Subject{Message: m, File: telegram.File{ID: id, Name: name, Origin: telegram.Origin{Peer: peer, MessageID: m.ID}}}
	}
	if _, err := a.Place(file(1, "")); err == nil {
		t.Error("no error for a name that the template cannot slice")
	}
	for id, want := range map[int64]string{2: "b/big.txt", 3: "b/big.txt"} {
		s := file(id, "big.txt")
		p, err := a.Place(s)
		if err != nil || p != want && p != "b/big ("+strconv.FormatInt(id, 10)+").txt" {
			t.Errorf("place %q, %v", p, err)
		}
		if err := a.AddFile(s.File, transfer.FileResult{Path: p}); err != nil {
			t.Fatal(err)
		}
	}
	files, _, err := archive.Files(t.Context(), a.Root())
	if err != nil || len(files) != 2 || files[0].Name != "big.txt" || files[0].SHA256 != hex.EncodeToString(make([]byte, 32)) {
		t.Errorf("manifest has %+v, %v", files, err)
	}
}

func hostileSubjectNamed(name string) layout.Subject {
	m := &telegram.Message{Peer: peer, ID: 1}
	return layout.Subject{Message: m, File: telegram.File{ID: 1, Name: name, Origin: telegram.Origin{Peer: peer, MessageID: 1}}}
}
