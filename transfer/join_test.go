package transfer

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/tghaul/haul/transfer/split"
)

// cutUp makes files of 1000 bytes of some data, and the manifest for them.
func cutUp(t *testing.T, dir string, data []byte) (m *split.Manifest, names []string) {
	t.Helper()
	m = &split.Manifest{Name: "x.bin", Size: int64(len(data)), SHA256: sha256.Sum256(data)}
	plan, err := split.PlanOf(m.Name, m.Size, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range plan {
		b := data[p.Offset : p.Offset+p.Size]
		m.Pieces = append(m.Pieces, split.Piece{Name: p.Name, Size: p.Size, SHA256: sha256.Sum256(b)})
		names = append(names, p.Name)
		if err := os.WriteFile(filepath.Join(dir, p.Name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return m, names
}

func TestJoinFiles(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte("0123456789abcdef"), 300) // 4800 bytes
	for _, c := range []struct {
		name    string
		prepare func(dir string) error
		want    error // nil: joined
	}{
		{"at once", func(string) error { return nil }, nil},
		{"half of it was there", func(dir string) error { return os.WriteFile(dir+"/x.bin.joined.part", data[:2500], 0o600) }, nil},
		{"something else was there", func(dir string) error { return os.WriteFile(dir+"/x.bin.joined.part", make([]byte, 9000), 0o600) }, nil},
		{"it was joined before", func(dir string) error { return os.WriteFile(dir+"/x.bin", data, 0o600) }, nil},
		{"the name is taken", func(dir string) error { return os.WriteFile(dir+"/x.bin", data[1:], 0o600) }, ErrExists},
		{"the name is a folder's", func(dir string) error { return os.Mkdir(dir+"/x.bin", 0o700) }, ErrExists},
		{"the name is a link", func(dir string) error { return os.Symlink("y", dir+"/x.bin") }, ErrExists},
		{"the unfinished one is a link", func(dir string) error { return os.Symlink("x.bin.001", dir+"/x.bin.joined.part") }, ErrExists},
		{"a piece has other bytes", func(dir string) error { return os.WriteFile(dir+"/x.bin.003", make([]byte, 1000), 0o600) }, ErrHash},
		{"a piece has another size", func(dir string) error { return os.WriteFile(dir+"/x.bin.003", make([]byte, 1001), 0o600) }, ErrHash},
		{"a piece is not there", func(dir string) error { return os.Remove(dir + "/x.bin.002") }, fs.ErrNotExist},
		{"a piece is a link", func(dir string) error {
			return errors.Join(os.Rename(dir+"/x.bin.002", dir+"/y"), os.Symlink("y", dir+"/x.bin.002"))
		}, ErrExists},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			m, names := cutUp(t, dir, data)
			if err := c.prepare(dir); err != nil {
				t.Fatal(err)
			}
			root, err := os.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close() //nolint:errcheck // the test is about what happens before
			if err := JoinFiles(t.Context(), root, m, names, "x.bin"); !errors.Is(err, c.want) {
				t.Fatalf("JoinFiles: %v, want %v", err, c.want)
			}
			got, err := os.ReadFile(dir + "/x.bin")
			if c.want == nil && !bytes.Equal(got, data) {
				t.Errorf("x.bin has %d bytes, %v", len(got), err)
			}
			if c.want != nil && !errors.Is(c.want, ErrExists) && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("x.bin is there: %v", err)
			}
			if _, err := os.Lstat(dir + "/x.bin.001"); err != nil {
				t.Errorf("a piece is gone: %v", err)
			}
		})
	}
}

// A manifest whose pieces are right and whose whole is not is a lie.
func TestJoinLie(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m, names := cutUp(t, dir, make([]byte, 1500))
	m.SHA256[3] ^= 1
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close() //nolint:errcheck // the test is about what happens before
	if err := JoinFiles(t.Context(), root, m, names, "x.bin"); !errors.Is(err, ErrHash) {
		t.Errorf("JoinFiles: %v, want ErrHash", err)
	}
}

// Downloads that were joined are removed and complete: nothing is fetched again
// until the whole is gone. A kill after any step changes nothing of that.
func TestEngineJoin(t *testing.T) {
	t.Parallel()
	for step := range 4 {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			var data []byte
			m := &split.Manifest{Name: "x.bin"}
			var pieces []Download
			for i := range 3 {
				f := b.add(int64(i+1), []int{3000, 3000, 7}[i], 2)
				data = append(data, f.data...)
				m.Pieces = append(m.Pieces, split.Piece{Name: split.PieceName("x.bin", i), Size: f.Size, SHA256: sha256.Sum256(f.data)})
				pieces = append(pieces, Download{File: f.File, Dir: b.root, Path: f.Name})
			}
			m.Size, m.SHA256 = int64(len(data)), sha256.Sum256(data)
			b.mustDownload()
			e := NewFor(b, b.opts)
			join := func() bool {
				t.Helper()
				news, err := e.Join(t.Context(), m, pieces, "whole")
				if err != nil {
					t.Fatal(err)
				}
				return news
			}
			switch step { // as a kill has left it
			case 1: // in the middle of copying
				_ = os.WriteFile(filepath.Join(b.dir, "whole.joined.part"), data[:3100], 0o600)
			case 2: // after the rename
				_ = os.WriteFile(filepath.Join(b.dir, "whole"), data, 0o600)
			case 3: // before the pieces were removed
				join()
				_ = os.WriteFile(filepath.Join(b.dir, pieces[1].Path), data[3000:6000], 0o600)
			}
			if news := join(); news != (step != 3) {
				t.Errorf("step %d: Join = %v", step, news)
			}
			for range 2 {
				list, err := os.ReadDir(b.dir)
				got, _ := os.ReadFile(filepath.Join(b.dir, "whole"))
				if err != nil || len(list) != 1 || !bytes.Equal(got, data) {
					t.Fatalf("step %d: %v, %v in the folder, %d bytes of %d", step, err, list, len(got), len(data))
				}
				before := len(b.getFiles())
				report, err := b.download(b.all())
				if err != nil || report.FilesSkipped != 3 || len(b.getFiles()) != before || join() {
					t.Fatalf("step %d: %v, %+v; want all skipped", step, err, report.Counters)
				}
			}
			if err := os.Remove(filepath.Join(b.dir, "whole")); err != nil {
				t.Fatal(err)
			}
			report, err := b.download(b.all())
			if err != nil || report.FilesDone != 3 {
				t.Fatalf("step %d, without the whole: %v, %+v; want all fetched", step, err, report.Counters)
			}
			if !join() {
				t.Error("nothing was joined")
			}
			// What lies under the name of a piece and is none stays.
			other := slices.Repeat([]byte{1}, 3000)
			if err := os.WriteFile(filepath.Join(b.dir, pieces[0].Path), other, 0o600); err != nil {
				t.Fatal(err)
			}
			join()
			if got, err := os.ReadFile(filepath.Join(b.dir, pieces[0].Path)); err != nil || !bytes.Equal(got, other) {
				t.Errorf("somebody's file is gone: %v", err)
			}
		})
	}
}
