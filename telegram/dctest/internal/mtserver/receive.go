package mtserver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/tl"
)

// A floodError is answered with a transport error and ends the connection.
type floodError struct{ why string }

func (e *floodError) Error() string { return "mtserver: limit broken: " + e.why }

// handleFrame handles one frame. An error ends the connection.
func (c *serverConn) handleFrame(ctx context.Context, f *frameBuf, quick bool) error {
	if c.deaf {
		return nil
	}
	if !c.served {
		c.served = true
		if code := c.refusal(); code != 0 {
			c.deaf = true
			c.sendError(code, true)
			return nil
		}
	}
	if len(f.data) < 8 { // not even a key id
		c.sendError(transportUnknown, false)
		return nil
	}
	if binary.LittleEndian.Uint64(f.data) == 0 {
		c.handlePlain(f.data)
		return nil
	}
	err := c.handleEncrypted(ctx, f, quick)
	if flood := (*floodError)(nil); errors.As(err, &flood) {
		c.dc.log.Debug("connection broke a limit", "conn", c.id, "why", flood.why)
		c.deaf = true
		c.sendError(transportFlood, true)
		return nil
	}
	return err
}

// refusal is the transport error that a new connection gets, 0 for none.
func (c *serverConn) refusal() int32 {
	if c.excess {
		return transportFlood
	}
	if hook := c.dc.cfg.Faults.RefuseConn; hook != nil {
		return hook(c.point())
	}
	return 0
}

// handlePlain answers an unencrypted packet, which only the key exchange sends.
func (c *serverConn) handlePlain(packet []byte) {
	_, body, err := parsePlain(packet)
	var answer []byte
	if err == nil {
		answer, err = c.dc.handshake(body, c.media)
	}
	if err != nil {
		c.dc.log.Debug("key exchange refused", "conn", c.id, "err", err)
		c.sendError(handshakeCode(err), false)
		return
	}
	c.send(ownFrame{packet: plainPacket(answerID(c.dc.cfg.Now()), answer)})
}

