package content

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"slices"
)

// maxComment is how much a JPEG comment segment holds.
const maxComment = 65533

// picture is a JPEG, filled up to its size with comments, which are noise:
// viewers skip them.
func (f *File) picture(rnd *rand.Rand, number uint64) {
	f.name, f.mime = fmt.Sprintf("photo %04d.jpg", number), "image/jpeg"
	f.w, f.h = 640, 480
	if rnd.IntN(3) == 0 {
		f.w, f.h = f.h, f.w
	}
	f.art = rnd.Uint64()
	f.size = max(f.size, leastPhoto)
	f.make = f.drawn
}

// drawn is the picture, as good as fits.
func (f *File) drawn() (head, tail []byte) {
	quality := 85
	b := drawJPEG(f.art, f.w, f.h, quality)
	for int64(len(b))+4 > f.size && quality > 10 {
		quality -= 15
		b = drawJPEG(f.art, f.w, f.h, quality)
	}
	return padJPEG(b, int(f.size)), nil
}

// Thumbnails fit a square and have all the same size in bytes.
const (
	thumbSide  = 320
	thumbBytes = 16 << 10
)

// Thumb is a small JPEG of a photo or video, nil for other files.
func (f *File) Thumb() *File {
	if f.w == 0 || f.kind != Photo && f.kind != Video {
		return nil
	}
	t := &File{kind: Photo, mime: "image/jpeg", size: thumbBytes, key: f.key, art: f.art, w: f.w, h: f.h}
	if side := max(t.w, t.h); side > thumbSide {
		t.w, t.h = t.w*thumbSide/side, t.h*thumbSide/side
	}
	t.make = t.drawn
	return t
}

// Stripped is the inline thumbnail of a photo or video, nil for other files:
// version, height, width, and the scan of a JPEG with the tables of quality 20,
// which are the ones that clients put in front of it. See
// core.telegram.org/api/files#stripped-thumbnails.
func (f *File) Stripped() []byte {
	const side = 40
	if f.w == 0 || f.kind != Photo && f.kind != Video {
		return nil
	}
	w, h := f.w*side/max(f.w, f.h), f.h*side/max(f.w, f.h)
	b := drawJPEG(f.art, w, h, 20)
	scan := bytes.Index(b, []byte{0xff, 0xda})
	header := int(binary.BigEndian.Uint16(b[scan+2:]))
	return append([]byte{1, byte(h), byte(w)}, b[scan+2+header:len(b)-2]...)
}

// leastPhoto has room for the picture at a low quality.
const leastPhoto = 24 << 10

// drawJPEG paints hills under a sky.
func drawJPEG(seed uint64, w, h, quality int) []byte {
	rnd := rand.New(rand.NewPCG(seed, 3))
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	landscape(img, rnd, 0)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}); err != nil {
		panic("content: " + err.Error()) // a Buffer takes everything
	}
	return b.Bytes()
}

// landscape paints one frame; shift moves the sun.
func landscape(img *image.RGBA, rnd *rand.Rand, shift float64) {
	w, h := img.Rect.Dx(), img.Rect.Dy()
	hue := rnd.Float64()
	for y := range h {
		t := float64(y) / float64(h)
		fill(line(img, y), tint(hue, 0.35+0.4*t, 1-0.35*t))
	}
	sunX, sunY, r := rnd.Float64()*float64(w)+shift, (0.15+0.25*rnd.Float64())*float64(h), float64(h)/14
	for y := max(0, int(sunY-r)); y < min(h, int(sunY+r)); y++ {
		for x := max(0, int(sunX-r)); x < min(w, int(sunX+r)); x++ {
			if math.Hypot(float64(x)-sunX, float64(y)-sunY) < r {
				img.SetRGBA(x, y, color.RGBA{255, 244, 214, 255})
			}
		}
	}
	tops, strip := make([]int, w), make([]byte, 4*w)
	for layer := range 4 {
		base, height := 0.45+0.13*float64(layer), 0.05+0.08*rnd.Float64()
		phase, waves := rnd.Float64()*7, 1+rnd.Float64()*3
		fill(strip, tint(hue+0.08*float64(layer+1), 0.5, 0.62-0.13*float64(layer)))
		for x := range tops {
			a := float64(x)/float64(w)*waves*2*math.Pi + phase
			tops[x] = int((base - height*(math.Sin(a)+0.4*math.Sin(2.7*a))) * float64(h))
		}
		hill(img, tops, strip)
	}
}

// hill paints what is below tops, with the colour that strip is a line of. It
// copies runs of pixels: one by one they cost the race detector most of a test.
func hill(img *image.RGBA, tops []int, strip []byte) {
	lowest := slices.Max(tops)
	for y := max(0, slices.Min(tops)); y < img.Rect.Dy(); y++ {
		if y >= lowest {
			copy(line(img, y), strip)
			continue
		}
		for x := 0; x < len(tops); x++ {
			from := x
			for x < len(tops) && tops[x] <= y {
				x++
			}
			copy(line(img, y)[4*from:4*x], strip)
		}
	}
}

// line is the memory of a row of pixels.
func line(img *image.RGBA, y int) []byte {
	return img.Pix[y*img.Stride:][:4*img.Rect.Dx()]
}

// fill makes all pixels of p of one colour.
func fill(p []byte, c color.RGBA) {
	copy(p, []byte{c.R, c.G, c.B, c.A})
	for n := 4; n < len(p); n *= 2 {
		copy(p[n:], p[:n])
	}
}

// tint is a colour by hue, saturation and value, each from 0 to 1.
func tint(hue, s, v float64) color.RGBA {
	channel := func(n float64) uint8 {
		k := math.Mod(n+hue*6, 6)
		return uint8(255 * (v - v*s*max(0, min(k, 4-k, 1))))
	}
	return color.RGBA{channel(5), channel(3), channel(1), 255}
}

// padJPEG inserts comment segments after the start marker until the picture has size bytes.
func padJPEG(b []byte, size int) []byte {
	out := append(make([]byte, 0, size), b[:2]...)
	rnd := rand.New(rand.NewPCG(uint64(size), 9))
	for missing := size - len(b); missing > 0; {
		n := min(missing, maxComment+4)
		if rest := missing - n; rest > 0 && rest < 4 {
			n -= 4 // a segment takes four bytes at least
		}
		out = append(out, 0xff, 0xfe)
		out = binary.BigEndian.AppendUint16(out, uint16(n-2))
		for range n - 4 {
			out = append(out, byte(rnd.Uint32()))
		}
		missing -= n
	}
	return append(out, b[2:]...)
}
