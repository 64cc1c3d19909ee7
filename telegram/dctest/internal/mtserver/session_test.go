package mtserver

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto/transport"
	"github.com/tghaul/haul/tl"
)

func TestQueryIsAnswered(t *testing.T) {
	for _, f := range []transport.Framing{transport.Abridged, transport.Intermediate, transport.PaddedIntermediate, transport.Full} {
		for _, obfuscated := range []bool{false, true} {
			if obfuscated && f == transport.Full {
				continue
			}
			t.Run(f.String()+map[bool]string{true: " obfuscated"}[obfuscated], func(t *testing.T) {
				inBubble(t, Config{}, func(e *env) {
					c := e.client()
					_ = c.conn.Close()
					c.conn = e.dial(transport.Options{Framing: f, Obfuscated: obfuscated, DC: 2}, false)
					for i := range int64(3) {
						c.roundTrip(i)
					}
					c.ping(5)
				})
			})
		}
	}
}

// TestFirstMsgID: new_session_created comes once, and tells the lowest msg_id
// received, so that a client takes nothing for lost that was received.
func TestFirstMsgID(t *testing.T) {
	inBubble(t, Config{}, func(e *env) {
		c := e.client()
		first, second := c.part(query(1), true), c.part(query(2), true)
		ping := c.part(encode(idPing, func(e *tl.Encoder) { e.Long(1) }), false)
		c.container(second, first, ping)
		m := c.expect(idNewSession)
		d := m.fields()
		if got := d.Long(); got != first.id {
			t.Errorf("first_msg_id = %x, want %x", got, first.id)
		}
		if d.Long() == 0 {
			t.Error("unique_id is 0")
		}
		if got := d.Long(); got != c.salt {
			t.Errorf("server_salt = %x, want %x", got, c.salt)
		}
		if m.seqNo&1 != 1 || m.id&3 != 3 {
			t.Errorf("seqno %d, msg_id %x: want odd and 3 modulo 4", m.seqNo, m.id)
		}
		got := map[uint32]int{}
		for range 3 { // in any order
			m, err := c.read()
			if err != nil {
				t.Fatal(err)
			}
			got[m.constructor()]++
		}
		if got[idPong] != 1 || got[idRPCResult] != 2 {
			t.Errorf("got %v, want a pong and two results", got)
		}
		c.skipped = nil
		c.roundTrip(3)
		if len(c.skipped) > 0 {
			t.Errorf("%#x came again", c.skipped[0].constructor())
		}
	})
}

