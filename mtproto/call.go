package mtproto

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tghaul/haul/tl"
)

// maxTries bounds how often one call is sent again for the same kind of
// complaint: after it something is wrong that repeating does not mend.
const maxTries = 8

// A call is a query on its way. Its fields belong to the session's lock. Once it
// is finished the session knows nothing of it any more, and invoke may use it
// for another query; one that was given up is never used again.
type call struct {
	body   []byte     // the query, encoded, without wrappers
	enc    tl.Encoder // memory of body
	method string
	// payload, if it has a length, follows the body.
	payload Payload
	// build makes the body for the message id it will travel under; for
	// auth.bindTempAuthKey, which contains that id. Then body is nil.
	build func(msgID int64) ([]byte, error)

	msgID     int64 // 0 while it waits to be sent
	container int64 // the container it was sent in, or 0
	sentAt    time.Time
	acked     bool // the server has it
	tries     int
	asked     time.Time    // when the server was asked about it, zero if it was not
	askedAt   int64        // what Session.received was then
	working   bool         // and has said that it is at work on it
	missed    bool         // a connection was given up because its answer did not come
	done      chan outcome // of size 1: the first outcome wins, nobody blocks
}

type outcome struct {
	response *Response
	err      error
}

// finish delivers an outcome. Only the caller that removed the call from the
// table may do it, and it does nothing with the call after that.
func (c *call) finish(o outcome) { c.done <- o }

// Up to so many calls are kept for other queries, and up to so many bytes of each.
const (
	maxSpare      = 64
	maxSpareBytes = 4 << 10
)

// newCall is a call of a query, wrapped and encoded.
func (s *Session) newCall(query tl.Object) *call {
	c := s.takeSpare()
	if c == nil {
		c = &call{done: make(chan outcome, 1)}
	}
	s.opts.Wrap(query).Encode(&c.enc)
	c.body, c.method = c.enc.Bytes(), query.TypeName()
	return c
}

// takeSpare is a finished call that was kept, empty; or nil.
func (s *Session) takeSpare() *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.spare)
	if n == 0 {
		return nil
	}
	c := s.spare[n-1]
	s.spare = s.spare[:n-1]
	return c
}

// keep has a finished call used again.
func (s *Session) keep(c *call) {
	if c.enc.Len() > maxSpareBytes {
		return
	}
	c.enc.Reset()
	*c = call{enc: c.enc, done: c.done}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.spare) < maxSpare {
		s.spare = append(s.spare, c)
	}
}

// An Invoker calls functions of the API. *Session is one.
type Invoker interface {
	Invoke(ctx context.Context, query tl.Object) (*Response, error)
}

// Call calls a function and decodes the answer. The answer's bytes belong to
// the result, which may be kept.
func Call[R any](ctx context.Context, inv Invoker, query tl.Method[R]) (R, error) {
	var zero R
	response, err := inv.Invoke(ctx, query)
	if err != nil {
		return zero, err
	}
	defer response.detach()
	r, err := query.DecodeResult(tl.NewDecoder(response.Body()))
	if err != nil {
		return zero, fmt.Errorf("%w: %s (layer %d): %w", ErrBadAnswer, query.TypeName(), apiLayer, err)
	}
	return r, nil
}

// Invoke calls a function and returns the boxed answer, whose holder must
// release it. It may be used concurrently and survives reconnects. If ctx ends
// first, the server is told to drop the answer and ctx's error is returned. An
// *RPCError is what the server answered instead of a result.
func (s *Session) Invoke(ctx context.Context, query tl.Object) (*Response, error) {
	return s.invoke(ctx, s.newCall(query))
}

func (s *Session) invoke(ctx context.Context, c *call) (*Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.enqueue(c); err != nil {
		return nil, err
	}
	select {
	case o := <-c.done:
		s.keep(c)
		return o.response, o.err
	case <-ctx.Done():
	}
	if !s.cancel(c) { // it was finished meanwhile
		if o := <-c.done; o.response != nil {
			o.response.Release()
		}
	}
	return nil, ctx.Err()
}

// Stats counts what a session did.
type Stats struct {
	BytesIn, BytesOut int64 // encrypted packets, without framing
	Reconnects        int64
	Resent            int64 // calls sent more than once
}

type counters struct {
	bytesIn, bytesOut, reconnects, resent atomic.Int64
}

func (c *counters) stats() Stats {
	return Stats{
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		Reconnects: c.reconnects.Load(), Resent: c.resent.Load(),
	}
}

// errRestart ends a connection on purpose: the session goes on at once with a new one.
var errRestart = errors.New("mtproto: connection is renewed")
