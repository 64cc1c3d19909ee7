package foreign

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/tghaul/haul/telegram/foreign/internal/sqlite"
)

// maxFile bounds a session file, in bytes; the largest are Telethon's, with
// the access hashes of all chats ever seen.
const maxFile = 256 << 20

// Open reads the session at a path of fsys, whatever its format, which is told
// by its content: a folder is Telegram Desktop's, a file is SQLite, JSON or a
// session string. passcode is called when a folder of Telegram Desktop is
// locked; its error ends Open, as does a wrong passcode.
//
// Errors: those of fsys and passcode, and this package's.
func Open(fsys fs.FS, name string, passcode func() (string, error)) ([]Session, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		sub, err := fs.Sub(fsys, name)
		if err != nil {
			return nil, err
		}
		return openTdata(sub, passcode)
	}
	b, err := readLimited(fsys, name)
	if err != nil {
		return nil, err
	}
	if !isSQLite(b) {
		return Parse(b)
	}
	wal, err := beside(fsys, name+"-wal")
	if err != nil {
		return nil, err
	}
	journal, err := beside(fsys, name+"-journal")
	if err != nil {
		return nil, err
	}
	s, err := ParseSQLite(b, wal, journal)
	if err != nil {
		return nil, err
	}
	return []Session{s}, nil
}

// Parse reads a session out of one piece: JSON, a string, or an SQLite file
// without what lies beside it.
// Errors: ErrUnknown, ErrDamaged, ErrEmpty.
func Parse(b []byte) ([]Session, error) {
	var s Session
	var err error
	switch {
	case isSQLite(b):
		s, err = ParseSQLite(b, nil, nil)
	case bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")):
		return ParseJSON(b)
	default:
		s, err = ParseText(string(b))
	}
	if err != nil {
		return nil, err
	}
	return []Session{s}, nil
}

func isSQLite(b []byte) bool { return bytes.HasPrefix(b, []byte(sqlite.Magic)) }

func openTdata(fsys fs.FS, passcode func() (string, error)) ([]Session, error) {
	list, err := ReadTdata(fsys, "")
	if !errors.Is(err, ErrPasscode) {
		return list, err
	}
	code, err := passcode()
	if err != nil {
		return nil, err
	}
	return ReadTdata(fsys, code)
}

// beside reads a file that need not be there.
func beside(fsys fs.FS, name string) ([]byte, error) {
	b, err := readLimited(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

func readLimited(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%w: longer than %d MiB", ErrUnknown, maxFile>>20)
	}
	return b, err
}
