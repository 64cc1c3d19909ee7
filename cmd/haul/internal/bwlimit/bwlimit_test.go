package bwlimit

import (
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	const k, m = 1 << 10, 1 << 20
	// 2026-11-22 is a Sunday.
	at := func(day, hour, minute int) time.Time {
		return time.Date(2026, 11, 22+day, hour, minute, 30, 0, time.UTC)
	}
	tests := []struct {
		text  string
		now   time.Time
		want  Rate
		until time.Time
	}{
		{"", at(0, 0, 0), Rate{}, time.Time{}},
		{"off", at(0, 0, 0), Rate{}, time.Time{}},
		{"10M", at(0, 0, 0), Rate{10 * m, 10 * m}, time.Time{}},
		{"512", at(0, 0, 0), Rate{512 * k, 512 * k}, time.Time{}},
		{"1.5m:off", at(0, 0, 0), Rate{1.5 * m, 0}, time.Time{}},
		{"off:100B", at(0, 0, 0), Rate{0, 100}, time.Time{}},
		{"2Mi", at(0, 0, 0), Rate{2 * m, 2 * m}, time.Time{}},
		{"08:00,512k 19:00,10M 23:00,off", at(0, 9, 0), Rate{512 * k, 512 * k}, at(0, 19, 0)},
		{"08:00,512k;19:00,10M;23:00,off", at(3, 19, 0), Rate{10 * m, 10 * m}, at(3, 23, 0)},
		{"08:00,512k 19:00,10M 23:00,off", at(0, 7, 59), Rate{}, at(0, 8, 0)},
		{"08:00,512k 19:00,10M 23:00,off", at(6, 23, 30), Rate{}, at(7, 8, 0)},
		{"Mon-00:00,512 Fri-23:59,10M Sat-10:00,1M Sun-20:00,off", at(2, 5, 0), Rate{512 * k, 512 * k}, at(5, 23, 59)},
		{"Mon-00:00,512 Fri-23:59,10M Sat-10:00,1M Sun-20:00,off", at(0, 19, 59), Rate{m, m}, at(0, 20, 0)},
		{"monday-00:00,1M:2M SUN-20:00,off", at(0, 21, 0), Rate{}, at(1, 0, 0)},
		{"monday-00:00,1M:2M SUN-20:00,off", at(1, 0, 0), Rate{m, 2 * m}, at(7, 20, 0)},
	}
	for _, tt := range tests {
		table, err := Parse(tt.text)
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		got, until := table.At(tt.now)
		if tt.until = tt.until.Truncate(time.Minute); got != tt.want || !until.Equal(tt.until) {
			t.Errorf("%q at %v: %v until %v, want %v until %v", tt.text, tt.now, got, until, tt.want, tt.until)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, text := range []string{
		"x", "10X", "-1M", "1M:", ":1M", "8,1M", "25:00,1M", "Mo-08:00,1M", "Mondayy-08:00,1M", "08:00 1M", "08:00,1M 9M",
		"08:00,1M Mon-08:00,2M", "1e999M", "08:00,", ".",
	} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// FuzzParse: whatever is taken gives rates that make sense, at any time, and
// ends in the future.
func FuzzParse(f *testing.F) {
	f.Add("Mon-00:00,512 Fri-23:59,10M:off", int64(0))
	f.Add("08:00,1k;12:00,off", int64(1e9))
	f.Fuzz(func(t *testing.T, text string, seconds int64) {
		table, err := Parse(text)
		if err != nil {
			return
		}
		now := time.Unix(seconds%(1<<40), 0).UTC()
		r, until := table.At(now)
		if r.Up < 0 || r.Down < 0 || !until.IsZero() && (!until.After(now) || until.Sub(now) > 8*24*time.Hour) {
			t.Errorf("%q at %v: %v until %v", text, now, r, until)
		}
	})
}
