package scheduler

// A ready set is the files of one track that have a part to send, in the order
// in which they started. It is a treap: a search tree by that order, kept in
// balance by ranks that look random. Each file knows the smallest and the
// greatest next part of those below it, so that the next file whose part has
// room is found without a look at those whose part has none.
type ready struct{ root *file }

// A node is a file's place in a ready set.
type node struct {
	in             *ready // nil: in none
	before, behind *file
	head           int64 // size of the file's next part
	least, most    int64 // of the heads of the file and of those below it
}

// rank is a number that looks random, and is the same in each run.
func (f *file) rank() uint64 {
	x := f.started * 0x9e3779b97f4a7c15
	x = (x ^ x>>32) * 0xd6e8feb86659fd93
	return x ^ x>>32
}

// sum takes least and most from the two below.
func (f *file) sum() {
	f.least, f.most = f.head, f.head
	for _, g := range [...]*file{f.before, f.behind} {
		if g != nil {
			f.least, f.most = min(f.least, g.least), max(f.most, g.most)
		}
	}
}

// put adds a file that is in no set, with the size of its next part.
func (r *ready) put(f *file, head int64) {
	f.node = node{in: r, head: head}
	f.sum()
	older, newer := split(r.root, f.started)
	r.root = join(join(older, f), newer)
}

// remove takes a file out that is in the set.
func (r *ready) remove(f *file) {
	r.root = without(r.root, f)
	f.node = node{}
}

// split parts a tree in those that started before a file and the others.
func split(f *file, started uint64) (older, newer *file) {
	if f == nil {
		return nil, nil
	}
	if f.started < started {
		f.behind, newer = split(f.behind, started)
		older = f
	} else {
		older, f.before = split(f.before, started)
		newer = f
	}
	f.sum()
	return older, newer
}

// join makes one tree of two, all of the one before all of the other.
func join(older, newer *file) *file {
	switch {
	case older == nil:
		return newer
	case newer == nil:
		return older
	case older.rank() > newer.rank():
		older.behind = join(older.behind, newer)
		older.sum()
		return older
	default:
		newer.before = join(older, newer.before)
		newer.sum()
		return newer
	}
}

// without is the tree of f, without g, which is in it.
func without(f, g *file) *file {
	switch {
	case f == g:
		return join(f.before, f.behind)
	case g.started < f.started:
		f.before = without(f.before, g)
	default:
		f.behind = without(f.behind, g)
	}
	f.sum()
	return f
}

// next is the first file, of those from the start number on, whose next part
// has at most so many bytes; nil if there is none.
func (r *ready) next(from uint64, room int64) *file { return r.root.firstFit(from, room) }

func (f *file) firstFit(from uint64, room int64) *file {
	if f == nil || f.least > room {
		return nil
	}
	if f.started >= from {
		if g := f.before.firstFit(from, room); g != nil {
			return g
		}
		if f.head <= room {
			return f
		}
	}
	return f.behind.firstFit(from, room)
}

// some reports whether one of the files from one start number on, and before
// another, has a next part of more bytes than over and at most room.
func (r *ready) some(from, to uint64, over, room int64) bool {
	return r.root.anyBetween(from, to, over, room)
}

func (f *file) anyBetween(from, to uint64, over, room int64) bool {
	switch {
	case f == nil || f.most <= over || f.least > room:
		return false
	case f.started < from:
		return f.behind.anyBetween(from, to, over, room)
	case f.started >= to:
		return f.before.anyBetween(from, to, over, room)
	case f.head > over && f.head <= room:
		return true
	default:
		return f.before.anyBetween(from, to, over, room) || f.behind.anyBetween(from, to, over, room)
	}
}
