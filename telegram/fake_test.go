package telegram

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
	"github.com/tghaul/haul/tl/mt"
)

// A fakeTelegram answers the sessions of a client by script: what a session
// does with a connection is not its concern.
type fakeTelegram struct {
	// answer is what a server says to a query that the defaults do not answer.
	answer func(fakeCall) (tl.Object, error)
	// refuse makes a connection fail. May be nil.
	refuse func(mtproto.Options) error

	mu       sync.Mutex
	calls    []fakeCall
	sessions []*fakeSession
	options  []api.DcOption
}

type fakeCall struct {
	dc      int
	q       tl.Object
	session *fakeSession
}

type fakeSession struct {
	net  *fakeTelegram
	o    mtproto.Options
	dc   int
	key  mtproto.KeyState
	once sync.Once
	done chan struct{}
	why  error // set before done is closed
}

// die ends the session as its server or network may do at any time.
func (s *fakeSession) die(err error) {
	s.once.Do(func() {
		s.why = err
		close(s.done)
	})
}

func (f *fakeTelegram) connect(ctx context.Context, o mtproto.Options) (session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if f.refuse != nil {
		if err := f.refuse(o); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	s := &fakeSession{net: f, o: o, dc: o.Endpoints[0].DC, key: o.Key, done: make(chan struct{})}
	made := s.key.Key == nil
	if made {
		var b [256]byte
		rand.Read(b[:])
		s.key.Key = crypto.NewAuthKey(b)
	}
	f.sessions = append(f.sessions, s)
	f.mu.Unlock()
	if made && o.OnKey != nil {
		o.OnKey(s.key)
	}
	return s, nil
}

func (s *fakeSession) Invoke(ctx context.Context, q tl.Object) (*mtproto.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !alive(s) {
		return nil, s.why
	}
	call := fakeCall{s.dc, q, s}
	s.net.mu.Lock()
	s.net.calls = append(s.net.calls, call)
	s.net.mu.Unlock()
	o, err := s.net.handle(call)
	if err != nil {
		return nil, err
	}
	return newResponse(tl.Marshal(o)), nil
}

func (s *fakeSession) Close() error               { s.die(mtproto.ErrClosed); return nil }
func (s *fakeSession) Done() <-chan struct{}      { return s.done }
func (s *fakeSession) Err() error                 { <-s.done; return s.why }
func (s *fakeSession) KeyState() mtproto.KeyState { return s.key }

// DestroyKey is asked of the script as the call destroy_auth_key.
func (s *fakeSession) DestroyKey(ctx context.Context) error {
	_, err := s.Invoke(ctx, &mt.DestroyAuthKeyRequest{})
	return err
}

func newResponse(body []byte) *mtproto.Response { return mtproto.NewResponse(body) }
func rpcErr(code int, typ string, arg int) error {
	return &mtproto.RPCError{Code: code, Type: typ, Arg: arg}
}

// vector is the answer of methods that have a vector for one.
func vector[T tl.Object](items ...T) tl.Object {
	var e tl.Encoder
	e.Vector(len(items))
	for _, i := range items {
		i.Encode(&e)
	}
	return tl.Raw(e.Bytes())
}

func (f *fakeTelegram) handle(c fakeCall) (tl.Object, error) {
	if f.answer != nil {
		if o, err := f.answer(c); o != nil || err != nil {
			return o, err
		}
	}
	switch c.q.(type) {
	case *api.HelpGetConfigRequest:
		return f.config(c.dc), nil
	case *api.UsersGetUsersRequest:
		return vector[tl.Object](fakeUser(true)), nil
	case *api.AuthExportAuthorizationRequest:
		return &api.AuthExportedAuthorization{ID: 7, Bytes: []byte("proof")}, nil
	case *api.AuthImportAuthorizationRequest, *api.AuthImportBotAuthorizationRequest:
		return &api.AuthAuthorization{User: fakeUser(true)}, nil
	}
	return nil, fmt.Errorf("fake Telegram: no answer to %s", c.q.TypeName())
}

func (f *fakeTelegram) config(dc int) *api.Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &api.Config{Date: 1000, Expires: 4600, TestMode: true, ThisDC: int32(dc), DCOptions: f.options}
}

func fakeUser(bot bool) *api.User {
	return &api.User{ID: 7, Self: true, Bot: bot, AccessHash: tl.Some(int64(70)), FirstName: tl.Some("Fake"), Username: tl.Some("fake")}
}

// count is how many calls of the method were made, at a DC or (0) anywhere.
func (f *fakeTelegram) count(method string, dc int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, c := range f.calls {
		if c.q.TypeName() == method && (dc == 0 || c.dc == dc) {
			n++
		}
	}
	return n
}

// dials counts the sessions made with a DC.
func (f *fakeTelegram) dials(dc int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, s := range f.sessions {
		if s.dc == dc {
			n++
		}
	}
	return n
}

// fakeClient is a client of f. store may be nil; signed in unless anonymous.
func fakeClient(t *testing.T, f *fakeTelegram, change func(*Config)) *Client {
	t.Helper()
	store := new(MemorySession)
	if err := store.Save(testSession()); err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		AppID: 1, AppHash: "canary-app-hash", Session: store, Datacenters: testDatacenters(),
		Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	c, err := dial(t.Context(), cfg, f.connect)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		for i, s := range f.sessions {
			if alive(s) {
				t.Errorf("session %d with DC %d is still open after Close", i, s.dc)
			}
		}
	})
	return c
}

// anonymous makes fakeClient start without a login.
func anonymous(cfg *Config) { cfg.Session = new(MemorySession) }

// unknownOutcome is a call of which nobody knows whether it was executed.
func unknownOutcome() error { return fmt.Errorf("sendMedia: %w", mtproto.ErrUnknownOutcome) }
