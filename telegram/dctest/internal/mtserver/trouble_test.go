package mtserver_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

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
