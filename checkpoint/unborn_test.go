package checkpoint_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tghaul/haul/checkpoint"
)

// TestKilledWhileMakingALog opens a store as kill -9 leaves it between making a
// log file and giving it its size. What was committed before is there.
func TestKilledWhileMakingALog(t *testing.T) {
	for _, name := range []string{"00009.mem", "000009.vlog"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, checkpoint.Options{})
			k := checkpoint.Key{Document: 5}
			var b checkpoint.Batch
			b.Begin(k, checkpoint.Download{Path: "x", Size: 100, PartSize: 1})
			if err := s.Commit(&b); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "badger", name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := checkpoint.Open(dir, checkpoint.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close() //nolint:errcheck // the test is about Open
			if _, found, err := s.Download(k); err != nil || !found {
				t.Errorf("after opening: found %v, %v; want the download", found, err)
			}
		})
	}
}
