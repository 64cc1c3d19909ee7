package forward

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/telegram"
)

// The server forwards all messages of a call or none, and does not say which of
// them it refuses. So a refused call is looked into: messages that are gone, or
// protected by now, are left out; else the rest is halved until the one is found
// that is refused by itself. One of a hundred costs fifteen calls at most.

// maxInRow is how many messages of a chat may be refused one by one before the
// first is forwarded. More of them say that something else is wrong than the messages.
const maxInRow = 10

// wholesale are refusals that concern the chat or the account, so that no
// message would fare better. See core.telegram.org/method/messages.forwardMessages.
var wholesale = []string{
	"CHAT_WRITE_FORBIDDEN", "CHAT_ADMIN_REQUIRED", "CHAT_RESTRICTED", "CHAT_ID_INVALID", "CHAT_GUEST_SEND_FORBIDDEN",
	"CHANNEL_PRIVATE", "CHANNEL_INVALID", "PEER_ID_INVALID", "USER_BANNED_IN_CHANNEL", "USER_IS_BLOCKED", "YOU_BLOCKED_USER",
	"USER_IS_BOT", "INPUT_USER_DEACTIVATED", "TOPIC_CLOSED", "TOPIC_DELETED", "PRIVACY_PREMIUM_REQUIRED", "ALLOW_PAYMENT_REQUIRED",
	"RANDOM_ID_INVALID", "BOT_METHOD_INVALID",
}

// mayBeOne reports whether a call may have failed for one of its messages.
func mayBeOne(err error) bool {
	var rpc *mtproto.RPCError
	if !errors.As(err, &rpc) || errors.As(err, new(*telegram.AccountError)) {
		return false
	}
	return (rpc.Code == 400 || rpc.Code == 403 || rpc.Code == 406) && !slices.Contains(wholesale, rpc.Type)
}

// deliver has items forwarded, as far as the server does that.
func (c *chat) deliver(ctx context.Context, items []item) error {
	if len(items) == 0 {
		return nil
	}
	refusal, err := c.try(ctx, items)
	if err != nil || refusal == nil {
		return err
	}
	there, err := c.look(ctx, items)
	if err != nil {
		return err
	}
	if len(there) == len(items) {
		return c.halve(ctx, there, refusal)
	}
	if len(there) == 0 {
		return c.over(nil)
	}
	if refusal, err = c.try(ctx, there); err != nil || refusal == nil {
		return err
	}
	return c.halve(ctx, there, refusal)
}

// look asks for items again, and returns those that are still there and may be
// forwarded, with their albums. The others are counted, and have not failed.
func (c *chat) look(ctx context.Context, items []item) (there []item, err error) {
	ids, random := make([]int, len(items)), make(map[int]int64, len(items))
	for i, m := range items {
		ids[i], random[m.id] = m.id, m.random
	}
	gone := len(items)
	for m, err := range c.tg.Messages(ctx, c.from, telegram.MessagesOptions{IDs: ids}) {
		if err != nil {
			return nil, err
		}
		if m.Service() {
			continue
		}
		gone--
		if isProtected(m) {
			c.Protected++
			continue
		}
		there = append(there, item{id: m.ID, album: m.GroupedID, random: random[m.ID]})
	}
	c.Gone += gone
	slices.SortFunc(there, func(a, b item) int { return a.id - b.id })
	c.state.Failed = slices.DeleteFunc(c.state.Failed, func(id int) bool {
		is := func(m item) bool { return m.id == id }
		return slices.ContainsFunc(items, is) && !slices.ContainsFunc(there, is)
	})
	return there, nil
}

// halve forwards items that were refused together: the first half, then the
// second. If the first is taken it is the second that was refused.
func (c *chat) halve(ctx context.Context, items []item, refusal error) error {
	if errors.Is(refusal, telegram.ErrProtected) { // no message says so of itself: the chat is
		return refusal
	}
	if len(items) == 1 {
		return c.refused(items[0], refusal)
	}
	n := cut(items)
	first, err := c.try(ctx, items[:n])
	if err != nil {
		return err
	}
	rest := items[n:]
	if first == nil && len(rest) > 1 {
		return c.halve(ctx, rest, refusal)
	}
	if first != nil {
		if err := c.halve(ctx, items[:n], first); err != nil {
			return err
		}
	}
	second, err := c.try(ctx, rest)
	if err != nil || second == nil {
		return err
	}
	return c.halve(ctx, rest, second)
}

// cut is where to halve two items or more: at the border between albums that is
// next to the middle, if there is one.
func cut(items []item) int {
	best := 0
	for i := 1; i < len(items); i++ {
		border := items[i].album == 0 || items[i].album != items[i-1].album
		if border && (best == 0 || abs(i-len(items)/2) < abs(best-len(items)/2)) {
			best = i
		}
	}
	if best == 0 {
		return len(items) / 2
	}
	return best
}

func abs(n int) int { return max(n, -n) }

// refused takes in that the server does not forward a message.
func (c *chat) refused(m item, refusal error) error {
	if !slices.Contains(c.state.Failed, m.id) {
		c.state.Failed = append(c.state.Failed, m.id)
		slices.Sort(c.state.Failed)
	}
	c.state.Upto = max(c.state.Upto, m.id)
	c.state.IDs, c.state.RandomIDs = nil, nil
	if err := c.put(c.n, c.state); err != nil {
		return err
	}
	c.Refused++
	c.o.Refused(c.from, m.id, refusal)
	if c.inRow++; c.inRow >= maxInRow && c.state.Messages == 0 && !c.state.Done {
		return fmt.Errorf("the first %d messages were refused, each by itself: %w", c.inRow, refusal)
	}
	return nil
}

// retry tries once more what an earlier run could not have forwarded.
func (c *chat) retry(ctx context.Context, ids []int) error {
	for batch := range slices.Chunk(ids, telegram.MaxForward) {
		var items []item
		for _, id := range batch {
			if slices.Contains(c.state.Failed, id) { // it was not under way
				items = append(items, item{id: id, random: randomID()})
			}
		}
		there, err := c.look(ctx, items)
		if err == nil {
			err = c.deliver(ctx, there)
		}
		if err != nil {
			return err
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return c.put(c.n, c.state) // without those that are gone
}
