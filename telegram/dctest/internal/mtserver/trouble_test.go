package mtserver_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/telegram/dctest/internal/mtserver"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// TestTrouble lets things go wrong that a session must get over: every call
// is answered once and right, whatever the way there.
func TestTrouble(t *testing.T) {
	every := func(n int64) func(mtserver.Point) bool {
		var count atomic.Int64
		return func(mtserver.Point) bool { return count.Add(1)%n == 0 }
	}
	for name, faults := range map[string]mtserver.Faults{
		"answers come twice":          {DuplicateAnswer: every(1)},
		"connections break":           {DropConn: every(4)},
		"the salt is wrong":           {BadSalt: every(3)},
		"the salt is wrong six times": {BadSalt: once(6)},
		"the session is forgotten":    {ForgetSession: every(6)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, err := dial(t, mtserver.Config{Faults: faults}, mtproto.Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = s.Close() }()
				for i := range 40 {
					got, err := mtproto.Call(t.Context(), s, &api.HelpGetNearestDcRequest{})
					if err != nil || got.ThisDC != 2 {
						t.Fatalf("call %d: got %+v, %v", i, got, err)
					}
				}
			})
		})
	}
}

// once is a fault that strikes the first n times, after the session stands.
func once(n int64) func(mtserver.Point) bool {
	var count atomic.Int64
	return func(mtserver.Point) bool {
		c := count.Add(1)
		return c > 3 && c <= 3+n
	}
}

// TestSaltStorm: the server finds one salt after the other wrong. The call is
// sent again with the new salt; after five in a row in a fresh session; and if it
// never ends, the call fails.
func TestSaltStorm(t *testing.T) {
	for _, tt := range []struct {
		wrong    int64
		sessions int64
		refused  bool
	}{{1, 1, false}, {5, 1, false}, {6, 2, false}, {1 << 40, 2, true}} {
		t.Run(fmt.Sprint(tt.wrong), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var left, seen atomic.Int64
				var dc *mtserver.DC
				s, err := dialDC(t, &dc, mtserver.Config{Handler: nearest{}, Faults: mtserver.Faults{BadSalt: func(mtserver.Point) bool {
					if left.Add(-1) < 0 {
						return false
					}
					seen.Add(1)
					return true
				}}}, mtproto.Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = s.Close() }()
				if _, err := mtproto.Call(t.Context(), s, &api.HelpGetNearestDcRequest{}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second) // until acknowledgements are out
				left.Store(tt.wrong)
				start := time.Now()
				_, err = mtproto.Call(t.Context(), s, &api.HelpGetNearestDcRequest{})
				if errors.Is(err, mtproto.ErrRefused) != tt.refused || !tt.refused && err != nil {
					t.Errorf("got %v, want refused: %v", err, tt.refused)
				}
				if time.Since(start) > time.Second || seen.Load() > 30 {
					t.Errorf("%d wrong salts in %v", seen.Load(), time.Since(start))
				}
				if n := dc.Stats().Sessions; n != tt.sessions && !tt.refused || tt.refused && n > 2 {
					t.Errorf("%d sessions, want %d", n, tt.sessions)
				}
				if n := dc.Stats().KeyExchanges; n != 1 || s.Stats().Reconnects != 0 {
					t.Errorf("%d keys made, %d reconnects; want 1, 0", n, s.Stats().Reconnects)
				}
			})
		})
	}
}

// TestClockIsWrong: what is known of the server's time is hours off, as when the
// local clock was set since the last start. The session finds out and goes on.
func TestClockIsWrong(t *testing.T) {
	for _, off := range []time.Duration{5 * time.Hour, -5 * time.Hour, 40 * time.Second, -400 * time.Second} {
		for _, busy := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				var dc *mtserver.DC
				first, err := dialDC(t, &dc, mtserver.Config{Handler: nearest{}}, mtproto.Options{})
				if err != nil {
					t.Fatal(err)
				}
				key := first.KeyState()
				if !busy { // else the key has a session with the right time
					_ = first.Close()
				}
				key.TimeOffset += off
				s, err := dialDC(t, &dc, mtserver.Config{}, mtproto.Options{Key: key})
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				for range 3 {
					if _, err := mtproto.Call(t.Context(), s, &api.HelpGetNearestDcRequest{}); err != nil {
						t.Errorf("%v off: %v", off, err)
					}
				}
				if took := time.Since(start); took > time.Second {
					t.Errorf("%v off: three calls took %v", off, took)
				}
				if got := s.KeyState().TimeOffset; got.Abs() > 2*time.Second {
					t.Errorf("%v off: the offset is %v now, want about 0", off, got)
				}
				_ = s.Close()
				_ = first.Close()
			})
		}
	}
}

