package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Badger ends the process, or leaves out a table without a word, when it meets
// certain kinds of damage. So its files are inspected before it sees them, and
// a store that is damaged is set aside whole. Nothing of it is repaired: what a
// record says is proven against the files on disk anyhow, and those are the
// better record. What remains unnoticed is a store that is in order and older
// than it should be, as when a whole log file was removed.

// ErrDamaged is wrapped by what is found wrong with a store.
var ErrDamaged = errors.New("checkpoint: store is damaged")

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// openDB opens the database in a folder, having inspected it. The error wraps
// ErrDamaged if it is damaged, and then the database is closed.
func openDB(dir string, o badger.Options) (db *badger.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, damaged("%v", r)
		}
	}()
	if err := inspect(dir, o); err != nil {
		return nil, err
	}
	db, err = badger.Open(o)
	var system syscall.Errno
	switch {
	case err == nil:
	case errors.As(err, &system): // the disk's fault, or the user's
		return nil, fmt.Errorf("checkpoint: open %s: %w", dir, err)
	default:
		return nil, damaged("%v", err)
	}
	if err := checkVersion(db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// checkVersion wants the store to have this version of records. One without
// any record gets it.
func checkVersion(db *badger.DB) error {
	return db.Update(func(txn *badger.Txn) error {
		item, err := txn.Get(versionKey)
		if errors.Is(err, badger.ErrKeyNotFound) {
			it := txn.NewIterator(badger.IteratorOptions{})
			defer it.Close()
			if it.Rewind(); it.Valid() {
				return damaged("records, but no version of them")
			}
			return txn.Set(versionKey, binary.BigEndian.AppendUint32(nil, schemaVersion))
		}
		if err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
		v, err := item.ValueCopy(nil)
		if err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
		switch {
		case len(v) != 4 || binary.BigEndian.Uint32(v) == 0:
			return damaged("version %x", v)
		case binary.BigEndian.Uint32(v) != schemaVersion:
			return fmt.Errorf("%w: %d, this program knows %d", ErrVersion, binary.BigEndian.Uint32(v), schemaVersion)
		}
		return nil
	})
}

// checkFormat refuses a folder that a later version of the program has written,
// whatever is in it: the file "version" says so. One that cannot be read says
// nothing, since the records have a version of their own.
func checkFormat(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, versionFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if v, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32); err == nil && v > schemaVersion {
		return fmt.Errorf("%w: %d, this program knows %d", ErrVersion, v, schemaVersion)
	}
	return nil
}

// writeFormat notes the version, unless that is there.
func writeFormat(dir string) error {
	path, want := filepath.Join(dir, versionFile), strconv.Itoa(schemaVersion)+"\n"
	if b, err := os.ReadFile(path); err == nil && string(b) == want {
		return nil
	}
	if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

const versionFile = "version"

// setAside renames a damaged database, so that a new one can take its place.
func setAside(dir string, now time.Time) (string, error) {
	base := dir + ".damaged-" + now.UTC().Format("20060102T150405Z")
	for n, to := 1, base; ; to = fmt.Sprintf("%s-%d", base, n) {
		n++
		if _, err := os.Lstat(to); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("checkpoint: %w", err)
		}
		if err := os.Rename(dir, to); err != nil {
			return "", fmt.Errorf("checkpoint: set damaged store aside: %w", err)
		}
		return to, nil
	}
}

// inspect checks all files of a database. It cuts off of a log only what was
// never committed.
func inspect(dir string, o badger.Options) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	f := files{dir: dir, tables: make(map[uint64]*tableFile)}
	for _, e := range entries {
		if err := f.add(e); err != nil {
			return err
		}
	}
	if err := f.manifest(o); err != nil {
		return err
	}
	return errors.Join(f.checkTables(), f.checkLogs(), f.checkOthers())
}

// files are the files of a database.
type files struct {
	dir         string
	hasManifest bool
	tables      map[uint64]*tableFile
	logs        []string // memory tables' logs, oldest first
	values      []string // value logs
	versions    []uint64 // the newest version in each log
}

// A tableFile is a file of sorted records. It is never changed once written.
type tableFile struct {
	listed bool // in the manifest
	there  bool
	newest uint64 // version
}

func (f *files) add(e os.DirEntry) error {
	name := e.Name()
	if !e.Type().IsRegular() {
		return damaged("%s is no regular file", name)
	}
	switch ext := filepath.Ext(name); {
	case name == badger.ManifestFilename:
		f.hasManifest = true
	case ext == ".sst":
		var id uint64
		if _, err := fmt.Sscanf(name, "%d.sst", &id); err != nil {
			return damaged("name %s", name)
		}
		f.tables[id] = &tableFile{there: true}
	case ext == ".mem", ext == ".vlog":
		if strings.Trim(strings.TrimSuffix(name, ext), "0123456789") != "" {
			return damaged("name %s", name)
		}
		if ext == ".mem" {
			f.logs = append(f.logs, name)
		} else {
			f.values = append(f.values, name)
		}
	}
	return nil
}

// manifest reads which tables there should be.
func (f *files) manifest(o badger.Options) error {
	if !f.hasManifest {
		if len(f.tables)+len(f.logs)+len(f.values) > 0 {
			return damaged("%s is missing", badger.ManifestFilename)
		}
		return nil
	}
	file, err := os.Open(filepath.Join(f.dir, badger.ManifestFilename))
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	if err := manifestVersion(file); err != nil {
		return err
	}
	m, _, err := badger.ReplayManifestFile(file, 0, o)
	if err != nil {
		return damaged("%s: %v", badger.ManifestFilename, err)
	}
	for id := range m.Tables {
		t := f.tables[id]
		if t == nil {
			return damaged("table %d is missing", id)
		}
		t.listed = true
	}
	return nil
}

// badgerFormat is the version of Badger's files, and laterFormats are those
// that are believed to come from a later one, and not to be damage.
const (
	badgerFormat = 8
	laterFormats = 32
)

// manifestVersion tells files of a later Badger from damaged ones, and goes
// back to the file's beginning.
func manifestVersion(file *os.File) error {
	var head [8]byte // "Bdgr", a number of the application's, the version
	n, _ := file.ReadAt(head[:], 0)
	version := binary.BigEndian.Uint16(head[6:])
	if n == len(head) && string(head[:6]) == "Bdgr\x00\x00" && version > badgerFormat && version < laterFormats {
		return fmt.Errorf("%w: its files have format %d, this program knows %d", ErrVersion, version, badgerFormat)
	}
	return nil
}
