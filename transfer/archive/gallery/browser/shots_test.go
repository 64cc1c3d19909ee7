package browser

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

var shots = flag.String("shots", "", "write pictures of the demo's gallery into this folder")

// TestPictures writes pictures of the page for people to look at.
func TestPictures(t *testing.T) {
	if *shots == "" {
		t.Skip("-shots DIR is not given")
	}
	dir := demo(t)
	for name, s := range map[string]struct {
		look
		hash string
	}{
		"light":        {look{width: 1280, height: 860}, ""},
		"dark":         {look{width: 1280, height: 860, dark: true}, ""},
		"narrow":       {look{width: 400, height: 800}, ""},
		"narrow-dark":  {look{width: 400, height: 800, dark: true}, "#type=video"},
		"voice":        {look{width: 1280, height: 860}, "#type=voice"},
		"files-dark":   {look{width: 1280, height: 860, dark: true}, "#type=document&sort=old"},
		"viewer":       {look{width: 1280, height: 860}, "album"},
		"video":        {look{width: 1280, height: 860}, "video"},
		"playing":      {look{width: 1280, height: 860, dark: true}, "play"},
		"viewer-small": {look{width: 400, height: 800, dark: true}, "album"},
	} {
		hash := s.hash
		if !strings.HasPrefix(hash, "#") {
			hash = ""
		}
		b := open(t, dir, hash, s.look)
		switch s.hash {
		case "album":
			b.run(`haul.open(haul.all.find((i) => i.g))`)
			b.wait(`document.querySelector('#stage img').complete`)
		case "video":
			b.run(`haul.open(haul.all.find((i) => i.k === 'video'))`)
			b.wait(`document.querySelector('#stage video').currentTime > 1`)
		case "play":
			b.run(`haul.play(haul.all.find((i) => i.k === 'audio'))`)
			b.wait(`document.querySelector('#player audio').currentTime > 1`)
		}
		b.wait(pictured)
		png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(*shots, name+".png"), png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
