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
	// Refused, if not nil, is told of each message that the server does not
	// forward, and why, by the goroutine that calls Chat.
	Refused func(from telegram.Peer, messageID int, err error)
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
	Refused   int `json:"refused"` // messages that the server does not forward, for another reason
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
	if o.Refused == nil {
		o.Refused = func(telegram.Peer, int, error) {}
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
	inRow int // messages refused since the last that was forwarded
}

// An item is a message to forward.
type item struct {
	id     int
	album  int64 // 0: none, or not known
	random int64 // its random id, once it has one
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
// again; what the server has refused then is tried once more, at the end. Any
// error leaves it to be gone on with; that messages are refused is none.
func (r *Run) Chat(ctx context.Context, n int, from telegram.Peer, messages iter.Seq2[*telegram.Message, error]) error {
	state, err := r.State(n)
	if err != nil {
		return err
	}
	c := &chat{Run: r, n: n, from: from, state: state}
	r.Earlier += state.Messages
	again := slices.Clone(state.Failed)
	if len(state.IDs) > 0 { // nobody knows whether that was executed: again, just so
		var items []item
		for i, id := range state.IDs {
			items = append(items, item{id: id, random: state.RandomIDs[i]})
		}
		if err := c.deliver(ctx, items); err != nil {
			return err
		}
	}
	if !state.Done {
		if err := c.list(ctx, messages); err != nil {
			return err
		}
		c.state.Done = true
		if err := r.put(n, c.state); err != nil {
			return err
		}
	}
	return c.retry(ctx, again)
}

// list forwards what is listed.
func (c *chat) list(ctx context.Context, messages iter.Seq2[*telegram.Message, error]) error {
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
		album = append(album, item{id: m.ID, album: m.GroupedID})
	}
	if err := c.add(ctx, album); err != nil {
		return err
	}
	return c.flush(ctx)
}

// takes says whether a message is still to be forwarded.
func (c *chat) takes(m *telegram.Message) bool {
	switch {
	case m.ID <= c.state.Upto || c.state.Max != 0 && m.ID > c.state.Max, m.Service():
		return false
	case isProtected(m):
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

// flush sends the batch.
func (c *chat) flush(ctx context.Context) error {
	items := c.batch
	c.batch = nil
	for i := range items {
		items[i].random = randomID()
	}
	return c.deliver(ctx, items)
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

// try makes one call for items. What it is, and by which random ids, is durable
// before. It returns the server's refusal, if there may be a way around it.
func (c *chat) try(ctx context.Context, items []item) (refusal, err error) {
	c.state.IDs, c.state.RandomIDs = nil, nil
	for _, m := range items {
		c.state.IDs, c.state.RandomIDs = append(c.state.IDs, m.id), append(c.state.RandomIDs, m.random)
	}
	if err := c.put(c.n, c.state); err != nil {
		return nil, err
	}
	became, err := c.call(ctx)
	before := errors.Is(err, telegram.ErrAlreadySent)
	switch {
	case err == nil, before:
		return nil, c.done(items, became, before)
	case mayBeOne(err):
		return err, nil
	}
	return nil, err
}

// done takes in that items are forwarded.
func (c *chat) done(items []item, became []int, before bool) error {
	ids, albums := c.state.IDs, 0
	for i, m := range items {
		if m.album != 0 && (i == 0 || items[i-1].album != m.album) {
			albums++
		}
	}
	c.state.Messages += len(ids)
	if err := c.over(items); err != nil {
		return err
	}
	c.inRow = 0
	c.Messages += len(ids)
	c.Albums += albums
	c.o.Events(Forwarded{
		Header: transfer.Header{Event: "forwarded", Time: time.Now()}, Chat: c.from.MarkedID(), To: c.o.To.MarkedID(),
		Messages: ids, Became: became, Albums: albums, Before: before,
	})
	return nil
}

// over records that items are under way no more, and have not failed.
func (c *chat) over(items []item) error {
	for _, m := range items {
		c.state.Upto = max(c.state.Upto, m.id)
		c.state.Failed = slices.DeleteFunc(c.state.Failed, func(id int) bool { return id == m.id })
	}
	c.state.IDs, c.state.RandomIDs = nil, nil
	return c.put(c.n, c.state)
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

// isProtected reports whether a message, or a file of it, is protected content.
func isProtected(m *telegram.Message) bool {
	return m.NoForwards || slices.ContainsFunc(m.Files, func(f telegram.File) bool { return f.NoForwards })
}
