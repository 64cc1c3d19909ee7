// Package vault keeps an account's session on disk: auth keys and all else
// that is as good as a password. It is sealed with AES-256-GCM under a key
// file of its own, both readable by their owner only, and replaced as a whole.
package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/tghaul/haul/telegram"
)

const (
	sessionFile = "session"
	keyFile     = "key"
	keySize     = 32
	magic       = "haul session 1\n"
	maxSession  = 16 << 20 // bytes; a real one has some thousand
)

// ErrExposed is wrapped by errors about files that others could read.
var ErrExposed = errors.New("others could read it")

// ErrDamaged is wrapped by errors about sessions that cannot be opened.
var ErrDamaged = errors.New("session file is damaged")

// A Vault is the folder of one account. It is a telegram.SessionStore.
type Vault struct{ dir string }

// Open opens the folder of an account, and makes it if there is none. It
// refuses one that others can look into.
func Open(dir string) (*Vault, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := private(dir, true); err != nil {
		return nil, err
	}
	return &Vault{dir: dir}, nil
}

// private fails if others have any right to a file or folder.
func private(path string, folder bool) error {
	fi, err := os.Lstat(path)
	switch {
	case err != nil:
		return err
	case fi.IsDir() != folder || !folder && !fi.Mode().IsRegular():
		return fmt.Errorf("%s is not what it should be: %v", path, fi.Mode())
	case runtime.GOOS != "windows" && fi.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s has mode %04o: %w; run chmod go-rwx on it", path, fi.Mode().Perm(), ErrExposed)
	}
	return nil
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
	key, err := v.read(keyFile, keySize)
	if err != nil {
		return nil, fmt.Errorf("key of the session: %w", err)
	}
	plain, err := open(key, sealed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(v.dir, sessionFile), err)
	}
	var s telegram.Session
	if err := json.Unmarshal(plain, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(v.dir, sessionFile), ErrDamaged)
	}
	return &s, nil
}

// Save replaces the session, all or nothing.
func (v *Vault) Save(s *telegram.Session) error {
	plain, err := json.Marshal(s)
	if err != nil {
		return err
	}
	key, err := v.key()
	if err != nil {
		return err
	}
	sealed, err := seal(key, plain)
	if err != nil {
		return err
	}
	return v.replace(sessionFile, sealed)
}

// Remove deletes the session and its key.
func (v *Vault) Remove() error {
	var errs []error
	for _, name := range []string{sessionFile, keyFile} {
		if err := os.Remove(filepath.Join(v.dir, name)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// key reads the key file, or makes one.
func (v *Vault) key() ([]byte, error) {
	key, err := v.read(keyFile, keySize)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	key = make([]byte, keySize)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	return key, v.replace(keyFile, key)
}

func (v *Vault) read(name string, limit int64) ([]byte, error) {
	path := filepath.Join(v.dir, name)
	if err := private(path, false); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s: %w: too long", path, ErrDamaged)
	}
	return b, err
}

// replace writes a file anew beside the old one and renames it, so that a
// crash leaves either of them whole.
func (v *Vault) replace(name string, b []byte) error {
	f, err := os.CreateTemp(v.dir, name+".*.new") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(v.dir, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(v.dir)
	if err != nil {
		return err
	}
	defer d.Close() //nolint:errcheck // only synced
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there
	}
	return d.Sync()
}

func gcm(key []byte) (cipher.AEAD, error) {
	if len(key) != keySize {
		return nil, fmt.Errorf("%w: key of %d bytes", ErrDamaged, len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func seal(key, plain []byte) ([]byte, error) {
	a, err := gcm(key)
	if err != nil {
		return nil, err
	}
	return a.Seal([]byte(magic), nil, plain, []byte(magic)), nil
}

func open(key, sealed []byte) ([]byte, error) {
	a, err := gcm(key)
	if err != nil {
		return nil, err
	}
	if len(sealed) < len(magic) || string(sealed[:len(magic)]) != magic {
		return nil, ErrDamaged
	}
	plain, err := a.Open(nil, nil, sealed[len(magic):], []byte(magic))
	if err != nil {
		return nil, ErrDamaged
	}
	return plain, nil
}
