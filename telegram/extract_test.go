package telegram

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

func testDocument(size int64, mime string, attrs ...api.DocumentAttributeClass) *api.Document {
	return &api.Document{
		ID: 77, AccessHash: 88, FileReference: []byte("reference"), Date: 1_700_000_000,
		MimeType: mime, Size: size, DCID: 4, Attributes: attrs,
	}
}

// testMessage wraps media as it comes from a server: encoded and decoded again.
func testMessage(t testing.TB, media api.MessageMediaClass, change func(*api.Message)) *Message {
	t.Helper()
	m := &api.Message{ID: 12, PeerID: &api.PeerChannel{ChannelID: 5}, Date: 1_700_000_100, Message: "caption", Media: media}
	if change != nil {
		change(m)
	}
	d := tl.NewDecoder(tl.Marshal(m))
	decoded := api.DecodeMessage(d)
	if err := d.End(); err != nil {
		t.Fatalf("decode the test's message: %v", err)
	}
	return newMessage(decoded, Peer{Kind: PeerChannel, ID: 5, AccessHash: 6})
}

func TestDocumentKinds(t *testing.T) {
	video := &api.DocumentAttributeVideo{W: 640, H: 480, Duration: 12.5}
	round := &api.DocumentAttributeVideo{RoundMessage: true, W: 384, H: 384, Duration: 3}
	audio := &api.DocumentAttributeAudio{Duration: 200}
	voice := &api.DocumentAttributeAudio{Voice: true, Duration: 7}
	animated := &api.DocumentAttributeAnimated{}
	sticker := &api.DocumentAttributeSticker{Alt: "x", Stickerset: &api.InputStickerSetEmpty{}}
	emoji := &api.DocumentAttributeCustomEmoji{Alt: "x", Stickerset: &api.InputStickerSetEmpty{}}
	size := &api.DocumentAttributeImageSize{W: 512, H: 512}
	name := func(s string) api.DocumentAttributeClass { return &api.DocumentAttributeFilename{FileName: s} }
	type attrs = []api.DocumentAttributeClass
	for _, c := range []struct {
		mime  string
		attrs attrs
		kind  FileKind
		name  string
	}{
		{"application/pdf", nil, KindDocument, "document_12.pdf"},
		{"application/x-nobody-knows", nil, KindDocument, "document_12"},
		{"application/pdf", attrs{name("../../etc/passwd")}, KindDocument, "../../etc/passwd"}, // as it is
		{"image/png", attrs{size, name("a.png")}, KindDocument, "a.png"},
		{"video/mp4", attrs{video}, KindVideo, "video_12.mp4"},
		{"video/mp4", attrs{video, audio}, KindVideo, "video_12.mp4"},
		{"video/mp4", attrs{audio, video}, KindVideo, "video_12.mp4"},
		{"video/mp4", attrs{round}, KindRound, "round_12.mp4"},
		{"video/mp4", attrs{round, animated}, KindRound, "round_12.mp4"},
		{"video/mp4", attrs{video, animated}, KindAnimation, "animation_12.mp4"},
		{"video/mp4", attrs{animated}, KindAnimation, "animation_12.mp4"},
		{"image/gif", attrs{animated}, KindAnimation, "animation_12.gif"},
		{"video/webm", attrs{video, animated, sticker}, KindSticker, "sticker_12.webm"},
		{"image/webp", attrs{sticker, size}, KindSticker, "sticker_12.webp"},
		{"image/webp", attrs{emoji}, KindSticker, "sticker_12.webp"},
		{"application/x-tgsticker", nil, KindSticker, "sticker_12.tgs"},
		{"audio/mpeg", attrs{audio}, KindAudio, "audio_12.mp3"},
		{"audio/flac", attrs{audio, name("Song.flac")}, KindAudio, "Song.flac"},
		{"audio/nonsense", attrs{audio}, KindAudio, "audio_12.mp3"},
		{"audio/ogg", attrs{voice}, KindVoice, "voice_12.oga"},
	} {
		t.Run(fmt.Sprintf("%s %s", c.kind, c.name), func(t *testing.T) {
			m := testMessage(t, &api.MessageMediaDocument{Document: testDocument(1000, c.mime, c.attrs...)}, nil)
			if len(m.Files) != 1 {
				t.Fatalf("%d files, want 1", len(m.Files))
			}
			f := m.Files[0]
			if f.Kind != c.kind || f.Name != c.name || f.Err != nil {
				t.Errorf("got %s %q, error %v; want %s %q", f.Kind, f.Name, f.Err, c.kind, c.name)
			}
		})
	}
}

