package media

import (
	"errors"
	"io"
	"time"

	"github.com/abema/go-mp4"
)

const (
	maxBoxes   = 20_000  // that are looked at, in one file
	maxPayload = 4 << 10 // bytes of a box that is read whole
)

// errEnough ends the walk through a file: everything is known.
var errEnough = errors.New("enough")

// An mp4File is what the walk through the boxes of an MP4 file has found.
// See ISO/IEC 14496-12.
type mp4File struct {
	boxes      int
	moov, mdat bool
	streaming  bool // moov came first
	length     time.Duration
	tracks     []mp4Track
}

type mp4Track struct {
	handler [4]byte // "vide", "soun"
	w, h    int
}

func readMP4(b *budget, size int64) (Info, error) {
	f := new(mp4File)
	r := io.NewSectionReader(b, 0, size)
	if _, err := mp4.ReadBoxStructure(r, f.box); err != nil && !errors.Is(err, errEnough) {
		return Info{}, err
	}
	if !f.moov {
		return Info{}, errors.New("it has no index (moov): the recording was cut short")
	}
	info := Info{Duration: f.length, Silent: true}
	for _, t := range f.tracks {
		switch string(t.handler[:]) {
		case "vide":
			if info.Kind != Video && t.w > 0 && t.h > 0 {
				info.Kind, info.MimeType, info.Width, info.Height = Video, "video/mp4", t.w, t.h
			}
		case "soun":
			info.Silent = false
			if info.Kind == Other {
				info.Kind, info.MimeType = Audio, "audio/mp4"
			}
		}
	}
	switch info.Kind {
	case Video:
		info.Streaming = f.streaming
	case Audio:
		info.Silent = false
		info.Title, info.Performer = tags(b, size)
	default:
		return Info{}, errors.New("it has neither pictures nor sound")
	}
	return info, nil
}

// box looks at one box, and into those that lead to something.
func (f *mp4File) box(h *mp4.ReadHandle) (any, error) {
	if f.boxes++; f.boxes > maxBoxes {
		return nil, errors.New("too many boxes")
	}
	switch kind := h.BoxInfo.Type.String(); {
	case len(h.Path) == 1 && kind == "mdat":
		f.mdat = true
		if f.moov {
			return nil, errEnough
		}
	case len(h.Path) == 1 && kind == "moov":
		f.moov, f.streaming = true, !f.mdat
		if _, err := h.Expand(); err != nil {
			return nil, err
		}
		if f.mdat {
			return nil, errEnough
		}
	case kind == "trak":
		f.tracks = append(f.tracks, mp4Track{})
		_, err := h.Expand()
		return nil, err
	case kind == "mdia":
		_, err := h.Expand()
		return nil, err
	case kind == "mvhd", kind == "tkhd", kind == "hdlr":
		if h.BoxInfo.Size > maxPayload {
			return nil, errors.New(kind + " is too large")
		}
		payload, _, err := h.ReadPayload()
		if err != nil {
			return nil, err
		}
		f.note(payload)
	}
	return nil, nil //nolint:nilnil // the library's way to say: nothing
}

// note keeps what a box says.
func (f *mp4File) note(payload mp4.IBox) {
	if b, ok := payload.(*mp4.Mvhd); ok {
		f.length = seconds(b.GetDuration(), uint64(b.Timescale))
	}
	if len(f.tracks) == 0 {
		return
	}
	t := &f.tracks[len(f.tracks)-1]
	switch b := payload.(type) {
	case *mp4.Tkhd:
		t.w, t.h = int(b.Width>>16), int(b.Height>>16)
		if b.Matrix[0] == 0 && b.Matrix[4] == 0 && b.Matrix[1] != 0 { // lies on its side
			t.w, t.h = t.h, t.w
		}
	case *mp4.Hdlr:
		if t.handler == [4]byte{} { // a second one may be of the metadata
			t.handler = b.HandlerType
		}
	}
}
