package mtserver

import (
	"bytes"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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
		want := map[int64]tl.Raw{}
		var list []rawMsg
		for i := range int64(4) {
			m := c.part(query(i), true)
			want[m.id] = filled(m.body, 2*bigMessage)
			list = append(list, m)
		}
		c.container(list...)
		check := func() {
			t.Helper()
			d := c.expect(idRPCResult).fields()
			id := d.Long()
			if b := d.Rest(); !bytes.Equal(b, want[id]) {
				t.Errorf("the answer to %x has %d bytes, want %d others", id, len(b), len(want[id]))
			}
			delete(want, id)
		}
		check()
		c.expectClosed()
		e.reconnect(c)
		c.send(encodeIDs(idMsgsAck, c.idsButFor()), false)
		check()
		check()
		d := c.expect(idMsgDetailed).fields()
		if id := d.Long(); want[id] == nil || len(want) != 1 {
			t.Errorf("the answer to %x is announced; %d others are missing", id, len(want)-1)
		}
	})
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
		want := map[int64]tl.Raw{}
		var list []rawMsg
		for i := range int64(4) {
			m := c.part(query(i), true)
			want[m.id] = filled(m.body, 2*bigMessage)
			list = append(list, m)
		}
		c.container(list...)
		check := func() {
			t.Helper()
			d := c.expect(idRPCResult).fields()
			id := d.Long()
			if b := d.Rest(); !bytes.Equal(b, want[id]) {
				t.Errorf("the answer to %x has %d bytes, want %d others", id, len(b), len(want[id]))
			}
			delete(want, id)
		}
		time.Sleep(2 * time.Second) // nobody reads
		older, newer := c.conn, e.dial(transport.Options{Framing: transport.Intermediate}, false)
		c.conn = newer
		moved := time.Now()
		c.send(encode(idPing, func(e *tl.Encoder) { e.Long(2) }), false)
		check()
		check()
		check()
		if took := time.Since(moved); took != 0 {
			t.Errorf("three answers take %v on the new connection, want no time", took)
		}
		c.expect(idPong)
		c.expectQuiet()
		c.conn = older // goes on after all
		check()
		c.expectQuiet()
		c.conn = newer
		c.expect(idMsgDetailed) // of that one: nobody knows whether it arrives
		c.expectQuiet()
	})
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