// TestBadMessages breaks each rule for messages alone.
func TestBadMessages(t *testing.T) {
	now := func(d time.Duration) int64 { return msgIDAt(time.Now().Add(d)) &^ 3 }
	ping := encode(idPing, func(e *tl.Encoder) { e.Long(1) })
	ack := encodeIDs(idMsgsAck, []int64{1})
	tests := []struct {
		name  string
		code  int
		id    func(c *client) int64
		seqNo int32
		body  func(c *client) []byte
	}{
		{name: "old", code: badMsgIDLow, id: func(*client) int64 { return now(-301 * time.Second) }, seqNo: 101},
		{name: "future", code: badMsgIDHigh, id: func(*client) int64 { return now(31 * time.Second) }, seqNo: 101},
		{name: "low bits", code: badMsgIDBits, id: func(c *client) int64 { return c.nextID() | 1 }, seqNo: 101},
		{name: "container again", code: badContainerID, id: func(c *client) int64 { return c.lastID }, seqNo: 100, body: func(c *client) []byte {
			return containerBody(rawMsg{id: c.lastID - 8, seqNo: 0, body: ping})
		}},
		{name: "before the session", code: badTooOld, id: func(*client) int64 { return now(-time.Minute) }, seqNo: 1},
		{name: "seqno low", code: badSeqNoLow, seqNo: 1},
		{name: "seqno the same", code: badSeqNoLow, seqNo: 3},
		{name: "seqno high", code: badSeqNoHigh, id: func(c *client) int64 { return c.lastID - 1<<20 }, seqNo: 5},
		{name: "odd ack", code: badSeqNoOdd, seqNo: 101, body: func(*client) []byte { return ack }},
		{name: "odd container", code: badSeqNoOdd, seqNo: 101, body: func(c *client) []byte {
			return containerBody(rawMsg{id: c.lastID - 2, seqNo: 100, body: ping})
		}},
		{name: "even query", code: badSeqNoEven, seqNo: 100},
		{name: "even packed query", code: badSeqNoEven, seqNo: 100, body: func(*client) []byte {
			return encode(idGzipPacked, func(e *tl.Encoder) { e.Blob(nil) })
		}},
		{name: "even query inside", code: badSeqNoEven, seqNo: 100, body: func(c *client) []byte {
			return containerBody(rawMsg{id: c.lastID - 4, seqNo: 100, body: query(1)})
		}},
		{name: "low bits inside", code: badMsgIDBits, seqNo: 100, body: func(c *client) []byte {
			return containerBody(rawMsg{id: c.lastID - 2, seqNo: 100, body: ping})
		}},
		{name: "higher inside", code: badContainer, seqNo: 100, body: func(c *client) []byte {
			return containerBody(rawMsg{id: c.lastID + 4, seqNo: 100, body: ping})
		}},
		{name: "twins inside", code: badContainer, seqNo: 100, body: func(c *client) []byte {
			m := rawMsg{id: c.lastID - 4, seqNo: 100, body: ping}
			return containerBody(m, m)
		}},
		{name: "container inside", code: badContainer, seqNo: 100, body: func(c *client) []byte {
			m := rawMsg{id: c.lastID - 4, seqNo: 100, body: ping}
			return containerBody(rawMsg{id: c.lastID - 2, seqNo: 100, body: containerBody(m)})
		}},
		{name: "short container", code: badContainer, seqNo: 100, body: func(c *client) []byte {
			b := containerBody(rawMsg{id: c.lastID - 4, seqNo: 100, body: ping})
			return b[:len(b)-4]
		}},
		{name: "length inside", code: badContainer, seqNo: 100, body: func(c *client) []byte {
			b := containerBody(rawMsg{id: c.lastID - 4, seqNo: 100, body: ping})
			b[8+12]++
			return b
		}},
		{name: "more after container", code: badContainer, seqNo: 100, body: func(c *client) []byte {
			return append(containerBody(rawMsg{id: c.lastID - 4, seqNo: 100, body: ping}), 0, 0, 0, 0)
		}},
		{name: "negative count", code: badContainer, seqNo: 100, body: func(*client) []byte {
			return encode(idContainer, func(e *tl.Encoder) { e.Int(-1) })
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, Config{}, func(e *env) {
				c := e.client()
				c.roundTrip(1)
				c.roundTrip(2)
				time.Sleep(time.Second)
				c.container(c.part(ping, false), c.part(ping, false))
				c.expect(idPong)
				c.expect(idPong)
				time.Sleep(time.Second)
				id := int64(0)
				switch {
				case tt.id != nil:
					id = tt.id(c)
				default:
					id = c.nextID()
				}
				body := query(3)
				if tt.body != nil {
					body = tt.body(c)
				}
				c.packet(id, tt.seqNo, body)
				c.expectBad(id, tt.seqNo, tt.code)
				if got := e.dc.Stats().BadMessages[tt.code]; got != 1 {
					t.Errorf("counted %d times, want 1", got)
				}
				c.roundTrip(4) // the session goes on
			})
		})
	}
}

// TestRefusedContainer: a container is refused as a whole, so nothing in it
// was executed, and sent right it is.
func TestRefusedContainer(t *testing.T) {
	var runs atomic.Int64
	cfg := Config{Handler: handlerFunc(func(_ context.Context, c *Call) (tl.Object, error) {
		runs.Add(1)
		return append(tl.Raw(nil), c.Query...), nil
	})}
	inBubble(t, cfg, func(e *env) {
		c := e.client()
		good := c.part(query(1), true)
		bad := rawMsg{id: c.nextID(), seqNo: 2, body: query(2)}
		id := c.nextID()
		c.packet(id, 2, containerBody(good, bad))
		c.expectBad(id, 2, badSeqNoEven)
		c.expectQuiet()
		if got := runs.Load(); got != 0 {
			t.Fatalf("%d queries executed, want 0", got)
		}
		c.container(good, c.part(query(2), true))
		c.expect(idRPCResult)
		c.expect(idRPCResult)
		if got := runs.Load(); got != 2 {
			t.Errorf("%d queries executed, want 2", got)
		}
	})
}

