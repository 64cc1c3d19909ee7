package telegram

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// TestAlbumCaption: the caption of an album stands on one message of it,
// whichever items are refused or were sent before.
func TestAlbumCaption(t *testing.T) {
	to := Peer{Kind: PeerChannel, ID: fakeChannelID, AccessHash: 66}
	bad, dup := rpcErr(400, "MEDIA_INVALID", 0), rpcErr(500, "RANDOM_ID_DUPLICATE", 0)
	stale, secondStale := rpcErr(400, "FILE_REFERENCE_EXPIRED", 0), rpcErr(400, "FILE_REFERENCE_X_EXPIRED", 1)
	type there struct {
		item int
		text string
	}
	for _, c := range []struct {
		name  string
		group []any // what it answers to groups: nil for yes, or an error
		alone map[int]any
		there []there
		want  string // each item in order: its caption, with - if it was not sent, and ! if its message is said to have one
	}{
		{name: "sent", group: []any{nil}, want: "c! . ."},
		{name: "the first is refused", group: []any{bad}, alone: map[int]any{0: bad}, want: "- c! ."},
		{name: "two are refused", group: []any{bad}, alone: map[int]any{0: bad, 1: bad}, want: "- - c!"},
		{name: "the first is stale", group: []any{bad}, alone: map[int]any{0: stale}, want: "- c! ."},
		{name: "the second is refused", group: []any{bad}, alone: map[int]any{1: bad}, want: "c! - ."},
		{name: "all are refused", group: []any{bad}, alone: map[int]any{0: bad, 1: bad, 2: bad}, want: "- - -"},
		{name: "no good as a caption", group: []any{rpcErr(400, "MEDIA_CAPTION_TOO_LONG", 0)}, want: "- - -"},
		{name: "no good as formatting", group: []any{rpcErr(400, "ENTITY_BOUNDS_INVALID", 0)}, want: "- - -"},
		{name: "sent before", group: []any{dup, nil}, there: []there{{0, "c"}}, want: ".! . ."},
		{name: "sent before without it", group: []any{dup, nil}, there: []there{{0, ""}}, want: ". c! ."},
		{name: "sent before, on another", group: []any{dup}, there: []there{{0, ""}, {1, "c"}}, want: ". .! ."},
		{name: "the first was refused, and its caption sent on another", group: []any{dup, nil}, there: []there{{1, "c"}}, want: ". .! ."},
		{name: "only the first is left", group: []any{dup}, there: []there{{1, "c"}, {2, ""}}, want: ". .! ."},
		{name: "none has it, and one is refused", group: []any{dup, bad}, there: []there{{0, ""}}, alone: map[int]any{1: bad}, want: ". - c!"},
		{name: "refused again, and its caption sent on another", group: []any{bad, bad}, there: []there{{1, "c"}}, want: ". .! ."},
		{name: "stale is the one that was sent", group: []any{secondStale, nil}, there: []there{{1, "c"}}, want: ". .! ."},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				items, captions := make([]AlbumItem, 3), make([]string, 3)
				for i := range items {
					items[i] = AlbumItem{Media: Media{ID: int64(100 + i)}, RandomID: int64(i + 1)}
				}
				items[0].Caption, items[0].Entities = "c", []api.MessageEntityClass{&api.MessageEntityBold{Length: 1}}
				got := func(u *api.Updates, id int64, text string, entities []api.MessageEntityClass) {
					captions[id-1] = text
					if (text != "") != (len(entities) != 0) {
						t.Errorf("item %d has %d entities", id-1, len(entities))
					}
					u.Updates = append(u.Updates, &api.UpdateMessageID{ID: int32(50 + id), RandomID: id})
				}
				f := &fakeTelegram{answer: func(call fakeCall) (tl.Object, error) {
					answer := new(api.Updates)
					switch q := call.q.(type) {
					case *api.MessagesSendMultiMediaRequest:
						if len(c.group) == 0 {
							t.Fatal("a group too many")
						}
						err, _ := c.group[0].(error)
						if c.group = c.group[1:]; err != nil {
							return nil, err
						}
						for _, m := range q.MultiMedia {
							got(answer, m.RandomID, m.Message, m.Entities)
						}
						return answer, nil
					case *api.MessagesSendMediaRequest:
						if err, refused := c.alone[int(q.RandomID-1)].(error); refused {
							return nil, err
						}
						got(answer, q.RandomID, q.Message, q.Entities)
						return answer, nil
					case *api.MessagesGetHistoryRequest:
						page := &api.MessagesChannelMessages{Chats: []api.ChatClass{(&fakeChannel{hash: 66}).chat()}}
						for n := len(c.there) - 1; n >= 0 && q.OffsetID == 0; n-- {
							d := testDocument(10, "image/png")
							d.ID = items[c.there[n].item].Media.ID
							page.Messages = append(page.Messages, &api.Message{
								ID: int32(71 + n), PeerID: &api.PeerChannel{ChannelID: fakeChannelID}, Message: c.there[n].text,
								Media: &api.MessageMediaDocument{Document: d},
							})
						}
						return page, nil
					case *api.ChannelsGetMessagesRequest:
						return &api.MessagesChannelMessages{Chats: []api.ChatClass{(&fakeChannel{hash: 66}).chat()}}, nil
					}
					return nil, nil
				}}
				var seen []string
				for i, r := range fakeClient(t, f, asUser(t)).SendAlbum(t.Context(), to, items, SendOptions{}) {
					s := map[bool]string{true: "."}[captions[i] == ""] + captions[i]
					if !r.Sent {
						s = "-"
					}
					if r.Captioned {
						s += "!"
					}
					if r.Sent == (r.Err != nil) {
						t.Errorf("item %d: %+v", i, r)
					}
					seen = append(seen, s)
				}
				if s := strings.Join(seen, " "); s != c.want {
					t.Errorf("got %s, want %s", s, c.want)
				}
				if items[0].Caption != "c" || items[1].Caption != "" {
					t.Error(fmt.Sprint("the caller's items have changed: ", items))
				}
			})
		})
	}
}
