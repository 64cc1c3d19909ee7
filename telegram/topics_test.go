package telegram

import (
	"errors"
	"testing"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// Pages of topics overlap and are short; what was deleted is left out.
func TestTopics(t *testing.T) {
	ch := &fakeChannel{hash: 66}
	topic := func(id int32) *api.ForumTopic {
		return &api.ForumTopic{ID: id, Title: "T", TopMessage: 100 - id, Date: id, Peer: &api.PeerChannel{ChannelID: fakeChannelID}, FromID: &api.PeerUser{UserID: 7}}
	}
	var offsets []int32
	f := &fakeTelegram{answer: func(call fakeCall) (tl.Object, error) {
		q, ok := call.q.(*api.MessagesGetForumTopicsRequest)
		if !ok {
			return nil, nil
		}
		if q.Peer.(*api.InputPeerChannel).ChannelID != fakeChannelID {
			return nil, rpcErr(400, "CHANNEL_FORUM_MISSING", 0)
		}
		offsets = append(offsets, q.OffsetTopic, q.OffsetID, q.OffsetDate)
		a := &api.MessagesForumTopics{Count: 6, Chats: []api.ChatClass{ch.chat()}}
		switch q.OffsetTopic {
		case 0:
			a.Topics = []api.ForumTopicClass{topic(9), topic(8), &api.ForumTopicDeleted{ID: 7}}
			a.Messages = []api.MessageClass{&api.Message{ID: 92, Date: 555, PeerID: &api.PeerChannel{ChannelID: fakeChannelID}}}
		case 8:
			a.Topics = []api.ForumTopicClass{topic(8), topic(5)}
		case 5:
			a.Topics = []api.ForumTopicClass{topic(5)}
		}
		return a, nil
	}}
	c := fakeClient(t, f, asUser(t))
	var got []int
	for topic, err := range c.Topics(t.Context(), Peer{Kind: PeerChannel, ID: fakeChannelID, AccessHash: 66}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, topic.ID)
	}
	if len(got) != 3 || got[0] != 9 || got[1] != 8 || got[2] != 5 {
		t.Errorf("topics %v, want 9, 8 and 5", got)
	}
	if want := []int32{0, 0, 0, 8, 92, 555, 5, 95, 5}; len(offsets) != len(want) || offsets[3] != 8 || offsets[4] != 92 || offsets[5] != 555 || offsets[6] != 5 {
		t.Errorf("asked for %v, want %v", offsets, want)
	}
	for topic, err := range c.Topics(t.Context(), Peer{Kind: PeerChannel, ID: 5, AccessHash: 66}) {
		if !errors.Is(err, ErrNoThread) {
			t.Errorf("no forum: %+v, %v, want ErrNoThread", topic, err)
		}
	}
}
