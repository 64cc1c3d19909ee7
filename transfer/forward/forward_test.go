package forward

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
	"github.com/tghaul/haul/transfer"
)

var (
	from = telegram.Peer{Kind: telegram.PeerChannel, ID: 1, AccessHash: 1}
	to   = telegram.Peer{Kind: telegram.PeerChannel, ID: 2, AccessHash: 2}
)

// A server forwards as the real one does: all or nothing, each random id once.
type server struct {
	messages []*telegram.Message
	got      []int // in order
	random   map[int64]bool
	bad      map[int]string // messages that are refused, and the error
	calls    []int          // how many messages each had
	inCall   map[int]int    // the call that has forwarded a message
	// before and after may fail a call, before it is executed and after.
	before, after func(call int) error
}

func (s *server) HomeDC() int { return 2 }

func (s *server) ForwardMessages(_ context.Context, f telegram.Forward) ([]int, error) {
	s.calls = append(s.calls, len(f.IDs))
	if s.before != nil {
		if err := s.before(len(s.calls)); err != nil {
			return nil, err
		}
	}
	if len(f.IDs) == 0 || len(f.IDs) > 100 || len(f.IDs) != len(f.RandomIDs) {
		return nil, fmt.Errorf("%d ids, %d random ids", len(f.IDs), len(f.RandomIDs))
	}
	for i, id := range f.IDs {
		if s.random[f.RandomIDs[i]] || f.RandomIDs[i] == 0 {
			return nil, telegram.ErrAlreadySent
		}
		if s.find(id) == nil {
			return nil, mtproto.ParseRPCError(400, "MESSAGE_ID_INVALID", "messages.forwardMessages")
		}
		if why := s.bad[id]; why != "" {
			return nil, fmt.Errorf("forward: %w", mtproto.ParseRPCError(400, why, "messages.forwardMessages"))
		}
	}
	var became []int
	for i, id := range f.IDs {
		s.random[f.RandomIDs[i]] = true
		s.got = append(s.got, id)
		s.inCall[id] = len(s.calls)
		became = append(became, 1000+len(s.got))
	}
	if s.after != nil {
		if err := s.after(len(s.calls)); err != nil {
			return nil, err
		}
	}
	return became, nil
}

func (s *server) find(id int) *telegram.Message {
	for _, m := range s.messages {
		if m.ID == id {
			return m
		}
	}
	return nil
}

func (s *server) Messages(_ context.Context, _ telegram.Peer, o telegram.MessagesOptions) iter.Seq2[*telegram.Message, error] {
	return func(yield func(*telegram.Message, error) bool) {
		for _, id := range o.IDs {
			if m := s.find(id); m != nil && !yield(m, nil) {
				return
			}
		}
	}
}

func (s *server) list() iter.Seq2[*telegram.Message, error] {
	return func(yield func(*telegram.Message, error) bool) {
		for _, m := range slices.Clone(s.messages) {
			if !yield(m, nil) {
				return
			}
		}
	}
}

var (
	ordinary = tl.Marshal(&api.Message{PeerID: &api.PeerChannel{ChannelID: 1}})
	service  = tl.Marshal(&api.MessageService{PeerID: &api.PeerChannel{ChannelID: 1}, Action: &api.MessageActionChannelCreate{}})
)

// newServer has messages 1 to n; album says which album each is of.
func newServer(n int, album func(id int) int64) *server {
	s := &server{random: make(map[int64]bool), inCall: make(map[int]int)}
	for id := 1; id <= n; id++ {
		m := &telegram.Message{Peer: from, ID: id, Raw: ordinary}
		if album != nil {
			m.GroupedID = album(id)
		}
		s.messages = append(s.messages, m)
	}
	return s
}

func run(t *testing.T, s *server, store Store) (*Run, error) {
	t.Helper()
	r := New(s, store, Options{Job: "j", To: to})
	return r, r.Chat(t.Context(), 0, from, s.list())
}

func upTo(n int) (ids []int) {
	for id := 1; id <= n; id++ {
		ids = append(ids, id)
	}
	return ids
}

// Batches are full, but for albums, which the border of a hundred does not cut.
func TestAlbumsStayWhole(t *testing.T) {
	t.Parallel()
	s := newServer(230, func(id int) int64 {
		switch {
		case id >= 96 && id <= 105:
			return 7
		case id == 150:
			return 8
		case id >= 226:
			return 9
		default:
			return 0
		}
	})
	r, err := run(t, s, checkpoint.NewMemory())
	if err != nil || !slices.Equal(s.calls, []int{95, 100, 35}) || !slices.Equal(s.got, upTo(230)) {
		t.Errorf("%v, calls of %v messages; want 95, 100, 35, of all in order", err, s.calls)
	}
	if r.Messages != 230 || r.Albums != 3 || r.Calls != 3 {
		t.Errorf("%+v", r.Counters)
	}
}

