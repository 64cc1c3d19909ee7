package telegram

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/tghaul/haul/tl/api"
)

// A PeerKind says what sort of chat a Peer is.
type PeerKind string

// Kinds of peers. Supergroups are channels, as in the protocol.
const (
	PeerSelf    PeerKind = "self" // Saved Messages; ID is the account's user id
	PeerUser    PeerKind = "user"
	PeerChat    PeerKind = "chat" // basic group
	PeerChannel PeerKind = "channel"
)

// Bounds of ids, as the official client library checks them.
const (
	maxUserID         = 1<<40 - 1
	maxChatID         = 999_999_999_999
	maxChannelID      = 997_852_516_351
	minMonoforumID    = 1_002_147_483_649
	maxMonoforumID    = 2_999_999_999_999
	channelMarkOffset = 1_000_000_000_000
)

// A Peer names a chat for queries: its id with the access hash that this
// account needs for it, and what is known of it. The zero Peer names nothing.
// See core.telegram.org/api/peers.
type Peer struct {
	Kind       PeerKind `json:"kind"`
	ID         int64    `json:"id"` // bare and positive, as in the protocol
	AccessHash int64    `json:"access_hash,omitempty"`
	Username   string   `json:"username,omitempty"` // without @, as its owner writes it
	Title      string   `json:"title,omitempty"`
	// NoForwards says that the chat's content is protected: it is listed, but
	// must not be saved.
	NoForwards bool `json:"noforwards,omitempty"`
	Forum      bool `json:"forum,omitempty"` // a supergroup with topics
	Group      bool `json:"group,omitempty"` // of a PeerChannel: a supergroup, in which many write
}

// MarkedID is the id in the form that bots and other tools use, in which the
// sign and range tell the kind: users n, basic groups -n, channels -100n.
func (p Peer) MarkedID() int64 {
	switch p.Kind {
	case PeerChat:
		return -p.ID
	case PeerChannel:
		return -channelMarkOffset - p.ID
	default:
		return p.ID
	}
}

// String names the peer for people: its username, else title, else marked id.
// It never shows the access hash.
func (p Peer) String() string {
	switch {
	case p.Kind == PeerSelf:
		return "me"
	case p.Username != "":
		return "@" + p.Username
	case p.Title != "":
		return p.Title
	default:
		return strconv.FormatInt(p.MarkedID(), 10)
	}
}

// GoString is String: a %#v shows no access hash either.
func (p Peer) GoString() string { return "telegram.Peer(" + p.String() + ")" }

// Input is the peer as queries take it.
func (p Peer) Input() api.InputPeerClass {
	switch p.Kind {
	case PeerSelf:
		return &api.InputPeerSelf{}
	case PeerUser:
		return &api.InputPeerUser{UserID: p.ID, AccessHash: p.AccessHash}
	case PeerChat:
		return &api.InputPeerChat{ChatID: p.ID}
	case PeerChannel:
		return &api.InputPeerChannel{ChannelID: p.ID, AccessHash: p.AccessHash}
	default:
		return &api.InputPeerEmpty{}
	}
}

// InputChannel is the peer as channel queries take it. Of a peer that is no
// channel it is the empty channel, which servers refuse.
func (p Peer) InputChannel() api.InputChannelClass {
	if p.Kind != PeerChannel {
		return &api.InputChannelEmpty{}
	}
	return &api.InputChannel{ChannelID: p.ID, AccessHash: p.AccessHash}
}

// same reports whether both name the same chat, whatever else is known of it.
func (p Peer) same(q Peer) bool { return p.Kind == q.Kind && p.ID == q.ID }

// ErrPeerID is wrapped by errors about ids that can belong to no peer.
var ErrPeerID = errors.New("telegram: invalid peer id")

// PeerFromMarkedID is the kind and id that a marked id stands for, see
// [Peer.MarkedID]. The access hash is not known from it. Errors wrap ErrPeerID.
func PeerFromMarkedID(id int64) (Peer, error) {
	switch {
	case id > 0 && id <= maxUserID:
		return Peer{Kind: PeerUser, ID: id}, nil
	case id < 0 && id >= -maxChatID:
		return Peer{Kind: PeerChat, ID: -id}, nil
	case id < -channelMarkOffset && id >= -channelMarkOffset-maxMonoforumID:
		if n := -id - channelMarkOffset; validChannelID(n) {
			return Peer{Kind: PeerChannel, ID: n}, nil
		}
	}
	return Peer{}, fmt.Errorf("%w %d", ErrPeerID, id)
}

// validChannelID reports whether a channel, supergroup or monoforum can have the id.
func validChannelID(id int64) bool {
	return id >= 1 && id <= maxChannelID || id >= minMonoforumID && id <= maxMonoforumID
}
