package mtserver_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/telegram/dctest/internal/mtserver"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// A valve is a client's end of a connection that can go wrong while it stays open.
type valve struct {
	net.Conn
	deafUp   atomic.Bool  // what the client writes is swallowed
	deafDown atomic.Bool  // what the server writes is
	pace     atomic.Int64 // bytes a second that the client can read, 0: all there are
}

func (v *valve) Write(b []byte) (int, error) {
	if v.deafUp.Load() {
		return len(b), nil
	}
	return v.Conn.Write(b)
}

func (v *valve) Read(b []byte) (int, error) {
	if pace := v.pace.Load(); pace > 0 {
		time.Sleep(time.Second)
		b = b[:min(int64(len(b)), pace)]
	}
	for {
		n, err := v.Conn.Read(b)
		if err != nil || !v.deafDown.Load() {
			return n, err
		}
	}
}

// A lab is a client and a DC with connections in memory, in a bubble.
type lab struct {
	s    *mtproto.Session
	dc   *mtserver.DC
	mu   sync.Mutex
	line *valve // the newest
	n    int    // how many there were
}

func (l *lab) newest() *valve {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.line
}

// inLab runs a test with a client that is connected.
func inLab(t *testing.T, cfg mtserver.Config, test func(t *testing.T, l *lab)) {
	t.Helper()
	cfg.ID, cfg.Test, cfg.RSA = 2, true, testRSA()
	if cfg.Handler == nil {
		cfg.Handler = nearest{}
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := &lab{dc: mtserver.NewDC(cfg)}
		var serving sync.WaitGroup
		defer serving.Wait()
		defer func() { _ = l.dc.Close() }()
		defer cancel()
		s, err := mtproto.Connect(ctx, mtproto.Options{
			Endpoints: []mtproto.Endpoint{{DC: 2, Test: true, Address: "memory"}},
			Dial: func(context.Context, string, string) (net.Conn, error) {
				a, b := net.Pipe()
				serving.Go(func() { _ = l.dc.ServeConn(ctx, b, false) })
				l.mu.Lock()
				defer l.mu.Unlock()
				l.line, l.n = &valve{Conn: a}, l.n+1
				return l.line, nil
			},
			PublicKeys: []*crypto.PublicKey{l.dc.PublicKey()}, Init: testInit,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		l.s = s
		test(t, l)
	})
}

// ask calls something and returns how long the answer took.
func (l *lab) ask(t *testing.T) time.Duration {
	t.Helper()
	start := time.Now()
	got, err := mtproto.Call(t.Context(), l.s, &api.HelpGetNearestDcRequest{})
	if err != nil || got.ThisDC != 2 {
		t.Fatalf("got %+v, %v", got, err)
	}
	return time.Since(start)
}

// TestHalfOpen: a connection that stays open and carries nothing any more, in
// one direction or both, is given up within 30 s, and calls go on over another.
func TestHalfOpen(t *testing.T) {
	tests := []struct {
		name     string
		up, down bool
	}{
		{"both", true, true},
		{"up", true, false},
		{"down", false, true},
	}
	for _, tt := range tests {
		for _, idle := range []time.Duration{0, time.Second, 9 * time.Second, 15500 * time.Millisecond} {
			t.Run(tt.name+" after "+idle.String(), func(t *testing.T) {
				inLab(t, mtserver.Config{}, func(t *testing.T, l *lab) {
					l.ask(t)
					time.Sleep(idle)
					l.newest().deafUp.Store(tt.up)
					l.newest().deafDown.Store(tt.down)
					if took := l.ask(t); took > 30*time.Second {
						t.Errorf("the answer took %v, want 30s at most", took)
					}
					if l.n != 2 {
						t.Errorf("%d connections, want 2", l.n)
					}
				})
			})
		}
	}
}

// TestTrickle: a byte a second is no sign of life. An answer that takes minutes
// because the line is slow is.
func TestTrickle(t *testing.T) {
	t.Run("one byte a second", func(t *testing.T) {
		inLab(t, mtserver.Config{}, func(t *testing.T, l *lab) {
			l.ask(t)
			l.newest().pace.Store(1)
			if took := l.ask(t); took > 30*time.Second {
				t.Errorf("the answer took %v, want 30s at most", took)
			}
			if l.n != 2 {
				t.Errorf("%d connections, want 2", l.n)
			}
		})
	})
	t.Run("a slow line", func(t *testing.T) {
		long := handler(func(context.Context, *mtserver.Call) (tl.Object, error) {
			return &api.UploadFile{Type: &api.StorageFilePartial{}, Bytes: make([]byte, 1<<20)}, nil
		})
		inLab(t, mtserver.Config{Handler: long}, func(t *testing.T, l *lab) {
			l.newest().pace.Store(4 << 10)
			_, err := mtproto.Call(t.Context(), l.s, &api.UploadGetFileRequest{Location: &api.InputDocumentFileLocation{}, Limit: 1 << 20})
			if err != nil || l.n != 1 {
				t.Errorf("got %v over %d connections, want an answer over one", err, l.n)
			}
		})
	})
}

type handler func(context.Context, *mtserver.Call) (tl.Object, error)

func (h handler) Handle(ctx context.Context, c *mtserver.Call) (tl.Object, error) { return h(ctx, c) }

// TestAnswerLost: the server has answered, the connection is alive, and the
// answer never comes. It is asked about after a minute, and got in other ways.
func TestAnswerLost(t *testing.T) {
	for _, busy := range []bool{false, true} {
		t.Run(map[bool]string{false: "idle", true: "busy"}[busy], func(t *testing.T) {
			var cfg mtserver.Config
			var seen atomic.Int64
			cfg.Faults.DelayAnswer = func(p mtserver.Point) time.Duration {
				if p.Method == api.HelpGetNearestDcRequestID && seen.Add(1) == 2 {
					return 24 * time.Hour
				}
				return 0
			}
			inLab(t, cfg, func(t *testing.T, l *lab) {
				l.ask(t)
				done := make(chan time.Duration, 1)
				go func() { done <- l.ask(t) }()
				for {
					select {
					case took := <-done:
						if took < time.Minute || took > 4*time.Minute {
							t.Errorf("the answer took %v, want 1m to 4m", took)
						}
						if l.n != 2 {
							t.Errorf("%d connections, want 2", l.n)
						}
						return
					case <-time.After(5 * time.Second):
						if busy {
							l.ask(t)
						}
					}
				}
			})
		})
	}
}

// TestServerTakesLong: a call that the server works on for minutes is neither
// repeated nor a reason to give up its connection.
func TestServerTakesLong(t *testing.T) {
	var calls atomic.Int64
	slow := handler(func(ctx context.Context, c *mtserver.Call) (tl.Object, error) {
		calls.Add(1)
		select {
		case <-time.After(10 * time.Minute):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return nearest{}.Handle(ctx, c)
	})
	inLab(t, mtserver.Config{Handler: slow}, func(t *testing.T, l *lab) {
		if took := l.ask(t); took != 10*time.Minute || calls.Load() != 1 || l.n != 1 {
			t.Errorf("took %v, %d calls, %d connections; want 10m, 1 and 1", took, calls.Load(), l.n)
		}
	})
}
