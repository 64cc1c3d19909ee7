package dctest

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// channelOf finds the channel that a peer names. Bots may leave the access
// hash out, users may not. See core.telegram.org/api/peers#access-hash.
func (r *request) channelOf(id, hash int64) (*chat, error) {
	for _, ch := range r.c.world.channels {
		if ch.id == id && (hash == r.c.world.accessHash(r.me.id, ch.id) || hash == 0 && r.me.bot()) {
			return ch, nil
		}
	}
	return nil, refuse(400, "CHANNEL_INVALID")
}

// savedOf is the Saved Messages of an account.
func (w *world) savedOf(account int64) *chat {
	ch := w.saved[account]
	if ch == nil {
		ch = newSaved(account)
		w.saved[account] = ch
	}
	return ch
}

// peer finds a chat that the account may read and write.
func (r *request) peer(p api.InputPeerClass) (*chat, error) {
	switch p := p.(type) {
	case *api.InputPeerChannel:
		return r.channelOf(p.ChannelID, p.AccessHash)
	case *api.InputPeerSelf:
		return r.own(r.me.id)
	case *api.InputPeerUser:
		if p.AccessHash == r.c.world.accessHash(r.me.id, p.UserID) {
			return r.own(p.UserID)
		}
	}
	return nil, refuse(400, "PEER_ID_INVALID")
}

