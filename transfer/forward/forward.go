// Package forward has messages forwarded by the server, many at a time: nothing
// is downloaded or uploaded. It remembers how far it is, so that neither a lost
// answer nor a kill doubles a message or leaves one out.
package forward

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
)

// Telegram is what it takes of an account. *telegram.Client is one.
type Telegram interface {
	HomeDC() int
	ForwardMessages(ctx context.Context, f telegram.Forward) ([]int, error)
	Messages(ctx context.Context, p telegram.Peer, o telegram.MessagesOptions) iter.Seq2[*telegram.Message, error]
}

// Store remembers. *checkpoint.Store and *checkpoint.Memory are such.
type Store interface {
	Commit(*checkpoint.Batch) error
	Forward(job string, n int) (checkpoint.Forward, bool, error)
}

// Options say how messages are forwarded.
type Options struct {
	Job string // under which the store remembers
	To  telegram.Peer
	// As telegram.Forward has them.
	DropAuthor, DropCaptions, Silent bool
	// MaxWait is the longest flood wait that is waited out; a longer one ends the
	// run with a *transfer.WaitError. 0: any.
	MaxWait time.Duration
	// Events gets what happens, by the goroutine that calls Chat.
	Events func(transfer.Event)
}

// Forwarded is the event of messages that were forwarded, by one call.
type Forwarded struct {
	transfer.Header
	Chat     int64 `json:"chat"` // marked id of where they are from
	To       int64 `json:"to"`
	Messages []int `json:"messages"`
	Became   []int `json:"became,omitempty"` // their ids there; 0, or none at all: not known
	Albums   int   `json:"albums"`
	// Before says that an earlier call has done it, whose answer was lost.
	Before bool `json:"before"`
}

// Counters sum up.
type Counters struct {
	Messages  int `json:"messages"`  // forwarded in this run
	Albums    int `json:"albums"`    // of those
	Earlier   int `json:"earlier"`   // forwarded by earlier runs of the job
	Protected int `json:"protected"` // messages left out
	Gone      int `json:"gone"`      // deleted before they could be forwarded
	Calls     int `json:"calls"`
	Waits     int `json:"flood_waits"`
}

// A Run forwards messages of one chat after the other. It is not safe for
// concurrent use.
type Run struct {
	Counters
	tg    Telegram
	store Store
	o     Options
}

// New begins a run.
func New(tg Telegram, store Store, o Options) *Run {
	if o.Events == nil {
		o.Events = func(transfer.Event) {}
	}
	return &Run{tg: tg, store: store, o: o}
}

// A chat is one that is under way.
type chat struct {
	*Run
	n     int
	from  telegram.Peer
	state checkpoint.Forward
	batch []item
}

// An item is a message to forward.
type item struct {
	id    int
	album int64
}

// State is how far the job is with its n-th chat.
func (r *Run) State(n int) (checkpoint.Forward, error) {
	f, _, err := r.store.Forward(r.o.Job, n)
	return f, err
}

// Bound remembers that messages of the n-th chat above an id are none of the
// job's, however often it is gone on with.
func (r *Run) Bound(n, maxID int) error {
	f, err := r.State(n)
	if err != nil || f.Max != 0 {
		return err
	}
	f.Max = maxID
	return r.put(n, f)
}

func (r *Run) put(n int, f checkpoint.Forward) error {
	f.At = time.Now().UTC()
	var b checkpoint.Batch
	b.PutForward(r.o.Job, n, f)
	return r.store.Commit(&b)
}

// Chat forwards the messages of a chat, the n-th of the job, whose ids must rise.
// Those of an album that stand together go together. Service messages are left
// out, protected ones too, and counted. What an earlier run has done is not done
// again. Any error leaves it to be gone on with.
func (r *Run) Chat(ctx context.Context, n int, from telegram.Peer, messages iter.Seq2[*telegram.Message, error]) error {
	state, err := r.State(n)
	if err != nil {
		return err
	}
	c := &chat{Run: r, n: n, from: from, state: state}
	r.Earlier += state.Messages
	if state.Done {
		return nil
	}
	if len(state.IDs) > 0 { // nobody knows whether that was executed: again, just so
		if err := c.send(ctx, 0); err != nil {
			return err
		}
	}
	var album []item // that may go on with the next message
	for m, err := range messages {
		if err != nil {
			return err
		}
		if !c.takes(m) {
			continue
		}
		if len(album) > 0 && (m.GroupedID == 0 || m.GroupedID != album[0].album) {
			if err := c.add(ctx, album); err != nil {
				return err
			}
			album = nil
		}
		album = append(album, item{m.ID, m.GroupedID})
	}
	if err := c.add(ctx, album); err != nil {
		return err
	}
	if err := c.flush(ctx); err != nil {
		return err
	}
	c.state.Done = true
	return r.put(n, c.state)
}

// takes says whether a message is still to be forwarded.
func (c *chat) takes(m *telegram.Message) bool {
	switch {
	case m.ID <= c.state.Upto || c.state.Max != 0 && m.ID > c.state.Max, m.Service():
		return false
	case m.NoForwards || slices.ContainsFunc(m.Files, func(f telegram.File) bool { return f.NoForwards }):
		c.Protected++
		return false
	}
	return true
}

