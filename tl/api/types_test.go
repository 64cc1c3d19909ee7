package api

import (
	"bytes"
	"errors"
	"testing"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/internal/tlrand"
	"github.com/tghaul/haul/tl/internal/typetest"
	"github.com/tghaul/haul/tl/schema"
)

type object = typetest.Object

func result[R any](q tl.Method[R], d *tl.Decoder) error { return typetest.Result(q, d) }

var suite = typetest.Suite{Types: allTypes, Results: allResults}

func TestRandomValues(t *testing.T) { suite.Random(t, 1, 25) }

func TestRandomAnswers(t *testing.T) { suite.Answers(t, 2, 60) }

func TestUnknownFlags(t *testing.T) { suite.Flags(t) }

func TestDecodeRequest(t *testing.T) {
	const seed = 3
	t.Logf("seed %d", seed)
	g := tlrand.New(seed)
	for _, zero := range allTypes {
		want := zero()
		c := typetest.Combinator(t, want)
		v, err := DecodeRequest(tl.NewDecoder(g.Boxed(c, 2)))
		var unknown *tl.UnknownConstructorError
		switch {
		case c.Function && (err != nil || v.TypeName() != c.Name):
			t.Errorf("got %v, error %v; want %s", v, err, c.Name)
		case !c.Function && (!errors.As(err, &unknown) || unknown.ID != c.ID || unknown.Layer != schema.Layer):
			t.Errorf("%s: got %v, error %v; want it refused, with id and layer", c.Name, v, err)
		}
	}
	if v, err := DecodeRequest(tl.NewDecoder([]byte{1, 2, 3})); !errors.Is(err, tl.ErrShort) {
		t.Errorf("got %v, error %v; want %v", v, err, tl.ErrShort)
	}
}

// A constructor that has no Go type is kept as bytes where its type is
// expected, and an error elsewhere.
func TestOther(t *testing.T) {
	c, ok := schema.ByName("inputMediaDice")
	if !ok {
		t.Fatal("no inputMediaDice in the table")
	}
	wire := tlrand.New(5).Boxed(c, 2)
	d := tl.NewDecoder(wire)
	media := DecodeInputMedia(d)
	if other, ok := media.(*Other); !ok || other.TypeName() != c.Name || d.End() != nil {
		t.Errorf("inputMediaDice became %T, error %v; want *Other", media, d.Err())
	}
	if got := tl.Marshal(media); !bytes.Equal(got, wire) {
		t.Errorf("encoded %x, want %x", got, wire)
	}
	for want, decode := range map[string]func(d *tl.Decoder){
		"Peer":     func(d *tl.Decoder) { DecodePeer(d) },
		"fileHash": func(d *tl.Decoder) { new(FileHash).Decode(d) },
	} {
		d := tl.NewDecoder(wire)
		decode(d)
		var unknown *tl.UnknownConstructorError
		if !errors.As(d.Err(), &unknown) || *unknown != (tl.UnknownConstructorError{ID: c.ID, Want: want, Layer: schema.Layer}) {
			t.Errorf("inputMediaDice as %s: error %v, want one with the id, the type and the layer", want, d.Err())
		}
	}
}

// Fields that share a flag are there together, whichever of them was set.
func TestSharedFlag(t *testing.T) {
	v := &AccountPassword{
		CurrentAlgo: &PasswordKdfAlgoUnknown{}, NewAlgo: &PasswordKdfAlgoUnknown{},
		NewSecureAlgo: &SecurePasswordKdfAlgoUnknown{}, SrpID: tl.Some(int64(5)),
	}
	var got AccountPassword
	d := tl.NewDecoder(tl.Marshal(v))
	got.Decode(d)
	if err := d.End(); err != nil {
		t.Fatal(err)
	}
	if !got.HasPassword || got.SrpB == nil || got.SrpID != v.SrpID || got.Hint.Set {
		t.Errorf("got %+v, want has_password and srp_B with srp_id, and no hint", got)
	}
}

// A demanded value that is missing is the program's mistake, and is named.
func TestMissingFieldPanics(t *testing.T) {
	defer func() {
		if got, want := recover(), "api: upload.getFile.location is nil"; got != want {
			t.Errorf("panic %v, want %q", got, want)
		}
	}()
	tl.Marshal(&UploadGetFileRequest{})
}

func TestBytesAlias(t *testing.T) {
	wire := tl.Marshal(&UploadFile{Type: &StorageFilePartial{}, Bytes: []byte("part")})
	answer, err := new(UploadGetFileRequest).DecodeResult(tl.NewDecoder(wire))
	if err != nil {
		t.Fatal(err)
	}
	file := answer.(*UploadFile)
	wire[13] = 'P'
	if string(file.Bytes) != "Part" {
		t.Errorf("bytes are %q, want them to alias the answer", file.Bytes)
	}
}

func TestUploadFileAllocations(t *testing.T) {
	wire := tl.Marshal(&UploadFile{Type: &StorageFilePartial{}, Bytes: make([]byte, 1<<20)})
	q := new(UploadGetFileRequest)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := q.DecodeResult(tl.NewDecoder(wire)); err != nil {
			t.Fatal(err)
		}
	}); n > 2 {
		t.Errorf("%v allocations, want at most the struct and the decoder", n)
	}
}

func BenchmarkUploadFile(b *testing.B) {
	wire := tl.Marshal(&UploadFile{Type: &StorageFilePartial{}, Bytes: make([]byte, 1<<20)})
	q := new(UploadGetFileRequest)
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := q.DecodeResult(tl.NewDecoder(wire)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHistory(b *testing.B) {
	wire := history(100)
	q := new(MessagesGetHistoryRequest)
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := q.DecodeResult(tl.NewDecoder(wire)); err != nil {
			b.Fatal(err)
		}
	}
}

// history is a page of n messages with a document each.
func history(n int) []byte {
	page := &MessagesChannelMessages{Count: int32(n)}
	for i := range n {
		page.Messages = append(page.Messages, &Message{
			ID: int32(i), PeerID: &PeerChannel{ChannelID: 1}, Date: 1700000000, Message: "a caption of a few words",
			Media: &MessageMediaDocument{Document: &Document{
				ID: int64(i), AccessHash: 1, FileReference: make([]byte, 30), MimeType: "video/mp4", Size: 1 << 30, DCID: 2,
				Attributes: []DocumentAttributeClass{&DocumentAttributeFilename{FileName: "lecture.mp4"}, &DocumentAttributeVideo{W: 1920, H: 1080, Duration: 60}},
			}},
		})
	}
	return tl.Marshal(page)
}
