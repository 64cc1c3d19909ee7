package telegram

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl/api"
)

// MessagesOptions select messages of a chat. The zero value is all of them,
// newest first.
type MessagesOptions struct {
	MinID, MaxID int // inclusive; 0: no bound
	// From and Until bound the dates: From <= date < Until. Zero: no bound.
	From, Until time.Time
	Limit       int  // of messages yielded; 0: none
	Reverse     bool // oldest first
	// Thread is a topic of a forum, or a message: only what was written in that
	// topic, or in answer to that message, is meant. Of a channel's post these
	// are the comments, which lie in the discussion group: the messages have
	// that Peer. 0: everything. See core.telegram.org/api/threads.
	Thread int
	// Kinds permits to leave out messages that have no file of these kinds, if
	// the server can search for all of them: see Searchable. Empty: none is
	// left out.
	Kinds []FileKind
	// Lossy permits to search for photos and videos too, although no search
	// finds those in paid media, nor live photos and new photos of a chat.
	Lossy bool
	// IDs are the messages wanted, yielded in this order; those that do not
	// exist are left out. The other fields but Limit have no effect then.
	IDs []int
}

// Messages walks through the messages of a chat, in pages of 100. It ends
// after the first error. Users list the history; bots may not, and go through
// all ids that the channel can have. Deleted and invisible messages do not
// occur. Errors: ErrUserOnly for a bot anywhere but in channels, and those of
// Invoke; ErrNoThread if there is no such Thread.
// See core.telegram.org/method/messages.getHistory.
func (c *Client) Messages(ctx context.Context, p Peer, o MessagesOptions) iter.Seq2[*Message, error] {
	pages := c.historyPages
	switch {
	case len(o.IDs) > 0:
		pages = c.idPages
	case c.IsBot():
		pages = c.lumpPages
	}
	bot := c.IsBot()
	return func(yield func(*Message, error) bool) {
		left := o.Limit
		for page, err := range pages(ctx, p, o) {
			if err != nil {
				yield(nil, fmt.Errorf("messages of %v: %w", p, o.threadError(err)))
				return
			}
			for _, m := range page {
				if !o.means(m) || bot && o.Thread != 0 && !m.InTopic(o.Thread) {
					continue
				}
				if !yield(m, nil) {
					return
				}
				if left--; left == 0 { // was above 0
					return
				}
			}
			if bot && o.past(page) { // users have asked for nothing beyond
				return
			}
		}
	}
}

// ErrNoThread is wrapped when there is no topic or message of the id in
// MessagesOptions.Thread, or what was written there cannot be read.
var ErrNoThread = errors.New("telegram: no such topic or comments, or no access to them")

// threadError adds what an error means for a thread.
func (o *MessagesOptions) threadError(err error) error {
	_, no := isRPC(err, "MSG_ID_INVALID", "TOPIC_ID_INVALID", "CHANNEL_PRIVATE")
	if o.Thread != 0 && (no || errors.Is(err, ErrPeerNotFound)) {
		return fmt.Errorf("%w (%d): %w", ErrNoThread, o.Thread, err)
	}
	return err
}

// means says whether a message of a page is within the bounds that the server
// was not told, or tells differently.
func (o *MessagesOptions) means(m *Message) bool {
	return len(o.IDs) > 0 || (o.From.IsZero() || !m.Date.Before(o.From)) && (o.Until.IsZero() || m.Date.Before(o.Until))
}

// past says whether a page lies wholly beyond the dates, in the direction of
// the walk: dates rise with ids. One message alone may be out of its order.
func (o *MessagesOptions) past(page []*Message) bool {
	if len(page) == 0 || len(o.IDs) > 0 {
		return false
	}
	beyond := func(m *Message) bool { return !o.From.IsZero() && m.Date.Before(o.From) }
	if o.Reverse {
		beyond = func(m *Message) bool { return !o.Until.IsZero() && !m.Date.Before(o.Until) }
	}
	return !slices.ContainsFunc(page, func(m *Message) bool { return !beyond(m) })
}

