// Package transfer moves files between Telegram and disk.
//
// A run has one loop, which owns the scheduler and everything that is counted,
// and tasks around it:
//
//  1. The lister takes files from the caller's sequence and queues them.
//  2. An opener looks up what the checkpoint knows of a file, proves it
//     against the disk, and tells the scheduler the missing parts.
//  3. Each part in flight has a task: it asks, checks the answer, learns
//     whether it is the first, and writes the bytes where they belong, out of
//     the buffer in which they arrived.
//  4. The committer syncs what was written and then marks it, in groups.
//  5. A finisher hashes the rest, renames, and has the file recorded.
//
// Tasks speak to the loop by posting functions, which the loop calls one after
// the other; so the state of a run needs no locks.
package transfer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"sync/atomic"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram"
)

// An Engine moves the files of one account. It may be used for several runs,
// one after the other.
type Engine struct {
	tg   Telegram
	opts Options
	err  error // what is wrong with the options; the runs return it
	// fs makes the file system of a destination; tests have their own.
	fs      func(*os.Root) fileSystem
	running atomic.Pointer[run] // the present run
}

// New returns an engine that works for a client. The engine does not close
// client or checkpoint.
func New(c *telegram.Client, o Options) *Engine {
	if u := c.User(); u != nil {
		o.Premium = o.Premium || u.Premium
	}
	return NewFor(client{c}, o)
}

// NewFor is New for what stands in for a client.
func NewFor(tg Telegram, o Options) *Engine {
	o, err := o.withDefaults()
	if o.Checkpoint == nil {
		o.Checkpoint = checkpoint.NewMemory()
	}
	return &Engine{tg: tg, opts: o, err: err, fs: func(root *os.Root) fileSystem { return rootFS{root} }}
}

// Download fetches the files of a sequence, several at a time, each to its
// place on disk. Parts that an earlier run has left are proven and used.
//
// A file that fails stops no other: the report names it, and the error is nil.
// The error is that of the run as a whole: ctx's, a *WaitError, an error of
// the sequence (the files before it are fetched nonetheless), of the
// checkpoint, a *TargetError if a destination takes nothing, or one of package
// telegram that ends the account's work. A full disk is no error: the run waits
// for room. The
// report is never nil. The sequence is read by another goroutine, and only as
// fast as files are done; it must end by itself when ctx does.
func (e *Engine) Download(ctx context.Context, files iter.Seq2[Download, error]) (*Report, error) {
	return runOf(ctx, e, Downloads, files, newDownload)
}

// Upload sends the files of a sequence, each as one message. What is said of
// Download holds here too. An upload that was cut short goes on with the parts
// that the server has confirmed, and its message is sent exactly once.
func (e *Engine) Upload(ctx context.Context, files iter.Seq2[Upload, error]) (*Report, error) {
	return runOf(ctx, e, Uploads, files, newUpload)
}

// runOf lists and runs. job turns an entry of the sequence into a job.
func runOf[F any](ctx context.Context, e *Engine, dir Direction, files iter.Seq2[F, error], job func(*run, F) job) (*Report, error) {
	if e.err != nil {
		return new(Report), e.err
	}
	r, err := newRun(ctx, e, dir)
	if err != nil {
		return new(Report), err
	}
	e.running.Store(r)
	defer e.running.Store(nil)
	r.tasks.Go(func() { list(r, files, job) })
	return r.loop(ctx)
}

// errStopped ends the listing early.
var errStopped = errors.New("transfer: run stopped")

// list queues the files of the sequence until it ends or the run does.
func list[F any](r *run, files iter.Seq2[F, error], job func(*run, F) job) {
	var failed error
	for f, err := range files {
		if err != nil {
			failed = fmt.Errorf("list files: %w", err)
			break
		}
		if r.admit() != nil {
			break
		}
		j := job(r, f)
		r.post(func() { r.add(j) })
	}
	r.post(func() { r.listed(failed) })
}
