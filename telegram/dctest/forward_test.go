package dctest

import (
	"fmt"
	"testing"

	"github.com/tghaul/haul/tl/api"
)

// forwardQuery is a call with random ids from 1000 on.
func forwardQuery(from, to api.InputPeerClass, first int64, ids ...int32) *api.MessagesForwardMessagesRequest {
	q := &api.MessagesForwardMessagesRequest{FromPeer: from, ToPeer: to, ID: ids}
	for i := range ids {
		q.RandomID = append(q.RandomID, first+int64(i))
	}
	return q
}

// Copies have the text and file of what was forwarded, stay an album, and say
// where they come from unless that is not wanted. The state keeps all that.
func TestForward(t *testing.T) {
	dir := t.TempDir()
	c := start(t, Config{StateDir: dir})
	u := user(t, c)
	channel, self := inputPeer(u.channel()), &api.InputPeerSelf{}
	ids, messages := sentIDs(t, must[*api.Updates](u, forwardQuery(channel, self, 10, 4, 5, 2)))
	if len(messages) != 3 || ids[10] != messages[0].ID || ids[12] != messages[2].ID {
		t.Fatalf("ids %v, %d messages", ids, len(messages))
	}
	for i, want := range []int32{4, 5, 2} {
		m, original := messages[i], u.message(int(want)).(*api.Message)
		if m.Message != original.Message || m.FwdFrom == nil || m.FwdFrom.ChannelPost.Value != want || m.FwdFrom.Date != original.Date {
			t.Errorf("message %d became %+v, from %+v", want, m, m.FwdFrom)
		}
	}
	album := messages[0].GroupedID
	if !album.Set || messages[1].GroupedID != album || messages[2].GroupedID.Set {
		t.Errorf("albums %v, %v, %v; want two of one", album, messages[1].GroupedID, messages[2].GroupedID)
	}
	q := forwardQuery(channel, self, 20, 4)
	q.DropMediaCaptions = true
	if _, m := sentIDs(t, must[*api.Updates](u, q)); m[0].Message != "" || m[0].FwdFrom != nil {
		t.Errorf("without author and caption: %+v", m[0])
	}
	// A copy of a copy has the author of the first.
	_, m := sentIDs(t, must[*api.Updates](u, forwardQuery(self, channel, 30, messages[0].ID)))
	if m[0].FwdFrom == nil || m[0].FwdFrom.ChannelPost.Value != 4 {
		t.Errorf("a copy of a copy: %+v", m[0].FwdFrom)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	again := user(t, start(t, Config{StateDir: dir})).message(int(m[0].ID)).(*api.Message)
	if again.FwdFrom == nil || again.FwdFrom.ChannelPost.Value != 4 {
		t.Errorf("after a restart: %+v", again.FwdFrom)
	}
}

func TestForwardErrors(t *testing.T) {
	c := start(t, Config{Channels: []ChannelConfig{
		{Username: BigChannel, Specials: true, Files: []FileSpec{{Kind: "document", Count: 120, MinSize: 10}}},
		{Username: "closed", NoForwards: true, Files: []FileSpec{{Kind: "document", Count: 3, MinSize: 10}}},
	}})
	u := user(t, c)
	channel, self := inputPeer(u.channel()), &api.InputPeerSelf{}
	var protected, deleted, service int32
	top := c.LastMessage(BigChannel)
	for id := 1; id < top; id++ {
		switch m := u.message(id).(type) {
		case *api.MessageService:
			service = int32(id)
		case *api.Message:
			if m.Noforwards {
				protected = int32(id)
			}
			if media, ok := m.Media.(*api.MessageMediaDocument); ok && media.Document == nil {
				deleted = int32(id)
			}
		}
	}
	closed := must[*api.ContactsResolvedPeer](u, &api.ContactsResolveUsernameRequest{Username: "closed"}).Chats[0].(*api.Channel)
	many := make([]int32, 101)
	for i := range many {
		many[i] = int32(top - i)
	}
	few := forwardQuery(channel, self, 1, 4, 5)
	few.RandomID = few.RandomID[:1]
	twice := forwardQuery(channel, self, 1, 4, 5)
	twice.RandomID[1] = twice.RandomID[0]
	for i, x := range []struct {
		q    *api.MessagesForwardMessagesRequest
		want string
	}{
		{forwardQuery(channel, self, 1), "400 MESSAGE_IDS_EMPTY"},
		{forwardQuery(channel, self, 1, many...), "400 MESSAGE_IDS_TOO_MUCH"},
		{few, "400 RANDOM_ID_INVALID"},
		{twice, "500 RANDOM_ID_DUPLICATE"},
		{forwardQuery(channel, self, 0, 4), "400 RANDOM_ID_EMPTY"},
		{forwardQuery(channel, self, 1, 4, service), "400 MESSAGE_ID_INVALID"},
		{forwardQuery(channel, self, 1, 4, 3), "400 MESSAGE_ID_INVALID"}, // there is none
		{forwardQuery(channel, self, 1, 4, 4), "400 MESSAGE_ID_INVALID"},
		{forwardQuery(channel, self, 1, 4, protected), "400 CHAT_FORWARDS_RESTRICTED"},
		{forwardQuery(channel, self, 1, 4, deleted), "400 MEDIA_EMPTY"},
		{forwardQuery(inputPeer(closed), self, 1, 1), "400 CHAT_FORWARDS_RESTRICTED"},
		{forwardQuery(channel, &api.InputPeerUser{UserID: 5}, 1, 4), "400 PEER_ID_INVALID"},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) { u.fails(x.q, x.want) })
	}
	if n := len(c.Stats().Sent); n != 0 {
		t.Fatalf("%d messages were sent", n)
	}
	must[*api.Updates](u, forwardQuery(channel, self, 1, many[:100]...)) // the random ids of what failed are free
	u.fails(forwardQuery(channel, self, 100, 4, 5), "500 RANDOM_ID_DUPLICATE")
	if n := len(c.Stats().Sent); n != 100 {
		t.Errorf("%d messages were sent, want 100", n)
	}
}
