package dctest

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestPage asks for what the protocol's documentation says of each use.
func TestPage(t *testing.T) {
	full := &idList{top: 10}
	gaps := &idList{top: 10, missing: []int{3, 4, 9}} // 10 8 7 6 5 2 1
	tests := []struct {
		name string
		list *idList
		w    window
		want []int
	}{
		{"newest page", full, window{limit: 4}, []int{10, 9, 8, 7}},
		{"next older page", full, window{offsetID: 7, limit: 4}, []int{6, 5, 4, 3}},
		{"last page is short", full, window{offsetID: 3, limit: 4}, []int{2, 1}},
		{"below the oldest", full, window{offsetID: 1, limit: 4}, nil},
		{"ascending from the first", full, window{offsetID: 1, addOffset: -4, limit: 4}, []int{4, 3, 2, 1}},
		{"next ascending page", full, window{offsetID: 5, addOffset: -4, limit: 4}, []int{8, 7, 6, 5}},
		{"ascending at the newest end is moved", full, window{offsetID: 9, addOffset: -4, limit: 4}, []int{10, 9, 8, 7}},
		{"first message", full, window{offsetID: 1, addOffset: -1, limit: 1}, []int{1}},
		{"around", full, window{offsetID: 6, addOffset: -2, limit: 4}, []int{7, 6, 5, 4}},
		{"offset above the newest", full, window{offsetID: 99, limit: 2}, []int{10, 9}},
		{"max_id filters afterwards", full, window{limit: 4, maxID: 9}, []int{8, 7}},
		{"min_id filters afterwards", full, window{limit: 4, minID: 8}, []int{10, 9}},
		{"both", full, window{limit: 10, minID: 3, maxID: 6}, []int{5, 4}},
		{"limit 0", full, window{}, nil},
		{"gaps: newest page", gaps, window{limit: 3}, []int{10, 8, 7}},
		{"gaps: offset in a gap", gaps, window{offsetID: 4, limit: 3}, []int{2, 1}},
		{"gaps: ascending", gaps, window{offsetID: 3, addOffset: -3, limit: 3}, []int{7, 6, 5}},
		{"empty", &idList{}, window{limit: 3}, nil},
		{"all gone", &idList{top: 2, missing: []int{1, 2}}, window{limit: 3}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.w.page(tt.list); !slices.Equal(got, tt.want) {
				t.Errorf("page(%+v) = %v, want %v", tt.w, got, tt.want)
			}
		})
	}
}

// TestPageAgainstTwin compares with the rule carried out on a plain slice.
func TestPageAgainstTwin(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 5000 {
		l := &idList{top: rnd.IntN(40)}
		for range rnd.IntN(10) {
			l.remove(rnd.IntN(l.top + 2))
		}
		var twin foundList
		for id := l.top; id > 0; id-- {
			if l.has(id) {
				twin = append(twin, id)
			}
		}
		w := window{offsetID: rnd.IntN(45), addOffset: rnd.IntN(60) - 30, limit: rnd.IntN(15), maxID: rnd.IntN(30), minID: rnd.IntN(20)}
		if got, want := w.page(l), dumbPage(twin, w); !slices.Equal(got, want) {
			t.Fatalf("page(%+v) of %+v = %v, want %v", w, *l, got, want)
		}
		if got, want := w.page(twin), dumbPage(twin, w); !slices.Equal(got, want) {
			t.Fatalf("page(%+v) of found %v = %v, want %v", w, twin, got, want)
		}
	}
}

func dumbPage(ids []int, w window) (page []int) {
	start := 0
	for _, id := range ids {
		if w.offsetID > 0 && id >= w.offsetID {
			start++
		}
	}
	start = max(0, start+w.addOffset)
	for i, id := range ids {
		if i >= start && i < start+w.limit && (w.maxID == 0 || id < w.maxID) && (w.minID == 0 || id > w.minID) {
			page = append(page, id)
		}
	}
	return page
}