// TestLimits: what is too much gets transport error -429 and the connection closed.
func TestLimits(t *testing.T) {
	ping := encode(idPing, func(e *tl.Encoder) { e.Long(1) })
	tests := []struct {
		name string
		send func(c *client)
	}{
		{"container", func(c *client) {
			var msgs []rawMsg
			for range maxContainer + 1 {
				msgs = append(msgs, c.part(ping, false))
			}
			c.container(msgs...)
		}},
		{"acks", func(c *client) { c.send(encodeIDs(idMsgsAck, make([]int64, maxIDs+1)), false) }},
		{"states", func(c *client) { c.send(encodeIDs(idMsgsStateReq, make([]int64, maxIDs+1)), false) }},
		{"resends", func(c *client) { c.send(encodeIDs(idMsgResendReq, make([]int64, maxIDs+1)), false) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, Config{}, func(e *env) {
				c := e.client()
				tt.send(c)
				c.skipUntilTransport(transportFlood)
				c.expectClosed()
			})
		})
	}
}

// skipUntilTransport is expectTransport after any messages.
func (c *client) skipUntilTransport(code int32) {
	c.t.Helper()
	for {
		m, err := c.read()
		if err != nil {
			c.inbox = nil
			if te := (*transport.Error)(nil); !asTransport(err, &te) || te.Code != code {
				c.t.Fatalf("got %v, want transport error %d", err, code)
			}
			return
		}
		c.skipped = append(c.skipped, m)
	}
}

func TestFullContainer(t *testing.T) {
	inBubble(t, Config{}, func(e *env) {
		c := e.client()
		var msgs []rawMsg
		for i := range maxContainer {
			msgs = append(msgs, c.part(encode(idPing, func(e *tl.Encoder) { e.Long(int64(i)) }), false))
		}
		c.container(msgs...)
		for i := range maxContainer {
			d := c.expect(idPong).fields()
			if id, n := d.Long(), d.Long(); id != msgs[i].id || n != int64(i) {
				t.Fatalf("pong %x %d, want %x %d", id, n, msgs[i].id, i)
			}
		}
	})
}

// TestDuplicate: a query that comes again is not executed again; its answer is
// sent again while it is not acknowledged, then the query is acknowledged again.
func TestDuplicate(t *testing.T) {
	var runs atomic.Int64
	cfg := Config{Handler: handlerFunc(func(_ context.Context, c *Call) (tl.Object, error) {
		runs.Add(1)
		return append(tl.Raw(nil), c.Query...), nil
	})}
	inBubble(t, cfg, func(e *env) {
		c := e.client()
		id := c.call(1)
		answer := c.expect(idRPCResult)
		synctest.Wait() // what is being written is not sent again
		c.packet(id, 1, query(1))
		again := c.expect(idRPCResult)
		if again.id != answer.id || again.seqNo != answer.seqNo || !bytes.Equal(again.body, answer.body) {
			t.Errorf("again came %x seqno %d, want the same as first: %x seqno %d", again.id, again.seqNo, answer.id, answer.seqNo)
		}
		c.send(encodeIDs(idMsgsAck, []int64{answer.id}), false)
		c.skipped = nil
		c.packet(id, 1, query(1))
		c.expectQuiet()
		if got := c.acks(); !slices.Equal(got, []int64{id}) {
			t.Errorf("acknowledged %x, want %x", got, id)
		}
		if got := runs.Load(); got != 1 {
			t.Errorf("executed %d times, want 1", got)
		}
	})
}

// TestAcks: a query answered at once needs no acknowledgement, one that takes
// longer gets it once.
func TestAcks(t *testing.T) {
	cfg := Config{Handler: handlerFunc(func(_ context.Context, c *Call) (tl.Object, error) {
		if d := tl.NewDecoder(c.Query[4:]); d.Long() == 1 {
			time.Sleep(time.Second)
		}
		return append(tl.Raw(nil), c.Query...), nil
	})}
	inBubble(t, cfg, func(e *env) {
		c := e.client()
		slow, quick := c.call(1), c.call(2)
		c.result(quick)
		c.result(slow)
		c.expectQuiet()
		if got := c.acks(); !slices.Equal(got, []int64{slow}) {
			t.Errorf("acknowledged %x, want %x", got, slow)
		}
	})
}

