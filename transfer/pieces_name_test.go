package transfer

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tghaul/haul/transfer/split"
)

// A source whose name no manifest may have fails before its first piece is sent:
// the pieces alone would be of no use.
func TestSplitBadName(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{`a\b`, "a\xff", "fine"} {
		u := Upload{Path: path, Name: name}
		g := newPieces(&u, 60)
		if bad := name != "fine"; (g == nil) != bad || errors.Is(u.Broken, split.ErrName) != bad {
			t.Errorf("%q: %v, %v", name, g, u.Broken)
		}
		up := &upload{run: &run{tg: new(fake), o: Options{MaxUploadParts: 10}}, u: u}
		if err := up.openSource(); errors.Is(err, split.ErrName) != (name != "fine") || err != nil && retryable(err) {
			t.Errorf("%q: %v", name, err)
		}
		up.close()
	}
}
