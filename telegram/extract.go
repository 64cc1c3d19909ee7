package telegram

import (
	"bytes"
	"fmt"
	"math"
	"time"

	"github.com/gabriel-vasile/mimetype"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// filesOf lists the files that a message carries itself: its photo or
// document, the moving part of a live photo, paid media that was bought, the
// new photo of a chat. Previews of web pages and the smaller versions of
// videos are not among them. See core.telegram.org/api/files.
func filesOf(m *Message, media api.MessageMediaClass) []File {
	e := extractor{m: m}
	e.media(media, 0)
	for i := range e.files {
		e.finish(&e.files[i], i)
	}
	return e.files
}

// An extractor collects the files of one message.
type extractor struct {
	m     *Message
	files []File
}

// maxMediaDepth is how far media may contain media: paid media one level.
const maxMediaDepth = 3

func (e *extractor) media(media api.MessageMediaClass, depth int) {
	if depth >= maxMediaDepth {
		return
	}
	switch m := media.(type) {
	case *api.MessageMediaPhoto:
		e.photo(m.Photo, m.TTLSeconds.Set)
		e.document(m.Video, m.TTLSeconds.Set)
	case *api.MessageMediaDocument:
		e.document(m.Document, m.TTLSeconds.Set)
	case *api.MessageMediaPaidMedia:
		for _, x := range m.ExtendedMedia {
			if bought := boughtMedia(x); bought != nil {
				e.media(bought, depth+1)
			}
		}
	}
}

// boughtMedia is what is in a messageExtendedMedia; nil for the preview of
// what was not bought.
func boughtMedia(x tl.Raw) api.MessageMediaClass {
	const messageExtendedMedia = 0xee479c64 // media:MessageMedia
	if x.TypeID() != messageExtendedMedia {
		return nil
	}
	d := tl.NewDecoder(x)
	d.ID()
	media := api.DecodeMessageMedia(d)
	if d.End() != nil {
		return nil
	}
	return media
}

// actionPhoto is the photo that a service message announces, if it does.
func actionPhoto(action api.MessageActionClass) api.PhotoClass {
	const messageActionChatEditPhoto = 0x7fcb13a8 // photo:Photo
	other, ok := action.(*api.Other)
	if !ok || other.TypeID() != messageActionChatEditPhoto {
		return nil
	}
	d := tl.NewDecoder(other.Raw)
	d.ID()
	photo := api.DecodePhoto(d)
	if d.End() != nil {
		return nil
	}
	return photo
}

// photo takes the best size of a photo. A photo that is gone (photoEmpty, or
// absent since it destroyed itself) is no file.
func (e *extractor) photo(photo api.PhotoClass, ttl bool) {
	p, ok := photo.(*api.Photo)
	if !ok {
		return
	}
	best, ok := bestSize(p.Sizes)
	if !ok {
		return
	}
	e.files = append(e.files, File{
		ID: p.ID, AccessHash: p.AccessHash, FileReference: bytes.Clone(p.FileReference),
		Thumb: best.kind, Kind: KindPhoto, Size: best.size, DC: int(p.DCID),
		MimeType: "image/jpeg", Date: unixTime(p.Date), W: best.w, H: best.h, NoForwards: ttl,
		Small: thumbOf(p.Sizes, best.kind, maxThumbSide),
	})
}

type photoSize struct {
	kind string
	w, h int
	size int64
}

// bestSize is the size with the most pixels, whatever the order of the list.
// Of a progressive JPEG the last of its sizes is the whole.
func bestSize(sizes []api.PhotoSizeClass) (best photoSize, ok bool) {
	for _, size := range sizes {
		var s photoSize
		switch x := size.(type) {
		case *api.PhotoSize:
			s = photoSize{x.Type, int(x.W), int(x.H), int64(x.Size)}
		case *api.PhotoSizeProgressive:
			if len(x.Sizes) == 0 {
				continue
			}
			s = photoSize{x.Type, int(x.W), int(x.H), int64(x.Sizes[len(x.Sizes)-1])}
		case *api.PhotoCachedSize:
			s = photoSize{x.Type, int(x.W), int(x.H), int64(len(x.Bytes))}
		default: // inline previews and outlines: nothing to download
			continue
		}
		if s.kind == "" || s.w <= 0 || s.h <= 0 {
			continue
		}
		if !ok || int64(s.w)*int64(s.h) > int64(best.w)*int64(best.h) {
			best, ok = s, true
		}
	}
	return best, ok
}

func (e *extractor) document(document api.DocumentClass, ttl bool) {
	d, ok := document.(*api.Document)
	if !ok {
		return
	}
	a := attributesOf(d)
	var small Thumbnail
	if !a.sticker { // theirs are of other formats, and hardly smaller
		small = thumbOf(d.Thumbs, "", 0)
	}
	e.files = append(e.files, File{
		ID: d.ID, AccessHash: d.AccessHash, FileReference: bytes.Clone(d.FileReference),
		Kind: a.kind(), Size: d.Size, DC: int(d.DCID),
		Name: a.name, MimeType: d.MimeType, Date: unixTime(d.Date),
		W: a.w, H: a.h, Duration: a.duration, NoForwards: ttl, Small: small,
	})
}

// attributes is what the attributes of a document say together.
type attributes struct {
	video, round, animated, audio, voice, sticker bool

	name     string
	w, h     int
	duration time.Duration
}

func attributesOf(d *api.Document) attributes {
	a := attributes{sticker: d.MimeType == "application/x-tgsticker"}
	for _, attr := range d.Attributes {
		switch x := attr.(type) {
		case *api.DocumentAttributeVideo:
			a.video, a.round = true, x.RoundMessage
			a.w, a.h, a.duration = pixels(x.W), pixels(x.H), seconds(x.Duration)
		case *api.DocumentAttributeAudio:
			a.audio, a.voice = true, x.Voice
			if !a.video {
				a.duration = seconds(float64(x.Duration))
			}
		case *api.DocumentAttributeImageSize:
			if !a.video {
				a.w, a.h = pixels(x.W), pixels(x.H)
			}
		case *api.DocumentAttributeAnimated:
			a.animated = true
		case *api.DocumentAttributeSticker, *api.DocumentAttributeCustomEmoji:
			a.sticker = true
		case *api.DocumentAttributeFilename:
			a.name = x.FileName
		}
	}
	return a
}

// kind decides in the order of the official client library.
func (a attributes) kind() FileKind {
	switch {
	case a.video && a.animated && a.round:
		return KindRound
	case a.sticker:
		return KindSticker
	case a.animated:
		return KindAnimation
	case a.video && a.round:
		return KindRound
	case a.video: // also if it has an audio attribute
		return KindVideo
	case a.voice:
		return KindVoice
	case a.audio:
		return KindAudio
	default:
		return KindDocument
	}
}

// finish fills in what depends on the message. n is the file's place in it.
func (e *extractor) finish(f *File, n int) {
	f.Origin = Origin{Peer: e.m.Peer, MessageID: e.m.ID}
	f.NoForwards = f.NoForwards || e.m.NoForwards
	if f.Name == "" {
		f.Name = derivedName(f, n)
	}
	f.check()
}

// derivedName is a name for what was sent without one: its kind, the message,
// its place in the message if there are several, and the usual extension.
func derivedName(f *File, n int) string {
	name := fmt.Sprintf("%s_%d", f.Kind, f.Origin.MessageID)
	if n > 0 {
		name += fmt.Sprintf("_%d", n+1)
	}
	return name + extension(f)
}

func extension(f *File) string {
	switch f.Kind {
	case KindPhoto:
		return ".jpg"
	case KindVoice:
		return ".oga"
	case KindVideo, KindAnimation, KindRound:
		if f.MimeType == "image/gif" {
			return ".gif"
		}
		return ".mp4"
	case KindAudio:
		if m := mimetype.Lookup(f.MimeType); m != nil && m.Extension() != "" {
			return m.Extension()
		}
		return ".mp3"
	case KindSticker:
		switch f.MimeType {
		case "application/x-tgsticker":
			return ".tgs"
		case "video/webm":
			return ".webm"
		}
		return ".webp"
	default:
		if m := mimetype.Lookup(f.MimeType); m != nil {
			return m.Extension()
		}
		return ""
	}
}

// pixels makes nothing of a negative extent.
func pixels(n int32) int { return max(int(n), 0) }

// seconds makes a duration of what a stranger claims it to be: not a number,
// negative, or beyond all bounds is 0.
func seconds(s float64) time.Duration {
	const longest = math.MaxInt32
	if !(s > 0 && s <= longest) {
		return 0
	}
	return time.Duration(s * float64(time.Second))
}

// unixTime is a date of the protocol.
func unixTime(t int32) time.Time { return time.Unix(int64(t), 0).UTC() }
