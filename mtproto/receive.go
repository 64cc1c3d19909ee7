package mtproto

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/mt"
)

// Receiving, core.telegram.org/mtproto/security_guidelines: nothing of a packet
// is used before msg_key, lengths, session, id and time have been checked, and
// a packet that fails ends the connection.
//
//	1. decrypt in place, check msg_key, then lengths and padding
//	2. session id, parity of msg_id, time, replay window
//	3. take containers apart, each message with a window check of its own
//	4. dispatch: results to their calls, service messages to the session

// maxBadSalts in a row mean that salts are not the trouble: the session is renewed.
const maxBadSalts = 5

// A receiver handles the packets of one connection, one after the other.
type receiver struct {
	*Session
	key  *crypto.AuthKey
	open *crypto.Opener
	// Memory for each packet.
	inner []message
	dec   tl.Decoder

	// Of the packet at hand.
	frame      *frame
	now        time.Time
	updates    []tl.Raw
	keyChanged bool
	first      bool // it is the first on its connection
}

// receive handles one packet, which aliases f.
func (r *receiver) receive(packet []byte, f *frame) error {
	plaintext, err := r.open.Open(r.key, packet)
	if err != nil {
		return violated("%w", err)
	}
	h, body, err := crypto.ParseHeader(plaintext)
	if err != nil {
		return violated("%w", err)
	}
	r.frame, r.now, r.updates, r.keyChanged, r.first = f, time.Now(), nil, false, false
	var state KeyState
	r.mu.Lock()
	err = r.packetLocked(h, body)
	if r.keyChanged {
		state = r.keyStateLocked()
	}
	r.mu.Unlock()
	// What follows may call back: not under the lock.
	for _, u := range r.updates {
		r.opts.OnUpdate(u)
	}
	if state.Key != nil {
		r.opts.OnKey(state)
	}
	if r.first {
		r.opts.OnEndpoint(r.active)
	}
	return err
}

func (r *receiver) packetLocked(h crypto.Header, body []byte) error {
	switch {
	case h.SessionID != r.id:
		return violated("message of another session")
	case h.MsgID&1 == 0:
		return violated("even message id")
	case !r.clock.plausible(r.now, h.MsgID):
		return violated("message from another time")
	}
	m := message{id: h.MsgID, seqNo: h.SeqNo, body: body}
	switch r.window.accept(m.id) {
	case duplicate:
		r.acknowledge(m)
		return nil
	case tooOld:
		return violated("message older than all that are remembered")
	case fresh:
	}
	inner, err := unpack(r.inner[:0], m)
	if err != nil {
		return err
	}
	r.inner = inner
	r.clock.observe(r.now, m.id)
	r.unknown = 0
	r.first = r.answeredLocked()
	isContainer := len(inner) != 1 || inner[0].id != m.id
	for _, im := range inner {
		if isContainer {
			if im.id&1 == 0 {
				return violated("even message id in a container")
			}
			if v := r.window.accept(im.id); v != fresh {
				r.acknowledge(im)
				continue
			}
		}
		r.acknowledge(im)
		if err := r.dispatch(im); err != nil {
			return err
		}
	}
	if r.bind == nil && (r.temp == nil || r.temp.bound.Load()) {
		r.readyLocked()
	}
	return nil
}

func (s *Session) readyLocked() {
	s.err = nil
	select {
	case <-s.ready:
	default:
		close(s.ready)
	}
}

// acknowledge notes a message that the server wants confirmed.
func (r *receiver) acknowledge(m message) {
	if m.seqNo&1 == 0 {
		return
	}
	if r.acks = append(r.acks, m.id); len(r.acks) >= ackBatch {
		r.signal()
	}
}

