package selection

import (
	"testing"
	"time"
)

// A filter that counts back from now means other files on another day, and
// what was gone through under it then is not done for it now.
func TestKeyOfRelativeFilter(t *testing.T) {
	now := time.Date(2025, 6, 15, 12, 0, 0, 0, time.UTC)
	key := func(text string, at time.Time) string {
		f, err := ParseFilter(text, at)
		if err != nil {
			t.Fatal(err)
		}
		return (&Selection{Filter: f}).Key()
	}
	for text, same := range map[string]bool{
		`date < since("7d")`: false,
		`date > since("2025-01-31") or date > since("today")`: false,
		`date > since("2025-01-31")`:                          true,
		`size > 5*MB`:                                         true,
	} {
		if got := key(text, now) == key(text, now.AddDate(0, 0, 1)); got != same {
			t.Errorf("%s: the same key a day later: %v, want %v (%s)", text, got, same, key(text, now))
		}
	}
}
