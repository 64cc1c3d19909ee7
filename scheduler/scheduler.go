// Package scheduler decides which part of which file goes over which
// connection, and when. It is a pure state machine: it is told what happened
// and what time it is, and answers with what to do. It has no clock, starts no
// goroutine and touches neither network nor disk, so the same events give the
// same actions, and whole days run in a test within milliseconds.
//
// The life of a part, seen from here:
//
//  1. Add puts a file into the queue of its pool (DC and use) and lane.
//  2. When a slot is free, Start asks the caller to open the file; Ready
//     answers with the parts that are missing.
//  3. Send names the connection with the fewest bytes in flight, as long as
//     the gate of the scope (DC and method) is open and its window, the
//     connection's window and the byte budget have room.
//  4. Answered is met by Accept for the first answer of a part and by Drop for
//     every other; Failed puts the part back, with the reason's consequence.
//  5. Written gives the part's bytes back to the budget; after the last part
//     comes Complete.
package scheduler

import (
	"errors"
	"math/rand/v2"
	"time"
)

// A FileID names a file to the scheduler. The caller chooses it; it must be
// new for each Add.
type FileID uint64

// An AttemptID names one request for one part. A part may have two attempts
// at a time, when the first one stalls.
type AttemptID uint64

// Use tells apart the pools of connections that one DC has.
type Use uint8

// The uses of a connection.
const (
	Download Use = iota
	Upload
	CDN
)

func (u Use) String() string {
	switch u {
	case Download:
		return "download"
	case Upload:
		return "upload"
	case CDN:
		return "cdn"
	default:
		return "unknown"
	}
}

// A Route says where a file's requests go.
type Route struct {
	DC     int
	Use    Use
	Method string // the method that is called, such as "upload.getFile"
}

// Pool is the set of connections of the route.
func (r Route) Pool() Pool { return Pool{DC: r.DC, Use: r.Use} }

// Scope is what a flood wait on the route holds.
func (r Route) Scope() Scope { return Scope{DC: r.DC, Method: r.Method} }

// A Pool is the connections to one DC for one use.
type Pool struct {
	DC  int
	Use Use
}

// A Scope is what one flood wait holds back: one method at one DC. The
// account is implicit, since each has a scheduler of its own.
type Scope struct {
	DC     int
	Method string
}

// A Part is one piece of a file, the unit of transfer.
type Part struct {
	N    int   // its number
	Size int64 // in bytes: what it takes of windows and budget
}

// Errors that a GiveUp carries when the failure itself brought none.
var (
	ErrAttempts = errors.New("scheduler: too many failed attempts")
	ErrMoves    = errors.New("scheduler: sent from DC to DC too often")
	ErrStale    = errors.New("scheduler: refreshing the file does not help")
)

// Config bounds what the scheduler does. A zero field means its default.
type Config struct {
	// Transfers is how many files may be under way at once, not counting
	// small ones. Files that can do nothing at present (a flood wait, a dead
	// DC, a refresh) do not count, so they cannot hold up the others.
	// Default 4.
	Transfers int
	// SmallTransfers is the same for small files, which need many at once to
	// fill a long line. Default 32 times Transfers.
	SmallTransfers int
	// SmallSize is the greatest size of a small file. Default 1 MiB.
	SmallSize int64
	// Connections is how many connections a pool may use. It begins with
	// fewer. Default 4.
	Connections int
	// ConnWindow bounds the bytes in flight on one connection. How many there
	// are below that follows what the connection delivers. One part always
	// may be. Default 8 MiB.
	ConnWindow int64
	// MaxWindow bounds the bytes in flight in one scope. Default 32 MiB.
	MaxWindow int64
	// Budget bounds the bytes of all parts that are asked for, answered and
	// not yet written, over all DCs. Default 40 MiB: a third of a second of a gigabit line.
	Budget int64
	// Attempts is how often one part may meet server trouble before its file
	// is given up, BadAnswers how often an answer that cannot be right.
	// Defaults 8 and 3.
	Attempts, BadAnswers int
	// Margin is added to each flood wait, since the server's clock decides
	// when it is over. It must be below a second. Default 100 ms.
	Margin time.Duration
	// MinDeadline and MaxDeadline bound the time after which a part that has
	// no answer is asked for a second time. Defaults 8 s and 60 s.
	MinDeadline, MaxDeadline time.Duration
	// Seed feeds the jitter of retries.
	Seed uint64
}

// The longest and shortest pauses before something is tried again, and other
// bounds that nobody has asked to set.
const (
	minBackoff = time.Second
	maxBackoff = time.Minute
	maxMoves   = 10 // moves of a file without a part between them
	maxStale   = 3  // refreshes of a file without a part between them
)

