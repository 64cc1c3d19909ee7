package selection

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tghaul/haul/telegram"
)

// now is when the tests take place.
var now = time.Date(2025, 3, 31, 15, 4, 5, 0, time.FixedZone("", 3600))

// boundText is a bound as the tests write it.
func boundText(b Bound, err error) string {
	switch {
	case err != nil:
		return "!"
	case b.ID != 0:
		return "#" + strconv.Itoa(b.ID)
	case b.Time.IsZero():
		return ""
	default:
		return b.Time.Format(time.RFC3339)
	}
}

func TestParseBound(t *testing.T) {
	tests := []struct{ text, first, last string }{
		{"", "", ""},
		{"1", "#1", "#1"},
		{" 2147483647 ", "#2147483647", "#2147483647"},
		{"2147483648", "!", "!"},
		{"0", "!", "!"},
		{"99999999999999999999999", "!", "!"},
		{"-5", "!", "!"},
		{"2025-01-31", "2025-01-31T00:00:00+01:00", "2025-02-01T00:00:00+01:00"},
		{"2024-02", "2024-02-01T00:00:00+01:00", "2024-03-01T00:00:00+01:00"},
		{"2025-01-31T15:04", "2025-01-31T15:04:00+01:00", "2025-01-31T15:05:00+01:00"},
		{"2025-01-31 15:04:09", "2025-01-31T15:04:09+01:00", "2025-01-31T15:04:10+01:00"},
		{"2025-01-31T15:04:09Z", "2025-01-31T15:04:09Z", "2025-01-31T15:04:10Z"},
		{"today", "2025-03-31T00:00:00+01:00", "2025-04-01T00:00:00+01:00"},
		{"Yesterday", "2025-03-30T00:00:00+01:00", "2025-03-31T00:00:00+01:00"},
		{"now", "2025-03-31T15:04:05+01:00", "2025-03-31T15:04:05+01:00"},
		{"7d", "2025-03-24T15:04:05+01:00", "2025-03-24T15:04:05+01:00"},
		{"1d12h", "2025-03-30T03:04:05+01:00", "2025-03-30T03:04:05+01:00"},
		{"90m", "2025-03-31T13:34:05+01:00", "2025-03-31T13:34:05+01:00"},
		{"5s", "2025-03-31T15:04:00+01:00", "2025-03-31T15:04:00+01:00"},
		{"2w", "2025-03-17T15:04:05+01:00", "2025-03-17T15:04:05+01:00"},
		{"2y", "2023-03-31T15:04:05+01:00", "2023-03-31T15:04:05+01:00"},
		{"1M", "2025-03-03T15:04:05+01:00", "2025-03-03T15:04:05+01:00"}, // there is no 31st of February
		{"2025-13-01", "!", "!"},
		{"2025-02-30", "!", "!"},
		{"7x", "!", "!"},
		{"d", "!", "!"},
		{"9999999d", "!", "!"},
		{"last week", "!", "!"},
	}
	for _, tt := range tests {
		if got := boundText(ParseBound(tt.text, First, now)); got != tt.first {
			t.Errorf("first %q: got %q, want %q", tt.text, got, tt.first)
		}
		if got := boundText(ParseBound(tt.text, Last, now)); got != tt.last {
			t.Errorf("last %q: got %q, want %q", tt.text, got, tt.last)
		}
	}
}

// FuzzParseBound: nothing panics, a bound is an id or a moment, and no last
// moment is before the first one.
func FuzzParseBound(f *testing.F) {
	for _, s := range []string{"", "17", "2025-01-31", "7d", "1y2M3w", "today", "2025-01-31T15:04:05+07:00", "9999-12"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, err := ParseBound(s, First, now)
		last, errLast := ParseBound(s, Last, now)
		if (err == nil) != (errLast == nil) {
			t.Fatalf("%q: first %v, last %v", s, err, errLast)
		}
		if first.ID < 0 || first.ID != last.ID || first.ID > 0 && !first.Time.IsZero() {
			t.Errorf("%q: %+v and %+v", s, first, last)
		}
		if last.Time.Before(first.Time) {
			t.Errorf("%q: ends at %v before it begins at %v", s, last.Time, first.Time)
		}
	})
}

