package mtproto

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/tghaul/haul/tl"
)

// A Payload is the bytes that a query ends in, which are read when the query
// is sent: into the packet itself, so that they are in memory once, and only
// while they are encrypted and written.
type Payload struct {
	// Len is how many bytes there are, less than 16 MiB.
	Len int
	// From is where they are read, from the offset At on. If that fails the call
	// does. From must give the same bytes each time, for a query may have to be
	// sent again. It is not read twice at the same time for one call, but may
	// still be after the call has returned because its context ended.
	From io.ReaderAt
	At   int64
}

// read fills b, which has length Len.
func (p Payload) read(b []byte) error {
	n, err := p.From.ReadAt(b, p.At)
	switch {
	case n == len(b):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	default:
		return err
	}
}

// A PayloadError is why the payload of a call could not be read.
type PayloadError struct{ Err error }

func (e *PayloadError) Error() string { return "mtproto: read what is to be sent: " + e.Err.Error() }

func (e *PayloadError) Unwrap() error { return e.Err }

// emptyBytes is how TL writes an empty `bytes`.
var emptyBytes = make([]byte, 4)

// InvokeWith is Invoke for a query whose last field is of type `bytes`, and
// empty: what the payload reads is sent in its place.
func (s *Session) InvokeWith(ctx context.Context, query tl.Object, payload Payload) (*Response, error) {
	c := s.newCall(query)
	body, ok := bytes.CutSuffix(c.body, emptyBytes)
	if !ok || payload.Len <= 0 || payload.Len >= 1<<24 {
		return nil, fmt.Errorf("mtproto: %s does not end in empty bytes, or %d bytes are no payload", query.TypeName(), payload.Len)
	}
	c.body, c.payload = body, payload
	return s.invoke(ctx, c)
}

// A gap is where in a packet a payload belongs. It does not refer to the call,
// which may be over before the gap is filled.
type gap struct {
	payload Payload // of length 0: there is none
	at      int
	msgID   int64 // of the call
}

// leaveGap appends the payload of c to the packet, as bytes that are still to be filled.
func (p *packer) leaveGap(c *call) {
	p.gap = gap{payload: c.payload, at: p.enc.Len() + 4, msgID: c.msgID} // its length takes 4 bytes, or else 1
	if c.payload.Len < 254 {
		p.gap.at = p.enc.Len() + 1
	}
	p.enc.BlobSpace(c.payload.Len)
}

// fill reads the payload of a packet into it, if it has one. That takes as long
// as a disk takes, so the session is not locked meanwhile. A call whose payload
// cannot be read is over. Its message has an id by then and may stand beside
// others in the packet, so the connection is left as if the packet was lost.
func (s *Session) fill(p *packer) error {
	payload := p.gap.payload
	if payload.Len == 0 {
		return nil
	}
	err := payload.read(p.buf[p.gap.at:][:payload.Len:payload.Len])
	if err == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, open := s.calls[p.gap.msgID]; open {
		delete(s.calls, c.msgID)
		c.finish(outcome{err: &PayloadError{err}})
	}
	return errRestart
}
