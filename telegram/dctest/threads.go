package dctest

import (
	"cmp"
	"slices"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// Topics of forums, and comments on the posts of channels: which message belongs
// where is told by its number, and stored nowhere.
// See core.telegram.org/api/threads and core.telegram.org/api/forum.

// newDiscussion is the group in which the posts of a channel are commented on.
func newDiscussion(index int, about *chat) *chat {
	c := &chat{
		cfg:   ChannelConfig{Title: about.cfg.Title + ": comments", Files: about.cfg.Comments, NoForwards: about.cfg.NoForwards},
		index: index, id: firstChannelID + int64(index), pts: 1, about: about,
	}
	about.talk = c
	c.begin()
	return c
}

// group reports whether the chat is a supergroup: a forum, or where comments are.
func (c *chat) group() bool { return c.about != nil || len(c.cfg.Topics) > 0 }

// copiedPost is message id of a discussion group, which is a copy of a post;
// nil if that has been deleted.
func (w *world) copiedPost(c *chat, id int) *worldMessage {
	post := w.message(c.about, c.about.front()+id)
	if post == nil {
		return nil
	}
	m := *post
	m.id, m.post, m.date = id, post.id, c.date(id)
	return &m
}

// generalTopic is the id of the topic that every forum has.
const generalTopic = 1

const topicColor = 0x6fb9f0

// topicOf is the topic of a forum that message id is in.
func (c *chat) topicOf(id int) int {
	first := len(c.special) + 1 // of the messages that began topics
	switch i := id - c.front() - 1; {
	case id >= first && id <= c.front():
		return id
	case i >= c.mixed && i-c.mixed < len(c.sent):
		return cmp.Or(c.sent[i-c.mixed].topic, generalTopic)
	case i < 0 || i >= c.mixed || i%(len(c.cfg.Topics)+1) == 0:
		return generalTopic
	default:
		return first - 1 + i%(len(c.cfg.Topics)+1)
	}
}

// copyOf is the copy of a post that a comment is about.
func (c *chat) copyOf(id int) int { return 1 + (id-c.front()-1)%c.front() }

// commentsOn are the comments on a copied post, newest first.
func (c *chat) commentsOn(copied int) (ids foundList) {
	for id := c.front() + copied; id <= c.front()+c.mixed; id += c.front() {
		if c.ids.has(id) {
			ids = append(ids, id)
		}
	}
	slices.Reverse(ids)
	return ids
}

// thread puts into a message what it belongs to, and what belongs to it.
func (c *chat) thread(m *worldMessage, out *api.Message) {
	switch {
	case m.reply != 0: // what a client has sent
		h := &api.MessageReplyHeader{ReplyToMsgID: tl.Some(int32(m.reply))}
		if m.topic > generalTopic {
			h.ForumTopic, h.ReplyToTopID = true, tl.Some(int32(m.topic))
		}
		out.ReplyTo = h
	case m.topic > generalTopic:
		out.ReplyTo = &api.MessageReplyHeader{ForumTopic: true, ReplyToMsgID: tl.Some(int32(m.topic))}
	case len(c.cfg.Topics) > 0:
		if topic := c.topicOf(m.id); topic != generalTopic {
			out.ReplyTo = &api.MessageReplyHeader{ForumTopic: true, ReplyToMsgID: tl.Some(int32(topic))}
		}
	case m.post != 0:
		from := peerOf(c.about)
		out.FromID = from
		out.FwdFrom = &api.MessageFwdHeader{
			FromID: from, Date: int32(c.about.date(m.post).Unix()), ChannelPost: tl.Some(int32(m.post)),
			SavedFromPeer: from, SavedFromMsgID: tl.Some(int32(m.post)),
		}
		out.Replies = &api.MessageReplies{Replies: int32(len(c.commentsOn(m.id))), RepliesPts: int32(c.pts)}
	case c.about != nil && m.id > c.front() && m.id <= c.front()+c.mixed:
		out.ReplyTo = &api.MessageReplyHeader{ReplyToMsgID: tl.Some(int32(c.copyOf(m.id)))}
	case c.talk != nil && m.id > c.front() && m.id <= c.front()+c.mixed:
		out.Replies = &api.MessageReplies{
			Comments: true, Replies: int32(len(c.talk.commentsOn(m.id - c.front()))), RepliesPts: int32(c.talk.pts),
			ChannelID: tl.Some(c.talk.id),
		}
	}
}

// threadOf is the list of a thread, and the chat that it is in: a topic, or the
// comments on a post, named in the channel or by its copy.
func (r *request) threadOf(ch *chat, id int) (*chat, foundList, error) {
	switch {
	case len(ch.cfg.Topics) > 0:
		if id != generalTopic && (id <= len(ch.special) || id > ch.front()) {
			return nil, nil, refuse(400, "TOPIC_ID_INVALID")
		}
		return ch, ch.listOf("topic "+itoa(id), func(n int) bool { return ch.topicOf(n) == id }), nil
	case ch.talk != nil && id > ch.front() && id <= ch.front()+ch.mixed && ch.ids.has(id):
		return ch.talk, ch.talk.commentsOn(id - ch.front()), nil
	case ch.about != nil && id >= 1 && id <= ch.front() && r.c.world.message(ch, id) != nil:
		return ch, ch.commentsOn(id), nil
	default:
		return nil, nil, refuse(400, "MSG_ID_INVALID")
	}
}

func (r *request) getReplies(q *api.MessagesGetRepliesRequest) (tl.Object, error) {
	ch, err := r.peer(q.Peer)
	if err != nil {
		return nil, err
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	at, list, err := r.threadOf(ch, int(q.MsgID))
	if err != nil {
		return nil, err
	}
	w := window{
		offsetID: int(q.OffsetID), addOffset: int(q.AddOffset), limit: batchLimit(q.Limit),
		maxID: int(q.MaxID), minID: int(q.MinID),
	}
	if w.offsetID == 0 && q.OffsetDate > 0 {
		w.offsetID = r.firstAt(at, int64(q.OffsetDate))
	}
	return r.messages(at, w.page(list), len(list)), nil
}

func (r *request) getDiscussionMessage(q *api.MessagesGetDiscussionMessageRequest) (tl.Object, error) {
	ch, err := r.peer(q.Peer)
	if err != nil {
		return nil, err
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	at, list, err := r.threadOf(ch, int(q.MsgID))
	if err != nil {
		return nil, err
	}
	root := int(q.MsgID)
	if at != ch {
		root -= ch.front()
	}
	answer := &api.MessagesDiscussionMessage{
		Messages: []api.MessageClass{r.render(at, root)}, Chats: r.chats(at), Users: []api.UserClass{r.user(r.me)},
	}
	if len(list) > 0 {
		answer.MaxID = tl.Some(int32(list[0]))
	}
	return answer, nil
}

// getForumTopics lists the topics, those with the newest messages first. A page
// begins after the topic that the offset names.
func (r *request) getForumTopics(q *api.MessagesGetForumTopicsRequest) (tl.Object, error) {
	ch, err := r.peer(q.Peer)
	if err != nil {
		return nil, err
	}
	if len(ch.cfg.Topics) == 0 {
		return nil, refuse(400, "CHANNEL_FORUM_MISSING")
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	topics := []api.ForumTopicClass{r.topic(ch, generalTopic, "General")}
	for i, title := range ch.cfg.Topics {
		topics = append(topics, r.topic(ch, len(ch.special)+1+i, title))
	}
	top := func(t api.ForumTopicClass) *api.ForumTopic { f, _ := t.(*api.ForumTopic); return f }
	slices.SortStableFunc(topics, func(a, b api.ForumTopicClass) int { return int(top(b).TopMessage - top(a).TopMessage) })
	answer := &api.MessagesForumTopics{Count: int32(len(topics)), Pts: int32(ch.pts), Chats: r.chats(ch), Users: []api.UserClass{r.user(r.me)}}
	if at := slices.IndexFunc(topics, func(t api.ForumTopicClass) bool { return top(t).ID == q.OffsetTopic }); at >= 0 {
		topics = topics[at+1:]
	}
	answer.Topics = topics[:min(len(topics), batchLimit(q.Limit))]
	for _, t := range answer.Topics {
		if id := int(top(t).TopMessage); id > 0 {
			answer.Messages = append(answer.Messages, r.render(ch, id))
		}
	}
	return answer, nil
}

func (r *request) topic(ch *chat, id int, title string) *api.ForumTopic {
	t := &api.ForumTopic{
		ID: int32(id), Date: int32(ch.date(id).Unix()), Peer: peerOf(ch), Title: title, IconColor: topicColor, FromID: peerOf(ch),
		Closed: slices.Contains(ch.cfg.ClosedTopics, title),
	}
	list := ch.listOf("topic "+itoa(id), func(n int) bool { return ch.topicOf(n) == id })
	if len(list) > 0 {
		t.TopMessage = int32(list[0])
		t.ReadInboxMaxID = t.TopMessage
	}
	return t
}
