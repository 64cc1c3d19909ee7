package follow

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
)

const (
	// pollPause is the time between two looks at a chat that has no differences.
	pollPause = time.Minute
	// leastPause is the time between two questions about a chat, whatever
	// updates tell: one that is busy is asked about many things at once.
	leastPause = time.Second
	maxPause   = time.Minute // after failures
	// retryPause is when files that have failed are tried again; each time in
	// vain doubles it, up to maxRetryPause.
	retryPause    = 5 * time.Minute
	maxRetryPause = 2 * time.Hour
)

// A Touched tells a watch in which chats something has happened. The zero value
// can be used. Signal fits telegram.Config.OnTouched.
type Touched struct {
	mu       sync.Mutex
	channels map[int64]bool
	others   bool
	wake     chan struct{} // capacity 1
}

// Signal says that something has happened in channels, by their marked ids, and
// perhaps in chats that are none. It does not block.
func (t *Touched) Signal(channels []int64, others bool) {
	t.mu.Lock()
	if t.channels == nil {
		t.channels = make(map[int64]bool)
	}
	for _, id := range channels {
		t.channels[id] = true
	}
	t.others = t.others || others
	t.mu.Unlock()
	select {
	case t.waker() <- struct{}{}:
	default: // it is awake
	}
}

func (t *Touched) waker() chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wake == nil {
		t.wake = make(chan struct{}, 1)
	}
	return t.wake
}

// take returns what was signalled since the last call.
func (t *Touched) take() (channels map[int64]bool, others bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	channels, others = t.channels, t.others
	t.channels, t.others = nil, false
	return channels, others
}

// A watch goes round its chats, which have been through their first pass.
type watch struct {
	chats   []*Chat
	touched *Touched
}

// Watch yields the files of what comes in chats, until ctx ends, which is no
// error, or until none of them can be watched. The first pass of each must be
// over. touched may be nil.
func Watch(ctx context.Context, chats []*Chat, touched *Touched) iter.Seq2[transfer.Download, error] {
	return func(y func(transfer.Download, error) bool) {
		if touched == nil {
			touched = new(Touched)
		}
		w := &watch{chats: slices.Clone(chats), touched: touched}
		err := w.run(ctx, y)
		if !errors.Is(err, errEnough) && ctx.Err() == nil {
			y(transfer.Download{}, err)
		}
	}
}

// run goes round until an error ends it.
func (w *watch) run(ctx context.Context, y yield) error {
	now := time.Now()
	for _, c := range w.chats {
		if c.track == nil {
			return errors.New("follow: a chat with a limit cannot be watched")
		}
		c.due = now
	}
	w.tell()
	for {
		c := slices.MinFunc(w.chats, func(a, b *Chat) int { return a.due.Compare(b.due) })
		if err := w.save(ctx); err != nil {
			return err
		}
		if time.Until(c.due) > 0 {
			if err := w.wait(ctx, c.due); err != nil {
				return err
			}
			continue
		}
		if err := c.step(ctx, y); err != nil {
			return err
		}
		if c.lost != nil {
			w.chats = slices.DeleteFunc(w.chats, func(x *Chat) bool { return x == c })
			if len(w.chats) == 0 {
				return fmt.Errorf("nothing is left to watch: %w", c.lost)
			}
		}
	}
}

// tell says what is watched, once the first questions have shown how.
func (w *watch) tell() {
	e := Watching{Header: head("watching")}
	for _, c := range w.chats {
		by := ByDifference
		if c.polls {
			by = ByPolling
		}
		e.Chats = append(e.Chats, Watched{c.peer.MarkedID(), c.peer.String(), by})
	}
	w.chats[0].o.Events(e)
}

// save records what was done since the last time.
func (w *watch) save(ctx context.Context) error {
	for _, c := range w.chats {
		if err := c.o.Room(ctx, c.Save); err != nil {
			return err
		}
	}
	return nil
}

