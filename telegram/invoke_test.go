package telegram

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// Each row of errors.md's table that concerns calls at the home DC.
func TestInvokeReactions(t *testing.T) {
	const q = "messages.getChats"
	for _, c := range []struct {
		name     string
		errs     []error // answers to the first calls; then it succeeds
		anon     bool
		want     error // nil: success
		calls    int
		atLeast  time.Duration
		atMost   time.Duration
		confirms int // calls of users.getUsers
		self     error
		dc       int // home afterwards
	}{
		{name: "fine", calls: 1, dc: 2},
		{name: "500", errs: []error{rpcErr(500, "RPC_CALL_FAIL", 0), rpcErr(500, "X", 0)}, calls: 3, atLeast: 1500 * time.Millisecond, atMost: 3 * time.Second, dc: 2},
		{name: "-503", errs: []error{rpcErr(-503, "Timeout", 0)}, calls: 2, atLeast: 500 * time.Millisecond, atMost: time.Second, dc: 2},
		{name: "500 for ever", errs: repeatErr(rpcErr(500, "X", 0), 50), want: &mtproto.RPCError{}, calls: 9, atLeast: 90 * time.Second, atMost: 200 * time.Second, dc: 2},
		{name: "flood", errs: []error{rpcErr(420, "FLOOD_WAIT", 30)}, calls: 2, atLeast: 30 * time.Second, atMost: 31 * time.Second, dc: 2},
		{name: "premium flood", errs: []error{rpcErr(420, "FLOOD_PREMIUM_WAIT", 7)}, calls: 2, atLeast: 7 * time.Second, atMost: 8 * time.Second, dc: 2},
		{name: "slow mode", errs: []error{rpcErr(420, "SLOWMODE_WAIT", 5)}, calls: 2, atLeast: 5 * time.Second, atMost: 6 * time.Second, dc: 2},
		{name: "flood beyond the limit", errs: []error{rpcErr(420, "FLOOD_WAIT", 601)}, want: &mtproto.RPCError{}, calls: 1, dc: 2},
		{name: "flood for ever", errs: repeatErr(rpcErr(420, "FLOOD_WAIT", 1), 100), want: &mtproto.RPCError{}, calls: 17, atLeast: 16 * time.Second, atMost: 34 * time.Second, dc: 2},
		{name: "takeout delay", errs: []error{rpcErr(420, "TAKEOUT_INIT_DELAY", 5)}, want: &mtproto.RPCError{}, calls: 1, dc: 2},
		{name: "frozen", errs: []error{rpcErr(420, "FROZEN_METHOD_INVALID", 0)}, want: &mtproto.RPCError{}, calls: 1, dc: 2},
		{name: "other 420", errs: []error{rpcErr(420, "FLOOD_SKIP_FAILED_WAIT", 0)}, calls: 2, atMost: time.Second, dc: 2},
		{name: "400", errs: []error{rpcErr(400, "PEER_ID_INVALID", 0)}, want: &mtproto.RPCError{}, calls: 1, dc: 2},
		{name: "403", errs: []error{rpcErr(403, "CHAT_WRITE_FORBIDDEN", 0)}, want: &mtproto.RPCError{}, calls: 1, dc: 2},
		{name: "406", errs: []error{rpcErr(406, "CHANNEL_PRIVATE", 0)}, want: &mtproto.RPCError{}, calls: 1, dc: 2},
		{name: "file migrate is the caller's", errs: []error{rpcErr(303, "FILE_MIGRATE", 4)}, want: &mtproto.RPCError{}, calls: 1, dc: 2},
		{name: "random id", errs: []error{rpcErr(500, "RANDOM_ID_DUPLICATE", 0)}, want: &mtproto.RPCError{}, calls: 1, dc: 2},
		{name: "not for bots", errs: []error{rpcErr(400, "BOT_METHOD_INVALID", 0)}, want: ErrUserOnly, calls: 1, dc: 2},
		{name: "401 without login", errs: []error{rpcErr(401, "AUTH_KEY_UNREGISTERED", 0)}, anon: true, want: ErrNotLoggedIn, calls: 1, dc: 2},
		{
			name: "401 confirmed", errs: []error{rpcErr(401, "SESSION_REVOKED", 0)}, self: rpcErr(401, "SESSION_REVOKED", 0),
			want: ErrLoggedOut, calls: 1, confirms: 1, dc: 2,
		},
		{name: "401 of the method only", errs: []error{rpcErr(401, "ACTIVE_USER_REQUIRED", 0)}, want: &mtproto.RPCError{}, calls: 1, confirms: 1, dc: 2},
		{name: "password needed", errs: []error{rpcErr(401, "SESSION_PASSWORD_NEEDED", 0)}, want: &mtproto.RPCError{}, calls: 1, dc: 2},
		{name: "duplicated", errs: []error{rpcErr(406, "AUTH_KEY_DUPLICATED", 0)}, want: ErrLoggedOut, calls: 1, dc: 2},
		{name: "key unknown", errs: []error{mtproto.ErrKeyUnknown}, want: ErrLoggedOut, calls: 1, dc: 2},
		{name: "user migrate", errs: []error{rpcErr(303, "USER_MIGRATE", 4)}, calls: 2, dc: 4},
		{name: "phone migrate", errs: []error{rpcErr(303, "PHONE_MIGRATE", 4)}, anon: true, calls: 2, dc: 4},
		{name: "network migrate", errs: []error{rpcErr(303, "NETWORK_MIGRATE", 4)}, anon: true, calls: 2, dc: 4},
		{name: "migrate to nowhere", errs: []error{rpcErr(303, "USER_MIGRATE", 99)}, want: ErrUnknownDC, calls: 1, dc: 2},
		{
			name: "migrate in circles", errs: []error{
				rpcErr(303, "USER_MIGRATE", 4), rpcErr(303, "USER_MIGRATE", 2), rpcErr(303, "USER_MIGRATE", 4), rpcErr(303, "USER_MIGRATE", 2),
			}, want: &mtproto.RPCError{}, calls: 4, dc: 4,
		},
		{name: "cluster", errs: []error{rpcErr(400, "MTPROTO_CLUSTER_INVALID", 0)}, calls: 2, dc: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				left := c.errs
				f := &fakeTelegram{answer: func(call fakeCall) (tl.Object, error) {
					switch call.q.(type) {
					case *api.MessagesGetChatsRequest:
						if len(left) > 0 {
							err := left[0]
							left = left[1:]
							return nil, err
						}
						return &api.MessagesChats{}, nil
					case *api.UsersGetUsersRequest:
						return nil, c.self
					}
					return nil, nil
				}}
				var change func(*Config)
				if c.anon {
					change = anonymous
				}
				client := fakeClient(t, f, change)
				start := time.Now()
				_, err := mtproto.Call(t.Context(), client, &api.MessagesGetChatsRequest{})
				took := time.Since(start)
				var rpc *mtproto.RPCError
				if errors.As(c.want, &rpc) {
					if !errors.As(err, &rpc) || errors.Is(err, ErrLoggedOut) {
						t.Errorf("got error %v, want the server's", err)
					}
				} else if !errors.Is(err, c.want) {
					t.Errorf("got error %v, want %v", err, c.want)
				}
				if got := f.count(q, 0); got != c.calls {
					t.Errorf("%d calls, want %d", got, c.calls)
				}
				if got := f.count("users.getUsers", 0); got != c.confirms {
					t.Errorf("%d calls to confirm the login, want %d", got, c.confirms)
				}
				if took < c.atLeast || took > c.atMost {
					t.Errorf("took %v, want %v to %v", took, c.atLeast, c.atMost)
				}
				if got := client.HomeDC(); got != c.dc {
					t.Errorf("home DC %d, want %d", got, c.dc)
				}
			})
		})
	}
}

