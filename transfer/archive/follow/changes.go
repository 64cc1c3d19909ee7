package follow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
)

// catchUp asks what has happened in a channel since the recorded state, until
// nothing is left. Where there are no differences to be had it does nothing.
func (c *Chat) catchUp(ctx context.Context, y yield) error {
	for !c.polls && !c.o.Dry {
		d, err := c.difference(ctx)
		if err != nil || c.polls {
			return err
		}
		if err := c.apply(ctx, d, y); err != nil {
			return err
		}
		if d.Final {
			return nil
		}
	}
	return nil
}

// difference asks what has happened since the recorded state. If that is
// unknown to the server, it is the present state, with all that lies between
// left to be listed. A server that gives no differences of this chat, or none
// to this account, makes it one to be polled.
func (c *Chat) difference(ctx context.Context) (telegram.Difference, error) {
	if c.track.Pts() == 0 {
		pts, err := c.source.ChannelState(ctx, c.peer)
		return telegram.Difference{Pts: pts, TooLong: true}, err
	}
	d, err := c.ask(ctx)
	switch {
	case errors.Is(err, telegram.ErrPts):
		pts, err := c.source.ChannelState(ctx, c.peer)
		return telegram.Difference{Pts: pts, TooLong: true}, err
	case refusedForGood(err):
		c.polls = true
		return telegram.Difference{}, nil
	}
	return d, err
}

// patience is how long an answer is waited for, over all that the client does
// to get one, until that is told.
const patience = 90 * time.Second

var errSilence = fmt.Errorf("no answer within %v", patience)

// ask asks for a difference.
func (c *Chat) ask(ctx context.Context) (telegram.Difference, error) {
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	d, err := c.source.ChannelDifference(bounded, c.peer, c.track.Pts())
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		err = errSilence
	}
	return d, err
}

// refusedForGood reports whether asking again in the same way is in vain,
// although there is access to the chat and nothing is wrong with the account.
func refusedForGood(err error) bool {
	var rpc *mtproto.RPCError
	switch {
	case err == nil, telegram.AboutAccount(err), errors.Is(err, telegram.ErrPeerNotFound):
		return false
	case errors.Is(err, telegram.ErrUserOnly):
		return true
	}
	return errors.As(err, &rpc) && (rpc.Code == 400 || rpc.Code == 403)
}

// apply takes in a difference. Its state is recorded only when what it tells is.
func (c *Chat) apply(ctx context.Context, d telegram.Difference, y yield) error {
	if d.TooLong {
		c.o.Events(HistoryGap{head("history_gap"), c.peer.MarkedID(), c.peer.String()})
		if err := c.newer(ctx, y); err != nil {
			return err
		}
		c.track.SetPts(d.Pts)
		return nil
	}
	what := ChatChanged{Header: head("chat_changed"), Chat: c.peer.MarkedID(), Name: c.peer.String()}
	var err error
	if what.New, err = c.news(ctx, d.New, y); err != nil {
		return err
	}
	if what.Edited, err = c.edits(ctx, d.Edited, y); err != nil {
		return err
	}
	gone := slices.DeleteFunc(slices.Clone(d.Deleted), func(id int) bool { return !c.folder.HasMessage(id) })
	if what.Deleted = len(gone); what.Deleted > 0 {
		if err := c.deleted(ctx, gone); err != nil {
			return err
		}
	}
	if what.New+what.Edited+what.Deleted > 0 {
		c.o.Events(what)
	}
	c.track.SetPts(d.Pts)
	return nil
}

// newer lists what is newer than what was seen, by the history.
func (c *Chat) newer(ctx context.Context, y yield) error {
	in := c.bounds()
	in.From = max(in.From, c.listedTo+1)
	if in.From > in.To {
		return nil
	}
	if err := c.fill(ctx, in, y); err != nil {
		return err
	}
	c.listedTo = c.seen
	return nil
}

// news takes in messages that a difference tells of: all that came after the
// state before it, by rising id.
func (c *Chat) news(ctx context.Context, list []*telegram.Message, y yield) (int, error) {
	in, n := c.bounds(), 0
	in.From = max(in.From, c.listedTo+1)
	list = slices.DeleteFunc(list, func(m *telegram.Message) bool {
		return m.ID > in.To || m.ID < in.From && !c.track.Open(m.ID)
	})
	if in.From > in.To {
		return 0, nil
	}
	w := c.track.Walk(in, true, false)
	for m, err := range c.o.Pass.Given(ctx, list) {
		if err == nil {
			err = c.take(ctx, m, w, y)
		}
		if err != nil {
			return n, err
		}
		if c.o.Selection.Within(m) {
			n++
		}
		c.listedTo = max(c.listedTo, m.ID)
	}
	return n, c.talk.flush(ctx)
}

