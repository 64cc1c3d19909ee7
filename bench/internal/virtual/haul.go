package virtual

import (
	"container/heap"
	"time"

	"github.com/tghaul/haul/scheduler"
	"github.com/tghaul/haul/telegram/dctest/flood"
)

// A Job is what is to be moved: so many files of a size, in parts of at most
// 1 MiB.
type Job struct {
	Files int
	Size  int64
}

// Endless is more than any limit of time lets through.
var Endless = Job{Files: 1 << 20, Size: 200 << 20}

const partSize = 1 << 20

// Haul runs the scheduler until the job is done or the time is up.
func Haul(net Network, rules []flood.Rule, job Job, cfg scheduler.Config, limit time.Duration, seed uint64) Result {
	cfg.Seed = seed
	h := &haul{world: newWorld(net, rules, seed), core: scheduler.New(cfg), job: job, cancelled: make(map[scheduler.AttemptID]bool)}
	for range min(job.Files, 2000) {
		h.add()
	}
	for h.done < job.Files && h.now.Sub(epoch) < limit && h.step() {
	}
	_, h.result.Inside = h.guard.Counts()
	h.result.Took = h.now.Sub(epoch)
	return h.result
}

// haul is the scheduler in its world.
type haul struct {
	*world
	core        *scheduler.Core
	job         Job
	added, done int
	cancelled   map[scheduler.AttemptID]bool
	holds       []scheduler.Hold // waits that were told
	closing     bool             // only waits are still heard
	over        bool             // what still comes is for nobody
}

func (h *haul) add() {
	if h.added < h.job.Files {
		h.added++
		h.handle(scheduler.Add{
			File: scheduler.FileID(h.added), Size: h.job.Size,
			Route: scheduler.Route{DC: dc, Use: scheduler.Download, Method: method},
		})
	}
}

// step goes on to whatever happens next.
func (h *haul) step() bool {
	at, ok := h.next()
	return ok && h.stepUntil(at)
}

// next is when something happens next; false if nothing does.
func (h *haul) next() (time.Time, bool) {
	wake, ok := h.core.Wake()
	if len(h.queue) > 0 && (!ok || !h.queue[0].at.After(wake)) {
		return h.queue[0].at, true
	}
	return wake, ok
}

// stepUntil goes on to whatever happens next, but not beyond a moment.
func (h *haul) stepUntil(end time.Time) bool {
	switch at, ok := h.next(); {
	case !ok || at.After(end):
		h.now = later(h.now, end)
		return false
	case len(h.queue) > 0 && h.queue[0].at.Equal(at):
		e := heap.Pop(&h.queue).(event)
		h.now = later(h.now, e.at)
		e.f()
	default:
		h.now = at
		h.handle(scheduler.Tick{})
	}
	return true
}

func (h *haul) handle(e scheduler.Event) {
	if h.over {
		return
	}
	for _, a := range h.core.Handle(h.now, e) {
		h.do(a)
	}
}

func (h *haul) do(a scheduler.Action) {
	switch a := a.(type) {
	case scheduler.Start:
		h.after(0, func() { h.handle(scheduler.Ready{File: a.File, Parts: h.parts()}) })
	case *scheduler.Send:
		if h.closing {
			return
		}
		id := a.Attempt
		h.request(a.Conn, a.Part.Size, func(r answer) { h.answered(id, r) })
	case *scheduler.Accept:
		written := scheduler.Written(*a)
		h.after(0, func() { h.handle(written) })
	case scheduler.Cancel:
		h.cancelled[a.Attempt] = true
	case scheduler.Complete:
		h.done++
		h.after(0, h.add)
	case scheduler.Wait:
		h.holds = append(h.holds, scheduler.Hold{Scope: a.Scope, Until: a.Until.Add(scheduler.WaitSlack), Premium: a.Premium})
	default: // what was learned needs no hand
	}
}

func (h *haul) parts() []scheduler.Part {
	var parts []scheduler.Part
	for left := h.job.Size; left > 0; left -= partSize {
		parts = append(parts, scheduler.Part{N: len(parts), Size: min(left, partSize)})
	}
	return parts
}

func (h *haul) answered(id scheduler.AttemptID, r answer) {
	if h.cancelled[id] {
		delete(h.cancelled, id)
		return
	}
	if r.wait > 0 {
		h.handle(scheduler.Failed{Attempt: id, Failure: scheduler.Failure{
			Kind: scheduler.Flood, Wait: r.wait, Premium: r.premium,
		}})
		return
	}
	if h.closing {
		return
	}
	h.handle(scheduler.Answered{Attempt: id})
}
