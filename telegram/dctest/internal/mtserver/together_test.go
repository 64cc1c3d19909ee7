package mtserver

import (
	"bytes"
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/mtproto/transport"
	"github.com/tghaul/haul/tl"
)

// lastingAnswer is Lasting, and counts how often it was encoded.
type lastingAnswer struct {
	tl.Raw
	encoded *atomic.Int64
}

func (a lastingAnswer) EncodedLen() int { return len(a.Raw) }

func (a lastingAnswer) Encode(e *tl.Encoder) {
	a.encoded.Add(1)
	a.Raw.Encode(e)
}

// filled is upload.file, more or less, with n bytes that depend on a query.
func filled(query tl.Raw, n int) tl.Raw {
	b := bytes.Repeat([]byte{query[4] + 1}, n)
	return encode(idUploadFile, func(e *tl.Encoder) { e.Raw(b) })
}

// TestLasting: a Lasting result is made again for each packet, alone or in a
// container, and each time the answer is the same.
func TestLasting(t *testing.T) {
	for _, size := range []int{40, bigMessage + 400} {
		var encoded atomic.Int64
		cfg := Config{Handler: handlerFunc(func(_ context.Context, c *Call) (tl.Object, error) {
			return lastingAnswer{filled(c.Query, size), &encoded}, nil
		})}
		inBubble(t, cfg, func(e *env) {
			c := e.client()
			id := c.call(3)
			first := c.expect(idRPCResult)
			if want := filled(query(3), size); first.fields().Long() != id || !bytes.Equal(first.body[resultHead:], want) {
				t.Fatalf("%d bytes came for %x, want %d others for %x", len(first.body), first.fields().Long(), len(want), id)
			}
			time.Sleep(10 * time.Minute) // then it travels in a container
			for i := range int64(3) {
				synctest.Wait() // the writer is done with the one before
				c.send(encodeIDs(idMsgResendReq, []int64{first.id}), false)
				again := c.expect(idRPCResult)
				if again.id != first.id || again.outer == first.id || !bytes.Equal(again.body, first.body) {
					t.Errorf("again came %d bytes as %x in %x, want the same %d as %x in another", len(again.body), again.id, again.outer, len(first.body), first.id)
				}
				if got := encoded.Load(); got != i+2 {
					t.Errorf("encoded %d times, want %d", got, i+2)
				}
			}
		})
	}
}

// TestCutAmongPackets: the connection breaks at one of several packets that
// were made together. What was not written is as if it had not been made: it
// is sent as a whole on the next connection, while the big answer that was cut is
// only announced.
func TestCutAmongPackets(t *testing.T) {
	var cut atomic.Bool
	cfg := Config{
		Faults: Faults{
			DelayAnswer: func(Point) time.Duration { return time.Second }, // all at the same time
			CutAnswer:   func(p Point) (int, bool) { return 100, p.Answers == 2 && cut.CompareAndSwap(false, true) },
		},
		Handler: handlerFunc(func(_ context.Context, c *Call) (tl.Object, error) { return filled(c.Query, 2*bigMessage), nil }),
	}
	inBubble(t, cfg, func(e *env) {
		c := e.client()
		want := c.askBig()
		c.expectBig(want)
		c.expectClosed()
		e.reconnect(c)
		c.send(encodeIDs(idMsgsAck, c.idsButFor()), false)
		c.expectBig(want)
		c.expectBig(want)
		d := c.expect(idMsgDetailed).fields()
		if id := d.Long(); want[id] == nil || len(want) != 1 {
			t.Errorf("the answer to %x is announced; %d others are missing", id, len(want)-1)
		}
	})
}

// askBig sends four queries in a container, and returns the big answer to each
// by its msg_id.
func (c *client) askBig() map[int64]tl.Raw {
	want := map[int64]tl.Raw{}
	var list []rawMsg
	for i := range int64(4) {
		m := c.part(query(i), true)
		want[m.id] = filled(m.body, 2*bigMessage)
		list = append(list, m)
	}
	c.container(list...)
	return want
}

