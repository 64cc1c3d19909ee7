package transfer

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tghaul/haul/scheduler"
	"github.com/tghaul/haul/telegram"
)

const (
	// lookahead is how many files may be listed and not finished. Their
	// descriptions are what a run keeps in memory.
	lookahead = 4096
	// maxOpen is how many files may be open at once, those included that wait
	// for their turn to be synced and renamed.
	maxOpen = 256
)

// A job is one file of a run. Its methods are called by tasks, never by the loop.
type job interface {
	// info is constant but for the size of uploads, which open learns.
	info() jobInfo
	// route is where the file's parts go at first.
	route() scheduler.Route
	// open finds out which parts are missing. A job that was opened already is
	// asked again after finish has said errMore, or after a lostError; no other
	// task uses the job then.
	open(ctx context.Context) (opened, error)
	// move asks for a part, or sends one, and checks the answer. The payload may
	// live in m, which is the part's until the attempt is over.
	move(ctx context.Context, s scheduler.Send, m *scratch) (payload, error)
	// finish completes the file once all parts are stored.
	finish(ctx context.Context) (FileResult, error)
	// finished calls the caller's Finished, if there is one.
	finished(res FileResult) error
	// close frees what the job holds. No other method is called after it.
	close()
}

type jobInfo struct {
	id     int64
	path   string
	size   int64
	dc     int
	origin telegram.Origin
}

// opened is what open has found.
type opened struct {
	parts    []scheduler.Part
	have     int         // parts that need not be moved
	resumed  int64       // their bytes
	repeated int         // parts that were marked, but are not there
	resent   int64       // their bytes
	done     *FileResult // not nil: the file was complete before
}

// A payload is a part that has arrived, or was confirmed. It has one owner,
// who calls release exactly once.
type payload interface {
	store() error // puts the bytes where they belong
	size() int64
	release()
	stored() // is called after release, when store has succeeded
}

// errMore is returned by finish when parts have to be moved once more.
var errMore = errors.New("transfer: parts are missing again")

// A run is one call of Download or Upload. The fields below the line are the
// loop's alone.
type run struct {
	tg       Telegram
	o        Options
	dir      Direction
	commits  *committer
	inbox    chan func()
	tasks    sync.WaitGroup         // all but the committer
	ctx      func() context.Context // ends when the run is stopped
	stop     context.CancelCauseFunc
	admits   chan struct{} // a token for each file that is listed and not over
	opens    chan struct{} // a token for each file that is open
	finMu    sync.Mutex    // held while a Finished callback runs
	sessions sync.Map      // every Session used, with its reconnects before
	asides   asides
	fs       func(*os.Root) fileSystem
	durable  durables     // folders of the destinations
	holding  atomic.Int64 // bytes that are in memory to be hashed
	buffers  readBuffers
	noHashes atomic.Bool // the server gives no hashes in this run any more

	// ----
	core       *scheduler.Core
	events     []scheduler.Event  // for feed, the one at hand included
	feeding    bool               // feed is running
	actions    []scheduler.Action // of the event at hand
	files      map[scheduler.FileID]*entry
	order      []*entry // started and not over, in order of start
	attempts   map[scheduler.AttemptID]*attempt
	resting    []*attempt          // without a part
	same       map[string][]*entry // files of one content, by Download.Same: the first is under way, the others wait
	nextID     scheduler.FileID
	over       bool  // the list is complete
	listErr    error // and ended with this
	fatal      error // why the run was stopped
	started    time.Time
	report     Report
	failures   failures
	meter      meter
	told       time.Time // when the last Progress was sent
	refresh    refresher
	waits      map[scheduler.Scope]time.Time // the ends that are recorded
	limitsEnd  time.Time                     // when to ask for the user's limits again
	winding    bool                          // no task may be started any more
	unclosed   []*entry                      // to be closed when the committer has ended
	filesKnown int
	bytesKnown int64 // size of all files listed
	bytesOver  int64 // size of those that are over
	paused     int   // how many tasks wait for room
	pausedAt   time.Time
}

// An entry is a job with what the loop knows of it.
type entry struct {
	job
	id      scheduler.FileID
	isOpen  bool // holds a token of opens
	resumed int64
	moved   int64 // bytes stored in this run
	counted int64 // of the size, in report.bytesKnown
	// users is how many tasks use the job. It is closed when it is over and
	// the last of them has gone.
	users int
	over  bool
	// again says that it is queued again once no task uses the job.
	again bool
	// parked says that it waits for the others of its album.
	parked bool
	// unmarked says that the file has failed, and that parts of it may be
	// written that the checkpoint does not know of.
	unmarked bool
	full     error // not nil: it is opened only after a while, since there was no room
	// opens is how often it was opened, losses how often it was opened again
	// since the disk had lost something.
	opens, losses int
	have          int       // parts that need not be moved, when it was opened
	stored        int       // parts stored since then
	listed        time.Time // when the file reference came
	// refAt is when the file reference was renewed; zero if it is still the
	// one that was listed. spare says that it was renewed without having
	// failed, so that a failure of the old one needs no other.
	refAt time.Time
	spare bool
	// held are the parts of a file that waits for a new reference before it
	// begins.
	held []scheduler.Part
	// finishing says that all parts are there, and finish has to be called
	// again once the reference is renewed; stale is how often that was so.
	finishing bool
	stale     int
}

