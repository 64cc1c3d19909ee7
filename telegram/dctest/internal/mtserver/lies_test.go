package mtserver_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/big"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/telegram/dctest/internal/mtserver"
	"github.com/tghaul/haul/tl/api"
)

// dial connects haul's client to a server in memory.
func dial(t *testing.T, cfg mtserver.Config, o mtproto.Options) (*mtproto.Session, error) {
	t.Helper()
	cfg.Handler = nearest{}
	return dialTo(t, cfg, o)
}

// dialTo is dial with the handler of cfg.
func dialTo(t *testing.T, cfg mtserver.Config, o mtproto.Options) (*mtproto.Session, error) {
	t.Helper()
	var dc *mtserver.DC
	return dialDC(t, &dc, cfg, o)
}

// dialDC is dialTo with the server made known. One that is there is used.
func dialDC(t *testing.T, server **mtserver.DC, cfg mtserver.Config, o mtproto.Options) (*mtproto.Session, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cfg.ID, cfg.Test, cfg.RSA = 2, true, testRSA()
	if *server == nil {
		*server = mtserver.NewDC(cfg)
	}
	dc := *server
	var serving sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		_ = dc.Close()
		serving.Wait()
	})
	o.Endpoints = []mtproto.Endpoint{{DC: 2, Test: true, Address: "memory"}}
	o.Dial = func(context.Context, string, string) (net.Conn, error) {
		a, b := net.Pipe()
		serving.Go(func() { _ = dc.ServeConn(ctx, b, false) })
		return a, nil
	}
	o.PublicKeys, o.Init = []*crypto.PublicKey{dc.PublicKey()}, testInit
	bounded, stop := context.WithTimeout(ctx, 20*time.Second)
	defer stop()
	return mtproto.Connect(bounded, o)
}

// plainLie changes one byte of a handshake answer.
func plainLie(name string, at int) mtserver.Corrupt {
	return mtserver.Corrupt{Plain: func(n string, body []byte) []byte {
		if n == name {
			body[at] ^= 1
		}
		return body
	}}
}

