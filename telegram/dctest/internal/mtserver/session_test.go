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

func TestStates(t *testing.T) {
	cfg := Config{Handler: handlerFunc(func(ctx context.Context, c *Call) (tl.Object, error) {
		if d := tl.NewDecoder(c.Query[4:]); d.Long() == 1 {
			<-ctx.Done()
		}
		return append(tl.Raw(nil), c.Query...), nil
	})}
	inBubble(t, cfg, func(e *env) {
		c := e.client()
		running := c.call(1)
		skippedID := c.nextID()
		done := c.call(2)
		c.expect(idRPCResult)
		known := c.call(3)
		m := c.expect(idRPCResult)
		c.send(encodeIDs(idMsgsAck, []int64{m.id}), false)
		ping := c.send(encode(idPing, func(e *tl.Encoder) { e.Long(1) }), false)
		c.expect(idPong)
		c.expectQuiet() // running is acknowledged now
		ids := []int64{running, done, known, ping, skippedID, c.lastID + 1<<34, running - 4}
		want := []byte{
			stateReceived | stateRPC | stateAcked,
			stateReceived | stateRPC | stateAcked | stateAnswered,
			stateReceived | stateRPC | stateAcked | stateAnswered | stateTheyKnow,
			stateReceived | stateNoAck,
			stateNot, stateNotHigh, stateUnknown,
		}
		req := c.send(encodeIDs(idMsgsStateReq, ids), false)
		d := c.expect(idMsgsStateInfo).fields()
		if got := d.Long(); got != req {
			t.Errorf("req_msg_id %x, want %x", got, req)
		}
		if got := d.Blob(); !bytes.Equal(got, want) {
			t.Errorf("states %d, want %d", got, want)
		}
	})
}

func TestPingDelayDisconnect(t *testing.T) {
	inBubble(t, Config{}, func(e *env) {
		c := e.client()
		ping := func(delay int32) {
			c.send(encode(idPingDisconnect, func(e *tl.Encoder) { e.Long(1); e.Int(delay) }), false)
			c.expect(idPong)
		}
		ping(75)
		time.Sleep(74 * time.Second)
		ping(75)
		start := time.Now()
		time.Sleep(70 * time.Second)
		c.ping(2) // keeps the session, not the connection
		for {
			if _, err := c.read(); err != nil && !errors.Is(err, errQuiet) {
				break
			}
		}
		if got := time.Since(start); got != 75*time.Second {
			t.Errorf("closed after %v, want 75s", got)
		}
	})
}

// TestDropAnswer: the three answers of rpc_drop_answer.
func TestDropAnswer(t *testing.T) {
	var ended atomic.Int64
	cfg := Config{Handler: handlerFunc(func(ctx context.Context, c *Call) (tl.Object, error) {
		if d := tl.NewDecoder(c.Query[4:]); d.Long() == 1 {
			<-ctx.Done()
			ended.Add(1)
		}
		return append(tl.Raw(nil), c.Query...), nil
	})}
	inBubble(t, cfg, func(e *env) {
		c := e.client()
		drop := func(id int64) int64 {
			return c.send(encode(idDropAnswer, func(e *tl.Encoder) { e.Long(id) }), false)
		}
		running := c.call(1)
		synctest.Wait()
		id := drop(running)
		for _, want := range []int64{running, id} {
			if got := tl.Raw(c.result(want)).TypeID(); got != idAnswerRunning {
				t.Errorf("running: %#x, want %#x", got, idAnswerRunning)
			}
		}
		synctest.Wait()
		if ended.Load() != 1 {
			t.Error("the handler's context did not end")
		}

		done := c.call(2)
		answer := c.expect(idRPCResult)
		id = drop(done)
		d := tl.NewDecoder(c.result(id))
		d.Expect(idAnswerDropped, "rpc_answer_dropped")
		if msg, seqNo, size := d.Long(), d.Int(), d.Int(); d.Err() != nil || msg != answer.id || seqNo != answer.seqNo || int(size) != len(answer.body) {
			t.Errorf("dropped %x %d %d (%v), want %x %d %d", msg, seqNo, size, d.Err(), answer.id, answer.seqNo, len(answer.body))
		}

		for name, unknown := range map[string]int64{"dropped before": done, "never sent": c.nextID()} {
			id = drop(unknown)
			if got := tl.Raw(c.result(id)).TypeID(); got != idAnswerUnknown {
				t.Errorf("%s: %#x, want %#x", name, got, idAnswerUnknown)
			}
		}
	})
}

