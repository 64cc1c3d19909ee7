package transfer

import (
	"context"
	"fmt"
)

// Files of one content are moved one after the other. Those that wait are known
// to the run, but not to the scheduler: they take no turn from others, and
// cannot hold up the one they wait for.

// sameAs is what tells the content of an entry, "" if nothing does.
func (e *entry) sameAs() string {
	if d, ok := e.job.(*download); ok {
		return d.d.Same
	}
	return ""
}

// isFirst reports whether an entry may be queued at once. Else it waits.
func (r *run) isFirst(e *entry) bool {
	key := e.sameAs()
	if key == "" {
		return true
	}
	if r.same == nil {
		r.same = make(map[string][]*entry)
	}
	r.same[key] = append(r.same[key], e)
	if len(r.same[key]) == 1 {
		return true
	}
	r.nextID++
	e.id = r.nextID
	r.files[e.id] = e
	return false
}

// nextSame queues the next file of the content of one that is over.
func (r *run) nextSame(e *entry) {
	key := e.sameAs()
	if key == "" {
		return
	}
	left := r.same[key][1:]
	if len(left) == 0 {
		delete(r.same, key)
		return
	}
	r.same[key] = left
	if r.fatal == nil {
		next := left[0]
		delete(r.files, next.id)
		r.enqueue(next, r.o.Order.priority(next.info().size))
	}
}

// openLocal asks whether the file can be had without fetching it. If so the
// result says that it is done.
func (d *download) openLocal(ctx context.Context) (opened, error) {
	if d.d.Local == nil {
		return opened{}, nil
	}
	entry := newLink(d.dir)
	local, err := d.d.Local(ctx)
	if err != nil || !local.Found {
		return opened{}, err
	}
	_ = d.dir.fs.Remove(d.path + partSuffix) // of an earlier run; there need not be one
	res := d.result(local.SHA256)
	if local.Elsewhere {
		return opened{done: &res}, nil
	}
	fi, err := d.dir.fs.Lstat(d.path)
	if err != nil {
		return opened{}, err
	}
	if !fi.Mode().IsRegular() || fi.Size() != d.size {
		return opened{}, fmt.Errorf("%w: %s is not what it was said to be", ErrExists, d.path)
	}
	return opened{done: &res}, d.record(entry, local.SHA256)
}
