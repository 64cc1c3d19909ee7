package browser

import (
	"image/color"
	"os"
	"path/filepath"
	"testing"
)

// TestThumbs opens an archive that was fetched with thumbnails: a tile shows
// those, and reads neither the photo nor the video.
func TestThumbs(t *testing.T) {
	dir := t.TempDir()
	manifest, messages := newList(t, filepath.Join(dir, "manifest.jsonl")), newList(t, filepath.Join(dir, "messages.jsonl"))
	for i, name := range []string{"1_photo.jpg", "2_video.mp4"} {
		for file, content := range map[string][]byte{name: []byte("not read"), name + ".thumb.jpg": picture(t, color.RGBA{uint8(90 * i), 160, 70, 255})} {
			if err := os.WriteFile(filepath.Join(dir, file), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		manifest.add(entry(i+1, name))
		thumb := entry(i+1, name+".thumb.jpg")
		thumb["thumb"] = "m"
		manifest.add(thumb)
	}
	messages.add(message(1, 1_700_000_000, ""))
	messages.add(object{"_": "message", "id": 2, "date": 1_700_000_001, "media": object{"_": "messageMediaDocument", "document": object{
		"_": "document", "id": "2", "attributes": []object{{"_": "documentAttributeVideo", "w": 40, "h": 30, "duration": 3}},
	}}})
	manifest.close()
	messages.close()
	haul(t, "gallery", dir)
	b := open(t, dir, "", look{width: 800, height: 600})
	want(b, `haul.view.length`, 2)
	b.wait(`document.querySelector('img.full.shown')?.naturalWidth === 40`)
	want(b, `document.querySelector('img.full').src.endsWith('/1_photo.jpg.thumb.jpg')`, true)
	b.wait(`document.querySelector('img.thumb.clear')?.naturalWidth === 40`)
	want(b, `document.querySelector('img.thumb.clear').src.endsWith('/2_video.mp4.thumb.jpg')`, true)
	want(b, `getComputedStyle(document.querySelector('img.thumb.clear')).filter`, "none")
	want(b, `document.querySelectorAll('.broken').length`, 0)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, u := range b.requests {
		if filepath.Ext(u) == ".mp4" || filepath.Base(u) == "1_photo.jpg" {
			t.Errorf("the page has read %s", u)
		}
	}
}
