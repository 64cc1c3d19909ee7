package scheduler

import (
	"fmt"
	"time"
)

// A twin watches the events and actions of a Core and says what is wrong with
// them. It is deliberately dumb: it keeps the whole history in lists and
// counts everything anew each time.
type twin struct {
	events   int // seen
	cfg      Config
	now      time.Time
	files    map[FileID]*twinFile
	attempts []*twinAttempt
	holds    map[Scope]time.Time // until when a flood wait, as the server said
	rest     map[Pool]map[int]time.Time
}

type twinFile struct {
	started, ready, over bool
	refreshing           bool
	parts                map[int]int64 // missing, by number
	written              map[int]int   // how often
	accepted             map[int]int
	small                bool
	pool                 Pool
	priority             int64
	arrival              int
}

type twinAttempt struct {
	Send
	sent                                time.Time
	answered, accepted, cancelled, done bool
	lost                                bool // its connection was given up
}

func newTwin(cfg Config) *twin {
	return &twin{
		cfg: cfg.withDefaults(), files: make(map[FileID]*twinFile),
		holds: make(map[Scope]time.Time), rest: make(map[Pool]map[int]time.Time),
	}
}

func (w *twin) attempt(id AttemptID) *twinAttempt {
	for _, a := range w.attempts {
		if a.Attempt == id {
			return a
		}
	}
	return nil
}

// event takes in what the core is told.
func (w *twin) event(now time.Time, e Event) {
	w.now = now
	switch e := e.(type) {
	case Add:
		w.files[e.File] = &twinFile{
			written: make(map[int]int), accepted: make(map[int]int),
			small: e.Size <= w.cfg.SmallSize, pool: e.Route.Pool(), priority: e.Priority, arrival: len(w.files),
		}
	case Ready:
		f := w.files[e.File]
		f.ready = true
		f.parts = make(map[int]int64)
		for _, p := range e.Parts {
			f.parts[p.N] = p.Size
		}
	case Abort:
		w.files[e.File].over = true
	case Resume:
		w.files[e.File].refreshing = false
	case Answered:
		if a := w.attempt(e.Attempt); a != nil { // else cancelled long ago
			a.answered = true
		}
	case Written:
		a := w.attempt(e.Attempt)
		a.done = true
		w.files[a.File].written[a.Part.N]++
	case Failed:
		w.failed(e)
	case Hold:
		w.holds[e.Scope] = e.Until
	case Recall, SetLimits, Tick:
	}
}

func (w *twin) failed(e Failed) {
	if e.Failure.Kind == Flood { // it holds, whatever has become of the attempt
		s := e.Failure.Route.Scope()
		if until := w.now.Add(e.Failure.Wait); until.After(w.holds[s]) {
			w.holds[s] = until
		}
	}
	a := w.attempt(e.Attempt)
	if a == nil || a.cancelled {
		return
	}
	a.answered = true
	switch e.Failure.Kind {
	case ConnLost:
		p := a.Route.Pool()
		if w.rest[p] == nil {
			w.rest[p] = make(map[int]time.Time)
		}
		w.rest[p][a.Conn] = w.now.Add(minBackoff / 2)
	default:
	}
}

// action takes in what the core wants, and returns what is wrong with it.
func (w *twin) action(a Action) error {
	switch a := a.(type) {
	case Start:
		f := w.files[a.File]
		if f.started || f.over {
			return fmt.Errorf("file %d started twice, or after its end", a.File)
		}
		for id, o := range w.files {
			if o.started || o.over || o.small != f.small || o.pool != f.pool {
				continue
			}
			if o.priority > f.priority || o.priority == f.priority && o.arrival < f.arrival {
				return fmt.Errorf("file %d started before file %d", a.File, id)
			}
		}
		f.started = true
	case *Send:
		return w.send(*a)
	case *Accept:
		t := w.attempt(a.Attempt)
		if t == nil {
			return fmt.Errorf("attempt %d accepted after it was cancelled", a.Attempt)
		}
		t.accepted = true
		f := w.files[t.File]
		if f.accepted[t.Part.N]++; f.accepted[t.Part.N] != 1 || f.over || t.cancelled {
			return fmt.Errorf("part %d of file %d accepted %d times, or late", t.Part.N, t.File, f.accepted[t.Part.N])
		}
	case Cancel:
		t := w.attempt(a.Attempt)
		if t.answered || t.cancelled {
			return fmt.Errorf("attempt %d cancelled after its end", a.Attempt)
		}
		t.cancelled = true
	case Refresh:
		f := w.files[a.File]
		if f.refreshing {
			return fmt.Errorf("file %d refreshed while it is being refreshed", a.File)
		}
		f.refreshing = true
	case Complete:
		f := w.files[a.File]
		for n := range f.parts {
			if f.written[n] != 1 {
				return fmt.Errorf("file %d complete with part %d written %d times", a.File, n, f.written[n])
			}
		}
		if !f.ready || f.over {
			return fmt.Errorf("file %d complete before it was ready, or twice", a.File)
		}
		f.over = true
	case GiveUp:
		if w.files[a.File].over || a.Err == nil {
			return fmt.Errorf("file %d given up after its end, or without a reason", a.File)
		}
		w.files[a.File].over = true
	case Disconnect:
		for _, t := range w.attempts {
			if t.Route.Pool() == a.Pool && t.Conn == a.Conn && !t.answered && !t.cancelled {
				t.lost = true // Cancel has to follow
			}
		}
	case Drop, Wait, Learn:
	}
	return nil
}

