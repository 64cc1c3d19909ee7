package mtserver

import (
	"slices"

	"github.com/tghaul/haul/tl"
)

// enterLocked checks the messages against what the session received before,
// and remembers them: all or none. fresh gets the record of each message, nil
// for one that came before.
func (s *Session) enterLocked(r *received, fresh *[]*inMsg) int {
	if code := s.checkLocked(r); code != accepted {
		return code
	}
	if !s.started { // nothing older is accepted: the client is told that it was lost
		s.in = window{limit: keptMessages, floor: r.lowest() - 1}
	}
	records := make([]*inMsg, len(r.msgs))
	for i, m := range r.msgs {
		if s.in.get(m.id) != nil {
			continue
		}
		if code := s.in.check(m.id, m.seqNo); code != accepted {
			s.removeLocked(records)
			return code
		}
		records[i] = &inMsg{id: m.id, seqNo: m.seqNo}
		s.in.insert(records[i])
	}
	if r.packed {
		if code := s.in.check(r.outer.id, r.outer.seqNo); code != accepted {
			s.removeLocked(records)
			return code
		}
		s.in.insert(&inMsg{id: r.outer.id, seqNo: r.outer.seqNo, container: true})
	}
	r.resend = s.attachLocked(r.conn)
	if !s.started {
		s.started = true
		s.announceLocked(r.lowest())
	}
	for i, m := range r.msgs {
		if rec := records[i]; rec == nil {
			s.repeatLocked(s.in.get(m.id))
		} else if rec.content() {
			s.ackLocked(rec, false)
		}
	}
	*fresh = records
	return accepted
}

func (s *Session) removeLocked(records []*inMsg) {
	for _, m := range records {
		if m != nil {
			s.in.remove(m.id)
		}
	}
}

// unreceive forgets messages that were entered but will not be handled, since
// their connection is being closed: they must not count as received.
func (r *received) unreceive(records []*inMsg) {
	s := r.session
	s.mu.Lock()
	defer s.mu.Unlock()
	s.removeLocked(records)
	if r.packed {
		s.in.remove(r.outer.id)
	}
	s.acks = slices.DeleteFunc(s.acks, func(a pendingAck) bool { return slices.Contains(records, a.msg) })
}

// checkLocked applies the rules that concern single messages. Acknowledgements
// and containers are never content-related: with an odd seqno they are refused,
// as the specification has it, although there are clients in use (mtcute) whose
// acknowledgements are odd. See core.telegram.org/mtproto/description,
// "content-related message", and service_messages_about_messages, error 34.
func (s *Session) checkLocked(r *received) int {
	if r.packed {
		if r.outer.seqNo&1 == 1 {
			return badSeqNoOdd
		}
		if s.in.get(r.outer.id) != nil {
			return badContainerID
		}
	}
	for _, m := range r.msgs {
		if m.id&3 != 0 {
			return badMsgIDBits
		}
		switch kind := kindOf(m.constructor()); {
		case kind == kindQuery && m.seqNo&1 == 0:
			return badSeqNoEven
		case kind == kindPlain && m.seqNo&1 == 1:
			return badSeqNoOdd
		}
		if old := s.in.get(m.id); old != nil && old.lost {
			return badTooOld
		}
	}
	return accepted
}

// lowest is the lowest msg_id of the packet. Of an empty container it is its own.
func (r *received) lowest() int64 {
	low := r.outer.id
	for _, m := range r.msgs {
		low = min(low, m.id)
	}
	return low
}

// announceLocked queues new_session_created, before anything else.
func (s *Session) announceLocked(first int64) {
	d := s.dc
	d.stats.sessions.Add(1)
	if lie := d.cfg.Faults.Corrupt.FirstMsgID; lie != nil {
		first = lie(first)
	}
	_, salt := d.keys.checkSalt(s.key, 0, d.cfg.Now(), d.cfg.SaltLifetime)
	body := encode(idNewSession, func(e *tl.Encoder) {
		e.Long(first)
		e.Long(randomInt64())
		e.Long(salt)
	})
	s.queueLocked(&outMsg{body: body, size: len(body)}, true)
}

// repeatLocked treats a message that came again: it is acknowledged again, and
// its answer sent again if it was not acknowledged.
func (s *Session) repeatLocked(m *inMsg) {
	if m.answer != 0 {
		if kept := s.kept[m.answer]; kept != nil {
			s.resendLocked(kept)
			return
		}
	}
	if m.content() {
		s.ackLocked(m, true)
	}
}