// TestResendAfterReconnect: answers not acknowledged are sent again on the
// next connection: small ones as they were, of big ones their existence.
func TestResendAfterReconnect(t *testing.T) {
	big := bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 1<<16)
	cfg := Config{Handler: handlerFunc(func(_ context.Context, c *Call) (tl.Object, error) {
		if d := tl.NewDecoder(c.Query[4:]); d.Long() == 1 {
			return tl.Raw(encode(idUploadFile, func(e *tl.Encoder) { e.Raw(big) })), nil
		}
		return append(tl.Raw(nil), c.Query...), nil
	})}
	inBubble(t, cfg, func(e *env) {
		c := e.client()
		c.roundTrip(5)
		bigID := c.call(1)
		bigAnswer := c.expect(idRPCResult)
		smallID := c.call(2)
		small := c.expect(idRPCResult)
		// Everything but these two is acknowledged.
		c.send(encodeIDs(idMsgsAck, c.idsButFor(bigAnswer.id, small.id)), false)
		c.expectQuiet()
		e.reconnect(c)
		c.send(encodeIDs(idMsgsAck, []int64{1}), false)
		d := c.expect(idMsgDetailed).fields()
		if req, answer, size := d.Long(), d.Long(), d.Int(); req != bigID || answer != bigAnswer.id || int(size) != len(bigAnswer.body) {
			t.Errorf("msg_detailed_info %x %x %d, want %x %x %d", req, answer, size, bigID, bigAnswer.id, len(bigAnswer.body))
		}
		if again := c.expect(idRPCResult); again.id != small.id || again.fields().Long() != smallID {
			t.Errorf("again came %x, want %x", again.id, small.id)
		}
		c.expectQuiet()
		time.Sleep(10 * time.Minute) // until the old msg_id alone would not be accepted
		c.send(encodeIDs(idMsgResendReq, []int64{bigAnswer.id}), false)
		again := c.expect(idRPCResult)
		if again.id != bigAnswer.id || !bytes.Equal(again.body, bigAnswer.body) {
			t.Errorf("resent %x with %d bytes, want %x with %d", again.id, len(again.body), bigAnswer.id, len(bigAnswer.body))
		}
		if age := time.Since(msgTime(again.outer)); age > maxAge {
			t.Errorf("resent in a packet that is %v old", age)
		}
		if n := e.dc.Stats().Calls; n != 3 {
			t.Errorf("%d queries executed, want 3", n)
		}
	})
}

// idsButFor lists the content-related messages of the first 3 answers but some.
func (c *client) idsButFor(except ...int64) (ids []int64) {
	for _, m := range c.skipped {
		if m.seqNo&1 == 1 && !slices.Contains(except, m.id) {
			ids = append(ids, m.id)
		}
	}
	for id := range c.answers {
		if !slices.Contains(except, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// TestAnswerMovesConnections: the answer goes where the session last spoke.
func TestAnswerMovesConnections(t *testing.T) {
	cfg := Config{Handler: handlerFunc(func(_ context.Context, c *Call) (tl.Object, error) {
		time.Sleep(time.Minute)
		return append(tl.Raw(nil), c.Query...), nil
	})}
	for _, closed := range []bool{true, false} {
		t.Run(map[bool]string{true: "old closed", false: "old open"}[closed], func(t *testing.T) {
			inBubble(t, cfg, func(e *env) {
				c := e.client()
				id := c.call(1)
				c.expectQuiet()
				old := c.conn
				if closed {
					e.reconnect(c)
				} else {
					c.conn = e.dial(transport.Options{Framing: transport.Intermediate}, false)
				}
				c.ping(1)
				time.Sleep(time.Minute)
				c.result(id)
				_ = old.Close()
			})
		})
	}
}

func TestUnknownKey(t *testing.T) {
	inBubble(t, Config{}, func(e *env) {
		c := e.client()
		e.dc.DestroyKey(c.key.ID())
		c.call(1)
		c.expectTransport(transportUnknown)
		_ = c.conn.Close()
		temp := e.clientWith(e.addKey(time.Hour))
		temp.ping(1)
		time.Sleep(time.Hour)
		temp.call(1)
		temp.expectTransport(transportUnknown)
	})
}

// TestBrokenPackets: what fails a check of the encryption ends the connection,
// and nothing of it is processed.
func TestBrokenPackets(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(c *client, packet []byte) []byte
	}{
		{"msg_key", func(_ *client, p []byte) []byte { p[8] ^= 1; return p }},
		{"ciphertext", func(_ *client, p []byte) []byte { p[len(p)-1] ^= 1; return p }},
		{"length", func(_ *client, p []byte) []byte { return p[:len(p)-4] }},
		{"too short", func(_ *client, p []byte) []byte { return p[:24+16] }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, Config{}, func(e *env) {
				c := e.client()
				b := query(1)
				c.write(tt.spoil(c, c.seal(c.header(int32(len(b))), b)))
				c.expectClosed()
				if s := e.dc.Stats(); s.BadPackets != 1 || s.Calls != 0 {
					t.Errorf("%d bad packets and %d calls, want 1 and 0", s.BadPackets, s.Calls)
				}
			})
		})
	}
	for _, length := range []int32{-4, 2, 11, 13, 100, 1 << 30} {
		t.Run("body length", func(t *testing.T) {
			inBubble(t, Config{}, func(e *env) {
				c := e.client()
				c.write(c.seal(c.header(length), query(1)))
				c.expectClosed()
			})
		})
	}
}

