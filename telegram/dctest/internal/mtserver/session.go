package mtserver

import (
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/tghaul/haul/tl"
)

const (
	maxRunning      = 128              // handlers of one session at a time
	maxWaiting      = 4096             // queries of one session begun or waiting; more is -429
	maxUnwritten    = 32 << 20         // bytes of answers that wait for the connection; handlers wait for room
	maxKept         = 64 << 20         // bytes of answers kept until acknowledged
	maxPushed       = 1000             // updates kept for a session without a connection
	keptMessages    = 2048             // received messages remembered at least
	sessionLifetime = 15 * time.Minute // without a connection, until the server forgets it
	ackDelay        = 200 * time.Millisecond
	ackBatch        = 64 // this many waiting acks are sent at once
)

// A sessionKey names a session: it belongs to one auth key.
type sessionKey struct{ key, id int64 }

// A Session is the server's side of one session: what was received, what was
// sent and is not acknowledged, and which connection it uses. It moves to
// whichever connection it last received from.
type Session struct {
	dc    *DC
	key   *keyEntry
	id    int64
	slots *semaphore.Weighted // of running handlers
	room  *semaphore.Weighted // bytes of answers not yet written

	mu       sync.Mutex
	ended    bool
	started  bool // new_session_created was queued
	conn     *serverConn
	newest   int64 // highest id of a connection it has used, since the last one was lost
	lastSeen time.Time
	waiting  int // queries begun or waiting
	data     any // the Handler's

	in       window
	acks     []pendingAck
	ackSince time.Time // when the oldest of acks came; zero if there is none

	lastID  int64 // msg_id of the newest message made, its two low bits clear
	content int32 // content-related messages made
	queue   []*outMsg
	ahead   []*batch          // packed for conn, or for the last one if that is lost, and not begun there
	pushed  int               // updates in queue
	kept    map[int64]*outMsg // content-related and not acknowledged, by msg_id
	order   []int64           // of kept, oldest first; may name what is gone
	bytes   int64             // in kept
}

// A pendingAck is a received message to acknowledge.
type pendingAck struct {
	msg   *inMsg
	again bool // it came twice: acknowledge even if answered
}

// ID is the session_id that the client chose.
func (s *Session) ID() int64 { return s.id }

// KeyID is the id of the auth key that encrypts it.
func (s *Session) KeyID() int64 { return s.key.key.ID() }

// AuthKeyID is the permanent key behind it; see Call.AuthKeyID.
func (s *Session) AuthKeyID() int64 {
	id, _ := s.dc.keys.owner(s.key)
	return id
}

// Connected reports whether it has a connection now.
func (s *Session) Connected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn != nil
}

// Ended reports whether the server has forgotten it. It will not come back: a
// client that goes on with the same session_id gets a new Session.
func (s *Session) Ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// Data returns what SetData stored, nil at first.
func (s *Session) Data() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data
}

// SetData lets the Handler keep something with the session, such as its layer.
func (s *Session) SetData(v any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data = v
}

// Push sends an update to the connection that may receive it, or keeps it for
// the next one. When too many wait, it is dropped: the client has to ask for
// the difference then, as with real servers.
func (s *Session) Push(update tl.Object) {
	body := tl.Marshal(update)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.pushed >= maxPushed {
		return
	}
	s.pushed++
	s.queueLocked(&outMsg{body: body, size: len(body), pushed: true}, true)
}

// session returns the session of a key, new if there was none, and forgets
// those that nobody has used for long.
func (d *DC) session(key *keyEntry, id int64) *Session {
	name := sessionKey{key: key.key.ID(), id: id}
	now := time.Now()
	d.mu.Lock()
	s := d.sessions[name]
	if s == nil {
		s = &Session{
			dc: d, key: key, id: id, lastSeen: now,
			slots: semaphore.NewWeighted(maxRunning), room: semaphore.NewWeighted(maxUnwritten),
			in: window{limit: keptMessages}, kept: make(map[int64]*outMsg),
		}
		d.sessions[name] = s
	}
	stale := d.staleLocked(now)
	d.mu.Unlock()
	for _, old := range stale {
		old.end()
	}
	return s
}