func TestFileFields(t *testing.T) {
	doc := testDocument(5<<30, "video/mp4",
		&api.DocumentAttributeVideo{W: 640, H: 480, Duration: 12.5}, &api.DocumentAttributeFilename{FileName: "v.mp4"})
	m := testMessage(t, &api.MessageMediaDocument{Document: doc}, nil)
	peer := Peer{Kind: PeerChannel, ID: 5, AccessHash: 6}
	want := File{
		ID: 77, AccessHash: 88, FileReference: []byte("reference"), Kind: KindVideo, Size: 5 << 30, DC: 4,
		Name: "v.mp4", MimeType: "video/mp4", Date: time.Unix(1_700_000_000, 0).UTC(),
		Origin: Origin{Peer: peer, MessageID: 12}, W: 640, H: 480, Duration: 12500 * time.Millisecond,
	}
	if len(m.Files) != 1 || !reflect.DeepEqual(m.Files[0], want) {
		t.Fatalf("got  %+v\nwant %+v", m.Files, want)
	}
	loc, ok := m.Files[0].Location().(*api.InputDocumentFileLocation)
	if !ok || loc.ID != 77 || loc.AccessHash != 88 || string(loc.FileReference) != "reference" || loc.ThumbSize != "" {
		t.Errorf("location %+v", m.Files[0].Location())
	}
	if got := fmt.Sprintf("%v %+v %#v", m.Files[0], m.Files[0], m.Files[0]); strings.Contains(got, "88") || strings.Contains(got, "reference") {
		t.Errorf("a printed File shows its secrets: %s", got)
	}
	if m.Text != "caption" || m.ID != 12 || !m.Date.Equal(time.Unix(1_700_000_100, 0)) {
		t.Errorf("message %+v", m)
	}
}

func TestPhotoBestSize(t *testing.T) {
	for _, c := range []struct {
		name  string
		sizes []api.PhotoSizeClass
		thumb string
		size  int64
	}{
		{"by pixels, not order", []api.PhotoSizeClass{
			&api.PhotoSize{Type: "y", W: 1280, H: 960, Size: 300}, &api.PhotoSize{Type: "x", W: 800, H: 600, Size: 900},
		}, "y", 300},
		{"progressive takes the whole", []api.PhotoSizeClass{
			&api.PhotoSize{Type: "x", W: 800, H: 600, Size: 100},
			&api.PhotoSizeProgressive{Type: "w", W: 2560, H: 1920, Sizes: []int32{10, 20, 3000}},
		}, "w", 3000},
		{"inline ones do not count", []api.PhotoSizeClass{
			&api.PhotoStrippedSize{Type: "i", Bytes: []byte{1, 2, 3}}, &api.PhotoSizeEmpty{Type: "q"},
			&api.PhotoSize{Type: "m", W: 320, H: 240, Size: 50},
		}, "m", 50},
		{"cached", []api.PhotoSizeClass{&api.PhotoCachedSize{Type: "s", W: 100, H: 75, Bytes: make([]byte, 40)}}, "s", 40},
		{"hostile extents", []api.PhotoSizeClass{
			&api.PhotoSize{Type: "a", W: -50000, H: -50000, Size: 1}, &api.PhotoSize{Type: "b", W: 1, H: 1, Size: 2},
			&api.PhotoSizeProgressive{Type: "c", W: 9, H: 9},
		}, "b", 2},
		{"product beyond 32 bits", []api.PhotoSizeClass{
			&api.PhotoSize{Type: "a", W: math.MaxInt32, H: math.MaxInt32, Size: 7}, &api.PhotoSize{Type: "b", W: 9, H: 9, Size: 2},
		}, "a", 7},
		{"none", []api.PhotoSizeClass{&api.PhotoStrippedSize{Type: "i", Bytes: []byte{1}}}, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			photo := &api.Photo{ID: 1, AccessHash: 2, FileReference: []byte{3}, DCID: 2, Sizes: c.sizes}
			m := testMessage(t, &api.MessageMediaPhoto{Photo: photo}, nil)
			if c.thumb == "" {
				if len(m.Files) != 0 {
					t.Fatalf("got %+v, want no file", m.Files)
				}
				return
			}
			if len(m.Files) != 1 || m.Files[0].Thumb != c.thumb || m.Files[0].Size != c.size || m.Files[0].Name != "photo_12.jpg" {
				t.Fatalf("got %+v, want size %q of %d bytes, photo_12.jpg", m.Files, c.thumb, c.size)
			}
			if loc, ok := m.Files[0].Location().(*api.InputPhotoFileLocation); !ok || loc.ThumbSize != c.thumb {
				t.Errorf("location %+v", m.Files[0].Location())
			}
		})
	}
}