// TestEviction: of answers that a client never acknowledges only so many bytes
// are kept; the queries of the others are unknown then, and not executed again.
func TestEviction(t *testing.T) {
	const part = 1 << 20
	answer := encode(idUploadFile, func(e *tl.Encoder) { e.Blob(make([]byte, part)) })
	cfg := Config{Handler: handlerFunc(func(context.Context, *Call) (tl.Object, error) { return tl.Raw(answer), nil })}
	inBubble(t, cfg, func(e *env) {
		e.dc.keep = 8 * part
		c := e.client()
		first := c.call(0)
		c.result(first)
		const more = 8
		for i := range int64(more) {
			c.result(c.call(i + 1))
		}
		last := c.lastID
		c.send(encodeIDs(idMsgsStateReq, []int64{first, last}), false)
		d := c.expect(idMsgsStateInfo).fields()
		d.Long()
		if got := d.Blob(); len(got) != 2 || got[0] != stateUnknown || got[1]&stateAnswered == 0 {
			t.Errorf("states %d, want the first unknown (%d) and the last answered", got, stateUnknown)
		}
		c.packet(first, 1, query(0))
		c.expectBad(first, 1, badTooOld)
		if got := e.dc.Stats().Calls; got != more+1 {
			t.Errorf("%d queries executed, want %d", got, more+1)
		}
	})
}

// TestLimitLosesNothing: a query in a container with a message that ends the
// connection was not received, and is executed when it is sent again.
func TestLimitLosesNothing(t *testing.T) {
	inBubble(t, Config{}, func(e *env) {
		c := e.client()
		c.roundTrip(1)
		acks := c.part(encodeIDs(idMsgsAck, make([]int64, maxIDs+1)), false)
		lost := c.part(query(2), true)
		c.container(acks, lost)
		c.skipUntilTransport(transportFlood)
		c.content--
		e.reconnect(c)
		c.send(encodeIDs(idMsgsStateReq, []int64{lost.id}), false)
		d := c.expect(idMsgsStateInfo).fields()
		d.Long()
		if got := d.Blob(); len(got) != 1 || got[0] != stateNot {
			t.Errorf("state %d, want %d", got, stateNot)
		}
		c.expect(idRPCResult) // the first answer, sent again
		c.roundTrip(2)
		if got := c.acks(); slices.Contains(got, lost.id) {
			t.Error("the lost query was acknowledged")
		}
	})
}

// TestQuickAck: an accepted packet that asked for it gets its token, a refused
// one does not.
func TestQuickAck(t *testing.T) {
	for _, f := range []transport.Framing{transport.Abridged, transport.Intermediate, transport.PaddedIntermediate} {
		t.Run(f.String(), func(t *testing.T) {
			inBubble(t, Config{}, func(e *env) {
				c := e.client()
				_ = c.conn.Close()
				c.conn = e.dial(transport.Options{Framing: f}, false)
				body := query(1)
				send := func(salt int64) uint32 {
					h := c.header(int32(len(body)))
					h.Salt = salt
					packet, token := c.sealToken(h, body)
					if err := c.conn.WriteFrameQuickAck(packet); err != nil {
						t.Fatal(err)
					}
					return token
				}
				send(8)
				c.expectBad(c.lastID, 1, badServerSalt)
				c.content--
				want := send(7)
				var ack *transport.QuickAck
				for ack == nil {
					if _, err := c.read(); err != nil && !errors.As(err, &ack) {
						t.Fatalf("got %v, want a quick ack", err)
					}
				}
				if ack.Token != want {
					t.Errorf("token %08x, want %08x", ack.Token, want)
				}
			})
		})
	}
}
