package dctest

import (
	"bytes"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

func jpegOf(t testing.TB, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, w, h)), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestEntityBounds(t *testing.T) {
	c := start(t, Config{})
	b := bot(t, c)
	bold := func(at, n int32) api.MessageEntityClass { return &api.MessageEntityBold{Offset: at, Length: n} }
	italic := func(at, n int32) api.MessageEntityClass { return &api.MessageEntityItalic{Offset: at, Length: n} }
	const text = "ab\U0001f600cd" // six units
	for i, tt := range []struct {
		entities []api.MessageEntityClass
		ok       bool
	}{
		{[]api.MessageEntityClass{bold(0, 6)}, true},
		{[]api.MessageEntityClass{bold(0, 7)}, false},
		{[]api.MessageEntityClass{bold(-1, 2)}, false},
		{[]api.MessageEntityClass{bold(1, 0)}, false},
		{[]api.MessageEntityClass{bold(0, 3)}, false}, // half of the emoji
		{[]api.MessageEntityClass{bold(3, 2)}, false},
		{[]api.MessageEntityClass{bold(0, 4), italic(2, 2)}, true},
		{[]api.MessageEntityClass{bold(0, 4), italic(2, 3)}, false}, // overlap
		{[]api.MessageEntityClass{&api.MessageEntityTextUrl{Length: 2, URL: "nonsense"}}, false},
	} {
		_, err := b.call(&api.MessagesSendMessageRequest{Peer: inputPeer(b.channel()), RandomID: int64(i + 1), Message: text, Entities: tt.entities})
		if (err == nil) != tt.ok {
			t.Errorf("%d: %v", i, err)
		}
	}
}

// TestScheduled: a message that is scheduled is sent when it is due.
func TestScheduled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := Start(t.Context(), Config{InMemory: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close() //nolint:errcheck // in memory
		u := user(t, c)
		peer := inputPeer(u.channel())
		at := func(d time.Duration) tl.Opt[int32] { return tl.Some(int32(time.Now().Add(d).Unix())) }
		q := func(id int64, d time.Duration) *api.MessagesSendMessageRequest {
			return &api.MessagesSendMessageRequest{Peer: peer, RandomID: id, Message: "later", ScheduleDate: at(d)}
		}
		u.fails(q(1, -time.Minute), "400 SCHEDULE_DATE_INVALID")
		u.fails(q(2, 366*24*time.Hour), "400 SCHEDULE_DATE_TOO_LATE")
		top := len(c.world.channels[0].sent)
		up := must[*api.Updates](u, q(3, time.Hour))
		if _, ok := up.Updates[1].(*api.UpdateNewScheduledMessage); !ok || c.Scheduled() != 1 || len(c.world.channels[0].sent) != top {
			t.Fatalf("%T, %d scheduled", up.Updates[1], c.Scheduled())
		}
		u.fails(q(3, time.Hour), "500 RANDOM_ID_DUPLICATE")
		time.Sleep(time.Hour + time.Second)
		u.channel() // whatever is called
		sent := c.world.channels[0].sent
		if c.Scheduled() != 0 || len(sent) != top+1 || sent[top].text != "later" {
			t.Errorf("%d scheduled, %d sent", c.Scheduled(), len(sent)-top)
		}
		for i := range int64(maxScheduled) {
			must[*api.Updates](u, q(10+i, time.Hour))
		}
		u.fails(q(9, time.Hour), "400 SCHEDULE_TOO_MUCH")
	})
}

// TestReplies: a message is where it was sent to, and only existing ones can be answered.
func TestReplies(t *testing.T) {
	c := start(t, Config{Channels: []ChannelConfig{
		{Username: BigChannel, Topics: []string{"News", "Old"}, ClosedTopics: []string{"Old"}, Files: []FileSpec{{Kind: "text", Count: 6}}},
		{Username: "plain", Files: []FileSpec{{Kind: "text", Count: 3}}},
	}})
	u := user(t, c)
	forum := inputPeer(u.channel()) // 1 General, 2 News, 3 Old, 4 to 9 messages in turn
	id := int64(0)
	send := func(reply, top int32) *api.MessagesSendMessageRequest {
		id++
		q := &api.InputReplyToMessage{ReplyToMsgID: reply}
		if top != 0 {
			q.TopMsgID = tl.Some(top)
		}
		return &api.MessagesSendMessageRequest{Peer: forum, RandomID: id, Message: "x", Silent: true, ReplyTo: q}
	}
	for _, tt := range []struct {
		reply, top int32
		want       string
		topic, to  int32
	}{
		{2, 0, "", 2, 2},
		{5, 2, "", 2, 5},
		{5, 0, "", 2, 5},
		{3, 0, "400 TOPIC_CLOSED", 0, 0},
		{6, 3, "400 TOPIC_CLOSED", 0, 0},
		{5, 3, "400 TOPIC_ID_INVALID", 0, 0},
		{99, 0, "400 REPLY_MESSAGE_ID_INVALID", 0, 0},
		{4, 0, "", 1, 4},
	} {
		q := send(tt.reply, tt.top)
		if tt.want != "" {
			u.fails(q, tt.want)
			continue
		}
		_, sent := sentIDs(t, must[*api.Updates](u, q))
		h, _ := sent[0].ReplyTo.(*api.MessageReplyHeader)
		topic := int32(1)
		if h != nil && h.ForumTopic {
			if topic = h.ReplyToTopID.Value; topic == 0 {
				topic = h.ReplyToMsgID.Value
			}
		}
		if h == nil || topic != tt.topic || h.ReplyToMsgID.Value != tt.to || !sent[0].Silent {
			t.Errorf("%+v: %+v", tt, h)
		}
	}
	replies := must[*api.MessagesChannelMessages](u, &api.MessagesGetRepliesRequest{Peer: forum, MsgID: 2})
	if got := messageID(t, replies.Messages[0]); got != 12 { // the newest that went to News
		t.Errorf("newest of the topic is %d", got)
	}
	p := must[*api.ContactsResolvedPeer](u, &api.ContactsResolveUsernameRequest{Username: "plain"})
	ch, _ := p.Chats[0].(*api.Channel)
	q := send(1, 1)
	q.Peer = inputPeer(ch)
	u.fails(q, "400 REPLY_TO_INVALID")
	q.SendAs, q.ReplyTo = &api.InputPeerSelf{}, nil
	u.fails(q, "400 SEND_AS_PEER_INVALID")
}

