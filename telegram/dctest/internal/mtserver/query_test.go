package mtserver

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/tl"
)

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func zlibbed(b []byte) []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func packed(b []byte) []byte {
	return encode(idGzipPacked, func(e *tl.Encoder) { e.Blob(b) })
}

// layered wraps a query in invokeWithLayer and initConnection with everything in it.
func layered(q []byte) []byte {
	return encode(idInvokeWithLayer, func(e *tl.Encoder) {
		e.Int(228)
		e.ID(idInitConnection)
		e.Nat(3)
		e.Int(1)
		for _, s := range []string{"device", "system", "version", "en", "", "en"} {
			e.String(s)
		}
		e.ID(idClientProxy)
		e.String("127.0.0.1")
		e.Int(443)
		e.ID(idJSONObject)
		e.Vector(2)
		e.ID(idJSONObjectValue)
		e.String("tz_offset")
		e.ID(idJSONNumber)
		e.Double(3600)
		e.ID(idJSONObjectValue)
		e.String("list")
		e.ID(idJSONArray)
		e.Vector(3)
		e.ID(idJSONNull)
		e.ID(idJSONBool)
		e.Bool(true)
		e.ID(idJSONString)
		e.String("x")
		e.Raw(q)
	})
}

func TestOpenQuery(t *testing.T) {
	q := query(5)
	all := encode(idAfterMsg, func(e *tl.Encoder) {
		e.Long(4)
		e.ID(idAfterMsgs)
		e.Vector(2)
		e.Long(1)
		e.Long(2)
		e.ID(idWithTakeout)
		e.Long(7)
		e.ID(idWithRange)
		e.ID(idMessageRange)
		e.Int(1)
		e.Int(2)
		e.ID(idWithoutUpdates)
	})
	tests := []struct {
		name   string
		body   []byte
		want   []byte // nil: refused
		method uint32
	}{
		{"plain", q, q, 0x0badcafe},
		{"gzip", packed(gzipped(q)), q, 0x0badcafe},
		{"zlib", packed(zlibbed(q)), q, 0x0badcafe},
		{"layer", layered(q), layered(q), 0x0badcafe},
		{"layer outside", layered(packed(gzipped(q))), layered(q), 0x0badcafe},
		{"layer inside", packed(zlibbed(layered(q))), layered(q), 0x0badcafe},
		{"all wrappers", layered(append(all, q...)), layered(append(all, q...)), 0x0badcafe},
		{"gzip in gzip", packed(gzipped(packed(gzipped(q)))), nil, 0},
		{"gzip in layer in gzip", packed(gzipped(layered(packed(gzipped(q))))), nil, 0},
		{"container in gzip", packed(gzipped(containerBody())), nil, 0},
		{"ping in gzip", packed(gzipped(encode(idPing, func(e *tl.Encoder) { e.Long(1) }))), nil, 0},
		{"no gzip", packed([]byte("not compressed")), nil, 0},
		{"truncated gzip", packed(gzipped(q)[:20]), nil, 0},
		{"nothing in gzip", packed(gzipped(nil)), nil, 0},
		{"bomb", packed(gzipped(make([]byte, maxInflated+1))), nil, 0},
		{"largest", packed(gzipped(append(query(1), make([]byte, maxInflated-12)...))), append(query(1), make([]byte, maxInflated-12)...), 0x0badcafe},
		{"wrapper of nothing", encode(idWithoutUpdates, nil), nil, 0},
		{"short layer", layered(nil)[:20], nil, 0},
		{"more after gzip", append(packed(gzipped(q)), 0, 0, 0, 0), nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, method, err := openQuery(tt.body)
			if (err == nil) != (tt.want != nil) || !bytes.Equal(got, tt.want) || method != tt.method {
				t.Errorf("got %d bytes, method %#x, error %v; want %d bytes, %#x", len(got), method, err, len(tt.want), tt.method)
			}
		})
	}
}

func TestBadQueryIsAnError(t *testing.T) {
	inBubble(t, Config{}, func(e *env) {
		c := e.client()
		id := c.send(packed([]byte("this is no stream")), true)
		c.expectError(id, "400 INPUT_FETCH_ERROR")
		c.roundTrip(1)
	})
}

func TestAnswersArePacked(t *testing.T) {
	zeros := make([]byte, 4096)
	noise := make([]byte, 4096)
	for i := range noise {
		noise[i] = byte(i*i>>3) ^ byte(i*7919>>5)
	}
	tests := []struct {
		name   string
		id     uint32
		data   []byte
		packed bool
	}{
		{"long", 0x11111111, zeros, true},
		{"short", 0x11111111, zeros[:900], false},
		{"file", idUploadFile, zeros, false},
		{"cdn file", idUploadCDNFile, zeros, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer := encode(tt.id, func(e *tl.Encoder) { e.Blob(tt.data) })
			cfg := Config{Handler: handlerFunc(func(context.Context, *Call) (tl.Object, error) { return tl.Raw(answer), nil })}
			inBubble(t, cfg, func(e *env) {
				c := e.client()
				id := c.call(1)
				got := c.result(id)
				if is := tl.Raw(got).TypeID() == idGzipPacked; is != tt.packed {
					t.Fatalf("packed: %v, want %v", is, tt.packed)
				}
				if tt.packed {
					d := tl.NewDecoder(got[4:])
					r, err := gzip.NewReader(bytes.NewReader(d.Blob()))
					if err != nil {
						t.Fatal(err)
					}
					if got, err = io.ReadAll(r); err != nil {
						t.Fatal(err)
					}
				}
				if !bytes.Equal(got, answer) {
					t.Errorf("%d bytes arrive, want %d equal ones", len(got), len(answer))
				}
			})
		})
	}
}

