package dctest

import (
	"time"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// A forwarded says where a message was written that is a copy.
type forwarded struct {
	Channel int64     `json:"channel,omitempty"` // that it was posted in; 0: From wrote it
	Post    int       `json:"post,omitempty"`    // its number there
	From    int64     `json:"from,omitempty"`    // user id
	Date    time.Time `json:"date"`
}

// header is what a message says of that.
func (f *forwarded) header() *api.MessageFwdHeader {
	h := &api.MessageFwdHeader{Date: int32(f.Date.Unix())}
	if f.Channel != 0 {
		h.FromID, h.ChannelPost = &api.PeerChannel{ChannelID: f.Channel}, tl.Some(int32(f.Post))
	} else {
		h.FromID = &api.PeerUser{UserID: f.From}
	}
	return h
}

// forwardMessages copies messages to a chat: all of them, or none.
// See core.telegram.org/method/messages.forwardMessages.
func (r *request) forwardMessages(q *api.MessagesForwardMessagesRequest) (tl.Object, error) {
	from, err := r.peer(q.FromPeer)
	if err != nil {
		return nil, err
	}
	to, err := r.peer(q.ToPeer)
	switch {
	case err != nil:
		return nil, err
	case len(q.ID) == 0:
		return nil, refuse(400, "MESSAGE_IDS_EMPTY")
	case len(q.ID) > maxBatch:
		return nil, refuse(400, "MESSAGE_IDS_TOO_MUCH")
	case len(q.RandomID) != len(q.ID):
		return nil, refuse(400, "RANDOM_ID_INVALID")
	case q.ScheduleDate.Set || q.TopMsgID.Set || q.ReplyTo != nil || q.SendAs != nil:
		return nil, refuse(400, "INPUT_REQUEST_INVALID") // the cluster does not do that
	}
	return r.once(q.RandomID, func() (tl.Object, error) {
		copies, err := r.copies(from, q)
		if err != nil {
			return nil, err
		}
		return r.send(to, copies, q.RandomID, tl.Opt[int32]{})
	})
}

// copies are the messages as they will be in another chat. Those of an album stay
// one, as far as they are forwarded together.
func (r *request) copies(from *chat, q *api.MessagesForwardMessagesRequest) ([]*worldMessage, error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	seen, albums := map[int32]bool{}, map[int64]int64{}
	var list []*worldMessage
	for i, id := range q.ID {
		m := r.c.world.message(from, int(id))
		switch {
		case m == nil || m.service || seen[id]:
			return nil, refuse(400, "MESSAGE_ID_INVALID")
		case m.noForwards || from.cfg.NoForwards:
			return nil, refuse(400, "CHAT_FORWARDS_RESTRICTED")
		case m.file != nil && m.file.deleted:
			return nil, refuse(400, "MEDIA_EMPTY")
		}
		seen[id] = true
		c := &worldMessage{text: m.text, entities: m.entities, file: m.file, noForwards: q.Noforwards}
		if q.DropMediaCaptions && m.file != nil {
			c.text, c.entities = "", nil
		}
		if !q.DropAuthor && !q.DropMediaCaptions {
			c.forwarded = from.origin(m)
		}
		if m.grouped != 0 {
			if albums[m.grouped] == 0 {
				albums[m.grouped] = q.RandomID[i]&idMask | 1
			}
			c.grouped = albums[m.grouped]
		}
		list = append(list, c)
	}
	return list, nil
}

// origin is where a message of the chat comes from: a copy keeps its own.
func (c *chat) origin(m *worldMessage) *forwarded {
	switch {
	case m.forwarded != nil:
		return m.forwarded
	case !c.private() && !c.group():
		return &forwarded{Channel: c.id, Post: m.id, Date: m.date}
	default:
		return &forwarded{From: m.from, Date: m.date}
	}
}
