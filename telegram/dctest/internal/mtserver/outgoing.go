package mtserver

import (
	"fmt"
	"slices"
	"time"

	"github.com/tghaul/haul/tl"
)

const (
	// bigMessage is the body from which on a message travels alone, and is
	// announced by msg_detailed_info rather than sent again.
	bigMessage = 16 << 10
	// maxPacked bounds the container in which small messages travel together.
	maxPacked, maxPackedBytes = 100, 32 << 10
	// oldMessage is the age from which on a message travels in a container, so
	// that the packet's msg_id is fresh.
	oldMessage = 150 * time.Second
)

// An outMsg is a message to the client. Session.mu guards it. The body never
// changes, and its memory is not given back while writing is set: the writer
// reads it without the lock, until it is in a packet.
type outMsg struct {
	id    int64
	seqNo int32
	size  int // of the body, in bytes

	body []byte // TL
	mem  []byte // pooled memory that body stands in, nil if it is not pooled
	// lasting is the result that body is made of for each packet, nil if body is kept.
	lasting Lasting

	answers *inMsg // the query it answers, nil if none
	point   Point  // of that query
	pushed  bool   // an update
	solo    bool   // travels alone
	charged int64  // bytes held of Session.room
	written func() // is called when it was written; nil: nothing is

	due     time.Time // not to be written before
	queued  bool      // in Session.queue
	writing bool      // at a writer
	sent    bool      // was written once
	gone    bool      // acknowledged or dropped: free it after writing
}

func (m *outMsg) content() bool { return m.seqNo&1 == 1 }

// put appends the body to a packet.
func (m *outMsg) put(e *tl.Encoder) {
	if m.lasting == nil {
		e.Raw(m.body)
		return
	}
	start := e.Len()
	e.ID(idRPCResult)
	e.Long(m.answers.id)
	m.lasting.Encode(e)
	if n := e.Len() - start; n != m.size {
		panic(fmt.Sprintf("mtserver: %s has %d bytes, not %d as it said", m.lasting.TypeName(), n, m.size))
	}
}

// free gives back the memory of the body.
func (m *outMsg) free() {
	if m.mem != nil {
		putMem(m.mem)
	}
	m.body, m.mem, m.lasting = nil, nil, nil
}

// queueLocked gives a message its msg_id and seqno, and queues it.
func (s *Session) queueLocked(m *outMsg, content bool) {
	s.nameLocked(m, content)
	s.enqueueLocked(m)
}

// nameLocked gives a message its msg_id and seqno, and keeps it if it has to
// be acknowledged.
func (s *Session) nameLocked(m *outMsg, content bool) {
	m.id = s.nextIDLocked(m.answers != nil)
	m.seqNo = s.nextSeqNoLocked(content)
	if content {
		s.kept[m.id] = m
		s.order = append(s.order, m.id)
		s.bytes += int64(m.size)
	}
}

// enqueueLocked queues a message for the writer of the session's connection.
func (s *Session) enqueueLocked(m *outMsg) {
	m.due = time.Now().Add(s.dc.cfg.Shape.RTT / 2)
	if delay := s.dc.cfg.Faults.DelayAnswer; delay != nil && m.answers != nil && !m.sent {
		m.due = m.due.Add(delay(m.point))
	}
	m.queued = true
	s.queue = append(s.queue, m)
	if s.conn != nil {
		s.conn.signal()
	}
}

// reply queues the answer to a service message: its msg_id is 1 modulo 4.
func (s *Session) reply(to *inMsg, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queueLocked(&outMsg{body: body, size: len(body), answers: to}, false)
}

// resendLocked sends a kept message again, or says that it is there if it is
// big. What is on its way already is left alone.
func (s *Session) resendLocked(m *outMsg) {
	if m.queued || m.writing || !m.sent {
		return
	}
	s.dc.stats.resent.Add(1)
	if m.size <= bigMessage {
		s.enqueueLocked(m)
		return
	}
	body := encode(idMsgNewDetailed, func(e *tl.Encoder) {
		e.Long(m.id)
		e.Int(int32(m.size))
		e.Int(0)
	})
	if m.answers != nil {
		body = encode(idMsgDetailed, func(e *tl.Encoder) {
			e.Long(m.answers.id)
			e.Long(m.id)
			e.Int(int32(m.size))
			e.Int(0)
		})
	}
	s.queueLocked(&outMsg{body: body, size: len(body)}, false)
}

// forgetLocked drops a kept message, for good.
func (s *Session) forgetLocked(id int64) {
	m := s.kept[id]
	if m == nil {
		return
	}
	delete(s.kept, id)
	s.bytes -= int64(m.size)
	m.gone = true
	if m.queued {
		m.queued = false
		s.queue = slices.DeleteFunc(s.queue, func(q *outMsg) bool { return q == m })
	}
	if !m.writing {
		s.freeLocked(m)
	}
	s.trimOrderLocked()
}

// freeLocked gives back what a message holds.
func (s *Session) freeLocked(m *outMsg) {
	s.creditLocked(m)
	m.free()
}

// creditLocked gives back the room that an answer held until it was written.
func (s *Session) creditLocked(m *outMsg) {
	if m.charged > 0 {
		s.room.Release(m.charged)
		m.charged = 0
	}
	if m.pushed {
		m.pushed = false
		s.pushed--
	}
}

