package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tghaul/haul/transfer"
)

// A source is deleted only if it is what was sent, and if there is a message: of
// one that is scheduled, or was not found again, nobody knows what becomes of it.
func TestDeleteSource(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	sent := transfer.FileResult{Path: path, MessageID: 5, Source: transfer.SourceOf(fi)}
	unknown, changed := sent, sent
	unknown.MessageID, changed.Source.Size = 0, 2
	for _, res := range []transfer.FileResult{unknown, changed} {
		if err := deleteSource(res); err == nil {
			t.Fatalf("%+v: it is deleted", res)
		}
	}
	if err := deleteSource(sent); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, want it gone", err)
	}
}
