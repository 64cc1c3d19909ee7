package telegram

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// Sixteen parallel file sessions of a guest DC cost one export and one import,
// and a later run of the program none.
func TestGuestAuthorisedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeTelegram{answer: func(call fakeCall) (tl.Object, error) {
			time.Sleep(50 * time.Millisecond) // so that the callers meet
			return nil, nil
		}}
		store := new(MemorySession)
		if err := store.Save(testSession()); err != nil {
			t.Fatal(err)
		}
		keep := func(cfg *Config) { cfg.Session = store }
		client := fakeClient(t, f, keep)
		var wg sync.WaitGroup
		got := make([]session, 16)
		for i := range got {
			wg.Go(func() {
				s, err := client.fileSession(t.Context(), 4, Download, i/2) // two callers for each
				if err != nil {
					t.Errorf("session %d: %v", i, err)
				}
				got[i] = s
			})
		}
		wg.Wait()
		for i := 0; i < len(got); i += 2 {
			if got[i] != got[i+1] || i > 0 && got[i] == got[i-2] {
				t.Errorf("sessions %d and %d: want callers for one to share it, and not with others", i, i+1)
			}
			o := got[i].(*fakeSession).o
			if len(o.Endpoints) != 1 || !o.Endpoints[0].MediaOnly || !o.NoUpdates || o.PFS {
				t.Errorf("download session with endpoints %+v, no updates %v; want the media-only one, without updates", o.Endpoints, o.NoUpdates)
			}
		}
		if e, i := f.count("auth.exportAuthorization", 2), f.count("auth.importAuthorization", 4); e != 1 || i != 1 {
			t.Errorf("%d exports, %d imports; want 1 and 1", e, i)
		}
		if got := f.dials(4); got != 9 {
			t.Errorf("%d connections to DC 4, want 8 and one to authorise", got)
		}
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
		again := fakeClient(t, f, keep)
		if _, err := again.fileSession(t.Context(), 4, Download, 0); err != nil {
			t.Fatal(err)
		}
		if e := f.count("auth.exportAuthorization", 0); e != 1 {
			t.Errorf("after a restart: %d exports, want still 1", e)
		}
	})
}

