package transfer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/scheduler"
)

// Calls beside the parts: hashes of files, and what a file's own DC has to do
// with its CDN. They are few and need no pace, but they obey waits, follow
// files and get over trouble as parts do.

const (
	asideTroubles = 8 // repeats of one call after server trouble
	asideBad      = 3 // answers to one call that cannot be read
	asideMoves    = 10
	asideMargin   = 100 * time.Millisecond // added to each wait, as the scheduler does
)

// errStale says that a finished file needs a new reference to be verified.
var errStale = errors.New("transfer: file reference expired")

// asides are the waits that hold such calls, and the parts whose connection was
// made while one began. Safe for concurrent use.
type asides struct {
	mu    sync.Mutex
	until map[scheduler.Scope]time.Time
}

// hold closes a scope. It reports whether that is worth telling: several calls
// may be refused for one wait.
func (a *asides) hold(s scheduler.Scope, until time.Time) (news bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.until == nil {
		a.until = make(map[scheduler.Scope]time.Time)
	}
	known := a.until[s]
	if until.After(known) {
		a.until[s] = until
	}
	return until.Sub(known) >= scheduler.WaitSlack
}

// left is how long the scope is held.
func (a *asides) left(s scheduler.Scope) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Until(a.until[s])
}

// A heldError is a call that was not made, since a wait holds it.
type heldError struct {
	scope scheduler.Scope
	left  time.Duration
}

func (e *heldError) Error() string {
	return fmt.Sprintf("transfer: a wait holds %s for %v", scopeName(e.scope.DC, e.scope.Method), e.left)
}

// aside makes a call, unless a wait holds it: then it fails with a *heldError.
func (r *run) aside(ctx context.Context, route scheduler.Route, conn int, do func(Session) error) error {
	scope := route.Scope()
	if left := r.asides.left(scope); left > 0 {
		return &heldError{scope, left}
	}
	s, err := r.session(ctx, route, conn)
	if err == nil {
		err = do(s)
	}
	var rpc *mtproto.RPCError
	if errors.As(err, &rpc) && isWait(rpc) {
		wait := waitOf(rpc)
		until := time.Now().Add(wait + asideMargin)
		news := r.asides.hold(scope, until)
		r.post(func() {
			if news {
				r.floodWait(scheduler.Wait{Scope: scope, For: wait, Until: until, Premium: isPremium(rpc)})
			}
			r.recordWait(scope, until, isPremium(rpc))
		})
	}
	return err
}

// ask makes a call at a file's own DC and does not give up before parts would.
// It fails with errStale if the file needs a new reference.
func (d *download) ask(ctx context.Context, method string, do func(Session) error) error {
	route := func() scheduler.Route {
		route := d.route()
		route.Method = method
		return route
	}
	return d.run.ask(ctx, route, d.moved, do)
}

// ask makes a call beside the parts, and does not give up before they would.
// moved is told the DC that the server sends it to.
func (r *run) ask(ctx context.Context, route func() scheduler.Route, moved func(dc int), do func(Session) error) error {
	for trouble, bad, moves := 0, 0, 0; ; {
		err := r.aside(ctx, route(), 0, do)
		if err == nil {
			return nil
		}
		var held *heldError
		if errors.As(err, &held) {
			if err := nap(ctx, held.left); err != nil {
				return err
			}
			continue
		}
		v := r.react(ctx, scheduler.Send{Route: route()}, err)
		switch {
		case v.run != nil:
			return v.run
		case v.file != nil:
			return v.file
		case ctx.Err() != nil:
			return ctx.Err()
		}
		pause := time.Duration(0)
		switch v.failure.Kind {
		case scheduler.Flood: // held from now on
		case scheduler.Stale:
			return fmt.Errorf("%w: %w", errStale, err)
		case scheduler.Moved:
			if moves++; moves > asideMoves {
				return err
			}
			moved(v.failure.Route.DC)
		case scheduler.BadAnswer:
			if bad++; bad >= asideBad {
				return err
			}
			pause = asidePause(bad)
		case scheduler.Trouble:
			if trouble++; trouble > asideTroubles {
				return err
			}
			pause = asidePause(trouble)
		case scheduler.ConnLost, scheduler.Again:
			pause = asidePause(1)
		}
		if err := nap(ctx, pause); err != nil {
			return err
		}
	}
}

// asidePause is the pause before the n-th repeat, n from 1.
func asidePause(n int) time.Duration {
	d := min(time.Second<<min(n-1, 10), time.Minute)
	return d/2 + rand.N(d/2+1)
}

// nap waits, or returns ctx's error if that ends first.
func nap(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
