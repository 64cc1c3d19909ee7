package transfer

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// sentPieces is a file whose two pieces have been sent.
func sentPieces(t *testing.T) (path string, g *pieces) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "x.bin")
	data := bytes.Repeat([]byte("0123456789"), 10)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if g = newPieces(&Upload{Path: path}, 60); g == nil {
		t.Fatal("it is not sent in pieces")
	}
	for i, p := range g.plan {
		g.done[i] = &FileResult{SHA256: sha256.Sum256(data[p.Offset : p.Offset+p.Size]), Source: identify(fi), MessageID: i + 1}
		g.oneOver()
	}
	return path, g
}

// The manifest of a source that has grown, or that was written to after any of
// its pieces was sent, is not sent: else the source would count as being in the
// chat, and --delete-source would delete it.
func TestManifestOfChanged(t *testing.T) {
	t.Parallel()
	grow := func(t *testing.T, path string) {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err == nil {
			_, err = f.WriteString("more")
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	touch := func(t *testing.T, path string) {
		if err := os.Chtimes(path, time.Time{}, time.Unix(1e9, 0)); err != nil {
			t.Fatal(err)
		}
	}
	nothing := func(*testing.T, string) {}
	for name, c := range map[string]struct {
		before, after func(*testing.T, string) // the manifest is made
		want          error
	}{
		"unchanged":                {nothing, nothing, nil},
		"grown after the pieces":   {grow, nothing, ErrChanged},
		"written after the pieces": {touch, nothing, ErrChanged},
		"grown after the reading":  {nothing, grow, ErrChanged},
		"written after it":         {nothing, touch, ErrChanged},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, g := sentPieces(t)
			c.before(t, path)
			u, complete := g.manifest(t.Context())
			c.after(t, path)
			up := &upload{run: &run{tg: new(fake), o: Options{MaxUploadParts: 10}}, u: u}
			if err := up.openSource(); !complete || !errors.Is(err, c.want) {
				t.Errorf("%v, %v; want %v", complete, err, c.want)
			}
			up.close()
		})
	}
}