// staleLocked takes sessions out of the table that have had no connection for
// sessionLifetime. It looks once a minute at most.
func (d *DC) staleLocked(now time.Time) []*Session {
	if now.Sub(d.swept) < time.Minute {
		return nil
	}
	d.swept = now
	var stale []*Session
	for name, s := range d.sessions {
		s.mu.Lock()
		dead := s.conn == nil && now.Sub(s.lastSeen) > sessionLifetime
		s.mu.Unlock()
		if dead {
			delete(d.sessions, name)
			stale = append(stale, s)
		}
	}
	return stale
}

// endSession forgets one session and reports whether there was one.
func (d *DC) endSession(name sessionKey) bool {
	d.mu.Lock()
	s := d.sessions[name]
	delete(d.sessions, name)
	d.mu.Unlock()
	if s == nil {
		return false
	}
	s.end()
	return true
}

// DestroyKey deletes an auth key with the temporary keys bound to it, and ends
// their sessions: the next packet under any of them gets -404. It reports
// whether the key existed.
func (d *DC) DestroyKey(id int64) bool {
	return d.destroyKey(id, func() {})
}

// destroyKey is DestroyKey, and calls answer between the two: nobody hears of
// the end of a key that still works, and an ended session sends nothing new.
func (d *DC) destroyKey(id int64, answer func()) bool {
	gone := d.keys.remove(id)
	answer()
	for _, key := range gone {
		d.endSessionsOf(key)
	}
	return len(gone) > 0
}

func (d *DC) endSessionsOf(key int64) {
	d.mu.Lock()
	var ending []*Session
	for name, s := range d.sessions {
		if name.key == key {
			delete(d.sessions, name)
			ending = append(ending, s)
		}
	}
	d.mu.Unlock()
	for _, s := range ending {
		s.end()
	}
}

// end drops what the session holds and stops its handlers. What is queued and
// not content-related still leaves, such as the answer to destroy_auth_key.
func (s *Session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	for _, m := range s.in.list {
		if m.drop != nil {
			m.drop()
		}
	}
	for id := range s.kept {
		s.forgetLocked(id)
	}
}

// attachLocked makes c the session's connection. At the one before, which may be
// stuck, only the packet stays that is being written. If c is newer than all that
// it has used, what was sent and not acknowledged is returned, for resendAll.
func (s *Session) attachLocked(c *serverConn) (unacknowledged []int64) {
	s.lastSeen = time.Now()
	if s.conn == c {
		return nil
	}
	if s.conn != nil {
		s.conn.removeSession(s)
	}
	s.conn = c
	s.putBackLocked(s.ahead)
	s.ahead = nil
	c.addSession(s)
	c.signal()
	if c.id <= s.newest {
		return nil
	}
	s.newest = c.id
	for _, id := range s.order {
		if m := s.kept[id]; m != nil && m.sent {
			unacknowledged = append(unacknowledged, id)
		}
	}
	return unacknowledged
}

// resendAll sends messages again unless they are acknowledged. It is called
// when the first packet on a new connection was handled: that may hold
// acknowledgements.
func (s *Session) resendAll(ids []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if m := s.kept[id]; m != nil {
			s.resendLocked(m)
		}
	}
}

// detach is called when a connection has ended. Whatever connection comes
// next, what was not acknowledged is sent again there.
func (s *Session) detach(c *serverConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == c {
		s.conn = nil
		s.newest = 0
		s.lastSeen = time.Now()
	}
}

// nextIDLocked is a msg_id for a message to the client: 1 modulo 4 for an
// answer, 3 for anything else, growing.
func (s *Session) nextIDLocked(answer bool) int64 {
	id := msgIDAt(s.dc.cfg.Now()) &^ 3
	if id <= s.lastID {
		id = s.lastID + 4
	}
	s.lastID = id
	if answer {
		return id | 1
	}
	return id | 3
}

// nextSeqNoLocked is the seqno of the next message to the client.
func (s *Session) nextSeqNoLocked(content bool) int32 {
	n := 2 * s.content
	if content {
		n++
		s.content++
	}
	return n
}
