package telegram

import (
	"context"
	"errors"
	"sync"
)

// A flight runs one function at a time for many callers: who comes while it
// runs gets its result. The zero flight is ready.
type flight struct {
	mu  sync.Mutex
	cur *run
}

type run struct {
	done chan struct{} // closed when err is final
	err  error
}

// do runs f with the first caller's context, on its goroutine. If that caller
// gives up, the next one runs f again: nobody fails for another's context.
func (fl *flight) do(ctx context.Context, f func(context.Context) error) error {
	for {
		fl.mu.Lock()
		r := fl.cur
		if r == nil {
			break // still locked
		}
		fl.mu.Unlock()
		select {
		case <-r.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if !errors.Is(r.err, context.Canceled) && !errors.Is(r.err, context.DeadlineExceeded) {
			return r.err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	r := &run{done: make(chan struct{}), err: errAborted}
	fl.cur = r
	fl.mu.Unlock()
	defer func() { // also if f panics: the others must not wait for ever
		fl.mu.Lock()
		fl.cur = nil
		fl.mu.Unlock()
		close(r.done)
	}()
	r.err = f(ctx)
	return r.err
}

// errAborted is the result of a flight whose function did not return.
var errAborted = errors.New("telegram: aborted")