func TestBadSizes(t *testing.T) {
	for size, bad := range map[int64]bool{
		0: false, 1: false, MaxFileSize: false, MaxFileSize + 1: true, -1: true, math.MaxInt64: true, math.MinInt64: true,
	} {
		m := testMessage(t, &api.MessageMediaDocument{Document: testDocument(size, "a/b")}, nil)
		if got := errors.Is(m.Files[0].Err, ErrBadFile); got != bad || m.Files[0].Size != size {
			t.Errorf("size %d: got size %d, error %v; want an error: %v", size, m.Files[0].Size, m.Files[0].Err, bad)
		}
	}
	for _, dc := range []int32{0, -1, 10000, math.MaxInt32} {
		doc := testDocument(1, "a/b")
		doc.DCID = dc
		if m := testMessage(t, &api.MessageMediaDocument{Document: doc}, nil); !errors.Is(m.Files[0].Err, ErrBadFile) {
			t.Errorf("DC %d: got error %v, want ErrBadFile", dc, m.Files[0].Err)
		}
	}
}

func TestSpecialMedia(t *testing.T) {
	photo := &api.Photo{
		ID: 1, AccessHash: 2, FileReference: []byte{3}, DCID: 2,
		Sizes: []api.PhotoSizeClass{&api.PhotoSize{Type: "x", W: 8, H: 8, Size: 9}},
	}
	video := testDocument(10, "video/mp4", &api.DocumentAttributeVideo{W: 1, H: 1})
	bought := func(m api.MessageMediaClass) tl.Raw {
		var e tl.Encoder
		e.ID(0xee479c64)
		m.Encode(&e)
		return e.Bytes()
	}
	var preview tl.Encoder
	preview.ID(0xad628cc8)
	preview.Nat(0)
	for _, c := range []struct {
		name   string
		media  api.MessageMediaClass
		change func(*api.Message)
		names  string
		guard  bool
	}{
		{"none", nil, nil, "", false},
		{"not for files", &api.MessageMediaUnsupported{}, nil, "", false},
		{"protected", &api.MessageMediaPhoto{Photo: photo}, func(m *api.Message) { m.Noforwards = true }, "photo_12.jpg", true},
		{"self-destructing", &api.MessageMediaPhoto{Photo: photo, TTLSeconds: tl.Some(int32(5))}, nil, "photo_12.jpg", true},
		{"self-destructed", &api.MessageMediaPhoto{TTLSeconds: tl.Some(int32(5))}, nil, "", false},
		{"empty photo", &api.MessageMediaPhoto{Photo: &api.PhotoEmpty{ID: 1}}, nil, "", false},
		{"empty document", &api.MessageMediaDocument{Document: &api.DocumentEmpty{ID: 1}}, nil, "", false},
		{"live photo", &api.MessageMediaPhoto{LivePhoto: true, Photo: photo, Video: video}, nil, "photo_12.jpg video_12_2.mp4", false},
		{"alternative qualities", &api.MessageMediaDocument{Document: video, AltDocuments: []api.DocumentClass{video}}, nil, "video_12.mp4", false},
		{"paid", &api.MessageMediaPaidMedia{StarsAmount: 1, ExtendedMedia: []tl.Raw{
			bought(&api.MessageMediaPhoto{Photo: photo}), preview.Bytes(), bought(&api.MessageMediaDocument{Document: video}),
		}}, nil, "photo_12.jpg video_12_2.mp4", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := testMessage(t, c.media, c.change)
			var names []string
			for _, f := range m.Files {
				names = append(names, f.Name)
				if f.NoForwards != c.guard || f.Err != nil {
					t.Errorf("%s: protected %v, error %v; want %v, none", f.Name, f.NoForwards, f.Err, c.guard)
				}
			}
			if got := strings.Join(names, " "); got != c.names {
				t.Errorf("files %q, want %q", got, c.names)
			}
		})
	}
	if m := newMessage(&api.MessageEmpty{ID: 3}, Peer{}); m != nil {
		t.Errorf("an empty message became %+v, want nothing", m)
	}
}

