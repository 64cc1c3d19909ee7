package browser

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
)

// picture is a small JPEG of one colour.
func picture(t *testing.T, c color.Color) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 40, 30))
	for i := range 40 * 30 {
		img.Set(i%40, i/40, c)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A list is a list of an archive, as it is written.
type list struct {
	t *testing.T
	f *os.File
	w *bufio.Writer
}

func newList(t *testing.T, path string) *list {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	return &list{t, f, bufio.NewWriter(f)}
}

func (l *list) add(v any) {
	l.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		l.t.Fatal(err)
	}
	_, _ = l.w.Write(append(b, '\n')) // close tells of errors
}

func (l *list) close() {
	l.t.Helper()
	if err := l.w.Flush(); err != nil {
		l.t.Fatal(err)
	}
	if err := l.f.Close(); err != nil {
		l.t.Fatal(err)
	}
}

type object = map[string]any

// message is a line of messages.jsonl about a photo.
func message(id int, date int64, caption string) object {
	return object{"_": "message", "id": id, "date": date, "message": caption, "media": object{"_": "messageMediaPhoto", "photo": object{
		"_": "photo", "id": fmt.Sprint(id), "sizes": []object{
			{"_": "photoStrippedSize", "type": "i", "bytes": "AR4o" + strings.Repeat("Ao0A", 40)},
			{"_": "photoSize", "type": "y", "w": 40 + id%30, "h": 30 + id%17, "size": 700},
		},
	}}}
}

// entry is a line of manifest.jsonl.
func entry(id int, path string) object {
	return object{
		"chat": -1001, "message": id, "document": fmt.Sprint(id), "path": path, "size": 700,
		"sha256": strings.Repeat("00", 32), "date": "2024-01-01T00:00:00Z",
	}
}

// TestMany opens 50,000 items. However many there are, the page has few elements.
func TestMany(t *testing.T) {
	const (
		items    = 50_000
		elements = 2500 // in the document, at any time
		copies   = 500  // links to one file, which some file systems do not like to have many of
	)
	dir := t.TempDir()
	manifest, messages := newList(t, filepath.Join(dir, "manifest.jsonl")), newList(t, filepath.Join(dir, "messages.jsonl"))
	first := time.Date(2019, 1, 1, 0, 0, 0, 0, time.UTC)
	var real string
	for i := range items {
		id := i + 1
		name := fmt.Sprintf("%d_photo.jpg", id)
		path := filepath.Join(dir, name)
		var err error
		if i%copies == 0 {
			real = path
			err = os.WriteFile(path, picture(t, color.RGBA{uint8(i / copies * 5), uint8(i / copies * 11), 160, 255}), 0o644)
		} else {
			err = os.Link(real, path)
		}
		if err != nil {
			t.Fatal(err)
		}
		manifest.add(entry(id, name))
		messages.add(message(id, first.Add(time.Duration(i)*time.Hour).Unix(), fmt.Sprintf("Caption number %d of a long series of pictures", id)))
	}
	manifest.close()
	messages.close()
	haul(t, "version") // so that it is built
	start := time.Now()
	haul(t, "gallery", dir)
	t.Logf("written in %v", time.Since(start))

	b := open(t, dir, "", look{width: 1280, height: 800})
	t.Logf("all items after %d ms, the first picture after %d ms",
		eval[int](b, `Math.round(performance.getEntriesByName('complete')[0].startTime)`), eval[int](b, `Math.round(performance.getEntriesByName('first')[0].startTime)`))
	want(b, `haul.view.length`, items)
	few := func() {
		t.Helper()
		b.wait(`document.querySelectorAll('.tile').length > 10`)
		b.wait(pictured)
		if n := eval[int](b, `document.getElementsByTagName('*').length`); n > elements {
			t.Errorf("%d elements, want at most %d", n, elements)
		}
	}
	few()
	b.run(`document.querySelector('#grid').dataset.height = document.querySelector('#grid').clientHeight`)
	for _, part := range []string{"0.25", "0.5", "0.77", "1"} {
		b.run(`scrollTo(0, document.documentElement.scrollHeight * ` + part + `)`)
		b.wait(`[...document.querySelectorAll('.tile')].some((e) => { const r = e.getBoundingClientRect(); return r.bottom > 200 && r.top < innerHeight; })`)
		few()
	}
	b.run(`scrollTo(0, 0)`)
	b.press(kb.ArrowRight, kb.End)
	want(b, `document.activeElement.closest('.tile').item.m`, 1)
	few()
	b.shortcut("/", "Slash")
	b.press("number 31415 ")
	b.wait(`haul.view.length === 1 && document.querySelectorAll('.tile').length === 1`)
	want(b, `document.querySelector('.tile .caption').textContent`, "Caption number 31415 of a long series of pictures")
	b.press(kb.Escape)
	b.wait(`haul.view.length === ` + fmt.Sprint(items))
	took := eval[float64](b, `(() => { const from = performance.now(); haul.state.q = 'pictures 777'; haul.choose(); haul.show(); haul.state.q = ''; return performance.now() - from; })()`)
	t.Logf("a search takes %.0f ms", took)
	b.run(`document.querySelector('#jump').value = '202001'; document.querySelector('#jump').dispatchEvent(new Event('change'))`)
}
