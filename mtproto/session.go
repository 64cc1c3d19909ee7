package mtproto

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/mtproto/transport"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/mt"
	"github.com/tghaul/haul/tl/schema"
)

const apiLayer = schema.Layer

// A Session is a logical session with one DC. It outlives connections: when
// one breaks, another is opened and unanswered calls go on. Its methods may be
// called concurrently.
type Session struct {
	opts   Options
	frames framePool
	counts counters
	rtt    atomic.Int64 // nanoseconds, of the last ping
	// received counts the bytes that came over all connections.
	received atomic.Int64
	stop     context.CancelFunc
	renewals sync.WaitGroup // what replaces temporary keys; run waits for it
	done     chan struct{}  // closed when nothing of the session runs any more
	ready    chan struct{}  // closed at the first connection that can carry calls
	wake     chan struct{}  // of size 1: there is something to write

	mu      sync.Mutex
	err     error // why the session ended
	closing bool
	perm    KeyState
	temp    *tempKey // nil without PFS
	claimed bool     // the session sees to the temporary key, for all who share it
	// leaving is since when the connection is left for one with another
	// temporary key; zero while it is not.
	leaving time.Time
	id      int64 // session_id
	clock   clock
	content int32 // content-related messages sent
	window  replayWindow
	salt    int64
	salts   []FutureSalt
	calls   map[int64]*call   // sent and unanswered, by msg_id
	queue   []*call           // to be sent, in order
	spare   []*call           // finished, for other queries
	bind    *call             // auth.bindTempAuthKey, which goes before everything
	acks    []int64           // to be acknowledged
	service []serviceMsg      // service messages to be sent
	states  map[int64][]int64 // msgs_state_req under way: the ids that each asks about
	sent    recentIDs         // ids of messages sent in this session
	inited  bool              // an API call was answered on this session and key
	badSalt int               // bad_server_salt answers in a row
	created map[int64]bool    // unique_ids of new_session_created
	active  Endpoint
	// answered: something that passed every check came over this connection.
	answered bool
	unknown  int // -404 answers in a row to a fresh connection
	refused  int // times in a row that the proxy would not have us
	pings    map[int64]time.Time
	asked    time.Time // when future salts were asked for
	linked   bool      // a connection is being served
	heard    time.Time // when the server last answered something on this connection
	heardAt  int64     // what received was then
	// youngest is when the call was sent that was sent last of those answered.
	youngest time.Time
	// destroyed, of size 1, gets the answer to destroy_auth_key; nil until asked for.
	destroyed chan tl.Object
}

// Connect opens a session. It returns once a connection stands and the key is
// made, or with the reason why not; ctx bounds that, not the session.
func Connect(ctx context.Context, o Options) (*Session, error) {
	o.setDefaults()
	if len(o.Endpoints) == 0 {
		return nil, errors.New("mtproto: no endpoint to connect to")
	}
	s := &Session{
		opts: o, done: make(chan struct{}), ready: make(chan struct{}), wake: make(chan struct{}, 1),
		perm: o.Key, salt: o.Key.Salt, salts: o.Key.Salts, calls: map[int64]*call{},
		pings: map[int64]time.Time{}, active: o.Endpoints[0],
	}
	s.resetSessionLocked()
	s.clock = newClock(time.Now(), o.Key.TimeOffset)
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	var started sync.WaitGroup
	started.Go(func() { s.run(run) })
	select {
	case <-s.ready:
		return s, nil
	case <-s.done:
		return nil, s.Err()
	case <-ctx.Done():
		reason := s.lastError()
		_ = s.Close()
		if reason != nil {
			return nil, fmt.Errorf("%w: %w", ctx.Err(), reason)
		}
		return nil, ctx.Err()
	}
}

// Close ends the session and waits for its goroutines. Calls under way return
// ErrClosed. It may be called more than once.
func (s *Session) Close() error {
	s.mu.Lock()
	s.closing = true
	linked := s.linked
	s.mu.Unlock()
	if linked { // let the last acknowledgements out
		s.signal()
		select {
		case <-s.done:
		case <-time.After(closeTimeout):
		}
	}
	s.stop()
	<-s.done
	return nil
}

// Done is closed when the session has ended, by Close or by a fatal error.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err is why the session ended: ErrClosed after Close, nil while it lives.
func (s *Session) Err() error {
	select {
	case <-s.done:
		return s.lastError()
	default:
		return nil
	}
}

func (s *Session) lastError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// KeyState is what a later session needs to go on with the same key.
func (s *Session) KeyState() KeyState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keyStateLocked()
}

func (s *Session) keyStateLocked() KeyState {
	k := s.perm
	k.TimeOffset = s.clock.offset(time.Now())
	if !s.opts.PFS { // a temporary key has salts of its own
		k.Salt, k.Salts = s.salt, slices.Clone(s.salts)
	}
	return k
}

// Endpoint is the address that the session uses now.
func (s *Session) Endpoint() Endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.active
}

// Stats counts what the session did.
func (s *Session) Stats() Stats { return s.counts.stats() }

// RTT is the round-trip time of the last ping, 0 before the first.
func (s *Session) RTT() time.Duration { return time.Duration(s.rtt.Load()) }

// resetSessionLocked starts a new session_id: everything that belongs to the
// old one is void, and calls go out again under new ids.
func (s *Session) resetSessionLocked() {
	var b [8]byte
	for s.id = 0; s.id == 0; s.id = int64(binary.LittleEndian.Uint64(b[:])) {
		_, _ = rand.Read(b[:]) // never fails
	}
	s.content, s.inited, s.badSalt = 0, false, 0
	s.window, s.sent, s.created = replayWindow{}, recentIDs{}, map[int64]bool{}
	s.acks, s.service, s.states = nil, nil, map[int64][]int64{}
	s.requeueLocked(func(*call) bool { return true })
}

