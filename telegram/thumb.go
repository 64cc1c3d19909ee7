package telegram

import "github.com/tghaul/haul/tl/api"

// A Thumbnail is a small picture, a JPEG, of a photo or document. The zero value
// says that there is none.
type Thumbnail struct {
	Type string // of the photo size
	Size int64  // bytes
	W, H int    // pixels
}

// ThumbFile is the thumbnail of a file as a file of its own: with the same id,
// name and origin, IsThumb set. It is false if there is none that could be
// fetched. See core.telegram.org/api/files#image-thumbnail-types.
func (f *File) ThumbFile() (File, bool) {
	if f.Small.Type == "" || f.IsThumb {
		return File{}, false
	}
	t := *f
	t.Thumb, t.Size, t.W, t.H = f.Small.Type, f.Small.Size, f.Small.W, f.Small.H
	t.IsThumb, t.Small, t.MimeType, t.Duration, t.Err = true, Thumbnail{}, "image/jpeg", 0, nil
	t.check()
	return t, true
}

// maxThumbSide is the longest side of what is taken for a thumbnail of a photo:
// the box of size "x".
const maxThumbSide = 800

// thumbOf is the largest of the sizes that the server has as a file of its own,
// but for the one that is called except, and, if side is not 0, for those that
// are longer than that. What comes inline is no such file.
func thumbOf(sizes []api.PhotoSizeClass, except string, side int) Thumbnail {
	fit := make([]api.PhotoSizeClass, 0, len(sizes))
	for _, size := range sizes {
		one, ok := bestSize([]api.PhotoSizeClass{size})
		if _, inline := size.(*api.PhotoCachedSize); inline || !ok || one.kind == except || side > 0 && max(one.w, one.h) > side {
			continue
		}
		fit = append(fit, size)
	}
	best, ok := bestSize(fit)
	if !ok || best.size <= 0 {
		return Thumbnail{}
	}
	return Thumbnail{Type: best.kind, Size: best.size, W: best.w, H: best.h}
}
