package dctest

import (
	"strings"
	"time"

	"github.com/tghaul/haul/telegram/dctest/content"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// What an account sees: every access hash and file reference is its own.

// render is a message as the account asking sees it. Cluster.mu is held.
func (r *request) render(ch *chat, id int) api.MessageClass {
	m := r.c.world.message(ch, id)
	switch {
	case m == nil && ch.private():
		return &api.MessageEmpty{ID: int32(id)}
	case m == nil:
		return &api.MessageEmpty{ID: int32(id), PeerID: peerOf(ch)}
	}
	return r.renderMessage(ch, id, m)
}

// renderMessage is render for a message that need not be in the chat yet.
func (r *request) renderMessage(ch *chat, id int, m *worldMessage) api.MessageClass {
	if m.service {
		s := &api.MessageService{
			Post: !ch.group(), ID: int32(id), PeerID: peerOf(ch), Date: int32(m.date.Unix()),
			Action: &api.MessageActionChannelCreate{Title: ch.cfg.Title},
		}
		if m.began != "" {
			s.Action = &api.MessageActionTopicCreate{Title: m.began, IconColor: topicColor}
		}
		return s
	}
	out := &api.Message{
		Post: !ch.private() && !ch.group(), Out: m.from == r.me.id, ID: int32(id), PeerID: peerOf(ch), Date: int32(m.date.Unix()),
		Message: m.text, Noforwards: m.noForwards, Silent: m.silent, Entities: m.entities,
	}
	switch {
	case m.from != 0 && (ch.private() || ch.group()):
		out.FromID = &api.PeerUser{UserID: m.from}
	case ch.group(): // an anonymous administrator
		out.FromID = peerOf(ch)
	case !ch.private():
		out.Views = tl.Some(int32(100 + id%900))
	}
	ch.thread(m, out)
	if m.forwarded != nil {
		out.FwdFrom = m.forwarded.header()
	}
	if !m.edited.IsZero() {
		out.EditDate = tl.Some(int32(m.edited.Unix()))
	}
	if m.grouped != 0 {
		out.GroupedID = tl.Some(m.grouped)
	}
	if word, _, ok := strings.Cut(m.text, " "); ok && m.from == 0 {
		out.Entities = []api.MessageEntityClass{&api.MessageEntityBold{Length: int32(units(word))}}
	}
	if m.file != nil {
		out.Media = r.media(m.file, m.date)
	}
	return out
}

// media is a file as the account asking sees it, with a fresh reference.
func (r *request) media(f *worldFile, date time.Time) api.MessageMediaClass {
	if f.kind == content.Photo {
		media := &api.MessageMediaPhoto{}
		if !f.deleted {
			media.Photo = r.photo(f, date)
		}
		return media
	}
	media := &api.MessageMediaDocument{Video: f.kind == content.Video, Voice: f.kind == content.Voice}
	if !f.deleted {
		media.Document = r.document(f, date)
	}
	return media
}

// shaped is content that knows more than its bytes.
type shaped interface {
	Width() int
	Height() int
	Duration() time.Duration
}

func (f *worldFile) dimensions() (w, h int, d time.Duration) {
	if f.upload != nil {
		return f.upload.w, f.upload.h, 0
	}
	if s, ok := f.data.(shaped); ok {
		return s.Width(), s.Height(), s.Duration()
	}
	return 0, 0, 0
}

// bigSize is the type of a photo's largest size, thumbSize of what is small.
const (
	bigSize   = "y"
	thumbSize = "m"
)

func (r *request) photo(f *worldFile, date time.Time) *api.Photo {
	w, h, _ := f.dimensions()
	// The largest does not stand last.
	sizes := []api.PhotoSizeClass{
		&api.PhotoSizeProgressive{Type: bigSize, W: int32(w), H: int32(h), Sizes: []int32{int32(f.size / 8), int32(f.size / 2), int32(f.size)}},
	}
	return &api.Photo{
		ID: f.id, AccessHash: r.c.world.accessHash(r.me.id, f.id),
		FileReference: r.reference(f.id), Date: int32(date.Unix()), DCID: int32(f.dc),
		Sizes: append(sizes, f.thumbs()...),
	}
}

func (r *request) document(f *worldFile, date time.Time) *api.Document {
	return &api.Document{
		ID: f.id, AccessHash: r.c.world.accessHash(r.me.id, f.id),
		FileReference: r.reference(f.id), Date: int32(date.Unix()),
		MimeType: f.mime, Size: f.size, DCID: int32(f.dc), Attributes: f.attributes(), Thumbs: f.thumbs(),
	}
}

// thumbs are the small pictures of a file: one inline, one to fetch. Uploads have
// those that came with them; others would have to be made.
func (f *worldFile) thumbs() []api.PhotoSizeClass {
	if f.upload != nil && f.upload.thumb != nil {
		u := f.upload
		return []api.PhotoSizeClass{&api.PhotoSize{Type: thumbSize, W: int32(u.thumbW), H: int32(u.thumbH), Size: int32(len(u.thumb))}}
	}
	made, ok := f.data.(*content.File)
	if !ok || made.Thumb() == nil {
		return nil
	}
	t := made.Thumb()
	return []api.PhotoSizeClass{
		&api.PhotoStrippedSize{Type: "i", Bytes: made.Stripped()},
		&api.PhotoSize{Type: thumbSize, W: int32(t.Width()), H: int32(t.Height()), Size: int32(t.Size())},
	}
}

// thumb is the small picture of a photo or video that the cluster has made, or
// of a document that came with one.
func (f *worldFile) thumb() source {
	if f.upload != nil && f.upload.thumb != nil {
		return f.upload.thumb
	}
	if made, ok := f.data.(*content.File); ok && made.Thumb() != nil {
		return made.Thumb()
	}
	return nil
}

func (f *worldFile) attributes() []api.DocumentAttributeClass {
	if f.upload != nil {
		return f.upload.attributes
	}
	w, h, length := f.dimensions()
	var list []api.DocumentAttributeClass
	switch f.shape {
	case "sticker":
		list = append(list, &api.DocumentAttributeImageSize{W: 512, H: 512},
			&api.DocumentAttributeSticker{Alt: "\U0001f600", Stickerset: &api.InputStickerSetEmpty{}})
	case "animation":
		list = append(list, &api.DocumentAttributeAnimated{})
	}
	switch f.kind {
	case content.Video:
		list = append(list, &api.DocumentAttributeVideo{SupportsStreaming: true, RoundMessage: f.shape == "round", Duration: length.Seconds(), W: int32(w), H: int32(h)})
	case content.Audio:
		list = append(list, &api.DocumentAttributeAudio{Duration: int32(length.Seconds()), Title: tl.Some("A melody"), Performer: tl.Some("Sim")})
	case content.Voice: // has no name
		return append(list, &api.DocumentAttributeAudio{Voice: true, Duration: int32(length.Seconds())})
	default:
	}
	if f.name == noName {
		return list
	}
	return append(list, &api.DocumentAttributeFilename{FileName: f.name})
}