// trimOrderLocked forgets the order of messages that are gone.
func (s *Session) trimOrderLocked() {
	for len(s.order) > 0 && s.kept[s.order[0]] == nil {
		s.order = s.order[1:]
	}
	if len(s.order) > 2*len(s.kept)+keptMessages {
		s.order = slices.DeleteFunc(s.order, func(id int64) bool { return s.kept[id] == nil })
	}
}

// evictLocked drops the oldest written answers while too many bytes are kept.
// Of a query whose answer is dropped nothing is known any more.
func (s *Session) evictLocked() {
	if s.bytes <= s.dc.keep {
		return
	}
	for _, id := range slices.Clone(s.order) {
		if s.bytes <= s.dc.keep {
			return
		}
		m := s.kept[id]
		if m == nil || !m.sent || m.queued || m.writing {
			continue
		}
		if m.answers != nil {
			m.answers.lost = true
		}
		s.forgetLocked(id)
	}
}

// A batch is what one packet carries.
type batch struct {
	msgs      []*outMsg
	container bool
	id        int64 // of the container
	seqNo     int32
}

// never is longer than any timer of this package.
const never = 24 * time.Hour

// takeSome returns the next packets for c, n at most, or how long to wait for one.
func (s *Session) takeSome(c *serverConn, now time.Time, n int) (batches []*batch, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != c {
		return nil, never
	}
	acks := s.flushAcksLocked(now)
	for len(batches) < n {
		b, later := s.takeLocked(now)
		if b == nil {
			return batches, min(acks, later)
		}
		batches = append(batches, b)
	}
	return batches, 0
}

// takeLocked returns the next packet, or how long to wait for one.
func (s *Session) takeLocked(now time.Time) (*batch, time.Duration) {
	wait := never
	b := new(batch)
	size, old := 0, false
	for i, m := range s.queue {
		if left := m.due.Sub(now); left > 0 {
			wait = min(wait, left)
			continue
		}
		alone := m.solo || m.size > bigMessage
		if len(b.msgs) > 0 && (alone || len(b.msgs) == maxPacked || size+m.size > maxPackedBytes) {
			break
		}
		b.msgs = append(b.msgs, m)
		size += m.size
		m.writing, m.queued = true, false
		s.queue[i] = nil
		old = old || s.dc.cfg.Now().Sub(msgTime(m.id)) > oldMessage
		if alone {
			break
		}
	}
	if len(b.msgs) == 0 {
		return nil, wait
	}
	s.queue = slices.DeleteFunc(s.queue, func(m *outMsg) bool { return m == nil })
	if len(b.msgs) > 1 || old {
		b.container = true
		b.id, b.seqNo = s.nextIDLocked(false), s.nextSeqNoLocked(false)
	}
	return b, 0
}

// packed says that the messages of batches are copied into packets of c, so that
// they may be put back as long as c has not begun to write them.
func (s *Session) packed(c *serverConn, batches []*batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != c { // it moved meanwhile
		s.putBackLocked(batches)
		return
	}
	s.ahead = batches
}

// begin reports whether b may be written. If it was put back, so were those behind it.
func (s *Session) begin(b *batch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ahead) == 0 || s.ahead[0] != b {
		return false
	}
	s.ahead = s.ahead[1:]
	return true
}

// putBackLocked queues batches again that were not written, before all others.
func (s *Session) putBackLocked(batches []*batch) {
	var again []*outMsg
	for _, b := range batches {
		for _, m := range b.msgs {
			if m.writing = false; m.gone {
				s.freeLocked(m)
				continue
			}
			m.queued = true
			again = append(again, m)
		}
	}
	s.queue = append(again, s.queue...)
	if s.conn != nil {
		s.conn.signal()
	}
}

// written takes a batch back from the writer of c.
func (s *Session) written(c *serverConn, b *batch, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range b.msgs {
		m.writing, m.sent = false, true
		if m.written != nil {
			m.written()
			m.written = nil
		}
		s.creditLocked(m)
		switch {
		case m.gone || !m.content():
			s.freeLocked(m)
		case s.conn != nil && s.conn != c:
			s.resendLocked(m) // the session moved while this was on its way to the old connection
		}
	}
	if err == nil {
		s.evictLocked()
	}
}

// flushAcksLocked queues a msgs_ack if it is time, and returns how long to
// wait for the next one. A query that is answered needs none.
func (s *Session) flushAcksLocked(now time.Time) time.Duration {
	if len(s.acks) == 0 {
		return never
	}
	if left := s.ackSince.Add(ackDelay).Sub(now); left > 0 && len(s.acks) < ackBatch {
		return left
	}
	var ids []int64
	for _, a := range s.acks {
		if a.msg.answer == 0 || a.again {
			ids = append(ids, a.msg.id)
		}
		a.msg.acked = true
	}
	s.acks, s.ackSince = s.acks[:0], time.Time{}
	for part := range slices.Chunk(ids, maxIDs) {
		body := encodeIDs(idMsgsAck, part)
		s.queueLocked(&outMsg{body: body, size: len(body)}, false)
		s.dc.stats.acksOut.Add(int64(len(part)))
	}
	return never
}

// ackLocked notes that a message has to be acknowledged.
func (s *Session) ackLocked(m *inMsg, again bool) {
	if len(s.acks) == 0 {
		s.ackSince = time.Now()
	}
	s.acks = append(s.acks, pendingAck{msg: m, again: again})
	if s.conn != nil {
		s.conn.signal()
	}
}