// dispatch handles one message. Its error ends the connection.
func (r *receiver) dispatch(m message) error {
	d := &r.dec
	d.Reset(m.body)
	switch id := d.PeekID(); id {
	case mt.RpcResultID:
		return r.result(d)
	case mt.GzipPackedID:
		body, err := gunzip(m.body)
		if err != nil {
			return violated("%w", err)
		}
		if inner := tl.NewDecoder(body).PeekID(); inner == containerID {
			return violated("container in gzip")
		}
		m.body = body
		return r.dispatch(m)
	}
	object, err := mt.Decode(d)
	if err != nil {
		if d.Offset() == 0 { // not of the service schema: an update
			r.updates = append(r.updates, tl.Raw(slices.Clone(m.body)))
			return nil
		}
		return violated("service message: %w", err)
	}
	return r.serviceMessage(m, object)
}

// result delivers the answer to a call. Answers nobody waits for are only acknowledged.
func (r *receiver) result(d *tl.Decoder) error {
	d.ID()
	reqID := d.Long()
	if d.Err() != nil {
		return violated("rpc_result: %w", d.Err())
	}
	c, ok := r.calls[reqID]
	if !ok {
		return nil
	}
	delete(r.calls, reqID)
	r.hearLocked(r.now)
	if c.sentAt.After(r.youngest) {
		r.youngest = c.sentAt
	}
	r.badSalt = 0
	o := r.outcome(c, d.Rest())
	e := refusal(o.err)
	if e != nil && e.isNotInited() && c.tries < maxTries {
		r.inited = false
		r.again(c)
		return nil
	}
	if r.unboundLocked(c, e, r.now) {
		return nil
	}
	if c == r.bind {
		return r.boundLocked(o)
	}
	r.inited = true
	c.finish(o)
	if !r.leaving.IsZero() && len(r.calls) == 0 {
		r.signal()
	}
	return nil
}

// refusal is the *RPCError that err is, or nil.
func refusal(err error) *RPCError {
	if err == nil {
		return nil
	}
	var e *RPCError
	errors.As(err, &e)
	return e
}

// outcome reads an answer. What is wrong with it concerns its call alone.
func (r *receiver) outcome(c *call, body []byte) outcome {
	plain, err := gunzip(body)
	if err != nil {
		return outcome{err: fmt.Errorf("%w: %s: %w", ErrBadAnswer, c.method, err)}
	}
	d := tl.NewDecoder(plain)
	if d.PeekID() == mt.RpcErrorID {
		var e mt.RpcError
		e.Decode(d)
		if err := d.End(); err != nil {
			return outcome{err: fmt.Errorf("%w: %s: %w", ErrBadAnswer, c.method, err)}
		}
		return outcome{err: ParseRPCError(int(e.ErrorCode), e.ErrorMessage, c.method)}
	}
	response := &Response{body: plain}
	if len(plain) > 0 && len(body) > 0 && &plain[0] == &body[0] {
		r.frame.hold()
		response.frame = r.frame
	}
	return outcome{response: response}
}

// again puts a call back into the queue, unless that was tried too often.
func (s *Session) again(c *call) {
	delete(s.calls, c.msgID)
	c.msgID, c.container, c.acked, c.asked = 0, 0, false, time.Time{}
	if c.tries++; c.tries > maxTries {
		c.finish(outcome{err: fmt.Errorf("%w: %s, %d times", ErrRefused, c.method, c.tries)})
		return
	}
	s.counts.resent.Add(1)
	if c == s.bind { // before everything else
		s.queue = append([]*call{c}, s.queue...)
	} else {
		s.queue = append(s.queue, c)
	}
	s.signal()
}

// named calls fn for each open call that was sent under id, or in the container id.
func (s *Session) named(id int64, fn func(c *call)) {
	if c, ok := s.calls[id]; ok {
		fn(c)
		return
	}
	var found []*call
	for _, c := range s.calls {
		if c.container == id {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b *call) int { return int(min(max(a.msgID-b.msgID, -1), 1)) })
	for _, c := range found {
		fn(c)
	}
}