// edits takes in messages that were edited. Of their files those are fetched
// that the archive has not: the old ones stay.
func (c *Chat) edits(ctx context.Context, list []*telegram.Message, y yield) (int, error) {
	n := 0
	known, err := c.editedForAll(ctx, list)
	if err != nil {
		return n, err
	}
	list = slices.DeleteFunc(list, func(m *telegram.Message) bool {
		return m.ID > c.listedTo || !c.o.Selection.Within(m) && !c.folder.HasMessage(m.ID)
	})
	for m, err := range c.o.Pass.Given(ctx, list) {
		if err != nil {
			return n, err
		}
		if m.Peer.MarkedID() != c.peer.MarkedID() { // a comment
			continue
		}
		m.Files = slices.DeleteFunc(m.Files, c.folder.Has)
		if err := c.edit(ctx, m, known[m.ID], y); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// editedForAll takes in of edited messages what concerns every selection, since
// the channel's state is one for all of them, and no other run is told of these
// edits: the new lines, and that those with a file that the archive has not are
// not done. It returns which were done, or on the way there, under this selection.
func (c *Chat) editedForAll(ctx context.Context, list []*telegram.Message) (known map[int]bool, err error) {
	known = make(map[int]bool)
	for _, m := range list {
		if c.folder.HasMessage(m.ID) {
			if err := c.o.Room(ctx, func() error { _, err := c.folder.AddMessage(m); return err }); err != nil {
				return nil, err
			}
		}
		known[m.ID] = !c.track.Open(m.ID)
		if slices.ContainsFunc(m.Files, func(f telegram.File) bool { return !c.folder.Has(f) }) {
			c.track.Reopen(m.ID)
		}
	}
	return known, nil
}

// edit takes in an edited message with the files that are to be fetched. One
// that was not known to be done is not when they are, either.
func (c *Chat) edit(ctx context.Context, m *telegram.Message, known bool, y yield) error {
	err := c.o.Room(ctx, func() error { _, err := c.folder.AddMessage(m); return err })
	if err != nil {
		return err
	}
	list, err := c.o.Downloads(ctx, c.folder, m)
	if err != nil {
		return err
	}
	if known {
		c.listed(c.track.Walk(only(m.ID), true, false), m, len(list))
	}
	return y.all(list)
}

// HistoryGap says that more has happened in a chat than Telegram tells: what is
// new was listed, but edits and deletions since the last look are not known. A
// run with --full finds them.
type HistoryGap struct {
	transfer.Header
	Chat int64  `json:"chat"` // marked id
	Name string `json:"name"`
}

// ChatChanged says what has happened in a chat.
type ChatChanged struct {
	transfer.Header
	Chat    int64  `json:"chat"` // marked id
	Name    string `json:"name"`
	New     int    `json:"new"` // messages
	Edited  int    `json:"edited"`
	Deleted int    `json:"deleted"` // of those that were archived
}

// Watching says which chats are watched from now on. The first pass is over.
type Watching struct {
	transfer.Header
	Chats []Watched `json:"chats"`
}

// A Watched is a chat, and how it is watched.
type Watched struct {
	Chat int64  `json:"chat"` // marked id
	Name string `json:"name"`
	By   string `json:"by"` // ByDifference or ByPolling
}

// How chats are watched.
const (
	ByDifference = "difference" // new, edited and deleted messages, as they come
	ByPolling    = "polling"    // new messages, every minute
)

// WatchTrouble says that a chat could not be asked for what is new, and when
// that is tried again.
type WatchTrouble struct {
	transfer.Header
	Chat    int64   `json:"chat"` // marked id
	Name    string  `json:"name"`
	Error   string  `json:"error"`
	Seconds float64 `json:"seconds"`
}

// WatchRecovered says that a chat in trouble answers again.
type WatchRecovered struct {
	transfer.Header
	Chat int64  `json:"chat"` // marked id
	Name string `json:"name"`
}

// WatchLost says that a chat is not watched any more, since the account has no
// access to it.
type WatchLost struct {
	transfer.Header
	Chat  int64  `json:"chat"` // marked id
	Name  string `json:"name"`
	Error string `json:"error"`
}

func head(event string) transfer.Header { return transfer.Header{Event: event, Time: time.Now()} }

// A localError is trouble of this machine, which asking Telegram again does not mend.
type localError struct{ error }

func (e *localError) Unwrap() error { return e.error }

func local(err error) error {
	if err == nil {
		return nil
	}
	return &localError{fmt.Errorf("archive: %w", err)}
}
