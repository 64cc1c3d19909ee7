package dctest

import (
	"slices"
	"sort"
	"strings"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// Bounds of how many messages one call returns.
const (
	maxBatch     = 100
	defaultBatch = 20
)

func batchLimit(limit int32) int {
	if limit <= 0 {
		return defaultBatch
	}
	return min(int(limit), maxBatch)
}

func (r *request) getHistory(q *api.MessagesGetHistoryRequest) (tl.Object, error) {
	ch, err := r.peer(q.Peer)
	if err != nil {
		return nil, err
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	w := window{
		offsetID: int(q.OffsetID), addOffset: int(q.AddOffset), limit: batchLimit(q.Limit),
		maxID: int(q.MaxID), minID: int(q.MinID),
	}
	if w.offsetID == 0 && q.OffsetDate > 0 {
		w.offsetID = r.firstAt(ch, int64(q.OffsetDate))
	}
	return r.messages(ch, w.page(&ch.ids), ch.ids.count()), nil
}

// firstAt is the id from which on messages were sent at or after a time. Dates
// rise with ids.
func (r *request) firstAt(ch *chat, unix int64) int {
	return 1 + sort.Search(ch.ids.top, func(i int) bool { return ch.date(i+1).Unix() >= unix })
}

// messages renders messages by their ids; the list has count in all.
func (r *request) messages(ch *chat, ids []int, count int) tl.Object {
	list := make([]api.MessageClass, 0, len(ids))
	for _, id := range ids {
		list = append(list, r.render(ch, id))
	}
	users := []api.UserClass{r.user(r.me)}
	switch {
	case !ch.private():
		return &api.MessagesChannelMessages{Pts: int32(ch.pts), Count: int32(count), Messages: list, Chats: r.chats(ch), Users: users}
	case len(ids) == count:
		return &api.MessagesMessages{Messages: list, Users: users}
	default:
		return &api.MessagesMessagesSlice{Count: int32(count), Messages: list, Users: users}
	}
}

// inputIDs are the ids of a call that names messages.
func inputIDs(list []api.InputMessageClass) ([]int, error) {
	if len(list) == 0 {
		return nil, refuse(400, "MESSAGE_IDS_EMPTY")
	}
	if len(list) > maxBatch {
		return nil, refuse(400, "MESSAGE_IDS_TOO_MUCH")
	}
	ids := make([]int, 0, len(list))
	for _, in := range list {
		id, ok := in.(*api.InputMessageID)
		if !ok {
			return nil, refuse(400, "MSG_ID_INVALID")
		}
		ids = append(ids, int(id.ID))
	}
	return ids, nil
}

// getMessages finds messages outside of channels: of the account's own, which
// share one row of ids.
func (r *request) getMessages(q *api.MessagesGetMessagesRequest) (tl.Object, error) {
	ids, err := inputIDs(q.ID)
	if err != nil {
		return nil, err
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.messages(r.c.world.savedOf(r.me.id), ids, len(ids)), nil
}

func (r *request) getChannelMessages(q *api.ChannelsGetMessagesRequest) (tl.Object, error) {
	ch, err := r.inputChannel(q.Channel)
	if err != nil {
		return nil, err
	}
	ids, err := inputIDs(q.ID)
	if err != nil {
		return nil, err
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.messages(ch, ids, len(ids)), nil
}

// filterKinds are the kinds of files that a search filter finds.
// See core.telegram.org/api/search#filters.
func filterKinds(filter api.MessagesFilterClass) []string {
	switch filter.(type) {
	case *api.InputMessagesFilterPhotos:
		return []string{"photo"}
	case *api.InputMessagesFilterVideo:
		return []string{"video"}
	case *api.InputMessagesFilterPhotoVideo:
		return []string{"photo", "video"}
	case *api.InputMessagesFilterDocument:
		return []string{"document"}
	case *api.InputMessagesFilterGif:
		return []string{"animation"}
	case *api.InputMessagesFilterVoice:
		return []string{"voice"}
	case *api.InputMessagesFilterRoundVideo:
		return []string{"round"}
	case *api.InputMessagesFilterRoundVoice:
		return []string{"round", "voice"}
	case *api.InputMessagesFilterMusic:
		return []string{"audio"}
	default:
		return nil
	}
}

// kindAt is the kind of the file of message id, "" if it has none. It is told
// without making the message, which matters where there are a million.
func (w *world) kindAt(c *chat, id int) string {
	front := c.front()
	switch {
	case !c.ids.has(id):
		return ""
	case id <= front && c.about != nil:
		return w.kindAt(c.about, c.about.front()+id)
	case id > front && id <= front+c.mixed && len(c.editions[id]) == 0:
		if kind := c.cfg.Files[w.specOf(c, id)].Kind; kind != textKind {
			return kind
		}
		return ""
	}
	if m := w.everMessage(c, id); m != nil && m.file != nil && !m.file.deleted {
		return m.file.kindName()
	}
	return ""
}

// listOf are the ids that a condition is true of, newest first. They are kept
// under a name until something changes.
func (ch *chat) listOf(name string, is func(id int) bool) foundList {
	if ids, ok := ch.found[name]; ok {
		return ids
	}
	ids := foundList{}
	for id := ch.ids.top; id > 0; id-- {
		if ch.ids.has(id) && is(id) {
			ids = append(ids, id)
		}
	}
	if ch.found == nil {
		ch.found = map[string]foundList{}
	}
	ch.found[name] = ids
	return ids
}

// foundBy are the ids that a filter finds.
func (r *request) foundBy(ch *chat, filter api.MessagesFilterClass) foundList {
	if _, all := filter.(*api.InputMessagesFilterEmpty); all {
		return ch.listOf("", func(int) bool { return true })
	}
	want := filterKinds(filter)
	return ch.listOf(filter.TypeName(), func(id int) bool { return slices.Contains(want, r.c.world.kindAt(ch, id)) })
}

func (r *request) search(q *api.MessagesSearchRequest) (tl.Object, error) {
	ch, err := r.peer(q.Peer)
	if err != nil {
		return nil, err
	}
	if _, empty := q.Filter.(*api.InputMessagesFilterEmpty); empty && q.Q == "" {
		return nil, refuse(400, "SEARCH_QUERY_EMPTY")
	}
	if _, unknown := q.Filter.(*api.Other); unknown {
		return nil, refuse(400, "INPUT_FILTER_INVALID")
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	all := r.foundBy(ch, q.Filter)
	if q.TopMsgID.Set {
		at, thread, err := r.threadOf(ch, int(q.TopMsgID.Value))
		if err != nil || at != ch {
			return nil, refuse(400, "MSG_ID_INVALID")
		}
		all = both(all, thread)
	}
	if q.Q != "" || q.MinDate > 0 || q.MaxDate > 0 {
		all = r.narrow(ch, all, q)
	}
	limit := min(int(q.Limit), maxBatch) // 0 asks for the count alone
	w := window{offsetID: int(q.OffsetID), addOffset: int(q.AddOffset), limit: max(0, limit), maxID: int(q.MaxID), minID: int(q.MinID)}
	return r.messages(ch, w.page(all), len(all)), nil
}

// both are the ids that are in both lists.
func both(a, b foundList) (ids foundList) {
	for _, id := range a {
		if n := b.from(id); n > 0 && b.nth(n-1) == id {
			ids = append(ids, id)
		}
	}
	return ids
}

// narrow applies text and dates of a search.
func (r *request) narrow(ch *chat, all foundList, q *api.MessagesSearchRequest) foundList {
	var ids foundList
	text := strings.ToLower(q.Q)
	for _, id := range all {
		sent := int32(ch.date(id).Unix())
		if (q.MinDate > 0 && sent <= q.MinDate) || (q.MaxDate > 0 && sent >= q.MaxDate) {
			continue
		}
		if text == "" || strings.Contains(strings.ToLower(r.c.world.message(ch, id).text), text) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (r *request) searchCounters(q *api.MessagesGetSearchCountersRequest) (tl.Object, error) {
	ch, err := r.peer(q.Peer)
	if err != nil {
		return nil, err
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	var counters boxedVector[api.MessagesSearchCounter, *api.MessagesSearchCounter]
	for _, f := range q.Filters {
		counters = append(counters, api.MessagesSearchCounter{Filter: f, Count: int32(len(r.foundBy(ch, f)))})
	}
	return counters, nil
}