// expectBig expects one of those answers, and crosses it off.
func (c *client) expectBig(want map[int64]tl.Raw) {
	c.t.Helper()
	d := c.expect(idRPCResult).fields()
	id := d.Long()
	if b := d.Rest(); !bytes.Equal(b, want[id]) {
		c.t.Errorf("the answer to %x has %d bytes, want %d others", id, len(b), len(want[id]))
	}
	delete(want, id)
}

// TestMovedAmongPackets: the connection is stuck at the first of several packets
// that were made together when the session moves to another one. All others come
// there at once, and there only.
func TestMovedAmongPackets(t *testing.T) {
	cfg := Config{
		Faults:  Faults{DelayAnswer: func(Point) time.Duration { return time.Second }}, // all at the same time
		Handler: handlerFunc(func(_ context.Context, c *Call) (tl.Object, error) { return filled(c.Query, 2*bigMessage), nil }),
	}
	inBubble(t, cfg, func(e *env) {
		c := e.client()
		c.ping(1)
		want := c.askBig()
		time.Sleep(2 * time.Second) // nobody reads
		older, newer := c.conn, e.dial(transport.Options{Framing: transport.Intermediate}, false)
		c.conn = newer
		moved := time.Now()
		c.send(encode(idPing, func(e *tl.Encoder) { e.Long(2) }), false)
		c.expectBig(want)
		c.expectBig(want)
		c.expectBig(want)
		if took := time.Since(moved); took != 0 {
			t.Errorf("three answers take %v on the new connection, want no time", took)
		}
		c.expect(idPong)
		c.expectQuiet()
		c.conn = older // goes on after all
		c.expectBig(want)
		c.expectQuiet()
		c.conn = newer
		c.expect(idMsgDetailed) // of that one: nobody knows whether it arrives
		c.expectQuiet()
	})
}

// TestPutBack: batches that were packed and not begun are queued again, as they
// were, before all others. Who holds room of the session gives it back when he is gone.
func TestPutBack(t *testing.T) {
	inBubble(t, Config{}, func(e *env) {
		const size = 12 << 10 // two travel together
		s := e.dc.session(e.dc.keys.get(e.addKey(0).ID(), time.Now()), 1)
		a, b := &serverConn{id: 1, wake: make(chan struct{}, 1)}, &serverConn{id: 2, wake: make(chan struct{}, 1)}
		s.mu.Lock()
		s.attachLocked(a)
		var all []*outMsg
		for range 7 {
			m := &outMsg{body: make([]byte, size), size: size, charged: size}
			if !s.room.TryAcquire(size) {
				e.t.Fatal("no room")
			}
			s.queueLocked(m, true)
			all = append(all, m)
		}
		s.mu.Unlock()
		take := func(c *serverConn) []*batch {
			t.Helper()
			list, _ := s.takeSome(c, time.Now(), 3)
			if len(list) != 3 || !list[0].container || len(list[2].msgs) != 2 {
				e.t.Fatalf("took %d batches, want 3 containers of 2", len(list))
			}
			return list
		}
		check := func(want []*outMsg) {
			t.Helper()
			if !slices.Equal(s.queue, want) || len(s.ahead) != 0 {
				t.Errorf("%d are queued in whatever order, %d ahead; want all %d in their order", len(s.queue), len(s.ahead), len(want))
			}
			for i, m := range want {
				if !m.queued || m.writing || m.sent || m.body == nil {
					t.Errorf("message %d: queued %v, being written %v, sent %v, body of %d bytes", i, m.queued, m.writing, m.sent, len(m.body))
				}
			}
			free := maxUnwritten - int64(len(want))*size
			if !s.room.TryAcquire(free) || s.room.TryAcquire(1) {
				e.t.Fatalf("the room that is free is not %d bytes", free)
			}
			s.room.Release(free)
		}
		attach := func(c *serverConn) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.attachLocked(c)
		}

		first := take(a)
		s.packed(a, first)
		s.mu.Lock()
		s.forgetLocked(all[2].id)
		s.mu.Unlock()
		attach(b)
		rest := slices.Delete(slices.Clone(all), 2, 3)
		check(rest)
		if m := all[2]; m.queued || m.writing || m.body != nil {
			t.Errorf("what was forgotten is queued: %v, being written: %v, has %d bytes", m.queued, m.writing, len(m.body))
		}
		attach(a) // nothing is put back twice
		check(rest)
		if s.begin(first[0]) {
			t.Error("a batch that was put back is begun")
		}
		again := take(a)
		if last := first[2].id; again[0].id <= last || again[1].id <= again[0].id || again[2].id <= again[1].id {
			t.Errorf("containers %x, %x and %x come after %x", again[0].id, again[1].id, again[2].id, last)
		}
		attach(b)
		s.packed(a, again) // too late: the session has moved
		check(rest)
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, m := range rest {
			s.forgetLocked(m.id)
		}
		if !s.room.TryAcquire(maxUnwritten) {
			t.Error("room is held, and everything is forgotten")
		}
	})
}

