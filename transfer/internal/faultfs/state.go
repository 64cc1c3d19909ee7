package faultfs

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// root is the number of the topmost folder.
const root = 0

// An op is an operation as the history keeps it: enough to do it again.
type op struct {
	kind   Kind
	dir    int // the folder, of those that change one
	name   string
	to     string    // of Rename
	id     int       // the file
	off    int64     // of Write; the length of Truncate
	data   []byte    // of Write; never changed
	failed bool      // of Sync and SyncDir
	time   time.Time // of SetTime
}

// A node is a file or a folder.
type node struct {
	// data is what programs read, disk what a power loss leaves for sure, and
	// dirty the operations on data since then, in order.
	data, disk []byte
	dirty      []op
	time       time.Time // of the last change that was not a write

	// entries and durable are the same of a folder; nil if it is none. What has
	// changed since is in state.dirty.
	entries, durable map[string]int
}

func (n *node) isDir() bool { return n.entries != nil }

// A state is everything that a file system knows.
type state struct {
	nodes []*node
	dirty []op // on folders, that are not durable, in order
}

func newState() *state {
	return &state{nodes: []*node{{entries: map[string]int{}, durable: map[string]int{}}}}
}

func (s *state) clone() *state {
	c := &state{dirty: slices.Clone(s.dirty)}
	for _, n := range s.nodes {
		c.nodes = append(c.nodes, &node{
			data: slices.Clone(n.data), disk: slices.Clone(n.disk), dirty: slices.Clone(n.dirty), time: n.time,
			entries: maps.Clone(n.entries), durable: maps.Clone(n.durable),
		})
	}
	return c
}

// find is the number of a file or folder.
func (s *state) find(name string) (int, error) {
	at := root
	if name == "." {
		return at, nil
	}
	for _, element := range strings.Split(name, "/") {
		if !s.nodes[at].isDir() {
			return 0, syscall.ENOTDIR
		}
		id, ok := s.nodes[at].entries[element]
		if !ok {
			return 0, fs.ErrNotExist
		}
		at = id
	}
	return at, nil
}

// walk calls f for each file below a folder.
func (s *state) walk(dir int, name string, f func(name string, id int)) {
	for element, id := range s.nodes[dir].entries {
		at := path.Join(name, element)
		if s.nodes[id].isDir() {
			s.walk(id, at, f)
		} else {
			f(at, id)
		}
	}
}

func (s *state) used() (bytes int64) {
	s.walk(root, ".", func(_ string, id int) { bytes += int64(len(s.nodes[id].data)) })
	return bytes
}

// apply does an operation.
func (s *state) apply(o op) {
	switch o.kind {
	case Write, Truncate:
		n := s.nodes[o.id]
		n.data = change(n.data, o)
		n.dirty = append(n.dirty, o)
		n.time = time.Time{}
	case Sync:
		n := s.nodes[o.id]
		for _, d := range n.dirty {
			if !o.failed {
				n.disk = change(n.disk, d)
			}
		}
		n.dirty = nil
	case Create:
		s.nodes = append(s.nodes, &node{})
		s.enter(o)
	case Mkdir:
		s.nodes = append(s.nodes, &node{entries: map[string]int{}, durable: map[string]int{}})
		s.enter(o)
	case SetTime:
		s.nodes[o.id].time = o.time
	case Rename, Remove:
		s.enter(o)
	case SyncDir:
		s.dirty = slices.DeleteFunc(slices.Clone(s.dirty), func(d op) bool {
			if d.dir == o.dir && !o.failed {
				link(s.nodes[d.dir].durable, d)
			}
			return d.dir == o.dir
		})
	case Note:
	}
}

func (s *state) enter(o op) {
	link(s.nodes[o.dir].entries, o)
	s.dirty = append(s.dirty, o)
}

// link does to the entries of a folder what the operation does.
func link(entries map[string]int, o op) {
	switch o.kind {
	case Create, Mkdir:
		entries[o.name] = o.id
	case Rename:
		delete(entries, o.name)
		entries[o.to] = o.id
	default:
		delete(entries, o.name)
	}
}

// change does to content what the operation does.
func change(data []byte, o op) []byte {
	if o.kind == Truncate {
		if o.off <= int64(len(data)) {
			return data[:o.off:o.off]
		}
		return append(data, make([]byte, o.off-int64(len(data)))...)
	}
	if end := o.off + int64(len(o.data)); end > int64(len(data)) {
		data = append(data, make([]byte, end-int64(len(data)))...)
	}
	copy(data[o.off:], o.data)
	return data
}
