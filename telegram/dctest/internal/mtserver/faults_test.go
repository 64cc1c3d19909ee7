package mtserver

import (
	"context"
	"errors"
	"fmt"
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

// once makes a hook that strikes at its n-th call, from 1, alone.
func once(n int64) func(Point) bool {
	var calls atomic.Int64
	return func(Point) bool { return calls.Add(1) == n }
}

func TestFaultBadSalt(t *testing.T) {
	cfg := Config{Faults: Faults{BadSalt: once(2)}}
	inBubble(t, cfg, func(e *env) {
		c := e.client()
		c.roundTrip(1)
		id := c.call(2)
		c.expectBad(id, 3, badServerSalt)
		c.content-- // refused: its seqno is free again
		if c.salt == 7 {
			t.Error("the new salt is the old one")
		}
		c.roundTrip(2)
	})
}

func TestFaultDropConn(t *testing.T) {
	cfg := Config{Faults: Faults{DropConn: func(p Point) bool { return p.Queries == 2 && p.Method == 0x0badcafe }}}
	inBubble(t, cfg, func(e *env) {
		c := e.client()
		c.roundTrip(1)
		id := c.call(2)
		c.expectClosed()
		c.content-- // never received: its seqno is free
		e.reconnect(c)
		c.send(encodeIDs(idMsgsStateReq, []int64{id}), false)
		d := c.expect(idMsgsStateInfo).fields()
		d.Long()
		if got := d.Blob(); len(got) != 1 || got[0] != stateNot {
			t.Errorf("state %d, want %d: the query never arrived", got, stateNot)
		}
		c.expect(idRPCResult) // the first answer, not acknowledged, is sent again
		c.roundTrip(2)
	})
}

func TestFaultCutAnswer(t *testing.T) {
	for _, n := range []int{0, 1, 30, 1 << 20} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			cfg := Config{Faults: Faults{CutAnswer: func(p Point) (int, bool) { return n, p.Answers == 2 }}}
			inBubble(t, cfg, func(e *env) {
				c := e.client()
				c.roundTrip(1)
				id := c.call(2)
				c.expectClosed()
				e.reconnect(c)
				c.send(encodeIDs(idMsgsAck, c.idsButFor()), false)
				c.result(id) // sent again on the new connection
				if got := e.dc.Stats().Calls; got != 2 {
					t.Errorf("%d queries executed, want 2", got)
				}
			})
		})
	}
}

func TestFaultDropAnswer(t *testing.T) {
	cfg := Config{Faults: Faults{DropAnswer: once(2)}}
	inBubble(t, cfg, func(e *env) {
		c := e.client()
		c.roundTrip(1)
		id := c.call(2)
		c.expectQuiet()
		c.packet(id, 3, query(2)) // asked again, it comes
		c.result(id)
	})
}

func TestFaultDuplicateAndDelay(t *testing.T) {
	cfg := Config{Faults: Faults{
		DuplicateAnswer: once(1),
		DelayAnswer:     func(Point) time.Duration { return time.Second },
	}}
	inBubble(t, cfg, func(e *env) {
		c := e.client()
		start := time.Now()
		id := c.call(1)
		first := c.expect(idRPCResult)
		if got := time.Since(start); got != time.Second {
			t.Errorf("answered after %v, want 1s", got)
		}
		if again := c.expect(idRPCResult); again.id != first.id || again.fields().Long() != id {
			t.Errorf("again came %x, want %x", again.id, first.id)
		}
	})
}

func TestFaultForgetSession(t *testing.T) {
	cfg := Config{Faults: Faults{ForgetSession: once(2)}}
	inBubble(t, cfg, func(e *env) {
		c := e.client()
		c.roundTrip(1)
		c.skipped = nil
		id := c.roundTrip(2)
		if len(c.skipped) != 1 || c.skipped[0].fields().Long() != id {
			t.Errorf("%d messages before the answer, want new_session_created from %x on", len(c.skipped), id)
		}
	})
}

func TestFaultTransport(t *testing.T) {
	cfg := Config{Faults: Faults{
		RefuseConn: func(p Point) int32 {
			if p.MediaOnly {
				return transportFlood
			}
			return 0
		},
		TransportError: func(p Point) int32 {
			if p.Queries == 1 {
				return -503
			}
			return 0
		},
	}}
	inBubble(t, cfg, func(e *env) {
		c := e.client()
		c.roundTrip(1)
		c.call(2)
		c.expectTransport(-503)
		c.conn = e.dial(transport.Options{Framing: transport.Intermediate}, true)
		c.call(3)
		c.expectTransport(transportFlood)
		c.expectClosed()
		if got := e.dc.Stats().TransportErrors; got[-503] != 1 || got[transportFlood] != 1 {
			t.Errorf("counted %v, want one of each", got)
		}
	})
}

