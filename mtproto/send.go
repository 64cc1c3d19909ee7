package mtproto

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
	"github.com/tghaul/haul/tl/mt"
)

// Limits of what goes into one packet.
// See core.telegram.org/mtproto/service_messages#containers.
const (
	groupBytes   = 32 << 10 // queries are gathered up to this size, bigger ones go alone
	groupQueries = 100
	ackBatch     = 16   // acknowledgements that are sent without waiting for company
	maxIDs       = 8192 // in one msgs_ack or msgs_state_req
)

// A serviceMsg is a service message to be sent.
type serviceMsg struct {
	body []byte
	sent func(msgID int64) // called locked with the id it went out under; may be nil
}

func (s *Session) serviceLocked(o tl.Object) {
	s.service = append(s.service, serviceMsg{body: tl.Marshal(o)})
	s.signal()
}

// askStateLocked asks what became of calls.
func (s *Session) askStateLocked(ids []int64) {
	for len(ids) > 0 {
		batch := ids[:min(len(ids), maxIDs)]
		ids = ids[len(batch):]
		s.service = append(s.service, serviceMsg{
			body: tl.Marshal(&mt.MsgsStateReq{MsgIDs: batch}),
			sent: func(msgID int64) { s.states[msgID] = batch },
		})
	}
	s.signal()
}

// A packer builds the packets of one connection, in memory that it reuses.
type packer struct {
	buf   []byte // what enc has made
	enc   tl.Encoder
	items []item
	calls []*call
	ack   mt.MsgsAck
	gap   gap
	seal  *crypto.Encloser
}

// An item is one message of a packet under construction.
type item struct {
	object  tl.Object
	content bool // content-related: must be acknowledged
	call    *call
	sent    func(msgID int64)
}

// pack puts what is due into p.buf at crypto.PacketHeader: header and body, n
// bytes, with room for sealing. What p.gap stands for is not in it yet. n is 0 if nothing is due. flush sends
// acknowledgements that would otherwise wait for company.
func (s *Session) pack(p *packer, now time.Time, flush bool) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pickLocked(p, flush)
	if len(p.items) == 0 {
		return 0, nil
	}
	p.gap = gap{}
	p.enc.Reset()
	p.enc.Raw(make([]byte, crypto.PacketHeader+crypto.HeaderSize))
	header := crypto.Header{Salt: s.saltLocked(now), SessionID: s.id}
	if len(p.items) == 1 {
		header.MsgID, header.SeqNo, err = s.encodeLocked(p, &p.items[0], now)
	} else {
		header.MsgID, header.SeqNo, err = s.encodeContainerLocked(p, now)
	}
	if err != nil {
		return 0, err
	}
	b := p.enc.Bytes()
	header.Length = int32(len(b) - crypto.PacketHeader - crypto.HeaderSize)
	header.Put(b[crypto.PacketHeader:])
	n = len(b) - crypto.PacketHeader
	p.enc.Raw(make([]byte, crypto.SealedSize(n)-len(b)))
	p.buf = p.enc.Bytes()
	return n, nil
}

// pickLocked chooses the messages of the next packet.
func (s *Session) pickLocked(p *packer, flush bool) {
	clear(p.items) // a call that is over may be another by now
	p.items, p.calls = p.items[:0], p.calls[:0]
	if s.leaving.IsZero() && (s.bind == nil || s.bind.msgID == 0) {
		p.calls = s.pickCallsLocked(p.calls)
	}
	for _, m := range s.service {
		p.items = append(p.items, item{object: tl.Raw(m.body), sent: m.sent})
	}
	s.service = nil
	if len(s.acks) > 0 && (flush || len(s.acks) >= ackBatch || len(p.items) > 0 || len(p.calls) > 0) {
		n := min(len(s.acks), maxIDs)
		p.ack.MsgIDs = append(p.ack.MsgIDs[:0], s.acks[:n]...)
		s.acks = slices.Delete(s.acks, 0, n)
		p.items = append(p.items, item{object: &p.ack})
	}
	for _, c := range p.calls {
		p.items = append(p.items, item{content: true, call: c})
	}
	clear(p.calls)
}

// pickCallsLocked takes calls off the queue and appends them to picked: several
// small ones, or one big one, or one with a payload. While a temporary key is
// not bound, only its binding may go.
func (s *Session) pickCallsLocked(picked []*call) []*call {
	size := 0
	for _, c := range s.queue[:min(len(s.queue), groupQueries)] {
		if s.bind != nil && c != s.bind {
			break
		}
		if size += len(c.body) + c.payload.Len; len(picked) > 0 && (size > groupBytes || c.payload.Len > 0) {
			break
		}
		picked = append(picked, c)
		if c.payload.Len > 0 { // the packet ends with it
			break
		}
	}
	s.queue = slices.Delete(s.queue, 0, len(picked))
	return picked
}