// TestHandlersAreBounded: so many handlers of a session run at once, not more.
func TestHandlersAreBounded(t *testing.T) {
	var now, most atomic.Int64
	cfg := Config{Handler: handlerFunc(func(_ context.Context, c *Call) (tl.Object, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(time.Second)
		return append(tl.Raw(nil), c.Query...), nil
	})}
	inBubble(t, cfg, func(e *env) {
		c := e.client()
		const calls = 3 * maxRunning
		start := time.Now()
		for i := range int64(calls) {
			c.call(i)
		}
		for range calls {
			c.expect(idRPCResult)
		}
		if got := most.Load(); got != maxRunning {
			t.Errorf("%d handlers at once, want %d", got, maxRunning)
		}
		if got := time.Since(start); got != 3*time.Second {
			t.Errorf("took %v, want 3s", got)
		}
	})
}

func TestTooManyQueries(t *testing.T) {
	cfg := Config{Handler: handlerFunc(func(ctx context.Context, _ *Call) (tl.Object, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})}
	inBubble(t, cfg, func(e *env) {
		c := e.client()
		for sent := 0; sent < maxWaiting; sent += 512 {
			var msgs []rawMsg
			for i := range int64(512) {
				msgs = append(msgs, c.part(query(i), true))
			}
			c.container(msgs...)
			synctest.Wait()
		}
		c.ping(1)
		c.call(1)
		c.skipUntilTransport(transportFlood)
	})
}

// TestWaitFor: invokeAfterMsg waits for another query, and fails with it.
func TestWaitFor(t *testing.T) {
	cfg := Config{Handler: handlerFunc(func(ctx context.Context, c *Call) (tl.Object, error) {
		d := tl.NewDecoder(c.Query[4:])
		switch n := d.Long(); n {
		case 1:
			time.Sleep(time.Minute)
		case 2:
			time.Sleep(time.Minute)
			return nil, &Error{Code: 400, Message: "FAILED"}
		default:
			if err := c.WaitFor(ctx, n); err != nil {
				return nil, err
			}
		}
		return append(tl.Raw(nil), c.Query...), nil
	})}
	inBubble(t, cfg, func(e *env) {
		c := e.client()
		start := time.Now()
		first := c.call(1)
		second := c.call(first)
		c.expectQuiet()
		time.Sleep(time.Minute)
		if got := c.expect(idRPCResult).fields().Long(); got != first {
			t.Errorf("first answered is %x, want %x", got, first)
		}
		c.result(second)
		if got := time.Since(start); got < time.Minute {
			t.Errorf("answered after %v, want a minute", got)
		}
		failing := c.call(2)
		dependent := c.call(failing)
		time.Sleep(2 * time.Minute)
		c.expectError(failing, "400 FAILED")
		c.expectError(dependent, "400 MSG_WAIT_FAILED")
		c.expectError(c.call(c.nextID()), "400 MSG_WAIT_FAILED")
	})
}

// TestHandlerErrors: what a Handler returns as error becomes an rpc_error.
func TestHandlerErrors(t *testing.T) {
	cfg := Config{Handler: handlerFunc(func(_ context.Context, c *Call) (tl.Object, error) {
		if d := tl.NewDecoder(c.Query[4:]); d.Long() == 1 {
			return nil, &Error{Code: 420, Message: "FLOOD_WAIT_3"}
		}
		return nil, io.ErrUnexpectedEOF
	})}
	inBubble(t, cfg, func(e *env) {
		c := e.client()
		c.expectError(c.call(1), "420 FLOOD_WAIT_3")
		c.expectError(c.call(2), "500 INTERNAL")
		if got := e.dc.Stats().RPCErrors; got != 2 {
			t.Errorf("%d errors counted, want 2", got)
		}
	})
}

// lent counts how often it is released.
type lent struct {
	tl.Raw
	released *int
}

func (l lent) Release() { *l.released++ }

func TestResultIsReleased(t *testing.T) {
	released := 0
	cfg := Config{Handler: handlerFunc(func(_ context.Context, c *Call) (tl.Object, error) {
		return lent{Raw: append(tl.Raw(nil), c.Query...), released: &released}, nil
	})}
	inBubble(t, cfg, func(e *env) {
		e.client().roundTrip(1)
		synctest.Wait()
		if released != 1 {
			t.Errorf("released %d times, want 1", released)
		}
	})
}
