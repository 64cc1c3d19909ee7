package layers

import (
	"bytes"
	"testing"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
	"github.com/tghaul/haul/tl/schema"
)

// answers are what the cluster sends, with the fields it fills in.
func answers() []tl.Object {
	user := &api.User{Self: true, Bot: true, ID: 5, AccessHash: tl.Some[int64](6), FirstName: tl.Some("Sim"), BotInfoVersion: tl.Some[int32](1)}
	channel := &api.Channel{
		Broadcast: true, ID: 7, AccessHash: tl.Some[int64](8), Title: "T", Username: tl.Some("bigchannel"), Photo: &api.ChatPhotoEmpty{}, Date: 9,
		AdminRights: &api.ChatAdminRights{PostMessages: true},
	}
	doc := &api.Document{
		ID: 1, AccessHash: 2, FileReference: []byte{3}, MimeType: "video/mp4", Size: 5 << 30, DCID: 4,
		Thumbs: []api.PhotoSizeClass{&api.PhotoSize{Type: "m", W: 3, H: 2, Size: 9}},
		Attributes: []api.DocumentAttributeClass{
			&api.DocumentAttributeVideo{SupportsStreaming: true, Duration: 2.5, W: 3, H: 4}, &api.DocumentAttributeFilename{FileName: "a"},
		},
	}
	message := &api.Message{
		Post: true, ID: 10, PeerID: &api.PeerChannel{ChannelID: 7}, Date: 11, Message: "hi", Views: tl.Some[int32](12),
		GroupedID: tl.Some[int64](13), Entities: []api.MessageEntityClass{&api.MessageEntityBold{Length: 1}},
		Media: &api.MessageMediaDocument{Video: true, Document: doc},
	}
	service := &api.MessageService{Post: true, ID: 1, PeerID: &api.PeerChannel{ChannelID: 7}, Date: 2, Action: &api.MessageActionChannelCreate{Title: "T"}}
	chats, users := []api.ChatClass{channel}, []api.UserClass{user}
	return []tl.Object{
		&api.AuthAuthorization{User: user},
		&api.Config{DCOptions: []api.DcOption{{MediaOnly: true, ID: 2, IPAddress: "127.0.0.1", Port: 443}}, ThisDC: 2, MeURLPrefix: "https://t.me/"},
		&api.ContactsResolvedPeer{Peer: &api.PeerChannel{ChannelID: 7}, Chats: chats, Users: users},
		&api.MessagesChannelMessages{Pts: 3, Count: 2, Messages: []api.MessageClass{message, service, &api.MessageEmpty{ID: 4}}, Chats: chats, Users: users},
		&api.MessagesMessagesSlice{Count: 1, Messages: []api.MessageClass{message}, Users: users},
		&api.MessagesDialogs{Dialogs: []api.DialogClass{&api.Dialog{Peer: &api.PeerChannel{ChannelID: 7}, TopMessage: 10, Pts: tl.Some[int32](3)}}, Messages: []api.MessageClass{message}, Chats: chats},
		&api.MessagesChatFull{FullChat: &api.ChannelFull{ID: 7, About: "a", ChatPhoto: &api.PhotoEmpty{}, Pts: 3}, Chats: chats},
		&api.Updates{Updates: []api.UpdateClass{&api.UpdateMessageID{ID: 10, RandomID: 5}, &api.UpdateNewChannelMessage{Message: message, Pts: 4, PtsCount: 1}}, Chats: chats},
		&api.MessageMediaPhoto{Photo: &api.Photo{ID: 1, FileReference: []byte{}, DCID: 2, Sizes: []api.PhotoSizeClass{&api.PhotoSizeProgressive{Type: "y", Sizes: []int32{1, 2}}}}},
		&api.UploadFileCdnRedirect{DCID: 203, FileToken: []byte{1}, EncryptionKey: []byte{2}, EncryptionIv: []byte{3}, FileHashes: []api.FileHash{{Offset: 1 << 33, Limit: 5, Hash: []byte{6}}}},
		&api.AccountPassword{NewAlgo: &api.PasswordKdfAlgoUnknown{}, NewSecureAlgo: &api.SecurePasswordKdfAlgoUnknown{}, SecureRandom: []byte{}},
	}
}

