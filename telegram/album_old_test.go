package telegram

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// TestAlbumOld: if the server refuses media of which some are old, these are to
// be made anew and nothing is sent without them; fresh ones are what it means.
func TestAlbumOld(t *testing.T) {
	bad, other := rpcErr(400, "MEDIA_EMPTY", 0), rpcErr(400, "CHAT_SEND_PHOTOS_FORBIDDEN", 0)
	for name, c := range map[string]struct {
		old           []bool
		group, alone  error
		groups, alons int    // calls
		want          string // of each: s(ent), o(ld: to be made anew), f(ailed), . for untouched
	}{
		"old ones":          {old: []bool{true, false, true}, group: bad, groups: 1, want: "o.o"},
		"fresh ones":        {old: []bool{false, false, false}, group: bad, alone: bad, groups: 1, alons: 3, want: "fff"},
		"not for the media": {old: []bool{true, true, true}, group: other, groups: 1, want: "fff"},
		"one, old":          {old: []bool{true}, alone: bad, alons: 1, want: "o"},
		"one, fresh":        {old: []bool{false}, alone: bad, alons: 1, want: "f"},
		"one, forbidden":    {old: []bool{true}, alone: other, alons: 1, want: "f"},
		"old and good":      {old: []bool{true, true}, groups: 1, want: "ss"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				groups, alons := 0, 0
				f := &fakeTelegram{answer: func(call fakeCall) (tl.Object, error) {
					answer := new(api.Updates)
					switch q := call.q.(type) {
					case *api.MessagesSendMultiMediaRequest:
						groups++
						for _, m := range q.MultiMedia {
							answer.Updates = append(answer.Updates, &api.UpdateMessageID{ID: 5, RandomID: m.RandomID})
						}
						return answer, c.group
					case *api.MessagesSendMediaRequest:
						alons++
						return answer, c.alone
					}
					return nil, nil
				}}
				var items []AlbumItem
				for i, old := range c.old {
					items = append(items, AlbumItem{Media: Media{ID: int64(100 + i)}, RandomID: int64(i + 1), Old: old})
				}
				to := Peer{Kind: PeerChannel, ID: fakeChannelID, AccessHash: 66}
				got := slices.Collect(func(yield func(byte) bool) {
					for _, r := range fakeClient(t, f, asUser(t)).SendAlbum(t.Context(), to, items, SendOptions{}) {
						what := byte('.')
						switch {
						case errors.As(r.Err, new(*StaleMediaError)):
							what = 'o'
						case r.Err != nil:
							what = 'f'
						case r.Sent:
							what = 's'
						}
						if !yield(what) {
							return
						}
					}
				})
				if string(got) != c.want || groups != c.groups || alons != c.alons {
					t.Errorf("got %s by %d groups and %d alone; want %s, %d, %d", got, groups, alons, c.want, c.groups, c.alons)
				}
			})
		})
	}
}
