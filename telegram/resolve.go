package telegram

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl/api"
)

// Resolve finds the chat that a person means: @name, name, me, a marked id
// (-1001234567890), or any link that leads to a chat. What was resolved once
// is remembered in the session, since servers limit these queries strictly.
//
// Errors: ErrNotLink, ErrLinkKind, ErrPeerID, ErrPeerNotFound, ErrUserOnly,
// and those of Invoke. See core.telegram.org/api/peers.
func (c *Client) Resolve(ctx context.Context, chat string) (Peer, error) {
	l, err := ParseChat(chat)
	if err != nil {
		return Peer{}, err
	}
	p, err := c.ResolveLink(ctx, l)
	if err != nil {
		return Peer{}, fmt.Errorf("%s: %w", clip(chat), err)
	}
	return p, nil
}

// ResolveLink is Resolve for what is parsed already.
func (c *Client) ResolveLink(ctx context.Context, l Link) (Peer, error) {
	if err := c.checkLoggedIn(); err != nil {
		return Peer{}, err
	}
	switch {
	case l.Self:
		return Peer{Kind: PeerSelf, ID: c.Account()}, nil
	case l.Username != "":
		if p, ok := c.keep.peerByName(l.Username); ok {
			return p, nil
		}
		return c.resolveName(ctx, l.Username)
	case l.ID != 0:
		return c.resolveID(ctx, l.ID)
	case l.Invite != "":
		return c.resolveInvite(ctx, l.Invite)
	default:
		return c.resolvePhone(ctx, l.Phone)
	}
}

// resolveInvite finds the chat behind an invite link. It joins nothing: that
// would be seen by others, and is for people to decide.
// See core.telegram.org/method/messages.checkChatInvite.
func (c *Client) resolveInvite(ctx context.Context, hash string) (Peer, error) {
	answer, err := mtproto.Call(ctx, c, &api.MessagesCheckChatInviteRequest{Hash: hash})
	if _, no := isRPC(err, "INVITE_HASH_INVALID", "INVITE_HASH_EXPIRED", "INVITE_HASH_EMPTY", "CHANNEL_PRIVATE"); no {
		return Peer{}, fmt.Errorf("%w: %w", ErrPeerNotFound, err)
	}
	if err != nil {
		return Peer{}, err
	}
	var chat api.ChatClass
	switch a := answer.(type) {
	case *api.ChatInviteAlready:
		chat = a.Chat
	case *api.ChatInvitePeek: // may be read for some minutes
		chat = a.Chat
	default:
		return Peer{}, fmt.Errorf("%w: the account is no member of the chat behind the invite link: join it in an official app first", ErrPeerNotFound)
	}
	found := peersOf(nil, []api.ChatClass{chat})
	if len(found) == 0 {
		return Peer{}, ErrPeerNotFound
	}
	c.keep.learn(found)
	return found[0], nil
}

// resolvePhone finds a user by phone number, if the user permits that.
// See core.telegram.org/method/contacts.resolvePhone.
func (c *Client) resolvePhone(ctx context.Context, phone string) (Peer, error) {
	answer, err := mtproto.Call(ctx, c, &api.ContactsResolvePhoneRequest{Phone: phone})
	if _, no := isRPC(err, "PHONE_NOT_OCCUPIED"); no {
		return Peer{}, fmt.Errorf("%w: %w", ErrPeerNotFound, err)
	}
	if err != nil {
		return Peer{}, err
	}
	want, ok := peerOf(answer.Peer)
	if ok && want.Kind == PeerUser && want.ID == c.Account() {
		return Peer{Kind: PeerSelf, ID: want.ID}, nil
	}
	for _, p := range peersOf(answer.Users, answer.Chats) {
		if ok && p.same(want) {
			c.keep.learn([]Peer{p})
			return p, nil
		}
	}
	return Peer{}, ErrPeerNotFound
}

func (c *Client) resolveName(ctx context.Context, name string) (Peer, error) {
	answer, err := mtproto.Call(ctx, c, &api.ContactsResolveUsernameRequest{Username: name})
	if _, no := isRPC(err, "USERNAME_NOT_OCCUPIED", "USERNAME_INVALID", "CHANNEL_PRIVATE"); no {
		return Peer{}, fmt.Errorf("%w: %w", ErrPeerNotFound, err)
	}
	if err != nil {
		return Peer{}, err
	}
	want, ok := peerOf(answer.Peer)
	for _, p := range peersOf(answer.Users, answer.Chats) {
		if ok && p.same(want) {
			if !strings.EqualFold(p.Username, name) {
				p.Username = name // it has several, and this one leads to it
			}
			c.keep.learn([]Peer{p})
			return p, nil
		}
	}
	return Peer{}, ErrPeerNotFound
}

// resolveID finds the access hash of a peer that is known by id alone.
func (c *Client) resolveID(ctx context.Context, marked int64) (Peer, error) {
	want, err := PeerFromMarkedID(marked)
	if err != nil {
		return Peer{}, err
	}
	if want.Kind == PeerUser && want.ID == c.Account() {
		return Peer{Kind: PeerSelf, ID: want.ID}, nil
	}
	if p, ok := c.keep.peerByID(want.Kind, want.ID); ok {
		return p, nil
	}
	if !c.IsBot() && want.Kind != PeerChat {
		for d, err := range c.Dialogs(ctx) {
			if err != nil {
				return Peer{}, err
			}
			if d.Peer.same(want) {
				return d.Peer, nil
			}
		}
	}
	return c.askID(ctx, want)
}

