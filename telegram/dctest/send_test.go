package dctest

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// sentIDs are the ids by random_id that updates tell of, and the messages.
func sentIDs(t testing.TB, u *api.Updates) (ids map[int64]int32, messages []*api.Message) {
	t.Helper()
	ids = map[int64]int32{}
	for _, u := range u.Updates {
		var m api.MessageClass
		switch u := u.(type) {
		case *api.UpdateMessageID:
			ids[u.RandomID] = u.ID
			continue
		case *api.UpdateNewChannelMessage:
			m = u.Message
		case *api.UpdateNewMessage:
			m = u.Message
		}
		msg, ok := m.(*api.Message)
		if !ok {
			t.Fatalf("update %T", u)
		}
		messages = append(messages, msg)
	}
	return ids, messages
}

// uploadDocument uploads and returns the media for a send call.
func (c *caller) uploadDocument(id int64, data []byte, attributes ...api.DocumentAttributeClass) *api.InputMediaUploadedDocument {
	n := c.upload(id, data, 64<<10, false, rand.New(rand.NewPCG(1, uint64(id))))
	return &api.InputMediaUploadedDocument{
		File: &api.InputFile{ID: id, Parts: int32(n), Name: "up.bin"}, MimeType: "video/mp4", Attributes: attributes,
	}
}

// TestSendMedia: the message is there, once, with its file.
func TestSendMedia(t *testing.T) {
	c := start(t, Config{})
	b := bot(t, c)
	peer := inputPeer(b.channel())
	data := noise(rand.New(rand.NewPCG(4, 4)), 200_000)
	q := &api.MessagesSendMediaRequest{
		Peer: peer, RandomID: 77, Message: "caption", Entities: []api.MessageEntityClass{&api.MessageEntityItalic{Length: 7}}, Noforwards: true,
		Media: b.uploadDocument(1, data, &api.DocumentAttributeFilename{FileName: "real.txt"}),
	}
	ids, messages := sentIDs(t, must[*api.Updates](b, q))
	m := messages[0]
	if len(messages) != 1 || ids[77] != m.ID || !m.Out || !m.Noforwards || m.Message != "caption" || len(m.Entities) != 1 {
		t.Fatalf("ids %v, message %+v", ids, m)
	}
	d := documentOf(t, m)
	if got := b.download(location(d), d.Size); !bytes.Equal(got, data) {
		t.Error("the file differs")
	}
	if again := documentOf(t, b.message(int(m.ID))); again.ID != d.ID {
		t.Error("the message has another file when asked for")
	}
	b.fails(q, "500 RANDOM_ID_DUPLICATE")
	if f := c.Uploaded(); len(f) != 1 || f[0].Name != "real.txt" || f[0].Size != 200_000 || f[0].ID != d.ID {
		t.Errorf("uploaded: %+v", f)
	}
	if s := c.Stats().Sent; len(s) != 1 || s[0].Name != "real.txt" || s[0].Message != int(m.ID) || s[0].SHA256 != c.Uploaded()[0].SHA256 {
		t.Errorf("sent: %+v", s)
	}
	u := user(t, c)
	theirs := documentOf(t, u.message(int(m.ID)))
	if got := u.download(location(theirs), theirs.Size); !bytes.Equal(got, data) {
		t.Error("the file differs for another account")
	}
}

