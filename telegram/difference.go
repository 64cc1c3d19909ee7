package telegram

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// A Difference is what has happened in a channel since a state of it.
type Difference struct {
	New     []*Message // by rising id
	Edited  []*Message // as they are now
	Deleted []int      // ids
	// Pts is the state that this leads to: to be asked for next time.
	Pts int
	// TooLong says that too much has happened to be told: New and the others are
	// empty, and what lies between has to be listed. Pts is the present state.
	TooLong bool
	// Final says that nothing is left. Then the server wants to be asked again
	// after Timeout, which is at least a second.
	Final   bool
	Timeout time.Duration
}

// ErrPts is wrapped by the error for a state of a channel that the server does
// not know, or that is none.
var ErrPts = errors.New("telegram: the server does not know this state of the channel")

// minTimeout is after which time a channel may be asked for again if the server
// does not say.
const minTimeout = time.Second

// ChannelState is the present state of a channel, for ChannelDifference.
// The error wraps ErrUserOnly if the peer is no channel.
func (c *Client) ChannelState(ctx context.Context, p Peer) (pts int, err error) {
	pts, err = c.channelPts(ctx, &p)
	if err != nil {
		return 0, fmt.Errorf("state of %v: %w", p, err)
	}
	return pts, nil
}

// ChannelDifference asks what has happened in a channel since pts, at most 100
// things at a time. Errors: ErrPts, ErrPeerNotFound if there is no access to the
// channel (any more), and those of Invoke.
// See core.telegram.org/method/updates.getChannelDifference.
func (c *Client) ChannelDifference(ctx context.Context, p Peer, pts int) (Difference, error) {
	d, err := c.channelDifference(ctx, p, pts)
	if err == nil {
		return d, nil
	}
	if _, unknown := isRPC(err, "PERSISTENT_TIMESTAMP_EMPTY", "PERSISTENT_TIMESTAMP_INVALID"); unknown {
		err = fmt.Errorf("%w: %w", ErrPts, err)
	}
	if _, lost := isRPC(err, "CHANNEL_PRIVATE", "CHANNEL_INVALID"); lost {
		err = fmt.Errorf("%w: %w", ErrPeerNotFound, err)
	}
	return Difference{}, fmt.Errorf("updates of %v: %w", p, err)
}

func (c *Client) channelDifference(ctx context.Context, p Peer, pts int) (Difference, error) {
	answer, err := retryStale(ctx, c, &p, func() (api.UpdatesChannelDifferenceClass, error) {
		return mtproto.Call(ctx, c, &api.UpdatesGetChannelDifferenceRequest{
			Channel: p.InputChannel(), Filter: &api.ChannelMessagesFilterEmpty{}, Pts: int32(pts), Limit: batch,
		})
	})
	if err != nil {
		return Difference{}, err
	}
	switch a := answer.(type) {
	case *api.UpdatesChannelDifferenceEmpty:
		return Difference{Pts: int(a.Pts), Final: a.Final, Timeout: timeoutOf(a.Timeout)}, nil
	case *api.UpdatesChannelDifferenceTooLong:
		c.noteChats(a.Chats, &p)
		dialog, ok := a.Dialog.(*api.Dialog)
		if !ok || !dialog.Pts.Set {
			return Difference{}, errors.New("telegram: a channel without a state")
		}
		return Difference{Pts: int(dialog.Pts.Value), TooLong: true, Final: a.Final, Timeout: timeoutOf(a.Timeout)}, nil
	case *api.UpdatesChannelDifference:
		c.noteChats(a.Chats, &p)
		d := Difference{Pts: int(a.Pts), Final: a.Final, Timeout: timeoutOf(a.Timeout)}
		if !d.Final && d.Pts <= pts { // it would be asked for the same for ever
			return d, errNoProgress
		}
		c.changes(&d, p, a)
		return d, nil
	default:
		return Difference{}, fmt.Errorf("telegram: unexpected answer %s", answer.TypeName())
	}
}

func timeoutOf(seconds tl.Opt[int32]) time.Duration {
	return max(time.Duration(seconds.Value)*time.Second, minTimeout)
}

// changes takes in what a difference tells. Updates of other kinds are about
// nothing that is archived.
func (c *Client) changes(d *Difference, p Peer, a *api.UpdatesChannelDifference) {
	add := func(list *[]*Message, e api.MessageClass) {
		if m := newMessage(e, p); m != nil && c.belongs(e, p) {
			*list = append(*list, m)
		}
	}
	for _, e := range a.NewMessages {
		add(&d.New, e)
	}
	for _, u := range a.OtherUpdates {
		switch u := u.(type) {
		case *api.UpdateNewChannelMessage:
			add(&d.New, u.Message)
		case *api.UpdateEditChannelMessage:
			add(&d.Edited, u.Message)
		case *api.UpdateDeleteChannelMessages:
			if u.ChannelID == p.ID {
				for _, id := range u.Messages {
					d.Deleted = append(d.Deleted, int(id))
				}
			}
		}
	}
	slices.SortFunc(d.New, func(a, b *Message) int { return a.ID - b.ID })
}

// touchedChats are the marked ids of the channels in which something has
// happened according to updates that a session got unasked. others says that it
// may also have been in other chats, or anywhere.
func touchedChats(updates tl.Raw) (channels []int64, others bool) {
	d := tl.NewDecoder(updates)
	u := api.DecodeUpdates(d)
	if d.Err() != nil {
		return nil, true
	}
	var list []api.UpdateClass
	switch u := u.(type) {
	case *api.Updates:
		list = u.Updates
	case *api.UpdatesCombined:
		list = u.Updates
	case *api.UpdateShort:
		list = []api.UpdateClass{u.Update}
	default: // short messages, and updatesTooLong
		return nil, true
	}
	for _, u := range list {
		var e api.MessageClass
		switch u := u.(type) {
		case *api.UpdateNewChannelMessage:
			e = u.Message
		case *api.UpdateEditChannelMessage:
			e = u.Message
		case *api.UpdateDeleteChannelMessages:
			channels = append(channels, Peer{Kind: PeerChannel, ID: u.ChannelID}.MarkedID())
		case *api.UpdateChannelTooLong:
			channels = append(channels, Peer{Kind: PeerChannel, ID: u.ChannelID}.MarkedID())
		default:
			others = true
		}
		if of, ok := messagePeer(e); ok {
			if p, ok := peerOf(of); ok {
				channels = append(channels, p.MarkedID())
			}
		}
	}
	return channels, others
}
