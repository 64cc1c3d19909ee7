package telegram

import (
	"testing"

	"github.com/tghaul/haul/tl/api"
)

func TestThumbnail(t *testing.T) {
	t.Parallel()
	size := func(kind string, w, h, bytes int32) api.PhotoSizeClass {
		return &api.PhotoSize{Type: kind, W: w, H: h, Size: bytes}
	}
	inline := &api.PhotoStrippedSize{Type: "i", Bytes: []byte{1, 2, 3}}
	cached := &api.PhotoCachedSize{Type: "s", W: 100, H: 100, Bytes: []byte{1}}
	photo := func(sizes ...api.PhotoSizeClass) api.MessageMediaClass {
		return &api.MessageMediaPhoto{Photo: &api.Photo{ID: 1, DCID: 2, Sizes: sizes}}
	}
	document := func(attr api.DocumentAttributeClass, sizes ...api.PhotoSizeClass) api.MessageMediaClass {
		return &api.MessageMediaDocument{Document: &api.Document{ID: 1, DCID: 2, Size: 9, Thumbs: sizes, Attributes: []api.DocumentAttributeClass{attr}}}
	}
	video := &api.DocumentAttributeVideo{W: 640, H: 480}
	for name, tt := range map[string]struct {
		media api.MessageMediaClass
		want  Thumbnail
	}{
		"photo":            {photo(size("y", 1280, 960, 9000), inline, size("x", 800, 600, 4000), size("m", 320, 240, 1000)), Thumbnail{"x", 4000, 800, 600}},
		"small photo":      {photo(size("m", 320, 240, 1000), inline, size("s", 90, 67, 300)), Thumbnail{"s", 300, 90, 67}},
		"only itself":      {photo(size("x", 800, 600, 4000), inline), Thumbnail{}},
		"only inline":      {photo(size("y", 1280, 960, 9000), cached, inline), Thumbnail{}},
		"too large":        {photo(size("w", 2560, 1920, 90000), size("y", 1280, 960, 9000)), Thumbnail{}},
		"progressive":      {photo(size("y", 1280, 960, 9000), &api.PhotoSizeProgressive{Type: "x", W: 800, H: 600, Sizes: []int32{10, 700}}), Thumbnail{"x", 700, 800, 600}},
		"video":            {document(video, inline, size("m", 320, 240, 1000)), Thumbnail{"m", 1000, 320, 240}},
		"video, large":     {document(video, size("m", 320, 240, 1000), size("y", 1280, 960, 9000)), Thumbnail{"y", 9000, 1280, 960}},
		"empty":            {document(video, size("m", 320, 240, 0)), Thumbnail{}},
		"without":          {document(video, inline, cached), Thumbnail{}},
		"sticker":          {document(&api.DocumentAttributeSticker{}, size("m", 128, 128, 1000)), Thumbnail{}},
		"senseless extent": {document(video, size("m", -1, 240, 1000)), Thumbnail{}},
	} {
		m := &Message{Peer: Peer{Kind: PeerChannel, ID: 3}, ID: 4}
		files := filesOf(m, tt.media)
		if len(files) != 1 || files[0].Small != tt.want {
			t.Errorf("%s: %+v, want %+v", name, files[0].Small, tt.want)
			continue
		}
		thumb, ok := files[0].ThumbFile()
		if ok != (tt.want != Thumbnail{}) {
			t.Errorf("%s: a thumbnail: %v", name, ok)
		}
		if !ok {
			continue
		}
		if thumb.ID != 1 || !thumb.IsThumb || thumb.Size != tt.want.Size || thumb.Origin != files[0].Origin || thumb.Err != nil {
			t.Errorf("%s: thumbnail %+v", name, thumb)
		}
		switch l := thumb.Location().(type) {
		case *api.InputPhotoFileLocation:
			ok = thumb.Kind == KindPhoto && l.ThumbSize == tt.want.Type
		case *api.InputDocumentFileLocation:
			ok = thumb.Kind != KindPhoto && l.ThumbSize == tt.want.Type
		}
		if _, again := thumb.ThumbFile(); !ok || again {
			t.Errorf("%s: location %+v, a thumbnail of the thumbnail: %v", name, thumb.Location(), again)
		}
	}
}