func TestSendErrors(t *testing.T) {
	c := start(t, Config{Accounts: []AccountConfig{{Token: BotToken}, {Phone: Phone, Code: Code}, {Token: "2:rich", Premium: true}}})
	b := bot(t, c)
	peer := inputPeer(b.channel())
	good := b.uploadDocument(1, []byte("x"))
	seen := documentOf(t, b.message(10))
	tests := []struct {
		name string
		q    tl.Object
		want string
	}{
		{"no random_id", &api.MessagesSendMediaRequest{Peer: peer, Media: good}, "400 RANDOM_ID_EMPTY"},
		{"caption of 1024", &api.MessagesSendMediaRequest{Peer: peer, Media: good, RandomID: 1, Message: strings.Repeat("a", 1024)}, ""},
		{"caption of 1025", &api.MessagesSendMediaRequest{Peer: peer, Media: good, RandomID: 2, Message: strings.Repeat("a", 1025)}, "400 MEDIA_CAPTION_TOO_LONG"},
		{"caption in UTF-16", &api.MessagesSendMediaRequest{Peer: peer, Media: good, RandomID: 3, Message: strings.Repeat("\U0001f600", 513)}, "400 MEDIA_CAPTION_TOO_LONG"},
		{"scheduled by a bot", &api.MessagesSendMediaRequest{Peer: peer, Media: good, RandomID: 4, ScheduleDate: tl.Some[int32](1)}, "400 SCHEDULE_BOT_NOT_ALLOWED"},
		{"empty media", &api.MessagesSendMediaRequest{Peer: peer, Media: &api.InputMediaEmpty{}, RandomID: 5}, "400 MEDIA_EMPTY"},
		{"known document", &api.MessagesSendMediaRequest{Peer: peer, RandomID: 6, Media: &api.InputMediaDocument{
			ID: &api.InputDocument{ID: seen.ID, AccessHash: seen.AccessHash, FileReference: seen.FileReference},
		}}, ""},
		{"document without reference", &api.MessagesSendMediaRequest{Peer: peer, RandomID: 7, Media: &api.InputMediaDocument{
			ID: &api.InputDocument{ID: seen.ID, AccessHash: seen.AccessHash, FileReference: []byte{}},
		}}, "400 FILE_REFERENCE_EMPTY"},
		{"wrong access hash", &api.MessagesSendMediaRequest{Peer: peer, RandomID: 8, Media: &api.InputMediaDocument{
			ID: &api.InputDocument{ID: seen.ID, FileReference: seen.FileReference},
		}}, "400 MEDIA_EMPTY"},
		{"missing part", &api.MessagesSendMediaRequest{Peer: peer, RandomID: 9, Media: &api.InputMediaUploadedDocument{File: &api.InputFile{ID: 55, Parts: 1}}}, "400 FILE_PART_0_MISSING"},
		{"the random_id is free again", &api.MessagesSendMediaRequest{Peer: peer, RandomID: 9, Media: good}, ""},
		{"empty text", &api.MessagesSendMessageRequest{Peer: peer, RandomID: 10}, "400 MESSAGE_EMPTY"},
		{"long text", &api.MessagesSendMessageRequest{Peer: peer, RandomID: 11, Message: strings.Repeat("a", 4097)}, "400 MESSAGE_TOO_LONG"},
		{"text", &api.MessagesSendMessageRequest{Peer: peer, RandomID: 12, Message: "a"}, ""},
		{"peer", &api.MessagesSendMessageRequest{Peer: &api.InputPeerChannel{ChannelID: 1}, RandomID: 13, Message: "a"}, "400 CHANNEL_INVALID"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			(&caller{t: t, c: c, dc: b.dc, key: b.key}).fails(tt.q, tt.want)
		})
	}
	rich := &caller{t: t, c: c, dc: 2, key: 9}
	must[*api.AuthAuthorization](rich, &api.AuthImportBotAuthorizationRequest{APIID: 1, APIHash: "h", BotAuthToken: "2:rich"})
	rich.fails(&api.MessagesSendMediaRequest{
		Peer: inputPeer(rich.channel()), Media: rich.uploadDocument(1, []byte("x")), RandomID: 1, Message: strings.Repeat("a", 4096),
	}, "")
}

// pngOf is a PNG file of a size in pixels.
func pngOf(t testing.TB, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, w, h))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestSendPhoto(t *testing.T) {
	c := start(t, Config{})
	b := bot(t, c)
	peer := inputPeer(b.channel())
	for i, tt := range []struct {
		name, file string
		data       []byte
		want       string
	}{
		{"right", "a.PNG", pngOf(t, 30, 20), ""},
		{"extension", "a.pdf", pngOf(t, 30, 20), "400 PHOTO_EXT_INVALID"},
		{"no picture", "a.jpg", []byte("text"), "400 IMAGE_PROCESS_FAILED"},
		{"too long", "a.png", pngOf(t, 2100, 100), "400 PHOTO_INVALID_DIMENSIONS"},
		{"too large", "a.png", pngOf(t, 9500, 600), "400 PHOTO_INVALID_DIMENSIONS"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &caller{t: t, c: c, dc: b.dc, key: b.key}
			n := b.upload(int64(i+1), tt.data, 512<<10, false, rand.New(rand.NewPCG(1, 1)))
			q := &api.MessagesUploadMediaRequest{Peer: peer, Media: &api.InputMediaUploadedPhoto{File: &api.InputFile{ID: int64(i + 1), Parts: int32(n), Name: tt.file}}}
			if tt.want != "" {
				b.fails(q, tt.want)
				return
			}
			p, ok := must[*api.MessageMediaPhoto](b, q).Photo.(*api.Photo)
			if !ok {
				t.Fatal("no photo")
			}
			l := &api.InputPhotoFileLocation{ID: p.ID, AccessHash: p.AccessHash, FileReference: p.FileReference, ThumbSize: "y"}
			if got := b.download(l, int64(len(tt.data))); !bytes.Equal(got, tt.data) {
				t.Error("the bytes were changed")
			}
		})
	}
}