// pageSeq yields pages of messages, each already in the order that is wanted.
type pageSeq = iter.Seq2[[]*Message, error]

// historyPages is Messages for users.
func (c *Client) historyPages(ctx context.Context, p Peer, o MessagesOptions) pageSeq {
	return func(yield func([]*Message, error) bool) {
		r := row{thread: o.Thread}
		if err := c.datesToIDs(ctx, &p, r, &o); err != nil {
			yield(nil, err)
			return
		}
		var rows []pageSeq
		for _, f := range searchFilters(o.Kinds, o.Lossy) {
			rows = append(rows, c.rowPages(ctx, p, row{o.Thread, f}, o))
		}
		pages := merge(rows, o.Reverse)
		if len(rows) == 0 {
			pages = c.rowPages(ctx, p, r, o)
		}
		for page, err := range pages {
			if !yield(page, err) || err != nil {
				return
			}
		}
	}
}

// lumpPages is Messages for bots.
func (c *Client) lumpPages(ctx context.Context, p Peer, o MessagesOptions) pageSeq {
	return func(yield func([]*Message, error) bool) {
		pts, err := c.channelPts(ctx, &p)
		if err != nil {
			yield(nil, err)
			return
		}
		w := newLumpWalk(o, pts)
		for {
			lump := w.next()
			if lump == nil {
				return
			}
			page, err := c.messagesByID(ctx, &p, lump)
			if err == nil {
				ids := make([]int, len(page))
				for i, m := range page {
					ids[i] = m.ID
				}
				page = pick(page, w.took(ids))
			}
			if !yield(page, err) || err != nil {
				return
			}
		}
	}
}

// channelPts is the state of a channel, above which no message id lies yet.
func (c *Client) channelPts(ctx context.Context, p *Peer) (int, error) {
	if p.Kind != PeerChannel {
		return 0, fmt.Errorf("%w: in this chat they can read only messages given by id", ErrUserOnly)
	}
	answer, err := retryStale(ctx, c, p, func() (*api.MessagesChatFull, error) {
		return mtproto.Call(ctx, c, &api.ChannelsGetFullChannelRequest{Channel: p.InputChannel()})
	})
	if err != nil {
		return 0, err
	}
	c.noteChats(answer.Chats, p)
	full, ok := answer.FullChat.(*api.ChannelFull)
	if !ok {
		return 0, fmt.Errorf("%w: the server describes another chat", ErrPeerNotFound)
	}
	return int(full.Pts), nil
}

// idPages is Messages for given ids.
func (c *Client) idPages(ctx context.Context, p Peer, o MessagesOptions) pageSeq {
	return func(yield func([]*Message, error) bool) {
		for _, id := range o.IDs {
			if !validMessageID(id) {
				yield(nil, fmt.Errorf("telegram: %d is no message id", id))
				return
			}
		}
		for lump := range slices.Chunk(o.IDs, batch) {
			page, err := c.messagesByID(ctx, &p, lump)
			if !yield(pick(page, lump), err) || err != nil {
				return
			}
		}
	}
}

// messagesByID fetches at most 100 messages, in the order of the answer. Ids
// outside of channels belong to the account, not the chat: messages of other
// chats are dropped. p may come back with a fresh access hash.
func (c *Client) messagesByID(ctx context.Context, p *Peer, ids []int) ([]*Message, error) {
	input := make([]api.InputMessageClass, len(ids))
	for i, id := range ids {
		input[i] = &api.InputMessageID{ID: int32(id)}
	}
	answer, err := retryStale(ctx, c, p, func() (api.MessagesMessagesClass, error) {
		if p.Kind == PeerChannel {
			return mtproto.Call(ctx, c, &api.ChannelsGetMessagesRequest{Channel: p.InputChannel(), ID: input})
		}
		return mtproto.Call(ctx, c, &api.MessagesGetMessagesRequest{ID: input})
	})
	if err != nil {
		return nil, err
	}
	entries, err := c.entriesOf(answer, p)
	if err != nil {
		return nil, err
	}
	var page []*Message
	for _, e := range entries {
		if m := newMessage(e, *p); m != nil && c.belongs(e, *p) {
			page = append(page, m)
		}
	}
	return page, nil
}

