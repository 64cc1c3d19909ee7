package mtserver

import (
	"context"
	"errors"
	"slices"

	"github.com/tghaul/haul/tl"
)

// ErrDependency is what Call.WaitFor returns when the awaited query failed or
// is not known: 400 MSG_WAIT_FAILED.
var ErrDependency = &Error{Code: 400, Message: "MSG_WAIT_FAILED"}

// startCall puts an API query into the session's line and lets a goroutine
// answer it. The goroutine outlives the connection; DC.Close waits for it.
func (r *received) startCall(ctx context.Context, m rawMsg, rec *inMsg) error {
	s, d := r.session, r.conn.dc
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.mu.Lock()
	if s.waiting >= maxWaiting {
		s.mu.Unlock()
		cancel()
		return &floodError{why: "queries in flight"}
	}
	s.waiting++
	rec.running, rec.drop, rec.done = true, cancel, make(chan struct{})
	if s.ended {
		cancel()
	}
	s.mu.Unlock()
	owner, _ := d.keys.owner(r.key)
	call := &Call{
		DC: d.cfg.ID, MediaOnly: r.conn.media, AuthKeyID: owner, KeyID: s.KeyID(), TempKey: r.key.temp,
		SessionID: s.id, MsgID: m.id, Query: m.body, ConnID: r.conn.id, RemoteAddr: r.conn.remote,
		Received: d.cfg.Now(), Session: s, frame: r.frame, msg: rec, conn: r.conn,
	}
	r.frame.retain()
	if !d.start(func() { defer cancel(); s.run(ctx, call) }) {
		r.frame.release()
		cancel()
		return ErrClosed
	}
	return nil
}

// run waits for the call's turn, has it answered and queues the answer.
func (s *Session) run(ctx context.Context, c *Call) {
	defer c.frame.release()
	defer func() {
		s.mu.Lock()
		s.waiting--
		s.mu.Unlock()
	}()
	if s.slots.Acquire(ctx, 1) != nil {
		return // dropped while waiting
	}
	defer s.slots.Release(1)
	result, err := s.execute(ctx, c)
	if r, ok := result.(Releaser); ok {
		defer r.Release()
	}
	s.answer(ctx, c, result, err)
}

// execute answers a query: what concerns keys itself, the rest by the Handler.
func (s *Session) execute(ctx context.Context, c *Call) (tl.Object, error) {
	d := s.dc
	d.stats.calls.Add(1)
	query, method, err := openQuery(c.Query)
	if err != nil {
		return nil, err
	}
	c.Query, c.Method = query, method
	if method == idBindTempAuthKey {
		return s.bindTempAuthKey(c)
	}
	if _, bound := d.keys.owner(s.key); !bound && !d.cfg.CDN {
		// core.telegram.org/api/pfs: an unbound temporary key may do only this.
		if method != idHelpGetConfig && method != idHelpGetNearestDC {
			return nil, &Error{Code: 401, Message: "AUTH_KEY_PERM_EMPTY"}
		}
	}
	return d.cfg.Handler.Handle(ctx, c)
}

// answer encodes the result of a call and queues it, unless it was dropped.
func (s *Session) answer(ctx context.Context, c *Call, result tl.Object, err error) {
	if ctx.Err() != nil {
		return
	}
	m := &outMsg{answers: c.msg, point: c.point()}
	m.solo = s.dc.cfg.Faults.aloneAnswers()
	if told := (*Error)(nil); errors.As(err, &told) {
		m.written = told.Written
	}
	s.encodeAnswer(m, c, result, err)
	if s.room.Acquire(ctx, int64(min(m.size, maxUnwritten))) != nil {
		m.free()
		return
	}
	m.charged = int64(min(m.size, maxUnwritten))
	s.mu.Lock()
	if !c.msg.running || s.ended {
		s.freeLocked(m)
		s.mu.Unlock()
		return
	}
	defer s.mu.Unlock()
	s.finishLocked(c.msg, err != nil)
	s.nameLocked(m, true)
	c.msg.answer = m.id
	s.enqueueLocked(m)
}

