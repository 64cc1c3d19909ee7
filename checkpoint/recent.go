package checkpoint

// A recent keeps what commits have read and written of late, so that those that
// follow need not read and decode it again: as a rule they are about the same
// files. It forgets between commits only, what was not used longest.
type recent[V any] struct {
	limit      int // that a generation may have
	young, old map[string]V
}

func newRecent[V any](limit int) recent[V] {
	return recent[V]{limit: limit, young: make(map[string]V)}
}

// get is what is kept under a key.
func (r *recent[V]) get(key []byte) (v V, found bool) {
	if v, found = r.young[string(key)]; found {
		return v, true
	}
	if v, found = r.old[string(key)]; found {
		r.put(key, v)
	}
	return v, found
}

func (r *recent[V]) put(key []byte, v V) { r.young[string(key)] = v }

// drop forgets what is kept under a key.
func (r *recent[V]) drop(key []byte) {
	delete(r.young, string(key))
	delete(r.old, string(key))
}

// age forgets, if there is too much, what was not used since it did so last.
func (r *recent[V]) age() {
	if len(r.young) > r.limit {
		r.young, r.old = make(map[string]V), r.young
	}
}
