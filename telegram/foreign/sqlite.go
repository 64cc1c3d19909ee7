package foreign

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tghaul/haul/telegram/foreign/internal/sqlite"
)

// hotJournal begins the rollback journal of a transaction under way.
const hotJournal = "\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"

// ParseSQLite reads the session file of Telethon or of Pyrogram and its
// forks. wal and journal are the contents of the files beside it, named so
// with "-wal" and "-journal" at the end; empty if there are none.
// Errors: ErrUnknown, ErrDamaged, ErrEmpty, ErrInUse.
func ParseSQLite(db, wal, journal []byte) (Session, error) {
	if strings.HasPrefix(string(journal), hotJournal) {
		return Session{}, ErrInUse
	}
	s, err := parseSQLite(db, wal)
	switch {
	case errors.Is(err, sqlite.ErrFormat):
		err = fmt.Errorf("%w: %w", ErrUnknown, err)
	case errors.Is(err, sqlite.ErrDamaged):
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return s, err
}

func parseSQLite(db, wal []byte) (Session, error) {
	d, err := sqlite.Open(db, wal)
	if err != nil {
		return Session{}, err
	}
	columns, err := d.Columns("sessions")
	has := func(c string) bool { return slices.Contains(columns, c) }
	switch {
	case err != nil:
		return Session{}, err
	case has("test_mode") && has("auth_key"):
		return parsePyrogramDB(d)
	case has("server_address") && has("auth_key"):
		return parseTelethonDB(d)
	default:
		return Session{}, fmt.Errorf("%w: a database without the table sessions of Telethon or Pyrogram", ErrUnknown)
	}
}

// sessionRow is the row of sessions that has a key, the first if there are several.
func sessionRow(d *sqlite.DB) (row sqlite.Row, key []byte, err error) {
	for r, err := range d.Rows("sessions") {
		if err != nil {
			return r, nil, err
		}
		if key := r.Blob("auth_key"); len(key) > 0 {
			return r, key, nil
		}
	}
	return row, nil, ErrEmpty
}

func parseTelethonDB(d *sqlite.DB) (Session, error) {
	row, key, err := sessionRow(d)
	if err != nil {
		return Session{}, of("Telethon", err)
	}
	s, err := newSession("Telethon", number(row, "dc_id"), key)
	if err != nil {
		return s, err
	}
	s.setAddress(row.Text("server_address"), number(row, "port"))
	for r, err := range d.Rows("entities") {
		if err != nil {
			return s, of("Telethon", err)
		}
		id, _ := r.Int("id")
		hash, _ := r.Int("hash")
		s.addPeer(id, hash, r.Text("username"), r.Text("name"))
	}
	return s, nil
}

func parsePyrogramDB(d *sqlite.DB) (Session, error) {
	row, key, err := sessionRow(d)
	if err != nil {
		return Session{}, of("Pyrogram", err)
	}
	s, err := newSession("Pyrogram", number(row, "dc_id"), key)
	if err != nil {
		return s, err
	}
	if test, ok := row.Int("test_mode"); ok {
		s.setTest(test != 0)
	}
	s.setAddress(row.Text("server_address"), number(row, "port")) // since version 7 of the forks
	s.UserID, _ = row.Int("user_id")
	s.Bot = number(row, "is_bot") == 1
	names, err := pyrogramNames(d)
	if err != nil {
		return s, of("Pyrogram", err)
	}
	for r, err := range d.Rows("peers") {
		if err != nil {
			return s, of("Pyrogram", err)
		}
		id, _ := r.Int("id")
		hash, _ := r.Int("access_hash")
		name := r.Text("username")
		if name == "" {
			name = names[id]
		}
		s.addPeer(id, hash, name, "")
	}
	return s, nil
}

// pyrogramNames are the usernames that newer forks keep in a table of their
// own, the first of each peer.
func pyrogramNames(d *sqlite.DB) (map[int64]string, error) {
	names := map[int64]string{}
	for r, err := range d.Rows("usernames") {
		if err != nil {
			return nil, err
		}
		if id, ok := r.Int("id"); ok && names[id] == "" {
			names[id] = r.Text("username")
		}
	}
	return names, nil
}

// number is a column as a small number, 0 if it is none.
func number(r sqlite.Row, column string) int {
	v, _ := r.Int(column)
	if v < 0 || v > 1<<30 {
		return 0
	}
	return int(v)
}
