package telegram

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// An Uploaded is a file whose parts are on the server, ready to be sent.
type Uploaded struct {
	InputFile api.InputFileClass
	// Media, if not nil, is what UploadMedia has made of the file already.
	// InputFile and what describes the file are not used then.
	Media    *Media
	Name     string // shown as the file's name
	MimeType string // "": application/octet-stream
	Caption  string // at most 1024 UTF-16 units, 4096 for Premium accounts
	// Entities format the caption: offsets and lengths in UTF-16 units.
	Entities []api.MessageEntityClass
	Size     int64 // bytes; 0: unknown
	// RandomID makes the send idempotent: not 0, and the same for each try.
	RandomID int64
	// Photo sends a photo, which the server compresses. Otherwise it is a
	// document of what kind the Attributes say.
	Photo bool
	// ForceFile keeps the server from treating a document as media.
	ForceFile  bool
	Attributes []api.DocumentAttributeClass // a file name is added from Name
	Thumb      api.InputFileClass           // JPEG, at most 200 KB and 320 px, or nil
	// NoSound says that a video has no sound track, and is no animation for
	// that: the server makes one of it otherwise.
	NoSound bool
	// Send says how the message is sent.
	Send SendOptions
}

// SendOptions say how messages are sent. The zero value: at once, with a
// notification, in the account's own name.
type SendOptions struct {
	Topic   int // id of the forum's topic; 0 and 1: the General one
	ReplyTo int // id of the message in the same chat that is answered; 0: none
	Silent  bool
	// Schedule is when the server sends the message; the zero time: now.
	// Messages that are scheduled have no id until then.
	Schedule time.Time
	As       *Peer // a channel in whose name it is sent; nil: the account's
}

// replyTo is how calls name topic and message. See core.telegram.org/api/forum.
func (o SendOptions) replyTo() api.InputReplyToClass {
	switch {
	case o.ReplyTo == 0 && o.Topic <= generalTopic:
		return nil
	case o.ReplyTo == 0:
		return &api.InputReplyToMessage{ReplyToMsgID: int32(o.Topic)}
	}
	r := &api.InputReplyToMessage{ReplyToMsgID: int32(o.ReplyTo)}
	if o.Topic > generalTopic {
		r.TopMsgID = tl.Some(int32(o.Topic))
	}
	return r
}

func (o SendOptions) schedule() tl.Opt[int32] {
	if o.Schedule.IsZero() {
		return tl.Opt[int32]{}
	}
	return tl.Some(int32(o.Schedule.Unix()))
}

func (o SendOptions) sendAs() api.InputPeerClass {
	if o.As == nil {
		return nil
	}
	return o.As.Input()
}

func (u Uploaded) media() api.InputMediaClass {
	if u.Media != nil {
		return u.Media.input()
	}
	if u.Photo {
		return &api.InputMediaUploadedPhoto{File: u.InputFile}
	}
	attrs := append([]api.DocumentAttributeClass(nil), u.Attributes...)
	if u.Name != "" {
		attrs = append(attrs, &api.DocumentAttributeFilename{FileName: u.Name})
	}
	mime := u.MimeType
	if mime == "" {
		mime = "application/octet-stream"
	}
	return &api.InputMediaUploadedDocument{
		File: u.InputFile, MimeType: mime, Attributes: attrs, ForceFile: u.ForceFile, Thumb: u.Thumb,
		NosoundVideo: u.NoSound,
	}
}

// SendUploaded sends a message with an uploaded file, and returns its id and
// file. With the same RandomID it may be repeated after any error: there will
// be one message. What an earlier try has sent is looked for among the newest
// messages (ErrAlreadySent if it is not there). A file that the server is still
// processing comes back as zero File, a message that is scheduled with id 0.
//
// Errors: *PartMissingError, and those of Invoke.
// See core.telegram.org/method/messages.sendMedia.
func (c *Client) SendUploaded(ctx context.Context, to Peer, u Uploaded) (messageID int, file File, err error) {
	if u.RandomID == 0 {
		return 0, File{}, errors.New("telegram: a message to send needs a random id")
	}
	answer, err := c.sendMedia(ctx, &to, u)
	if _, dup := isRPC(err, "RANDOM_ID_DUPLICATE"); dup {
		return c.findSent(ctx, to, u)
	}
	if err != nil {
		return 0, File{}, sendError(to, err)
	}
	id, msg := c.sentMessage(answer, to, u.RandomID)
	if !u.Send.Schedule.IsZero() { // its id is not that which the message will have
		if msg != nil && len(msg.Files) > 0 {
			file = msg.Files[0]
		}
		return 0, file, nil
	}
	switch {
	case msg != nil && len(msg.Files) > 0:
		return id, msg.Files[0], nil
	case id == 0:
		return 0, File{}, fmt.Errorf("send to %v: the server does not name the message", to)
	}
	files, err := c.RefreshFiles(ctx, to, []int{id})
	if err != nil || len(files[id]) == 0 {
		return id, File{}, err // sent: the message is there, its file perhaps not yet
	}
	return id, files[id][0], nil
}

