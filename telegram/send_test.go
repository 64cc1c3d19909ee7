package telegram

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

func TestSendUploaded(t *testing.T) {
	to := Peer{Kind: PeerChannel, ID: fakeChannelID, AccessHash: 66}
	u := Uploaded{InputFile: &api.InputFileBig{ID: 5, Parts: 3, Name: "a.bin"}, Name: "a.bin", Caption: "hello", Size: 1000, RandomID: 4242}
	doc := testDocument(1000, "application/octet-stream", &api.DocumentAttributeFilename{FileName: "a.bin"})
	message := func(id int32, caption string, d *api.Document) *api.Message {
		return &api.Message{
			Out: true, ID: id, PeerID: &api.PeerChannel{ChannelID: fakeChannelID}, Message: caption,
			Media: &api.MessageMediaDocument{Document: d},
		}
	}
	sent := &api.Updates{Updates: []api.UpdateClass{
		&api.UpdateMessageID{ID: 8, RandomID: 1}, &api.UpdateMessageID{ID: 9, RandomID: 4242},
		&api.UpdateNewChannelMessage{Message: message(8, "other", doc)}, &api.UpdateNewChannelMessage{Message: message(9, "hello", doc)},
	}}
	idOnly := &api.Updates{Updates: []api.UpdateClass{&api.UpdateMessageID{ID: 9, RandomID: 4242}}}
	other := testDocument(1000, "application/octet-stream", &api.DocumentAttributeFilename{FileName: "b.bin"})
	smaller := testDocument(999, "application/octet-stream", &api.DocumentAttributeFilename{FileName: "a.bin"})
	for _, c := range []struct {
		name    string
		answers []any // to messages.sendMedia: tl.Object or error
		newest  []*api.Message
		id      int
		part    int
		want    error
	}{
		{name: "sent", answers: []any{sent}, id: 9},
		{name: "id only", answers: []any{idOnly}, newest: []*api.Message{message(9, "hello", doc)}, id: 9},
		{name: "after trouble", answers: []any{rpcErr(500, "X", 0), sent}, id: 9},
		{name: "answer lost", answers: []any{unknownOutcome(), rpcErr(500, "RANDOM_ID_DUPLICATE", 0)}, newest: []*api.Message{
			message(12, "hello", other), message(11, "hello", smaller), message(10, "bye", doc), message(9, "hello", doc),
		}, id: 9},
		{name: "sent before, not found", answers: []any{rpcErr(500, "RANDOM_ID_DUPLICATE", 0)}, want: ErrAlreadySent},
		{name: "part missing", answers: []any{rpcErr(400, "FILE_PART_X_MISSING", 17)}, part: 17},
		{name: "forbidden", answers: []any{rpcErr(403, "CHAT_WRITE_FORBIDDEN", 0)}, want: &mtproto.RPCError{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ch := &fakeChannel{hash: 66}
				answers := c.answers
				f := &fakeTelegram{answer: func(call fakeCall) (tl.Object, error) {
					switch q := call.q.(type) {
					case *api.MessagesSendMediaRequest:
						media, ok := q.Media.(*api.InputMediaUploadedDocument)
						if !ok || q.RandomID != 4242 || q.Message != "hello" || media.MimeType != "application/octet-stream" || len(media.Attributes) != 1 {
							t.Errorf("sent %+v with %+v", q, q.Media)
						}
						a := answers[0]
						answers = answers[1:]
						if err, ok := a.(error); ok {
							return nil, err
						}
						return a.(tl.Object), nil
					case *api.MessagesGetHistoryRequest, *api.ChannelsGetMessagesRequest:
						page := &api.MessagesChannelMessages{Chats: []api.ChatClass{ch.chat()}}
						for _, m := range c.newest {
							page.Messages = append(page.Messages, m)
						}
						c.newest = nil
						return page, nil
					}
					return nil, nil
				}}
				client := fakeClient(t, f, asUser(t))
				id, file, err := client.SendUploaded(t.Context(), to, u)
				var missing *PartMissingError
				var rpc *mtproto.RPCError
				switch {
				case c.part != 0:
					if !errors.As(err, &missing) || missing.Part != c.part {
						t.Errorf("got %v, want part %d missing", err, c.part)
					}
				case errors.As(c.want, &rpc):
					if !errors.As(err, &rpc) {
						t.Errorf("got %v, want the server's error", err)
					}
				case !errors.Is(err, c.want):
					t.Errorf("got error %v, want %v", err, c.want)
				case id != c.id || c.id != 0 && (file.ID != 77 || file.Origin.MessageID != c.id || file.Name != "a.bin"):
					t.Errorf("got message %d with %+v, want message %d with a.bin", id, file, c.id)
				}
				if len(answers) != 0 {
					t.Errorf("%d tries fewer than expected", len(answers))
				}
			})
		})
	}
	c := fakeClient(t, new(fakeTelegram), nil)
	if _, _, err := c.SendUploaded(t.Context(), to, Uploaded{InputFile: u.InputFile}); err == nil {
		t.Error("without a random id: got no error")
	}
}

func TestUploadedMedia(t *testing.T) {
	file := &api.InputFile{ID: 1, Parts: 1, Name: "x.jpg"}
	if m, ok := (Uploaded{InputFile: file, Photo: true}).media().(*api.InputMediaUploadedPhoto); !ok || m.File != file {
		t.Errorf("photo: got %+v", m)
	}
	attrs := make([]api.DocumentAttributeClass, 1, 5) // room that must not be written to
	attrs[0] = &api.DocumentAttributeAnimated{}
	m, ok := (Uploaded{InputFile: file, Name: "x", MimeType: "a/b", Attributes: attrs, ForceFile: true}).media().(*api.InputMediaUploadedDocument)
	if !ok || m.MimeType != "a/b" || !m.ForceFile || len(m.Attributes) != 2 {
		t.Errorf("document: got %+v", m)
	}
	if slices.ContainsFunc(attrs[:2], func(a api.DocumentAttributeClass) bool { _, ok := a.(*api.DocumentAttributeFilename); return ok }) {
		t.Error("the caller's slice was written to")
	}
}