// A chat's protection covers all of its messages.
func TestProtectedChat(t *testing.T) {
	raw := &api.Message{ID: 1, PeerID: &api.PeerChannel{ChannelID: 5}, Media: &api.MessageMediaDocument{Document: testDocument(1, "a/b")}}
	m := newMessage(raw, Peer{Kind: PeerChannel, ID: 5, NoForwards: true})
	if !m.NoForwards || !m.Files[0].NoForwards {
		t.Errorf("message protected %v, file %v; want both", m.NoForwards, m.Files[0].NoForwards)
	}
}

func TestServicePhoto(t *testing.T) {
	photo := &api.Photo{
		ID: 1, AccessHash: 2, FileReference: []byte{3}, DCID: 2,
		Sizes: []api.PhotoSizeClass{&api.PhotoSize{Type: "c", W: 640, H: 640, Size: 9}},
	}
	var action tl.Encoder
	action.ID(0x7fcb13a8)
	photo.Encode(&action)
	sent := &api.MessageService{ID: 4, PeerID: &api.PeerChat{ChatID: 5}, Date: 1, Action: &api.Other{Raw: action.Bytes()}}
	d := tl.NewDecoder(tl.Marshal(sent))
	m := newMessage(api.DecodeMessage(d), Peer{Kind: PeerChat, ID: 5})
	if len(m.Files) != 1 || m.Files[0].Thumb != "c" || m.Files[0].Name != "photo_4.jpg" {
		t.Fatalf("files %+v, want the new photo of the chat", m.Files)
	}
}

func TestMessageRawIsLossless(t *testing.T) {
	sent := &api.Message{
		Out: true, ID: 12, PeerID: &api.PeerChannel{ChannelID: 5}, Date: 5, Message: "text",
		GroupedID: tl.Some(int64(99)), Media: &api.MessageMediaDocument{Document: testDocument(1, "a/b")},
	}
	want := tl.Marshal(sent)
	in := append([]byte(nil), want...)
	m := newMessage(api.DecodeMessage(tl.NewDecoder(in)), Peer{Kind: PeerChannel, ID: 5})
	clear(in) // nothing may alias the answer
	if string(m.Raw) != string(want) || string(m.Files[0].FileReference) != "reference" || m.GroupedID != 99 || !m.Out {
		t.Errorf("after the answer's buffer was used again: raw equal %v, reference %q",
			string(m.Raw) == string(want), m.Files[0].FileReference)
	}
}

// FuzzMessage reads files out of whatever decodes as a message.
func FuzzMessage(f *testing.F) {
	doc := testDocument(10, "video/mp4", &api.DocumentAttributeVideo{W: 3, H: 4, Duration: math.Inf(1)}, &api.DocumentAttributeFilename{FileName: "x"})
	for _, media := range []api.MessageMediaClass{
		nil, &api.MessageMediaDocument{Document: doc}, &api.MessageMediaPhoto{Photo: &api.Photo{
			FileReference: []byte{1}, Sizes: []api.PhotoSizeClass{&api.PhotoSizeProgressive{Type: "y", W: 5, H: 5, Sizes: []int32{-1}}},
		}, Video: doc},
	} {
		f.Add(tl.Marshal(&api.Message{ID: 1, PeerID: &api.PeerUser{UserID: 2}, Media: media}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := tl.NewDecoder(b)
		decoded := api.DecodeMessage(d)
		if d.End() != nil {
			return
		}
		m := newMessage(decoded, Peer{Kind: PeerUser, ID: 2})
		if m == nil {
			return
		}
		again := api.DecodeMessage(tl.NewDecoder(m.Raw))
		if string(tl.Marshal(again)) != string(m.Raw) {
			t.Fatalf("raw message does not read back: %x", m.Raw)
		}
		for _, file := range m.Files {
			if file.Err == nil && (file.Size < 0 || file.Size > MaxFileSize || file.DC < 1) {
				t.Fatalf("accepted %d bytes at DC %d", file.Size, file.DC)
			}
			if file.W < 0 || file.H < 0 || file.Duration < 0 || file.Name == "" {
				t.Fatalf("senseless file %+v", file)
			}
			if file.Location() == nil || file.Origin.MessageID != m.ID {
				t.Fatalf("no location or origin: %+v", file)
			}
		}
	})
}