// TestExchangeLies lets the server break one rule of the key exchange each
// time. No key comes out of it, and the error says that a check failed.
func TestExchangeLies(t *testing.T) {
	pq := func(value []byte) mtserver.Corrupt {
		return mtserver.Corrupt{Plain: func(n string, body []byte) []byte {
			if n == "resPQ" { // id, two nonces, then pq: a length of 8 in one byte
				copy(body[37:45], value)
			}
			return body
		}}
	}
	number := func(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }
	inner := func(change func(in *mtserver.DHInner)) mtserver.Corrupt { return mtserver.Corrupt{DHInner: change} }
	less := func(b []byte, n int64) []byte {
		return new(big.Int).Sub(new(big.Int).SetBytes(b), big.NewInt(n)).FillBytes(make([]byte, 256))
	}
	for name, lie := range map[string]mtserver.Corrupt{
		"nonce of resPQ":                plainLie("resPQ", 4),
		"pq is 0":                       pq(number(0)),
		"pq is 1":                       pq(number(1)),
		"pq is even":                    pq(number(2694724800268887958)),
		"pq is a prime":                 pq(number(9223372036854775783)),
		"pq is too large":               pq(number(1<<63 + 1)),
		"nonce of the DH answer":        plainLie("server_DH_params_ok", 4),
		"server nonce of the DH answer": plainLie("server_DH_params_ok", 20),
		"encrypted answer":              plainLie("server_DH_params_ok", 60),
		"SHA-1 of the DH answer":        {DHAnswer: func(b []byte) []byte { b[0] ^= 1; return b }},
		"a block after the DH answer":   {DHAnswer: func(b []byte) []byte { return append(b, make([]byte, 16)...) }},
		"no answer at all":              {DHAnswer: func([]byte) []byte { return make([]byte, 48) }},
		"inner nonce":                   inner(func(in *mtserver.DHInner) { in.Nonce[0] ^= 1 }),
		"inner server nonce":            inner(func(in *mtserver.DHInner) { in.ServerNonce[15] ^= 1 }),
		"g is 0":                        inner(func(in *mtserver.DHInner) { in.G = 0 }),
		"g is 1":                        inner(func(in *mtserver.DHInner) { in.G = 1 }),
		"g is 2, of the wrong subgroup": inner(func(in *mtserver.DHInner) { in.G = 2 }),
		"g is 8":                        inner(func(in *mtserver.DHInner) { in.G = 8 }),
		"prime of 2047 bits":            inner(func(in *mtserver.DHInner) { in.Prime[0] = 0x47 }),
		"prime is none":                 inner(func(in *mtserver.DHInner) { in.Prime = less(in.Prime, 24) }),
		"prime is empty":                inner(func(in *mtserver.DHInner) { in.Prime = nil }),
		"g_a is 0":                      inner(func(in *mtserver.DHInner) { in.GA = nil }),
		"g_a is 1":                      inner(func(in *mtserver.DHInner) { in.GA = []byte{1} }),
		"g_a is p-1":                    inner(func(in *mtserver.DHInner) { in.GA = less(in.Prime, 1) }),
		"g_a is below 2^1984":           inner(func(in *mtserver.DHInner) { in.GA = bytes.Repeat([]byte{0xff}, 248) }),
		"g_a is above p - 2^1984":       inner(func(in *mtserver.DHInner) { in.GA = less(in.Prime, 1<<40) }),
		"nonce of the last answer":      plainLie("dh_gen_ok", 4),
		"server nonce of the last one":  plainLie("dh_gen_ok", 20),
		"new_nonce_hash1":               plainLie("dh_gen_ok", 36),
		"new_nonce_hash2":               {GenRetry: func(int) bool { return true }, Plain: plainLie("dh_gen_retry", 36).Plain},
		"new_nonce_hash3":               {GenFail: func(int) bool { return true }, Plain: plainLie("dh_gen_fail", 36).Plain},
		"an answer that is none":        {Plain: func(string, []byte) []byte { return []byte{1, 2, 3, 4} }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var keys int
				start := time.Now()
				s, err := dial(t, mtserver.Config{Faults: mtserver.Faults{Corrupt: lie}}, mtproto.Options{
					OnKey: func(mtproto.KeyState) { keys++ },
				})
				if err == nil {
					_ = s.Close()
					t.Fatal("connected")
				}
				if !errors.Is(err, mtproto.ErrSecurity) || keys != 0 || time.Since(start) > time.Second {
					t.Errorf("got %v, %d keys, after %v; want a failed check and no key at once", err, keys, time.Since(start))
				}
			})
		})
	}
}

// A server may ask for another key (dh_gen_retry) once or twice.
func TestExchangeRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lie := mtserver.Corrupt{GenRetry: func(try int) bool { return try < 2 }}
		s, err := dial(t, mtserver.Config{Faults: mtserver.Faults{Corrupt: lie}}, mtproto.Options{})
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Close()
	})
}

// TestMessageLies lets the server break one rule of encrypted messages, once.
// The client drops the connection, uses nothing of the lie, and gets its answer
// over the next one.
func TestMessageLies(t *testing.T) {
	plaintext := func(change func(b []byte) []byte) mtserver.Corrupt {
		return mtserver.Corrupt{Plaintext: func(_ mtserver.Point, b []byte) []byte { return change(b) }}
	}
	shift := func(d time.Duration) func(b []byte) []byte {
		return func(b []byte) []byte {
			id := binary.LittleEndian.Uint64(b[16:])
			binary.LittleEndian.PutUint64(b[16:], id+uint64(int64(d/time.Second)<<32))
			return b
		}
	}
	for name, lie := range map[string]mtserver.Corrupt{
		"session id":      plaintext(func(b []byte) []byte { b[8] ^= 1; return b }),
		"even msg_id":     plaintext(func(b []byte) []byte { b[16] &^= 1; return b }),
		"301 s old":       plaintext(shift(-302 * time.Second)),
		"31 s ahead":      plaintext(shift(32 * time.Second)),
		"length negative": plaintext(func(b []byte) []byte { b[31] = 0xff; return b }),
		"length too long": plaintext(func(b []byte) []byte { b[30] = 1; return b }),
		"padding too long": plaintext(func(b []byte) []byte {
			return append(b, make([]byte, 1040)...)
		}),
		"msg_key":    {Packet: func(_ mtserver.Point, b []byte) []byte { b[8] ^= 1; return b }},
		"ciphertext": {Packet: func(_ mtserver.Point, b []byte) []byte { b[len(b)-1] ^= 1; return b }},
		"auth key":   {Packet: func(_ mtserver.Point, b []byte) []byte { b[0] ^= 1; return b }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { messageLie(t, lie) })
		})
	}
}