// handleEncrypted opens an encrypted packet and hands it to its session. The
// order of the checks is that of core.telegram.org/mtproto/security_guidelines.
func (c *serverConn) handleEncrypted(ctx context.Context, f *frameBuf, quick bool) error {
	d := c.dc
	key := d.keys.get(int64(binary.LittleEndian.Uint64(f.data)), d.cfg.Now())
	if key == nil || key.temp && key.media != c.media { // temporary keys are known only where they were made
		c.sendError(transportUnknown, false)
		return nil
	}
	p := c.point()
	p.AuthKeyID, _ = d.keys.owner(key)
	if hook := d.cfg.Faults.TransportError; hook != nil {
		if code := hook(p); code != 0 {
			c.sendError(code, false)
			return nil
		}
	}
	plain, err := c.opener.Open(key.key, f.data)
	if err != nil {
		d.stats.broken.Add(1)
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	h, body, err := crypto.ParseHeader(plain)
	if err == nil && (h.SessionID == 0 || len(body) < 4) {
		err = errService
	}
	if err != nil {
		d.stats.broken.Add(1)
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	p.SessionID, p.MsgID = h.SessionID, h.MsgID
	r := &received{conn: c, frame: f, key: key, point: p, salt: h.Salt}
	r.outer = rawMsg{id: h.MsgID, seqNo: h.SeqNo, body: body}
	if quick {
		r.quickAck = quickAckToken(key.key, plain)
	}
	return r.handle(ctx)
}

// received is one decrypted packet on its way through the checks.
type received struct {
	conn    *serverConn
	frame   *frameBuf
	key     *keyEntry
	session *Session
	point   Point
	salt    int64
	outer   rawMsg
	msgs    []rawMsg // the outer one, or those of the container
	packed  bool     // outer is a container
	resend  []int64  // not acknowledged before, when it brings the session to a new connection

	quickAck uint32 // token to send when the packet is accepted, 0 for none
}

// handle checks the packet and then handles its messages.
func (r *received) handle(ctx context.Context) error {
	d, f := r.conn.dc, &r.conn.dc.cfg.Faults
	now := d.cfg.Now()
	r.session = d.session(r.key, r.point.SessionID)
	if code := checkMsgID(r.outer.id, now); code != accepted {
		r.reject(code, 0)
		return nil
	}
	if hook := f.BadSalt; hook != nil {
		if ok, _ := d.keys.checkSalt(r.key, r.salt, now, d.cfg.SaltLifetime); ok && hook(r.point) {
			d.keys.replaceSalts(r.key, now, d.cfg.SaltLifetime)
		}
	}
	if ok, current := d.keys.checkSalt(r.key, r.salt, now, d.cfg.SaltLifetime); !ok {
		r.reject(badServerSalt, current)
		return nil
	}
	switch code := r.split(); code {
	case accepted:
	case transportFlood:
		return &floodError{why: "messages in a container"}
	default:
		r.reject(code, 0)
		return nil
	}
	if err := r.breakConn(); err != nil {
		return err
	}
	if hook := f.ForgetSession; hook != nil && hook(r.point) {
		d.endSession(sessionKey{key: r.key.key.ID(), id: r.point.SessionID})
	}
	return r.accept(ctx)
}

// split opens the container, if it is one.
func (r *received) split() int {
	switch r.outer.constructor() {
	case idContainer:
		r.packed = true
		msgs, code := parseContainer(r.outer)
		r.msgs = msgs
		r.conn.dc.stats.containers.Add(1)
		return code
	case idMsgCopy:
		r.packed = true
		d := tl.NewDecoder(r.outer.body)
		d.ID()
		m, ok := parseMessage(d)
		if !ok || d.End() != nil {
			return badContainer
		}
		r.msgs = []rawMsg{m}
		return accepted
	}
	r.msgs = []rawMsg{r.outer}
	return accepted
}

// breakConn asks the fault that resets the connection at a query.
func (r *received) breakConn() error {
	hook := r.conn.dc.cfg.Faults.DropConn
	for _, m := range r.msgs {
		if kindOf(m.constructor()) != kindQuery {
			continue
		}
		p := r.point
		p.MsgID, p.Queries = m.id, r.conn.queries.Add(1)
		if hook == nil {
			continue
		}
		if _, method, err := openQuery(m.body); err == nil {
			p.Method = method
		}
		if hook(p) {
			r.conn.net.reset()
			return errReset
		}
	}
	return nil
}

// accept enters the messages into the session and handles the new ones.
func (r *received) accept(ctx context.Context) error {
	stats := &r.conn.dc.stats
	var fresh []*inMsg
	for {
		s := r.session
		s.mu.Lock()
		if s.ended { // destroyed meanwhile: a new one takes its place
			s.mu.Unlock()
			r.session = s.dc.session(r.key, s.id)
			continue
		}
		code := s.enterLocked(r, &fresh)
		s.mu.Unlock()
		if code != accepted {
			r.reject(code, 0)
			return nil
		}
		break
	}
	if r.quickAck != 0 {
		r.conn.send(ownFrame{quickAck: r.quickAck})
	}
	stats.packetsIn.Add(1)
	stats.messagesIn.Add(int64(len(r.msgs)))
	for i, m := range r.msgs {
		if fresh[i] == nil {
			stats.duplicates.Add(1)
			continue
		}
		if err := r.dispatch(ctx, m, fresh[i]); err != nil {
			r.unreceive(fresh[i:])
			return err
		}
	}
	r.session.resendAll(r.resend)
	return nil
}

// reject answers a packet that is ignored as a whole. The answer goes to the
// connection that sent it, which need not be the session's.
func (r *received) reject(code int, newSalt int64) {
	s := r.session
	s.dc.stats.countBad(code)
	s.dc.log.Debug("message refused", "conn", r.conn.id, "session", s.id, "msg_id", r.outer.id, "code", code)
	id := uint32(idBadMsg)
	if code == badServerSalt {
		id = idBadSalt
	}
	body := encode(id, func(e *tl.Encoder) {
		e.Long(r.outer.id)
		e.Int(r.outer.seqNo)
		e.Int(int32(code))
		if code == badServerSalt {
			e.Long(newSalt)
		}
	})
	s.mu.Lock()
	msgID, seqNo := s.nextIDLocked(true), s.nextSeqNoLocked(false)
	s.mu.Unlock()
	mem := append(make([]byte, bodyOffset, bodyOffset+len(body)+sealRoom), body...)
	p := [1]packet{{mem: mem, id: msgID, seqNo: seqNo, point: r.point}}
	if err := s.sealAll(p[:], sealAlone); err != nil {
		s.dc.log.Error("cannot seal", "err", err)
		return
	}
	r.conn.send(ownFrame{packet: p[0].sealed})
	s.dc.stats.packetsOut.Add(1)
}
