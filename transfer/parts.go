package transfer

import (
	"context"
	"fmt"
	"time"

	"github.com/tghaul/haul/scheduler"
)

// An attempt is a part in flight, with the task that moves it. When it is over
// it rests, and then serves another part, with what was made for it once. One
// that was cancelled serves no other: its context has ended.
//
// The loop sets send and entry before it gives the task a token, and the task
// sets the other fields of the part before it posts; so neither needs a lock.
type attempt struct {
	tokens    chan struct{} // of size 1: one for each part; closed when no other comes
	cancel    context.CancelFunc
	cancelled bool
	verdict   chan bool // of size 1, so that the loop never waits; true: store the part
	scratch   scratch   // the task's alone

	send     scheduler.Send
	answered scheduler.Answered
	written  scheduler.Written
	entry    *entry
	bytes    int64   // of the payload, once it has arrived
	failed   verdict // why none has
	err      error   // of storing it

	posts posts
}

// posts are what the task of an attempt posts.
type posts struct{ arrived, over, failed, stored, rest func() }

// feed tells the scheduler what happened and does what it answers. Events that
// come of that follow. Once the run is stopped, or done, nothing new is begun.
func (r *run) feed(ev scheduler.Event) {
	if r.fatal != nil || r.winding {
		return
	}
	if r.feeding {
		r.events = append(r.events, ev)
		return
	}
	r.feeding = true
	r.events = append(r.events, ev)
	for i := 0; i < len(r.events); i++ { // it grows meanwhile
		r.actions = r.core.Append(r.actions[:0], time.Now(), r.events[i])
		for _, a := range r.actions {
			r.act(a)
		}
	}
	clear(r.events)
	r.events, r.feeding = r.events[:0], false
}

func (r *run) act(a scheduler.Action) {
	switch a := a.(type) {
	case scheduler.Start:
		r.start(r.files[a.File])
	case *scheduler.Send:
		r.send(*a)
	case *scheduler.Accept:
		r.attempts[a.Attempt].verdict <- true
	case scheduler.Drop:
		r.drop(r.attempts[a.Attempt])
	case scheduler.Cancel:
		r.cancel(r.attempts[a.Attempt])
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

// send has a part moved by an attempt that rests, or a new one.
func (r *run) send(s scheduler.Send) {
	if r.fatal != nil {
		return
	}
	var a *attempt
	if n := len(r.resting); n > 0 {
		a, r.resting = r.resting[n-1], r.resting[:n-1]
	} else {
		a = r.newAttempt()
	}
	a.send, a.entry = s, r.files[s.File]
	r.attempts[s.Attempt] = a
	a.entry.users++
	a.tokens <- struct{}{}
}

// newAttempt makes an attempt and starts its task.
func (r *run) newAttempt() *attempt {
	ctx, cancel := context.WithCancel(r.ctx())
	a := &attempt{tokens: make(chan struct{}, 1), cancel: cancel, verdict: make(chan bool, 1)}
	a.posts = posts{
		arrived: func() { r.arrived(a) },
		over:    func() { r.attemptOver(a) },
		failed:  func() { r.attemptFailed(a) },
		stored:  func() { r.stored(a) },
		rest:    func() { r.rest(a) },
	}
	r.tasks.Go(func() {
		defer cancel()
		for range a.tokens {
			r.movePart(ctx, a)
			a.scratch = scratch{} // what rests holds on to nothing
		}
	})
	return a
}

// cancel ends the context of an attempt.
func (r *run) cancel(a *attempt) {
	a.cancelled = true
	a.cancel()
}

// rest lets an attempt go whose part is done with, for another one.
func (r *run) rest(a *attempt) {
	e := a.entry
	a.entry, a.failed, a.err = nil, verdict{}, nil
	if r.winding || a.cancelled {
		close(a.tokens)
	} else {
		r.resting = append(r.resting, a)
	}
	r.unuse(e)
}

// dismiss ends the tasks of the attempts that rest.
func (r *run) dismiss() {
	for _, a := range r.resting {
		close(a.tokens)
	}
	r.resting = nil
}

// movePart moves one part, from request to written bytes.
func (r *run) movePart(ctx context.Context, a *attempt) {
	p, err := a.entry.move(ctx, a.send, &a.scratch)
	if err != nil {
		a.failed = r.react(ctx, a.send, err)
		r.post(a.posts.failed)
		return
	}
	a.bytes = p.size()
	r.post(a.posts.arrived)
	if !<-a.verdict {
		p.release()
		r.post(a.posts.over)
		return
	}
	a.err = p.store()
	p.release()
	ok := a.err == nil
	r.post(a.posts.stored)
	if ok {
		p.stored()
	}
	r.post(a.posts.rest)
}

// arrived takes in that a part's bytes are here.
func (r *run) arrived(a *attempt) {
	r.report.Parts++
	r.report.BytesReceived += a.bytes
	switch {
	case r.fatal != nil:
		a.verdict <- false
	case r.winding: // every file is over: another attempt has brought it
		r.drop(a)
	default:
		a.answered.Attempt = a.send.Attempt
		r.feed(&a.answered)
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
	r.rest(a)
}

// stored takes in that a part's bytes are where they belong, or cannot be.
func (r *run) stored(a *attempt) {
	defer delete(r.attempts, a.send.Attempt)
	e, err := a.entry, a.err
	switch {
	case err == nil:
		e.moved += a.bytes
		e.stored++
		r.meter.add(time.Now(), a.bytes)
	case !r.current(e) || r.fatal != nil:
	case isLost(err):
		if r.lost(e, partError(a.send.Part.N, err)); e.again {
			r.report.PartsRepeated++
			r.report.BytesResent += a.bytes
		}
	default:
		r.feed(scheduler.Abort{File: e.id})
		r.fileFailed(e, partError(a.send.Part.N, err))
	}
	a.written.Attempt = a.send.Attempt
	r.feed(&a.written)
}

// attemptFailed does what react has decided.
func (r *run) attemptFailed(a *attempt) {
	defer r.attemptOver(a)
	e, v := a.entry, a.failed
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
