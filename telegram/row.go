package telegram

import (
	"context"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// A row is a list of messages that is paged by the rules of
// messages.getHistory: all of a chat, or only what is in a thread, or what has
// files of a kind. See core.telegram.org/api/offsets.
type row struct {
	thread int
	filter api.MessagesFilterClass // nil: any message
}

// query is the call for a page of the row.
func (r row) query(p Peer, q historyQuery) tl.Method[api.MessagesMessagesClass] {
	offset, add, limit, maxID, minID := int32(q.offsetID), int32(q.addOffset), int32(q.limit), int32(q.maxID), int32(q.minID)
	switch {
	case r.filter != nil:
		s := &api.MessagesSearchRequest{
			Peer: p.Input(), Filter: r.filter, OffsetID: offset, AddOffset: add, Limit: limit, MaxID: maxID, MinID: minID,
		}
		if r.thread != 0 {
			s.TopMsgID = tl.Some(int32(r.thread))
		}
		return s
	case r.thread != 0:
		return &api.MessagesGetRepliesRequest{
			Peer: p.Input(), MsgID: int32(r.thread), OffsetID: offset, OffsetDate: int32(q.offsetDate), AddOffset: add, Limit: limit,
			MaxID: maxID, MinID: minID,
		}
	default:
		return &api.MessagesGetHistoryRequest{
			Peer: p.Input(), OffsetID: offset, OffsetDate: int32(q.offsetDate), AddOffset: add, Limit: limit, MaxID: maxID, MinID: minID,
		}
	}
}

// rowPages walks through a row.
func (c *Client) rowPages(ctx context.Context, p Peer, r row, o MessagesOptions) pageSeq {
	return func(yield func([]*Message, error) bool) {
		w := newHistoryWalk(o)
		for {
			q, more := w.next()
			if !more {
				return
			}
			page, ids, err := c.rowPage(ctx, &p, r, q)
			if err == nil {
				var keep []int
				if keep, err = w.took(ids); err == nil {
					page = pick(page, keep)
				}
			}
			if !yield(page, err) || err != nil {
				return
			}
		}
	}
}

// rowPage fetches one page. ids are those of all entries, also of what became
// no Message. p may come back with a fresh access hash.
func (c *Client) rowPage(ctx context.Context, p *Peer, r row, q historyQuery) (page []*Message, ids []int, err error) {
	answer, err := retryStale(ctx, c, p, func() (api.MessagesMessagesClass, error) {
		return mtproto.Call(ctx, c, r.query(*p, q))
	})
	if err != nil {
		return nil, nil, err
	}
	entries, err := c.entriesOf(answer, p)
	if err != nil {
		return nil, nil, err
	}
	home := *p // the chat that the entries are of, one answer having those of one
	for _, e := range entries {
		if id, ok := entryID(e); ok {
			ids = append(ids, id)
		}
		if of, ok := messagePeer(e); ok && r.thread != 0 {
			if at, ok := peerOf(of); ok && at.Kind == PeerChannel && !at.same(home) {
				if home, ok = c.keep.peerByID(at.Kind, at.ID); !ok {
					return nil, nil, ErrPeerNotFound // the answer does not tell of it
				}
			}
		}
		if m := newMessage(e, home); m != nil {
			page = append(page, m)
		}
	}
	return page, ids, nil
}

// datesToIDs turns the dates of o into bounds of ids, by asking for the first
// message since each: so no page is fetched for what lies outside of them.
func (c *Client) datesToIDs(ctx context.Context, p *Peer, r row, o *MessagesOptions) error {
	if !o.From.IsZero() {
		id, err := c.firstSince(ctx, p, r, o.From)
		if err != nil {
			return err
		}
		o.MinID = max(o.MinID, id)
	}
	if o.Until.IsZero() {
		return nil
	}
	id, err := c.firstSince(ctx, p, r, o.Until)
	if err != nil {
		return err
	}
	if o.MaxID <= 0 || o.MaxID >= id {
		o.MaxID = id - 1
	}
	if o.MaxID < 1 { // 0 is no bound
		o.MinID, o.MaxID = 2, 1
	}
	return nil
}

// firstSince is the id of the first message of a row that was sent at a time or
// later. It is above all ids if there is none.
func (c *Client) firstSince(ctx context.Context, p *Peer, r row, t time.Time) (int, error) {
	date := unixCeil(t)
	switch {
	case date <= 0: // before Telegram; 0 would be no date at all
		return 1, nil
	case date > math.MaxInt32:
		return math.MaxInt32, nil
	}
	page, _, err := c.rowPage(ctx, p, r, historyQuery{offsetDate: int(date), addOffset: -1, limit: 1})
	if err != nil {
		return 0, err
	}
	// Where nothing is that new the server may show what is older instead.
	page = slices.DeleteFunc(page, func(m *Message) bool { return m.Date.Unix() < date })
	if len(page) == 0 {
		return math.MaxInt32, nil
	}
	return page[len(page)-1].ID, nil
}

// unixCeil is the first second of the protocol that is not before t.
func unixCeil(t time.Time) int64 {
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}

// Searchable reports whether servers can find all files of a kind. They find
// neither stickers, nor photos and videos in paid media, nor live photos and
// new photos of a chat. See core.telegram.org/api/search#filters.
func (k FileKind) Searchable() bool {
	return k == KindVoice || k == KindRound || k == KindAudio || k == KindAnimation || k == KindDocument
}

// searchFilters are the searches that find all files of the kinds together;
// none if that cannot be done, or if nothing would be gained.
func searchFilters(kinds []FileKind, lossy bool) []api.MessagesFilterClass {
	var filters []api.MessagesFilterClass
	for _, k := range slices.Compact(slices.Sorted(slices.Values(kinds))) {
		if !k.Searchable() && (!lossy || k == KindSticker) {
			return nil
		}
		filters = append(filters, searchFilter(k))
	}
	return filters
}

func searchFilter(k FileKind) api.MessagesFilterClass {
	switch k {
	case KindPhoto:
		return &api.InputMessagesFilterPhotos{}
	case KindVideo:
		return &api.InputMessagesFilterVideo{}
	case KindVoice:
		return &api.InputMessagesFilterVoice{}
	case KindRound:
		return &api.InputMessagesFilterRoundVideo{}
	case KindAudio:
		return &api.InputMessagesFilterMusic{}
	case KindAnimation:
		return &api.InputMessagesFilterGif{}
	default:
		return &api.InputMessagesFilterDocument{}
	}
}

// merge makes one sequence of several, each in the order of the walk. A message
// that is in several comes once.
func merge(rows []pageSeq, reverse bool) pageSeq {
	if len(rows) == 1 {
		return rows[0]
	}
	return func(yield func([]*Message, error) bool) {
		heads := make([]head, len(rows))
		for i, r := range rows {
			next, stop := iter.Pull2(r)
			defer stop()
			heads[i].next = next
		}
		last := 0
		for {
			var first *head
			for i := range heads {
				h := &heads[i]
				if err := h.fill(); err != nil {
					yield(nil, err)
					return
				}
				if len(h.page) > 0 && (first == nil || (h.page[0].ID < first.page[0].ID) == reverse && h.page[0].ID != first.page[0].ID) {
					first = h
				}
			}
			if first == nil {
				return
			}
			m := first.page[:1]
			first.page = first.page[1:]
			if m[0].ID == last {
				continue
			}
			last = m[0].ID
			if !yield(m, nil) {
				return
			}
		}
	}
}

// A head is how far one of several sequences has been read.
type head struct {
	next func() ([]*Message, error, bool)
	page []*Message // not yet handed on
}

// fill sees to it that page is only empty if the sequence is over.
func (h *head) fill() error {
	for len(h.page) == 0 && h.next != nil {
		page, err, more := h.next()
		if err != nil {
			return err
		}
		if h.page = page; !more {
			h.next = nil
		}
	}
	return nil
}
