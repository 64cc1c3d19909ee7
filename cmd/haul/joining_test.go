package main

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"github.com/tghaul/haul/transfer/archive"
	"github.com/tghaul/haul/transfer/split"
)

// splitFiles puts the pieces of a file and its manifest in a folder. It returns
// the path of the manifest.
func splitFiles(t *testing.T, dir string, pieces ...string) string {
	t.Helper()
	whole, m := "", split.Manifest{Name: "big"}
	for i, p := range pieces {
		name := split.PieceName(m.Name, i)
		putFile(t, filepath.Join(dir, name), p)
		m.Pieces = append(m.Pieces, split.Piece{Name: name, Size: int64(len(p)), SHA256: sha256.Sum256([]byte(p))})
		whole += p
	}
	m.Size, m.SHA256 = int64(len(whole)), sha256.Sum256([]byte(whole))
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, m.Name+split.Suffix)
	putFile(t, path, string(b))
	return path
}

func putFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// In an archive the pieces stay, wherever in it they are.
func TestJoinInArchive(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	deep := filepath.Join(top, "archive", "2025", "books")
	for _, archived := range []bool{true, false} {
		manifest := splitFiles(t, deep, "first", "last")
		list := filepath.Join(top, "archive", archive.ManifestName)
		if archived {
			putFile(t, list, "")
		} else if err := os.Remove(list); err != nil {
			t.Fatal(err)
		}
		if news, err := joinBeside(t.Context(), manifest, false); err != nil || news == nil {
			t.Fatalf("%+v, %v", news, err)
		}
		if isThere(filepath.Join(deep, "big.001")) != archived || !isThere(filepath.Join(deep, "big")) {
			t.Errorf("in an archive: %v; big is there: %v", archived, isThere(filepath.Join(deep, "big")))
		}
	}
}

// Only what is called as a piece is removed: other files may have the same bytes.
// Pieces of the same content are each removed.
func TestJoinKeepsOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	manifest := splitFiles(t, dir, "same", "same", "end")
	own := []string{"a copy", "zz", "big.part"}
	for _, name := range own {
		putFile(t, filepath.Join(dir, name), "same")
	}
	if err := os.Rename(filepath.Join(dir, "big.003"), filepath.Join(dir, "renamed")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "big.002"), filepath.Join(dir, "12_big.002")); err != nil {
		t.Fatal(err)
	}
	if news, err := joinBeside(t.Context(), manifest, false); err != nil || news == nil {
		t.Fatalf("%+v, %v", news, err)
	}
	for _, name := range append(own, "renamed", "big") {
		if !isThere(filepath.Join(dir, name)) {
			t.Errorf("%s is gone", name)
		}
	}
	for _, name := range []string{"big.001", "12_big.002"} {
		if isThere(filepath.Join(dir, name)) {
			t.Errorf("%s, a piece, is still there", name)
		}
	}
}
