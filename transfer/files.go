package transfer

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/scheduler"
)

// add queues a job.
func (r *run) add(j job) {
	info := j.info()
	r.filesKnown++
	r.bytesKnown += info.size
	e := &entry{job: j, counted: info.size, listed: time.Now()}
	if r.isFirst(e) {
		r.enqueue(e, r.o.Order.priority(info.size))
	}
}

func (r *run) enqueue(e *entry, priority int64) {
	r.nextID++
	e.id = r.nextID
	r.files[e.id] = e
	route := e.route()
	if err := r.heldTooLong(route); err != nil {
		r.fail(err) // it would not even be opened before
		return
	}
	r.feed(scheduler.Add{File: e.id, Route: route, Size: e.info().size, Priority: priority})
}

// start opens a file.
func (r *run) start(e *entry) {
	if r.fatal != nil {
		return
	}
	r.order = append(r.order, e)
	e.users++
	r.tasks.Go(func() {
		ctx := r.ctx()
		if !e.isOpen {
			select {
			case r.opens <- struct{}{}:
				e.isOpen = true
			case <-ctx.Done():
				r.post(func() { r.unuse(e) })
				return
			}
		}
		o, err := r.openJob(ctx, e)
		r.post(func() {
			defer r.unuse(e)
			r.opened(e, o, err)
		})
	})
}

// openJob opens a file. After a sync that failed for want of room, what was
// written is lost, and only time can tell when to write it again.
func (r *run) openJob(ctx context.Context, e *entry) (o opened, err error) {
	if full := e.full; full != nil {
		e.full = nil
		_ = r.whenRoom(func() error { err, full = full, nil; return err })
	}
	err = r.whenRoom(func() error {
		o, err = e.open(ctx)
		return err
	})
	return o, err
}

func (r *run) opened(e *entry, o opened, err error) {
	target := (*TargetError)(nil)
	switch {
	case r.fatal != nil || !r.current(e):
		return
	case errors.As(err, &target):
		r.fail(err)
		return
	case err != nil && endsRun(err):
		r.fail(err)
		return
	case err != nil:
		r.feed(scheduler.Abort{File: e.id})
		r.fileFailed(e, err)
		return
	case o.done != nil:
		r.feed(scheduler.Abort{File: e.id})
		r.skipped(e, *o.done)
		return
	}
	info := e.info()
	r.bytesKnown += info.size - e.counted
	e.counted = info.size
	if e.opens++; e.opens == 1 {
		e.resumed = o.resumed
	} else { // what is moved once more
		r.report.PartsRepeated += max(0, e.have+e.stored-o.have)
		r.report.BytesResent += max(0, e.resumed+e.moved-o.resumed)
		e.resumed = min(e.resumed, o.resumed)
	}
	e.moved, e.have, e.stored = o.resumed-e.resumed, o.have, 0
	r.report.PartsRepeated += o.repeated
	r.report.BytesResent += o.resent
	r.o.Events(FileStarted{
		Header: header("file_started", time.Now()), ID: info.id, Path: info.path, Size: info.size,
		DC: info.dc, ResumedBytes: o.resumed,
	})
	if !r.refresh.holds(e, o.parts) {
		r.feed(scheduler.Ready{File: e.id, Parts: o.parts})
	}
}

// maxStale bounds the refreshes of a file that is only to be verified.
const maxStale = 3

// complete starts the finisher of a file.
func (r *run) complete(e *entry) {
	e.users++
	r.tasks.Go(func() {
		res, err := e.finish(r.ctx())
		r.post(func() {
			defer r.unuse(e)
			r.fileFinished(e, res, err)
		})
	})
}

func (r *run) fileFinished(e *entry, res FileResult, err error) {
	loss := (*lostError)(nil)
	switch {
	case r.fatal != nil && err != nil: // it is the run's fault
	case !r.current(e): // the committer has told of it
	case errors.Is(err, errMore):
		r.queueAgain(e)
	case errors.Is(err, errParked):
		r.park(e)
	case errors.As(err, &loss):
		r.lost(e, loss)
	case errors.Is(err, errStale) && e.stale < maxStale:
		e.stale++
		e.finishing = true
		r.refresh.want(e)
	case err != nil && endsRun(err):
		r.fail(err)
	case err != nil:
		r.fileFailed(e, err)
	default:
		res.ResumedBytes = e.resumed
		r.fileDone(e, res)
	}
}

// maxLosses is how often a file may be opened again since the disk has lost
// something of it.
const maxLosses = 3

// current reports whether the loop still has to do with an entry as it is: it
// is not over, and not about to be queued again.
func (r *run) current(e *entry) bool { return r.files[e.id] == e && !e.again }

// lost takes in that the disk has lost some of what was written to a file. It
// is opened again, and what is not marked is moved again. On a full disk that
// is no fault of the file.
func (r *run) lost(e *entry, err error) {
	if r.fatal != nil || !r.current(e) {
		return
	}
	r.feed(scheduler.Abort{File: e.id})
	if isFull(err) {
		e.full = err
	} else if e.losses++; e.losses > maxLosses {
		r.fileFailed(e, err)
		return
	}
	r.o.Log.Warn("written bytes were lost", "path", e.info().path, "err", err)
	r.queueAgain(e)
}

