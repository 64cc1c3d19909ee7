package telegram

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl/api"
)

// A Dialog is a chat in the account's list.
type Dialog struct {
	Peer       Peer
	TopMessage int       // id of the newest message
	Date       time.Time // of that message, UTC; zero if unknown
	Unread     int
	Pinned     bool
	Archived   bool
}

// Dialogs lists the account's chats, the newest first, then those of the
// archive; each once. It ends after the first error. Bots have no list:
// ErrUserOnly. See core.telegram.org/method/messages.getDialogs.
func (c *Client) Dialogs(ctx context.Context) iter.Seq2[Dialog, error] {
	return func(yield func(Dialog, error) bool) {
		if c.IsBot() {
			yield(Dialog{}, fmt.Errorf("list chats: %w", ErrUserOnly))
			return
		}
		seen := make(map[peerKey]bool)
		for folder := range int32(2) { // main list, archive
			for d, err := range c.folder(ctx, folder, seen) {
				if err != nil {
					err = fmt.Errorf("list chats: %w", err)
				}
				if !yield(d, err) || err != nil {
					return
				}
			}
		}
	}
}

// A dialogPage is an answer to messages.getDialogs.
type dialogPage struct {
	dialogs []Dialog // in the order of the answer
	last    *Dialog  // that the next page begins after; nil if there is none
	final   bool     // the server says that this is all
}

// folder pages through one list. seen is what was yielded already: chats move
// while one pages. A page that brings nothing new ends the list.
func (c *Client) folder(ctx context.Context, folder int32, seen map[peerKey]bool) iter.Seq2[Dialog, error] {
	return func(yield func(Dialog, error) bool) {
		q := &api.MessagesGetDialogsRequest{OffsetPeer: &api.InputPeerEmpty{}, Limit: batch}
		q.FolderID.Value, q.FolderID.Set = folder, true
		for {
			page, err := c.dialogPage(ctx, q)
			if err != nil {
				yield(Dialog{}, err)
				return
			}
			news := false
			for _, d := range page.dialogs {
				if seen[d.Peer.key()] {
					continue
				}
				seen[d.Peer.key()], news = true, true
				if !yield(d, nil) {
					return
				}
			}
			if page.final || page.last == nil || !news {
				return
			}
			q.OffsetDate, q.OffsetID = int32(page.last.Date.Unix()), int32(page.last.TopMessage)
			q.OffsetPeer = page.last.Peer.Input()
		}
	}
}

func (c *Client) dialogPage(ctx context.Context, q *api.MessagesGetDialogsRequest) (dialogPage, error) {
	answer, err := mtproto.Call(ctx, c, q)
	if err != nil {
		return dialogPage{}, err
	}
	switch a := answer.(type) {
	case *api.MessagesDialogs:
		page := c.readDialogs(a.Dialogs, a.Messages, a.Users, a.Chats)
		page.final = true
		return page, nil
	case *api.MessagesDialogsSlice:
		return c.readDialogs(a.Dialogs, a.Messages, a.Users, a.Chats), nil
	default:
		return dialogPage{}, fmt.Errorf("telegram: unexpected answer %s", answer.TypeName())
	}
}

// readDialogs joins the parts of an answer. Dialogs of chats that cannot be
// addressed, and the entry that stands for the archive, are left out.
func (c *Client) readDialogs(dialogs []api.DialogClass, messages []api.MessageClass, users []api.UserClass, chats []api.ChatClass) dialogPage {
	peers := peersOf(users, chats)
	c.keep.learn(peers)
	byKey := make(map[peerKey]Peer, len(peers))
	for _, p := range peers {
		byKey[p.key()] = p
	}
	dates := topDates(messages)
	var page dialogPage
	for _, entry := range dialogs {
		d, ok := entry.(*api.Dialog)
		if !ok {
			continue
		}
		of, ok := peerOf(d.Peer)
		p, known := byKey[of.key()]
		if !ok || !known {
			continue
		}
		date := dates[topKey{p.key(), int(d.TopMessage)}]
		page.dialogs = append(page.dialogs, Dialog{
			Peer: p, TopMessage: int(d.TopMessage), Date: date, Unread: int(d.UnreadCount),
			Pinned: d.Pinned, Archived: d.FolderID.Value == 1,
		})
	}
	for i := range page.dialogs {
		if d := &page.dialogs[i]; !d.Date.IsZero() {
			page.last = d
		}
	}
	return page
}

// A topKey names a message: ids are unique in a channel only.
type topKey struct {
	peer peerKey
	id   int
}

// topDates are the dates of an answer's messages.
func topDates(messages []api.MessageClass) map[topKey]time.Time {
	dates := make(map[topKey]time.Time, len(messages))
	for _, m := range messages {
		of, ok := messagePeer(m)
		if !ok {
			continue
		}
		p, ok := peerOf(of)
		if !ok {
			continue
		}
		switch m := m.(type) {
		case *api.Message:
			dates[topKey{p.key(), int(m.ID)}] = unixTime(m.Date)
		case *api.MessageService:
			dates[topKey{p.key(), int(m.ID)}] = unixTime(m.Date)
		}
	}
	return dates
}
