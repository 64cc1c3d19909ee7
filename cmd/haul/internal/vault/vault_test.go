package vault

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/tghaul/haul/telegram"
)

func newVault(t *testing.T) *Vault {
	t.Helper()
	v, err := Open(filepath.Join(t.TempDir(), "account"))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSaveAndLoad(t *testing.T) {
	v := newVault(t)
	if s, err := v.Load(); s != nil || err != nil {
		t.Fatalf("empty vault: got %v, %v", s, err)
	}
	want := &telegram.Session{Version: 1, HomeDC: 2, User: &telegram.User{ID: 7, Bot: true}}
	for range 2 { // the second replaces the first
		if err := v.Save(want); err != nil {
			t.Fatal(err)
		}
	}
	got, err := v.Load()
	if err != nil {
		t.Fatal(err)
	}
	if got.HomeDC != want.HomeDC || !reflect.DeepEqual(got.User, want.User) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	names, err := os.ReadDir(v.dir)
	if err != nil || len(names) != 2 {
		t.Errorf("got files %v, %v, want the session and its key alone", names, err)
	}
	if err := v.Remove(); err != nil {
		t.Fatal(err)
	}
	if s, err := v.Load(); s != nil || err != nil {
		t.Errorf("after Remove: got %v, %v", s, err)
	}
}

func TestRefusesWhatOthersCanRead(t *testing.T) {
	v := newVault(t)
	if err := v.Save(&telegram.Session{Version: 1}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{sessionFile, keyFile} {
		path := filepath.Join(v.dir, name)
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Load(); !errors.Is(err, ErrExposed) {
			t.Errorf("%s with mode 0640: got %v, want %v", name, err, ErrExposed)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(v.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(v.dir); !errors.Is(err, ErrExposed) {
		t.Errorf("folder with mode 0755: got %v, want %v", err, ErrExposed)
	}
}

func TestSecretsAreSealed(t *testing.T) {
	v := newVault(t)
	if err := v.Save(&telegram.Session{Version: 1, User: &telegram.User{Name: "canary"}}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(v.dir, sessionFile))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte("canary")) {
		t.Error("the session is readable without its key")
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(filepath.Join(v.dir, sessionFile), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Load(); !errors.Is(err, ErrDamaged) {
		t.Errorf("one bit changed: got %v, want %v", err, ErrDamaged)
	}
}

func FuzzOpen(f *testing.F) {
	key := bytes.Repeat([]byte{7}, keySize)
	good, err := seal(key, []byte("{}"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		plain, err := open(key, b)
		if err == nil && string(plain) != "{}" { // nothing else was ever sealed with this key
			t.Errorf("opened %x, which nobody sealed, as %q", b, plain)
		}
	})
}