func TestFileSessionEndpoints(t *testing.T) {
	f := &fakeTelegram{options: []api.DcOption{
		{ID: 2, IPAddress: "2001:db8::2", Port: 443, Ipv6: true, ThisPortOnly: true},
		{ID: 2, IPAddress: "198.51.100.2", Port: 443},
		{ID: 2, IPAddress: "198.51.100.3", Port: 443, ThisPortOnly: true, Static: true, Secret: append(bytes.Repeat([]byte{0xee}, 17), "a.example"...)},
		{ID: 2, IPAddress: "198.51.100.22", Port: 443, MediaOnly: true, ThisPortOnly: true},
		{ID: 2, IPAddress: "198.51.100.23", Port: 443, Secret: bytes.Repeat([]byte{0xee}, 17)}, // fake TLS without a domain
		{ID: 5, IPAddress: "198.51.100.5", Port: 80, MediaOnly: true, ThisPortOnly: true},
		{ID: 20000, IPAddress: "198.51.100.9", Port: 80},
		{ID: 2, IPAddress: "example.com", Port: 80},
		{ID: 2, IPAddress: "198.51.100.2", Port: 0},
	}}
	client := fakeClient(t, f, nil)
	const ordinary = "198.51.100.2:443 [2001:db8::2]:443 198.51.100.3:443 198.51.100.2:80 198.51.100.2:5222 192.0.2.2:443"
	for _, c := range []struct {
		name string
		got  []mtproto.Endpoint
		want string
	}{
		{"home", client.dcs.ordinary(2), ordinary},
		{"download at home", client.dcs.files(2, Download), "198.51.100.22:443"},
		{"upload", client.dcs.files(2, Upload), ordinary},
		{"of the file alone", client.dcs.files(4, Download), "192.0.2.44:443"},
		{"ordinary at a DC of media-only ones", client.dcs.ordinary(5), "198.51.100.5:80"},
		{"CDN", client.dcs.cdn(203), "192.0.2.203:443"},
		{"unknown", client.dcs.ordinary(9), ""},
	} {
		var list []string
		for _, e := range c.got {
			list = append(list, e.Address)
			if !e.Test {
				t.Errorf("%s: %s is not marked as of the test environment", c.name, e.Address)
			}
		}
		if got := strings.Join(list, " "); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// Behind SOCKS5 stable addresses come first: the proxy may allow no others.
func TestStaticEndpoints(t *testing.T) {
	d := &directory{static: true}
	d.setOptions([]api.DcOption{
		{ID: 2, IPAddress: "198.51.100.2", Port: 443, ThisPortOnly: true},
		{ID: 2, IPAddress: "198.51.100.3", Port: 443, ThisPortOnly: true, Static: true},
	})
	if list := d.ordinary(2); list[0].Address != "198.51.100.3:443" || len(list) != 2 {
		t.Errorf("got %v", list)
	}
}

func TestFileSessionRefusals(t *testing.T) {
	f := new(fakeTelegram)
	client := fakeClient(t, f, nil)
	if _, err := client.fileSession(t.Context(), 4, Upload, 0); err == nil {
		t.Error("upload to a guest DC: got no error")
	}
	if _, err := client.fileSession(t.Context(), 77, Download, 0); !errors.Is(err, ErrUnknownDC) {
		t.Errorf("unknown DC: got %v, want ErrUnknownDC", err)
	}
	stranger := fakeClient(t, new(fakeTelegram), anonymous)
	if _, err := stranger.fileSession(t.Context(), 2, Download, 0); !errors.Is(err, ErrNotLoggedIn) {
		t.Errorf("without login: got %v, want ErrNotLoggedIn", err)
	}
}

func TestFileSessionReplaced(t *testing.T) {
	f := new(fakeTelegram)
	client := fakeClient(t, f, nil)
	get := func() session {
		t.Helper()
		s, err := client.fileSession(t.Context(), 2, Upload, 3)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := get()
	if get() != first {
		t.Error("a live session was replaced")
	}
	if err := first.Close(); err != nil { // as if it had died
		t.Fatal(err)
	}
	second := get()
	if second == first {
		t.Error("a dead session was handed out")
	}
	client.DropFileSession(2, Download, 3) // another one
	if get() != second {
		t.Error("dropping another session dropped this one")
	}
	client.DropFileSession(2, Upload, 3)
	if alive(second) {
		t.Error("a dropped session is still open")
	}
	if get() == second {
		t.Error("a dropped session was handed out")
	}
}

// A guest DC that forgot the key gets a new one, and the authorisation again.
func TestGuestKeyUnknown(t *testing.T) {
	var mu sync.Mutex
	dead := make(map[int64]bool)
	f := &fakeTelegram{refuse: func(o mtproto.Options) error {
		mu.Lock()
		defer mu.Unlock()
		if o.Key.Key != nil && dead[o.Key.Key.ID()] {
			return mtproto.ErrKeyUnknown
		}
		return nil
	}}
	client := fakeClient(t, f, nil)
	s, err := client.fileSession(t.Context(), 4, Download, 0)
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	dead[s.KeyState().Key.ID()] = true
	mu.Unlock()
	client.DropFileSession(4, Download, 0)
	s, err = client.fileSession(t.Context(), 4, Download, 0)
	if err != nil || dead[s.KeyState().Key.ID()] {
		t.Fatalf("with the key gone: got %v; want a session with another key", err)
	}
	if got := f.count("auth.importAuthorization", 4); got != 2 {
		t.Errorf("%d imports, want 2: one for each key", got)
	}
	mu.Lock()
	dead[client.keep.dc(2).keyState().Key.ID()] = true
	mu.Unlock()
	if _, err := client.fileSession(t.Context(), 2, Download, 0); !errors.Is(err, ErrLoggedOut) {
		t.Errorf("with the home key gone: got %v, want ErrLoggedOut", err)
	}
}

func TestStaleExport(t *testing.T) {
	stale := 2
	f := &fakeTelegram{answer: func(call fakeCall) (tl.Object, error) {
		if _, ok := call.q.(*api.AuthImportAuthorizationRequest); ok && stale > 0 {
			stale--
			return nil, rpcErr(400, "AUTH_BYTES_INVALID", 0)
		}
		return nil, nil
	}}
	client := fakeClient(t, f, nil)
	if _, err := client.fileSession(t.Context(), 4, Download, 0); err != nil {
		t.Fatalf("got %v, want success with the third export", err)
	}
	if got := f.count("auth.exportAuthorization", 2); got != 3 {
		t.Errorf("%d exports, want 3", got)
	}
}

// 401s at a guest DC: one import for all who complain, then a new key, then an end.
func TestReauthorizeDC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(fakeTelegram)
		client := fakeClient(t, f, nil)
		if _, err := client.fileSession(t.Context(), 4, Download, 0); err != nil {
			t.Fatal(err)
		}
		imports := func() int { return f.count("auth.importAuthorization", 4) }
		key := func() int64 { return client.keep.dc(4).keyState().Key.ID() }
		first := key()
		time.Sleep(time.Minute)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if err := client.ReauthorizeDC(t.Context(), 4, rpcErr(401, "AUTH_KEY_UNREGISTERED", 0)); err != nil {
					t.Errorf("reauthorise: %v", err)
				}
			})
		}
		wg.Wait()
		if imports() != 2 || key() != first {
			t.Errorf("ten 401s together: %d imports, same key %v; want 2, true", imports(), key() == first)
		}
		time.Sleep(time.Minute)
		if err := client.ReauthorizeDC(t.Context(), 4, rpcErr(401, "AUTH_KEY_UNREGISTERED", 0)); err != nil || imports() != 3 || key() == first {
			t.Errorf("again: %v, %d imports, same key %v; want 3 imports and a new key", err, imports(), key() == first)
		}
		time.Sleep(time.Minute)
		if err := client.ReauthorizeDC(t.Context(), 4, rpcErr(401, "AUTH_KEY_UNREGISTERED", 0)); !errors.Is(err, ErrGuestAuth) || imports() != 3 {
			t.Errorf("and again: %v, %d imports; want ErrGuestAuth and no more", err, imports())
		}
		time.Sleep(reauthWindow)
		if err := client.ReauthorizeDC(t.Context(), 4, rpcErr(401, "AUTH_KEY_UNREGISTERED", 0)); err != nil || imports() != 4 {
			t.Errorf("much later: %v, %d imports; want another try", err, imports())
		}
		if err := client.ReauthorizeDC(t.Context(), 2, rpcErr(401, "AUTH_KEY_UNREGISTERED", 0)); err != nil {
			t.Errorf("at home, still signed in: %v", err)
		}
	})
}

func TestCDNSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		served := "no key at all"
		f := &fakeTelegram{
			answer: func(call fakeCall) (tl.Object, error) {
				time.Sleep(10 * time.Millisecond)
				if _, ok := call.q.(*api.HelpGetCdnConfigRequest); ok {
					pem := served
					served = testPEM()
					return &api.CdnConfig{PublicKeys: []api.CdnPublicKey{{DCID: 203, PublicKey: pem}, {DCID: 204, PublicKey: testPEM()}}}, nil
				}
				return nil, nil
			},
			refuse: func(o mtproto.Options) error {
				if o.Endpoints[0].CDN && len(o.PublicKeys) == 0 {
					return mtproto.ErrNoPublicKey
				}
				return nil
			},
		}
		client := fakeClient(t, f, nil)
		var wg sync.WaitGroup
		keys := make([]int64, 6)
		for i := range keys {
			wg.Go(func() {
				s, err := client.cdnSession(t.Context(), 203, i)
				if err != nil {
					t.Errorf("session %d: %v", i, err)
					return
				}
				keys[i] = s.KeyState().Key.ID()
				o := s.(*fakeSession).o
				init := o.Init(&api.UploadGetCdnFileRequest{}).(*api.InvokeWithLayerRequest).Query.(*api.InitConnectionRequest)
				if init.DeviceModel != "n/a" || init.SystemVersion != "n/a" || init.LangCode != "" || init.SystemLangCode != "" {
					t.Errorf("a CDN DC is told %+v", init)
				}
			})
		}
		wg.Wait()
		for i, k := range keys {
			if k != keys[0] {
				t.Errorf("session %d has a key of its own, want one key for all", i)
			}
		}
		if got := f.count("help.getCdnConfig", 2); got != 2 {
			t.Errorf("%d fetches of the CDN keys, want 2: the first had none", got)
		}
		if got := f.count("auth.exportAuthorization", 0); got != 0 {
			t.Errorf("%d exports for a CDN DC, want none", got)
		}
		if _, err := client.cdnSession(t.Context(), 2, 0); !errors.Is(err, ErrUnknownDC) {
			t.Errorf("an ordinary DC as CDN: got %v, want ErrUnknownDC", err)
		}
	})
}