func repeatErr(err error, n int) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// No request of the method leaves inside of the wait; other methods go on.
func TestNothingSentInsideFloodWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var until atomic.Int64
		inside := 0
		var mu sync.Mutex
		f := &fakeTelegram{answer: func(call fakeCall) (tl.Object, error) {
			if _, ok := call.q.(*api.MessagesGetChatsRequest); !ok {
				return nil, nil
			}
			mu.Lock()
			defer mu.Unlock()
			if now := time.Now().UnixNano(); now < until.Load() {
				inside++
			}
			if until.Load() == 0 {
				until.Store(time.Now().Add(20 * time.Second).UnixNano())
				return nil, rpcErr(420, "FLOOD_WAIT", 20)
			}
			return &api.MessagesChats{}, nil
		}}
		told := 0
		client := fakeClient(t, f, func(cfg *Config) {
			cfg.OnFloodWait = func(method string, dc int, wait time.Duration) {
				told++
				if method != "messages.getChats" || dc != 2 || wait < 20*time.Second || wait > 21*time.Second {
					t.Errorf("told of %s at DC %d for %v", method, dc, wait)
				}
			}
		})
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := mtproto.Call(t.Context(), client, &api.MessagesGetChatsRequest{}); err != nil {
					t.Errorf("call: %v", err)
				}
			})
			synctest.Wait()
		}
		if _, err := client.Self(t.Context()); err != nil {
			t.Errorf("another method inside of the wait: %v", err)
		}
		wg.Wait()
		if inside != 0 || told != 1 {
			t.Errorf("%d requests inside of the wait, told %d times; want 0 and 1", inside, told)
		}
	})
}