func TestDestroySession(t *testing.T) {
	inBubble(t, Config{}, func(e *env) {
		key := e.addKey(0)
		a, b := e.clientWith(key), e.clientWith(key)
		stranger := e.client()
		a.roundTrip(1)
		b.roundTrip(1)
		stranger.roundTrip(1)
		destroy := func(id int64) uint32 {
			a.send(encode(idDestroySession, func(e *tl.Encoder) { e.Long(id) }), false)
			for {
				m, err := a.read()
				if err != nil {
					t.Fatal(err)
				}
				switch got := m.constructor(); got {
				case idMsgsAck, idNewSession:
				default:
					if x := m.fields().Long(); x != id {
						t.Errorf("answer about session %x, want %x", x, id)
					}
					return got
				}
			}
		}
		tests := []struct {
			name string
			id   int64
			want uint32
		}{
			{"other", b.session, idSessionOk},
			{"other again", b.session, idSessionNone},
			{"itself", a.session, idSessionNone},
			{"of another key", stranger.session, idSessionNone},
		}
		for _, tt := range tests {
			if got := destroy(tt.id); got != tt.want {
				t.Errorf("%s: %#x, want %#x", tt.name, got, tt.want)
			}
		}
		b.skipped = nil
		b.roundTrip(2)
		if len(b.skipped) != 1 || b.skipped[0].constructor() != idNewSession {
			t.Errorf("no new_session_created after destroy_session")
		}
	})
}

func TestDestroyAuthKey(t *testing.T) {
	inBubble(t, Config{}, func(e *env) {
		c := e.client()
		c.roundTrip(1)
		c.send(encode(idDestroyAuthKey, nil), false)
		c.expect(idDestroyKeyOk)
		c.call(2)
		c.expectTransport(transportUnknown)
	})
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

func TestSalts(t *testing.T) {
	inBubble(t, Config{SaltLifetime: time.Hour}, func(e *env) {
		c := e.client()
		c.salt++
		id := c.call(1)
		c.expectBad(id, 1, badServerSalt)
		if c.salt != 7 {
			t.Fatalf("new_server_salt = %d, want 7", c.salt)
		}
		c.roundTrip(1)
		req := c.send(encode(idGetFutureSalts, func(e *tl.Encoder) { e.Int(3) }), false)
		d := c.expect(idFutureSalts).fields()
		if got, now := d.Long(), d.Int(); got != req || int64(now) != time.Now().Unix() {
			t.Errorf("future_salts of %x at %d, want %x at %d", got, now, req, time.Now().Unix())
		}
		n := d.Count(16)
		var list []int64
		for range n {
			since, until := d.Int(), d.Int()
			if until-since != 7200 {
				t.Errorf("salt valid for %d s, want 7200", until-since)
			}
			list = append(list, d.Long())
		}
		if d.End() != nil || n != 3 || list[0] != 7 {
			t.Fatalf("salts %v (%v), want 3 from 7 on", list, d.Err())
		}
		time.Sleep(time.Hour)
		c.roundTrip(2) // the old one is still valid
		c.salt = list[1]
		c.roundTrip(3)
		time.Sleep(time.Hour)
		c.salt = 7
		id = c.call(4)
		c.expectBad(id, c.content*2-1, badServerSalt)
		if c.salt != list[2] {
			t.Errorf("new_server_salt = %d, want %d as announced", c.salt, list[2])
		}
		for _, tt := range []struct{ num, want int32 }{{0, 1}, {64, 64}, {65, 64}, {-1, 1}} {
			c.send(encode(idGetFutureSalts, func(e *tl.Encoder) { e.Int(tt.num) }), false)
			d := c.expect(idFutureSalts).fields()
			d.Take(12)
			if got := d.Int(); got != tt.want {
				t.Errorf("%d salts asked, %d got, want %d", tt.num, got, tt.want)
			}
		}
	})
}

func TestPush(t *testing.T) {
	var session *Session
	cfg := Config{Handler: handlerFunc(func(_ context.Context, c *Call) (tl.Object, error) {
		session = c.Session
		return append(tl.Raw(nil), c.Query...), nil
	})}
	inBubble(t, cfg, func(e *env) {
		c := e.client()
		c.roundTrip(1)
		const update = 0x12345678
		session.Push(tl.Raw(encode(update, nil)))
		if m := c.expect(update); m.id&3 != 3 || m.seqNo&1 != 1 {
			t.Errorf("update has msg_id %x seqno %d, want 3 modulo 4 and odd", m.id, m.seqNo)
		}
		_ = c.conn.Close()
		synctest.Wait()
		if session.Connected() {
			t.Error("session is connected after its connection was closed")
		}
		session.Push(tl.Raw(encode(update+1, nil)))
		c.conn = e.dial(transport.Options{Framing: transport.Intermediate}, false)
		c.send(encodeIDs(idMsgsAck, c.idsButFor()), false)
		seen := map[uint32]bool{}
		for {
			m, err := c.read()
			if err != nil {
				break
			}
			seen[m.constructor()] = true
		}
		if !seen[update+1] {
			t.Error("the update pushed while disconnected did not come")
		}
	})
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