// TestPacketsAtOnce: over a slow line a packet is made when it is its turn, and
// some together where nothing is in the way.
func TestPacketsAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name  string
		shape Shape
		want  int
	}{
		{"slow connection", Shape{ConnBandwidth: 1 << 20}, 1},
		{"slow DC", Shape{DCBandwidth: 1 << 20}, 1},
		{"fast", Shape{}, crypto.AtOnce()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var encoded atomic.Int64
			cfg := Config{
				Shape:  tt.shape,
				Faults: Faults{DelayAnswer: func(Point) time.Duration { return time.Second }}, // all at the same time
				Handler: handlerFunc(func(_ context.Context, c *Call) (tl.Object, error) {
					return lastingAnswer{filled(c.Query, 2*bigMessage), &encoded}, nil
				}),
			}
			inBubble(t, cfg, func(e *env) {
				c := e.client()
				c.ping(1)
				var list []rawMsg
				for i := range int64(crypto.MaxAtOnce) {
					list = append(list, c.part(query(i), true))
				}
				c.container(list...)
				time.Sleep(2 * time.Second) // nobody reads
				if got := encoded.Load(); got != int64(tt.want) {
					t.Errorf("%d packets are made at once, want %d", got, tt.want)
				}
			})
		})
	}
}

// countingConn counts what is read.
type countingConn struct {
	net.Conn
	n atomic.Int64
}

func (c *countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// TestBytesOut: every byte on the wire is counted, also where head and packet
// leave in one write.
func TestBytesOut(t *testing.T) {
	dc := NewDC(Config{ID: 2, RSA: testRSA(), Handler: handlerFunc(func(_ context.Context, c *Call) (tl.Object, error) {
		return filled(c.Query, 1<<20), nil
	})})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = dc.Serve(t.Context(), l, false) })
	defer serving.Wait()
	defer func() { _ = dc.Close() }()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	counted := &countingConn{Conn: nc}
	conn, err := transport.Client(counted, transport.Options{Obfuscated: true})
	if err != nil {
		t.Fatal(err)
	}
	c := &client{
		t: t, conn: conn, key: (&env{dc: dc}).addKey(0), salt: 7, session: 1,
		answers: map[int64]struct{}{}, patience: time.Minute,
	}
	for i := range int64(5) {
		id := c.call(i)
		if got := c.result(id); !bytes.Equal(got, filled(query(i), 1<<20)) {
			t.Fatalf("answer %d has %d bytes or others", i, len(got))
		}
	}
	_ = conn.Close()
	_ = dc.Close()
	serving.Wait()
	// What was written last may not have been read: acknowledgements.
	if out, in := dc.Stats().BytesOut, counted.n.Load(); out < in || out > in+1000 {
		t.Errorf("%d bytes counted, %d read", out, in)
	}
}