func messageLie(t *testing.T, lie mtserver.Corrupt) {
	var armed bool
	var mu sync.Mutex
	strike := func() bool {
		mu.Lock()
		defer mu.Unlock()
		was := armed
		armed = false
		return was
	}
	once := mtserver.Corrupt{
		Plaintext: func(p mtserver.Point, b []byte) []byte {
			if lie.Plaintext != nil && strike() {
				return lie.Plaintext(p, b)
			}
			return b
		},
		Packet: func(p mtserver.Point, b []byte) []byte {
			if lie.Packet != nil && strike() {
				return lie.Packet(p, b)
			}
			return b
		},
	}
	s, err := dial(t, mtserver.Config{Faults: mtserver.Faults{Corrupt: once}}, mtproto.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if _, err := mtproto.Call(t.Context(), s, &api.HelpGetNearestDcRequest{}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	before := s.Stats().Reconnects
	mu.Lock()
	armed = true
	mu.Unlock()
	got, err := mtproto.Call(t.Context(), s, &api.HelpGetNearestDcRequest{})
	if err != nil || got.ThisDC != 2 {
		t.Fatalf("got %+v, %v", got, err)
	}
	if n := s.Stats().Reconnects - before; n != 1 {
		t.Errorf("%d reconnects, want 1: the lie was believed", n)
	}
}

// A permanent key that one -404 denies is kept; two on fresh connections end the session.
func TestUnknownKey(t *testing.T) {
	for _, denials := range []int{1, 100} {
		synctest.Test(t, func(t *testing.T) {
			left := 0
			var mu sync.Mutex
			deny := mtserver.Faults{TransportError: func(mtserver.Point) int32 {
				mu.Lock()
				defer mu.Unlock()
				if left == 0 {
					return 0
				}
				left--
				return -404
			}}
			s, err := dial(t, mtserver.Config{Faults: deny}, mtproto.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			mu.Lock()
			left = denials
			mu.Unlock()
			_, err = mtproto.Call(t.Context(), s, &api.HelpGetNearestDcRequest{})
			if gone := errors.Is(err, mtproto.ErrKeyUnknown); gone != (denials > 1) {
				t.Errorf("%d times -404: got %v", denials, err)
			}
		})
	}
}

// A call that its caller gives up does not disturb the next one.
func TestCancelledCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quiet := false
		var mu sync.Mutex
		drop := mtserver.Faults{DelayAnswer: func(p mtserver.Point) time.Duration {
			mu.Lock()
			defer mu.Unlock()
			if quiet && p.Method == api.HelpGetNearestDcRequestID { // not the answer to what the session asks by itself
				quiet = false
				return time.Hour
			}
			return 0
		}}
		s, err := dial(t, mtserver.Config{Faults: drop}, mtproto.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		mu.Lock()
		quiet = true
		mu.Unlock()
		// The caller gives up, and the server is told to drop the answer.
		if _, err := mtproto.Call(ctx, s, &api.HelpGetNearestDcRequest{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v, want the caller's deadline", err)
		}
		if _, err := mtproto.Call(t.Context(), s, &api.HelpGetNearestDcRequest{}); err != nil {
			t.Errorf("the next call: %v", err)
		}
	})
}
