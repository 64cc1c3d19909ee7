package gallery

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tghaul/haul/transfer/archive"
)

// A made archive is written line by line, as no run of haul would.
type made struct {
	t   *testing.T
	dir string
}

func newArchive(t *testing.T, dir string) *made {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return &made{t, dir}
}

func (m *made) append(name, line string) {
	m.t.Helper()
	f, err := os.OpenFile(filepath.Join(m.dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := f.WriteString(line + "\n"); err != nil {
		m.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		m.t.Fatal(err)
	}
}

// file adds a file and its line.
func (m *made) file(message int, path string) {
	m.t.Helper()
	full := filepath.Join(m.dir, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(path), 0o644); err != nil {
		m.t.Fatal(err)
	}
	m.line(message, path)
}

func (m *made) line(message int, path string) {
	m.t.Helper()
	m.append(archive.ManifestName, entryLine(m.t, message, path))
}

func entryLine(t *testing.T, message int, path string) string {
	t.Helper()
	b, err := json.Marshal(archive.Entry{
		Chat: -1001, Message: message, Document: int64(message) * 10, Path: path, Size: int64(len(path)),
		SHA256: strings.Repeat("00", 32), Date: "2024-03-01T12:00:00Z",
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (m *made) write() *Result {
	m.t.Helper()
	res, err := Write(m.t.Context(), m.dir)
	if err != nil {
		m.t.Fatal(err)
	}
	return res
}

// read takes the arguments of all calls of a function out of the page's scripts.
func (m *made) read(function string) (calls [][]json.RawMessage) {
	m.t.Helper()
	page, err := os.ReadFile(filepath.Join(m.dir, archive.GalleryName, pageName))
	if err != nil {
		m.t.Fatal(err)
	}
	list, err := filepath.Glob(filepath.Join(m.dir, archive.GalleryName, partsName, "*.js"))
	if err != nil {
		m.t.Fatal(err)
	}
	for _, name := range list {
		b, err := os.ReadFile(name)
		if err != nil {
			m.t.Fatal(err)
		}
		text, ok := strings.CutPrefix(string(b), "haul."+function+"(")
		if !ok {
			continue
		}
		if function == "contents" && !bytes.Contains(page, []byte(filepath.Base(name))) {
			m.t.Errorf("%s is not on the page", name)
		}
		var args []json.RawMessage
		if err := json.Unmarshal([]byte("["+strings.TrimSuffix(text, ");\n")+"]"), &args); err != nil {
			m.t.Fatalf("%s: %v", name, err)
		}
		calls = append(calls, args)
	}
	return calls
}

func (m *made) items() (all []item) {
	m.t.Helper()
	for _, call := range m.read("items") {
		var list []item
		if err := json.Unmarshal(call[1], &list); err != nil {
			m.t.Fatal(err)
		}
		all = append(all, list...)
	}
	return all
}

func photo(id int64, more string) string {
	return fmt.Sprintf(`"media":{"_":"messageMediaPhoto","photo":{"_":"photo","id":"%d"%s}}`, id, more)
}

func document(id int64, more string) string {
	return fmt.Sprintf(`"media":{"_":"messageMediaDocument","document":{"_":"document","id":"%d"%s}}`, id, more)
}

func TestItems(t *testing.T) {
	m := newArchive(t, t.TempDir())
	m.file(1, "1_photo.jpg")
	m.file(2, "2_film.mp4")
	m.file(3, "3_tune.mp3")
	m.file(4, "4_note.oga")
	m.file(5, "5_page.html")
	m.file(6, "6_a.pdf")
	m.file(7, "7_round.mp4")
	m.file(8, "8_smile.webp")
	m.file(9, "9_cat.mp4")
	m.file(10, "10_web.jpg")
	m.append("messages.jsonl", `{"_":"message","id":1,"date":1709300000,"message":"old","grouped_id":"77",`+
		photo(10, `,"sizes":[{"_":"photoStrippedSize","type":"i","bytes":"AR4oAAEC"},{"_":"photoSize","type":"y","w":1280,"h":960,"size":5},{"_":"photoSize","type":"m","w":320,"h":240}]`)+`}`)
	m.append("messages.jsonl", `{"_":"message","id":1,"date":1709300000,"message":"new","grouped_id":"77",`+
		photo(10, `,"sizes":[{"_":"photoSizeProgressive","type":"y","w":1280,"h":960,"sizes":[5]},{"_":"photoStrippedSize","type":"i","bytes":"AR4oAAEC"}]`)+`}`)
	m.append("messages.jsonl", `{"_":"message","id":2,"date":1709300001,"message":"film",`+
		document(20, `,"attributes":[{"_":"documentAttributeVideo","duration":61.5,"w":640,"h":360}]`)+`}`)
	m.append("messages.jsonl", `{"_":"message","id":3,"date":1709300002,"message":"",`+
		document(30, `,"attributes":[{"_":"documentAttributeAudio","duration":200,"title":"Air","performer":"Bach"}]`)+`}`)
	m.append("messages.jsonl", `{"_":"message","id":4,"date":1709300003,"message":"",`+
		document(40, `,"attributes":[{"_":"documentAttributeAudio","voice":true,"duration":7}]`)+`}`)
	m.append("messages.jsonl", `{"_":"message","id":7,"date":1709300007,"message":{"_":"bytes","base64":"/w=="},`+
		document(70, `,"attributes":[{"_":"documentAttributeVideo","round_message":true,"duration":"NaN","w":-5,"h":1e300}]`)+`}`)
	m.append("messages.jsonl", `{"_":"message","id":8,"date":1709300008,"message":"",`+
		document(80, `,"attributes":[{"_":"documentAttributeSticker","alt":"🙂"},{"_":"documentAttributeImageSize","w":512,"h":400}]`)+`}`)
	m.append("messages.jsonl", `{"_":"message","id":9,"date":1709300009,"message":"",`+
		document(90, `,"attributes":[{"_":"documentAttributeAnimated"},{"_":"documentAttributeVideo","duration":1,"w":10,"h":10}]`)+`}`)
	m.append("messages.jsonl", `{"_":"message","id":10,"date":1709300010,"message":"look","media":{"_":"messageMediaWebPage","webpage":{"_":"webPage","id":"1","photo":{"_":"photo","id":"100","sizes":[{"_":"photoSize","w":9,"h":8}]}}}}`)
	m.append("messages.jsonl", `{"_":"message","id":99,"message":"of no file",`+photo(990, "")+`}`)
	m.append("messages.jsonl", `nonsense "photo"`)
	res := m.write()
	if res.Items != 10 || res.Archives != 1 || res.Missing != 0 || res.BadLines != 0 {
		t.Errorf("%+v", res)
	}
	var got []string
	for _, it := range m.items() {
		got = append(got, fmt.Sprintf("%d %s %s open=%t %dx%d %gs %q %q %s %s", it.Message, it.Kind, it.Show, it.Open, it.Width, it.Height, it.Seconds, it.Caption, it.Title, it.Album, it.Name))
	}
	want := []string{
		`5 document  open=false 0x0 0s "" ""  page.html`, // its date is that of the manifest
		`6 document  open=true 0x0 0s "" ""  a.pdf`,
		`1 photo image open=true 1280x960 0s "new" "" 77 photo.jpg`,
		`2 video video open=true 640x360 61.5s "film" ""  film.mp4`,
		`3 audio audio open=true 0x0 200s "" "Bach – Air"  tune.mp3`,
		`4 voice audio open=true 0x0 7s "" ""  note.oga`,
		`7 round video open=true 0x0 0s "" ""  round.mp4`,
		`8 sticker image open=true 512x400 0s "" "🙂"  smile.webp`,
		`9 animation video open=true 10x10 1s "" ""  cat.mp4`,
		`10 photo image open=true 9x8 0s "look" ""  web.jpg`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	thumbs := m.read("thumbs")
	if len(thumbs) != 1 || string(thumbs[0][1]) != `["","","AR4oAAEC","","","","","","",""]` {
		t.Errorf("thumbs %s", thumbs)
	}
}

// hostile are texts that would do harm if they were taken for HTML, script or URL.
var hostile = []string{
	`</script><script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `'); alert(1); ('`, "new\nline", "\u2028\u2029",
	"\u202egnp.exe", `\u003cscript\u003e`, `{{.}}`, "${alert(1)}", "`", "javascript:alert(1)", "<!--", "]]>", `\`, "tab\t", "\x00",
}

// Whatever an archive says, it never becomes anything but data, and no link
// leads out of the folder.
func TestHostile(t *testing.T) {
	m := newArchive(t, t.TempDir())
	for i, text := range hostile {
		id := i + 1
		name := fmt.Sprintf("%d_%s.jpg", id, strings.NewReplacer("/", "%2F", "\x00", "%00").Replace(text))
		m.file(id, name)
		caption, _ := json.Marshal(text) // a string never fails
		m.append("messages.jsonl", fmt.Sprintf(`{"_":"message","id":%d,"date":1,"message":%s,%s}`, id, caption, photo(int64(id)*10, "")))
	}
	m.file(80, "sub folder/#?%2e%2e/a b&c.jpg")
	for _, path := range []string{"../out.jpg", "/etc/passwd", "a/../../b", "", ".", "a//b", "./a"} {
		m.line(90, path)
	}
	m.append(archive.ManifestName, "nonsense")
	m.append(archive.ManifestName, `{"message":1,"document":"1","path":"x","size":-1,"sha256":""}`)
	m.line(91, "gone.jpg")
	if err := os.Symlink("/etc/passwd", filepath.Join(m.dir, "link.jpg")); err != nil {
		t.Fatal(err)
	}
	m.line(92, "link.jpg")
	if err := os.Symlink("/etc", filepath.Join(m.dir, "etc")); err != nil {
		t.Fatal(err)
	}
	m.line(93, "etc/passwd")
	if err := os.Mkdir(filepath.Join(m.dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	m.line(94, "folder")
	res := m.write()
	if res.Items != len(hostile)+1 || res.BadLines != 9 || res.Missing != 4 {
		t.Errorf("%d items, %d bad lines, %d missing; want %d, 9 and 4", res.Items, res.BadLines, res.Missing, len(hostile)+1)
	}
	plain := regexp.MustCompile(`^[A-Za-z0-9._~$&+,/:;=@!*()%-]+$`)
	captions := make(map[string]bool)
	for _, it := range m.items() {
		captions[it.Caption] = true
		if !plain.MatchString(it.URL) || strings.HasPrefix(it.URL, "/") || slices.Contains(strings.Split(it.URL, "/"), "..") {
			t.Errorf("URL %q", it.URL)
		}
		if strings.ContainsAny(it.Name, "\u202e\x00\t\n") {
			t.Errorf("name %q", it.Name)
		}
	}
	for _, text := range hostile {
		if !captions[text] {
			t.Errorf("the caption %q is lost", text)
		}
	}
	page, err := os.ReadFile(filepath.Join(m.dir, archive.GalleryName, pageName))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(page, []byte("alert")) {
		t.Error("the page has a caption in it")
	}
	all, _ := filepath.Glob(filepath.Join(m.dir, archive.GalleryName, partsName, "*.js"))
	for _, name := range all {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.HasPrefix(b, []byte("haul.")) && bytes.ContainsAny(b, "<>&\u2028\u2029") {
			t.Errorf("%s has characters that might end a script", name)
		}
	}
}

// snapshot is what is in a folder: names, and times of change.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	got := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fi, err := d.Info()
		got[strings.TrimPrefix(path, dir)] = fmt.Sprintf("%x %v", sha256.Sum256(b), fi.ModTime())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// A second run writes what has changed and nothing else, and leaves nothing behind.
func TestUpdate(t *testing.T) {
	m := newArchive(t, t.TempDir())
	m.file(1, "1_a.jpg")
	var lines []string
	for id := 2; id <= 2*chunkItems+10; id++ {
		path := fmt.Sprintf("%d_a.jpg", id)
		lines = append(lines, entryLine(t, id, path))
		if err := os.Link(filepath.Join(m.dir, "1_a.jpg"), filepath.Join(m.dir, path)); err != nil {
			t.Fatal(err)
		}
	}
	m.append(archive.ManifestName, strings.Join(lines, "\n"))
	m.write()
	before := snapshot(t, m.dir)
	if calls := m.read("items"); len(calls) != 3 {
		t.Fatalf("%d chunks, want 3", len(calls))
	}
	m.write()
	if after := snapshot(t, m.dir); !maps.Equal(before, after) {
		t.Error("a run without news changed something")
	}
	foreign := filepath.Join(m.dir, archive.GalleryName, partsName, "notes.txt")
	if err := os.WriteFile(foreign, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	m.file(5000, "5000_new.jpg")
	m.write()
	after := snapshot(t, m.dir)
	if len(m.items()) != 2*chunkItems+11 {
		t.Errorf("%d items", len(m.items()))
	}
	var news, gone []string
	for name, now := range after {
		if before[name] != now {
			news = append(news, name)
		}
	}
	for name := range before {
		if after[name] == "" {
			gone = append(gone, name)
		}
	}
	// The file itself, notes.txt, the manifest, the page, its contents, the last chunk.
	if len(news) != 6 || len(gone) != 2 {
		t.Errorf("new: %q, gone: %q", news, gone)
	}
}

// Files that are not haul's are never written to.
func TestNotOurs(t *testing.T) {
	for name, prepare := range map[string]func(dir string) error{
		"a file": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, archive.GalleryName), []byte("mine"), 0o644)
		},
		"a link": func(dir string) error { return os.Symlink(".", filepath.Join(dir, archive.GalleryName)) },
		"a link out": func(dir string) error {
			return os.Symlink(filepath.Dir(dir), filepath.Join(dir, archive.GalleryName))
		},
		"another page": func(dir string) error {
			if err := os.Mkdir(filepath.Join(dir, archive.GalleryName), 0o755); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, archive.GalleryName, pageName), []byte("mine"), 0o644)
		},
		"a link of files": func(dir string) error {
			if err := os.Mkdir(filepath.Join(dir, archive.GalleryName), 0o755); err != nil {
				return err
			}
			return os.Symlink("..", filepath.Join(dir, archive.GalleryName, partsName))
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newArchive(t, filepath.Join(t.TempDir(), "a"))
			m.file(1, "1_a.jpg")
			if err := prepare(m.dir); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadDir(m.dir)
			if res, err := Write(t.Context(), m.dir); err == nil || !strings.Contains(err.Error(), "move it away") {
				t.Errorf("got %+v, %v", res, err)
			}
			if after, _ := os.ReadDir(m.dir); len(after) != len(before) {
				t.Errorf("there are %d files, before there were %d", len(after), len(before))
			}
		})
	}
}

// Albums stay together, whatever comes between them.
func TestArrange(t *testing.T) {
	list := arrange([]*item{
		{Message: 5, Date: 105},
		{Message: 4, Date: 104, Album: "a"},
		{Message: 3, Date: 102},
		{Message: 2, Date: 102, Album: "a"},
		{Message: 1, Date: 101},
		{Chat: 1, Message: 9, Date: 102, Album: "a"},
		{Message: 6, Date: 101, Document: 2},
		{Message: 6, Date: 101, Document: 1},
	})
	var got []string
	for _, it := range list {
		got = append(got, fmt.Sprint(it.Chat, it.Message, it.Document))
	}
	if want := "0 1 0,0 6 1,0 6 2,0 3 0,0 2 0,0 4 0,1 9 0,0 5 0"; strings.Join(got, ",") != want {
		t.Errorf("got %s, want %s", strings.Join(got, ","), want)
	}
}

// The frame of inline thumbnails is, byte for byte, the one that clients have.
func TestStrippedFrame(t *testing.T) {
	const want = "c2d6c960e35c3d94de4a0d85a39e0d9def693ee107fa374354960f2df47d82d4"
	sum := sha256.Sum256(strippedHead)
	if got := hex.EncodeToString(sum[:]); got != want || len(strippedHead) != 623 {
		t.Errorf("%d bytes with SHA-256 %s, want 623 with %s", len(strippedHead), got, want)
	}
}

// All scripts and styles are on the page, in files; nothing is inline, and the
// policy lets nothing else in.
func TestPage(t *testing.T) {
	m := newArchive(t, t.TempDir())
	m.file(1, "1_a.jpg")
	m.write()
	b, err := os.ReadFile(filepath.Join(m.dir, archive.GalleryName, pageName))
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	for _, want := range []string{generator, `http-equiv="Content-Security-Policy" content="default-src 'none'; `} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s on the page", want)
		}
	}
	if n := strings.Count(page, "<script src="); n != len(scripts)+1 || strings.Count(page, "<script") != n || strings.Contains(page, "<style") {
		t.Errorf("%d scripts on the page, want %d, and none inline", n, len(scripts)+1)
	}
	for _, file := range regexp.MustCompile(`files/[0-9a-z.]+`).FindAllString(page, -1) {
		if _, err := os.Stat(filepath.Join(m.dir, archive.GalleryName, file)); err != nil {
			t.Error(err)
		}
	}
	sources, _ := fs.Glob(assets, "page/*")
	for _, name := range sources {
		b, _ := assets.ReadFile(name)
		for _, banned := range []string{"innerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "fetch(", "XMLHttpRequest", "https:", " on" + "click="} {
			if bytes.Contains(b, []byte(banned)) {
				t.Errorf("%s has %s", name, banned)
			}
		}
	}
}

// Whatever the line, nothing fails, and what is taken over is bounded.
func FuzzDescribe(f *testing.F) {
	f.Add([]byte(`{"_":"message","id":1,"date":5,"message":"m","grouped_id":"7",` + photo(10, `,"sizes":[{"_":"photoStrippedSize","bytes":"AR4oAAEC"},{"w":3,"h":2}]`) + `}`))
	f.Add([]byte(`{"id":1,"media":[{"_":"document","id":"10","attributes":[{"_":"documentAttributeVideo","w":1,"h":1,"duration":2},{"_":"documentAttributeAudio","title":1}],"thumbs":5}]}`))
	f.Add([]byte(`{"id":1,"document":{"_":"document","id":"10","attributes":[null,7,{}]}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		it := newItem(0, "1_a.jpg", archive.Entry{Message: 1, Document: 10, Path: "1_a.jpg"})
		describe(line, map[int][]*item{1: {it}})
		if len(it.Caption) > maxCaption || len(it.thumb) > maxThumb || it.Width > maxSide || it.Height > maxSide || it.Width < 0 || len(it.Title) > 600 {
			t.Errorf("%+v", it)
		}
		if _, err := json.Marshal(it); err != nil {
			t.Error(err)
		}
	})
}
