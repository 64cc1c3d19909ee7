package selection

import (
	"testing"

	"github.com/tghaul/haul/telegram"
)

// TestOnce: what a message is named by, and the chat that it is in, count a file
// once, so that a limit is reached by files that are different.
func TestOnce(t *testing.T) {
	source := &fakeChat{messages: chat("5 photo 1, 4 photo! 1, 3 photo 1 album=9, 2 video 1 album=9, 1 photo 1")}
	named := &fakeChat{messages: chat("4 photo! 1, 3 photo 1 album=9")}
	for name, c := range map[string]struct {
		limit            int
		once             bool
		first, second    string
		files, protected int
	}{
		"once":           {0, true, "4:0 3:1", "5:1 4:0 3:0 2:1 1:1", 4, 1},
		"once, to three": {3, true, "4:0 3:1", "5:1 4:0 3:0 2:1", 3, 1},
		"each time":      {3, false, "4:0 3:1", "5:1 4:0 3:1", 3, 2},
	} {
		t.Run(name, func(t *testing.T) {
			p := NewPass(&Selection{Limit: c.limit}, source)
			if c.once {
				p.Once()
			}
			first := listed(t, p.List(t.Context(), named.Messages(t.Context(), telegram.Peer{}, telegram.MessagesOptions{})))
			second := listed(t, p.Chat(t.Context(), telegram.Peer{}))
			if first != c.first || second != c.second || p.Files != c.files || p.Protected != c.protected {
				t.Errorf("got %q and %q, %d files, %d protected; want %q and %q, %d, %d",
					first, second, p.Files, p.Protected, c.first, c.second, c.files, c.protected)
			}
		})
	}
}
