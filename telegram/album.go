package telegram

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl/api"
)

// MaxAlbum is how many messages an album may have. See
// core.telegram.org/api/files#albums-grouped-media.
const MaxAlbum = 10

// A Media is a file that the server has made of an upload, of which messages
// can be made. Its reference expires, as all do.
type Media struct {
	Photo         bool // a photo, else a document
	ID            int64
	AccessHash    int64
	FileReference []byte
}

func (m *Media) input() api.InputMediaClass {
	if m.Photo {
		return &api.InputMediaPhoto{ID: &api.InputPhoto{ID: m.ID, AccessHash: m.AccessHash, FileReference: m.FileReference}}
	}
	return &api.InputMediaDocument{ID: &api.InputDocument{ID: m.ID, AccessHash: m.AccessHash, FileReference: m.FileReference}}
}

// UploadMedia makes a file of an upload, without sending a message. It may be
// repeated: each time there is another file. Errors: *PartMissingError, and
// those of Invoke. See core.telegram.org/method/messages.uploadMedia.
func (c *Client) UploadMedia(ctx context.Context, to Peer, u Uploaded) (Media, error) {
	answer, err := sendSurely(ctx, c, &to, func() (api.MessageMediaClass, error) {
		return mtproto.Call(ctx, c, &api.MessagesUploadMediaRequest{Peer: to.Input(), Media: u.media()})
	})
	if err != nil {
		return Media{}, sendError(to, err)
	}
	switch m := answer.(type) {
	case *api.MessageMediaPhoto:
		if p, ok := m.Photo.(*api.Photo); ok {
			return Media{Photo: true, ID: p.ID, AccessHash: p.AccessHash, FileReference: slices.Clone(p.FileReference)}, nil
		}
	case *api.MessageMediaDocument:
		if d, ok := m.Document.(*api.Document); ok {
			return Media{ID: d.ID, AccessHash: d.AccessHash, FileReference: slices.Clone(d.FileReference)}, nil
		}
	}
	return Media{}, fmt.Errorf("send to %v: the server made no file of the upload, but a %s", to, answer.TypeName())
}

// An AlbumItem is one message of an album.
type AlbumItem struct {
	Media Media
	// Old says that UploadMedia has made the file so long ago that the server may
	// have forgotten it: if it refuses the media, it is that.
	Old      bool
	RandomID int64 // as Uploaded.RandomID
	Caption  string
	Entities []api.MessageEntityClass
}

// A SentItem is what became of an AlbumItem.
type SentItem struct {
	Sent      bool // by this call or by an earlier one
	MessageID int  // 0: not known, or scheduled
	Captioned bool // its message has a caption, as far as is known
	Err       error
}

// A StaleMediaError says that the reference to a Media has expired, or that the
// server has forgotten an old one: upload it again.
type StaleMediaError struct{ Err error }

func (e *StaleMediaError) Error() string {
	return fmt.Sprintf("telegram: the uploaded file has to be made anew: %v", e.Err)
}

// Unwrap returns the server's error.
func (e *StaleMediaError) Unwrap() error { return e.Err }

// SendAlbum sends 1 to MaxAlbum messages as one group, and says of each what
// became of it. Photos and videos may stand together; other kinds only with
// their own. It may be repeated with the same random ids after anything that
// happens, also with fewer or more items: each becomes one message, and those
// that were not sent before become a group of their own. If the server refuses
// the group for what is in it, each is tried alone, so that one bad item does
// not keep the others back. The caption of one that is not sent, or was sent
// without it, goes to the next one that has none, and does not stand on both if
// it is sent later; a caption that the server refuses fails them all.
//
// The error of an item may be a *StaleMediaError.
// See core.telegram.org/method/messages.sendMultiMedia.
func (c *Client) SendAlbum(ctx context.Context, to Peer, items []AlbumItem, o SendOptions) []SentItem {
	a := &albumSend{c: c, to: to, items: slices.Clone(items), o: o, sent: make([]SentItem, len(items))}
	rest := make([]int, len(items))
	for i := range rest {
		rest[i] = i
	}
	for len(rest) > 1 {
		answer, err := a.group(ctx, rest)
		if err == nil {
			a.take(answer, rest)
			return a.sent
		}
		_, dup := isRPC(err, "RANDOM_ID_DUPLICATE")
		_, stale := staleInGroup(err)
		if !dup && !isMediaRefusal(err) && !stale {
			a.refuse(err, rest)
			return a.sent
		}
		// An earlier call may have sent some, whatever the server objects to first;
		// they must be known before others are tried alone, or made anew.
		left := a.find(ctx, rest)
		if len(left) < len(rest) {
			rest = left
			continue
		}
		if !dup && !a.blame(err, rest) {
			return a.sent
		}
		break // nothing to tell them apart by
	}
	for n, i := range rest {
		if a.alone(ctx, i); !a.sent[i].Sent {
			a.passOn(i, rest[n+1:])
		}
	}
	return a.sent
}

// An albumSend is one call of SendAlbum. rest are always indices of items that
// are not known to be sent.
type albumSend struct {
	c     *Client
	to    Peer
	items []AlbumItem
	o     SendOptions
	sent  []SentItem
}

