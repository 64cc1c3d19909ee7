package dctest

import (
	"sort"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/tghaul/haul/telegram/dctest/content"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

const maxBatch = 100 // messages that one call returns

// channelOf finds the channel that a peer names. Bots may leave the access
// hash out, users may not.
func (r *request) channelOf(id, hash int64) (*channel, error) {
	for _, ch := range r.c.world.channels {
		if ch.id != id {
			continue
		}
		if hash == r.c.world.accessHash(r.ctxMe.id, ch.id) || hash == 0 && r.ctxMe.bot() {
			return ch, nil
		}
	}
	return nil, refuse(400, "CHANNEL_INVALID")
}

func (r *request) peer(p api.InputPeerClass) (*channel, error) {
	if c, ok := p.(*api.InputPeerChannel); ok {
		return r.channelOf(c.ChannelID, c.AccessHash)
	}
	return nil, refuse(400, "PEER_ID_INVALID")
}

func (r *request) inputChannel(p api.InputChannelClass) (*channel, error) {
	if c, ok := p.(*api.InputChannel); ok {
		return r.channelOf(c.ChannelID, c.AccessHash)
	}
	return nil, refuse(400, "CHANNEL_INVALID")
}

// chat is a channel as the account asking sees it.
func (r *request) chat(ch *channel) *api.Channel {
	c := &api.Channel{
		Broadcast: true, ID: ch.id, AccessHash: tl.Some(r.c.world.accessHash(r.ctxMe.id, ch.id)), Title: ch.cfg.Title,
		Photo: &api.ChatPhotoEmpty{}, Date: int32(epoch.Unix()), Noforwards: ch.cfg.NoForwards,
	}
	if ch.cfg.Username != "" {
		c.Username = tl.Some(ch.cfg.Username)
	}
	if r.ctxMe.bot() { // bots of the cluster may post
		c.AdminRights = &api.ChatAdminRights{PostMessages: true, EditMessages: true}
	}
	return c
}

func (r *request) resolveUsername(q *api.ContactsResolveUsernameRequest) (tl.Object, error) {
	name := strings.ToLower(q.Username)
	if name == "" || strings.ContainsAny(name, "@/ ") {
		return nil, refuse(400, "USERNAME_INVALID")
	}
	for _, ch := range r.c.world.channels {
		if strings.ToLower(ch.cfg.Username) == name {
			return &api.ContactsResolvedPeer{Peer: &api.PeerChannel{ChannelID: ch.id}, Chats: []api.ChatClass{r.chat(ch)}}, nil
		}
	}
	return nil, refuse(400, "USERNAME_NOT_OCCUPIED")
}

// page says which messages a history call returns, newest first: those from
// the start index on, of a list of all messages by falling id, which max and
// min then filter. A window that begins before the newest message is moved, as
// the real servers may do. See core.telegram.org/api/offsets.
func page(top, offsetID, addOffset, limit, maxID, minID int) []int {
	start := 0
	if offsetID > 0 {
		start = max(0, top-offsetID+1)
	}
	start = max(0, start+addOffset)
	var ids []int
	for i := start; i < start+limit && i < top; i++ {
		id := top - i
		if (maxID == 0 || id < maxID) && (minID == 0 || id > minID) {
			ids = append(ids, id)
		}
	}
	return ids
}

func batchLimit(limit int32) int {
	if limit <= 0 {
		return 20
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
	offset := int(q.OffsetID)
	if offset == 0 && q.OffsetDate > 0 {
		offset = 1 + sort.Search(ch.top(), func(i int) bool {
			return r.c.world.message(ch, i+1).date.Unix() >= int64(q.OffsetDate)
		})
	}
	ids := page(ch.top(), offset, int(q.AddOffset), batchLimit(q.Limit), int(q.MaxID), int(q.MinID))
	return r.channelMessages(ch, ids, ch.top()), nil
}

// channelMessages renders messages by their ids.
func (r *request) channelMessages(ch *channel, ids []int, count int) *api.MessagesChannelMessages {
	answer := &api.MessagesChannelMessages{Pts: int32(ch.pts), Count: int32(count), Chats: []api.ChatClass{r.chat(ch)}}
	for _, id := range ids {
		answer.Messages = append(answer.Messages, r.render(ch, id))
	}
	return answer
}

func (r *request) getMessages(q *api.MessagesGetMessagesRequest) (tl.Object, error) {
	if len(q.ID) == 0 || len(q.ID) > maxBatch {
		return nil, refuse(400, "MESSAGE_IDS_EMPTY")
	}
	answer := &api.MessagesMessages{}
	for _, in := range q.ID { // no private chats here: nothing is found
		if id, ok := in.(*api.InputMessageID); ok {
			answer.Messages = append(answer.Messages, &api.MessageEmpty{ID: id.ID})
		}
	}
	return answer, nil
}

func (r *request) getChannelMessages(q *api.ChannelsGetMessagesRequest) (tl.Object, error) {
	ch, err := r.inputChannel(q.Channel)
	if err != nil {
		return nil, err
	}
	if len(q.ID) == 0 || len(q.ID) > maxBatch {
		return nil, refuse(400, "MESSAGE_IDS_EMPTY")
	}
	ids := make([]int, 0, len(q.ID))
	for _, in := range q.ID {
		id, ok := in.(*api.InputMessageID)
		if !ok {
			return nil, refuse(400, "MSG_ID_INVALID")
		}
		ids = append(ids, int(id.ID))
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.channelMessages(ch, ids, len(ids)), nil
}

// matches says whether a search filter finds a file.
func matches(filter api.MessagesFilterClass, f *worldFile) bool {
	if f == nil || f.deleted {
		_, all := filter.(*api.InputMessagesFilterEmpty)
		return all
	}
	switch filter.(type) {
	case *api.InputMessagesFilterEmpty:
		return true
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

// found are the ids that a filter finds, newest first.
func (r *request) found(ch *channel, filter api.MessagesFilterClass, text string, minDate, maxDate int32) []int {
	var ids []int
	for id := ch.top(); id > 0; id-- {
		m := r.c.world.message(ch, id)
		if matches(filter, m.file) && strings.Contains(m.text, text) &&
			(minDate == 0 || m.date.Unix() > int64(minDate)) && (maxDate == 0 || m.date.Unix() < int64(maxDate)) {
			ids = append(ids, id)
		}
	}
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
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	all := r.found(ch, q.Filter, q.Q, q.MinDate, q.MaxDate)
	start := 0
	if q.OffsetID > 0 {
		start = sort.Search(len(all), func(i int) bool { return all[i] < int(q.OffsetID) })
	}
	start = min(max(0, start+int(q.AddOffset)), len(all))
	limit := min(int(q.Limit), maxBatch) // 0 asks for the count alone
	ids := all[start:min(len(all), start+max(0, limit))]
	return r.channelMessages(ch, ids, len(all)), nil
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
		counters = append(counters, api.MessagesSearchCounter{Filter: f, Count: int32(len(r.found(ch, f, "", 0, 0)))})
	}
	return counters, nil
}

// getDialogs lists the channels, the one with the newest message first.
func (r *request) getDialogs(q *api.MessagesGetDialogsRequest) (tl.Object, error) {
	if q.FolderID.Value != 0 {
		return &api.MessagesDialogs{}, nil
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	list := append([]*channel(nil), r.c.world.channels...)
	sort.SliceStable(list, func(i, j int) bool { return list[i].top() > list[j].top() })
	total := len(list)
	if p, ok := q.OffsetPeer.(*api.InputPeerChannel); ok {
		for i, ch := range list {
			if ch.id == p.ChannelID {
				list = list[i+1:]
				break
			}
		}
	}
	list = list[:min(len(list), batchLimit(q.Limit))]
	answer := &api.MessagesDialogsSlice{Count: int32(total)}
	for _, ch := range list {
		answer.Dialogs = append(answer.Dialogs, &api.Dialog{
			Peer: &api.PeerChannel{ChannelID: ch.id}, TopMessage: int32(ch.top()), Pts: tl.Some(int32(ch.pts)),
		})
		answer.Messages = append(answer.Messages, r.render(ch, ch.top()))
		answer.Chats = append(answer.Chats, r.chat(ch))
	}
	if len(list) == total {
		return &api.MessagesDialogs{Dialogs: answer.Dialogs, Messages: answer.Messages, Chats: answer.Chats}, nil
	}
	return answer, nil
}

func (r *request) getChannels(q *api.ChannelsGetChannelsRequest) (tl.Object, error) {
	answer := &api.MessagesChats{}
	for _, in := range q.ID {
		ch, err := r.inputChannel(in)
		if err != nil {
			return nil, err
		}
		answer.Chats = append(answer.Chats, r.chat(ch))
	}
	return answer, nil
}

func (r *request) getFullChannel(q *api.ChannelsGetFullChannelRequest) (tl.Object, error) {
	ch, err := r.inputChannel(q.Channel)
	if err != nil {
		return nil, err
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return &api.MessagesChatFull{
		FullChat: &api.ChannelFull{
			ID: ch.id, About: "Made from a seed", ChatPhoto: &api.PhotoEmpty{}, Pts: int32(ch.pts),
			ReadInboxMaxID: int32(ch.top()), ParticipantsCount: tl.Some[int32](3),
		},
		Chats: []api.ChatClass{r.chat(ch)},
	}, nil
}

func (r *request) state() api.UpdatesState {
	return api.UpdatesState{Pts: 1, Date: int32(r.now.Unix()), Seq: 1}
}

const differenceTimeout = 30 // seconds until a final difference may be asked for again

// getChannelDifference tells of messages sent since pts. A message has the pts of its id plus one.
func (r *request) getChannelDifference(q *api.UpdatesGetChannelDifferenceRequest) (tl.Object, error) {
	ch, err := r.inputChannel(q.Channel)
	if err != nil {
		return nil, err
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	switch pts := int(q.Pts); {
	case pts <= 0:
		return nil, refuse(400, "PERSISTENT_TIMESTAMP_EMPTY")
	case pts > ch.pts:
		return nil, refuse(400, "PERSISTENT_TIMESTAMP_INVALID")
	case pts == ch.pts:
		return &api.UpdatesChannelDifferenceEmpty{Final: true, Pts: int32(ch.pts), Timeout: tl.Some[int32](differenceTimeout)}, nil
	default:
		limit := min(max(int(q.Limit), 1), maxBatch)
		last := min(ch.top(), pts-1+limit)
		answer := &api.UpdatesChannelDifference{
			Final: last == ch.top(), Pts: int32(last + 1), Timeout: tl.Some[int32](differenceTimeout), Chats: []api.ChatClass{r.chat(ch)},
		}
		for id := pts; id <= last; id++ {
			answer.NewMessages = append(answer.NewMessages, r.render(ch, id))
		}
		return answer, nil
	}
}

// render is a message as the account asking sees it.
func (r *request) render(ch *channel, id int) api.MessageClass {
	m := r.c.world.message(ch, id)
	peer := &api.PeerChannel{ChannelID: ch.id}
	switch {
	case m == nil:
		return &api.MessageEmpty{ID: int32(id), PeerID: peer}
	case m.service:
		return &api.MessageService{
			Post: true, ID: int32(id), PeerID: peer, Date: int32(m.date.Unix()),
			Action: &api.MessageActionChannelCreate{Title: ch.cfg.Title},
		}
	}
	out := &api.Message{
		Post: true, ID: int32(id), PeerID: peer, Date: int32(m.date.Unix()), Message: m.text, Noforwards: m.noForwards,
		Views: tl.Some(int32(100 + id%900)),
	}
	if m.grouped != 0 {
		out.GroupedID = tl.Some(m.grouped)
	}
	if word, _, ok := strings.Cut(m.text, " "); ok {
		out.Entities = []api.MessageEntityClass{&api.MessageEntityBold{Length: int32(len(utf16.Encode([]rune(word))))}}
	}
	if m.file != nil {
		out.Media = r.media(m.file, m.date)
	}
	return out
}

// media is a file as the account asking sees it, with a fresh reference.
func (r *request) media(f *worldFile, date time.Time) api.MessageMediaClass {
	if f.kind == content.Photo {
		media := &api.MessageMediaPhoto{}
		if !f.deleted {
			media.Photo = r.photo(f, date)
		}
		return media
	}
	media := &api.MessageMediaDocument{Video: f.kind == content.Video, Voice: f.kind == content.Voice}
	if !f.deleted {
		media.Document = r.document(f, date)
	}
	return media
}
