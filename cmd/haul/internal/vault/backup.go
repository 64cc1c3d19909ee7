package vault

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/tghaul/haul/telegram"
)

// WriteBackup writes a session to a new file, sealed with a passphrase. An
// existing file is never touched: the error wraps os.ErrExist.
func WriteBackup(path string, s *telegram.Session, passphrase string) error {
	plain, err := json.Marshal(s)
	if err != nil {
		return err
	}
	with := seal{head: header{Way: Passphrase, KDF: newKDF()}}
	with.key = with.head.KDF.key(passphrase)
	with.head.Check = newCheck(with.key)
	sealed, err := with.close(backupMagic, plain)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := writeSynced(f, sealed); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return syncFolder(filepath.Dir(path))
}

// ReadBackup reads what WriteBackup wrote. passphrase is asked once the file
// is known to be a backup that is whole so far. Others may be able to read the
// file: its passphrase keeps them out.
// Errors: ErrDamaged, ErrNewer, ErrPassphrase, passphrase's, and those of reading.
func ReadBackup(path string, passphrase func() (string, error)) (*telegram.Session, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(f, maxSession))
	if err != nil {
		return nil, err
	}
	s, err := openBackup(b, passphrase)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func openBackup(b []byte, passphrase func() (string, error)) (*telegram.Session, error) {
	x, err := parseBox(backupMagic, b)
	if err != nil {
		return nil, err
	}
	if x.head.Way != Passphrase {
		return nil, ErrDamaged
	}
	p, err := passphrase()
	if err != nil {
		return nil, err
	}
	key := x.head.KDF.key(p)
	if !x.head.right(key) {
		return nil, ErrPassphrase
	}
	plain, err := x.open(key)
	if err != nil {
		return nil, err
	}
	return parseSession(plain)
}
