package mtserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/mtproto/transport"
	"github.com/tghaul/haul/tl"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testRSA is one RSA key for all tests: making one is slow.
var testRSA = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// handlerFunc is a Handler made of a function.
type handlerFunc func(ctx context.Context, c *Call) (tl.Object, error)

func (f handlerFunc) Handle(ctx context.Context, c *Call) (tl.Object, error) { return f(ctx, c) }

// echo answers a query with its own bytes.
var echo = handlerFunc(func(_ context.Context, c *Call) (tl.Object, error) {
	return append(tl.Raw(nil), c.Query...), nil
})

// An env is a DC in a bubble of synctest, with connections in memory.
type env struct {
	t   *testing.T
	dc  *DC
	ctx context.Context //nolint:containedctx // a test fixture: it ends with the test
	wg  *sync.WaitGroup
}

// inBubble runs a test against a DC with virtual time.
func inBubble(t *testing.T, cfg Config, test func(e *env)) {
	t.Helper()
	cfg.RSA = testRSA()
	if cfg.ID == 0 {
		cfg.ID = 2
	}
	if cfg.Handler == nil {
		cfg.Handler = echo
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		e := &env{t: t, dc: NewDC(cfg), ctx: ctx, wg: new(sync.WaitGroup)}
		defer e.wg.Wait()
		defer cancel()
		defer func() { _ = e.dc.Close() }()
		test(e)
	})
}

// dial connects to the DC; the framing is plain.
func (e *env) dial(o transport.Options, mediaOnly bool) *transport.Conn {
	e.t.Helper()
	here, there := net.Pipe()
	e.wg.Go(func() { _ = e.dc.ServeConn(e.ctx, there, mediaOnly) })
	c, err := transport.Client(here, o)
	if err != nil {
		e.t.Fatalf("transport.Client: %v", err)
	}
	return c
}

// addKey stores a random auth key with the salt 7, as if exchanged.
func (e *env) addKey(temp time.Duration) *crypto.AuthKey {
	var raw [256]byte
	_, _ = rand.Read(raw[:])
	k := crypto.NewAuthKey(raw)
	now := e.dc.cfg.Now()
	entry := &keyEntry{key: k, created: now, salts: newSalts(7, now, e.dc.cfg.SaltLifetime)}
	if temp > 0 {
		entry.temp, entry.expires = true, now.Add(temp)
	}
	e.dc.keys.add(entry)
	return k
}

// A client is the least that can talk to the server: it keeps no state but
// what its next message needs, so that tests can break every rule.
type client struct {
	t        *testing.T
	conn     *transport.Conn
	key      *crypto.AuthKey
	salt     int64
	session  int64
	lastID   int64
	content  int32
	inbox    []message
	patience time.Duration      // how long read waits, 2 s at least
	skipped  []message          // service messages that expect passed over
	answers  map[int64]struct{} // msg_ids of the rpc_results received
}

// A message is one message from the server, out of its container.
type message struct {
	id    int64
	seqNo int32
	body  []byte
	outer int64 // msg_id of the packet
}

func (m message) constructor() uint32 { return tl.Raw(m.body).TypeID() }

// fields is a decoder behind the constructor.
func (m message) fields() *tl.Decoder {
	d := tl.NewDecoder(m.body)
	d.ID()
	return d
}

// client returns a client with a new permanent key and session.
func (e *env) client() *client { return e.clientWith(e.addKey(0)) }

func (e *env) clientWith(key *crypto.AuthKey) *client {
	e.t.Helper()
	return &client{
		t: e.t, conn: e.dial(transport.Options{Framing: transport.Intermediate}, false),
		key: key, salt: 7, session: randomSalt(), answers: make(map[int64]struct{}),
	}
}

// reconnect moves the client's session to a new connection.
func (e *env) reconnect(c *client) {
	e.t.Helper()
	_ = c.conn.Close()
	synctest.Wait()
	c.conn = e.dial(transport.Options{Framing: transport.Intermediate}, false)
}

// nextID is a fresh msg_id.
func (c *client) nextID() int64 {
	c.lastID = max(msgIDAt(time.Now())&^3, c.lastID+4)
	return c.lastID
}

// nextSeqNo is the seqno that belongs to the next message.
func (c *client) nextSeqNo(content bool) int32 {
	n := 2 * c.content
	if content {
		c.content++
		n++
	}
	return n
}

// send sends a message of its own packet and returns its msg_id.
func (c *client) send(body []byte, content bool) int64 {
	c.t.Helper()
	id := c.nextID()
	c.packet(id, c.nextSeqNo(content), body)
	return id
}

