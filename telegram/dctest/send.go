package dctest

import (
	"errors"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/tghaul/haul/telegram/dctest/content"
	"github.com/tghaul/haul/telegram/dctest/internal/mtserver"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// Limits of texts in UTF-16 units, and of albums.
const (
	maxText           = 4096
	maxCaption        = 1024
	maxCaptionPremium = 4096
	maxAlbum          = 10
)

// units is the length of a text as Telegram counts it.
func units(text string) int { return len(utf16.Encode([]rune(text))) }

func (r *request) checkCaption(d *draft) error {
	if r.me.cfg.Premium {
		return d.check(maxCaptionPremium, "MEDIA_CAPTION_TOO_LONG")
	}
	return d.check(maxCaption, "MEDIA_CAPTION_TOO_LONG")
}

// once makes sure that a random_id is used for one message only: it is taken
// while send runs, and given back if that fails.
func (r *request) once(ids []int64, send func() (tl.Object, error)) (tl.Object, error) {
	r.c.mu.Lock()
	var taken []uploadKey
	var err error
	for _, id := range ids {
		key := uploadKey{r.me.id, id}
		if id == 0 {
			err = refuse(400, "RANDOM_ID_EMPTY")
		} else if r.c.randomIDs[key] {
			err = refuse(500, "RANDOM_ID_DUPLICATE")
		}
		if err != nil {
			break
		}
		r.c.randomIDs[key] = true
		taken = append(taken, key)
	}
	r.c.mu.Unlock()
	var answer tl.Object
	if err == nil {
		answer, err = send()
	}
	if err != nil {
		r.c.mu.Lock()
		for _, key := range taken {
			delete(r.c.randomIDs, key)
		}
		r.c.mu.Unlock()
	}
	return answer, err
}

// send sends messages to a chat, now or when they are scheduled, and returns the
// updates that tell of them.
func (r *request) send(ch *chat, messages []*worldMessage, randomIDs []int64, when tl.Opt[int32]) (*api.Updates, error) {
	for _, m := range messages {
		if err := r.mayWrite(ch, m.file); err != nil {
			return nil, err
		}
	}
	if when.Set {
		return r.schedule(ch, messages, randomIDs, time.Unix(int64(when.Value), 0)), nil
	}
	return r.post(ch, messages, randomIDs)
}

func (r *request) post(ch *chat, messages []*worldMessage, randomIDs []int64) (*api.Updates, error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if err := r.slowLocked(ch); err != nil {
		return nil, err
	}
	var list []api.UpdateClass
	for i, m := range messages {
		m.date, m.from = r.now, r.me.id
		r.c.world.post(ch, m)
		list = append(list, &api.UpdateMessageID{ID: int32(m.id), RandomID: randomIDs[i]}, r.newMessage(ch, m.id))
	}
	r.c.pushLocked(r, ch, messages)
	return r.updates(ch, list), nil
}

// newMessage is the update about the newest message of a chat.
func (r *request) newMessage(ch *chat, id int) api.UpdateClass {
	pts := int32(ch.pts - (ch.ids.top - id))
	if ch.private() {
		return &api.UpdateNewMessage{Message: r.render(ch, id), Pts: pts, PtsCount: 1}
	}
	return &api.UpdateNewChannelMessage{Message: r.render(ch, id), Pts: pts, PtsCount: 1}
}

func (r *request) updates(ch *chat, list []api.UpdateClass) *api.Updates {
	return &api.Updates{Updates: list, Chats: r.chats(ch), Users: []api.UserClass{r.user(r.me)}, Date: int32(r.now.Unix())}
}

func (r *request) sendMedia(q *api.MessagesSendMediaRequest) (tl.Object, error) {
	ch, err := r.peer(q.Peer)
	if err != nil {
		return nil, err
	}
	d := &draft{
		randomID: q.RandomID, text: q.Message, entities: q.Entities, noForwards: q.Noforwards, silent: q.Silent,
		reply: q.ReplyTo, as: q.SendAs, schedule: q.ScheduleDate,
	}
	if err := r.checkCaption(d); err != nil {
		return nil, err
	}
	return r.once([]int64{d.randomID}, func() (tl.Object, error) {
		m, err := r.message(ch, d)
		if err != nil {
			return nil, err
		}
		if m.file, err = r.newMedia(q.Media); err != nil {
			return nil, err
		}
		return r.send(ch, []*worldMessage{m}, []int64{d.randomID}, d.schedule)
	})
}

func (r *request) sendMessage(q *api.MessagesSendMessageRequest) (tl.Object, error) {
	ch, err := r.peer(q.Peer)
	if err != nil {
		return nil, err
	}
	d := &draft{
		randomID: q.RandomID, text: q.Message, entities: q.Entities, noForwards: q.Noforwards, silent: q.Silent,
		reply: q.ReplyTo, as: q.SendAs, schedule: q.ScheduleDate,
	}
	if strings.TrimSpace(d.text) == "" {
		return nil, refuse(400, "MESSAGE_EMPTY")
	}
	if err := d.check(maxText, "MESSAGE_TOO_LONG"); err != nil {
		return nil, err
	}
	return r.once([]int64{d.randomID}, func() (tl.Object, error) {
		m, err := r.message(ch, d)
		if err != nil {
			return nil, err
		}
		return r.send(ch, []*worldMessage{m}, []int64{d.randomID}, d.schedule)
	})
}

func (r *request) uploadMedia(q *api.MessagesUploadMediaRequest) (tl.Object, error) {
	ch, err := r.peer(q.Peer)
	if err != nil {
		return nil, err
	}
	if err := r.mayWrite(ch, nil); err != nil {
		return nil, err
	}
	f, err := r.newMedia(q.Media)
	if err != nil {
		return nil, err
	}
	return r.media(f, r.now), nil
}

// sendMultiMedia sends an album. What is in it was uploaded before, with
// messages.uploadMedia. See core.telegram.org/api/files#albums-grouped-media.
func (r *request) sendMultiMedia(q *api.MessagesSendMultiMediaRequest) (tl.Object, error) {
	ch, err := r.peer(q.Peer)
	switch {
	case err != nil:
		return nil, err
	case len(q.MultiMedia) > maxAlbum:
		return nil, refuse(400, "MULTI_MEDIA_TOO_LONG")
	case len(q.MultiMedia) < 2:
		return nil, refuse(400, "MEDIA_EMPTY")
	}
	var ids []int64
	var messages []*worldMessage
	for i := range q.MultiMedia {
		m, err := r.albumItem(ch, q, i)
		if err != nil {
			return nil, err
		}
		ids = append(ids, q.MultiMedia[i].RandomID)
		messages = append(messages, m)
	}
	if !sameAlbum(messages) {
		return nil, refuse(400, "GROUPED_MEDIA_INVALID")
	}
	return r.once(ids, func() (tl.Object, error) {
		grouped := ids[0]&idMask | 1
		for _, m := range messages {
			m.grouped = grouped
		}
		return r.send(ch, messages, ids, q.ScheduleDate)
	})
}

// albumItem is message i of an album. Errors about its reference carry i.
func (r *request) albumItem(ch *chat, q *api.MessagesSendMultiMediaRequest, i int) (*worldMessage, error) {
	in := q.MultiMedia[i]
	d := &draft{
		randomID: in.RandomID, text: in.Message, entities: in.Entities, noForwards: q.Noforwards, silent: q.Silent,
		reply: q.ReplyTo, as: q.SendAs, schedule: q.ScheduleDate,
	}
	if err := r.checkCaption(d); err != nil {
		return nil, err
	}
	m, err := r.message(ch, d)
	if err != nil {
		return nil, err
	}
	switch in.Media.(type) {
	case *api.InputMediaPhoto, *api.InputMediaDocument:
	default:
		return nil, refuse(400, "MEDIA_INVALID")
	}
	m.file, err = r.newMedia(in.Media)
	var answer *mtserver.Error
	if errors.As(err, &answer) {
		if kind, ok := strings.CutPrefix(answer.Message, "FILE_REFERENCE_"); ok {
			return nil, refuse(400, "FILE_REFERENCE_"+itoa(i)+"_"+kind)
		}
	}
	return m, err
}

// sameAlbum reports whether files may stand in one album: photos and videos,
// or only audio, or only documents; no voice messages, animations or stickers.
func sameAlbum(messages []*worldMessage) bool {
	class := func(m *worldMessage) content.Kind {
		if m.file.kind == content.Video {
			return content.Photo
		}
		return m.file.kind
	}
	for _, m := range messages {
		if class(m) == content.Voice || m.file.shape != "" || class(m) != class(messages[0]) {
			return false
		}
	}
	return true
}
