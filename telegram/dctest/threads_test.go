package dctest

import (
	"slices"
	"testing"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// forumAndTalk is a forum of two topics beside General, and a channel of which
// the three posts have ten comments.
func forumAndTalk() Config {
	return Config{Channels: []ChannelConfig{
		{Username: "forum", Title: "A forum", Specials: true, Topics: []string{"Ships", "Cars"}, Files: []FileSpec{
			{Kind: "photo", Count: 120, MinSize: 3000}, {Kind: "document", Count: 180, MinSize: 10},
		}},
		{
			Username: BigChannel, Title: "Posts", Invite: "Welcome", Files: []FileSpec{{Kind: "document", Count: 3, MinSize: 10}},
			Comments: []FileSpec{{Kind: "text", Count: 4}, {Kind: "photo", Count: 6, MinSize: 3000}},
		},
	}}
}

func (c *caller) named(name string) *api.Channel {
	c.t.Helper()
	p := must[*api.ContactsResolvedPeer](c, &api.ContactsResolveUsernameRequest{Username: name})
	return p.Chats[0].(*api.Channel)
}

// walk pages through a thread, oldest pages last.
func (c *caller) walk(peer api.InputPeerClass, id int32) (list []*api.Message, services int) {
	c.t.Helper()
	offset := int32(0)
	for {
		page := must[*api.MessagesChannelMessages](c, &api.MessagesGetRepliesRequest{Peer: peer, MsgID: id, OffsetID: offset, Limit: 100})
		if len(page.Messages) == 0 {
			if n := len(list) + services; n != int(page.Count) {
				c.t.Errorf("thread %d has %d messages, and says %d", id, n, page.Count)
			}
			return list, services
		}
		for _, m := range page.Messages {
			if m, ok := m.(*api.Message); ok {
				list = append(list, m)
			} else {
				services++
			}
			offset = messageID(c.t, m)
		}
	}
}

// Every message of a forum is in one topic, which it names.
func TestTopics(t *testing.T) {
	c := start(t, forumAndTalk())
	u := user(t, c)
	ch := u.named("forum")
	if !ch.Megagroup || !ch.Forum || ch.Broadcast {
		t.Errorf("the forum is %+v", ch)
	}
	topics := must[*api.MessagesForumTopics](u, &api.MessagesGetForumTopicsRequest{Peer: inputPeer(ch), Limit: 2})
	if topics.Count != 3 || len(topics.Topics) != 2 || len(topics.Messages) != 2 {
		t.Fatalf("topics %+v", topics)
	}
	last := topics.Topics[1].(*api.ForumTopic)
	rest := must[*api.MessagesForumTopics](u, &api.MessagesGetForumTopicsRequest{
		Peer: inputPeer(ch), Limit: 2, OffsetTopic: last.ID, OffsetID: last.TopMessage,
	})
	seen, total := map[int32]bool{}, 0
	titles := map[string]int{}
	for _, x := range append(topics.Topics, rest.Topics...) {
		topic := x.(*api.ForumTopic)
		list, services := u.walk(inputPeer(ch), topic.ID)
		titles[topic.Title] = len(list)
		total += services
		for _, m := range list {
			header, _ := m.ReplyTo.(*api.MessageReplyHeader)
			if seen[m.ID] || (topic.ID == 1) != (header == nil) || header != nil && (!header.ForumTopic || header.ReplyToMsgID.Value != topic.ID) {
				t.Errorf("message %d of topic %d: %+v", m.ID, topic.ID, header)
			}
			seen[m.ID] = true
		}
		docs := must[*api.MessagesChannelMessages](u, &api.MessagesSearchRequest{
			Peer: inputPeer(ch), TopMsgID: tl.Some(topic.ID), Filter: &api.InputMessagesFilterDocument{},
		})
		want := 0
		for _, m := range list {
			if media, ok := m.Media.(*api.MessageMediaDocument); ok && media.Document != nil {
				want++
			}
		}
		if int(docs.Count) != want {
			t.Errorf("topic %d: %d documents found, want %d", topic.ID, docs.Count, want)
		}
	}
	if n := c.world.channels[0].ids.count(); len(titles) != 3 || titles["Ships"] != 100 || titles["Cars"] != 100 || len(seen)+total != n {
		t.Errorf("topics %v, %d messages of %d", titles, len(seen)+total, n)
	}
	u.fails(&api.MessagesGetRepliesRequest{Peer: inputPeer(ch), MsgID: 2, Limit: 5}, "400 TOPIC_ID_INVALID")
	u.fails(&api.MessagesGetForumTopicsRequest{Peer: inputPeer(u.channel()), Limit: 5}, "400 CHANNEL_FORUM_MISSING")
}

// Each comment belongs to one post, under the post as under its copy.
func TestComments(t *testing.T) {
	c := start(t, forumAndTalk())
	u := user(t, c)
	ch := u.channel()
	full := must[*api.MessagesChatFull](u, &api.ChannelsGetFullChannelRequest{Channel: inputChannel(ch)})
	linked := full.FullChat.(*api.ChannelFull).LinkedChatID.Value
	total := 0
	for post := int32(1); post <= 3; post++ {
		told := u.message(int(post)).(*api.Message).Replies
		comments, _ := u.walk(inputPeer(ch), post)
		d := must[*api.MessagesDiscussionMessage](u, &api.MessagesGetDiscussionMessageRequest{Peer: inputPeer(ch), MsgID: post})
		group := d.Chats[0].(*api.Channel)
		root := d.Messages[len(d.Messages)-1].(*api.Message)
		if !told.Comments || int(told.Replies) != len(comments) || told.ChannelID.Value != linked || group.ID != linked || !group.Megagroup {
			t.Errorf("post %d: %+v, %d comments in %d", post, told, len(comments), group.ID)
		}
		if root.FwdFrom.ChannelPost.Value != post || documentOf(t, root).ID != documentOf(t, u.message(int(post))).ID {
			t.Errorf("post %d: its copy is %+v", post, root)
		}
		same, _ := u.walk(inputPeer(group), root.ID)
		if !slices.EqualFunc(same, comments, func(a, b *api.Message) bool { return a.ID == b.ID }) {
			t.Errorf("post %d: %d comments, under its copy %d", post, len(comments), len(same))
		}
		for _, m := range comments {
			header, _ := m.ReplyTo.(*api.MessageReplyHeader)
			if header == nil || header.ForumTopic || header.ReplyToMsgID.Value != root.ID || m.PeerID.(*api.PeerChannel).ChannelID != linked || m.Post {
				t.Errorf("comment %+v", m)
			}
		}
		total += len(comments)
	}
	if total != 10 {
		t.Errorf("%d comments, want 10", total)
	}
	u.fails(&api.MessagesGetRepliesRequest{Peer: inputPeer(ch), MsgID: 4, Limit: 5}, "400 MSG_ID_INVALID")
	u.fails(&api.MessagesGetDiscussionMessageRequest{Peer: inputPeer(ch), MsgID: 4}, "400 MSG_ID_INVALID")
}

func TestInvitesAndPhones(t *testing.T) {
	c := start(t, forumAndTalk())
	u := user(t, c)
	a := must[*api.ChatInviteAlready](u, &api.MessagesCheckChatInviteRequest{Hash: "Welcome"})
	if ch := a.Chat.(*api.Channel); ch.ID != u.channel().ID || ch.AccessHash != u.channel().AccessHash {
		t.Errorf("invited to %+v", ch)
	}
	u.fails(&api.MessagesCheckChatInviteRequest{}, "400 INVITE_HASH_EMPTY")
	u.fails(&api.MessagesCheckChatInviteRequest{Hash: "welcome"}, "406 INVITE_HASH_EXPIRED")
	p := must[*api.ContactsResolvedPeer](u, &api.ContactsResolvePhoneRequest{Phone: "9996620001"})
	if self := p.Users[0].(*api.User); !self.Self || p.Peer.(*api.PeerUser).UserID != self.ID {
		t.Errorf("the phone belongs to %+v", p)
	}
	u.fails(&api.ContactsResolvePhoneRequest{Phone: "1555"}, "400 PHONE_NOT_OCCUPIED")
	bot(t, c).fails(&api.MessagesCheckChatInviteRequest{Hash: "Welcome"}, "400 BOT_METHOD_INVALID")
}

// What a document says of itself, and which search finds it.
func TestMoreKinds(t *testing.T) {
	c := start(t, Config{Channels: []ChannelConfig{{Username: BigChannel, Files: []FileSpec{
		{Kind: "sticker", Count: 2, MinSize: 900},
		{Kind: "animation", Count: 3, MinSize: 900},
		{Kind: "round", Count: 4, MinSize: 900},
		{Kind: "video", Count: 1},
		{Kind: "document", Count: 1, MinSize: 5},
	}}}})
	u := user(t, c)
	said := map[string]int{}
	for id := 1; id <= 11; id++ {
		for _, a := range documentOf(t, u.message(id)).Attributes {
			switch a := a.(type) {
			case *api.DocumentAttributeSticker:
				said["sticker"]++
			case *api.DocumentAttributeAnimated:
				said["animation"]++
			case *api.DocumentAttributeVideo:
				if a.RoundMessage {
					said["round"]++
				} else {
					said["video"]++
				}
			}
		}
	}
	if said["sticker"] != 2 || said["animation"] != 3 || said["round"] != 4 || said["video"] != 4 { // animations are videos
		t.Errorf("said %v", said)
	}
	for _, tt := range []struct {
		filter api.MessagesFilterClass
		want   int32
	}{
		{&api.InputMessagesFilterGif{}, 3},
		{&api.InputMessagesFilterRoundVideo{}, 4},
		{&api.InputMessagesFilterRoundVoice{}, 4},
		{&api.InputMessagesFilterVideo{}, 1},
		{&api.InputMessagesFilterDocument{}, 1},
		{&api.InputMessagesFilterPhotos{}, 0},
	} {
		page := must[*api.MessagesChannelMessages](u, &api.MessagesSearchRequest{Peer: inputPeer(u.channel()), Filter: tt.filter})
		if page.Count != tt.want {
			t.Errorf("%s: %d, want %d", tt.filter.TypeName(), page.Count, tt.want)
		}
	}
}
