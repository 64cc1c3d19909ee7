package mtproto

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Routes remember how attempts to reach endpoints went, by address, and put
// endpoints into the order in which to try them. The zero value is empty. They
// may be used concurrently.
type Routes struct {
	mu   sync.Mutex
	seen map[string]route
}

// A route is how the last attempt went.
type route struct {
	worked bool
	at     time.Time
}

// Prefer notes that an address has worked, perhaps long ago.
func (r *Routes) Prefer(address string) { r.note(address, true, time.Time{}) }

func (r *Routes) note(address string, worked bool, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = make(map[string]route)
	}
	r.seen[address] = route{worked, now}
}

// order sorts endpoints: first those that worked when last tried, then those
// never tried, then those that failed, the longest ago first. Otherwise they
// stay in the order that they have.
func (r *Routes) order(list []Endpoint) []Endpoint {
	r.mu.Lock()
	defer r.mu.Unlock()
	rank := func(e Endpoint) int {
		switch tried, ok := r.seen[e.Address]; {
		case !ok:
			return 1
		case tried.worked:
			return 0
		default:
			return 2
		}
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b Endpoint) int {
		if n := cmp.Compare(rank(a), rank(b)); n != 0 || rank(a) < 2 {
			return n
		}
		return r.seen[a.Address].at.Compare(r.seen[b.Address].at)
	})
	return list
}
