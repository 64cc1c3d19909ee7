package archive

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
)

// A Span is the message ids from From to To, both included.
type Span struct{ From, To int }

// NoEnd is the To of a span that has no upper end.
const NoEnd = math.MaxInt32

// MarshalJSON writes [from, to].
func (s Span) MarshalJSON() ([]byte, error) { return json.Marshal([2]int{s.From, s.To}) }

// UnmarshalJSON reads [from, to], and refuses what is no span of message ids.
func (s *Span) UnmarshalJSON(b []byte) error {
	var ends [2]int
	if err := json.Unmarshal(b, &ends); err != nil {
		return err
	}
	if ends[0] < 1 || ends[1] < ends[0] || ends[1] > NoEnd {
		return fmt.Errorf("%v is no range of message ids", ends)
	}
	*s = Span{ends[0], ends[1]}
	return nil
}

// spans is a set of ids: rising, with at least one id that is not in it between
// any two. The zero value is empty.
type spans []Span

// merged is the set of the ids of spans in any order, which may overlap: whoever
// wrote them. They are sorted in place.
func merged(list []Span) (s spans) {
	slices.SortFunc(list, func(a, b Span) int { return a.From - b.From })
	for _, x := range list {
		s.add(x) // at the end: nothing is moved
	}
	return s
}

// add puts ids in.
func (s *spans) add(x Span) {
	if x.From > x.To {
		return
	}
	first, _ := slices.BinarySearchFunc(*s, x.From, func(have Span, from int) int { return have.To + 1 - from }) // the first that x touches, or comes before
	last := first
	for last < len(*s) && (*s)[last].From <= x.To+1 {
		x.From, x.To = min(x.From, (*s)[last].From), max(x.To, (*s)[last].To)
		last++
	}
	*s = slices.Replace(*s, first, last, x)
}

// remove takes one id out.
func (s *spans) remove(id int) {
	i, _ := slices.BinarySearchFunc(*s, id, func(have Span, id int) int { return have.To - id })
	if i == len(*s) || (*s)[i].From > id {
		return
	}
	x := (*s)[i]
	var rest []Span
	if x.From < id {
		rest = append(rest, Span{x.From, id - 1})
	}
	if id < x.To {
		rest = append(rest, Span{id + 1, x.To})
	}
	*s = slices.Replace(*s, i, i+1, rest...)
}

// has reports whether an id is in the set.
func (s spans) has(id int) bool {
	i, _ := slices.BinarySearchFunc(s, id, func(have Span, id int) int { return have.To - id })
	return i < len(s) && s[i].From <= id
}

// upTo is the set without the ids above one.
func (s spans) upTo(top int) spans {
	for len(s) > 0 && s[len(s)-1].From > top {
		s = s[:len(s)-1]
	}
	if len(s) > 0 {
		s[len(s)-1].To = min(s.top(), top)
	}
	return s
}

// top is the highest id, 0 of an empty set.
func (s spans) top() int {
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1].To
}

// gaps are the ids of x that are not in the set, rising.
func (s spans) gaps(x Span) (gaps []Span) {
	for _, have := range s {
		if have.To < x.From {
			continue
		}
		if have.From > x.To {
			break
		}
		if x.From < have.From {
			gaps = append(gaps, Span{x.From, have.From - 1})
		}
		x.From = have.To + 1
	}
	if x.From <= x.To {
		gaps = append(gaps, x)
	}
	return gaps
}
