package transfer

import (
	"fmt"
	"time"

	"github.com/tghaul/haul/scheduler"
	"github.com/tghaul/haul/telegram"
)

const (
	// refreshDelay lets files whose references expire together be asked for together.
	refreshDelay = 50 * time.Millisecond
	maxRefresh   = 100 // messages that one call may ask for
)

// A refreshable job has a file reference that can be replaced by a fresh one.
type refreshable interface {
	job
	// fresh takes over what a message says now. It fails with ErrGone unless
	// that is the same file.
	fresh(files []telegram.File) error
}

// A refresher gets fresh file references: one call for all files of a chat
// that wait, and only one at a time. It belongs to the loop.
type refresher struct {
	run     *run
	waiting map[int64][]*entry // by marked id of the chat
	busy    map[int64]bool
}

// want has a paused file go on with a fresh reference, or fail.
func (f *refresher) want(e *entry) {
	if f.waiting == nil {
		f.waiting, f.busy = map[int64][]*entry{}, map[int64]bool{}
	}
	chat := e.info().origin.Peer.MarkedID()
	f.waiting[chat] = append(f.waiting[chat], e)
	if f.busy[chat] {
		return
	}
	f.busy[chat] = true
	r := f.run
	r.tasks.Go(func() {
		timer := time.NewTimer(refreshDelay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.ctx().Done():
		}
		r.post(func() { f.ask(chat) })
	})
}

// ask fetches the messages of files that wait.
func (f *refresher) ask(chat int64) {
	r := f.run
	all := f.waiting[chat]
	if r.fatal != nil || len(all) == 0 {
		f.busy[chat] = false
		return
	}
	batch := all[:min(len(all), maxRefresh)]
	f.waiting[chat] = all[len(batch):]
	ids := make([]int, len(batch))
	for i, e := range batch {
		ids[i] = e.info().origin.MessageID
		e.users++
	}
	peer := batch[0].info().origin.Peer
	r.tasks.Go(func() {
		files, err := r.tg.RefreshFiles(r.ctx(), peer, ids)
		r.post(func() { f.answered(chat, batch, files, err) })
	})
}

func (f *refresher) answered(chat int64, batch []*entry, files map[int][]telegram.File, err error) {
	r := f.run
	switch {
	case r.fatal != nil:
	case err != nil && endsRun(err):
		r.fail(err)
	default:
		r.report.ReferenceRefreshes++
		r.o.Events(ReferenceRefreshed{Header: header("reference_refreshed", time.Now()), Chat: chat, Files: len(batch)})
	}
	for _, e := range batch {
		if r.fatal == nil && r.files[e.id] == e {
			f.resume(e, files[e.info().origin.MessageID], err)
		}
		r.unuse(e)
	}
	f.ask(chat)
}

// resume lets a file go on, or fails it.
func (f *refresher) resume(e *entry, files []telegram.File, err error) {
	job, ok := e.job.(refreshable)
	switch {
	case err != nil:
		err = fmt.Errorf("refresh the file reference: %w", err)
	case !ok:
		err = ErrGone
	default:
		err = job.fresh(files)
	}
	if err != nil {
		f.run.feed(scheduler.Abort{File: e.id})
		f.run.fileFailed(e, err)
		return
	}
	f.run.feed(scheduler.Resume{File: e.id})
}