func (w *twin) send(s Send) error {
	f := w.files[s.File]
	size, missing := f.parts[s.Part.N]
	switch {
	case !f.ready || f.over || f.refreshing:
		return fmt.Errorf("file %d cannot send", s.File)
	case !missing || size != s.Part.Size || f.accepted[s.Part.N] > 0:
		return fmt.Errorf("part %d of file %d is not missing", s.Part.N, s.File)
	case w.holds[s.Route.Scope()].After(w.now):
		return fmt.Errorf("request inside a wait that ends in %v", w.holds[s.Route.Scope()].Sub(w.now))
	case w.rest[s.Route.Pool()][s.Conn].After(w.now):
		return fmt.Errorf("request on connection %d, which rests", s.Conn)
	case s.Conn < 0 || s.Conn >= w.cfg.Connections:
		return fmt.Errorf("connection %d", s.Conn)
	}
	w.attempts = append(w.attempts, &twinAttempt{Send: s, sent: w.now})
	same := 0
	for _, a := range w.attempts {
		if a.File == s.File && a.Part.N == s.Part.N && !a.answered && !a.cancelled {
			same++
		}
	}
	if same > 2 || same > 1 != s.Reissue {
		return fmt.Errorf("part %d of file %d is asked for %d times at once, reissue %v", s.Part.N, s.File, same, s.Reissue)
	}
	return nil
}

// check looks at the state that the core should be in after an event.
func (w *twin) check(c *Core) error {
	if w.events++; w.events%8 == 0 { // it counts everything again
		if err := checkCounts(c); err != nil {
			return err
		}
	}
	for _, a := range w.attempts {
		if a.lost && !a.cancelled {
			return fmt.Errorf("attempt %d is on a connection that was given up", a.Attempt)
		}
	}
	var held int64
	perGate := make(map[Scope]int64)
	perConn := make(map[Pool][]int64)
	parts := make(map[Scope]int)
	for _, a := range w.attempts {
		live := !a.answered && !a.cancelled && !w.overdue(c, a)
		if live || a.accepted && !a.done {
			held += a.Part.Size
		}
		if !live {
			continue
		}
		perGate[a.Route.Scope()] += a.Part.Size
		parts[a.Route.Scope()]++
		if perConn[a.Route.Pool()] == nil {
			perConn[a.Route.Pool()] = make([]int64, w.cfg.Connections)
		}
		perConn[a.Route.Pool()][a.Conn] += a.Part.Size
	}
	if held != c.Held() {
		return fmt.Errorf("core holds %d bytes, twin %d", c.Held(), held)
	}
	if held > w.cfg.Budget && len(w.attempts) > 1 {
		return fmt.Errorf("%d bytes held, budget %d", held, w.cfg.Budget)
	}
	for _, g := range c.gates {
		if got := perGate[g.scope]; got != g.inFlight || got > w.cfg.MaxWindow {
			return fmt.Errorf("gate %v: %d bytes in flight, twin %d", g.scope, g.inFlight, got)
		}
	}
	for _, p := range c.pools {
		for i := range p.conns {
			var want int64
			if l := perConn[p.id]; l != nil {
				want = l[i]
			}
			if p.conns[i].inFlight != want {
				return fmt.Errorf("connection %d of %v: %d bytes in flight, twin %d", i, p.id, p.conns[i].inFlight, want)
			}
		}
	}
	return nil
}

// overdue asks the core, whose deadlines the twin does not know.
func (w *twin) overdue(c *Core, a *twinAttempt) bool {
	for _, f := range c.flying {
		if f.id == a.Attempt {
			return f.overdue
		}
	}
	return false
}

// forgetOld keeps the lists of long runs short.
func (w *twin) forgetOld() {
	keep := w.attempts[:0]
	for _, a := range w.attempts {
		if a.cancelled || a.answered && (!a.accepted || a.done) {
			continue
		}
		keep = append(keep, a)
	}
	w.attempts = keep
}
