package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
)

// A message that is known to be one source is not taken for another of the same
// name and size, whichever comes first.
func TestExistingClaimed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store, err := checkpoint.Open(filepath.Join(dir, "store"), checkpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // the test is about what happens before
	var files []source
	for _, at := range []string{"a", "b", "c"} { // of one size, and different
		path := filepath.Join(dir, at)
		if err := os.WriteFile(path, []byte(at), 0o600); err != nil {
			t.Fatal(err)
		}
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, source{path: path, rel: "x", info: fi})
	}
	sum, err := contentOf(t.Context(), files[1].path)
	if err != nil {
		t.Fatal(err)
	}
	to, chat := telegram.Peer{Kind: telegram.PeerChannel, ID: 1, AccessHash: 1}, new(fakeChat)
	chat.add(7, "x", 1)
	var b checkpoint.Batch
	b.FinishUpload(checkpoint.UploadKey{Source: 1, Chat: to.MarkedID()}, "", checkpoint.Sent{
		Source: transfer.SourceOf(files[1].info), Document: 1007, Message: 7, SHA256: sum, Path: pathKey(files[1]),
	})
	if err := store.Commit(&b); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		modes []string
		order []int
	}{
		{[]string{bySource, byName}, []int{0, 1, 2}},
		{[]string{bySource, byName}, []int{1, 0, 2}},
		{[]string{byName, bySource}, []int{0, 1, 2}},
		{[]string{byContent, byName}, []int{1, 0, 2}},
	} {
		e, err := newExisting(t.Context(), c.modes, store, chat, to)
		if err != nil {
			t.Fatal(err)
		}
		var list []source
		for _, i := range c.order {
			list = append(list, files[i])
		}
		if err := e.reserve(t.Context(), slices.Values(list)); err != nil {
			t.Fatal(err)
		}
		for _, i := range c.order {
			skip, err := e.find(t.Context(), files[i], "x", nil)
			if err != nil || (skip != nil) != (i == 1) {
				t.Errorf("%v in order %v: file %d is %+v, %v; only file 1 was sent", c.modes, c.order, i, skip, err)
			}
		}
		e.close()
	}
}
