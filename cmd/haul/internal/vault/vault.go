// Package vault keeps an account's session on disk: auth keys and all else
// that is as good as a password. It is sealed with AES-256-GCM, readable by its
// owner only, and replaced as a whole. The key of the seal comes from a file
// beside it, from a passphrase, or from the keyring of the operating system.
package vault

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tghaul/haul/telegram"
)

const (
	sessionFile = "session"
	keyFile     = "key"
	maxSession  = 16 << 20 // bytes; a real one has some thousand
)

// Errors of this package are wrapped by those that it returns.
var (
	// ErrExposed: others could read a file, or change it.
	ErrExposed = errors.New("others could read it")
	// ErrDamaged: a file is not what was written.
	ErrDamaged = errors.New("file is damaged")
	// ErrNewer: a later version of haul has written it.
	ErrNewer = errors.New("a newer haul has written it")
	// ErrLocked: a passphrase is needed, and nobody is asked.
	ErrLocked = errors.New("it is sealed with a passphrase")
	// ErrPassphrase: the passphrase is wrong.
	ErrPassphrase = errors.New("wrong passphrase")
	// ErrKey: the key in the key file or the keyring is missing, or of another session.
	ErrKey = errors.New("the key of this session is not there")
	// ErrKeyring: there is no keyring, or it does not answer.
	ErrKeyring = errors.New("the keyring of this system cannot be used")
)

// A Vault is the folder of one account. It is a telegram.SessionStore, and like
// one it is used by one goroutine at a time.
type Vault struct {
	// Passphrase is asked when a session is sealed with one. Its error is
	// returned by what needs the session; without it that is ErrLocked.
	Passphrase func() (string, error)

	dir     string
	keyring keyring
	seal    seal // by which the next Save seals; zero if nothing is known yet
}

// Open opens the folder of an account, and makes it if there is none. It
// refuses one that others can look into. Nothing is read yet.
func Open(dir string) (*Vault, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := private(dir, true); err != nil {
		return nil, err
	}
	return &Vault{dir: dir, keyring: systemKeyring{}}, nil
}

// Load reads the session; nil if there is none.
func (v *Vault) Load() (*telegram.Session, error) {
	sealed, err := v.read(sessionFile, maxSession)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s, err := v.open(sealed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(v.dir, sessionFile), err)
	}
	return s, nil
}

func (v *Vault) open(sealed []byte) (*telegram.Session, error) {
	box, err := parseBox(sessionMagic, sealed)
	if err != nil {
		return nil, err
	}
	if !v.seal.fits(box.head) {
		key, err := v.key(box.head)
		if err != nil {
			return nil, err
		}
		v.seal = seal{box.head, key}
		v.seal.head.Check = newCheck(key) // the old version has none
	}
	plain, err := box.open(v.seal.key)
	if err != nil {
		return nil, err
	}
	return parseSession(plain)
}

func parseSession(plain []byte) (*telegram.Session, error) {
	var s telegram.Session
	if err := json.Unmarshal(plain, &s); err != nil {
		return nil, ErrDamaged // not err: it could show what is sealed
	}
	return &s, nil
}

// Save replaces the session, all or nothing. It is sealed as it was, or as
// Seal has chosen; a new one with a key file.
func (v *Vault) Save(s *telegram.Session) error {
	if v.seal.key == nil {
		old, err := v.Load() // learns how it is sealed
		if err != nil {
			return err
		}
		if old == nil {
			if v.seal, err = v.newSeal(File, nil); err != nil {
				return err
			}
		}
	}
	return v.write(s, v.seal)
}

func (v *Vault) write(s *telegram.Session, with seal) error {
	plain, err := json.Marshal(s)
	if err != nil {
		return err
	}
	sealed, err := with.close(sessionMagic, plain)
	if err != nil {
		return err
	}
	return replace(filepath.Join(v.dir, sessionFile), sealed)
}

// Way says how the session is sealed, without opening it; "" if there is none.
func (v *Vault) Way() (Way, error) {
	sealed, err := v.read(sessionFile, maxSession)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	box, err := parseBox(sessionMagic, sealed)
	if err != nil {
		return "", fmt.Errorf("%s: %w", filepath.Join(v.dir, sessionFile), err)
	}
	return box.head.Way, nil
}

// Seal seals the session in this way from now on, with a new key; if there is
// none yet, the first one. passphrase is asked for the new one if that is the
// way. When Seal fails, the session is still sealed in the old way, or in the
// new one: at no moment in neither. A key that nothing is sealed with any more
// is removed.
func (v *Vault) Seal(way Way, passphrase func() (string, error)) error {
	s, err := v.Load()
	if err != nil {
		return err
	}
	old := v.seal
	if s != nil && way == File && old.head.Way == File {
		return nil // there is one key file; its key is as good as another
	}
	next, err := v.newSeal(way, passphrase)
	if err != nil {
		return err
	}
	if s != nil {
		if err := v.write(s, next); err != nil {
			return errors.Join(err, v.forget(next))
		}
	}
	v.seal = next
	return v.forget(old)
}

// Remove deletes the session and its key.
func (v *Vault) Remove() error {
	var errs []error
	v.seal = seal{}
	if sealed, err := v.read(sessionFile, maxSession); err == nil {
		if box, err := parseBox(sessionMagic, sealed); err == nil {
			errs = append(errs, v.forget(seal{head: box.head}))
		}
	}
	for _, name := range []string{sessionFile, keyFile} {
		if err := os.Remove(filepath.Join(v.dir, name)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (v *Vault) read(name string, limit int64) ([]byte, error) {
	return readPrivate(filepath.Join(v.dir, name), limit)
}
