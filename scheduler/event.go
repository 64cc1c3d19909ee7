package scheduler

import "time"

// An Event is something that happened: one of the types below. Answered and
// Written, which come with every part, may also be given by pointer, which is
// not kept: so a caller need not allocate them.
type Event interface{ event() }

// Add puts a file into the queue: before those of a lower priority, and behind
// those of its own.
type Add struct {
	File     FileID
	Route    Route
	Size     int64 // in bytes; decides the lane
	Priority int64
}

// Ready answers Start: the file is open and these parts are missing. With
// none missing, Complete follows at once.
type Ready struct {
	File  FileID
	Parts []Part
}

// Abort removes a file, in whatever state. Its attempts are cancelled.
type Abort struct{ File FileID }

// Resume answers Refresh: the file may go on. A Route other than the zero one
// replaces the file's.
type Resume struct {
	File  FileID
	Route Route
}

// Answered reports a good answer to an attempt: the caller has checked that
// it is what was asked for.
type Answered struct{ Attempt AttemptID }

// Written reports that an accepted part's bytes are where they belong and its
// buffer is free.
type Written struct{ Attempt AttemptID }

// Failed reports that an attempt brought no part.
type Failed struct {
	Attempt AttemptID
	Failure Failure
}

// Hold closes a scope until a moment, as learned in an earlier run.
type Hold struct {
	Scope   Scope
	Until   time.Time
	Premium bool
}

// Recall tells of a limit that was learned in an earlier run.
type Recall struct {
	Learned
	Age time.Duration // since the earlier run noted it
}

// SetLimits replaces the user's limits.
type SetLimits struct{ Limits }

// Tick only tells the time.
type Tick struct{}

func (Add) event()       {}
func (Ready) event()     {}
func (Abort) event()     {}
func (Resume) event()    {}
func (Answered) event()  {}
func (Written) event()   {}
func (Failed) event()    {}
func (Hold) event()      {}
func (Recall) event()    {}
func (SetLimits) event() {}
func (Tick) event()      {}

// A Kind of failure decides what follows from it.
type Kind uint8

// The kinds of failure.
const (
	// Trouble is the server's own: 500, -503. The part is tried again later,
	// Config.Attempts times at most.
	Trouble Kind = iota
	// BadAnswer is an answer that cannot be right, such as a short part in
	// the middle of a file. Config.BadAnswers of them end the file.
	BadAnswer
	// Flood is a wait: Wait holds the scope.
	Flood
	// ConnLost is the end of the attempt's connection. Every part on it goes
	// back to the queue; the connection rests for a moment.
	ConnLost
	// Moved sends the whole file to Route.
	Moved
	// Stale pauses the file until Resume: its reference has to be refreshed.
	Stale
	// Again is nobody's fault: the part goes back to the queue and counts
	// for nothing.
	Again
)

// A Failure says why an attempt brought no part.
type Failure struct {
	Kind    Kind
	Wait    time.Duration // of Flood
	Premium bool          // of Flood: the wait is one that Premium accounts do not get
	Route   Route         // of Moved: where to; of Flood: what it holds, should the attempt be forgotten
	Err     error         // carried by GiveUp
}

// An Action is something to do: one of the types below. Send and Accept, which
// come with every part, are pointers to memory of the Core, which is valid until
// Written is reported of their attempt.
type Action interface{ action() }

// Start asks to open a file and to answer Ready, or Abort.
type Start struct{ File FileID }

// Send asks to request a part over a connection of the route's pool, and to
// answer with exactly one of Answered and Failed.
type Send struct {
	Attempt AttemptID
	File    FileID
	Part    Part
	Route   Route
	Conn    int  // 0 … Connections-1
	Reissue bool // an earlier attempt for the part stalls
}

// Accept answers Answered: the part is wanted; write it and report Written.
type Accept struct{ Attempt AttemptID }

// Drop answers Answered: another attempt came first, or the file is gone.
type Drop struct{ Attempt AttemptID }

// Cancel asks to give up waiting for an attempt. What still comes of it is
// ignored.
type Cancel struct{ Attempt AttemptID }

// Refresh says that a file is paused and its reference has to be refreshed;
// Resume or Abort answers it. It is given once, however many parts failed.
type Refresh struct{ File FileID }

// WaitSlack is by how much a wait has to become longer to be told again:
// requests that were under way when it began are told moments a little later.
// Who keeps a Wait for another run adds it to Until.
const WaitSlack = 500 * time.Millisecond

// Wait says that a flood wait has begun, or has become longer by WaitSlack.
type Wait struct {
	Scope   Scope
	For     time.Duration // what the server asked for
	Until   time.Time     // when the scope opens again
	Premium bool
}

// Learn says that the server has taught something about a limit.
type Learn struct{ Learned }

// Disconnect says that a connection with nothing in flight any more is of no
// use: it stalls while others answer, or it has made nothing faster.
type Disconnect struct {
	Pool Pool
	Conn int
}

// Complete says that every part of a file is written.
type Complete struct{ File FileID }

// GiveUp says that a file has failed for good at a part. It is forgotten.
type GiveUp struct {
	File FileID
	Part int
	Err  error // never nil
}

func (Start) action()      {}
func (*Send) action()      {}
func (*Accept) action()    {}
func (Drop) action()       {}
func (Cancel) action()     {}
func (Refresh) action()    {}
func (Wait) action()       {}
func (Learn) action()      {}
func (Disconnect) action() {}
func (Complete) action()   {}
func (GiveUp) action()     {}