func (c Config) withDefaults() Config {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def64 := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	dur := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&c.Transfers, 4)
	def(&c.SmallTransfers, 32*c.Transfers)
	def64(&c.SmallSize, 1<<20)
	def(&c.Connections, 4)
	def64(&c.ConnWindow, 8<<20)
	def64(&c.MaxWindow, 32<<20)
	def64(&c.Budget, 40<<20)
	def(&c.Attempts, 8)
	def(&c.BadAnswers, 3)
	dur(&c.Margin, 100*time.Millisecond)
	dur(&c.MinDeadline, 8*time.Second)
	dur(&c.MaxDeadline, time.Minute)
	c.MaxDeadline = max(c.MaxDeadline, c.MinDeadline)
	return c
}

// A Core is the state machine. It is not safe for concurrent use: one
// goroutine feeds it.
type Core struct {
	cfg Config
	rng *rand.Rand
	now time.Time // of the last event; never goes back

	files  map[FileID]*file
	seq    uint64 // order of arrival of the next file
	starts uint64 // files started so far
	newest *file  // of the active ones, which are started and not over
	cursor uint64 // the next round begins with the first file that started as this one, or later

	starting, paused lanes // active files in these states
	delayed          pile[*part, byTime]

	queues []*queue // one for each pool and lane, in order of first use
	tracks []*track // one for each route, in order of first use
	pools  []*pool  // in order of first use
	gates  []*gate  // in order of first use
	limits limits

	// flying holds every attempt that is not answered, in order of sending.
	flying      []*attempt
	deadlines   pile[*attempt, byDeadline] // of flying, those that are not overdue
	writing     map[AttemptID]*attempt     // accepted, bytes not written yet
	nextAttempt AttemptID

	// held is the bytes of all attempts that reserve a buffer: sent and not
	// overdue, or accepted and not written. Invariant: it exceeds the budget
	// by at most one part, when nothing else is held.
	held int64

	out   []Action   // of the event being handled
	spare []*attempt // over, for other requests
}

// New returns a scheduler without files.
func New(cfg Config) *Core {
	cfg = cfg.withDefaults()
	return &Core{
		cfg:     cfg,
		rng:     rand.New(rand.NewPCG(cfg.Seed, 0x6861756c)),
		files:   make(map[FileID]*file),
		writing: make(map[AttemptID]*attempt),
	}
}

// Handle takes in what happened at the time now and returns what to do, in
// that order. The slice is the caller's. A time before the one of the last
// event counts as that one.
func (c *Core) Handle(now time.Time, e Event) []Action { return c.Append(nil, now, e) }

// Append is Handle, but appends what to do to actions, whose memory is the caller's.
func (c *Core) Append(actions []Action, now time.Time, e Event) []Action {
	if now.After(c.now) {
		c.now = now
	}
	c.out = actions
	switch e := e.(type) {
	case Add:
		c.add(e)
	case Ready:
		c.ready(e)
	case Abort:
		c.abort(e)
	case Resume:
		c.resume(e)
	case *Answered:
		c.answered(*e)
	case Answered:
		c.answered(e)
	case *Written:
		c.written(*e)
	case Written:
		c.written(e)
	case Failed:
		c.failed(e)
	case Hold:
		c.hold(e)
	case Recall:
		c.recall(e)
	case SetLimits:
		c.setLimits(e)
	case Tick:
	}
	c.overdue()
	c.pump()
	c.adapt()
	actions, c.out = c.out, nil
	return actions
}

// adapt has each pool look whether it has the right number of connections.
func (c *Core) adapt() {
	for _, p := range c.pools {
		p.adapt(c.now)
	}
}

// Queued is how many files wait for a slot.
func (c *Core) Queued() int {
	n := 0
	for _, q := range c.queues {
		n += q.len()
	}
	return n
}

// Files is how many files are neither complete nor given up.
func (c *Core) Files() int { return len(c.files) }

// Held is how many bytes of buffers are reserved; 0 when nothing is under way.
func (c *Core) Held() int64 { return c.held }

// Wake is the next moment at which something becomes due without an event;
// false if there is none. The caller sends Tick then.
func (c *Core) Wake() (time.Time, bool) {
	var at time.Time
	earlier := func(t time.Time) {
		if t.After(c.now) && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	for _, g := range c.gates {
		earlier(g.ready(c.now))
	}
	for _, u := range []Use{Download, Upload} {
		earlier(c.limits.ready(c.now, u))
	}
	for _, p := range c.pools {
		for i := range p.conns {
			earlier(p.conns[i].downUntil)
		}
	}
	if len(c.delayed) > 0 {
		earlier(c.delayed[0].notBefore)
	}
	if len(c.deadlines) > 0 {
		earlier(c.deadlines[0].deadline)
	}
	return at, !at.IsZero()
}

// room is how large a part the budget lets go.
func (c *Core) room() int64 {
	if c.held == 0 {
		return noBound
	}
	return c.cfg.Budget - c.held
}

// backoff is the pause before the n-th retry, n from 1: doubling, with jitter
// so that what failed together does not come back together.
func (c *Core) backoff(n int) time.Duration {
	d := maxBackoff
	if n < 7 {
		d = minBackoff << (n - 1)
	}
	return min(d/2+time.Duration(c.rng.Int64N(int64(d))), maxBackoff)
}
