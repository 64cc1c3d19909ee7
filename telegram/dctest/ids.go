package dctest

import "slices"

// An idList is the ids of a chat's messages: 1 to top, without some.
type idList struct {
	top     int
	missing []int // rising, each in 1..top
}

// count is how many messages there are.
func (l *idList) count() int { return l.top - len(l.missing) }

// has reports whether there is a message id.
func (l *idList) has(id int) bool {
	_, missing := slices.BinarySearch(l.missing, id)
	return id >= 1 && id <= l.top && !missing
}

// from is how many messages have id or a higher one.
func (l *idList) from(id int) int {
	id = max(id, 1)
	if id > l.top {
		return 0
	}
	below, _ := slices.BinarySearch(l.missing, id)
	return l.top - id + 1 - (len(l.missing) - below)
}

// nth is the id of the message number i, from 0 at the newest, which must be
// below count.
func (l *idList) nth(i int) int {
	// The highest id from which on there are more than i messages.
	low, high := 1, l.top
	for low < high {
		mid := (low + high + 1) / 2
		if l.from(mid) > i {
			low = mid
		} else {
			high = mid - 1
		}
	}
	return low
}

// remove takes a message away.
func (l *idList) remove(id int) {
	if at, missing := slices.BinarySearch(l.missing, id); !missing && id >= 1 && id <= l.top {
		l.missing = slices.Insert(l.missing, at, id)
	}
}

// A window is what a history call asks for. See core.telegram.org/api/offsets.
type window struct {
	offsetID, addOffset, limit, maxID, minID int
}

// A list is message ids by falling id: all of a chat, or what a search found.
type list interface {
	count() int
	from(id int) int // how many have id or a higher one
	nth(i int) int
}

// page returns the ids of a window, newest first: limit messages from the
// index on that is the number of messages with offset_id or a higher id, plus
// add_offset. max_id and min_id filter afterwards. A window that begins before
// the newest message is moved to begin there, as the real servers may do.
func (w window) page(l list) []int {
	start := 0
	if w.offsetID > 0 {
		start = l.from(w.offsetID)
	}
	start = max(0, start+w.addOffset)
	var ids []int
	for i := start; i < min(start+w.limit, l.count()); i++ {
		id := l.nth(i)
		if (w.maxID == 0 || id < w.maxID) && (w.minID == 0 || id > w.minID) {
			ids = append(ids, id)
		}
	}
	return ids
}

// A foundList is what a search found, newest first.
type foundList []int

func (f foundList) count() int    { return len(f) }
func (f foundList) nth(i int) int { return f[i] }
func (f foundList) from(id int) int {
	n, _ := slices.BinarySearchFunc(f, id, func(have, want int) int {
		if have >= want {
			return -1
		}
		return 1
	})
	return n
}