// A wait that is too long is returned, and later calls are not even sent.
func TestLongFloodWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTelegram{answer: func(call fakeCall) (tl.Object, error) {
			if _, ok := call.q.(*api.MessagesGetChatsRequest); ok {
				return nil, rpcErr(420, "FLOOD_WAIT", 3600)
			}
			return nil, nil
		}}
		client := fakeClient(t, f, nil)
		for i := range 3 {
			_, err := mtproto.Call(t.Context(), client, &api.MessagesGetChatsRequest{})
			rpc, ok := isRPC(err, "FLOOD_WAIT")
			if want := 3600 - 100*i; !ok || rpc.Arg < want || rpc.Arg > want+1 {
				t.Errorf("call %d: got %v, want FLOOD_WAIT of about %d s", i, err, want)
			}
			time.Sleep(100 * time.Second)
		}
		if got := f.count("messages.getChats", 0); got != 1 {
			t.Errorf("%d calls, want 1", got)
		}
	})
}

// A wait outlives the client, whatever became of the call: the next one with
// the same session sends nothing of the method inside it.
func TestWaitsSurvive(t *testing.T) {
	for _, seconds := range []int{1, 30, 3600, 86400} {
		synctest.Test(t, func(t *testing.T) {
			var until time.Time
			f := &fakeTelegram{answer: func(call fakeCall) (tl.Object, error) {
				if _, ok := call.q.(*api.MessagesGetChatsRequest); !ok {
					return nil, nil
				}
				if until.IsZero() {
					until = time.Now().Add(time.Duration(seconds) * time.Second)
					return nil, rpcErr(420, "FLOOD_WAIT", seconds)
				}
				if left := time.Until(until); left > 0 {
					t.Errorf("called %v before the end of a wait of %d s", left, seconds)
				}
				return &api.MessagesChats{}, nil
			}}
			store := new(MemorySession)
			if err := store.Save(testSession()); err != nil {
				t.Fatal(err)
			}
			keep := func(cfg *Config) { cfg.Session, cfg.MaxFloodWait = store, 48*time.Hour }
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			first := fakeClient(t, f, keep)
			if _, err := mtproto.Call(ctx, first, &api.MessagesGetChatsRequest{}); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("got %v, want the caller's deadline", err)
			}
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			second := fakeClient(t, f, keep)
			if _, err := second.Self(t.Context()); err != nil || time.Now().After(until) {
				t.Errorf("another method: %v at %v", err, time.Until(until))
			}
			if _, err := mtproto.Call(t.Context(), second, &api.MessagesGetChatsRequest{}); err != nil {
				t.Errorf("after the wait: %v", err)
			}
			if late := time.Since(until); late > time.Second {
				t.Errorf("answered %v after a wait of %d s, want 1s at most", late, seconds)
			}
			if err := second.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestCancelledWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTelegram{answer: func(call fakeCall) (tl.Object, error) {
			if _, ok := call.q.(*api.MessagesGetChatsRequest); ok {
				return nil, rpcErr(420, "FLOOD_WAIT", 300)
			}
			return nil, nil
		}}
		client := fakeClient(t, f, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		_, err := mtproto.Call(ctx, client, &api.MessagesGetChatsRequest{})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("got %v after %v, want the deadline after 3s", err, time.Since(start))
		}
	})
}

// After a sign-out by the server nothing is sent any more, and the store says so.
func TestLoggedOutIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := rpcErr(401, "AUTH_KEY_UNREGISTERED", 0)
		f := &fakeTelegram{answer: func(call fakeCall) (tl.Object, error) {
			if call.q.TypeName() == "help.getConfig" {
				return nil, nil
			}
			return nil, out
		}}
		store := new(MemorySession)
		client := fakeClient(t, f, func(cfg *Config) {
			if err := store.Save(testSession()); err != nil {
				t.Fatal(err)
			}
			cfg.Session = store
		})
		if _, err := client.Self(t.Context()); !errors.Is(err, ErrLoggedOut) {
			t.Fatalf("got %v, want ErrLoggedOut", err)
		}
		sent := len(f.calls)
		if _, err := client.Self(t.Context()); !errors.Is(err, ErrLoggedOut) {
			t.Errorf("second call: got %v, want ErrLoggedOut", err)
		}
		if _, err := client.fileSession(t.Context(), 4, Download, 0); !errors.Is(err, ErrLoggedOut) {
			t.Errorf("file session: got %v, want ErrLoggedOut", err)
		}
		if len(f.calls) != sent {
			t.Errorf("%d more calls, want none", len(f.calls)-sent)
		}
		s, err := store.Load()
		if err != nil || s.DCs[2].Authorized || s.User == nil || len(s.DCs[2].Key) != 256 {
			t.Errorf("stored %v, %v; want the key unauthorised and the user still named", s, err)
		}
		if client.LoggedIn() || client.User() == nil {
			t.Errorf("logged in %v, user %v; want false, and the user", client.LoggedIn(), client.User())
		}
	})
}

func TestClosedClient(t *testing.T) {
	f := new(fakeTelegram)
	client := fakeClient(t, f, nil)
	for range 2 {
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.Self(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("call: got %v, want ErrClosed", err)
	}
	if _, err := client.fileSession(t.Context(), 2, Download, 0); !errors.Is(err, ErrClosed) {
		t.Errorf("file session: got %v, want ErrClosed", err)
	}
}
