package mtproto

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto/proxy"
)

// A dialed is how dialing an endpoint ends, and after how long.
type dialed struct {
	after time.Duration
	err   error
}

type closeCounter struct {
	net.Conn
	closed *atomic.Int64
}

func (c closeCounter) Close() error { c.closed.Add(1); return nil }

func TestRace(t *testing.T) {
	gone := errors.New("connection refused")
	never := 24 * time.Hour
	barred := &proxy.Error{Proxy: "socks5://proxy:1", Reason: proxy.ErrAuth}
	behind := &proxy.Error{Proxy: "socks5://proxy:1", Reason: proxy.ErrRefused}
	for _, tt := range []struct {
		name    string
		list    []dialed
		want    int // which one wins, -1: none
		took    time.Duration
		started int64
		closed  int64
	}{
		{"the first at once", []dialed{{time.Millisecond, nil}, {0, nil}}, 0, time.Millisecond, 1, 0},
		{"the first is refused", []dialed{{0, gone}, {time.Millisecond, nil}}, 1, time.Millisecond, 2, 0},
		{"the first is a hole", []dialed{{never, nil}, {time.Millisecond, nil}}, 1, stagger + time.Millisecond, 2, 0},
		{"the second overtakes", []dialed{{time.Second, nil}, {time.Millisecond, nil}, {0, nil}}, 1, stagger + time.Millisecond, 2, 1},
		{"a slow one is not lost", []dialed{{time.Second, nil}, {0, gone}, {0, gone}}, 0, time.Second, 3, 0},
		{"all refused", []dialed{{0, gone}, {0, gone}}, -1, 0, 2, 0},
		{"the proxy does not want us", []dialed{{0, barred}, {0, nil}}, -1, 0, 1, 0},
		{"the proxy does not reach one", []dialed{{0, behind}, {0, nil}}, 1, 0, 2, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var list []Endpoint
				for i := range tt.list {
					list = append(list, Endpoint{DC: i})
				}
				var started, closed atomic.Int64
				start := time.Now()
				c, e, err := race(t.Context(), list, func(ctx context.Context, e Endpoint) (net.Conn, error) {
					started.Add(1)
					d := tt.list[e.DC]
					select {
					case <-time.After(d.after):
					case <-ctx.Done():
						if d.after == never {
							return nil, ctx.Err()
						} // it has just come through
					}
					if d.err != nil {
						return nil, d.err
					}
					return closeCounter{closed: &closed}, nil
				})
				if took := time.Since(start); took != tt.took || started.Load() != tt.started || closed.Load() != tt.closed {
					t.Errorf("took %v, %d started, %d closed; want %v, %d, %d", took, started.Load(), closed.Load(), tt.took, tt.started, tt.closed)
				}
				switch {
				case tt.want < 0 && (err == nil || c != nil), tt.want >= 0 && (err != nil || e.DC != tt.want):
					t.Errorf("won by %d, %v; want %d", e.DC, err, tt.want)
				}
			})
		})
	}
}

func TestRaceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := race(ctx, make([]Endpoint, 9), func(ctx context.Context, _ Endpoint) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestDialErrors(t *testing.T) {
	var list dialErrors
	for i := range 5 {
		list = append(list, fmt.Errorf("error %d", i))
	}
	if got, want := list.Error(), "error 0; error 1; error 2; and 2 more"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(list, list[4]) {
		t.Error("the last one is not found in it")
	}
}

func TestRoutes(t *testing.T) {
	var r Routes
	var list []Endpoint
	for _, a := range []string{"a", "b", "c", "d", "e"} {
		list = append(list, Endpoint{Address: a})
	}
	order := func() string {
		var s []string
		for _, e := range r.order(list) {
			s = append(s, e.Address)
		}
		return strings.Join(s, "")
	}
	before := slices.Clone(list)
	if got := order(); got != "abcde" {
		t.Errorf("at first %s", got)
	}
	r.note("a", false, time.Unix(20, 0))
	r.note("b", false, time.Unix(10, 0))
	r.Prefer("d")
	if got := order(); got != "dceba" {
		t.Errorf("got %s, want dceba: good, untried, then by the time of failure", got)
	}
	r.note("d", false, time.Unix(30, 0))
	r.note("a", true, time.Unix(40, 0))
	if got := order(); got != "acebd" {
		t.Errorf("got %s, want acebd", got)
	}
	if !slices.EqualFunc(list, before, func(a, b Endpoint) bool { return a.Address == b.Address }) {
		t.Error("the list itself was changed")
	}
}
