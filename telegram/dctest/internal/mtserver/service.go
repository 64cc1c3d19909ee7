package mtserver

import (
	"context"
	"errors"
	"time"

	"github.com/tghaul/haul/tl"
)

// errService says that a service message cannot be read: the connection ends.
var errService = errors.New("mtserver: malformed service message")

// dispatch handles one new message: core.telegram.org/mtproto/service_messages
// and .../service_messages_about_messages. An error ends the connection.
func (r *received) dispatch(ctx context.Context, m rawMsg, rec *inMsg) error {
	s, body := r.session, m.body
	d := tl.NewDecoder(body)
	switch id := d.ID(); id {
	case idMsgsAck, idMsgsStateReq, idMsgResendReq:
		ids, code, ok := parseIDs(body)
		if code == transportFlood {
			return &floodError{why: "ids in a service message"}
		}
		if !ok {
			return errService
		}
		s.aboutMessages(id, rec, ids)
	case idPing, idPingDisconnect:
		return r.ping(d, rec, id)
	case idGetFutureSalts:
		return s.sendSalts(d, rec)
	case idDropAnswer:
		query := d.Long()
		if d.End() != nil {
			return errService
		}
		s.dropAnswer(rec, query)
	case idDestroySession:
		other := d.Long()
		if d.End() != nil {
			return errService
		}
		s.destroyOther(rec, other)
	case idDestroyAuthKey:
		s.destroyKey(rec)
	case idMsgsStateInfo, idMsgsAllInfo, idHTTPWait:
		// The client's word about our messages changes nothing, and http_wait
		// means nothing over TCP.
	default:
		return r.startCall(ctx, m, rec)
	}
	return nil
}

// aboutMessages handles what names messages by their ids.
func (s *Session) aboutMessages(id uint32, rec *inMsg, ids []int64) {
	switch id {
	case idMsgsAck:
		s.acknowledged(ids)
	case idMsgsStateReq:
		s.sendStates(rec, ids)
	default:
		s.resend(rec, ids)
	}
}

// acknowledged forgets the answers that the client has received.
func (s *Session) acknowledged(ids []int64) {
	s.dc.stats.acksIn.Add(int64(len(ids)))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if m := s.kept[id]; m != nil {
			if m.answers != nil {
				m.answers.known = true
			}
			s.forgetLocked(id)
		}
	}
}

// sendStates answers msgs_state_req.
func (s *Session) sendStates(rec *inMsg, ids []int64) {
	s.mu.Lock()
	info := make([]byte, len(ids))
	for i, id := range ids {
		info[i] = s.in.state(id)
	}
	s.mu.Unlock()
	s.reply(rec, stateInfo(rec.id, info))
}

// resend answers msg_resend_req: the messages that are there are sent again,
// whatever their size; if any is not, msgs_state_info says so.
func (s *Session) resend(rec *inMsg, ids []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, missing := make([]byte, len(ids)), false
	for i, id := range ids {
		m := s.kept[id]
		if m == nil {
			info[i], missing = stateUnknown, true
			continue
		}
		info[i] = stateReceived
		if !m.queued && !m.writing {
			s.dc.stats.resent.Add(1)
			s.enqueueLocked(m)
		}
	}
	if missing {
		body := stateInfo(rec.id, info)
		s.queueLocked(&outMsg{body: body, size: len(body), answers: rec}, false)
	}
}

func stateInfo(req int64, info []byte) []byte {
	return encode(idMsgsStateInfo, func(e *tl.Encoder) {
		e.Long(req)
		e.Blob(info)
	})
}

// ping answers ping and ping_delay_disconnect.
func (r *received) ping(d *tl.Decoder, rec *inMsg, id uint32) error {
	pingID := d.Long()
	var delay int32
	if id == idPingDisconnect {
		delay = d.Int()
	}
	if d.End() != nil {
		return errService
	}
	if id == idPingDisconnect {
		r.conn.disconnectAfter(time.Duration(max(delay, 0)) * time.Second)
	}
	r.session.reply(rec, encode(idPong, func(e *tl.Encoder) {
		e.Long(rec.id)
		e.Long(pingID)
	}))
	return nil
}

// sendSalts answers get_future_salts; the vector of salts is bare.
func (s *Session) sendSalts(d *tl.Decoder, rec *inMsg) error {
	n := int(d.Int())
	if d.End() != nil {
		return errService
	}
	now := s.dc.cfg.Now()
	list := s.dc.keys.futureSalts(s.key, min(max(n, 1), maxFutureSalts), now, s.dc.cfg.SaltLifetime)
	s.reply(rec, encode(idFutureSalts, func(e *tl.Encoder) {
		e.Long(rec.id)
		e.Int(int32(now.Unix()))
		e.Int(int32(len(list)))
		for _, x := range list {
			e.Int(int32(x.Since.Unix()))
			e.Int(int32(x.Until.Unix()))
			e.Long(x.Value)
		}
	}))
	return nil
}

// dropAnswer handles rpc_drop_answer, whose own answer is an rpc_result.
func (s *Session) dropAnswer(rec *inMsg, query int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec.done = make(chan struct{}) // it is answered like a query
	close(rec.done)
	q := s.in.get(query)
	kept := (*outMsg)(nil)
	if q != nil && q != rec {
		kept = s.kept[q.answer]
	}
	switch {
	case q != nil && q.running:
		s.dc.stats.dropped.Add(1)
		q.drop()
		s.finishLocked(q, true)
		running := encode(idAnswerRunning, nil)
		s.resultLocked(q, running)
		s.resultLocked(rec, running)
	case kept != nil:
		s.dc.stats.dropped.Add(1)
		dropped := encode(idAnswerDropped, func(e *tl.Encoder) {
			e.Long(kept.id)
			e.Int(kept.seqNo)
			e.Int(int32(kept.size))
		})
		s.forgetLocked(kept.id)
		s.resultLocked(rec, dropped)
	default:
		s.resultLocked(rec, encode(idAnswerUnknown, nil))
	}
}

// resultLocked queues a small rpc_result that no handler made.
func (s *Session) resultLocked(to *inMsg, result []byte) {
	body := encode(idRPCResult, func(e *tl.Encoder) {
		e.Long(to.id)
		e.Raw(result)
	})
	m := &outMsg{body: body, size: len(body), answers: to}
	s.nameLocked(m, true)
	to.answer = m.id
	s.enqueueLocked(m)
}

// destroyOther handles destroy_session. A session cannot destroy itself.
func (s *Session) destroyOther(rec *inMsg, other int64) {
	answer := uint32(idSessionNone)
	if other != s.id && s.dc.endSession(sessionKey{key: s.KeyID(), id: other}) {
		answer = idSessionOk
	}
	s.reply(rec, encode(answer, func(e *tl.Encoder) { e.Long(other) }))
}

// destroyKey handles destroy_auth_key: the key that encrypts this session, and
// what is bound to it, is gone before the client can have the answer.
func (s *Session) destroyKey(rec *inMsg) {
	s.dc.destroyKey(s.KeyID(), func() { s.reply(rec, encode(idDestroyKeyOk, nil)) })
}
