package faultfs

import "math/rand/v2"

// A Loss is what becomes of everything that was not synced when the power is lost.
type Loss uint8

// Losses.
const (
	// Lost: nothing of it is on disk.
	Lost Loss = iota
	// Torn: it is there up to some moment; of the write of that moment a
	// first part, in whole sectors.
	Torn
	// Reordered: each sector and each entry is there or not.
	Reordered
	// Losses is how many there are.
	Losses
)

func (l Loss) String() string { return [...]string{"lost", "torn", "reordered"}[l] }

// sector is what a disk writes at once, in bytes.
const sector = 512

// A Replay does the operations of a history once more, one by one.
type Replay struct {
	state   *state
	history []op
	notes   int
}

// Replay returns a replay that stands before the first operation.
func (f *FS) Replay() *Replay {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &Replay{state: f.begin.clone(), history: f.history}
}

// Next does the next operation; false if there is none.
func (r *Replay) Next() bool {
	if len(r.history) == 0 {
		return false
	}
	o := r.history[0]
	r.history = r.history[1:]
	r.state.apply(o)
	if o.kind == Note {
		r.notes++
	}
	return true
}

// Notes is how many marks were passed.
func (r *Replay) Notes() int { return r.notes }

// Crash is the file system that is found when the power was lost now. The
// random numbers decide what was lost.
func (r *Replay) Crash(l Loss, rng *rand.Rand) *FS {
	found := &state{}
	for _, n := range r.state.nodes {
		c := &node{disk: survive(n, l, rng), time: n.time}
		if n.isDir() {
			c.entries = map[string]int{}
			for name, id := range n.durable {
				c.entries[name] = id
			}
		}
		found.nodes = append(found.nodes, c)
	}
	upTo := rng.IntN(len(r.state.dirty) + 1)
	for i, o := range r.state.dirty {
		if l == Torn && i < upTo || l == Reordered && rng.IntN(2) == 0 {
			link(found.nodes[o.dir].entries, o)
		}
	}
	for _, n := range found.nodes {
		n.data = append([]byte(nil), n.disk...)
		if n.isDir() {
			n.durable = map[string]int{}
			for name, id := range n.entries {
				n.durable[name] = id
			}
		}
	}
	return from(found)
}

// survive is what is left of a file's content.
func survive(n *node, l Loss, rng *rand.Rand) []byte {
	disk := append([]byte(nil), n.disk...)
	upTo := rng.IntN(len(n.dirty) + 1)
	for i, o := range n.dirty {
		switch {
		case l == Torn && i < upTo, l == Reordered && o.kind == Truncate && rng.IntN(2) == 0:
			disk = change(disk, o)
		case l == Torn && i == upTo && o.kind == Write:
			o.data = o.data[:rng.IntN(len(o.data)/sector+1)*sector]
			disk = change(disk, o)
		case l == Reordered && o.kind == Write:
			disk = scatter(disk, o, rng)
		}
	}
	return disk
}

// scatter writes some sectors of a write. The length may be that of all.
func scatter(disk []byte, o op, rng *rand.Rand) []byte {
	keep := rng.Float64()
	for at := 0; at < len(o.data); at += sector {
		if rng.Float64() < keep {
			part := o
			part.off, part.data = o.off+int64(at), o.data[at:min(at+sector, len(o.data))]
			disk = change(disk, part)
		}
	}
	if end := o.off + int64(len(o.data)); end > int64(len(disk)) && rng.IntN(2) == 0 {
		disk = change(disk, op{kind: Truncate, off: end})
	}
	return disk
}