func (s *Session) encodeContainerLocked(p *packer, now time.Time) (msgID int64, seqNo int32, err error) {
	p.enc.ID(containerID)
	p.enc.Count(len(p.items))
	for i := range p.items {
		start := p.enc.Len()
		p.enc.Raw(make([]byte, 16)) // msg_id, seqno, length
		id, seq, err := s.encodeLocked(p, &p.items[i], now)
		if err != nil {
			return 0, 0, err
		}
		head := p.enc.Bytes()[start:]
		binary.LittleEndian.PutUint64(head, uint64(id))
		binary.LittleEndian.PutUint32(head[8:], uint32(seq))
		binary.LittleEndian.PutUint32(head[12:], uint32(p.enc.Len()-start-16))
	}
	// The container comes after its messages, so its id is made last.
	msgID = s.clock.msgID(now)
	s.sent.add(msgID)
	for _, it := range p.items {
		if it.call != nil {
			it.call.container = msgID
		}
	}
	return msgID, 2 * s.content, nil
}

// encodeLocked gives a message its id and seqno, and appends its body.
func (s *Session) encodeLocked(p *packer, it *item, now time.Time) (msgID int64, seqNo int32, err error) {
	msgID = s.clock.msgID(now)
	seqNo = 2 * s.content
	if it.content {
		seqNo++
		s.content++
	}
	s.sent.add(msgID)
	if it.sent != nil {
		it.sent(msgID)
	}
	if it.call == nil {
		it.object.Encode(&p.enc)
		return msgID, seqNo, nil
	}
	c := it.call
	if c.build != nil {
		if c.body, err = c.build(msgID); err != nil {
			return 0, 0, err
		}
		p.enc.Raw(c.body)
	} else {
		s.encodeCallLocked(&p.enc, c)
	}
	c.msgID, c.container, c.sentAt, c.acked = msgID, 0, now, false
	if c.payload.Len > 0 {
		p.leaveGap(c)
	}
	s.calls[msgID] = c
	return msgID, seqNo, nil
}

// encodeCallLocked appends a query, with the wrappers around it that the
// session's state asks for.
func (s *Session) encodeCallLocked(e *tl.Encoder, c *call) {
	if s.inited && !compressible(c) {
		if s.opts.NoUpdates {
			e.ID(api.InvokeWithoutUpdatesRequestID)
		}
		e.Raw(c.body)
		return
	}
	var q tl.Object = tl.Raw(c.body)
	if s.opts.NoUpdates {
		q = &api.InvokeWithoutUpdatesRequest{Query: q}
	}
	if !s.inited {
		q = s.opts.Init(q)
	}
	if compressible(c) {
		q = compress(q)
	}
	q.Encode(e)
}

// Queries between these sizes are tried to be compressed; file parts never are.
const (
	gzipMin = 1 << 10
	gzipMax = 256 << 10
)

// compressible reports whether it is worth trying to compress a query.
func compressible(c *call) bool {
	return c.payload.Len == 0 && len(c.body) >= gzipMin && len(c.body) <= gzipMax && !strings.HasPrefix(c.method, "upload.save")
}

// compress packs a query if that saves a tenth, else it returns it as it is.
func compress(q tl.Object) tl.Object {
	plain := tl.Marshal(q)
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(plain) // a Buffer takes everything
	_ = z.Close()
	if out.Len()*10 >= len(plain)*9 {
		return q
	}
	return &mt.GzipPacked{PackedData: out.Bytes()}
}

// saltLocked is the salt to use at local time now.
func (s *Session) saltLocked(now time.Time) int64 {
	server := s.clock.at(now)
	for len(s.salts) > 0 && !server.Before(s.salts[0].ValidSince) {
		if server.Before(s.salts[0].ValidUntil) {
			s.salt = s.salts[0].Salt
		}
		s.salts = s.salts[1:]
	}
	return s.salt
}

const (
	fewSalts    = 2
	wantedSalts = 16
	saltsPause  = time.Minute // between two questions
)

func (s *Session) refreshSaltsLocked(now time.Time) {
	if len(s.salts) < fewSalts && now.Sub(s.asked) >= saltsPause {
		s.asked = now
		s.serviceLocked(&mt.GetFutureSaltsRequest{Num: wantedSalts})
	}
}

// recentIDs remembers the ids of messages that were sent, since a server may
// only complain about those.
type recentIDs struct {
	ring [2048]int64
	next int
	set  map[int64]struct{}
}

func (r *recentIDs) add(id int64) {
	if r.set == nil {
		r.set = map[int64]struct{}{}
	}
	delete(r.set, r.ring[r.next])
	r.ring[r.next] = id
	r.set[id] = struct{}{}
	r.next = (r.next + 1) % len(r.ring)
}

func (r *recentIDs) has(id int64) bool {
	_, ok := r.set[id]
	return ok
}
