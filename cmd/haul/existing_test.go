package main

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"testing"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
)

// A fakeChat has files in messages, the newest last, and counts what it is asked.
type fakeChat struct {
	messages []*telegram.Message
	listed   int // messages
	refresh  int // calls
}

func (f *fakeChat) add(id int, name string, size int64) {
	f.messages = append(f.messages, &telegram.Message{ID: id, Files: []telegram.File{{ID: int64(id) + 1000, Name: name, Size: size}}})
}

func (f *fakeChat) Messages(context.Context, telegram.Peer, telegram.MessagesOptions) iter.Seq2[*telegram.Message, error] {
	return func(yield func(*telegram.Message, error) bool) {
		for i := len(f.messages) - 1; i >= 0; i-- { // as a page that is fetched once
			f.listed++
			if !yield(f.messages[i], nil) {
				return
			}
		}
	}
}

func (f *fakeChat) RefreshFiles(_ context.Context, _ telegram.Peer, ids []int) (map[int][]telegram.File, error) {
	f.refresh++
	files := make(map[int][]telegram.File)
	for _, m := range f.messages {
		for _, id := range ids {
			if m.ID == id {
				files[id] = m.Files
			}
		}
	}
	return files, nil
}

// What is recorded counts only while its message is there with its file, which is
// asked for by hundreds.
func TestExistingRecords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store, err := checkpoint.Open(filepath.Join(dir, "store"), checkpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // the test is about what happens before
	to := telegram.Peer{Kind: telegram.PeerChannel, ID: 1, AccessHash: 1}
	chat := new(fakeChat)
	var b checkpoint.Batch
	var sources []source
	for i := range 150 {
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(path, []byte(path), 0o600); err != nil {
			t.Fatal(err)
		}
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		sum, err := contentOf(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		b.FinishUpload(checkpoint.UploadKey{Source: uint64(i), Chat: to.MarkedID()}, "", checkpoint.Sent{
			Source: transfer.SourceOf(fi), Document: int64(i) + 1001, Message: i + 1, SHA256: sum, Path: checkpoint.TargetOf(path),
		})
		if i != 7 { // deleted
			chat.add(i+1, path, fi.Size())
		}
		sources = append(sources, source{path: path, rel: path, info: fi})
	}
	if err := store.Commit(&b); err != nil {
		t.Fatal(err)
	}
	chat.messages[20].Files[0].ID = 5 // replaced by an edit: message 22
	for _, mode := range []string{bySource, byContent} {
		chat.refresh = 0
		e, err := newExisting(t.Context(), []string{mode}, store, chat, to)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range sources {
			skip, err := e.find(t.Context(), s, s.path, nil)
			if want := i != 7 && i != 21; err != nil || (skip != nil) != want {
				t.Errorf("%s, source %d: %+v, %v; want it there: %v", mode, i, skip, err, want)
			}
			if skip != nil && (skip.Message != i+1 || skip.Reason != skipReasons[mode]) {
				t.Errorf("%s, source %d is %+v", mode, i, skip)
			}
		}
		if chat.refresh != 2 || chat.listed != 0 {
			t.Errorf("%s: %d calls, %d messages listed; want 2 and none", mode, chat.refresh, chat.listed)
		}
		e.close()
	}
}

// By name each message counts for one source, the list is read no further than it
// has to be, and what comes meanwhile is not in it.
func TestExistingNames(t *testing.T) {
	t.Parallel()
	chat := new(fakeChat)
	for i := range 100 {
		chat.add(i+1, "old", int64(i))
	}
	chat.add(101, "twin", 5)
	chat.add(102, "twin", 5)
	chat.add(103, "one", 5)
	e, err := newExisting(t.Context(), []string{byName}, nil, chat, telegram.Peer{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	chat.add(104, "new", 5)
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	look := func(name string, want int) {
		t.Helper()
		skip, err := e.find(t.Context(), source{path: path, info: fi}, name, nil)
		if err != nil || (skip != nil) != (want != 0) || skip != nil && skip.Message != want {
			t.Errorf("%s: %+v, %v; want message %d", name, skip, err, want)
		}
	}
	look("one", 103)
	look("twin", 102)
	look("twin", 101)
	if chat.listed != 3 {
		t.Errorf("%d messages were listed, want 3", chat.listed)
	}
	look("twin", 0)
	look("new", 0)
	look("old", 6)
	look("one", 0)
	if chat.listed != 103 {
		t.Errorf("%d messages were listed, want each once", chat.listed)
	}
}
