package mtserver

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto/transport"
	"github.com/tghaul/haul/tl"
)

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