func TestInitConnection(t *testing.T) {
	client := fakeClient(t, new(fakeTelegram), nil)
	wrapped, ok := client.initConnection(selfQuery()).(*api.InvokeWithLayerRequest)
	if !ok || wrapped.Layer != 228 {
		t.Fatalf("outermost is %+v, want invokeWithLayer 228", wrapped)
	}
	init := wrapped.Query.(*api.InitConnectionRequest)
	if init.APIID != 1 || init.DeviceModel == "" || init.SystemVersion == "" || init.AppVersion == "" ||
		init.SystemLangCode != "en" || init.LangCode != "en" || init.LangPack != "" {
		t.Errorf("initConnection %+v", init)
	}
}

// A bot's first login at the wrong DC moves the home; the token stays secret.
func TestLoginBotMigrates(t *testing.T) {
	const token = "7:canary-token"
	var log bytes.Buffer
	f := &fakeTelegram{answer: func(call fakeCall) (tl.Object, error) {
		if q, ok := call.q.(*api.AuthImportBotAuthorizationRequest); ok {
			if q.BotAuthToken != token || q.APIHash != "canary-app-hash" || q.APIID != 1 || q.Flags != 0 {
				t.Errorf("login with %+v", q)
			}
			if call.dc != 4 {
				return nil, rpcErr(303, "USER_MIGRATE", 4)
			}
		}
		return nil, nil
	}}
	store := new(MemorySession)
	client := fakeClient(t, f, func(cfg *Config) {
		cfg.Session = store
		cfg.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	if client.LoggedIn() || client.User() != nil {
		t.Fatal("signed in before the login")
	}
	u, err := client.LoginBot(t.Context(), token)
	if err != nil || u.ID != 7 || !u.Bot || u.Name != "Fake" {
		t.Fatalf("got %+v, %v", u, err)
	}
	s, err := store.Load()
	if err != nil || s.HomeDC != 4 || !s.DCs[4].Authorized || s.User == nil || s.User.ID != 7 {
		t.Errorf("stored %v, %v; want home and authorisation at DC 4", s, err)
	}
	if client.HomeDC() != 4 || !client.LoggedIn() || !client.IsBot() || client.Account() != 7 {
		t.Errorf("home %d, logged in %v, bot %v", client.HomeDC(), client.LoggedIn(), client.IsBot())
	}
	if strings.Contains(log.String(), "canary") {
		t.Errorf("the log shows a secret:\n%s", log.String())
	}
	if _, err := client.LoginBot(t.Context(), token); err != nil || f.count("auth.importBotAuthorization", 4) != 1 {
		t.Errorf("a second login: %v, %d logins at the server; want the session kept", err, f.count("auth.importBotAuthorization", 4))
	}
	if _, err := client.LoginBot(t.Context(), "8:other"); err == nil {
		t.Error("a login of another bot into the same session: got no error")
	}
}

func TestLoginBotRefused(t *testing.T) {
	f := &fakeTelegram{answer: func(call fakeCall) (tl.Object, error) {
		if _, ok := call.q.(*api.AuthImportBotAuthorizationRequest); ok {
			return nil, rpcErr(400, "ACCESS_TOKEN_INVALID", 0)
		}
		return nil, nil
	}}
	client := fakeClient(t, f, anonymous)
	for _, token := range []string{"7:canary", "", "7", ":x", "x:y", "7:"} {
		_, err := client.LoginBot(t.Context(), token)
		if !errors.Is(err, ErrBotToken) || strings.Contains(err.Error(), "canary") {
			t.Errorf("token %q: got %v, want ErrBotToken without the token", token, err)
		}
	}
	if got := f.count("auth.importBotAuthorization", 0); got != 1 {
		t.Errorf("%d logins at the server, want 1: the others cannot be tokens", got)
	}
}

func TestDialRefusals(t *testing.T) {
	f := new(fakeTelegram)
	for _, c := range []struct {
		name string
		cfg  Config
		want error
	}{
		{"no datacenters", Config{AppID: 1}, ErrNoDatacenters},
		{"bad datacenters", Config{AppID: 1, Datacenters: &Datacenters{}}, ErrDatacenters},
		{"no app id", Config{Datacenters: testDatacenters()}, nil},
		{"session of another environment", Config{AppID: 1, Datacenters: testDatacenters(), Session: func() SessionStore {
			m, s := new(MemorySession), testSession()
			s.Test = false
			if err := m.Save(s); err != nil {
				t.Fatal(err)
			}
			return m
		}()}, ErrSession},
	} {
		client, err := dial(t.Context(), c.cfg, f.connect)
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, %v; want %v", c.name, client, err, c.want)
		}
	}
	production := &fakeTelegram{answer: func(call fakeCall) (tl.Object, error) {
		conf := call.session.net.config(2)
		conf.TestMode = false
		return conf, nil
	}}
	_, err := dial(t.Context(), Config{AppID: 1, Datacenters: testDatacenters()}, production.connect)
	if !errors.Is(err, ErrDatacenters) {
		t.Errorf("a server of another environment: got %v, want ErrDatacenters", err)
	}
	for i, s := range production.sessions {
		if alive(s) {
			t.Errorf("session %d is open after a failed Dial", i)
		}
	}
}

// A DC that turns out to have forgotten the key, on a session that stood.
func TestKeyUnknownLater(t *testing.T) {
	f := new(fakeTelegram)
	client := fakeClient(t, f, nil)
	get := func() *fakeSession {
		t.Helper()
		s, err := client.fileSession(t.Context(), 4, Download, 0)
		if err != nil {
			t.Fatal(err)
		}
		return s.(*fakeSession)
	}
	first := get()
	first.die(errors.New("network gone"))
	second := get()
	if second.key.Key.ID() != first.key.Key.ID() {
		t.Error("after trouble of the network: another key")
	}
	second.die(mtproto.ErrKeyUnknown)
	third := get()
	if third.key.Key.ID() == first.key.Key.ID() {
		t.Error("after the DC forgot the key: the same key again")
	}
	if got := f.count("auth.importAuthorization", 4); got != 2 {
		t.Errorf("%d imports, want 2: one for each key", got)
	}
	home, err := client.fileSession(t.Context(), 2, Upload, 0)
	if err != nil {
		t.Fatal(err)
	}
	home.(*fakeSession).die(mtproto.ErrKeyUnknown)
	if _, err := client.fileSession(t.Context(), 2, Upload, 0); !errors.Is(err, ErrLoggedOut) {
		t.Errorf("after the home DC forgot the key: got %v, want ErrLoggedOut", err)
	}
}

// A main session that died is replaced, with the same key if it can be.
func TestHomeReplaced(t *testing.T) {
	f := new(fakeTelegram)
	client := fakeClient(t, f, anonymous)
	f.sessions[0].die(errors.New("network gone"))
	if _, err := client.Self(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.sessions[1].die(mtproto.ErrKeyUnknown)
	if _, err := client.Self(t.Context()); err != nil {
		t.Fatalf("a forgotten key of nobody: %v", err)
	}
	if len(f.sessions) != 3 {
		t.Fatalf("%d sessions, want 3", len(f.sessions))
	}
	ids := make([]int64, 3)
	for i, s := range f.sessions {
		ids[i] = s.key.Key.ID()
	}
	if ids[0] != ids[1] || ids[1] == ids[2] {
		t.Errorf("keys %x, want the first two equal and the third another", ids)
	}
}

func TestUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := func(ctx context.Context, _ mtproto.Options) (session, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		start := time.Now()
		_, err := dial(t.Context(), Config{AppID: 1, Datacenters: testDatacenters(), ConnectTimeout: 5 * time.Second}, wait)
		if !errors.Is(err, ErrUnreachable) || errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 5*time.Second {
			t.Errorf("got %v after %v, want ErrUnreachable after 5s, and no deadline of the caller's", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := dial(ctx, Config{AppID: 1, Datacenters: testDatacenters()}, wait); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the caller's deadline", err)
		}
	})
}

// The configuration is fetched again when it has expired, or the server says so.
func TestConfigExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(fakeTelegram)
		client := fakeClient(t, f, nil)
		fetched := func() int {
			t.Helper()
			for range 3 {
				if _, err := client.Config(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			return f.count("help.getConfig", 0)
		}
		if got := fetched(); got != 1 {
			t.Errorf("%d fetches, want 1: Dial's", got)
		}
		time.Sleep(time.Hour + time.Second)
		if got := fetched(); got != 2 {
			t.Errorf("after it expired: %d fetches, want 2", got)
		}
		client.onUpdate(tl.Marshal(&api.UpdateShort{Update: &api.UpdateConfig{}, Date: 1}))
		if got := fetched(); got != 3 {
			t.Errorf("after updateConfig: %d fetches, want 3", got)
		}
		for _, body := range []tl.Raw{nil, {1, 2, 3}, tl.Marshal(&api.UpdatesTooLong{}), tl.Marshal(&api.UpdateShort{Update: &api.UpdateConfig{}})[:4]} {
			client.onUpdate(body)
		}
		if got := fetched(); got != 3 {
			t.Errorf("after other updates: %d fetches, want still 3", got)
		}
	})
}