func newRun(ctx context.Context, e *Engine, dir Direction) (*run, error) {
	runCtx, stop := context.WithCancelCause(ctx)
	now := time.Now()
	r := &run{
		tg: e.tg, o: e.opts, dir: dir, stop: stop, fs: e.fs,
		ctx:      func() context.Context { return runCtx },
		inbox:    make(chan func()),
		admits:   make(chan struct{}, lookahead),
		opens:    make(chan struct{}, maxOpen),
		files:    make(map[scheduler.FileID]*entry),
		attempts: make(map[scheduler.AttemptID]*attempt),
		waits:    make(map[scheduler.Scope]time.Time),
		started:  now,
		core: scheduler.New(scheduler.Config{
			Transfers: e.opts.Transfers, Connections: e.opts.Connections, Seed: uint64(now.UnixNano()),
		}),
	}
	r.refresh.run = r
	r.failures.max = e.opts.MaxResults
	r.setLimits(now)
	r.commits = newCommitter(e.opts.Checkpoint, r.whenRoom, func(err error) { r.post(func() { r.fail(err) }) })
	if err := r.remember(now); err != nil {
		stop(nil)
		return nil, err
	}
	return r, nil
}

// post has the loop call f. It must not be called by the loop itself.
func (r *run) post(f func()) { r.inbox <- f }

// admit waits until one more file may be listed; an error if the run is over.
func (r *run) admit() error {
	select {
	case r.admits <- struct{}{}:
		return nil
	case <-r.ctx().Done():
		return errStopped
	}
}

// loop runs until every file is over or the run is stopped, and then waits
// for all tasks.
func (r *run) loop(ctx context.Context) (*Report, error) {
	r.o.Events(RunStarted{Header: header("run_started", time.Now()), Direction: r.dir})
	var background sync.WaitGroup
	background.Go(r.commits.loop)
	progress := time.NewTicker(r.o.ProgressInterval)
	defer progress.Stop()
	wake := time.NewTimer(time.Hour)
	defer wake.Stop()
	for !r.finished() {
		at, ok := r.core.Wake()
		if !ok {
			at = time.Now().Add(time.Hour)
		}
		if r.o.Limits != nil && r.limitsEnd.Before(at) {
			at = r.limitsEnd
		}
		wake.Reset(time.Until(at))
		select {
		case f := <-r.inbox:
			f()
		case <-wake.C:
			r.setLimits(time.Now())
			r.feed(scheduler.Tick{})
		case now := <-progress.C:
			r.tellProgress()
			r.refresh.ahead(now)
		case <-ctx.Done():
			r.fail(ctx.Err())
		}
	}
	r.windDown(&background)
	return r.conclude()
}

// finished reports whether nothing is left to do, or the run was stopped.
func (r *run) finished() bool {
	return r.fatal != nil || r.over && len(r.files) == 0
}

// windDown waits for all tasks, still answering them, and then for the
// committer, so that what was written in the meantime is marked.
func (r *run) windDown(background *sync.WaitGroup) {
	r.recordLimits()
	r.winding = true
	r.dismiss()
	r.stop(r.fatal)
	r.serveUntil(background, r.tasks.Wait)
	// Only now, since what a task has posted last may want to be committed.
	r.serveUntil(background, r.commits.end)
	background.Wait()
	for _, e := range r.files {
		e.close()
	}
	for _, e := range r.unclosed {
		e.close()
	}
}

// serveUntil calls what is posted until wait has returned.
func (r *run) serveUntil(background *sync.WaitGroup, wait func()) {
	done := make(chan struct{})
	background.Go(func() {
		wait()
		close(done)
	})
	for {
		select {
		case f := <-r.inbox:
			f()
		case <-done:
			return
		}
	}
}

func (r *run) conclude() (*Report, error) {
	r.report.Seconds = time.Since(r.started).Seconds()
	r.report.Failed, r.report.Retryable = r.failures.results()
	r.sessions.Range(func(s, before any) bool {
		r.report.Reconnects += reconnects(s) - before.(int)
		return true
	})
	r.tellProgress()
	r.o.Events(RunDone{Header: header("run_done", time.Now()), Counters: r.report.Counters})
	if r.fatal != nil {
		return &r.report, r.fatal
	}
	return &r.report, r.listErr
}

// fail stops the run.
func (r *run) fail(err error) {
	if r.fatal == nil {
		r.fatal = err
		r.stop(err)
	}
}

// listed takes in the end of the list. What ends the login concerns the files
// before it too, even if they wait for something else.
func (r *run) listed(err error) {
	r.over, r.listErr = true, err
	if errors.Is(err, telegram.ErrLoggedOut) {
		r.fail(err)
	}
}