// add puts messages in the batch that go together, after sending what was in it
// if there is no room for all of them.
func (c *chat) add(ctx context.Context, together []item) error {
	if len(c.batch)+len(together) > telegram.MaxForward {
		if err := c.flush(ctx); err != nil {
			return err
		}
	}
	c.batch = append(c.batch, together...)
	return nil
}

// flush sends the batch. What it is, and by which random ids, is durable before.
func (c *chat) flush(ctx context.Context) error {
	if len(c.batch) == 0 {
		return nil
	}
	albums := 0
	c.state.IDs, c.state.RandomIDs = nil, nil
	for i, m := range c.batch {
		c.state.IDs = append(c.state.IDs, m.id)
		c.state.RandomIDs = append(c.state.RandomIDs, randomID())
		if m.album != 0 && (i == 0 || c.batch[i-1].album != m.album) {
			albums++
		}
	}
	c.batch = nil
	if err := c.put(c.n, c.state); err != nil {
		return err
	}
	return c.send(ctx, albums)
}

// randomID is a random number other than 0.
func randomID() int64 {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		if id := int64(binary.LittleEndian.Uint64(b[:])); id != 0 {
			return id
		}
	}
}

// send sends what the state says is under way, and takes in that it is done.
func (c *chat) send(ctx context.Context, albums int) error {
	became, err := c.call(ctx)
	if isGone(err) {
		if err = c.dropGone(ctx, err); err == nil && len(c.state.IDs) > 0 {
			became, err = c.call(ctx)
		}
	}
	before := errors.Is(err, telegram.ErrAlreadySent)
	if err != nil && !before {
		return err
	}
	ids := c.state.IDs
	if len(ids) > 0 {
		c.state.Upto = max(c.state.Upto, slices.Max(ids))
	}
	c.state.Messages += len(ids)
	c.state.IDs, c.state.RandomIDs = nil, nil
	if err := c.put(c.n, c.state); err != nil {
		return err
	}
	c.Messages += len(ids)
	c.Albums += albums
	if len(ids) > 0 {
		c.o.Events(Forwarded{
			Header: transfer.Header{Event: "forwarded", Time: time.Now()}, Chat: c.from.MarkedID(), To: c.o.To.MarkedID(),
			Messages: ids, Became: became, Albums: albums, Before: before,
		})
	}
	return nil
}

// call makes the call, and waits as it is told to.
func (c *chat) call(ctx context.Context) ([]int, error) {
	for {
		c.Calls++
		became, err := c.tg.ForwardMessages(ctx, telegram.Forward{
			From: c.from, To: c.o.To, IDs: c.state.IDs, RandomIDs: c.state.RandomIDs,
			DropAuthor: c.o.DropAuthor, DropCaptions: c.o.DropCaptions, Silent: c.o.Silent,
		})
		var rpc *mtproto.RPCError
		if err == nil || !errors.As(err, &rpc) {
			return became, err
		}
		wait, isWait := rpc.Wait()
		if !isWait {
			return became, err
		}
		if c.o.MaxWait > 0 && wait > c.o.MaxWait {
			return nil, &transfer.WaitError{DC: c.tg.HomeDC(), Method: rpc.Method, Wait: wait}
		}
		c.Waits++
		c.o.Events(transfer.FloodWait{
			Header: transfer.Header{Event: "flood_wait", Time: time.Now()},
			Scope:  fmt.Sprintf("%s at DC %d", rpc.Method, c.tg.HomeDC()), DC: c.tg.HomeDC(), Method: rpc.Method,
			Seconds: wait.Seconds(), Reason: rpc.Type,
		})
		if err := pause(ctx, wait); err != nil {
			return nil, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// isGone reports whether the server says that there is no such message, or that
// its file is not there any more.
func isGone(err error) bool {
	var rpc *mtproto.RPCError
	return errors.As(err, &rpc) && (rpc.Type == "MESSAGE_ID_INVALID" || rpc.Type == "MEDIA_EMPTY")
}

// dropGone leaves out of what is under way what is not in the chat any more. The
// server has forwarded nothing of it. If all is there the error stays.
func (c *chat) dropGone(ctx context.Context, cause error) error {
	there := make(map[int]bool)
	for m, err := range c.tg.Messages(ctx, c.from, telegram.MessagesOptions{IDs: c.state.IDs}) {
		if err != nil {
			return err
		}
		there[m.ID] = !m.Service()
	}
	var f checkpoint.Forward
	for i, id := range c.state.IDs {
		if there[id] {
			f.IDs, f.RandomIDs = append(f.IDs, id), append(f.RandomIDs, c.state.RandomIDs[i])
		}
	}
	gone := len(c.state.IDs) - len(f.IDs)
	if gone == 0 {
		return fmt.Errorf("messages %d to %d: %w", c.state.IDs[0], c.state.IDs[len(c.state.IDs)-1], cause)
	}
	c.Gone += gone
	c.state.Upto = max(c.state.Upto, slices.Max(c.state.IDs))
	c.state.IDs, c.state.RandomIDs = f.IDs, f.RandomIDs
	return c.put(c.n, c.state)
}