// What cannot be forwarded is left out, and counted if that may be missed.
func TestLeftOut(t *testing.T) {
	t.Parallel()
	s := newServer(5, nil)
	s.messages[0].Raw = service
	s.messages[1].NoForwards = true
	s.messages[2].Files = []telegram.File{{NoForwards: true}}
	r, err := run(t, s, checkpoint.NewMemory())
	if err != nil || !slices.Equal(s.got, []int{4, 5}) || r.Protected != 2 {
		t.Errorf("%v, %v forwarded, %d protected; want 4 and 5, and 2", err, s.got, r.Protected)
	}
}

// Whatever call fails, before or after it was executed, and however often: in the
// end each message was forwarded once, in order.
func TestOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 7))
		s, store := newServer(50+rng.IntN(500), func(id int) int64 { return int64(id / (1 + int(seed)%9)) }), checkpoint.NewMemory()
		lost := errors.New("lost")
		fail := func(int) error {
			if rng.IntN(3) == 0 {
				return lost
			}
			return nil
		}
		s.before, s.after = fail, fail
		runs := 0
		for ; ; runs++ {
			r, err := run(t, s, store)
			if err == nil {
				if got := r.Earlier + r.Messages; got != len(s.messages) {
					t.Errorf("seed %d: %d messages counted, of %d", seed, got, len(s.messages))
				}
				break
			}
			if !errors.Is(err, lost) || runs > 1000 {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		if !slices.Equal(s.got, upTo(len(s.messages))) {
			t.Fatalf("seed %d: %d messages after %d runs, want %d, each once and in order", seed, len(s.got), runs, len(s.messages))
		}
		n := len(s.calls)
		if _, err := run(t, s, store); err != nil || len(s.calls) != n {
			t.Errorf("seed %d: %v, a run too many has made %d calls", seed, err, len(s.calls)-n)
		}
	}
}

// A message that was deleted after it was listed takes no other with it.
func TestGone(t *testing.T) {
	t.Parallel()
	s := newServer(150, nil)
	s.before = func(call int) error {
		if call == 1 {
			s.messages = slices.Delete(s.messages, 10, 13)
		}
		return nil
	}
	r, err := run(t, s, checkpoint.NewMemory())
	want := slices.Delete(upTo(150), 10, 13)
	if err != nil || r.Gone != 3 || !slices.Equal(s.got, want) {
		t.Errorf("%v, %d gone, %d forwarded; want 3, and %d", err, r.Gone, len(s.got), len(want))
	}
	s = newServer(3, nil)
	s.before = func(int) error {
		return mtproto.ParseRPCError(400, "MESSAGE_ID_INVALID", "messages.forwardMessages")
	}
	if r, err := run(t, s, checkpoint.NewMemory()); err != nil || r.Refused != 3 || r.Gone != 0 || len(s.calls) != 5 {
		t.Errorf("%v, %+v; want all refused by a server that denies what is there", err, r.Counters)
	}
}

// Messages that came after a bound was set are none of the job's.
func TestBound(t *testing.T) {
	t.Parallel()
	s, store := newServer(20, nil), checkpoint.NewMemory()
	r := New(s, store, Options{Job: "j", To: to})
	if err := errors.Join(r.Bound(0, 15), r.Bound(0, 18)); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, s, store); err != nil || !slices.Equal(s.got, upTo(15)) {
		t.Errorf("%v, %v forwarded, want 15", err, s.got)
	}
}

// Waits are told and obeyed, unless they are longer than may be.
func TestWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, store := newServer(150, nil), checkpoint.NewMemory()
		var began []time.Duration
		start := time.Now()
		s.before = func(call int) error {
			began = append(began, time.Since(start))
			if call == 2 {
				return fmt.Errorf("forward: %w", mtproto.ParseRPCError(420, "FLOOD_WAIT_3600", "messages.forwardMessages"))
			}
			return nil
		}
		var waits []transfer.FloodWait
		r := New(s, store, Options{Job: "j", To: to, Events: func(e transfer.Event) {
			if w, ok := e.(transfer.FloodWait); ok {
				waits = append(waits, w)
			}
		}})
		if err := r.Chat(t.Context(), 0, from, s.list()); err != nil || len(waits) != 1 || waits[0].Seconds != 3600 || r.Waits != 1 {
			t.Fatalf("%v, waits %+v", err, waits)
		}
		if len(began) != 3 || began[2] != time.Hour || len(s.got) != 150 {
			t.Errorf("calls at %v, %d forwarded", began, len(s.got))
		}
		s = newServer(5, nil)
		s.before = func(int) error { return mtproto.ParseRPCError(420, "FLOOD_WAIT_61", "messages.forwardMessages") }
		r = New(s, checkpoint.NewMemory(), Options{Job: "j", To: to, MaxWait: time.Minute})
		var wait *transfer.WaitError
		if err := r.Chat(t.Context(), 0, from, s.list()); !errors.As(err, &wait) || wait.Wait != 61*time.Second {
			t.Errorf("%v, want a WaitError of 61s", err)
		}
	})
}