// own is the chat of an account with itself, the only private one there is.
func (r *request) own(user int64) (*chat, error) {
	if user != r.me.id || r.me.bot() {
		return nil, refuse(400, "PEER_ID_INVALID")
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.c.world.savedOf(user), nil
}

func (r *request) inputChannel(p api.InputChannelClass) (*chat, error) {
	if c, ok := p.(*api.InputChannel); ok {
		return r.channelOf(c.ChannelID, c.AccessHash)
	}
	return nil, refuse(400, "CHANNEL_INVALID")
}

// peerOf is a chat as answers name it.
func peerOf(ch *chat) api.PeerClass {
	if ch.private() {
		return &api.PeerUser{UserID: ch.id}
	}
	return &api.PeerChannel{ChannelID: ch.id}
}

// chats is the list of chats in an answer about one.
func (r *request) chats(ch *chat) []api.ChatClass {
	if ch.private() {
		return nil
	}
	list := []api.ChatClass{r.channel(ch)}
	if ch.about != nil { // whose posts are copied here
		list = append(list, r.channel(ch.about))
	}
	return list
}

// channel is a channel as the account asking sees it.
func (r *request) channel(ch *chat) *api.Channel {
	c := &api.Channel{
		Broadcast: !ch.group(), Megagroup: ch.group(), Forum: len(ch.cfg.Topics) > 0, HasLink: ch.about != nil || ch.talk != nil,
		ID: ch.id, AccessHash: tl.Some(r.c.world.accessHash(r.me.id, ch.id)), Title: ch.cfg.Title,
		Photo: &api.ChatPhotoEmpty{}, Date: int32(epoch.Unix()), Noforwards: ch.cfg.NoForwards,
		AdminRights:         &api.ChatAdminRights{PostMessages: true, EditMessages: true, DeleteMessages: true},
		DefaultBannedRights: ch.banned(), SlowmodeEnabled: ch.cfg.SlowMode > 0,
	}
	if len(ch.cfg.Forbidden) > 0 {
		c.AdminRights = nil
	}
	if ch.cfg.Username != "" {
		c.Username = tl.Some(ch.cfg.Username)
	}
	return c
}

func (r *request) resolveUsername(q *api.ContactsResolveUsernameRequest) (tl.Object, error) {
	if !validUsername(q.Username) {
		return nil, refuse(400, "USERNAME_INVALID")
	}
	for _, ch := range r.c.world.channels {
		if ch.cfg.Username != "" && strings.EqualFold(ch.cfg.Username, q.Username) {
			return &api.ContactsResolvedPeer{Peer: peerOf(ch), Chats: r.chats(ch)}, nil
		}
	}
	for _, a := range r.c.accounts {
		if a.bot() && strings.EqualFold(a.username(), q.Username) {
			return &api.ContactsResolvedPeer{Peer: &api.PeerUser{UserID: a.id}, Users: []api.UserClass{r.user(a)}}, nil
		}
	}
	return nil, refuse(400, "USERNAME_NOT_OCCUPIED")
}

// dialogs are the chats of the account, the one with the newest message first.
func (r *request) dialogs() []*chat {
	list := slices.DeleteFunc(slices.Clone(r.c.world.channels), func(ch *chat) bool { return ch.ids.count() == 0 })
	if saved := r.c.world.savedOf(r.me.id); saved.ids.count() > 0 {
		list = append(list, saved)
	}
	slices.SortStableFunc(list, func(a, b *chat) int {
		if a.cfg.Pinned != b.cfg.Pinned { // pinned ones come first
			if a.cfg.Pinned {
				return -1
			}
			return 1
		}
		return cmp.Or(r.newest(b).date.Compare(r.newest(a).date), cmp.Compare(a.id, b.id))
	})
	return list
}

// archiveFolder is the list of the chats that were put away.
const archiveFolder = 1

// newest is the newest message of a chat that has one.
func (r *request) newest(ch *chat) *worldMessage { return r.c.world.message(ch, ch.ids.nth(0)) }

// getDialogs pages through the chats: it goes on after the one that the offset
// names. See core.telegram.org/api/offsets.
func (r *request) getDialogs(q *api.MessagesGetDialogsRequest) (tl.Object, error) {
	var after int64
	switch p := q.OffsetPeer.(type) {
	case *api.InputPeerEmpty:
	case *api.InputPeerChannel:
		after = p.ChannelID
	case *api.InputPeerUser:
		after = p.UserID
	case *api.InputPeerSelf:
		after = r.me.id
	default:
		return nil, refuse(400, "OFFSET_PEER_ID_INVALID")
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	list := slices.DeleteFunc(r.dialogs(), func(ch *chat) bool {
		return ch.cfg.Archived != (q.FolderID.Value == archiveFolder) || ch.cfg.Pinned && q.ExcludePinned
	})
	total := len(list)
	if at := slices.IndexFunc(list, func(ch *chat) bool { return ch.id == after }); at >= 0 {
		list = list[at+1:]
	}
	list = list[:min(len(list), batchLimit(q.Limit))]
	d := r.describe(list)
	if len(list) == total {
		return &api.MessagesDialogs{Dialogs: d.Dialogs, Messages: d.Messages, Chats: d.Chats, Users: d.Users}, nil
	}
	return &api.MessagesDialogsSlice{Count: int32(total), Dialogs: d.Dialogs, Messages: d.Messages, Chats: d.Chats, Users: d.Users}, nil
}

// describe is a list of chats with the newest message of each.
func (r *request) describe(list []*chat) *api.MessagesPeerDialogs {
	d := &api.MessagesPeerDialogs{Users: []api.UserClass{r.user(r.me)}, State: r.state()}
	for _, ch := range list {
		dialog := &api.Dialog{Peer: peerOf(ch), Pinned: ch.cfg.Pinned, UnreadCount: int32(ch.cfg.Unread)}
		if ch.cfg.Archived {
			dialog.FolderID = tl.Some[int32](archiveFolder)
		}
		if !ch.private() {
			dialog.Pts = tl.Some(int32(ch.pts))
		}
		if ch.ids.count() > 0 {
			dialog.TopMessage = int32(ch.ids.nth(0))
			dialog.ReadInboxMaxID = dialog.TopMessage
			d.Messages = append(d.Messages, r.render(ch, ch.ids.nth(0)))
		}
		d.Dialogs = append(d.Dialogs, dialog)
		d.Chats = append(d.Chats, r.chats(ch)...)
	}
	return d
}

func (r *request) getPinnedDialogs(q *api.MessagesGetPinnedDialogsRequest) (tl.Object, error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.describe(slices.DeleteFunc(r.dialogs(), func(ch *chat) bool {
		return !ch.cfg.Pinned || ch.cfg.Archived != (q.FolderID == archiveFolder)
	})), nil
}

func (r *request) getPeerDialogs(q *api.MessagesGetPeerDialogsRequest) (tl.Object, error) {
	var list []*chat
	for _, in := range q.Peers {
		p, ok := in.(*api.InputDialogPeer)
		if !ok {
			return nil, refuse(400, "PEER_ID_INVALID")
		}
		ch, err := r.peer(p.Peer)
		if err != nil {
			return nil, err
		}
		list = append(list, ch)
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	return r.describe(list), nil
}

func (r *request) getChannels(q *api.ChannelsGetChannelsRequest) (tl.Object, error) {
	answer := &api.MessagesChats{}
	for _, in := range q.ID {
		ch, err := r.inputChannel(in)
		if err != nil {
			return nil, err
		}
		answer.Chats = append(answer.Chats, r.channel(ch))
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
	full := &api.ChannelFull{
		ID: ch.id, About: "Made from a seed", ChatPhoto: &api.PhotoEmpty{}, Pts: int32(ch.pts),
		ReadInboxMaxID: int32(ch.ids.top), ParticipantsCount: tl.Some(int32(len(r.c.accounts))),
	}
	chats := r.chats(ch)
	switch {
	case ch.talk != nil:
		full.LinkedChatID = tl.Some(ch.talk.id)
		chats = append(chats, r.channel(ch.talk))
	case ch.about != nil:
		full.LinkedChatID = tl.Some(ch.about.id)
	}
	return &api.MessagesChatFull{FullChat: full, Chats: chats, Users: []api.UserClass{r.user(r.me)}}, nil
}

// checkChatInvite finds the chat of an invite link. All accounts are members
// of all chats. See core.telegram.org/method/messages.checkChatInvite.
func (r *request) checkChatInvite(q *api.MessagesCheckChatInviteRequest) (tl.Object, error) {
	if q.Hash == "" {
		return nil, refuse(400, "INVITE_HASH_EMPTY")
	}
	for _, ch := range r.c.world.channels {
		if ch.cfg.Invite == q.Hash {
			return &api.ChatInviteAlready{Chat: r.channel(ch)}, nil
		}
	}
	return nil, refuse(406, "INVITE_HASH_EXPIRED")
}

func (r *request) resolvePhone(q *api.ContactsResolvePhoneRequest) (tl.Object, error) {
	for _, a := range r.c.accounts {
		if !a.bot() && digits(a.cfg.Phone) == digits(q.Phone) {
			return &api.ContactsResolvedPeer{Peer: &api.PeerUser{UserID: a.id}, Users: []api.UserClass{r.user(a)}}, nil
		}
	}
	return nil, refuse(400, "PHONE_NOT_OCCUPIED")
}