// call sends an API query.
func (c *client) call(n int64) int64 { return c.send(query(n), true) }

// query is some API query, that echo answers with itself.
func query(n int64) []byte {
	return encode(0x0badcafe, func(e *tl.Encoder) { e.Long(n) })
}

// packet seals and sends one message, whatever its numbers.
func (c *client) packet(id int64, seqNo int32, body []byte) {
	c.t.Helper()
	h := crypto.Header{Salt: c.salt, SessionID: c.session, MsgID: id, SeqNo: seqNo, Length: int32(len(body))}
	c.write(c.seal(h, body))
}

// header is that of the next query, with any length.
func (c *client) header(length int32) crypto.Header {
	return crypto.Header{Salt: c.salt, SessionID: c.session, MsgID: c.nextID(), SeqNo: c.nextSeqNo(true), Length: length}
}

func (c *client) seal(h crypto.Header, body []byte) []byte {
	c.t.Helper()
	packet, _ := c.sealToken(h, body)
	return packet
}

// sealToken is seal with the packet's quick-ack token.
func (c *client) sealToken(h crypto.Header, body []byte) ([]byte, uint32) {
	c.t.Helper()
	buf := make([]byte, crypto.SealedSize(32+len(body)))
	h.Put(buf[24:])
	copy(buf[bodyOffset:], body)
	packet, token, err := c.key.Seal(buf, 32+len(body), crypto.FromClient, 0, rand.Reader)
	if err != nil {
		c.t.Fatalf("seal: %v", err)
	}
	return packet, token
}

func (c *client) write(packet []byte) {
	c.t.Helper()
	if err := c.conn.WriteFrame(packet); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

// container sends messages in a container, whose numbers come last.
func (c *client) container(msgs ...rawMsg) int64 {
	c.t.Helper()
	id := c.nextID()
	c.packet(id, c.nextSeqNo(false), containerBody(msgs...))
	return id
}

// part makes one message for a container.
func (c *client) part(body []byte, content bool) rawMsg {
	return rawMsg{id: c.nextID(), seqNo: c.nextSeqNo(content), body: body}
}

func containerBody(msgs ...rawMsg) []byte {
	return encode(idContainer, func(e *tl.Encoder) {
		e.Int(int32(len(msgs)))
		for _, m := range msgs {
			e.Long(m.id)
			e.Int(m.seqNo)
			e.Int(int32(len(m.body)))
			e.Raw(m.body)
		}
	})
}

// errQuiet is what read returns when the server says nothing for a while.
var errQuiet = errors.New("nothing came")

// read returns the next message from the server.
func (c *client) read() (message, error) {
	for len(c.inbox) == 0 {
		_ = c.conn.SetReadDeadline(time.Now().Add(max(c.patience, 2*time.Second)))
		frame, err := c.conn.ReadFrame(func(n int) []byte { return make([]byte, n) })
		if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
			return message{}, errQuiet
		}
		if err != nil {
			return message{}, err
		}
		if err := c.open(frame); err != nil {
			return message{}, err
		}
	}
	m := c.inbox[0]
	c.inbox = c.inbox[1:]
	return m, nil
}

// open checks a packet from the server and puts its messages into the inbox.
func (c *client) open(frame []byte) error {
	plain, err := c.key.Open(frame, crypto.FromServer)
	if err != nil {
		return err
	}
	h, body, err := crypto.ParseHeader(plain)
	if err != nil {
		return err
	}
	if h.SessionID != c.session || h.MsgID&1 != 1 {
		return fmt.Errorf("session %x, msg_id %x", h.SessionID, h.MsgID)
	}
	if tl.Raw(body).TypeID() != idContainer {
		c.inbox = append(c.inbox, message{id: h.MsgID, seqNo: h.SeqNo, body: body, outer: h.MsgID})
		return nil
	}
	d := tl.NewDecoder(body)
	d.ID()
	for n := d.Count(20); n > 0; n-- {
		m := message{id: d.Long(), seqNo: d.Int(), outer: h.MsgID}
		m.body = d.Take(int(d.Int()))
		if m.id >= h.MsgID || m.id&1 != 1 {
			return fmt.Errorf("msg_id %x in container %x", m.id, h.MsgID)
		}
		c.inbox = append(c.inbox, m)
	}
	return d.End()
}

