package checkpoint

import (
	"errors"
	"testing"
)

// On a full disk (faults 41) nothing is committed, and Badger, which would die
// of it, is not closed. With room again things go on.
func TestFullDisk(t *testing.T) {
	free := int64(1 << 30)
	s, err := Open(t.TempDir(), Options{free: func(string) (int64, error) { return free, nil }})
	if err != nil {
		t.Fatal(err)
	}
	var b Batch
	b.Begin(Key{Document: 1}, Download{Path: "x", Size: 10, PartSize: 1})
	free = 95 << 20
	var space *SpaceError
	if err := s.Commit(&b); !errors.As(err, &space) || space.Free != free {
		t.Errorf("Commit: %v, want a SpaceError", err)
	}
	if _, found, err := s.Download(Key{Document: 1}); found || err != nil {
		t.Errorf("recorded nonetheless: %v, %v", found, err)
	}
	free = 1 << 30
	if err := s.Commit(&b); err != nil {
		t.Errorf("Commit with room again: %v", err)
	}
	if _, found, err := s.Download(Key{Document: 1}); !found || err != nil {
		t.Errorf("not recorded: %v, %v", found, err)
	}
	db := s.db
	free = 1 << 20
	if err := s.Close(); !errors.As(err, &space) || db.IsClosed() {
		t.Errorf("Close: %v, Badger closed: %v; want a SpaceError", err, db.IsClosed())
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if err := errors.Join(db.Close(), s.lock.release()); err != nil {
		t.Error(err)
	}
}
