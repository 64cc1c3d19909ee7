package dctest

import (
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/tghaul/haul/telegram/dctest/content"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// How messages are sent: what they answer, in which topic, when, in whose name,
// and who may do that.

// Limits of scheduled messages, core.telegram.org/api/scheduled-messages.
const (
	maxScheduled     = 100 // in a chat
	maxScheduleAhead = 365 * 24 * time.Hour
)

// A draft is a message before it is sent.
type draft struct {
	randomID   int64
	text       string
	entities   []api.MessageEntityClass
	noForwards bool
	silent     bool
	reply      api.InputReplyToClass
	as         api.InputPeerClass
	schedule   tl.Opt[int32]
}

// check applies the rules for the text of a message.
func (d *draft) check(limit int, tooLong string) error {
	if units(d.text) > limit {
		return refuse(400, tooLong)
	}
	return checkEntities(d.text, d.entities)
}

// message is the message without its file. It shares no memory with the query.
func (r *request) message(ch *chat, d *draft) (*worldMessage, error) {
	if err := r.mayWrite(ch, nil); err != nil {
		return nil, err
	}
	if err := r.checkSchedule(ch, d.schedule); err != nil {
		return nil, err
	}
	if err := r.checkSendAs(ch, d.as); err != nil {
		return nil, err
	}
	var e tl.Encoder
	for _, entity := range d.entities {
		entity.Encode(&e)
	}
	own, err := decodeAll(e.Bytes(), api.DecodeMessageEntity)
	if err != nil {
		return nil, refuse(400, "ENTITY_BOUNDS_INVALID")
	}
	m := &worldMessage{text: d.text, entities: own, noForwards: d.noForwards, silent: d.silent}
	m.reply, m.topic, err = r.replyOf(ch, d.reply)
	return m, err
}

// checkEntities refuses entities that reach out of the text, divide a character
// of two UTF-16 units, or overlap without one being within the other.
func checkEntities(text string, entities []api.MessageEntityClass) error {
	u := utf16.Encode([]rune(text))
	whole := func(at int) bool { return at == len(u) || u[at] < 0xdc00 || u[at] > 0xdfff }
	type span struct{ from, to int }
	var spans []span
	for _, entity := range entities {
		v := reflect.ValueOf(entity).Elem() // all kinds have these two
		from, length := int(v.FieldByName("Offset").Int()), int(v.FieldByName("Length").Int())
		to := from + length
		if from < 0 || length < 1 || to > len(u) || !whole(from) || !whole(to) {
			return refuse(400, "ENTITY_BOUNDS_INVALID")
		}
		for _, s := range spans {
			if from < s.from && to > s.from && to < s.to || from > s.from && from < s.to && to > s.to {
				return refuse(400, "ENTITY_BOUNDS_INVALID")
			}
		}
		spans = append(spans, span{from, to})
		if link, ok := entity.(*api.MessageEntityTextUrl); ok && !strings.Contains(link.URL, ".") && !strings.HasPrefix(link.URL, "tg:") {
			return refuse(400, "ENTITY_TEXTURL_INVALID")
		}
	}
	return nil
}

// replyOf is the message that is answered, and the topic that this puts the new
// one into. See core.telegram.org/api/forum#sending-messages.
func (r *request) replyOf(ch *chat, in api.InputReplyToClass) (reply, topic int, err error) {
	forum := len(ch.cfg.Topics) > 0
	to, ok := in.(*api.InputReplyToMessage)
	if in == nil {
		return 0, 0, nil
	}
	if !ok || to.TopMsgID.Set && !forum {
		return 0, 0, refuse(400, "REPLY_TO_INVALID")
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	id, top := int(to.ReplyToMsgID), int(to.TopMsgID.Value)
	if r.c.world.message(ch, id) == nil {
		return 0, 0, refuse(400, "REPLY_MESSAGE_ID_INVALID")
	}
	if !forum {
		return id, 0, nil
	}
	topic = ch.topicOf(id)
	if to.TopMsgID.Set && top != topic {
		return 0, 0, refuse(400, "TOPIC_ID_INVALID")
	}
	if i := topic - len(ch.special) - 1; i >= 0 && slices.Contains(ch.cfg.ClosedTopics, ch.cfg.Topics[i]) {
		return 0, 0, refuse(400, "TOPIC_CLOSED")
	}
	if id == topic {
		id = 0 // it is in the topic, and answers nobody
	}
	return id, topic, nil
}

func (r *request) checkSchedule(ch *chat, date tl.Opt[int32]) error {
	if !date.Set {
		return nil
	}
	at := time.Unix(int64(date.Value), 0)
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	waiting := 0
	for _, s := range r.c.scheduled {
		if s.ch == ch && s.me == r.me {
			waiting++
		}
	}
	switch {
	case r.me.bot():
		return refuse(400, "SCHEDULE_BOT_NOT_ALLOWED")
	case !at.After(r.now):
		return refuse(400, "SCHEDULE_DATE_INVALID")
	case at.Sub(r.now) > maxScheduleAhead:
		return refuse(400, "SCHEDULE_DATE_TOO_LATE")
	case waiting >= maxScheduled:
		return refuse(400, "SCHEDULE_TOO_MUCH")
	}
	return nil
}

// checkSendAs: in a group an account may speak as itself, or as a public channel
// that it administrates; in a channel only the channel speaks.
func (r *request) checkSendAs(ch *chat, as api.InputPeerClass) error {
	if as == nil {
		return nil
	}
	if _, self := as.(*api.InputPeerSelf); self && ch.group() {
		return nil
	}
	if p, ok := as.(*api.InputPeerChannel); ok && ch.group() {
		if speaker, err := r.channelOf(p.ChannelID, p.AccessHash); err == nil && (speaker == ch || speaker.cfg.Username != "") {
			return nil
		}
	}
	return refuse(400, "SEND_AS_PEER_INVALID")
}

// sendRights are what a chat may keep its members from sending: the names in
// ChannelConfig.Forbidden, with the end of the error.
var sendRights = map[string]string{
	"all": "CHAT_WRITE_FORBIDDEN", "media": "CHAT_SEND_MEDIA_FORBIDDEN", "photos": "CHAT_SEND_PHOTOS_FORBIDDEN",
	"videos": "CHAT_SEND_VIDEOS_FORBIDDEN", "audios": "CHAT_SEND_AUDIOS_FORBIDDEN", "voices": "CHAT_SEND_VOICES_FORBIDDEN",
	"docs": "CHAT_SEND_DOCS_FORBIDDEN",
}

// mayWrite applies what the members of a chat are forbidden. f is the file to be
// sent, nil for none.
func (r *request) mayWrite(ch *chat, f *worldFile) error {
	rights := []string{"all"}
	if f != nil {
		kind := map[content.Kind]string{
			content.Photo: "photos", content.Video: "videos", content.Audio: "audios", content.Voice: "voices", content.Document: "docs",
		}[f.kind]
		rights = append(rights, "media", kind)
	}
	for _, right := range rights {
		if slices.Contains(ch.cfg.Forbidden, right) {
			return refuse(403, sendRights[right])
		}
	}
	return nil
}

// slowLocked applies the slow mode of a chat.
func (r *request) slowLocked(ch *chat) error {
	pause := time.Duration(ch.cfg.SlowMode)
	for i := len(ch.sent) - 1; pause > 0 && i >= 0; i-- {
		if m := ch.sent[i]; m.from == r.me.id {
			if left := m.date.Add(pause).Sub(r.now); left > 0 {
				return refuse(420, "SLOWMODE_WAIT_"+itoa(int((left+time.Second-1)/time.Second)))
			}
			return nil
		}
	}
	return nil
}

// banned is what members of the chat may not do, as a client sees it.
func (ch *chat) banned() *api.ChatBannedRights {
	if len(ch.cfg.Forbidden) == 0 {
		return nil
	}
	has := func(right string) bool { return slices.Contains(ch.cfg.Forbidden, right) }
	return &api.ChatBannedRights{
		SendMessages: has("all"), SendMedia: has("media"), SendPhotos: has("photos"), SendVideos: has("videos"),
		SendAudios: has("audios"), SendVoices: has("voices"), SendDocs: has("docs"), UntilDate: 1<<31 - 1,
	}
}

// A scheduled is a message that is sent later.
type scheduled struct {
	ch *chat
	me *account
	m  *worldMessage
	at time.Time
}

// schedule keeps messages until they are due, and returns the updates that tell so.
func (r *request) schedule(ch *chat, messages []*worldMessage, randomIDs []int64, at time.Time) *api.Updates {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	var list []api.UpdateClass
	for i, m := range messages {
		m.date, m.from = at, r.me.id
		r.c.scheduled = append(r.c.scheduled, scheduled{ch, r.me, m, at})
		ch.schedules++ // these have ids of their own
		list = append(list, &api.UpdateMessageID{ID: int32(ch.schedules), RandomID: randomIDs[i]},
			&api.UpdateNewScheduledMessage{Message: r.renderMessage(ch, ch.schedules, m)})
	}
	return r.updates(ch, list)
}

// deliver sends the messages that are due.
func (r *request) deliver() {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	r.c.scheduled = slices.DeleteFunc(r.c.scheduled, func(s scheduled) bool {
		if s.at.After(r.now) {
			return false
		}
		r.c.world.post(s.ch, s.m)
		r.c.pushLocked(r, s.ch, []*worldMessage{s.m})
		return true
	})
}

// Scheduled is how many messages are not sent yet.
func (c *Cluster) Scheduled() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.scheduled)
}