// expect returns the next message that is no msgs_ack nor new_session_created,
// unless that is what it wants, and checks its constructor.
func (c *client) expect(want uint32) message {
	c.t.Helper()
	for {
		m, err := c.read()
		if err != nil {
			c.t.Fatalf("waiting for %#x: %v", want, err)
		}
		got := m.constructor()
		if got == idRPCResult {
			c.answers[m.id] = struct{}{}
		}
		if got == want {
			return m
		}
		if got != idMsgsAck && got != idNewSession {
			c.t.Fatalf("got %#x (%d bytes), want %#x", got, len(m.body), want)
		}
		c.skipped = append(c.skipped, m)
	}
}

// result returns the body of the rpc_result for a query.
func (c *client) result(id int64) []byte {
	c.t.Helper()
	m := c.expect(idRPCResult)
	d := m.fields()
	if got := d.Long(); got != id {
		c.t.Fatalf("rpc_result for %x, want %x", got, id)
	}
	return d.Rest()
}

// expectError checks that a query is answered with an rpc_error.
func (c *client) expectError(id int64, want string) {
	c.t.Helper()
	d := tl.NewDecoder(c.result(id))
	if got := d.ID(); got != idRPCError {
		c.t.Fatalf("result %#x, want rpc_error %s", got, want)
	}
	if got := fmt.Sprintf("%d %s", d.Int(), d.String()); got != want {
		c.t.Errorf("rpc_error %s, want %s", got, want)
	}
}

// expectBad checks that a message was refused with a code.
func (c *client) expectBad(id int64, seqNo int32, code int) {
	c.t.Helper()
	constructor := uint32(idBadMsg)
	if code == badServerSalt {
		constructor = idBadSalt
	}
	d := c.expect(constructor).fields()
	if gotID, gotSeqNo, got := d.Long(), d.Int(), int(d.Int()); gotID != id || gotSeqNo != seqNo || got != code {
		c.t.Errorf("bad message %x seqno %d code %d, want %x %d %d", gotID, gotSeqNo, got, id, seqNo, code)
	}
	if code == badServerSalt {
		c.salt = d.Long()
	}
}

// expectTransport checks that a transport error comes.
func (c *client) expectTransport(code int32) {
	c.t.Helper()
	_, err := c.read()
	if te := (*transport.Error)(nil); !asTransport(err, &te) || te.Code != code {
		c.t.Fatalf("got %v, want transport error %d", err, code)
	}
}

func asTransport(err error, te **transport.Error) bool { return errors.As(err, te) }

// expectQuiet checks that nothing comes but acks and new_session_created.
func (c *client) expectQuiet() {
	c.t.Helper()
	for {
		m, err := c.read()
		if errors.Is(err, errQuiet) {
			return
		}
		if err != nil {
			c.t.Fatalf("got %v, want silence", err)
		}
		if id := m.constructor(); id != idMsgsAck && id != idNewSession {
			c.t.Fatalf("got %#x, want silence", id)
		}
		c.skipped = append(c.skipped, m)
	}
}

// expectClosed checks that the server closes the connection without a word.
func (c *client) expectClosed() {
	c.t.Helper()
	m, err := c.read()
	var te *transport.Error
	if err == nil || errors.Is(err, errQuiet) || errors.As(err, &te) {
		c.t.Fatalf("got %#x, %v; want a closed connection", m.constructor(), err)
	}
}

// acks returns the ids in the msgs_ack that expect passed over.
func (c *client) acks() (ids []int64) {
	for _, m := range c.skipped {
		if m.constructor() == idMsgsAck {
			more, _, _ := parseIDs(m.body)
			ids = append(ids, more...)
		}
	}
	return ids
}

// ping checks that the session works.
func (c *client) ping(n int64) {
	c.t.Helper()
	id := c.send(encode(idPing, func(e *tl.Encoder) { e.Long(n) }), false)
	d := c.expect(idPong).fields()
	if msg, got := d.Long(), d.Long(); msg != id || got != n {
		c.t.Errorf("pong of %x: %d, want %x: %d", msg, got, id, n)
	}
}

// roundTrip checks that an API query is answered.
func (c *client) roundTrip(n int64) int64 {
	c.t.Helper()
	id := c.call(n)
	if got := c.result(id); !bytes.Equal(got, query(n)) {
		c.t.Errorf("result % x, want % x", got, query(n))
	}
	return id
}

// plainQuery wraps a handshake query.
func plainQuery(body []byte) []byte {
	b := binary.LittleEndian.AppendUint64(make([]byte, 8), uint64(msgIDAt(time.Now())&^3))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	return append(b, body...)
}