func TestMaxConns(t *testing.T) {
	inBubble(t, Config{MaxConns: 2}, func(e *env) {
		a, b := e.client(), e.client()
		a.ping(1)
		b.ping(1)
		c := e.client()
		c.send(encode(idPing, func(e *tl.Encoder) { e.Long(1) }), false)
		c.expectTransport(transportFlood)
		_ = a.conn.Close()
		_ = c.conn.Close()
		synctest.Wait()
		e.client().ping(2)
	})
}

// TestLies: a lying server can break each rule that the client must check.
func TestLies(t *testing.T) {
	tests := []struct {
		name    string
		corrupt Corrupt
		want    error
	}{
		{"msg_key", Corrupt{Packet: func(_ Point, p []byte) []byte { p[9] ^= 1; return p }}, crypto.ErrMsgKey},
		{"key id", Corrupt{Packet: func(_ Point, p []byte) []byte { p[0] ^= 1; return p }}, crypto.ErrKeyID},
		{"cut", Corrupt{Packet: func(_ Point, p []byte) []byte { return p[:len(p)-4] }}, crypto.ErrLength},
		{"padding too short", Corrupt{Plaintext: func(_ Point, p []byte) []byte {
			p[28] = byte(len(p) - 32 - 8) // the body takes all of the padding but 8 bytes
			return p
		}}, crypto.ErrLength},
		{"padding too long", Corrupt{Plaintext: func(_ Point, p []byte) []byte { return append(p, make([]byte, 1024)...) }}, crypto.ErrLength},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, Config{Faults: Faults{Corrupt: tt.corrupt}}, func(e *env) {
				c := e.client()
				c.call(1)
				if _, err := c.read(); !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
			})
		})
	}
	t.Run("session", func(t *testing.T) {
		lie := func(_ Point, p []byte) []byte { p[8]++; return p }
		inBubble(t, Config{Faults: Faults{Corrupt: Corrupt{Plaintext: lie}}}, func(e *env) {
			c := e.client()
			c.call(1)
			if m, err := c.read(); err == nil {
				t.Errorf("got %#x in the right session", m.constructor())
			}
		})
	})
	t.Run("truth", func(t *testing.T) { // what the hook does not change is sealed right
		same := func(_ Point, p []byte) []byte { return p }
		inBubble(t, Config{Faults: Faults{Corrupt: Corrupt{Plaintext: same}}}, func(e *env) { e.client().roundTrip(1) })
	})
	t.Run("first_msg_id", func(t *testing.T) {
		lie := func(id int64) int64 { return id + 4000 }
		inBubble(t, Config{Faults: Faults{Corrupt: Corrupt{FirstMsgID: lie}}}, func(e *env) {
			c := e.client()
			id := c.call(1)
			if got := c.expect(idNewSession).fields().Long(); got != id+4000 {
				t.Errorf("first_msg_id %x, want %x", got, id+4000)
			}
		})
	})
	t.Run("gzip", func(t *testing.T) {
		cfg := Config{Handler: handlerFunc(func(context.Context, *Call) (tl.Object, error) {
			return tl.Raw(encode(1, func(e *tl.Encoder) { e.Raw(make([]byte, 4096)) })), nil
		})}
		cfg.Faults.Corrupt.Gzip = func(_ Point, b []byte) []byte { return []byte("nonsense") }
		inBubble(t, cfg, func(e *env) {
			c := e.client()
			d := tl.NewDecoder(c.result(c.call(1)))
			if d.Expect(idGzipPacked, "gzip_packed"); d.String() != "nonsense" {
				t.Error("the packed bytes were not changed")
			}
		})
	})
}

func TestHandshakeLies(t *testing.T) {
	var names []string
	var cfg Config
	cfg.Faults.Corrupt = Corrupt{
		Plain:    func(name string, b []byte) []byte { names = append(names, name); return b },
		DHInner:  func(in *DHInner) { in.G = 4 },
		DHAnswer: func(b []byte) []byte { return b },
	}
	inBubble(t, cfg, func(e *env) {
		s := e.shaker(false)
		pq, _ := s.reqPQ()
		d, code := s.reqDH(pq)
		if code != 0 {
			t.Fatalf("transport error %d", code)
		}
		d.Take(4 + 32)
		if g := d.Int(); g != 4 {
			t.Errorf("g = %d, want 4", g)
		}
		if want := []string{"resPQ", "server_DH_params_ok"}; !slices.Equal(names, want) {
			t.Errorf("asked about %v, want %v", names, want)
		}
	})
}