// group tries to send items as a group.
func (a *albumSend) group(ctx context.Context, rest []int) (api.UpdatesClass, error) {
	var list []api.InputSingleMedia
	for _, i := range rest {
		it := &a.items[i]
		list = append(list, api.InputSingleMedia{Media: it.Media.input(), RandomID: it.RandomID, Message: it.Caption, Entities: it.Entities})
	}
	return sendSurely(ctx, a.c, &a.to, func() (api.UpdatesClass, error) {
		return mtproto.Call(ctx, a.c, &api.MessagesSendMultiMediaRequest{
			Peer: a.to.Input(), MultiMedia: list, ReplyTo: a.o.replyTo(), Silent: a.o.Silent,
			ScheduleDate: a.o.schedule(), SendAs: a.o.sendAs(),
		})
	})
}

// take notes that the server has sent a group.
func (a *albumSend) take(answer api.UpdatesClass, rest []int) {
	for _, i := range rest {
		id, _ := a.c.sentMessage(answer, a.to, a.items[i].RandomID)
		if !a.o.Schedule.IsZero() {
			id = 0
		}
		a.sent[i] = SentItem{Sent: true, MessageID: id, Captioned: a.items[i].Caption != ""}
	}
}

// passOn gives the caption of an item to the next of the rest that has none.
func (a *albumSend) passOn(i int, rest []int) {
	from := &a.items[i]
	for _, n := range rest {
		if to := &a.items[n]; to.Caption == "" {
			to.Caption, to.Entities = from.Caption, from.Entities
			return
		}
	}
}

// refuse notes a refusal that concerns all items alike.
func (a *albumSend) refuse(err error, rest []int) {
	for _, i := range rest {
		a.sent[i].Err = sendError(a.to, err)
	}
}

// blame notes which items have to be made anew, after a group was refused for
// its media. If there are none it reports that the items may be tried one by one.
func (a *albumSend) blame(err error, rest []int) bool {
	if rpc, stale := staleInGroup(err); stale {
		if rpc.Arg < 0 || rpc.Arg >= len(rest) {
			a.refuse(err, rest)
			return false
		}
		a.sent[rest[rpc.Arg]].Err = &StaleMediaError{err}
		return false
	}
	old := false
	for _, i := range rest {
		if a.items[i].Old {
			a.sent[i].Err, old = &StaleMediaError{err}, true
		}
	}
	return !old // else the group is tried once more before it is taken apart
}

// staleInGroup is the server's answer that the reference of one file of a group,
// that with the index Arg, is not good any more.
func staleInGroup(err error) (*mtproto.RPCError, bool) {
	return isRPC(err, "FILE_REFERENCE_X_EXPIRED", "FILE_REFERENCE_X_INVALID", "FILE_REFERENCE_X_EMPTY")
}

// isMediaRefusal reports whether the server says that there is something wrong
// with the files, and not which.
func isMediaRefusal(err error) bool {
	_, is := isRPC(err, "GROUPED_MEDIA_INVALID", "MEDIA_INVALID", "MEDIA_EMPTY", "MEDIA_FILE_INVALID", "DOCUMENT_INVALID", "PHOTO_INVALID")
	return is
}

// alone sends one item by itself. Its random id tells whether it was sent before.
func (a *albumSend) alone(ctx context.Context, i int) {
	it := &a.items[i]
	id, _, err := a.c.SendUploaded(ctx, a.to, Uploaded{
		Media: &it.Media, Caption: it.Caption, Entities: it.Entities, RandomID: it.RandomID, Send: a.o,
	})
	if _, stale := isRPC(err, "FILE_REFERENCE_EXPIRED", "FILE_REFERENCE_INVALID", "FILE_REFERENCE_EMPTY"); stale || it.Old && isMediaRefusal(err) {
		err = &StaleMediaError{err}
	}
	if id != 0 || errors.Is(err, ErrAlreadySent) {
		err = nil
		a.sent[i].Sent = true
	}
	a.sent[i] = SentItem{Sent: a.sent[i].Sent || err == nil, MessageID: id, Captioned: err == nil && it.Caption != "", Err: err}
}

// albumDepth is how many of the newest messages are looked through for an
// album that was sent before.
const albumDepth = 5 * batch

// find looks for those of the items that were sent before, and returns the others.
func (a *albumSend) find(ctx context.Context, rest []int) (left []int) {
	found := make(map[int64]*Message) // by file
	if a.o.Schedule.IsZero() {
		for m, err := range a.c.Messages(ctx, a.to, MessagesOptions{Limit: albumDepth}) {
			if err != nil {
				return rest
			}
			for _, f := range m.Files {
				found[f.ID] = m
			}
			if !slices.ContainsFunc(rest, func(i int) bool { return found[a.items[i].Media.ID] == nil }) {
				break
			}
		}
	}
	var carriers []int // whose messages have a caption
	for _, i := range rest {
		if m := found[a.items[i].Media.ID]; m != nil {
			a.sent[i] = SentItem{Sent: true, MessageID: m.ID, Captioned: m.Text != ""}
			if m.Text != "" {
				carriers = append(carriers, i)
			}
		} else {
			left = append(left, i)
		}
	}
	for _, i := range rest {
		if a.sent[i].Sent && len(carriers) == 0 { // an item that is not among these had it
			a.passOn(i, left)
		}
	}
	for _, i := range carriers {
		a.takeBack(i, left)
	}
	return left
}

// takeBack takes the caption away from the item of which a sent one had it: one
// before it that was not sent then.
func (a *albumSend) takeBack(i int, left []int) {
	if a.items[i].Caption != "" {
		return // it is its own
	}
	for _, n := range left {
		if from := &a.items[n]; n < i && from.Caption != "" {
			from.Caption, from.Entities = "", nil
			return
		}
	}
}