// TestAlbum sends albums, right and wrong.
func TestAlbum(t *testing.T) {
	c := start(t, Config{})
	b := bot(t, c)
	peer := inputPeer(b.channel())
	upload := func(id int64, attributes ...api.DocumentAttributeClass) api.InputMediaClass {
		m := must[*api.MessageMediaDocument](b, &api.MessagesUploadMediaRequest{Peer: peer, Media: b.uploadDocument(id, []byte{byte(id)}, attributes...)})
		d, ok := m.Document.(*api.Document)
		if !ok {
			t.Fatal("no document")
		}
		return &api.InputMediaDocument{ID: &api.InputDocument{ID: d.ID, AccessHash: d.AccessHash, FileReference: d.FileReference}}
	}
	one, two := upload(1), upload(2)
	video := upload(3, &api.DocumentAttributeVideo{W: 1, H: 1})
	voice := upload(4, &api.DocumentAttributeAudio{Voice: true})
	stale := upload(5)
	if m, ok := stale.(*api.InputMediaDocument); ok {
		if d, ok := m.ID.(*api.InputDocument); ok {
			d.FileReference = []byte{}
		}
	}
	random := int64(100)
	album := func(media ...api.InputMediaClass) *api.MessagesSendMultiMediaRequest {
		q := &api.MessagesSendMultiMediaRequest{Peer: peer}
		for i, m := range media {
			random++
			q.MultiMedia = append(q.MultiMedia, api.InputSingleMedia{Media: m, RandomID: random, Message: fmt.Sprint("item ", i)})
		}
		return q
	}
	ids, messages := sentIDs(t, must[*api.Updates](b, album(one, two)))
	if len(ids) != 2 || len(messages) != 2 || messages[0].GroupedID != messages[1].GroupedID || !messages[0].GroupedID.Set || messages[1].ID != messages[0].ID+1 {
		t.Errorf("ids %v, messages %+v", ids, messages)
	}
	b.fails(album(one), "400 MEDIA_EMPTY")
	b.fails(album(one, one, one, one, one, one, one, one, one, one, one), "400 MULTI_MEDIA_TOO_LONG")
	b.fails(album(one, video), "400 GROUPED_MEDIA_INVALID")
	b.fails(album(voice, voice), "400 GROUPED_MEDIA_INVALID")
	b.fails(album(one, stale), "400 FILE_REFERENCE_1_EMPTY")
	b.fails(album(one, b.uploadDocument(6, []byte{6})), "400 MEDIA_INVALID")
	q := album(one, two)
	q.MultiMedia[1].RandomID = q.MultiMedia[0].RandomID
	b.fails(q, "500 RANDOM_ID_DUPLICATE")
	q.MultiMedia[1].RandomID++
	b.fails(q, "") // the failed try took no random_id
}

