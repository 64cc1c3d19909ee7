package transfer

import (
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
	r.enqueue(&entry{job: j, counted: info.size, listed: time.Now()})
}

func (r *run) enqueue(e *entry) {
	r.nextID++
	e.id = r.nextID
	r.files[e.id] = e
	r.feed(scheduler.Add{File: e.id, Route: e.route(), Size: e.info().size})
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
		o, err := e.open(ctx)
		r.post(func() {
			defer r.unuse(e)
			r.opened(e, o, err)
		})
	})
}

func (r *run) opened(e *entry, o opened, err error) {
	switch {
	case r.fatal != nil:
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
	e.resumed, e.moved = o.resumed, 0
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
	switch {
	case r.fatal != nil && err != nil: // it is the run's fault
	case errors.Is(err, errMore):
		r.leave(e)
		r.enqueue(e)
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

func (r *run) fileDone(e *entry, res FileResult) {
	r.report.FilesDone++
	r.report.Bytes += res.Size
	r.report.Done = append(r.report.Done, res)
	r.o.Events(FileDone{
		Header: header("file_done", time.Now()), ID: res.ID, Path: res.Path, Size: res.Size,
		SHA256: hexSum(res.SHA256), ResumedBytes: res.ResumedBytes, Message: res.MessageID,
	})
	r.bytesOver += e.info().size
	r.end(e)
}

// skipped takes in a file that was complete before the run.
func (r *run) skipped(e *entry, res FileResult) {
	r.report.FilesSkipped++
	r.bytesOver += e.info().size
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
			r.end(e)
		})
	})
}

// tell calls the caller's Finished.
func (r *run) tell(j job, res FileResult) error {
	r.finMu.Lock()
	defer r.finMu.Unlock()
	return j.finished(res)
}

func (r *run) fileFailed(e *entry, err error) {
	info := e.info()
	res := FileResult{ID: info.id, Path: info.path, Size: info.size, Origin: info.origin, Err: err, Retryable: retryable(err)}
	r.report.FilesFailed++
	r.report.Failed = append(r.report.Failed, res)
	r.o.Log.Warn("file failed", "path", info.path, "err", err)
	r.o.Events(FileFailed{
		Header: header("file_failed", time.Now()), ID: info.id, Path: info.path,
		Error: err.Error(), Retryable: res.Retryable,
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
	<-r.admits
	e.users++
	r.unuse(e)
}

// unuse notes that a task no longer uses the entry's job. Of a file that has
// failed, what was written is synced and marked before the file is closed.
func (r *run) unuse(e *entry) {
	if e.users--; e.users > 0 || !e.over {
		return
	}
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