// requeueLocked takes sent calls back into the queue, oldest first, before
// those that were never sent.
func (s *Session) requeueLocked(which func(*call) bool) {
	var again []*call
	for id, c := range s.calls {
		if which(c) {
			delete(s.calls, id)
			again = append(again, c)
		}
	}
	slices.SortFunc(again, func(a, b *call) int { return int(min(max(a.msgID-b.msgID, -1), 1)) })
	for _, c := range again {
		c.msgID, c.container, c.acked, c.sentAt, c.asked = 0, 0, false, time.Time{}, time.Time{}
		s.counts.resent.Add(1)
	}
	s.queue = append(again, s.queue...)
	if len(again) > 0 {
		s.signal()
	}
}

func (s *Session) enqueue(c *call) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing || s.err != nil && s.ended() {
		return s.endErrorLocked()
	}
	s.queue = append(s.queue, c)
	s.signal()
	return nil
}

func (s *Session) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

func (s *Session) endErrorLocked() error {
	if s.err != nil && s.ended() {
		return s.err
	}
	return ErrClosed
}

// signal wakes the writer. It never blocks.
func (s *Session) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// cancel takes a call out and tells the server to drop its answer. It reports
// whether the call was still open.
func (s *Session) cancel(c *call) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.queue, c); i >= 0 {
		s.queue = slices.Delete(s.queue, i, i+1)
		return true
	}
	if s.calls[c.msgID] != c {
		return false
	}
	delete(s.calls, c.msgID)
	s.serviceLocked(&mt.RpcDropAnswerRequest{ReqMsgID: c.msgID})
	return true
}

// run is the life of the session: one connection after the other.
func (s *Session) run(ctx context.Context) {
	err := s.connections(ctx)
	s.stop()
	s.renewals.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	for id, c := range s.calls {
		delete(s.calls, id)
		c.finish(outcome{err: err})
	}
	for _, c := range s.queue {
		c.finish(outcome{err: err})
	}
	s.queue = nil
	close(s.done)
}

// Pauses between attempts to connect.
const (
	backoffStart   = 200 * time.Millisecond
	backoffMax     = 15 * time.Second
	backoffCrowded = 4 * time.Second // after -429, besides what the Crowd demands
	steady         = 30 * time.Second
	maxUnknown     = 2 // -404 on this many fresh connections: the key is gone
)

func (s *Session) connections(ctx context.Context) error {
	pause := backoffStart
	for {
		start := time.Now()
		err := s.connection(ctx)
		if ctx.Err() != nil || errors.Is(err, ErrClosed) {
			return ErrClosed
		}
		if fatal := s.fatal(err); fatal != nil {
			return fatal
		}
		s.opts.Log.Debug("connection ended", "dc", s.opts.Endpoints[0].DC, "reason", err)
		s.mu.Lock()
		s.err = err // for Connect, which may have to say why it gave up
		s.mu.Unlock()
		s.counts.reconnects.Add(1)
		var status *transport.Error
		switch {
		case errors.Is(err, errRestart):
			continue
		case errors.As(err, &status) && status.Code == -429:
			s.opts.Crowd.refused(time.Now())
			pause = max(pause, backoffCrowded)
		case time.Since(start) > steady:
			pause = backoffStart
		}
		timer := time.NewTimer(pause/2 + mathrand.N(pause))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ErrClosed
		case <-timer.C:
		}
		pause = min(2*pause, backoffMax)
	}
}

// fatal decides whether an error ends the session. A -404 may be forged, so it
// counts only when a fresh connection confirms it.
func (s *Session) fatal(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var status *transport.Error
	switch {
	case errors.Is(err, ErrNoPublicKey), errors.Is(err, ErrKeyUnknown), errors.Is(err, ErrUnreached), s.proxyRefusesLocked(err):
		return err
	case errors.Is(err, ErrSecurity) && s.perm.Key == nil:
		return err // the exchange itself: nothing to fall back to
	case errors.As(err, &status) && status.Code == -444:
		return fmt.Errorf("mtproto: wrong DC id or environment (%w)", err)
	case errors.As(err, &status) && status.Code == -404:
		if s.temp != nil {
			s.loseTempLocked() // nothing else is lost
			return nil
		}
		if s.unknown++; s.unknown >= maxUnknown && s.perm.Key != nil {
			return ErrKeyUnknown
		}
	}
	return nil
}

// prepareKeys makes the keys that are missing, on link.
func (s *Session) prepareKeys(ctx context.Context, link *transport.Conn, e Endpoint) (*crypto.AuthKey, error) {
	s.mu.Lock()
	perm := s.perm.Key
	s.mu.Unlock()
	if perm == nil {
		r, err := Exchange(ctx, link, ExchangeConfig{Keys: s.opts.PublicKeys, DC: e.WireDC(), Rand: s.opts.Rand})
		if err != nil {
			return nil, err
		}
		perm = r.Key
		s.mu.Lock()
		s.perm = KeyState{Key: r.Key, Created: time.Now()}
		s.adoptKeyLocked(r)
		state := s.keyStateLocked()
		s.mu.Unlock()
		s.opts.OnKey(state)
	}
	if !s.opts.PFS {
		return perm, nil
	}
	return s.takeTemp(ctx, link, e, perm)
}

// adoptKeyLocked starts over with a key just made.
func (s *Session) adoptKeyLocked(r *KeyResult) {
	s.salt, s.salts = r.Salt, nil
	s.clock = newClock(time.Now(), r.TimeOffset)
	s.clock.synced = true
	s.resetSessionLocked()
}
