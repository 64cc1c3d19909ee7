package transfer

import (
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
	"github.com/tghaul/haul/transfer/media"
)

// Kinds are the kinds of media that are sent as what they are. All others, and
// all without any, are sent as documents: the bytes stay as they are, and
// clients show a file.
type Kinds uint8

// The kinds. Documents are none of them.
const (
	AsPhoto Kinds = 1 << iota // compressed by the server, which keeps no original
	AsVideo                   // MP4
	AsAudio
	AsVoice // Ogg with Opus

	Documents Kinds = 0
)

// A shape is as what a file is sent.
type shape struct {
	photo      bool
	force      bool // the server shall see nothing but a file in it
	noSound    bool
	mime       string
	attributes []api.DocumentAttributeClass
	note       string // why it is not sent as what it is; "" if it is
}

// shapeOf decides as what a file of a size is sent. err is what Probe said.
func shapeOf(as Kinds, info media.Info, err error, size int64) shape {
	s := shape{force: true, mime: info.MimeType}
	switch {
	case err != nil:
		s.note = fmt.Sprintf("is sent as a document: %v", err)
	case info.Kind == media.Picture && as&AsPhoto != 0:
		if why := info.NoPhoto(size); why != "" {
			s.note = "is sent as a document: it " + why
			break
		}
		return shape{photo: true, mime: info.MimeType}
	case info.Kind == media.Video && as&AsVideo != 0:
		s.force, s.noSound = false, info.Silent
		s.attributes = append(s.attributes, &api.DocumentAttributeVideo{
			SupportsStreaming: info.Streaming, Duration: info.Duration.Seconds(), W: int32(info.Width), H: int32(info.Height),
		})
		return s
	case info.Kind == media.Voice && as&AsVoice != 0:
		s.force = false
		s.attributes = append(s.attributes, &api.DocumentAttributeAudio{Voice: true, Duration: wholeSeconds(info)})
		return s
	case (info.Kind == media.Audio || info.Kind == media.Voice) && as&AsAudio != 0:
		s.force = false
		a := &api.DocumentAttributeAudio{Duration: wholeSeconds(info)}
		if info.Title != "" {
			a.Title = tl.Some(info.Title)
		}
		if info.Performer != "" {
			a.Performer = tl.Some(info.Performer)
		}
		s.attributes = append(s.attributes, a)
		return s
	}
	if info.Kind == media.Picture {
		s.attributes = append(s.attributes, &api.DocumentAttributeImageSize{W: int32(info.Width), H: int32(info.Height)})
	}
	return s
}

// wholeSeconds is the length of audio as Telegram takes it: at least a second.
func wholeSeconds(i media.Info) int32 {
	return int32(max(1, math.Round(i.Duration.Seconds())))
}

// class says which files may stand in one album; "" for those that may in none.
func (s shape) class() string {
	if s.photo {
		return "photos and videos"
	}
	for _, a := range s.attributes {
		switch a := a.(type) {
		case *api.DocumentAttributeVideo:
			return "photos and videos"
		case *api.DocumentAttributeAudio:
			if a.Voice {
				return ""
			}
			return "audio"
		}
	}
	return "documents"
}

// shapeAt is the shape of a file on disk.
func (u Upload) shapeAt(f io.ReaderAt, size int64) shape {
	info, err := media.Probe(f, size)
	s := shapeOf(u.As, info, err, size)
	if u.MimeType != "" {
		s.mime = u.MimeType
	}
	return s
}

// classOf is the class of an upload's file; "" also if it is not to be in an
// album, or cannot be read, which sending it will tell.
func classOf(u Upload) string {
	if u.Alone || u.Skip != nil || u.Section != nil || u.Broken != nil {
		return ""
	}
	f, err := os.Open(u.Path)
	if err != nil {
		return ""
	}
	defer f.Close() //nolint:errcheck // only read
	fi, err := f.Stat()
	if err != nil || !fi.Mode().IsRegular() || fi.Size() == 0 {
		return ""
	}
	return u.shapeAt(f, fi.Size()).class()
}

// shape looks at the source, once, and tells why it is not sent as what it is.
func (u *upload) shape() shape {
	if u.how == nil {
		s := u.u.shapeAt(u.body, u.size)
		u.how = &s
		if s.note != "" {
			u.note(s.note)
		}
	}
	return *u.how
}

// note has something about the file told.
func (u *upload) note(text string) {
	u.run.post(func() {
		u.run.o.Events(FileNote{Header: header("file_note", time.Now()), Path: u.u.Path, Text: text})
	})
}
