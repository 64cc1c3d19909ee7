package selection

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Bound is one end of a range of messages: an id, or a moment; or none, if it
// is zero. A moment is the first that belongs to the range at its beginning,
// and the first that does not at its end.
type Bound struct {
	ID   int
	Time time.Time
}

// An End says which end of a range a bound is.
type End bool

// The ends. The last day of a range belongs to it, and so does the last second.
const (
	First End = false
	Last  End = true
)

var errBound = errors.New("want a message id, a date such as 2025-01-31, 2025-01 or 2025-01-31T15:04, today, yesterday, or a time ago such as 12h, 7d, 2w, 3M or 1y")

// ParseBound reads one end of a range. Dates are those of now's time zone,
// and times ago are counted back from now. "" is no bound.
func ParseBound(text string, end End, now time.Time) (Bound, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return Bound{}, nil
	}
	if id, err := strconv.ParseUint(text, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		if id < 1 || id > math.MaxInt32 {
			return Bound{}, fmt.Errorf("%q is no message id: %w", clip(text), errBound)
		}
		return Bound{ID: int(id)}, nil
	}
	first, after, ok := parseMoment(text, now)
	switch {
	case !ok:
		return Bound{}, fmt.Errorf("%q: %w", clip(text), errBound)
	case end == Last:
		return Bound{Time: after}, nil
	default:
		return Bound{Time: first}, nil
	}
}

// layouts are the forms of dates, with what a date of the form is long.
var layouts = []struct {
	layout              string
	months, days, extra int // extra in seconds
}{
	{"2006-01", 1, 0, 0},
	{"2006-01-02", 0, 1, 0},
	{"2006-01-02T15:04", 0, 0, 60},
	{"2006-01-02 15:04", 0, 0, 60},
	{"2006-01-02T15:04:05", 0, 0, 1},
	{"2006-01-02 15:04:05", 0, 0, 1},
	{time.RFC3339, 0, 0, 1},
}

// parseMoment reads a date, or a time ago: the first moment that it means, and
// the first after it.
func parseMoment(text string, now time.Time) (first, after time.Time, ok bool) {
	day := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	switch strings.ToLower(text) {
	case "now":
		return now, now, true
	case "today":
		return day, day.AddDate(0, 0, 1), true
	case "yesterday":
		return day.AddDate(0, 0, -1), day, true
	}
	for _, l := range layouts {
		if t, err := time.ParseInLocation(l.layout, text, now.Location()); err == nil {
			return t, t.AddDate(0, l.months, l.days).Add(time.Duration(l.extra) * time.Second), true
		}
	}
	t, ok := ago(text, now)
	return t, t, ok
}

// maxAgo bounds the number of each unit: no chat is older than Telegram.
const maxAgo = 1_000_000

// ago goes back by what rclone calls an age: 7d, 1d12h, 2w, 3M (months), 1y.
func ago(text string, now time.Time) (time.Time, bool) {
	t, rest := now, text
	for rest != "" {
		i := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if i <= 0 {
			return t, false
		}
		n, err := strconv.Atoi(rest[:i])
		if err != nil || n > maxAgo {
			return t, false
		}
		switch rest[i] {
		case 's':
			t = t.Add(-time.Duration(n) * time.Second)
		case 'm':
			t = t.Add(-time.Duration(n) * time.Minute)
		case 'h':
			t = t.Add(-time.Duration(n) * time.Hour)
		case 'd':
			t = t.AddDate(0, 0, -n)
		case 'w':
			t = t.AddDate(0, 0, -7*n)
		case 'M':
			t = t.AddDate(0, -n, 0)
		case 'y':
			t = t.AddDate(-n, 0, 0)
		default:
			return t, false
		}
		rest = rest[i+1:]
	}
	return t, true
}

// clip shortens what an error quotes.
func clip(s string) string {
	const limit = 60
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}
