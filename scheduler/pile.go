package scheduler

// A pile is a binary heap: what comes before all else is at the top.
type pile[T any, O order[T]] []T

// An order says which of two things comes before the other, and is told where
// in the pile each is, and -1 of what has left it. It has no state.
type order[T any] interface {
	before(a, b T) bool
	moved(x T, at int)
}

func (h *pile[T, O]) push(x T) {
	*h = append(*h, x)
	h.up(len(*h) - 1)
}

// pop takes the top off.
func (h *pile[T, O]) pop() T { return h.remove(0) }

// remove takes out what is at a place.
func (h *pile[T, O]) remove(at int) T {
	var none T
	var o O
	s := *h
	x, last := s[at], s[len(s)-1]
	s[len(s)-1] = none // let it be collected
	*h = s[:len(s)-1]
	if at < len(*h) {
		(*h)[at] = last
		h.down(at)
		h.up(at)
	}
	o.moved(x, -1)
	return x
}

// up lets what is at a place rise to where it belongs.
func (h pile[T, O]) up(at int) {
	var o O
	x := h[at]
	for at > 0 {
		above := (at - 1) / 2
		if !o.before(x, h[above]) {
			break
		}
		h[at] = h[above]
		o.moved(h[at], at)
		at = above
	}
	h[at] = x
	o.moved(x, at)
}

// down lets it sink.
func (h pile[T, O]) down(at int) {
	var o O
	x := h[at]
	for {
		below := 2*at + 1
		if below+1 < len(h) && o.before(h[below+1], h[below]) {
			below++
		}
		if below >= len(h) || !o.before(h[below], x) {
			break
		}
		h[at] = h[below]
		o.moved(h[at], at)
		at = below
	}
	h[at] = x
	o.moved(x, at)
}