func TestParseSize(t *testing.T) {
	tests := []struct {
		text string
		want int64 // -1: an error
	}{
		{"", 0},
		{"0", 0},
		{"500", 500},
		{"500B", 500},
		{"10k", 10 << 10},
		{"10KB", 10 << 10},
		{"50M", 50 << 20},
		{"50 M", -1},
		{"1.5G", 3 << 29},
		{"2GiB", 2 << 30},
		{".5K", 512},
		{"1.", 1},
		{"4T", 4 << 40},
		{"9223372036854775807", 1<<63 - 1},
		{"9223372036854775808", -1},
		{"8388608T", -1},
		{"8388607T", 8388607 << 40},
		{"99999999.9T", -1},
		{"1e3", -1},
		{"-1", -1},
		{"+1", -1},
		{"1.2.3", -1},
		{".", -1},
		{"M", -1},
		{"10X", -1},
		{"0x10", -1},
		{"Inf", -1},
	}
	for _, tt := range tests {
		got, err := ParseSize(tt.text)
		if err != nil {
			got = -1
		}
		if got != tt.want {
			t.Errorf("%q: got %d, want %d", tt.text, got, tt.want)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"", "1", "1.5G", "10MiB", "9223372036854775807", ".5k"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseSize(s)
		if n < 0 || err != nil && n != 0 {
			t.Errorf("%q: %d, %v", s, n, err)
		}
	})
}

func TestParseKinds(t *testing.T) {
	got, err := ParseKinds("photo, GIF,video,animation")
	if want := []telegram.FileKind{telegram.KindPhoto, telegram.KindAnimation, telegram.KindVideo}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if _, err := ParseKinds("films"); err == nil || !strings.Contains(err.Error(), `"films"`) {
		t.Errorf("films: %v", err)
	}
}

func TestGlobs(t *testing.T) {
	tests := []struct {
		globs     string
		yes, no   string // names, separated by blanks
		malformed bool
	}{
		{globs: "*.jpg", yes: "a.jpg A.JPG .jpg ../b.jpg", no: "a.jpeg jpg"},
		{globs: "*.jpg, *.png", yes: "a.jpg a.png", no: "a.gif"},
		{globs: "*.{jpg,png}", yes: "a.jpg a.png", no: "a.{jpg,png} a.gif"},
		{globs: "{a,b}-{1,2}.*", yes: "a-1.x a-2.y b-1.z", no: "a-3.x c-1.x"},
		{globs: "part[0-9].bin", yes: "part7.bin", no: "part77.bin partx.bin"},
		{globs: "[a,b].txt", yes: "a.txt b.txt ,.txt", no: "c.txt"},
		{globs: "?.txt", yes: "é.txt", no: "ab.txt"},
		{globs: `a\*.txt`, yes: "a*.txt", no: "ab.txt"},
		{globs: `a\,b`, yes: "a,b", no: "a b"},
		{globs: "", no: "a"},
		{globs: "[", malformed: true},
		{globs: "{a,b", malformed: true},
		{globs: "{a,{b,c}}", malformed: true},
		{globs: strings.Repeat("{a,b}", 20), malformed: true},
		{globs: strings.Repeat("x", 2000), malformed: true},
	}
	for _, tt := range tests {
		g, err := ParseGlobs(tt.globs)
		if (err != nil) != tt.malformed {
			t.Errorf("%q: %v", clip(tt.globs), err)
			continue
		}
		for name := range strings.FieldsSeq(tt.yes) {
			if !g.Match(name) {
				t.Errorf("%q does not match %q", tt.globs, name)
			}
		}
		for name := range strings.FieldsSeq(tt.no) {
			if g.Match(name) {
				t.Errorf("%q matches %q", tt.globs, name)
			}
		}
	}
}

// FuzzGlobs: no pattern makes much of little, or takes long.
func FuzzGlobs(f *testing.F) {
	f.Add("*.{jpg,png}", "a.jpg")
	f.Add("[a-z]*,\\{", "../../etc")
	f.Add("*a*a*a*a*a*a*b", strings.Repeat("a", 300))
	f.Fuzz(func(t *testing.T, pattern, name string) {
		g, err := ParseGlobs(pattern)
		if len(g) > maxGlobs || err != nil && g != nil {
			t.Fatalf("%d patterns, %v", len(g), err)
		}
		g.Match(name)
	})
}