// sendError says what a refused send is about.
func sendError(to Peer, err error) error {
	if rpc, missing := isRPC(err, "FILE_PART_X_MISSING"); missing {
		return &PartMissingError{Part: rpc.Arg, Err: rpc}
	}
	if rpc, refused := isRPC(err); refused && sendWords[rpc.Type] != "" {
		err = &SendError{sendWords[rpc.Type], err}
	}
	return fmt.Errorf("send to %v: %w", to, err)
}

// sendMedia repeats a call of which nobody knows whether it was executed: its
// random id makes that safe.
func (c *Client) sendMedia(ctx context.Context, to *Peer, u Uploaded) (api.UpdatesClass, error) {
	return sendSurely(ctx, c, to, func() (api.UpdatesClass, error) {
		return mtproto.Call(ctx, c, &api.MessagesSendMediaRequest{
			Peer: to.Input(), Media: u.media(), Message: u.Caption, Entities: u.Entities, RandomID: u.RandomID,
			ReplyTo: u.Send.replyTo(), Silent: u.Send.Silent, ScheduleDate: u.Send.schedule(), SendAs: u.Send.sendAs(),
		})
	})
}

// sendSurely repeats a call that may be repeated until it is known what became of it.
func sendSurely[R any](ctx context.Context, c *Client, to *Peer, call func() (R, error)) (R, error) {
	for n := 0; ; n++ {
		answer, err := retryStale(ctx, c, to, call)
		if !errors.Is(err, mtproto.ErrUnknownOutcome) || n >= maxBackOffs {
			return answer, err
		}
		if err := pause(ctx, backOffPause(n)); err != nil {
			return answer, err
		}
	}
}

// sentMessage finds the message of a random id in the answer to a send. The
// message is nil if the answer has only its id.
func (c *Client) sentMessage(answer api.UpdatesClass, to Peer, randomID int64) (int, *Message) {
	var list []api.UpdateClass
	switch a := answer.(type) {
	case *api.Updates:
		c.noteChats(a.Chats, &to)
		list = a.Updates
	case *api.UpdatesCombined:
		c.noteChats(a.Chats, &to)
		list = a.Updates
	case *api.UpdateShort:
		list = []api.UpdateClass{a.Update}
	case *api.UpdateShortSentMessage:
		return int(a.ID), nil
	}
	id := 0
	for _, u := range list {
		if m, ok := u.(*api.UpdateMessageID); ok && m.RandomID == randomID {
			id = int(m.ID)
		}
	}
	for _, u := range list {
		var entry api.MessageClass
		switch u := u.(type) {
		case *api.UpdateNewMessage:
			entry = u.Message
		case *api.UpdateNewChannelMessage:
			entry = u.Message
		case *api.UpdateNewScheduledMessage:
			entry = u.Message
		}
		if got, ok := entryID(entry); ok && (got == id || id == 0) {
			return got, newMessage(entry, to)
		}
	}
	return id, nil
}

// findSent looks for the message that an earlier try has sent: one of this
// account, or posted in the channel's name, with the same file; and with the
// same caption, unless the file says enough.
func (c *Client) findSent(ctx context.Context, to Peer, u Uploaded) (int, File, error) {
	if !u.Send.Schedule.IsZero() { // it is not in the history before it is due
		return 0, File{}, ErrAlreadySent
	}
	for m, err := range c.Messages(ctx, to, MessagesOptions{Limit: batch}) {
		if err != nil {
			return 0, File{}, fmt.Errorf("%w: %w", ErrAlreadySent, err)
		}
		if !m.Out && !m.Post && to.Kind != PeerSelf || u.Media == nil && m.Text != u.Caption {
			continue
		}
		for _, f := range m.Files {
			if u.became(f) {
				return m.ID, f, nil
			}
		}
	}
	return 0, File{}, ErrAlreadySent
}

// became reports whether f can be what was sent as u. The server keeps name and
// size of documents; photos it makes anew.
func (u Uploaded) became(f File) bool {
	if u.Media != nil {
		return f.ID == u.Media.ID
	}
	if u.Photo || f.Kind == KindPhoto {
		return u.Photo && f.Kind == KindPhoto
	}
	return (u.Name == "" || f.Name == u.Name) && (u.Size == 0 || f.Size == u.Size)
}
