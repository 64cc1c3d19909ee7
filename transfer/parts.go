package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tghaul/haul/scheduler"
)

// An attempt is a part in flight.
type attempt struct {
	send    scheduler.Send
	entry   *entry
	cancel  context.CancelFunc
	verdict chan bool // buffered, so that the loop never waits; true: store the part
	bytes   int64     // of the payload, once it has arrived
}

// feed tells the scheduler what happened and does what it answers. Events that
// come of that follow. Once the run is stopped, or done, nothing new is begun.
func (r *run) feed(ev scheduler.Event) {
	if r.fatal != nil || r.winding {
		return
	}
	if r.events != nil {
		r.events = append(r.events, ev)
		return
	}
	for r.events = []scheduler.Event{ev}; len(r.events) > 0; r.events = r.events[1:] {
		for _, a := range r.core.Handle(time.Now(), r.events[0]) {
			r.act(a)
		}
	}
	r.events = nil
}

func (r *run) act(a scheduler.Action) {
	switch a := a.(type) {
	case scheduler.Start:
		r.start(r.files[a.File])
	case scheduler.Send:
		r.send(a)
	case scheduler.Accept:
		r.attempts[a.Attempt].verdict <- true
	case scheduler.Drop:
		r.drop(r.attempts[a.Attempt])
	case scheduler.Cancel:
		r.attempts[a.Attempt].cancel()
	case scheduler.Refresh:
		r.refresh.want(r.files[a.File])
	case scheduler.Wait:
		r.floodWait(a)
	case scheduler.Learn:
		r.learned(a.Learned)
	case scheduler.Disconnect:
		r.disconnect(a.Pool, a.Conn)
	case scheduler.Complete:
		r.complete(r.files[a.File])
	case scheduler.GiveUp:
		r.fileFailed(r.files[a.File], partError(a.Part, a.Err))
	}
}

// send starts the task of a part.
func (r *run) send(s scheduler.Send) {
	if r.fatal != nil {
		return
	}
	ctx, cancel := context.WithCancel(r.ctx())
	a := &attempt{send: s, entry: r.files[s.File], cancel: cancel, verdict: make(chan bool, 1)}
	r.attempts[s.Attempt] = a
	a.entry.users++
	r.tasks.Go(func() {
		defer cancel()
		r.movePart(ctx, a)
	})
}

// movePart is the task of a part, from request to written bytes.
func (r *run) movePart(ctx context.Context, a *attempt) {
	p, err := a.entry.move(ctx, a.send)
	if err != nil {
		v := r.react(ctx, a.send, err)
		r.post(func() { r.attemptFailed(a, v) })
		return
	}
	r.post(func() { r.arrived(a, p.size()) })
	if !<-a.verdict {
		p.release()
		r.post(func() { r.attemptOver(a) })
		return
	}
	err = p.store()
	p.release()
	r.post(func() { r.stored(a, err) })
	if err == nil {
		p.stored()
	}
	r.post(func() { r.unuse(a.entry) })
}

// arrived takes in that a part's bytes are here.
func (r *run) arrived(a *attempt, bytes int64) {
	a.bytes = bytes
	r.report.Parts++
	r.report.BytesReceived += bytes
	switch {
	case r.fatal != nil:
		a.verdict <- false
	case r.winding: // every file is over: another attempt has brought it
		r.drop(a)
	default:
		r.feed(scheduler.Answered{Attempt: a.send.Attempt})
	}
}

// drop refuses a part that another attempt has brought before.
func (r *run) drop(a *attempt) {
	r.report.PartsRepeated++
	r.report.BytesResent += a.bytes
	a.verdict <- false
}

// attemptOver forgets an attempt.
func (r *run) attemptOver(a *attempt) {
	delete(r.attempts, a.send.Attempt)
	r.unuse(a.entry)
}

// stored takes in that a part's bytes are where they belong, or cannot be.
func (r *run) stored(a *attempt, err error) {
	defer delete(r.attempts, a.send.Attempt)
	e := a.entry
	loss := (*lostError)(nil)
	switch {
	case err == nil:
		e.moved += a.bytes
		e.stored++
		r.meter.add(time.Now(), a.bytes)
	case !r.current(e) || r.fatal != nil:
	case errors.As(err, &loss):
		if r.lost(e, partError(a.send.Part.N, err)); e.again {
			r.report.PartsRepeated++
			r.report.BytesResent += a.bytes
		}
	default:
		r.feed(scheduler.Abort{File: e.id})
		r.fileFailed(e, partError(a.send.Part.N, err))
	}
	r.feed(scheduler.Written{Attempt: a.send.Attempt})
}

// attemptFailed does what react has decided.
func (r *run) attemptFailed(a *attempt, v verdict) {
	defer r.attemptOver(a)
	e := a.entry
	switch {
	case r.fatal != nil && v.failure.Kind == scheduler.Flood: // the next run has to know
		r.recordWait(v.failure.Route.Scope(), time.Now().Add(v.failure.Wait), v.failure.Premium)
	case r.fatal != nil:
	case v.run != nil:
		r.fail(v.run)
	case v.file == nil:
		r.feed(scheduler.Failed{Attempt: a.send.Attempt, Failure: v.failure})
	case r.current(e):
		r.feed(scheduler.Abort{File: e.id})
		r.fileFailed(e, partError(a.send.Part.N, v.file))
	}
}

func partError(n int, err error) error { return fmt.Errorf("part %d: %w", n, err) }
