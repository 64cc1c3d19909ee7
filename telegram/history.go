package telegram

import (
	"errors"
	"math"
	"slices"
)

// batch is how many messages one query may ask for.
const batch = 100

// errNoProgress is a server that answers pages which lead nowhere.
var errNoProgress = errors.New("telegram: history does not advance: the server repeats itself")

// A historyQuery is what varies between the calls of one walk.
type historyQuery struct {
	offsetID, offsetDate, addOffset, limit, maxID, minID int
}

// A historyWalk decides which pages of a history to fetch, in which order.
// It does no I/O: next says what to ask for, took what came of it.
//
// The list of a history is ordered by id, newest first. A page starts
// add_offset entries from the first one below offset_id; max_id and min_id are
// applied to the page afterwards. See core.telegram.org/api/offsets.
type historyWalk struct {
	reverse      bool // oldest first
	minID, maxID int  // inclusive bounds; 0 is none
	from         int  // offset_id of the next page
	done         bool
}

func newHistoryWalk(o MessagesOptions) *historyWalk {
	w := &historyWalk{reverse: o.Reverse, minID: max(o.MinID, 0), maxID: o.MaxID}
	if w.maxID <= 0 || w.maxID > math.MaxInt32 {
		w.maxID = math.MaxInt32
	}
	switch {
	case w.reverse:
		w.from = max(w.minID, 1)
	case w.maxID < math.MaxInt32:
		w.from = w.maxID + 1
	}
	w.done = w.minID > w.maxID
	return w
}

// next is the next page to ask for; false if the walk is over.
func (w *historyWalk) next() (historyQuery, bool) {
	if w.done {
		return historyQuery{}, false
	}
	q := historyQuery{offsetID: w.from, limit: batch}
	if w.reverse {
		// offset_id itself is the last entry of this page, not the one before its first.
		q.addOffset = -batch
	} else if w.minID > 0 {
		q.minID = w.minID - 1 // exclusive on the wire
	}
	return q, true
}

// took is told the ids of the page that next asked for, in any order, and says
// which of them belong to the walk, in its order.
func (w *historyWalk) took(ids []int) ([]int, error) {
	if w.reverse {
		return w.tookAscending(ids), nil
	}
	return w.tookDescending(ids)
}

// tookDescending stops at an empty page or below the wanted ids. A page that is
// merely short is not the end: invisible messages leave gaps in it.
func (w *historyWalk) tookDescending(ids []int) ([]int, error) {
	if len(ids) == 0 {
		w.done = true
		return nil, nil
	}
	lowest := slices.Min(ids)
	if w.from != 0 && lowest >= w.from {
		return nil, errNoProgress
	}
	upper := w.maxID
	if w.from != 0 {
		upper = min(upper, w.from-1)
	}
	w.from = lowest
	w.done = lowest <= max(w.minID, 1)
	keep := within(ids, max(w.minID, 1), upper)
	slices.Reverse(keep)
	return keep, nil
}

// tookAscending drops what lies before the wanted ids: near the newest end the
// server may shift the page back. It stops when nothing new remains.
func (w *historyWalk) tookAscending(ids []int) []int {
	keep := within(ids, w.from, math.MaxInt32)
	if len(keep) == 0 {
		w.done = true
		return nil
	}
	highest := keep[len(keep)-1]
	w.done = highest >= w.maxID
	w.from = highest + 1
	return within(keep, 1, w.maxID)
}

// within is the ids in from..to, ascending, each once.
func within(ids []int, from, to int) []int {
	var keep []int
	for _, id := range ids {
		if id >= from && id <= to {
			keep = append(keep, id)
		}
	}
	slices.Sort(keep)
	return slices.Compact(keep)
}

// A lumpWalk walks a channel by message ids, in lumps of 100: what bots can
// do, who may not list a history. Ids up to the channel's pts exist or are
// gone (each message moves pts by at least one); above it the walk goes on
// while lumps are not empty, for the channel may have grown meanwhile.
type lumpWalk struct {
	reverse      bool // oldest first
	minID, maxID int  // inclusive bounds
	top          int  // ids above it may not exist at all
	at           int  // first id of the current lump when ascending, last when descending
	probing      bool // descending: looking for the upper end, above top
	done         bool
}

func newLumpWalk(o MessagesOptions, pts int) *lumpWalk {
	w := &lumpWalk{reverse: o.Reverse, minID: max(o.MinID, 1), maxID: o.MaxID, top: min(max(pts, 1), math.MaxInt32)}
	if w.maxID <= 0 || w.maxID > math.MaxInt32 {
		w.maxID = math.MaxInt32
	}
	switch {
	case w.reverse:
		w.at = w.minID
	case w.maxID > w.top:
		w.probing, w.at = true, max(w.top+1, w.minID)
	default:
		w.at = w.maxID
	}
	w.done = w.minID > w.maxID
	return w
}

// next is the ids of the next lump; nil if the walk is over.
func (w *lumpWalk) next() []int {
	if w.done {
		return nil
	}
	from, to := w.at, min(w.at+batch-1, w.maxID)
	if !w.reverse && !w.probing {
		from, to = max(w.at-batch+1, w.minID), w.at
	}
	ids := make([]int, 0, batch)
	for id := from; id <= to; id++ {
		ids = append(ids, id)
	}
	return ids
}

// took is told which ids of the lump exist, in any order, and says which of
// them to hand on now, in the walk's order.
func (w *lumpWalk) took(ids []int) []int {
	switch {
	case w.probing:
		w.tookProbe(ids)
		return nil
	case w.reverse:
		to := min(w.at+batch-1, w.maxID)
		keep := within(ids, w.at, to)
		w.done = to >= w.maxID || len(keep) == 0 && to >= w.top
		w.at = to + 1
		return keep
	default:
		from := max(w.at-batch+1, w.minID)
		keep := within(ids, from, w.at)
		w.done = from <= w.minID
		w.at = from - 1
		slices.Reverse(keep)
		return keep
	}
}

// tookProbe moves up while there are messages, then turns round. What the
// probe saw is fetched again on the way down: it is a lump or two at most.
func (w *lumpWalk) tookProbe(ids []int) {
	to := min(w.at+batch-1, w.maxID)
	keep := within(ids, w.at, to)
	if len(keep) > 0 && to < w.maxID {
		w.at = to + 1
		return
	}
	w.probing = false
	if len(keep) > 0 {
		w.at = keep[len(keep)-1]
	} else {
		w.at--
	}
	w.done = w.at < w.minID
}
