package telegram

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestFlightRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fl flight
		var runs atomic.Int32
		want := errors.New("result")
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				err := fl.do(t.Context(), func(context.Context) error {
					runs.Add(1)
					time.Sleep(time.Second)
					return want
				})
				if !errors.Is(err, want) {
					t.Errorf("got %v, want the result of the one run", err)
				}
			})
		}
		wg.Wait()
		if got := runs.Load(); got != 1 {
			t.Errorf("%d runs, want 1", got)
		}
		if err := fl.do(t.Context(), func(context.Context) error { return nil }); err != nil {
			t.Errorf("the next flight: %v", err)
		}
	})
}

// Nobody fails for another's context, and nobody waits beyond their own.
func TestFlightContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fl flight
		var runs atomic.Int32
		work := func(ctx context.Context) error {
			runs.Add(1)
			return pause(ctx, 10*time.Second)
		}
		do := func(limit time.Duration) (took time.Duration, err error) {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			start := time.Now()
			err = fl.do(ctx, work)
			return time.Since(start), err
		}
		var wg sync.WaitGroup
		for _, c := range []struct {
			limit, took time.Duration
			want        error
		}{
			{3 * time.Second, 3 * time.Second, context.DeadlineExceeded}, // runs it first
			{time.Second, time.Second, context.DeadlineExceeded},         // waits, gives up before
			{time.Minute, 13 * time.Second, nil},                         // waits, then runs it
		} {
			wg.Go(func() {
				if took, err := do(c.limit); took != c.took || !errors.Is(err, c.want) {
					t.Errorf("with limit %v: got %v after %v, want %v after %v", c.limit, err, took, c.want, c.took)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if got := runs.Load(); got != 2 {
			t.Errorf("%d runs, want 2", got)
		}
	})
}
