package telegram

import (
	"context"
	"errors"
	"fmt"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl/api"
)

// ErrNotTaken is wrapped by errors that say why a chat does not take what is to
// be sent to it.
var ErrNotTaken = errors.New("the chat does not take it")

// CheckSend asks what can be asked before anything is uploaded: whether the
// account may write to the chat, and send these kinds of files there, and whether
// topic and message that the options name are there. nil does not promise that
// the server takes everything.
func (c *Client) CheckSend(ctx context.Context, to Peer, kinds []FileKind, o SendOptions) error {
	if to.Kind == PeerChannel {
		if err := c.checkRights(ctx, to, kinds); err != nil {
			return err
		}
	}
	if o.Topic > generalTopic && !c.IsBot() { // bots cannot ask
		if err := c.checkTopic(ctx, to, o.Topic); err != nil {
			return err
		}
	}
	if o.ReplyTo == 0 {
		return nil
	}
	there := false
	for _, err := range c.Messages(ctx, to, MessagesOptions{IDs: []int{o.ReplyTo}}) {
		if err != nil {
			return fmt.Errorf("the message that is answered: %w", err)
		}
		there = true
	}
	if !there {
		return fmt.Errorf("%w: there is no message %d in %v to answer", ErrNotTaken, o.ReplyTo, to)
	}
	return nil
}

func (c *Client) checkTopic(ctx context.Context, to Peer, id int) error {
	for t, err := range c.Topics(ctx, to) {
		switch {
		case err != nil:
			return err
		case t.ID == id && t.Closed:
			return fmt.Errorf("%w: the topic %q is closed", ErrNotTaken, t.Title)
		case t.ID == id:
			return nil
		}
	}
	return fmt.Errorf("%w: %v has no topic %d", ErrNotTaken, to, id)
}

// checkRights reads what the account may do in a channel or supergroup. See
// core.telegram.org/api/rights.
func (c *Client) checkRights(ctx context.Context, to Peer, kinds []FileKind) error {
	answer, err := retryStale(ctx, c, &to, func() (api.MessagesChatsClass, error) {
		return mtproto.Call(ctx, c, &api.ChannelsGetChannelsRequest{ID: []api.InputChannelClass{
			&api.InputChannel{ChannelID: to.ID, AccessHash: to.AccessHash},
		}})
	})
	if err != nil {
		return fmt.Errorf("rights in %v: %w", to, err)
	}
	list, ok := answer.(*api.MessagesChats)
	if !ok || len(list.Chats) == 0 {
		return nil // the server will say
	}
	switch ch := list.Chats[0].(type) {
	case *api.ChannelForbidden:
		return fmt.Errorf("%w: the account was removed from %v", ErrNotTaken, to)
	case *api.Channel:
		return rightsIn(ch, to, kinds)
	}
	return nil
}

// rightsIn says what of the kinds may not be sent to a channel.
func rightsIn(ch *api.Channel, to Peer, kinds []FileKind) error {
	admin := ch.Creator || ch.AdminRights != nil
	switch {
	case ch.Broadcast && !ch.Creator && (ch.AdminRights == nil || !ch.AdminRights.PostMessages):
		return fmt.Errorf("%w: the account may not post in %v; an administrator has to permit it", ErrNotTaken, to)
	case ch.Broadcast || admin:
		return nil
	}
	for _, b := range []*api.ChatBannedRights{ch.BannedRights, ch.DefaultBannedRights} {
		if b == nil {
			continue
		}
		if b.SendMessages || b.SendMedia {
			return fmt.Errorf("%w: members may not send files to %v", ErrNotTaken, to)
		}
		for _, k := range kinds {
			if denied(b, k) {
				return fmt.Errorf("%w: members may not send %s files to %v", ErrNotTaken, k, to)
			}
		}
	}
	return nil
}

func denied(b *api.ChatBannedRights, k FileKind) bool {
	switch k {
	case KindPhoto:
		return b.SendPhotos
	case KindVideo:
		return b.SendVideos
	case KindAudio:
		return b.SendAudios
	case KindVoice:
		return b.SendVoices
	case KindDocument:
		return b.SendDocs
	default:
		return false
	}
}