// TestDown: every answer has a shape in every layer, which reads as what it
// was, and no constructor in it is younger than the layer.
func TestDown(t *testing.T) {
	for _, a := range answers() {
		for layer := 144; layer <= schema.Layer; layer++ {
			o, err := Downgrade(a, layer)
			if err != nil {
				t.Fatalf("%s in layer %d: %v", a.TypeName(), layer, err)
			}
			b := tl.Marshal(o)
			d := tl.NewDecoder(b)
			v := read(d, &schema.Type{Kind: schema.Object})
			if err := d.End(); err != nil {
				t.Fatalf("%s in layer %d: %v", a.TypeName(), layer, err)
			}
			again, err := write(v, layer)
			if err != nil || !bytes.Equal(again, b) {
				t.Fatalf("%s in layer %d: writing what was read gives other bytes, %v", a.TypeName(), layer, err)
			}
			if layer == schema.Layer && !bytes.Equal(b, tl.Marshal(a)) {
				t.Errorf("%s was changed for the current layer", a.TypeName())
			}
		}
	}
}

// TestShapeOfMessage pins ids that clients of some layers wait for.
func TestShapeOfMessage(t *testing.T) {
	for _, tt := range []struct {
		layer   int
		message uint32
		user    uint32
	}{{144, 0x38116ee0, 0x3ff6ecb0}, {147, 0x38116ee0, 0x5d99adee}, {158, 0x38116ee0, 0x8f97c628}, {228, api.MessageID, api.UserID}} {
		m, err := Downgrade(&api.Message{PeerID: &api.PeerUser{}}, tt.layer)
		if err != nil {
			t.Fatal(err)
		}
		u, err := Downgrade(&api.User{}, tt.layer)
		if err != nil {
			t.Fatal(err)
		}
		if m.TypeID() != tt.message || u.TypeID() != tt.user {
			t.Errorf("layer %d: message %#x, user %#x; want %#x, %#x", tt.layer, m.TypeID(), u.TypeID(), tt.message, tt.user)
		}
	}
}

// TestUp: a query in an old shape becomes the current one.
func TestUp(t *testing.T) {
	q := &api.MessagesSendMediaRequest{
		Peer: &api.InputPeerChannel{ChannelID: 1, AccessHash: 2}, Message: "m", RandomID: 3, Silent: true,
		Media: &api.InputMediaUploadedDocument{
			File: &api.InputFileBig{ID: 4, Parts: 5, Name: "n"}, MimeType: "a/b", ForceFile: true,
			Attributes: []api.DocumentAttributeClass{&api.DocumentAttributeVideo{Duration: 7, W: 1, H: 2}},
		},
	}
	want := tl.Marshal(q)
	for layer := 144; layer <= schema.Layer; layer++ {
		old, err := Downgrade(q, layer)
		if err != nil {
			t.Fatalf("layer %d: %v", layer, err)
		}
		got, err := Upgrade(tl.Marshal(old), layer)
		if err != nil {
			t.Fatalf("layer %d: %v", layer, err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("layer %d: got\n%x, want\n%x", layer, []byte(got), want)
		}
	}
	unknown := tl.Raw{1, 2, 3, 4, 5, 6, 7, 8}
	if got, err := Upgrade(unknown, 150); err != nil || !bytes.Equal(got, unknown) {
		t.Errorf("unknown query: %x, %v", []byte(got), err)
	}
	if _, err := Upgrade(want[:len(want)-4], 150); err == nil {
		t.Error("a query that is cut off was read")
	}
}

// FuzzUpgrade: no query breaks it, and what comes out is TL of the current layer.
func FuzzUpgrade(f *testing.F) {
	f.Add(tl.Marshal(&api.MessagesSearchRequest{Peer: &api.InputPeerSelf{}, Filter: &api.InputMessagesFilterEmpty{}}), 160)
	f.Add(tl.Marshal(&api.HelpGetConfigRequest{}), 144)
	f.Fuzz(func(t *testing.T, b []byte, layer int) {
		up, err := Upgrade(b, layer)
		if err != nil || layer <= 0 || layer >= schema.Layer || lookup(tl.Raw(b).TypeID()) == nil {
			return
		}
		if n, err := schema.Measure(up); err != nil || n != len(up) {
			t.Errorf("layer %d: %x became %x: %d bytes, %v", layer, b, []byte(up), n, err)
		}
	})
}