// belongs reports whether the message is one of chat p.
func (c *Client) belongs(e api.MessageClass, p Peer) bool {
	of, ok := messagePeer(e)
	if !ok {
		return false
	}
	got, ok := peerOf(of)
	if p.Kind == PeerSelf {
		return ok && got.Kind == PeerUser && got.ID == c.Account()
	}
	return ok && got.same(p)
}

// entriesOf are the messages of an answer. What it says of chats is noted.
func (c *Client) entriesOf(answer api.MessagesMessagesClass, p *Peer) ([]api.MessageClass, error) {
	switch a := answer.(type) {
	case *api.MessagesMessages:
		c.noteChats(a.Chats, p)
		return a.Messages, nil
	case *api.MessagesMessagesSlice:
		c.noteChats(a.Chats, p)
		return a.Messages, nil
	case *api.MessagesChannelMessages:
		c.noteChats(a.Chats, p)
		return a.Messages, nil
	default:
		return nil, fmt.Errorf("telegram: unexpected answer %s", answer.TypeName())
	}
}

// noteChats remembers the chats of an answer, and brings p up to date: its
// content may have become protected since it was resolved. Users are left out,
// for a history can have any number of them.
func (c *Client) noteChats(chats []api.ChatClass, p *Peer) {
	peers := peersOf(nil, chats)
	for i := range peers {
		if peers[i].same(*p) {
			if p.Username != "" {
				peers[i].Username = p.Username // keep the name that led here
			}
			*p = peers[i]
		}
	}
	c.keep.learn(peers)
}

// retryStale makes a call about p. If the server does not know the peer under
// its access hash, and it is known by name, it is resolved and the call made
// once more. A name that leads to another chat by now is not followed.
func retryStale[R any](ctx context.Context, c *Client, p *Peer, call func() (R, error)) (R, error) {
	r, err := call()
	if _, stale := isRPC(err, "CHANNEL_INVALID", "PEER_ID_INVALID", "CHAT_ID_INVALID"); !stale || p.Username == "" {
		return r, err
	}
	c.keep.forgetName(p.Username)
	fresh, resolveErr := c.resolveName(ctx, p.Username)
	if resolveErr != nil || !fresh.same(*p) || fresh.AccessHash == p.AccessHash {
		return r, err
	}
	*p = fresh
	return call()
}

// entryID is the id of an entry, also of an empty one.
func entryID(e api.MessageClass) (int, bool) {
	switch m := e.(type) {
	case *api.Message:
		return int(m.ID), true
	case *api.MessageService:
		return int(m.ID), true
	case *api.MessageEmpty:
		return int(m.ID), true
	default:
		return 0, false
	}
}

// pick is the messages with the ids, in the order of the ids, each once.
func pick(page []*Message, ids []int) []*Message {
	byID := make(map[int]*Message, len(page))
	for _, m := range page {
		byID[m.ID] = m
	}
	picked := make([]*Message, 0, len(ids))
	for _, id := range ids {
		if m := byID[id]; m != nil {
			picked = append(picked, m)
			delete(byID, id)
		}
	}
	return picked
}

// RefreshFiles fetches messages again for the sake of fresh file references,
// and returns their files by message id. A message that is not in the result
// is gone; one without the file that is looked for was edited: compare File.ID.
// Any number of ids; each 100 take one call.
// See core.telegram.org/api/file_references.
func (c *Client) RefreshFiles(ctx context.Context, peer Peer, messageIDs []int) (map[int][]File, error) {
	if peer == (Peer{}) {
		return nil, ErrNoOrigin
	}
	files := make(map[int][]File, len(messageIDs))
	for m, err := range c.Messages(ctx, peer, MessagesOptions{IDs: messageIDs}) {
		if err != nil {
			return nil, fmt.Errorf("refresh file references: %w", err)
		}
		files[m.ID] = m.Files
	}
	return files, nil
}
