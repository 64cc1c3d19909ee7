package telegram

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// historyServer answers messages.getHistory by the rule of
// core.telegram.org/api/offsets, over a chat that has the given ids.
type historyServer struct{ ids []int } // ascending

func (s historyServer) page(q historyQuery) []int {
	desc := slices.Clone(s.ids)
	slices.Reverse(desc)
	start := 0
	if q.offsetID != 0 {
		for _, id := range desc {
			if id >= q.offsetID {
				start++
			}
		}
	}
	start = max(start+q.addOffset, 0)
	end := min(start+q.limit, len(desc))
	var page []int
	for i := start; i < end; i++ {
		if (q.maxID == 0 || desc[i] < q.maxID) && desc[i] > q.minID {
			page = append(page, desc[i])
		}
	}
	return page
}

// want is what any walk over ids must yield.
func wantWalk(ids []int, o MessagesOptions) []int {
	upper := o.MaxID
	if upper <= 0 {
		upper = math.MaxInt32
	}
	var out []int
	for _, id := range ids {
		if id >= o.MinID && id <= upper {
			out = append(out, id)
		}
	}
	if !o.Reverse {
		slices.Reverse(out)
	}
	return out
}

func walkHistory(t *testing.T, ids []int, o MessagesOptions) []int {
	t.Helper()
	w, s := newHistoryWalk(o), historyServer{ids}
	var got []int
	for n := 0; ; n++ {
		q, ok := w.next()
		if !ok {
			return got
		}
		if n > len(ids)/batch+3 {
			t.Fatalf("%+v: still walking after %d pages over %d messages", o, n, len(ids))
		}
		keep, err := w.took(s.page(q))
		if err != nil {
			t.Fatalf("%+v: %v", o, err)
		}
		got = append(got, keep...)
	}
}

func walkLumps(t *testing.T, ids []int, o MessagesOptions, pts int) []int {
	t.Helper()
	w := newLumpWalk(o, pts)
	var got []int
	for n := 0; ; n++ {
		lump := w.next()
		if lump == nil {
			return got
		}
		if len(lump) == 0 || len(lump) > batch {
			t.Fatalf("%+v pts %d: lump of %d ids", o, pts, len(lump))
		}
		if n > 2*(pts+slices.Max(append(ids, 1)))/batch+5 {
			t.Fatalf("%+v pts %d: still walking after %d lumps", o, pts, n)
		}
		var there []int
		for _, id := range lump {
			if slices.Contains(ids, id) {
				there = append(there, id)
			}
		}
		got = append(got, w.took(there)...)
	}
}

func TestWalks(t *testing.T) {
	seq := func(from, to, step int) (ids []int) {
		for i := from; i <= to; i += step {
			ids = append(ids, i)
		}
		return ids
	}
	for _, c := range []struct {
		name string
		ids  []int
		pts  int
	}{
		{"empty", nil, 1},
		{"one", []int{1}, 1},
		{"exact page", seq(1, 100, 1), 100},
		{"page and one", seq(1, 101, 1), 101},
		{"several pages", seq(1, 950, 1), 950},
		{"gaps", seq(3, 2000, 7), 2100},
		{"grew after pts was read", seq(1, 350, 1), 120},
		{"begins late", seq(501, 620, 1), 700},
	} {
		for _, o := range []MessagesOptions{
			{}, {MinID: 50}, {MaxID: 340}, {MinID: 60, MaxID: 180}, {MinID: 100, MaxID: 100}, {MinID: 9000}, {MinID: 5, MaxID: 4},
		} {
			for _, reverse := range []bool{false, true} {
				o.Reverse = reverse
				t.Run(fmt.Sprintf("%s/%d-%d/%v", c.name, o.MinID, o.MaxID, reverse), func(t *testing.T) {
					want := wantWalk(c.ids, o)
					if got := walkHistory(t, c.ids, o); !slices.Equal(got, want) {
						t.Errorf("history: got %v\nwant %v", got, want)
					}
					if got := walkLumps(t, c.ids, o, c.pts); !slices.Equal(got, want) {
						t.Errorf("lumps: got %v\nwant %v", got, want)
					}
				})
			}
		}
	}
}

func TestWalksRandom(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		var ids []int
		for id := 1; id < 1+r.IntN(1500); id += 1 + r.IntN(1+r.IntN(60)) {
			ids = append(ids, id)
		}
		o := MessagesOptions{Reverse: r.IntN(2) == 0, MinID: r.IntN(3) * r.IntN(400), MaxID: r.IntN(3) * r.IntN(900)}
		pts := len(ids) + 1
		if len(ids) > 0 {
			pts = max(pts, ids[len(ids)-1])
		}
		want := wantWalk(ids, o)
		if got := walkHistory(t, ids, o); !slices.Equal(got, want) {
			t.Fatalf("history %+v of %v: got %v, want %v", o, ids, got, want)
		}
		if got := walkLumps(t, ids, o, pts); !slices.Equal(got, want) {
			t.Fatalf("lumps %+v of %v: got %v, want %v", o, ids, got, want)
		}
	}
}

// A server that repeats a page must not keep the client busy for ever.
func TestHistoryWalkNoProgress(t *testing.T) {
	w := newHistoryWalk(MessagesOptions{})
	page := []int{10, 9, 8}
	if _, err := w.took(page); err != nil {
		t.Fatalf("first page: %v", err)
	}
	if _, err := w.took(page); err == nil {
		t.Fatal("the same page again: got no error, want errNoProgress")
	}
	asc := newHistoryWalk(MessagesOptions{Reverse: true})
	asc.took(page)                                         //nolint:errcheck // ascending walks have no error
	if got, _ := asc.took(page); got != nil || !asc.done { // the same page has nothing new
		t.Fatalf("ascending: got %v, done %v; want nothing and the end", got, asc.done)
	}
}
