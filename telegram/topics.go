package telegram

import (
	"context"
	"fmt"
	"iter"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl/api"
)

// A Topic is a part of a forum.
type Topic struct {
	ID         int // of the message that began it; 1 for the general one
	Title      string
	TopMessage int // id of its newest message
	Closed     bool
}

// Topics lists the topics of a forum, in the server's order, each once. It ends
// after the first error. Users only; ErrNoThread if the chat has none.
// See core.telegram.org/method/messages.getForumTopics.
func (c *Client) Topics(ctx context.Context, p Peer) iter.Seq2[Topic, error] {
	return func(yield func(Topic, error) bool) {
		q := &api.MessagesGetForumTopicsRequest{Limit: batch}
		seen := make(map[int]bool)
		for {
			answer, err := retryStale(ctx, c, &p, func() (*api.MessagesForumTopics, error) {
				q.Peer = p.Input()
				return mtproto.Call(ctx, c, q)
			})
			if _, none := isRPC(err, "CHANNEL_FORUM_MISSING"); none {
				err = fmt.Errorf("%w: %v has no topics", ErrNoThread, p)
			}
			if err != nil {
				yield(Topic{}, fmt.Errorf("topics of %v: %w", p, err))
				return
			}
			c.noteChats(answer.Chats, &p)
			news := false
			for _, entry := range answer.Topics {
				t, ok := entry.(*api.ForumTopic)
				if !ok || seen[int(t.ID)] { // deleted, or moved while one pages
					continue
				}
				seen[int(t.ID)], news = true, true
				if !yield(Topic{ID: int(t.ID), Title: t.Title, TopMessage: int(t.TopMessage), Closed: t.Closed}, nil) {
					return
				}
				q.OffsetTopic, q.OffsetID, q.OffsetDate = t.ID, t.TopMessage, topicDate(answer, t)
			}
			if !news || len(seen) >= int(answer.Count) {
				return
			}
		}
	}
}

// topicDate is the date by which a page of topics that begins after t is found.
func topicDate(answer *api.MessagesForumTopics, t *api.ForumTopic) int32 {
	if answer.OrderByCreateDate {
		return t.Date
	}
	for _, m := range answer.Messages {
		switch m := m.(type) {
		case *api.Message:
			if m.ID == t.TopMessage {
				return m.Date
			}
		case *api.MessageService:
			if m.ID == t.TopMessage {
				return m.Date
			}
		}
	}
	return t.Date
}