// TestReorderedAnswers: answers come in any order, and some twice. Each goes to
// its own call, once.
func TestReorderedAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const calls = 30
		back := handler(func(_ context.Context, c *mtserver.Call) (tl.Object, error) {
			if c.Method != api.UploadGetFileRequestID {
				return nearest{}.Handle(context.Background(), c)
			}
			return &api.UploadFile{Type: &api.StorageFilePartial{}, Mtime: int32(c.Query[len(c.Query)-4])}, nil
		})
		var seen atomic.Int64
		s, err := dialTo(t, mtserver.Config{Handler: back, Faults: mtserver.Faults{
			DelayAnswer: func(mtserver.Point) time.Duration {
				n := seen.Add(1)
				return time.Duration((n*7919)%calls) * 100 * time.Millisecond
			},
			DuplicateAnswer: func(mtserver.Point) bool { return true },
		}}, mtproto.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup
		for n := range calls {
			wg.Go(func() {
				got, err := mtproto.Call(t.Context(), s, &api.UploadGetFileRequest{Location: &api.InputDocumentFileLocation{}, Limit: int32(n)})
				if err != nil {
					t.Errorf("call %d: %v", n, err)
					return
				}
				if f := got.(*api.UploadFile); int(f.Mtime) != n {
					t.Errorf("call %d got the answer to %d", n, f.Mtime)
				}
				mu.Lock()
				order = append(order, n)
				mu.Unlock()
			})
			synctest.Wait()
		}
		wg.Wait()
		if slices.IsSorted(order) || len(order) != calls {
			t.Errorf("answers came as %v: not reordered at all", order)
		}
	})
}

// odd answers the first query with what it is told to, and others as nearest does.
type odd struct {
	nearest
	first *tl.Raw
}

func (o odd) Handle(ctx context.Context, c *mtserver.Call) (tl.Object, error) {
	if c.Method == api.UsersGetUsersRequestID {
		return *o.first, nil
	}
	return o.nearest.Handle(ctx, c)
}

// TestOddAnswers: what cannot be read fails its own call, says why, and leaves
// connection and session alone.
func TestOddAnswers(t *testing.T) {
	var e tl.Encoder
	e.Vector(1 << 30)
	for name, tt := range map[string]struct {
		answer tl.Raw
		want   string
	}{
		"unknown constructor": {tl.Raw{0x15, 0xc4, 0xb5, 0x1c, 1, 0, 0, 0, 0xef, 0xbe, 0xad, 0xde}, "deadbeef"},
		"another type":        {tl.Marshal(&api.NearestDc{}), "Vector"},
		"endless vector":      {e.Bytes(), "vector"},
		"cut short":           {tl.Raw{0x15, 0xc4, 0xb5, 0x1c, 1, 0, 0, 0}, ""},
		"too much":            {tl.Raw{0x15, 0xc4, 0xb5, 0x1c, 0, 0, 0, 0, 1, 2, 3, 4}, "left over"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, err := dialTo(t, mtserver.Config{Handler: odd{first: &tt.answer}}, mtproto.Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = s.Close() }()
				_, err = mtproto.Call(t.Context(), s, &api.UsersGetUsersRequest{})
				if !errors.Is(err, mtproto.ErrBadAnswer) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "users.getUsers (layer 228)") {
					t.Errorf("got %v, want %v with %q, the method and the layer", err, mtproto.ErrBadAnswer, tt.want)
				}
				if _, err := mtproto.Call(t.Context(), s, &api.HelpGetNearestDcRequest{}); err != nil || s.Stats().Reconnects != 0 {
					t.Errorf("the next call: %v, after %d reconnects", err, s.Stats().Reconnects)
				}
			})
		})
	}
}

// A result whose gzip is broken fails its call alone.
func TestBrokenGzip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := tl.Marshal(objects{&api.UserEmpty{ID: 1}})
		for range 4000 {
			answer = append(answer, tl.Marshal(&api.UserEmpty{ID: 1})...)
		}
		answer[4], answer[5] = 4001&0xff, 4001>>8
		raw := tl.Raw(answer)
		struck := 0
		lie := mtserver.Corrupt{Gzip: func(_ mtserver.Point, b []byte) []byte {
			struck++
			return b[:len(b)/2]
		}}
		s, err := dialTo(t, mtserver.Config{Handler: odd{first: &raw}, Faults: mtserver.Faults{Corrupt: lie}}, mtproto.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		_, err = mtproto.Call(t.Context(), s, &api.UsersGetUsersRequest{})
		if !errors.Is(err, mtproto.ErrBadAnswer) || struck == 0 {
			t.Errorf("got %v (%d packed answers), want %v", err, struck, mtproto.ErrBadAnswer)
		}
		if _, err := mtproto.Call(t.Context(), s, &api.HelpGetNearestDcRequest{}); err != nil || s.Stats().Reconnects != 0 {
			t.Errorf("the next call: %v, after %d reconnects", err, s.Stats().Reconnects)
		}
	})
}

// objects is a boxed vector.
type objects []tl.Object

func (objects) TypeID() uint32   { return tl.VectorID }
func (objects) TypeName() string { return "Vector" }
func (o objects) Encode(e *tl.Encoder) {
	e.Vector(len(o))
	for _, x := range o {
		x.Encode(e)
	}
}
