package telegram

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// TestSendAlbum: what becomes of each item, by what the server answers.
func TestSendAlbum(t *testing.T) {
	to := Peer{Kind: PeerChannel, ID: fakeChannelID, AccessHash: 66}
	items := make([]AlbumItem, 3)
	for i := range items {
		items[i] = AlbumItem{Media: Media{ID: int64(100 + i), AccessHash: 1, FileReference: []byte{1}}, RandomID: int64(i + 1)}
	}
	sent := func(ids ...int64) *api.Updates { // by random id; messages are 50 more
		u := new(api.Updates)
		for _, id := range ids {
			u.Updates = append(u.Updates, &api.UpdateMessageID{ID: int32(50 + id), RandomID: id})
		}
		return u
	}
	dup := rpcErr(500, "RANDOM_ID_DUPLICATE", 0)
	for _, c := range []struct {
		name   string
		groups []any // answers to sendMultiMedia
		alone  []any // to sendMedia
		there  []int // items in the history, as messages 71, 72, ...
		asked  [][]int64
		want   []int // messages; -1: sent, not known; -2: stale; -3: refused; 0: not tried
	}{
		{name: "sent", groups: []any{sent(1, 2, 3)}, asked: [][]int64{{1, 2, 3}}, want: []int{51, 52, 53}},
		{name: "after trouble", groups: []any{unknownOutcome(), sent(1, 2, 3)}, asked: [][]int64{{1, 2, 3}, {1, 2, 3}}, want: []int{51, 52, 53}},
		{name: "sent before", groups: []any{dup}, there: []int{0, 1, 2}, asked: [][]int64{{1, 2, 3}}, want: []int{71, 72, 73}},
		{name: "one was not", groups: []any{dup}, alone: []any{sent(3)}, there: []int{0, 1}, asked: [][]int64{{1, 2, 3}}, want: []int{71, 72, 53}},
		{name: "two were not", groups: []any{dup, sent(1, 3)}, there: []int{1}, asked: [][]int64{{1, 2, 3}, {1, 3}}, want: []int{51, 71, 53}},
		{name: "nothing is found", groups: []any{dup}, alone: []any{dup, sent(2), dup}, asked: [][]int64{{1, 2, 3}}, want: []int{-1, 52, -1}},
		{name: "a stale one", groups: []any{rpcErr(400, "FILE_REFERENCE_X_EXPIRED", 1)}, asked: [][]int64{{1, 2, 3}}, want: []int{0, -2, 0}},
		{name: "a stale one of the rest", groups: []any{dup, rpcErr(400, "FILE_REFERENCE_X_EXPIRED", 1)}, there: []int{0}, asked: [][]int64{{1, 2, 3}, {2, 3}}, want: []int{71, 0, -2}},
		{name: "forbidden", groups: []any{rpcErr(403, "CHAT_SEND_PHOTOS_FORBIDDEN", 0)}, asked: [][]int64{{1, 2, 3}}, want: []int{-3, -3, -3}},
		{name: "a bad one", groups: []any{rpcErr(400, "MEDIA_INVALID", 0)}, alone: []any{sent(1), rpcErr(400, "MEDIA_INVALID", 0), rpcErr(400, "FILE_REFERENCE_EXPIRED", 0)}, asked: [][]int64{{1, 2, 3}}, want: []int{51, -3, -2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked [][]int64
				next := func(list *[]any) (tl.Object, error) {
					if len(*list) == 0 {
						t.Fatal("asked more often than expected")
					}
					a := (*list)[0]
					*list = (*list)[1:]
					if err, ok := a.(error); ok {
						return nil, err
					}
					o, _ := a.(tl.Object)
					return o, nil
				}
				f := &fakeTelegram{answer: func(call fakeCall) (tl.Object, error) {
					switch q := call.q.(type) {
					case *api.MessagesSendMultiMediaRequest:
						var ids []int64
						for _, m := range q.MultiMedia {
							ids = append(ids, m.RandomID)
						}
						asked = append(asked, ids)
						return next(&c.groups)
					case *api.MessagesSendMediaRequest:
						return next(&c.alone)
					case *api.MessagesGetHistoryRequest:
						page := &api.MessagesChannelMessages{Chats: []api.ChatClass{(&fakeChannel{hash: 66}).chat()}}
						for n := len(c.there) - 1; n >= 0 && q.OffsetID == 0; n-- {
							d := testDocument(10, "image/png")
							d.ID = items[c.there[n]].Media.ID
							page.Messages = append(page.Messages, &api.Message{ID: int32(71 + n), PeerID: &api.PeerChannel{ChannelID: fakeChannelID}, Media: &api.MessageMediaDocument{Document: d}})
						}
						return page, nil
					case *api.ChannelsGetMessagesRequest:
						return &api.MessagesChannelMessages{Chats: []api.ChatClass{(&fakeChannel{hash: 66}).chat()}}, nil
					}
					return nil, nil
				}}
				results := fakeClient(t, f, asUser(t)).SendAlbum(t.Context(), to, items, SendOptions{})
				var got []int
				for _, r := range results {
					var stale *StaleMediaError
					switch {
					case errors.As(r.Err, &stale):
						got = append(got, -2)
					case r.Err != nil:
						got = append(got, -3)
					case r.Sent && r.MessageID == 0:
						got = append(got, -1)
					default:
						got = append(got, r.MessageID)
					}
				}
				if !slices.Equal(got, c.want) || !slices.EqualFunc(asked, c.asked, slices.Equal[[]int64]) || len(c.groups)+len(c.alone) != 0 {
					t.Errorf("got %v, asked %v; want %v, %v", got, asked, c.want, c.asked)
				}
			})
		})
	}
}

// TestRights: what members and administrators may send, as a channel says it.
func TestRights(t *testing.T) {
	banned := func(b api.ChatBannedRights) *api.ChatBannedRights { return &b }
	photo := []FileKind{KindPhoto}
	for name, tt := range map[string]struct {
		ch   api.Channel
		kind []FileKind
		ok   bool
	}{
		"channel, reader":          {api.Channel{Broadcast: true}, photo, false},
		"channel, editor":          {api.Channel{Broadcast: true, AdminRights: &api.ChatAdminRights{EditMessages: true}}, photo, false},
		"channel, writer":          {api.Channel{Broadcast: true, AdminRights: &api.ChatAdminRights{PostMessages: true}}, photo, true},
		"channel, owner":           {api.Channel{Broadcast: true, Creator: true}, photo, true},
		"group":                    {api.Channel{Megagroup: true}, photo, true},
		"group without photos":     {api.Channel{Megagroup: true, DefaultBannedRights: banned(api.ChatBannedRights{SendPhotos: true})}, photo, false},
		"documents there":          {api.Channel{Megagroup: true, DefaultBannedRights: banned(api.ChatBannedRights{SendPhotos: true})}, []FileKind{KindDocument}, true},
		"its administrator":        {api.Channel{Megagroup: true, AdminRights: &api.ChatAdminRights{}, DefaultBannedRights: banned(api.ChatBannedRights{SendPhotos: true})}, photo, true},
		"a member who is punished": {api.Channel{Megagroup: true, BannedRights: banned(api.ChatBannedRights{SendMessages: true})}, photo, false},
	} {
		if err := rightsIn(&tt.ch, Peer{}, tt.kind); (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrNotTaken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