// finishLocked marks a query as answered.
func (s *Session) finishLocked(q *inMsg, failed bool) {
	q.running, q.failed, q.drop = false, failed, nil
	close(q.done)
}

// encodeAnswer makes an rpc_result the body of m: in pooled memory if it is big.
func (s *Session) encodeAnswer(m *outMsg, c *Call, result tl.Object, err error) {
	if err != nil {
		s.dc.stats.rpcErrors.Add(1)
		result = s.asRPCError(c, err)
	}
	if l, ok := result.(Lasting); ok {
		m.lasting, m.size = l, resultHead+l.EncodedLen()
		return
	}
	mem := s.encodeResult(c, result)
	m.body, m.mem, m.size = mem, mem, len(mem)
	if m.size <= bigMessage {
		m.body, m.mem = slices.Clone(mem), nil
		putMem(mem)
	}
}

// encodeResult returns an rpc_result in pooled memory.
func (s *Session) encodeResult(c *Call, result tl.Object) []byte {
	e := tl.NewEncoder(getMem(answerHead + sizeHint(result)))
	e.ID(idRPCResult)
	e.Long(c.MsgID)
	head := e.Len()
	result.Encode(e)
	mem := e.Bytes()
	if body := mem[head:]; len(body) > minGzip && !isFile(tl.Raw(body).TypeID()) {
		if packed, ok := pack(body); ok {
			if lie := s.dc.cfg.Faults.Corrupt.Gzip; lie != nil {
				packed = lie(c.point(), packed)
			}
			e = tl.NewEncoder(mem[:head])
			e.ID(idGzipPacked)
			e.Blob(packed)
			mem = e.Bytes()
		}
	}
	return mem
}

// asRPCError is the rpc_error for what a Handler returned.
func (s *Session) asRPCError(c *Call, err error) tl.Object {
	answer := &Error{Code: 500, Message: "INTERNAL"}
	if !errors.As(err, &answer) {
		s.dc.log.Error("handler failed", "method", c.Method, "err", err)
	}
	return tl.Raw(encode(idRPCError, func(e *tl.Encoder) {
		e.Int(int32(answer.Code))
		e.String(answer.Message)
	}))
}

const (
	resultHead = 4 + 8          // what stands before the result in an rpc_result
	answerHead = resultHead + 8 // or before the packed one
)

// sizeHint is about how long the encoding of a result is.
func sizeHint(result tl.Object) int {
	const filePart = 1<<20 + 64 // the longest part of upload.getFile, with its fields
	if r, ok := result.(tl.Raw); ok {
		return len(r)
	}
	if isFile(result.TypeID()) {
		return filePart
	}
	return 0
}

// isFile reports whether a result carries bytes of a file, which are never packed.
func isFile(id uint32) bool {
	return id == idUploadFile || id == idUploadCDNFile || id == idUploadWebFile
}

// point is where the call stands, for the faults.
func (c *Call) point() Point {
	p := c.conn.point()
	p.AuthKeyID, p.SessionID, p.MsgID, p.Method = c.AuthKeyID, c.SessionID, c.MsgID, c.Method
	return p
}

// aloneAnswers reports whether a fault may strike single answers, which then
// must not share a packet.
func (f *Faults) aloneAnswers() bool {
	return f.CutAnswer != nil || f.DropAnswer != nil || f.DuplicateAnswer != nil
}

// WaitFor waits until another query of the session is answered, as
// invokeAfterMsg demands. It returns ErrDependency if that one failed or was
// never received. The call's turn is given up meanwhile.
func (c *Call) WaitFor(ctx context.Context, msgID int64) error {
	s := c.Session
	s.mu.Lock()
	m := s.in.get(msgID)
	s.mu.Unlock()
	if m == nil || m == c.msg || m.done == nil {
		return ErrDependency
	}
	s.slots.Release(1)
	var err error
	select {
	case <-m.done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	// The turn must be taken back even if ctx ended: run gives it up again.
	if e := s.slots.Acquire(context.WithoutCancel(ctx), 1); e != nil {
		return e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && m.failed {
		err = ErrDependency
	}
	return err
}
