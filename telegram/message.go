package telegram

import (
	"time"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// A Message is one message of a chat. Service messages ("photo changed") are
// messages too, with an empty Text.
type Message struct {
	Peer      Peer
	ID        int       // per channel; per account in all other chats
	Date      time.Time // UTC
	Edited    time.Time // UTC, of the last edit; zero: never edited
	Text      string    // or caption
	GroupedID int64     // same for all messages of an album; 0 if in none
	Out       bool      // sent by this account
	Post      bool      // posted in a channel, in the channel's name
	// NoForwards says that the message or its chat is protected: it is
	// listed, but its files must not be saved.
	NoForwards bool
	// Topic is the topic of a forum that it is in, by the id of the message
	// that began the topic; 0: the general one, or the chat is no forum.
	Topic   int
	ReplyTo int // id of the message that it answers, in the same chat; 0: none
	Views   int // 0 if not counted
	// Comments is how many there are on a post, and CommentsIn the bare id of
	// the group that they are in; 0 if the post cannot be commented on.
	Comments   int
	CommentsIn int64
	Raw        tl.Raw // the whole message, boxed, lossless; owned by the Message
	Files      []File // see [File]; those with NoForwards or Err are not to be fetched
}

// newMessage reads a message of chat p. It is nil for one that does not exist
// or is not visible. Nothing of it aliases the answer it came in.
func newMessage(m api.MessageClass, p Peer) *Message {
	switch m := m.(type) {
	case *api.Message:
		msg := &Message{
			Peer: p, ID: int(m.ID), Date: unixTime(m.Date), Text: m.Message, GroupedID: m.GroupedID.Value,
			Out: m.Out, Post: m.Post, NoForwards: m.Noforwards || p.NoForwards, Views: max(int(m.Views.Value), 0), Raw: tl.Marshal(m),
		}
		if m.EditDate.Set {
			msg.Edited = unixTime(m.EditDate.Value)
		}
		msg.replies(m.ReplyTo)
		if r := m.Replies; r != nil && r.Comments {
			msg.Comments, msg.CommentsIn = max(int(r.Replies), 0), r.ChannelID.Value
		}
		msg.Files = filesOf(msg, m.Media)
		return msg
	case *api.MessageService:
		msg := &Message{
			Peer: p, ID: int(m.ID), Date: unixTime(m.Date), Out: m.Out, Post: m.Post,
			NoForwards: p.NoForwards, Raw: tl.Marshal(m),
		}
		msg.replies(m.ReplyTo)
		if _, began := m.Action.(*api.MessageActionTopicCreate); began {
			msg.Topic = msg.ID
		}
		msg.Files = filesOf(msg, &api.MessageMediaPhoto{Photo: actionPhoto(m.Action)})
		return msg
	default: // messageEmpty
		return nil
	}
}

// replies takes in what the message answers, and the topic that this puts it in.
// See core.telegram.org/api/forum.
func (m *Message) replies(to api.MessageReplyHeaderClass) {
	h, ok := to.(*api.MessageReplyHeader)
	if !ok {
		return
	}
	if h.ReplyToPeerID == nil {
		m.ReplyTo = int(h.ReplyToMsgID.Value)
	}
	if !h.ForumTopic {
		return
	}
	if m.Topic = int(h.ReplyToTopID.Value); m.Topic == 0 {
		m.Topic = int(h.ReplyToMsgID.Value)
	}
}

// generalTopic is the id of the topic that every forum has.
const generalTopic = 1

// InTopic reports whether the message is in a topic of a forum, of which the
// general one has the id 1.
func (m *Message) InTopic(id int) bool {
	return m.Topic == id || m.Topic == 0 && id == generalTopic
}

// messagePeer is the chat of a message; false if it does not say.
func messagePeer(m api.MessageClass) (api.PeerClass, bool) {
	switch m := m.(type) {
	case *api.Message:
		return m.PeerID, true
	case *api.MessageService:
		return m.PeerID, true
	default:
		return nil, false
	}
}

// peerOf is the kind and id that a peer of an answer names.
func peerOf(p api.PeerClass) (Peer, bool) {
	switch p := p.(type) {
	case *api.PeerUser:
		return Peer{Kind: PeerUser, ID: p.UserID}, true
	case *api.PeerChat:
		return Peer{Kind: PeerChat, ID: p.ChatID}, true
	case *api.PeerChannel:
		return Peer{Kind: PeerChannel, ID: p.ChannelID}, true
	default:
		return Peer{}, false
	}
}

// peersOf are the chats and users of an answer that can be addressed with what
// it says of them. Objects marked min are not: their hashes are of no use,
// except for users whose phone number is present but empty.
func peersOf(users []api.UserClass, chats []api.ChatClass) []Peer {
	var peers []Peer
	for _, u := range users {
		if u, ok := u.(*api.User); ok && u.AccessHash.Set && (!u.Min || u.Phone.Set && u.Phone.Value == "") {
			peers = append(peers, userPeer(u))
		}
	}
	for _, c := range chats {
		switch c := c.(type) {
		case *api.Chat:
			peers = append(peers, Peer{Kind: PeerChat, ID: c.ID, Title: c.Title, NoForwards: c.Noforwards})
		case *api.Channel:
			if c.AccessHash.Set && !c.Min {
				peers = append(peers, channelPeer(c))
			}
		}
	}
	return peers
}

func userPeer(u *api.User) Peer {
	return Peer{
		Kind: PeerUser, ID: u.ID, AccessHash: u.AccessHash.Value,
		Username: firstName(u.Username.Value, u.Usernames), Title: fullName(u),
	}
}

func channelPeer(c *api.Channel) Peer {
	return Peer{
		Kind: PeerChannel, ID: c.ID, AccessHash: c.AccessHash.Value,
		Username: firstName(c.Username.Value, c.Usernames), Title: c.Title, NoForwards: c.Noforwards, Forum: c.Forum,
		Group: c.Megagroup || c.Gigagroup,
	}
}

// firstName is the name to show of a chat that may have several.
func firstName(name string, more []api.Username) string {
	if name != "" {
		return name
	}
	for _, u := range more {
		if u.Active {
			return u.Username
		}
	}
	return ""
}

func fullName(u *api.User) string {
	name := u.FirstName.Value
	if last := u.LastName.Value; last != "" {
		if name != "" {
			name += " "
		}
		name += last
	}
	return name
}

// A User is an account, as far as one wants to show it.
type User struct {
	ID       int64  `json:"id"`
	Name     string `json:"name,omitempty"`
	Username string `json:"username,omitempty"` // without @
	Phone    string `json:"phone,omitempty"`    // digits
	Bot      bool   `json:"bot,omitempty"`
	Premium  bool   `json:"premium,omitempty"`
}

func newUser(u *api.User) *User {
	return &User{
		ID: u.ID, Name: fullName(u), Username: firstName(u.Username.Value, u.Usernames),
		Phone: u.Phone.Value, Bot: u.Bot, Premium: u.Premium,
	}
}
