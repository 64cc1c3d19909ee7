package transfer

import (
	"context"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl"
)

// Timed makes a Telegram of a client, for NewFor. tell gets the time from the
// moment at which a request was given to a connection for files to its answer,
// unless that was an error; it may be called concurrently.
func Timed(c *telegram.Client, tell func(took time.Duration)) Telegram {
	return &timed{client{c}, tell}
}

type timed struct {
	Telegram
	tell func(time.Duration)
}

func (t *timed) FileSession(ctx context.Context, dc int, use telegram.Use, n int) (Session, error) {
	return t.watch(t.Telegram.FileSession(ctx, dc, use, n))
}

func (t *timed) CDNSession(ctx context.Context, dc, n int) (Session, error) {
	return t.watch(t.Telegram.CDNSession(ctx, dc, n))
}

func (t *timed) watch(s Session, err error) (Session, error) {
	if err != nil {
		return nil, err
	}
	return timedSession{s, t}, nil
}

// A timedSession is equal to another of the same session: the engine tells
// sessions apart by that.
type timedSession struct {
	Session
	t *timed
}

func (s timedSession) Invoke(ctx context.Context, q tl.Object) (Response, error) {
	start := time.Now()
	r, err := s.Session.Invoke(ctx, q)
	return s.t.since(start, r, err)
}

func (s timedSession) InvokeWith(ctx context.Context, q tl.Object, payload mtproto.Payload) (Response, error) {
	start := time.Now()
	r, err := s.Session.InvokeWith(ctx, q, payload)
	return s.t.since(start, r, err)
}

func (t *timed) since(start time.Time, r Response, err error) (Response, error) {
	if err == nil {
		t.tell(time.Since(start))
	}
	return r, err
}

// Reconnects is what the session counts, which the engine asks for.
func (s timedSession) Reconnects() int {
	if c, ok := s.Session.(interface{ Reconnects() int }); ok {
		return c.Reconnects()
	}
	return 0
}