// TestDifference: what was sent is told to who asks for what is new.
func TestDifference(t *testing.T) {
	c := start(t, Config{Channels: []ChannelConfig{{Username: BigChannel, Files: []FileSpec{{Kind: "text", Count: 10}}}}})
	u := user(t, c)
	ch := u.channel()
	q := &api.UpdatesGetChannelDifferenceRequest{Channel: inputChannel(ch), Filter: &api.ChannelMessagesFilterEmpty{}, Pts: 11, Limit: 100}
	must[*api.UpdatesChannelDifferenceEmpty](u, q)
	for i := range 3 {
		must[*api.Updates](u, &api.MessagesSendMessageRequest{Peer: inputPeer(ch), Message: "new", RandomID: int64(i + 1)})
	}
	d := must[*api.UpdatesChannelDifference](u, q)
	if len(d.NewMessages) != 3 || messageID(t, d.NewMessages[0]) != 11 || d.Pts != 14 || !d.Final {
		t.Errorf("difference %+v", d)
	}
	q.Pts, q.Limit = 5, 4
	if d := must[*api.UpdatesChannelDifference](u, q); len(d.NewMessages) != 4 || messageID(t, d.NewMessages[0]) != 5 || d.Pts != 9 || d.Final {
		t.Errorf("part of a difference %+v", d)
	}
	q.Pts = 0
	u.fails(q, "400 PERSISTENT_TIMESTAMP_EMPTY")
	q.Pts = 15
	u.fails(q, "400 PERSISTENT_TIMESTAMP_INVALID")

	state := must[*api.UpdatesState](u, &api.UpdatesGetStateRequest{})
	own := &api.UpdatesGetDifferenceRequest{Pts: state.Pts, Date: state.Date}
	must[*api.UpdatesDifferenceEmpty](u, own)
	must[*api.Updates](u, &api.MessagesSendMessageRequest{Peer: &api.InputPeerSelf{}, Message: "note", RandomID: 9})
	if d := must[*api.UpdatesDifference](u, own); len(d.NewMessages) != 1 || d.State.Pts != state.Pts+1 {
		t.Errorf("difference %+v", d)
	}
	own.Pts = 99
	u.fails(own, "400 PERSISTENT_TIMESTAMP_INVALID")
	notes := must[*api.MessagesMessages](u, &api.MessagesGetHistoryRequest{Peer: &api.InputPeerSelf{}})
	if len(notes.Messages) != 1 {
		t.Errorf("%d saved messages, want 1", len(notes.Messages))
	}
	byID := must[*api.MessagesMessages](u, &api.MessagesGetMessagesRequest{ID: []api.InputMessageClass{&api.InputMessageID{ID: 1}}})
	if m, ok := byID.Messages[0].(*api.Message); !ok || m.Message != "note" {
		t.Errorf("saved message 1 is %+v", byID.Messages[0])
	}
	long := start(t, Config{Channels: []ChannelConfig{{Username: BigChannel, Files: []FileSpec{{Kind: "text", Count: tooLong + 5}}}}})
	u = user(t, long)
	must[*api.UpdatesChannelDifferenceTooLong](u, &api.UpdatesGetChannelDifferenceRequest{
		Channel: inputChannel(u.channel()), Filter: &api.ChannelMessagesFilterEmpty{}, Pts: 1, Limit: 1,
	})
}

// TestState: a cluster goes on where the one before it ended.
func TestState(t *testing.T) {
	dir := t.TempDir()
	rnd := rand.New(rand.NewPCG(8, 8))
	small, big := noise(rnd, 3000), noise(rnd, 11<<20)
	c := start(t, Config{StateDir: dir})
	b := bot(t, c)
	peer := inputPeer(b.channel())
	n := b.upload(2, big, 512<<10, true, rnd)
	b.upload(3, big[:600<<10], 512<<10, true, rnd) // never sent
	_, first := sentIDs(t, must[*api.Updates](b, &api.MessagesSendMediaRequest{Peer: peer, RandomID: 1, Media: b.uploadDocument(1, small), Message: "small"}))
	_, second := sentIDs(t, must[*api.Updates](b, &api.MessagesSendMediaRequest{Peer: peer, RandomID: 2, Media: &api.InputMediaUploadedDocument{
		File: &api.InputFileBig{ID: 2, Parts: int32(n), Name: "big.bin"},
	}}))
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	keys := c.Datacenters().PublicKeys[0]
	for range 2 {
		c = start(t, Config{StateDir: dir})
		b = &caller{t: t, c: c, dc: b.dc, key: b.key} // signs in no more
		if c.Datacenters().PublicKeys[0] != keys {
			t.Error("the RSA key changed")
		}
		if _, err := b.raw(&api.UpdatesGetStateRequest{}); err != nil {
			t.Errorf("without a new initConnection: %v", err)
		}
		for want, m := range map[string]*api.Message{string(small): first[0], string(big): second[0]} {
			d := documentOf(t, b.message(int(m.ID)))
			if old := documentOf(t, m); d.ID != old.ID || string(d.FileReference) == "" {
				t.Errorf("document %d, was %d", d.ID, old.ID)
			}
			if got := b.download(location(documentOf(t, m)), d.Size); string(got) != want {
				t.Errorf("%d bytes differ", len(want))
			}
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		left, err := filepath.Glob(filepath.Join(dir, "parts-*"))
		if err != nil || len(left) != 0 {
			t.Errorf("left over: %v, %v", left, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "state.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Config{StateDir: dir, InMemory: true}); err == nil {
		t.Error("a broken state is no error")
	}
}
