// Package checkpoint keeps the durable record of a run: which parts of which
// file are on disk, which files are finished, which parts of an upload the
// server has. It is the only package that knows Badger.
//
// The order that makes the record true is the caller's: bytes first, record
// second. A part is marked after its bytes were synced; a file is recorded as
// finished after it bears its name.
package checkpoint

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// schemaVersion is the version of the records of this package.
const schemaVersion = 1

// versionKey holds schemaVersion.
var versionKey = []byte("version")

// ErrVersion is wrapped by the error of opening a store that another version
// of the program wrote.
var ErrVersion = errors.New("checkpoint: store has another version")

// ErrClosed is the error of a store that is closed.
var ErrClosed = errors.New("checkpoint: store is closed")

// DefaultMinFree is Options.MinFree if that is 0.
const DefaultMinFree = 96 << 20

// FreeSpace is how many bytes this user may still write to the file system of
// dir; MaxInt64 where that is not known.
func FreeSpace(dir string) (int64, error) { return freeSpace(dir) }

// Options say how a Store is opened. The zero value is the default.
type Options struct {
	// MinFree is how many bytes must be free on the file system, or else Open
	// and Commit refuse. Badger maps its files: on a full disk the process
	// would die. Default DefaultMinFree.
	MinFree int64
	// KeepDamaged makes a damaged store an error that wraps ErrDamaged, and
	// leaves it as it is, instead of setting it aside.
	KeepDamaged bool
	// Log gets Badger's warnings and errors. nil: nobody.
	Log *slog.Logger

	// free replaces the look at the file system in tests.
	free func(dir string) (int64, error)
}

// A Store is one account's checkpoint in a folder of its own. It is safe for
// concurrent use. Close it when done.
type Store struct {
	dir  string
	opts Options
	lock *lock

	aside  string // where a damaged database was set aside
	damage error  // what was wrong with it

	mu     sync.RWMutex // held for writing by Close and Commit
	db     *badger.DB   // nil once closed
	writer writer       // Commit's
}

// Open opens the store in the folder dir, and makes it if there is none, or if
// the one that is there is damaged; see Store.SetAside. Errors: a *LockedError if another process has it, a *SpaceError if the disk
// is too full, ErrVersion.
func Open(dir string, o Options) (*Store, error) {
	if o.MinFree == 0 {
		o.MinFree = DefaultMinFree
	}
	if o.free == nil {
		o.free = freeSpace
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	l, err := acquire(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, opts: o, lock: l}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, l.release())
	}
	return s, nil
}

func (s *Store) open() error {
	if err := s.checkSpace(s.opts.MinFree); err != nil {
		return err
	}
	if err := checkFormat(s.dir); err != nil {
		return err
	}
	dir := filepath.Join(s.dir, "badger")
	if err := removeUnborn(dir); err != nil {
		return err
	}
	db, err := openDB(dir, badgerOptions(dir, s.opts.Log))
	if errors.Is(err, ErrDamaged) && !s.opts.KeepDamaged {
		s.damage = err
		if s.aside, err = setAside(dir, time.Now()); err != nil {
			return errors.Join(s.damage, err)
		}
		s.opts.Log.Warn("store set aside", "path", s.aside, "err", s.damage)
		db, err = openDB(dir, badgerOptions(dir, s.opts.Log))
	}
	if err != nil {
		return err
	}
	if err := writeFormat(s.dir); err != nil {
		return errors.Join(err, db.Close())
	}
	s.db, s.writer = db, newWriter(db)
	return nil
}

// SetAside tells whether Open has found the store damaged: then path is where
// it was set aside, why says what is wrong with it, and the store is a new one.
// If not, path is empty.
func (s *Store) SetAside() (path string, why error) { return s.aside, s.damage }

// badgerOptions are small-memory options with true durability. The records of
// a run are few and short, so nothing is cached or compressed.
func badgerOptions(dir string, log *slog.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(true).
		WithMemTableSize(4 << 20).
		WithNumMemtables(2).
		WithValueLogFileSize(4 << 20).
		WithValueThreshold(64 << 10).
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithCompression(options.None).
		WithNumCompactors(2).
		WithNumLevelZeroTables(2).
		WithNumLevelZeroTablesStall(6).
		WithDetectConflicts(false). // Commit holds a lock: there is one writer
		WithMetricsEnabled(false).
		WithLogger(badgerLog{log})
}

// closeNeed is how many bytes Badger may write when it is closed.
const closeNeed = 24 << 20

// Close closes the store and lets others open it. It may be called twice. On a
// full disk, where Badger would die, the store is not closed but left as it is
// until the process ends, and the error is a *SpaceError; what was committed is
// there the next time.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return nil
	}
	db := s.db
	s.db = nil
	if err := s.checkSpace(min(s.opts.MinFree, closeNeed)); err != nil {
		return err
	}
	err := db.Close()
	return errors.Join(err, s.lock.release())
}

// A SpaceError says that the disk is too full to go on safely.
type SpaceError struct {
	Dir        string
	Free, Need int64 // bytes
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("checkpoint: %d MiB free in %s, want %d MiB", e.Free>>20, e.Dir, e.Need>>20)
}

// checkSpace wants so many bytes to be free.
func (s *Store) checkSpace(need int64) error {
	free, err := s.opts.free(s.dir)
	if err != nil {
		return fmt.Errorf("checkpoint: free space of %s: %w", s.dir, err)
	}
	if free < need {
		return &SpaceError{Dir: s.dir, Free: free, Need: need}
	}
	return nil
}

// badgerLog passes Badger's complaints on and keeps its chatter to itself.
type badgerLog struct{ log *slog.Logger }

func (l badgerLog) Errorf(f string, a ...any)   { l.log.Error("badger: " + fmt.Sprintf(f, a...)) }
func (l badgerLog) Warningf(f string, a ...any) { l.log.Warn("badger: " + fmt.Sprintf(f, a...)) }
func (l badgerLog) Infof(string, ...any)        {}
func (l badgerLog) Debugf(string, ...any)       {}