// wait waits until a chat is due, or is touched, or there may be something to save.
func (w *watch) wait(ctx context.Context, due time.Time) error {
	t := time.NewTimer(min(time.Until(due), savePause))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
	case <-w.touched.waker():
	}
	channels, others := w.touched.take()
	now := time.Now()
	for _, c := range w.chats {
		isChannel := c.peer.Kind == telegram.PeerChannel
		if channels[c.peer.MarkedID()] || others && !isChannel {
			c.touch(now)
		}
	}
	return nil
}

// touch has a chat asked soon, unless Telegram or trouble forbid it.
func (c *Chat) touch(now time.Time) {
	if soon := c.asked.Add(leastPause); c.pause == 0 && soon.Before(c.due) {
		c.due = soon
		if soon.Before(now) {
			c.due = now
		}
	}
}

// step asks a chat once for what is new. Its error is one that ends the watch.
func (c *Chat) step(ctx context.Context, y yield) error {
	c.asked = time.Now()
	next, err := c.look(ctx, y)
	switch {
	case err == nil:
		c.due = time.Now().Add(next)
		if c.pause != 0 {
			c.pause = 0
			c.o.Events(WatchRecovered{head("watch_recovered"), c.peer.MarkedID(), c.peer.String()})
		}
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case endsWatch(err):
		return err
	case errors.Is(err, telegram.ErrPeerNotFound):
		c.lost = err
		c.o.Events(WatchLost{head("watch_lost"), c.peer.MarkedID(), c.peer.String(), err.Error()})
		return nil
	}
	c.pause = min(max(2*c.pause, leastPause), maxPause)
	c.due = time.Now().Add(c.pause)
	c.o.Events(WatchTrouble{head("watch_trouble"), c.peer.MarkedID(), c.peer.String(), err.Error(), c.pause.Seconds()})
	return nil
}

// endsWatch reports whether an error concerns everything.
func endsWatch(err error) bool {
	var mine *localError
	return errors.Is(err, errEnough) || errors.As(err, &mine) || telegram.AboutAccount(err) || errors.Is(err, mtproto.ErrFloodWait) ||
		errors.Is(err, telegram.ErrClosed) || errors.Is(err, telegram.ErrLoggedOut) || errors.Is(err, telegram.ErrNotLoggedIn)
}

// look asks once, and says when to ask again.
func (c *Chat) look(ctx context.Context, y yield) (next time.Duration, err error) {
	if err := c.tryAgain(ctx, y); err != nil {
		return 0, err
	}
	if c.polls {
		before := c.o.Pass.Files
		if err := c.newer(ctx, y); err != nil {
			return 0, err
		}
		if n := c.o.Pass.Files - before; n > 0 {
			c.o.Events(ChatChanged{Header: head("chat_changed"), Chat: c.peer.MarkedID(), Name: c.peer.String(), New: n})
		}
		return pollPause, nil
	}
	d, err := c.difference(ctx)
	if err != nil || c.polls {
		return 0, err
	}
	if err := c.apply(ctx, d, y); err != nil || !d.Final {
		return 0, err
	}
	return max(d.Timeout, leastPause), nil
}

// tryAgain lists messages of which files have failed, from time to time.
func (c *Chat) tryAgain(ctx context.Context, y yield) error {
	failed, now := c.track.Failed(), time.Now()
	switch {
	case len(failed) == 0:
		c.retry, c.retries = time.Time{}, 0
		return nil
	case c.retry.IsZero():
		c.retry = now.Add(retryPause)
		return nil
	case now.Before(c.retry):
		return nil
	}
	c.retries++
	c.retry = now.Add(min(retryPause<<min(c.retries, 10), maxRetryPause))
	if c.o.Selection.Album { // one is judged with the rest of its album
		for _, id := range failed {
			if err := c.fillLarge(ctx, only(id), y); err != nil {
				return err
			}
		}
		return c.talk.flush(ctx)
	}
	for ids := range slices.Chunk(failed, lump) {
		var gaps []archive.Span
		for _, id := range ids {
			gaps = append(gaps, only(id))
		}
		if err := c.fillSmall(ctx, gaps, y); err != nil {
			return err
		}
	}
	return nil
}

func only(id int) archive.Span { return archive.Span{From: id, To: id} }
