package telegram

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl/api"
)

// MaxForward is how many messages one call forwards.
const MaxForward = 100

// A Forward is messages to be forwarded in one call, which the server does by
// itself: nothing is downloaded or uploaded.
type Forward struct {
	From, To Peer
	IDs      []int // at most MaxForward; albums whole, or they become several
	// RandomIDs make the call idempotent: one for each message, none 0, and the
	// same for each try.
	RandomIDs    []int64
	DropAuthor   bool // do not say where they come from
	DropCaptions bool // implies DropAuthor
	Silent       bool
}

// ErrProtected says that messages are protected content, which may not be forwarded.
var ErrProtected = errors.New("telegram: protected content may not be forwarded")

// ForwardMessages forwards messages, and returns the ids that they have got, in
// the order of f.IDs; 0 where the server does not tell. With the same RandomIDs it
// may be repeated after any error: nothing is forwarded twice. ErrAlreadySent says
// that an earlier try has done it.
//
// Errors: ErrProtected, and those of Invoke; no wait but a short one is waited out.
// See core.telegram.org/method/messages.forwardMessages.
func (c *Client) ForwardMessages(ctx context.Context, f Forward) ([]int, error) {
	if len(f.IDs) == 0 || len(f.IDs) > MaxForward || len(f.IDs) != len(f.RandomIDs) {
		return nil, fmt.Errorf("telegram: forward %d messages with %d random ids: want 1 to %d, and as many", len(f.IDs), len(f.RandomIDs), MaxForward)
	}
	answer, err := c.forward(ctx, &f)
	if err != nil {
		if _, dup := isRPC(err, "RANDOM_ID_DUPLICATE"); dup {
			return nil, ErrAlreadySent
		}
		if rpc, no := isRPC(err, "CHAT_FORWARDS_RESTRICTED"); no {
			err = fmt.Errorf("%w: %w", ErrProtected, rpc)
		}
		return nil, fmt.Errorf("forward from %v to %v: %w", f.From, f.To, err)
	}
	return forwarded(answer, f.RandomIDs), nil
}

// Service reports whether it is a service message ("photo changed"), which cannot
// be forwarded.
func (m *Message) Service() bool { return m.Raw.TypeID() == api.MessageServiceID }

// forwarded are the ids that an answer says messages have got, by their random ids.
func forwarded(answer api.UpdatesClass, randomIDs []int64) []int {
	var list []api.UpdateClass
	switch a := answer.(type) {
	case *api.Updates:
		list = a.Updates
	case *api.UpdatesCombined:
		list = a.Updates
	case *api.UpdateShort:
		list = []api.UpdateClass{a.Update}
	}
	became := make([]int, len(randomIDs))
	for _, u := range list {
		if m, ok := u.(*api.UpdateMessageID); ok {
			if i := slices.Index(randomIDs, m.RandomID); i >= 0 {
				became[i] = int(m.ID)
			}
		}
	}
	return became
}

// forward repeats the call while nobody knows whether it was executed.
func (c *Client) forward(ctx context.Context, f *Forward) (api.UpdatesClass, error) {
	ids := make([]int32, len(f.IDs))
	for i, id := range f.IDs {
		ids[i] = int32(id)
	}
	for n := 0; ; n++ {
		answer, err := retryStale(ctx, c, &f.From, func() (api.UpdatesClass, error) {
			return retryStale(ctx, c, &f.To, func() (api.UpdatesClass, error) {
				return mtproto.Call(ctx, impatient{c}, &api.MessagesForwardMessagesRequest{
					FromPeer: f.From.Input(), ToPeer: f.To.Input(), ID: ids, RandomID: f.RandomIDs,
					DropAuthor: f.DropAuthor || f.DropCaptions, DropMediaCaptions: f.DropCaptions, Silent: f.Silent,
				})
			})
		})
		if !errors.Is(err, mtproto.ErrUnknownOutcome) || n >= maxBackOffs {
			return answer, err
		}
		if err := pause(ctx, backOffPause(n)); err != nil {
			return nil, err
		}
	}
}
