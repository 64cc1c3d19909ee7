package forward

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/telegram"
)

// A refusals run forwards everything and notes what is refused, and why.
type refusals map[int]string

func (r refusals) run(t *testing.T, s *server, store Store) (*Run, error) {
	t.Helper()
	f := New(s, store, Options{Job: "j", To: to, Refused: func(p telegram.Peer, id int, err error) {
		var rpc *mtproto.RPCError
		if p != from || !errors.As(err, &rpc) {
			t.Errorf("message %d of %v: %v", id, p, err)
			return
		}
		r[id] = rpc.Type
	}})
	return f, f.Chat(t.Context(), 0, from, s.list())
}

// One message that the server does not forward keeps no other back, wherever it
// stands, and is found by few calls. The next run tries it once more.
func TestOneRefused(t *testing.T) {
	t.Parallel()
	most := 0
	for bad := 1; bad <= 100; bad++ {
		s, store, why := newServer(250, nil), checkpoint.NewMemory(), refusals{}
		s.bad = map[int]string{bad: "MEDIA_EMPTY"}
		r, err := why.run(t, s, store)
		want := slices.Delete(upTo(250), bad-1, bad)
		if err != nil || !slices.Equal(s.got, want) || r.Messages != 249 || r.Refused != 1 || r.Gone != 0 || why[bad] != "MEDIA_EMPTY" {
			t.Fatalf("%d: %v, %+v, refused %v", bad, err, r.Counters, why)
		}
		most = max(most, len(s.calls)-2)
		if bad == 100 && len(s.calls)-2 > 9 {
			t.Errorf("%d calls to find the last; what was refused with it need not be asked for again", len(s.calls)-2)
		}
		clear(why)
		if r, err = why.run(t, s, store); err != nil || r.Refused != 1 || r.Earlier != 249 || r.Messages != 0 || why[bad] == "" {
			t.Fatalf("%d again: %v, %+v", bad, err, r.Counters)
		}
		delete(s.bad, bad)
		clear(why)
		n := len(s.calls)
		if r, err = why.run(t, s, store); err != nil || r.Refused != 0 || r.Messages != 1 || len(why) != 0 || s.got[249] != bad || len(s.calls) != n+1 {
			t.Fatalf("%d healed: %v, %+v", bad, err, r.Counters)
		}
		if _, err = why.run(t, s, store); err != nil || len(s.calls) != n+1 {
			t.Fatalf("%d done: %v, %d calls", bad, err, len(s.calls)-n-1)
		}
	}
	if most > 15 {
		t.Errorf("%d calls for a batch with one that is refused, want at most 15", most)
	}
}

// Whatever is refused, and whichever calls are lost before and after: everything
// else is forwarded once, and an album without a refused message is whole.
func TestRefusedOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 11))
		s, store := newServer(50+rng.IntN(300), func(id int) int64 { return int64(id / (1 + int(seed)%7)) }), checkpoint.NewMemory()
		s.bad = make(map[int]string)
		for range 1 + rng.IntN(20) {
			s.bad[1+rng.IntN(len(s.messages))] = "POLL_PUBLIC_VOTERS_FORBIDDEN"
		}
		lost := errors.New("lost")
		fail := func(int) error {
			if len(s.calls) < 300 && rng.IntN(6) == 0 { // a run that tries all of them again has to come to its end
				return lost
			}
			return nil
		}
		s.before, s.after = fail, fail
		var want []int
		for _, m := range s.messages {
			if s.bad[m.ID] == "" {
				want = append(want, m.ID)
			}
		}
		why := refusals{}
		for runs := 0; ; runs++ {
			r, err := why.run(t, s, store)
			if err == nil {
				if r.Earlier+r.Messages != len(want) {
					t.Errorf("seed %d: %d messages counted, of %d", seed, r.Earlier+r.Messages, len(want))
				}
				break
			}
			if !errors.Is(err, lost) || runs > 1000 {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		if !slices.Equal(s.got, want) || len(why) != len(s.bad) {
			t.Fatalf("seed %d: forwarded %v, want %v; refused %v", seed, s.got, want, why)
		}
	}
}

// Albums are cut only if a message of them is refused.
func TestRefusedBesideAlbums(t *testing.T) {
	t.Parallel()
	for bad := 1; bad <= 60; bad++ {
		s := newServer(60, func(id int) int64 { return int64(1 + (id-1)/10) })
		s.bad = map[int]string{bad: "MEDIA_INVALID"}
		if r, err := (refusals{}).run(t, s, checkpoint.NewMemory()); err != nil || r.Refused != 1 {
			t.Fatalf("%d: %v, %+v", bad, err, r.Counters)
		}
		for first := 1; first <= 60; first += 10 {
			if bad < first || bad > first+9 {
				if s.inCall[first] != s.inCall[first+9] {
					t.Errorf("%d is refused, and the album of %d is cut", bad, first)
				}
			}
		}
	}
}

