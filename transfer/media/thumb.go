package media

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"

	"golang.org/x/image/draw"
)

// Limits of previews, core.telegram.org/api/files#uploading-files.
const (
	MaxThumb     = 200 << 10 // bytes
	MaxThumbSide = 320       // pixels
)

// CheckThumb says whether Telegram takes a preview.
func CheckThumb(b []byte) error {
	if len(b) > MaxThumb {
		return fmt.Errorf("a preview of %d bytes; at most %d", len(b), MaxThumb)
	}
	c, err := jpeg.DecodeConfig(bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("the preview is no JPEG: %w", err)
	}
	if c.Width > MaxThumbSide || c.Height > MaxThumbSide || c.Width < 1 || c.Height < 1 {
		return fmt.Errorf("a preview of %d x %d pixels; at most %d", c.Width, c.Height, MaxThumbSide)
	}
	return nil
}

// maxDecoded is how many pixels a picture may have of which a preview is made:
// it is held in memory, in 4 to 8 bytes each.
const maxDecoded = 50_000_000

// Thumb makes a preview of a picture in any of the formats that are known.
func Thumb(r io.ReaderAt, size int64) (b []byte, err error) {
	defer func() {
		if p := recover(); p != nil { // as in careful
			b, err = nil, fmt.Errorf("its parser gave up: %v", p)
		}
	}()
	if size > 4*MaxPhotoSize {
		return nil, errors.New("the picture is larger than 40 MB")
	}
	c, _, err := image.DecodeConfig(io.NewSectionReader(r, 0, size))
	if err != nil {
		return nil, err
	}
	if c.Width < 1 || c.Height < 1 || c.Width*c.Height > maxDecoded {
		return nil, fmt.Errorf("a picture of %d x %d pixels", c.Width, c.Height)
	}
	from, _, err := image.Decode(io.NewSectionReader(r, 0, size))
	if err != nil {
		return nil, err
	}
	w, h := fit(c.Width, c.Height)
	to := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(to, to.Bounds(), image.White, image.Point{}, draw.Src) // under what is transparent
	draw.ApproxBiLinear.Scale(to, to.Bounds(), from, from.Bounds(), draw.Over, nil)
	var out bytes.Buffer
	if err := jpeg.Encode(&out, to, &jpeg.Options{Quality: 85}); err != nil {
		return nil, err
	}
	return out.Bytes(), CheckThumb(out.Bytes())
}

// fit is the size of a picture that fits into that of a preview.
func fit(w, h int) (int, int) {
	if long := max(w, h); long > MaxThumbSide {
		w, h = max(1, w*MaxThumbSide/long), max(1, h*MaxThumbSide/long)
	}
	return w, h
}