// askID asks with hash 0, which is good for bots in chats they are in.
func (c *Client) askID(ctx context.Context, want Peer) (Peer, error) {
	var users []api.UserClass
	var chats api.MessagesChatsClass
	var err error
	switch want.Kind {
	case PeerUser:
		users, err = mtproto.Call(ctx, c, &api.UsersGetUsersRequest{ID: []api.InputUserClass{&api.InputUser{UserID: want.ID}}})
	case PeerChat:
		chats, err = mtproto.Call(ctx, c, &api.MessagesGetChatsRequest{ID: []int64{want.ID}})
	default:
		chats, err = mtproto.Call(ctx, c, &api.ChannelsGetChannelsRequest{ID: []api.InputChannelClass{want.InputChannel()}})
	}
	var rpc *mtproto.RPCError
	if errors.As(err, &rpc) && (rpc.Code == 400 || rpc.Code == 403 || rpc.Code == 406) && !errors.Is(err, ErrLoggedOut) {
		return Peer{}, fmt.Errorf("%w: %w", ErrPeerNotFound, err)
	}
	if err != nil {
		return Peer{}, err
	}
	found := peersOf(users, chatsOf(chats))
	c.keep.learn(found)
	for _, p := range found {
		if p.same(want) {
			return p, nil
		}
	}
	return Peer{}, ErrPeerNotFound
}

func chatsOf(answer api.MessagesChatsClass) []api.ChatClass {
	switch a := answer.(type) {
	case *api.MessagesChats:
		return a.Chats
	case *api.MessagesChatsSlice:
		return a.Chats
	default:
		return nil
	}
}

// ParseMessageLink resolves a link to messages; see [Client.LinkedMessages].
func (c *Client) ParseMessageLink(ctx context.Context, link string) (Peer, []int, error) {
	l, err := ParseLink(link)
	if err != nil {
		return Peer{}, nil, err
	}
	return c.LinkedMessages(ctx, l)
}

// LinkedMessages resolves a link to messages: the chat that they are in, and
// the ids that are meant. Without Single a link to an item of an album means the
// whole album (albums are looked up in channels and supergroups, which have
// such links). A link to a comment leads to the discussion group.
// Errors as [Client.Resolve].
func (c *Client) LinkedMessages(ctx context.Context, l Link) (Peer, []int, error) {
	if l.Message == 0 {
		return Peer{}, nil, fmt.Errorf("%w: %q names no message", ErrLinkKind, clip(l.String()))
	}
	p, err := c.ResolveLink(ctx, l)
	id := l.Message
	if err == nil && l.Comment != 0 {
		p, err = c.Discussion(ctx, p, l.Message)
		id = l.Comment
	}
	if err != nil {
		return Peer{}, nil, fmt.Errorf("%s: %w", clip(l.String()), err)
	}
	if l.Single || p.Kind != PeerChannel {
		return p, []int{id}, nil
	}
	ids, err := c.album(ctx, p, id)
	return p, ids, err
}

// Discussion is the group in which a post of a channel is commented on. Users
// only. See core.telegram.org/method/messages.getDiscussionMessage.
func (c *Client) Discussion(ctx context.Context, p Peer, post int) (Peer, error) {
	answer, err := retryStale(ctx, c, &p, func() (*api.MessagesDiscussionMessage, error) {
		return mtproto.Call(ctx, c, &api.MessagesGetDiscussionMessageRequest{Peer: p.Input(), MsgID: int32(post)})
	})
	if _, none := isRPC(err, "MSG_ID_INVALID"); none {
		return Peer{}, fmt.Errorf("%w: message %d of %v has no comments: %w", ErrPeerNotFound, post, p, err)
	}
	if err != nil {
		return Peer{}, fmt.Errorf("comments on message %d of %v: %w", post, p, err)
	}
	found := peersOf(nil, answer.Chats)
	c.keep.learn(found)
	for _, m := range answer.Messages {
		of, ok := messagePeer(m)
		if !ok {
			continue
		}
		if want, ok := peerOf(of); ok && !want.same(p) {
			for _, group := range found {
				if group.same(want) {
					return group, nil
				}
			}
		}
	}
	return Peer{}, fmt.Errorf("%w: the group in which message %d of %v is discussed", ErrPeerNotFound, post, p)
}

// albumSpan is how far ids of an album may lie apart: it has at most 10 items.
const albumSpan = 9

// album is the ids of all items of the album that message id is in, ascending.
func (c *Client) album(ctx context.Context, p Peer, id int) ([]int, error) {
	var around []int
	for n := id - albumSpan; n <= id+albumSpan; n++ {
		if validMessageID(n) {
			around = append(around, n)
		}
	}
	messages, err := c.messagesByID(ctx, &p, around)
	if err != nil {
		return nil, err
	}
	var group int64
	for _, m := range messages {
		if m.ID == id {
			group = m.GroupedID
		}
	}
	if group == 0 { // alone, or gone: who fetches it will see
		return []int{id}, nil
	}
	var ids []int
	for _, m := range messages {
		if m.GroupedID == group {
			ids = append(ids, m.ID)
		}
	}
	return within(ids, 1, id+albumSpan), nil
}
