package media

import (
	"image"
	_ "image/gif"  // the formats
	_ "image/jpeg" // of pictures
	_ "image/png"  // that are known
	"io"

	_ "golang.org/x/image/bmp"  // of which Go's own library
	_ "golang.org/x/image/tiff" // lacks
	_ "golang.org/x/image/webp" // some
)

func readPicture(b *budget, size int64) (Info, error) {
	c, _, err := image.DecodeConfig(io.NewSectionReader(b, 0, size))
	if err != nil {
		return Info{}, err
	}
	return Info{Kind: Picture, Width: c.Width, Height: c.Height}, nil
}

// Limits of photos: a picture beyond them can only be sent as a file. See
// core.telegram.org/api/files#uploading-files.
const (
	MaxPhotoSize  = 10 << 20 // bytes
	maxPhotoSides = 10000    // width and height together, in pixels
	maxPhotoRatio = 20
)

// NoPhoto says why Telegram does not take a file as a photo; "" if it does.
func (i *Info) NoPhoto(size int64) string {
	w, h := i.Width, i.Height
	switch {
	case i.Kind != Picture:
		return "is no picture"
	case size > MaxPhotoSize:
		return "is larger than the 10 MB that a photo may have"
	case w+h > maxPhotoSides:
		return "has more pixels than a photo may: width and height together 10000"
	case max(w, h) > maxPhotoRatio*min(w, h):
		return "is more than 20 times as long as wide"
	}
	return ""
}
