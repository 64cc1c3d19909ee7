package flood

import (
	"testing"
	"time"
)

// A request that was begun before its client could know of the wait is none
// inside it, however late it comes.
func TestTold(t *testing.T) {
	const grace = time.Second
	start := time.Unix(1000, 0)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	for name, tt := range map[string]struct {
		later, told int // 0: the wait is told at once; when it is
		begun, now  int
		inside      int64
	}{
		"told at once":              {begun: 5, now: 5, inside: 1},
		"told at once, under way":   {begun: 1, now: 5},
		"not told":                  {later: 1, begun: 5, now: 5},
		"told before":               {later: 1, told: 3, begun: 5, now: 5, inside: 1},
		"told before, within grace": {later: 1, told: 4, begun: 5, now: 5},
		"begun before it was told":  {later: 1, told: 3, begun: 2, now: 9},
	} {
		g := NewGuard(nil, grace)
		v := g.Close(1, 2, "m", time.Minute, start)
		if tt.later > 0 {
			if told := v.Later(); tt.told > 0 {
				told(at(tt.told))
			}
		}
		if v := g.AskBegun(1, false, 2, "m", at(tt.begun), at(tt.now)); v.Wait != 60-tt.now {
			t.Errorf("%s: wait %d, want %d", name, v.Wait, 60-tt.now)
		}
		if _, inside := g.Counts(); inside != tt.inside {
			t.Errorf("%s: %d inside, want %d", name, inside, tt.inside)
		}
	}
}
