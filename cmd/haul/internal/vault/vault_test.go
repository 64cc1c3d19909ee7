package vault

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
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
		if _, err := again(t, v).Load(); !errors.Is(err, ErrExposed) {
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
}

// TestDamage changes each byte of a sealed session: that is damage, and never
// taken for a wrong passphrase.
func TestDamage(t *testing.T) {
	v := newVault(t)
	if err := v.Seal(Passphrase, say("correct horse")); err != nil {
		t.Fatal(err)
	}
	if err := v.Save(&telegram.Session{Version: 1}); err != nil {
		t.Fatal(err)
	}
	good := readFile(t, v, sessionFile)
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 1
		if _, err := v.open(b); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
			t.Fatalf("byte %d of %d changed: got %v, want %v", i, len(b), err, ErrDamaged)
		}
		if _, err := v.open(good[:i]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("cut off at %d: got %v, want %v", i, err, ErrDamaged)
		}
	}
	if _, err := v.open(good); err != nil {
		t.Error(err)
	}
}

// say is a person, or a variable, that gives a passphrase.
func say(p string) func() (string, error) { return func() (string, error) { return p, nil } }

func readFile(t *testing.T, v *Vault, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(v.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// again opens the folder anew, as the next run does.
func again(t *testing.T, v *Vault) *Vault {
	t.Helper()
	w, err := Open(v.dir)
	if err != nil {
		t.Fatal(err)
	}
	w.keyring = v.keyring
	return w
}

// TestOldVersion opens what the first version has written, and seals it in the
// present form with the next save.
func TestOldVersion(t *testing.T) {
	v := newVault(t)
	for _, name := range []string{sessionFile, keyFile} {
		b, err := os.ReadFile(filepath.Join("testdata", "version1", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(v.dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		s, err := v.Load()
		if err != nil || s.User == nil || s.User.Name != "Old" {
			t.Fatalf("got %v, %v", s, err)
		}
		if err := again(t, v).Save(s); err != nil {
			t.Fatal(err)
		}
		if b := readFile(t, v, sessionFile); !bytes.HasPrefix(b, []byte("haul session 2\n")) {
			t.Errorf("saved as %.20q", b)
		}
	}
	if _, err := parseBox(sessionMagic, []byte("haul session 3\n what comes later")); !errors.Is(err, ErrNewer) {
		t.Errorf("a later version: got %v, want %v", err, ErrNewer)
	}
}

// A ringMap is a keyring for tests.
type ringMap map[string]string

func (r ringMap) get(id string) (string, error) {
	if s, ok := r[id]; ok {
		return s, nil
	}
	return "", ErrKey
}
func (r ringMap) set(id, secret string) error { r[id] = secret; return nil }
func (r ringMap) remove(id string) error      { delete(r, id); return nil }

// TestSeal goes from each way to each way; the next run finds the session, and
// no key is left behind.
func TestSeal(t *testing.T) {
	for _, from := range Ways() {
		for _, to := range Ways() {
			t.Run(string(from+" to "+to), func(t *testing.T) {
				ring := ringMap{}
				v := newVault(t)
				v.keyring = ring
				if err := v.Seal(from, say("the first one")); err != nil {
					t.Fatal(err)
				}
				if err := v.Save(&telegram.Session{Version: 1, HomeDC: 4}); err != nil {
					t.Fatal(err)
				}
				v = again(t, v)
				v.Passphrase = say("the first one")
				if err := v.Seal(to, say("the second one")); err != nil {
					t.Fatal(err)
				}
				if err := v.Save(&telegram.Session{Version: 1, HomeDC: 5}); err != nil {
					t.Fatal(err)
				}
				v = again(t, v)
				if way, err := v.Way(); way != to || err != nil {
					t.Errorf("sealed by %q, %v, want %q", way, err, to)
				}
				v.Passphrase = say("the second one")
				if s, err := v.Load(); err != nil || s.HomeDC != 5 {
					t.Errorf("got %v, %v", s, err)
				}
				_, err := os.Stat(filepath.Join(v.dir, keyFile))
				if (err == nil) != (to == File) || (len(ring) == 1) != (to == Keyring) || len(ring) > 1 {
					t.Errorf("left behind: key file %v, keyring %d", err, len(ring))
				}
				if err := v.Remove(); err != nil || len(ring) != 0 {
					t.Errorf("removed: %v, %d keys in the keyring", err, len(ring))
				}
			})
		}
	}
}

func TestPassphrase(t *testing.T) {
	v := newVault(t)
	if err := v.Seal(Passphrase, say("correct horse")); err != nil {
		t.Fatal(err)
	}
	if err := v.Save(&telegram.Session{Version: 1}); err != nil {
		t.Fatal(err)
	}
	v = again(t, v)
	if _, err := v.Load(); !errors.Is(err, ErrLocked) {
		t.Errorf("nobody asked: got %v, want %v", err, ErrLocked)
	}
	v.Passphrase = say("correct house")
	if _, err := v.Load(); !errors.Is(err, ErrPassphrase) {
		t.Errorf("wrong one: got %v, want %v", err, ErrPassphrase)
	}
	if err := v.Save(&telegram.Session{Version: 1}); !errors.Is(err, ErrPassphrase) {
		t.Errorf("saving over what cannot be read: got %v, want %v", err, ErrPassphrase)
	}
	gone := errors.New("no terminal")
	v.Passphrase = func() (string, error) { return "", gone }
	if _, err := v.Load(); !errors.Is(err, gone) {
		t.Errorf("got %v, want %v", err, gone)
	}
	asked := 0
	v.Passphrase = func() (string, error) { asked++; return "correct horse", nil }
	for range 3 {
		s, err := v.Load()
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Save(s); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times, want once", asked)
	}
}

// TestKeyGone: a session without its key says so, and is not overwritten.
func TestKeyGone(t *testing.T) {
	for _, way := range []Way{File, Keyring} {
		v := newVault(t)
		v.keyring = ringMap{}
		if err := v.Seal(way, nil); err != nil {
			t.Fatal(err)
		}
		if err := v.Save(&telegram.Session{Version: 1}); err != nil {
			t.Fatal(err)
		}
		_ = os.Remove(filepath.Join(v.dir, keyFile)) // one has none
		clear(v.keyring.(ringMap))
		v = again(t, v)
		if _, err := v.Load(); !errors.Is(err, ErrKey) {
			t.Errorf("%s: got %v, want %v", way, err, ErrKey)
		}
		if err := v.Save(&telegram.Session{Version: 1}); !errors.Is(err, ErrKey) {
			t.Errorf("%s: saved: %v, want %v", way, err, ErrKey)
		}
	}
	// The key of another session.
	v, w := newVault(t), newVault(t)
	for _, x := range []*Vault{v, w} {
		if err := x.Save(&telegram.Session{Version: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(v.dir, keyFile), readFile(t, w, keyFile), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := again(t, v).Load(); !errors.Is(err, ErrKey) {
		t.Errorf("another key: got %v, want %v", err, ErrKey)
	}
}

// TestSealFails: the session stays sealed as it was.
func TestSealFails(t *testing.T) {
	v := newVault(t)
	v.keyring = brokenRing{}
	if err := v.Save(&telegram.Session{Version: 1, HomeDC: 3}); err != nil {
		t.Fatal(err)
	}
	if err := v.Seal(Keyring, nil); !errors.Is(err, ErrKeyring) {
		t.Errorf("got %v, want %v", err, ErrKeyring)
	}
	if s, err := again(t, v).Load(); err != nil || s.HomeDC != 3 {
		t.Errorf("got %v, %v", s, err)
	}
	if err := v.Save(&telegram.Session{Version: 1, HomeDC: 5}); err != nil {
		t.Fatal(err)
	}
	if s, err := again(t, v).Load(); err != nil || s.HomeDC != 5 {
		t.Errorf("got %v, %v", s, err)
	}
}

type brokenRing struct{}

func (brokenRing) get(string) (string, error) { return "", ErrKeyring }
func (brokenRing) set(string, string) error   { return ErrKeyring }
func (brokenRing) remove(string) error        { return ErrKeyring }

// TestNoKeyring: without a D-Bus session the system's keyring fails at once.
func TestNoKeyring(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	if hasBus() == nil {
		t.Skip("there is a keyring here, which is not to be touched")
	}
	if _, err := (systemKeyring{}).get("haul test"); !errors.Is(err, ErrKeyring) {
		t.Errorf("got %v, want %v", err, ErrKeyring)
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+filepath.Join(t.TempDir(), "nothing"))
	if err := (systemKeyring{}).set("haul test", "x"); !errors.Is(err, ErrKeyring) {
		t.Errorf("got %v, want %v", err, ErrKeyring)
	}
}

func TestBackup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "backup")
	want := &telegram.Session{Version: 1, HomeDC: 2, User: &telegram.User{ID: 7, Name: "canary"}}
	if err := WriteBackup(path, want, "correct horse"); err != nil {
		t.Fatal(err)
	}
	if err := WriteBackup(path, want, "another"); !errors.Is(err, os.ErrExist) {
		t.Errorf("over an old one: got %v, want %v", err, os.ErrExist)
	}
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && fi.Mode() != 0o600 {
		t.Errorf("mode %v, want 0600", fi.Mode())
	}
	got, err := ReadBackup(path, say("correct horse"))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if _, err := ReadBackup(path, say("correct house")); !errors.Is(err, ErrPassphrase) {
		t.Errorf("wrong passphrase: got %v, want %v", err, ErrPassphrase)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte("canary")) {
		t.Error("the backup is readable without its passphrase")
	}
	b[len(b)-1] ^= 1
	if _, err := openBackup(b, say("correct horse")); !errors.Is(err, ErrDamaged) {
		t.Errorf("damaged: got %v, want %v", err, ErrDamaged)
	}
	if _, err := parseBox(sessionMagic, b); !errors.Is(err, ErrDamaged) {
		t.Errorf("a backup as a session: got %v, want %v", err, ErrDamaged)
	}
}

func TestCheckFolder(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no modes there")
	}
	dir := t.TempDir()
	for mode, want := range map[os.FileMode]error{0o700: nil, 0o755: nil, 0o775: ErrExposed, 0o777: ErrExposed} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if err := CheckFolder(dir); !errors.Is(err, want) {
			t.Errorf("mode %v: got %v, want %v", mode, err, want)
		}
	}
	if err := CheckFolder(filepath.Join(dir, "none")); err != nil {
		t.Error(err)
	}
}

// FuzzBox: whatever opens was sealed here, and no file makes its reader work
// without bound.
func FuzzBox(f *testing.F) {
	key := bytes.Repeat([]byte{7}, keySize)
	s := seal{header{Way: File, Check: newCheck(key)}, key}
	good, err := s.close(sessionMagic, []byte("{}"))
	if err != nil {
		f.Fatal(err)
	}
	s.head = header{Way: Passphrase, KDF: newKDF(), Check: newCheck(key)}
	other, err := s.close(sessionMagic, []byte("{}"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(other)
	f.Add([]byte("haul session 1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := parseBox(sessionMagic, b)
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		if k := x.head.KDF; x.head.Way == Passphrase && (k.Memory > 1<<20 || k.Time > 32 || k.Lanes == 0) {
			t.Fatalf("accepted %+v", k)
		}
		if plain, err := x.open(key); err == nil && string(plain) != "{}" { // nothing else was ever sealed with this key
			t.Errorf("opened %x, which nobody sealed, as %q", b, plain)
		}
	})
}

// TestHeaderAuthenticated: a header that is changed and summed up again fits
// its content no more.
func TestHeaderAuthenticated(t *testing.T) {
	key := bytes.Repeat([]byte{7}, keySize)
	s := seal{header{Way: File, Check: newCheck(key)}, key}
	sealed, err := s.close(sessionMagic, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	x, err := parseBox(sessionMagic, sealed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.open(key); err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(x.before[:len(x.before)-sumSize], []byte(`"key"`), []byte(`"KEY"`), 1)
	sum := sha256.Sum256(changed)
	y, err := parseBox(sessionMagic, slices.Concat(changed, sum[:sumSize], x.sealed))
	if err != nil || y.head.Way != File {
		t.Fatalf("the change matters: %v, %v", y.head, err)
	}
	if _, err := y.open(key); !errors.Is(err, ErrDamaged) {
		t.Errorf("opened all the same: %v", err)
	}
}