// TestForbidden: what members may not send is refused, and slow mode holds.
func TestForbidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := Start(t.Context(), Config{InMemory: true, Channels: []ChannelConfig{
			{Username: BigChannel, Forbidden: []string{"photos"}, SlowMode: Duration(30 * time.Second), Files: []FileSpec{{Kind: "text", Count: 1}}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close() //nolint:errcheck // in memory
		u := user(t, c)
		peer := inputPeer(u.channel())
		if ch := u.channel(); ch.DefaultBannedRights == nil || !ch.DefaultBannedRights.SendPhotos || ch.AdminRights != nil {
			t.Errorf("rights %+v", ch.DefaultBannedRights)
		}
		pic := pngOf(t, 30, 20)
		n := u.upload(1, pic, 512<<10, false, rand.New(rand.NewPCG(1, 1)))
		u.fails(&api.MessagesSendMediaRequest{Peer: peer, RandomID: 1, Media: &api.InputMediaUploadedPhoto{
			File: &api.InputFile{ID: 1, Parts: int32(n), Name: "a.png"},
		}}, "403 CHAT_SEND_PHOTOS_FORBIDDEN")
		text := &api.MessagesSendMessageRequest{Peer: peer, RandomID: 2, Message: "x"}
		must[*api.Updates](u, text)
		text.RandomID = 3
		time.Sleep(10 * time.Second)
		u.fails(text, "420 SLOWMODE_WAIT_20")
		time.Sleep(20 * time.Second)
		must[*api.Updates](u, text)
	})
}

// TestDocumentMedia: what a client says of a document is what is seen of it.
func TestDocumentMedia(t *testing.T) {
	c := start(t, Config{})
	b := bot(t, c)
	peer := inputPeer(b.channel())
	id := int64(0)
	up := func(data []byte) *api.InputFile {
		id++
		return &api.InputFile{ID: id, Parts: int32(b.upload(id, data, 512<<10, false, rand.New(rand.NewPCG(1, 1)))), Name: "x.jpg"}
	}
	video := func(mute bool) *api.InputMediaUploadedDocument {
		data := []byte("moov vide soun")
		if mute {
			data = data[:9]
		}
		return &api.InputMediaUploadedDocument{File: up(data), MimeType: "video/mp4", Attributes: []api.DocumentAttributeClass{&api.DocumentAttributeVideo{W: 4, H: 3}}}
	}
	sent := func(m *api.InputMediaUploadedDocument) *api.Document {
		id++
		_, messages := sentIDs(t, must[*api.Updates](b, &api.MessagesSendMediaRequest{Peer: peer, RandomID: id, Media: m}))
		return documentOf(t, messages[0])
	}
	has := func(d *api.Document, want uint32) bool {
		for _, a := range d.Attributes {
			if a.TypeID() == want {
				return true
			}
		}
		return false
	}
	quiet := video(true)
	quiet.NosoundVideo = true
	forced := video(false)
	forced.ForceFile = true
	if has(sent(video(false)), api.DocumentAttributeAnimatedID) || has(sent(quiet), api.DocumentAttributeAnimatedID) || !has(sent(video(true)), api.DocumentAttributeAnimatedID) {
		t.Error("only a mute video that does not say so is an animation")
	}
	if has(sent(forced), api.DocumentAttributeVideoID) {
		t.Error("a forced file is a video")
	}
	thumb := jpegOf(t, 320, 200)
	withThumb := video(false)
	withThumb.Thumb = up(thumb)
	d := sent(withThumb)
	at := location(d)
	at.ThumbSize = "m"
	if len(d.Thumbs) != 1 || !bytes.Equal(b.download(at, int64(len(thumb))), thumb) {
		t.Errorf("thumbs %+v", d.Thumbs)
	}
	for name, bad := range map[string][]byte{"no JPEG": pngOf(t, 30, 30), "too wide": jpegOf(t, 321, 20), "too large": append(jpegOf(t, 32, 32), make([]byte, 200<<10)...)} {
		m := video(false)
		m.Thumb = up(bad)
		if _, err := b.call(&api.MessagesUploadMediaRequest{Peer: peer, Media: m}); errorText(err) != "400 IMAGE_PROCESS_FAILED" {
			t.Errorf("%s: %v", name, err)
		}
	}
	flat := video(false)
	flat.Attributes = []api.DocumentAttributeClass{&api.DocumentAttributeVideo{}}
	b.fails(&api.MessagesUploadMediaRequest{Peer: peer, Media: flat}, "400 MEDIA_INVALID")
}
