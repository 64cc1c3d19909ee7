package dctest

import (
	"sort"
	"strings"

	"github.com/tghaul/haul/telegram/dctest/content"
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

// matches says whether a search filter finds a file.
func matches(filter api.MessagesFilterClass, f *worldFile) bool {
	if _, all := filter.(*api.InputMessagesFilterEmpty); all || f == nil || f.deleted {
		return all
	}
	switch filter.(type) {
	case *api.InputMessagesFilterPhotos:
		return f.kind == content.Photo
	case *api.InputMessagesFilterVideo:
		return f.kind == content.Video
	case *api.InputMessagesFilterPhotoVideo:
		return f.kind == content.Photo || f.kind == content.Video
	case *api.InputMessagesFilterDocument:
		return f.kind == content.Document
	case *api.InputMessagesFilterVoice, *api.InputMessagesFilterRoundVoice:
		return f.kind == content.Voice
	case *api.InputMessagesFilterMusic:
		return f.kind == content.Audio
	default:
		return false
	}
}

// foundBy are the ids that a filter finds. They are kept until something
// changes: in a channel of a million messages finding them takes a while.
func (r *request) foundBy(ch *chat, filter api.MessagesFilterClass) foundList {
	name := filter.TypeName()
	if ids, ok := ch.found[name]; ok {
		return ids
	}
	ids := foundList{}
	for id := ch.ids.top; id > 0; id-- {
		if m := r.c.world.message(ch, id); m != nil && matches(filter, m.file) {
			ids = append(ids, id)
		}
	}
	if ch.found == nil {
		ch.found = map[string]foundList{}
	}
	ch.found[name] = ids
	return ids
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
	if q.Q != "" || q.MinDate > 0 || q.MaxDate > 0 {
		all = r.narrow(ch, all, q)
	}
	limit := min(int(q.Limit), maxBatch) // 0 asks for the count alone
	w := window{offsetID: int(q.OffsetID), addOffset: int(q.AddOffset), limit: max(0, limit), maxID: int(q.MaxID), minID: int(q.MinID)}
	return r.messages(ch, w.page(all), len(all)), nil
}

// narrow applies text and dates of a search.
func (r *request) narrow(ch *chat, all foundList, q *api.MessagesSearchRequest) foundList {
	var ids foundList
	text := strings.ToLower(q.Q)
	for _, id := range all {
		m := r.c.world.message(ch, id)
		sent := int32(m.date.Unix())
		if strings.Contains(strings.ToLower(m.text), text) && (q.MinDate <= 0 || sent > q.MinDate) && (q.MaxDate <= 0 || sent < q.MaxDate) {
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
