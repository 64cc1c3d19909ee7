package telegram

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/mtproto/crypto"
)

// testKey is an auth key whose bytes are easy to find.
func testKey(fill byte) *crypto.AuthKey {
	return crypto.NewAuthKey([256]byte(bytes.Repeat([]byte{fill}, 256)))
}

func testSession() *Session {
	key := testKey(0xc5).Bytes()
	return &Session{
		Version: sessionVersion, Test: true, HomeDC: 2, User: &User{ID: 7, Name: "Bot", Bot: true},
		DCs: map[int]DCSession{2: {
			Key: key[:], Salt: -5, TimeOffset: -3 * time.Second, Created: time.Unix(1_700_000_000, 0).UTC(), Authorized: true,
		}},
		Peers: []Peer{{Kind: PeerChannel, ID: 5, AccessHash: 424242424242, Username: "name"}},
	}
}

func TestSessionJSON(t *testing.T) {
	want := testSession()
	var m MemorySession
	if s, err := m.Load(); s != nil || err != nil {
		t.Fatalf("empty store: got %v, %v; want nothing", s, err)
	}
	if err := m.Save(want); err != nil {
		t.Fatal(err)
	}
	got, err := m.Load()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %#v, %v; want what was saved", *got, err)
	}
	state := got.DCs[2].keyState()
	if state.Key.ID() != testKey(0xc5).ID() || state.Salt != -5 || state.TimeOffset != -3*time.Second {
		t.Errorf("key state %+v", state)
	}
}

// However a session is printed, keys and access hashes do not show.
func TestSessionHidesSecrets(t *testing.T) {
	s := testSession()
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
		for _, v := range []any{s, *s, s.DCs[2], s.DCs[2].Key, s.DCs} {
			fmt.Fprintf(&out, verb, v)
		}
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("session", "s", s, "v", *s, "key", s.DCs[2].Key)
	}
	key := testKey(0xc5).Bytes()
	for name, secret := range map[string]string{
		"raw key": string(key[:8]), "hex key": hex.EncodeToString(key[:8]), "base64 key": base64.StdEncoding.EncodeToString(key[:9]),
		"decimal key": "197 197", "access hash": "424242",
	} {
		if strings.Contains(strings.ToLower(out.String()), strings.ToLower(secret)) {
			t.Errorf("%s is shown", name)
		}
	}
}

func TestSessionCheck(t *testing.T) {
	d := testDatacenters()
	if err := testSession().check(d); err != nil {
		t.Fatalf("a good session: %v", err)
	}
	for name, change := range map[string]func(*Session){
		"version":     func(s *Session) { s.Version = 2 },
		"environment": func(s *Session) { s.Test = false },
		"home DC":     func(s *Session) { s.HomeDC = 0 },
		"short key":   func(s *Session) { s.DCs[2] = DCSession{Key: make([]byte, 255)} },
	} {
		s := testSession()
		change(s)
		if err := s.check(d); !errors.Is(err, ErrSession) {
			t.Errorf("%s: got %v, want ErrSession", name, err)
		}
	}
}

// An authorisation belongs to its key.
func TestWithKey(t *testing.T) {
	d := testSession().DCs[2]
	same := d.withKey(mtproto.KeyState{Key: testKey(0xc5), Salt: 9})
	if !same.Authorized || same.Salt != 9 {
		t.Errorf("same key: authorized %v, salt %d; want true, 9", same.Authorized, same.Salt)
	}
	if other := d.withKey(mtproto.KeyState{Key: testKey(1)}); other.Authorized {
		t.Error("another key: still authorized")
	}
}

// A countingStore counts saves, and fails while told to.
type countingStore struct {
	MemorySession
	mu    sync.Mutex
	saves int
	err   error
}

func (s *countingStore) Save(v *Session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.saves++
	return s.MemorySession.Save(v)
}

func (s *countingStore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saves
}

func (s *countingStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func TestKeeperSavesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(countingStore)
		k := newKeeper(store, testSession(), slog.New(slog.DiscardHandler))
		for salt := range int64(50) {
			k.onKey(4, mtproto.KeyState{Key: testKey(4), Salt: salt})
		}
		synctest.Wait()
		if got := store.count(); got != 0 {
			t.Errorf("at once: %d saves, want 0", got)
		}
		time.Sleep(saveDelay + time.Second)
		if got := store.count(); got != 1 {
			t.Errorf("after the delay: %d saves, want 1", got)
		}
		if err := k.setAuthorized(4, true, time.Now()); err != nil || store.count() != 2 {
			t.Errorf("an authorisation: %v, %d saves; want it saved at once", err, store.count())
		}
		k.learn([]Peer{{Kind: PeerUser, ID: 3, AccessHash: 1}})
		if err := k.close(); err != nil || store.count() != 3 {
			t.Errorf("close: %v, %d saves; want the change saved", err, store.count())
		}
		if err := k.close(); err != nil || store.count() != 3 {
			t.Errorf("second close: %v, %d saves; want nothing more", err, store.count())
		}
		s, err := store.Load()
		if err != nil || s.DCs[4].Salt != 49 || !s.DCs[4].Authorized || len(s.Peers) != 2 {
			t.Errorf("stored %+v, %v", s, err)
		}
	})
}

func TestKeeperRetriesFailedSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := new(countingStore)
		k := newKeeper(store, testSession(), slog.New(slog.DiscardHandler))
		broken := errors.New("disk full")
		store.fail(broken)
		if err := k.setAuthorized(2, true, time.Time{}); !errors.Is(err, broken) {
			t.Errorf("got %v, want the store's error", err)
		}
		store.fail(nil)
		time.Sleep(saveDelay + time.Second)
		if got := store.count(); got != 1 {
			t.Errorf("after the store works again: %d saves, want 1", got)
		}
		if err := k.close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

// A stored session is one that json can read in another version of this program.
func TestSessionJSONNames(t *testing.T) {
	b, err := json.Marshal(testSession())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{`"version":1`, `"home_dc":2`, `"dcs":{"2":{"key":"`, `"authorized":true`, `"peers":[{"kind":"channel"`} {
		if !strings.Contains(string(b), name) {
			t.Errorf("%s is missing in %s", name, b)
		}
	}
}
