package browser

import (
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// texts that would do harm, or a page that mistakes them for something else.
var texts = []string{
	`</script><script>window.harm = 1</script>`, `"><img src=x onerror="window.harm=1">`, `'); window.harm = 1; ('`,
	"two\nlines", "\u2028\u2029", "\u202egnp.exe", "שלום עולם", "{{.}} ${harm}", "`", "javascript:window.harm=1", "100% #1? &amp; <b>",
	`back\slash`, "%2e%2e%2f", "a  b", "ä ö 🙂", "..", "~", ":", "C:",
}

// Names and captions are text, and every file is found by its link.
func TestHostile(t *testing.T) {
	dir := t.TempDir()
	manifest, messages := newList(t, filepath.Join(dir, "manifest.jsonl")), newList(t, filepath.Join(dir, "messages.jsonl"))
	for i, text := range texts {
		id := i + 1
		name := fmt.Sprintf("%d_%s.jpg", id, strings.ReplaceAll(text, "/", "∕"))
		if err := os.WriteFile(filepath.Join(dir, name), picture(t, color.RGBA{uint8(10 * id), 90, 200, 255}), 0o644); err != nil {
			t.Fatal(err)
		}
		manifest.add(entry(id, name))
		messages.add(message(id, 1_700_000_000+int64(id), text))
	}
	page := "99_page.html"
	if err := os.WriteFile(filepath.Join(dir, page), []byte(`<script>alert(1)</script>`), 0o644); err != nil {
		t.Fatal(err)
	}
	manifest.add(entry(99, page))
	manifest.close()
	messages.close()
	haul(t, "gallery", dir)

	b := open(t, dir, "", look{width: 1000, height: 1400})
	b.wait(`document.querySelectorAll('.tile').length === ` + fmt.Sprint(len(texts)+1))
	b.wait(pictured)
	want(b, `document.querySelectorAll('.broken').length`, 0)
	for i, text := range texts {
		b.run(fmt.Sprintf(`haul.open(haul.all.find((i) => i.m === %d))`, i+1))
		b.wait(`document.querySelector('#stage img')?.naturalWidth === 40`)
		if got := eval[string](b, `document.querySelector('#caption').textContent`); got != text {
			t.Errorf("caption %q, want %q", got, text)
		}
	}
	want(b, `window.harm === undefined`, true)
	want(b, `document.querySelectorAll('b, main img:not(.full):not(.thumb), [onerror]').length`, 0)
	want(b, `[...document.querySelectorAll('[src], [href]')].every((e) => /^(\.\.\/|files\/|data:|#i-)/.test(e.getAttribute('src') || e.getAttribute('href')))`, true)
	// A web page from a stranger is not linked to.
	b.run(`haul.open(haul.all.find((i) => i.m === 99))`)
	want(b, `document.querySelector('#links a') === null`, true)
	want(b, `document.querySelector('#links code').textContent`, page)
	want(b, `getComputedStyle(document.querySelector('#caption')).whiteSpace`, "pre-wrap")
}

// The page's own policy holds: nothing from outside is loaded, and nothing inline runs.
func TestPolicy(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "1_a.jpg"), picture(t, color.White), 0o644); err != nil {
		t.Fatal(err)
	}
	manifest := newList(t, filepath.Join(dir, "manifest.jsonl"))
	manifest.add(entry(1, "1_a.jpg"))
	manifest.close()
	haul(t, "gallery", dir)
	b := open(t, dir, "", look{width: 800, height: 600})
	b.refused = true
	b.run(`window.refused = []; document.addEventListener('securitypolicyviolation', (e) => refused.push(e.effectiveDirective));
		new Image().src = 'https://example.org/a.png';
		document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.harm = 1'}));
		document.body.append(Object.assign(document.createElement('video'), {src: 'https://example.org/a.mp4'}));
		document.body.append(Object.assign(document.createElement('iframe'), {src: '../1_a.jpg'}));
		fetch('https://example.org/').catch(() => {});`)
	b.wait(`refused.sort().join() === 'connect-src,frame-src,img-src,media-src,script-src-elem'`)
	want(b, `window.harm === undefined`, true)
}