func TestRoundTripTime(t *testing.T) {
	cfg := Config{Shape: Shape{RTT: 100 * time.Millisecond}}
	inBubble(t, cfg, func(e *env) {
		c := e.client()
		start := time.Now()
		for i := range int64(20) { // on their way at the same time
			c.call(i)
		}
		for range 20 {
			c.expect(idRPCResult)
		}
		if got := time.Since(start); got != 100*time.Millisecond {
			t.Errorf("20 answers took %v, want 100ms", got)
		}
		start = time.Now()
		s := e.shaker(false)
		if _, _, code := s.run(); code != 0 {
			t.Fatalf("transport error %d", code)
		}
		if got := time.Since(start); got != 300*time.Millisecond {
			t.Errorf("the key exchange took %v, want 300ms", got)
		}
	})
}

func TestBandwidth(t *testing.T) {
	answer := encode(idUploadFile, func(e *tl.Encoder) { e.Blob(make([]byte, 1<<20)) })
	cfg := func(s Shape) Config {
		return Config{Shape: s, Handler: handlerFunc(func(context.Context, *Call) (tl.Object, error) { return tl.Raw(answer), nil })}
	}
	tests := []struct {
		name  string
		shape Shape
		conns int
		want  time.Duration // for one answer each
	}{
		{"connection", Shape{ConnBandwidth: 1 << 20}, 1, time.Second},
		{"connections apart", Shape{ConnBandwidth: 1 << 20}, 3, time.Second},
		{"DC", Shape{DCBandwidth: 1 << 20}, 3, 3 * time.Second},
		{"both", Shape{ConnBandwidth: 1 << 18, DCBandwidth: 1 << 20}, 2, 4 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, cfg(tt.shape), func(e *env) {
				start := time.Now()
				var wg sync.WaitGroup
				for range tt.conns {
					c := e.client()
					wg.Go(func() { c.patientResult(c.call(1)) })
				}
				wg.Wait()
				if got := time.Since(start); got < tt.want-paceSlack || got > tt.want+tt.want/20 {
					t.Errorf("took %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// TestBandwidthIsOfTheDC moves bytes over both endpoints of a DC: they share
// one link each way.
func TestBandwidthIsOfTheDC(t *testing.T) {
	const size = 512 << 10
	long := encode(idUploadFile, func(e *tl.Encoder) { e.Blob(make([]byte, size)) })
	short := encode(idUploadFile, func(e *tl.Encoder) { e.Blob(nil) })
	tests := []struct {
		name          string
		query, answer []byte
	}{
		{"down", query(1), long},
		{"up", long, short},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer := handlerFunc(func(context.Context, *Call) (tl.Object, error) { return tl.Raw(tt.answer), nil })
			inBubble(t, Config{Shape: Shape{DCBandwidth: size}, Handler: answer}, func(e *env) {
				ordinary, media := e.client(), e.client()
				media.conn = e.dial(transport.Options{}, true)
				start := time.Now()
				var wg sync.WaitGroup
				for _, c := range []*client{ordinary, media} {
					wg.Go(func() { c.patientResult(c.send(tt.query, true)) })
				}
				wg.Wait()
				if got := time.Since(start); got < 2*time.Second-paceSlack || got > 2100*time.Millisecond {
					t.Errorf("a second's worth over each endpoint took %v, want 2s", got)
				}
			})
		})
	}
}

// TestDelayAndBandwidth has answers on their way at the same time: the delay
// comes once, the bandwidth for each.
func TestDelayAndBandwidth(t *testing.T) {
	answer := encode(idUploadFile, func(e *tl.Encoder) { e.Blob(make([]byte, 128<<10)) })
	cfg := Config{
		Shape:   Shape{RTT: 80 * time.Millisecond, ConnBandwidth: 1 << 20},
		Handler: handlerFunc(func(context.Context, *Call) (tl.Object, error) { return tl.Raw(answer), nil }),
	}
	inBubble(t, cfg, func(e *env) {
		c := e.client()
		c.patience = time.Minute
		start := time.Now()
		for i := range int64(8) {
			c.call(i)
		}
		for range 8 {
			c.expect(idRPCResult)
		}
		want := 80*time.Millisecond + time.Second
		if got := time.Since(start); got < want-paceSlack || got > want+want/20 {
			t.Errorf("8 answers of an eighth of a second each took %v, want %v", got, want)
		}
	})
}

// TestPacerMakesUp has a sender whose timers are always late.
func TestPacerMakesUp(t *testing.T) {
	synctest.Test(t, func(*testing.T) {
		p := pacer{rate: 4 << 20}
		start := time.Now()
		for range 64 {
			time.Sleep(max(0, p.reserve(paceSlice)) + 3*time.Millisecond)
		}
		if got, want := time.Since(start), 250*time.Millisecond; got < want-paceSlack || got > want+want/20 {
			t.Errorf("1 MiB at 4 MiB/s took %v, want %v", got, want)
		}
		time.Sleep(time.Minute) // idle: that cannot be made up for
		if got, most := p.reserve(1<<20), 250*time.Millisecond; got < most-paceSlack {
			t.Errorf("after a pause, 1 MiB takes %v, want %v", got, most)
		}
	})
}

// patientResult is result for an answer that takes long, in any goroutine.
func (c *client) patientResult(id int64) {
	c.patience = time.Minute
	for {
		m, err := c.read()
		if err == nil && m.constructor() != idRPCResult {
			continue
		}
		if err != nil || m.fields().Long() != id {
			c.t.Errorf("got %#x, %v; want the result of %x", m.constructor(), err, id)
		}
		return
	}
}

// TestServe: real sockets, many sessions at once, and Close ends everything.
func TestServe(t *testing.T) {
	dc := NewDC(Config{ID: 2, RSA: testRSA(), Handler: echo})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := dc.Serve(t.Context(), l, false); !errors.Is(err, ErrClosed) {
			t.Errorf("Serve: %v, want ErrClosed", err)
		}
	})
	e := &env{t: t, dc: dc}
	var wg sync.WaitGroup
	for range 4 {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn, err := transport.Client(nc, transport.Options{Framing: transport.Abridged, Obfuscated: true})
		if err != nil {
			t.Fatal(err)
		}
		c := &client{t: t, conn: conn, key: e.addKey(0), salt: 7, session: randomSalt(), answers: map[int64]struct{}{}}
		wg.Go(func() {
			for i := range int64(50) {
				c.patientRoundTrip(i)
			}
		})
	}
	wg.Wait()
	if got := dc.Stats().Connections; got != 4 {
		t.Errorf("%d connections, want 4", got)
	}
	if err := dc.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	serving.Wait()
	if got := dc.Stats(); got.OpenConnections != 0 || got.Calls != 200 {
		t.Errorf("after Close %d connections, %d calls; want 0 and 200", got.OpenConnections, got.Calls)
	}
	if err := dc.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	a, b := net.Pipe()
	if err := dc.ServeConn(t.Context(), b, false); !errors.Is(err, ErrClosed) {
		t.Errorf("ServeConn after Close: %v, want ErrClosed", err)
	}
	_ = a.Close()
}

func (c *client) patientRoundTrip(n int64) { c.patientResult(c.call(n)) }

// TestServeEndsWithContext: cancelling ends listener and connections.
func TestServeEndsWithContext(t *testing.T) {
	dc := NewDC(Config{ID: 2, RSA: testRSA(), Handler: echo})
	defer func() { _ = dc.Close() }()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := dc.Serve(ctx, l, false); !errors.Is(err, context.Canceled) {
			t.Errorf("Serve: %v, want context.Canceled", err)
		}
	})
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	serving.Wait()
	_ = nc.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := nc.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open")
	}
	_ = nc.Close()
}

// TestRefusedOverTCP: the transport error arrives although the server does not
// read what else was sent.
func TestRefusedOverTCP(t *testing.T) {
	dc := NewDC(Config{ID: 2, RSA: testRSA(), Handler: echo, Faults: Faults{RefuseConn: func(Point) int32 { return transportFlood }}})
	defer func() { _ = dc.Close() }()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	defer func() { _ = l.Close() }()
	serving.Go(func() { _ = dc.Serve(t.Context(), l, false) })
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := transport.Client(nc, transport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := &env{t: t, dc: dc}
	c := &client{t: t, conn: conn, key: e.addKey(0), salt: 7, session: 1, answers: map[int64]struct{}{}}
	for i := range int64(100) {
		c.call(i)
	}
	c.expectTransport(transportFlood)
	_ = conn.Close()
}
