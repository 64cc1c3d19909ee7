package soak

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/transfer"
)

// settle is how long after a wait was told a request may still leave that was
// decided on before: on a machine that does other things a goroutine that is
// ready may get its turn some hundred milliseconds later.
const settle = 600 * time.Millisecond

// waits knows every wait that an answer has told of, over engines and clients,
// and notes requests for parts that were begun inside one.
type waits struct {
	mu     sync.Mutex
	scopes map[scope]wait
	inside []string
}

type scope struct {
	dc     int
	method string
}

type wait struct{ told, until time.Time }

// begin notes a request.
func (w *waits) begin(s scope) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if known := w.scopes[s]; now.After(known.told.Add(settle)) && now.Before(known.until) {
		w.inside = append(w.inside, fmt.Sprintf("%s at DC %d was called %v after a wait was told, %v before its end",
			s.method, s.dc, now.Sub(known.told), known.until.Sub(now)))
	}
}

// answered takes in what came of it.
func (w *waits) answered(s scope, err error) {
	var rpc *mtproto.RPCError
	if !errors.As(err, &rpc) || !errors.Is(err, mtproto.ErrFloodWait) {
		return
	}
	d, _ := rpc.Wait()
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.scopes == nil {
		w.scopes = make(map[scope]wait)
	}
	known := w.scopes[s]
	if !now.Before(known.until) {
		known.told = now
	}
	if until := now.Add(d); until.After(known.until) {
		known.until = until
	}
	w.scopes[s] = known
}

// watched is a client whose requests for parts are looked at.
type watched struct {
	*telegram.Client
	waits *waits
}

// FileSession implements transfer.Telegram.
func (w watched) FileSession(ctx context.Context, dc int, use telegram.Use, n int) (transfer.Session, error) {
	s, err := w.Client.FileSession(ctx, dc, use, n)
	if err != nil {
		return nil, err
	}
	return watchedSession{s, dc, w.waits}, nil
}

// CDNSession implements transfer.Telegram.
func (w watched) CDNSession(ctx context.Context, dc int, n int) (transfer.Session, error) {
	s, err := w.Client.CDNSession(ctx, dc, n)
	if err != nil {
		return nil, err
	}
	return watchedSession{s, dc, w.waits}, nil
}

type watchedSession struct {
	s     *mtproto.Session
	dc    int
	waits *waits
}

// Invoke implements transfer.Session.
func (s watchedSession) Invoke(ctx context.Context, q tl.Object) (transfer.Response, error) {
	return s.watch(q, func() (*mtproto.Response, error) { return s.s.Invoke(ctx, q) })
}

// InvokeWith implements transfer.Session.
func (s watchedSession) InvokeWith(ctx context.Context, q tl.Object, payload mtproto.Payload) (transfer.Response, error) {
	return s.watch(q, func() (*mtproto.Response, error) { return s.s.InvokeWith(ctx, q, payload) })
}

// watch does a request and looks at what comes of it.
func (s watchedSession) watch(q tl.Object, do func() (*mtproto.Response, error)) (transfer.Response, error) {
	sc := scope{s.dc, q.TypeName()}
	s.waits.begin(sc)
	r, err := do()
	if err != nil {
		s.waits.answered(sc, err)
		return nil, err
	}
	return r, nil
}

// Reconnects is how often the connection was lost and made again.
func (s watchedSession) Reconnects() int { return int(s.s.Stats().Reconnects) }
