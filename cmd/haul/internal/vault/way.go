package vault

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/argon2"
)

// A Way is where the key of a sealed session comes from.
type Way string

// The ways.
const (
	File       Way = "file"       // a file beside the session, mode 0600
	Passphrase Way = "passphrase" // Argon2id of what a person types
	Keyring    Way = "keyring"    // the keyring of the operating system
)

// Ways are all ways, the default first.
func Ways() []Way { return []Way{File, Keyring, Passphrase} }

// A kdf holds the parameters of Argon2id. They are stored with what they made,
// so that later versions may choose greater ones.
type kdf struct {
	Name   string `json:"name"` // "argon2id"
	Time   uint32 `json:"time"` // passes
	Memory uint32 `json:"memory_kib"`
	Lanes  uint8  `json:"lanes"`
	Salt   []byte `json:"salt"`
}

// newKDF has the parameters that RFC 9106 recommends where 2 GiB are too much.
func newKDF() *kdf {
	k := &kdf{Name: "argon2id", Time: 3, Memory: 64 << 10, Lanes: 4, Salt: make([]byte, 16)}
	_, _ = rand.Read(k.Salt) // never fails
	return k
}

func (k *kdf) key(passphrase string) []byte {
	return argon2.IDKey([]byte(passphrase), k.Salt, k.Time, k.Memory, k.Lanes, keySize)
}

// sound says whether the header can be one. Its numbers are bounded: a file
// must not make its reader work for hours.
func (h header) sound() error {
	const maxTime, maxMemory, maxLanes = 32, 1 << 20, 32
	switch {
	case len(h.Check) != checkSize:
		return ErrDamaged
	case h.Way == File, h.Way == Keyring && len(h.ID) >= 16 && len(h.ID) <= 64:
		return nil
	case h.Way == Keyring:
		return ErrDamaged
	case h.Way != Passphrase || h.KDF == nil || h.KDF.Name != "argon2id":
		return fmt.Errorf("%w: sealed in a way that is unknown here", ErrNewer)
	}
	k := h.KDF
	if k.Time < 1 || k.Time > maxTime || k.Lanes < 1 || k.Lanes > maxLanes || k.Memory < 8*uint32(k.Lanes) || k.Memory > maxMemory ||
		len(k.Salt) < 8 || len(k.Salt) > 64 {
		return ErrDamaged
	}
	return nil
}

// key fetches the key of a session with this header.
func (v *Vault) key(h header) ([]byte, error) {
	var key []byte
	var err error
	wrong := ErrKey
	switch h.Way {
	case File:
		key, err = v.read(keyFile, keySize)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: %w", ErrKey, err)
		}
		if err == nil && len(key) != keySize {
			err = fmt.Errorf("%s: %w", filepath.Join(v.dir, keyFile), ErrDamaged)
		}
	case Passphrase:
		wrong = ErrPassphrase
		if v.Passphrase == nil {
			return nil, ErrLocked
		}
		var p string
		if p, err = v.Passphrase(); err == nil {
			key = h.KDF.key(p)
		}
	case Keyring:
		key, err = keyFromRing(v.keyring, h.ID)
	}
	if err != nil {
		return nil, err
	}
	if !h.right(key) {
		return nil, wrong
	}
	return key, nil
}

// newSeal makes a key, and puts it where it will be looked for.
func (v *Vault) newSeal(way Way, passphrase func() (string, error)) (seal, error) {
	s := seal{head: header{Way: way}, key: make([]byte, keySize)}
	_, _ = rand.Read(s.key) // never fails
	var err error
	switch way {
	case File:
		err = replace(filepath.Join(v.dir, keyFile), s.key)
	case Passphrase:
		var p string
		s.head.KDF = newKDF()
		if p, err = passphrase(); err == nil {
			s.key = s.head.KDF.key(p)
		}
	case Keyring:
		id := make([]byte, 16)
		_, _ = rand.Read(id) // never fails
		s.head.ID = hex.EncodeToString(id)
		err = v.keyring.set(s.head.ID, base64.StdEncoding.EncodeToString(s.key))
	default:
		err = fmt.Errorf("vault: no way %q to seal a session", way)
	}
	s.head.Check = newCheck(s.key)
	return s, err
}

// keyFromRing reads a key from the keyring.
func keyFromRing(ring keyring, id string) ([]byte, error) {
	text, err := ring.get(id)
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != keySize {
		return nil, ErrKey
	}
	return key, nil
}

// forget removes the key of a seal that is not used any more, and with it a
// key file that another way has left.
func (v *Vault) forget(s seal) error {
	var errs []error
	if s.head.Way == Keyring && s.head.ID != v.seal.head.ID {
		errs = append(errs, v.keyring.remove(s.head.ID))
	}
	if v.seal.head.Way != File && v.seal.key != nil {
		if err := os.Remove(filepath.Join(v.dir, keyFile)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