// What concerns the chat ends the run at once; what is said of each message of a
// run that has forwarded none ends it before long.
func TestRefusedWholesale(t *testing.T) {
	t.Parallel()
	s, store := newServer(50, nil), checkpoint.NewMemory()
	answer := mtproto.ParseRPCError(403, "CHAT_WRITE_FORBIDDEN", "messages.forwardMessages")
	s.before = func(int) error { return answer }
	if r, err := (refusals{}).run(t, s, store); !errors.Is(err, error(answer)) || len(s.calls) != 1 || r.Refused != 0 {
		t.Errorf("may not write: %v after %d calls, %d refused", err, len(s.calls), r.Refused)
	}
	answer = mtproto.ParseRPCError(400, "SOMETHING_NEW", "messages.forwardMessages")
	s.calls = nil
	why := refusals{}
	if r, err := why.run(t, s, store); !errors.Is(err, error(answer)) || r.Refused != maxInRow || len(why) != maxInRow || len(s.calls) > 30 {
		t.Errorf("an error of every message: %v after %d calls, %d refused", err, len(s.calls), r.Refused)
	}
	s.before = nil // it is over: nothing is lost
	if r, err := why.run(t, s, store); err != nil || r.Messages != 50 || len(s.got) != 50 {
		t.Errorf("afterwards: %v, %+v", err, r.Counters)
	}
	s = newServer(50, nil)
	s.before = func(int) error {
		return fmt.Errorf("forward: %w", &telegram.AccountError{State: telegram.Frozen, Err: answer})
	}
	if _, err := (refusals{}).run(t, s, checkpoint.NewMemory()); !errors.As(err, new(*telegram.AccountError)) || len(s.calls) != 1 {
		t.Errorf("a frozen account: %v after %d calls", err, len(s.calls))
	}
}

// How many are refused in a row is counted in each chat by itself, and neither
// what the last chat ended with nor what is tried once more belongs to it.
func TestRefusedInOneChat(t *testing.T) {
	t.Parallel()
	a, b, store := newServer(20, nil), newServer(5, nil), checkpoint.NewMemory()
	a.bad, b.bad = make(map[int]string), map[int]string{1: "MEDIA_EMPTY"}
	for id := 20; id > 21-maxInRow; id-- {
		a.bad[id] = "MEDIA_EMPTY"
	}
	for _, again := range []bool{false, true} {
		r := New(a, store, Options{Job: "j", To: to})
		if err := r.Chat(t.Context(), 0, from, a.list()); err != nil || r.Refused != maxInRow-1 {
			t.Fatalf("the first chat, again %t: %v, %d refused", again, err, r.Refused)
		}
		r.tg = b
		n := 1
		if again {
			n = 2 // one that is new
			b.random = make(map[int64]bool)
		}
		if err := r.Chat(t.Context(), n, from, b.list()); err != nil || r.Refused != maxInRow {
			t.Errorf("the next chat, again %t: %v, %d refused", again, err, r.Refused)
		}
	}
}

// A chat that protects its content ends the run as it did; a message that was
// protected after it was listed is left out.
func TestRefusedAsProtected(t *testing.T) {
	t.Parallel()
	restricted := fmt.Errorf("%w: %w", telegram.ErrProtected, mtproto.ParseRPCError(400, "CHAT_FORWARDS_RESTRICTED", "messages.forwardMessages"))
	s := newServer(20, nil)
	s.before = func(int) error { return restricted }
	if r, err := (refusals{}).run(t, s, checkpoint.NewMemory()); !errors.Is(err, telegram.ErrProtected) || len(s.calls) != 1 || r.Refused != 0 {
		t.Errorf("the chat: %v after %d calls", err, len(s.calls))
	}
	s = newServer(20, nil)
	s.before = func(call int) error {
		if call > 1 {
			return nil
		}
		s.messages[4].NoForwards = true
		return restricted
	}
	if r, err := (refusals{}).run(t, s, checkpoint.NewMemory()); err != nil || r.Protected != 1 || r.Messages != 19 || r.Refused != 0 {
		t.Errorf("a message: %v, %+v", err, r.Counters)
	}
}

// A refused message that is gone by the next run is missed no more.
func TestRefusedThenGone(t *testing.T) {
	t.Parallel()
	s, store, why := newServer(5, nil), checkpoint.NewMemory(), refusals{}
	s.bad = map[int]string{2: "MEDIA_EMPTY", 4: "MEDIA_EMPTY"}
	if r, err := why.run(t, s, store); err != nil || r.Refused != 2 {
		t.Fatal(err, r.Counters)
	}
	s.messages = slices.Delete(s.messages, 1, 2)
	if r, err := why.run(t, s, store); err != nil || r.Refused != 1 || r.Gone != 1 {
		t.Errorf("one is gone: %v, %+v", err, r.Counters)
	}
	s.messages = slices.Delete(s.messages, 2, 3)
	if r, err := why.run(t, s, store); err != nil || r.Refused != 0 || r.Gone != 1 {
		t.Errorf("both are gone: %v, %+v", err, r.Counters)
	}
	if r, err := why.run(t, s, store); err != nil || r.Gone != 0 || r.Earlier != 3 {
		t.Errorf("nothing is left: %v, %+v", err, r.Counters)
	}
}

// Waits are obeyed also while a message is looked for.
func TestRefusedWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(100, nil)
		s.bad = map[int]string{33: "MEDIA_EMPTY"}
		var until time.Time
		s.before = func(call int) error {
			if time.Now().Before(until) {
				t.Errorf("call %d comes inside a wait", call)
			}
			if call%2 == 0 {
				until = time.Now().Add(7 * time.Second)
				return mtproto.ParseRPCError(420, "FLOOD_WAIT_7", "messages.forwardMessages")
			}
			return nil
		}
		r, err := (refusals{}).run(t, s, checkpoint.NewMemory())
		if err != nil || r.Messages != 99 || r.Refused != 1 || r.Waits < 5 {
			t.Errorf("%v, %+v", err, r.Counters)
		}
	})
}