// sinkLost is lost for what only the committer has seen. opening is which
// opening of the file it is about.
func (r *run) sinkLost(d *download, opening int, err error) {
	for _, e := range r.order {
		if e.job == job(d) && d.openings.Load() == int32(opening) {
			r.lost(e, err)
			return
		}
	}
}

// queueAgain has an entry queued again, as soon as no task uses its job.
func (r *run) queueAgain(e *entry) {
	e.again = true
	e.users++
	r.unuse(e)
}

func (r *run) fileDone(e *entry, res FileResult) {
	r.report.FilesDone++
	r.report.Bytes += res.Size
	r.healed(e)
	if r.o.MaxResults == 0 || len(r.report.Done) < r.o.MaxResults {
		r.report.Done = append(r.report.Done, res)
	}
	r.o.Events(FileDone{
		Header: header("file_done", time.Now()), ID: res.ID, Path: res.Path, Size: res.Size,
		SHA256: hexSum(res.SHA256), ResumedBytes: res.ResumedBytes, Chat: res.Origin.Peer.MarkedID(), Message: res.message(),
	})
	r.bytesOver += e.info().size
	r.end(e)
}

// skipped takes in a file that was complete before the run.
func (r *run) skipped(e *entry, res FileResult) {
	r.report.FilesSkipped++
	r.bytesOver += e.info().size
	if _, a := albumOf(e); a != nil {
		a.captioned = a.captioned || res.captioned
	}
	res.Skipped = true
	e.users++
	r.tasks.Go(func() {
		err := r.tell(e, res)
		r.post(func() {
			defer r.unuse(e)
			if err != nil {
				r.report.FilesSkipped--
				r.fileFailed(e, err)
				return
			}
			r.healed(e)
			r.o.Events(FileSkipped{
				Header: header("file_skipped", time.Now()), ID: res.ID, Path: res.Path, Size: res.Size,
				SHA256: hexSum(res.SHA256), Chat: res.Origin.Peer.MarkedID(), Message: res.message(), Reason: res.Reason,
			})
			r.end(e)
		})
	})
}

// healed takes in that a file is done that may have failed before.
func (r *run) healed(e *entry) {
	if len(r.failures.files) > 0 && r.failures.heal(r.failures.keyOf(e, r.dir)) {
		r.report.FilesFailed--
	}
}

// tell calls the caller's Finished.
func (r *run) tell(j job, res FileResult) error {
	r.finMu.Lock()
	defer r.finMu.Unlock()
	return r.whenRoom(func() error { return j.finished(res) })
}

func (r *run) fileFailed(e *entry, err error) {
	info := e.info()
	res := FileResult{ID: info.id, Path: info.path, Size: info.size, Origin: info.origin, Err: err, Retryable: retryable(err)}
	if r.failures.add(r.failures.keyOf(e, r.dir), res) {
		r.report.FilesFailed++
	}
	r.o.Log.Warn("file failed", "path", info.path, "err", err)
	r.o.Events(FileFailed{
		Header: header("file_failed", time.Now()), ID: info.id, Path: info.path,
		Error: err.Error(), Retryable: res.Retryable, Chat: info.origin.Peer.MarkedID(), Message: info.origin.MessageID,
	})
	r.bytesOver += info.size
	e.unmarked = e.moved > 0
	r.end(e)
}

// leave takes an entry out of the lists.
func (r *run) leave(e *entry) {
	delete(r.files, e.id)
	if i := slices.Index(r.order, e); i >= 0 {
		r.order = slices.Delete(r.order, i, i+1)
	}
}

// end lets go of an entry that is over.
func (r *run) end(e *entry) {
	r.leave(e)
	e.over = true
	r.nextSame(e)
	<-r.admits
	e.users++
	r.unuse(e)
	r.leftAlbum(e)
}

// unuse notes that a task no longer uses the entry's job.
func (r *run) unuse(e *entry) {
	if e.users--; e.users > 0 {
		return
	}
	switch {
	case e.over:
		r.closeJob(e)
	case e.again && r.fatal == nil:
		e.again = false
		r.leave(e)
		r.enqueue(e, again)
	case e.parked && e.isOpen:
		e.close()
		<-r.opens
		e.isOpen = false
	}
}

// closeJob closes a file that is over. What was written of one that has failed
// is synced and marked before.
func (r *run) closeJob(e *entry) {
	if e.unmarked && r.winding {
		r.unclosed = append(r.unclosed, e)
		return
	}
	if e.unmarked {
		e.unmarked = false
		e.users++
		r.tasks.Go(func() {
			err := r.commits.wait(nil, func(*checkpoint.Batch) {})
			r.post(func() {
				if err != nil {
					r.fail(err)
				}
				r.unuse(e)
			})
		})
		return
	}
	e.close()
	if e.isOpen {
		<-r.opens
	}
}
