package archive

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
)

// A chat that has got the username of another does not go on with its archive.
func TestOtherChatOfTheName(t *testing.T) {
	later := testPeer
	later.ID++
	for name, fill := range map[string]func(a *Archive) error{
		"progress": func(a *Archive) error { return a.Track("").Save(true) },
		"manifest": func(a *Archive) error {
			f := telegram.File{ID: 7, Name: "a", Size: 1, Origin: telegram.Origin{Peer: testPeer, MessageID: 3}}
			return a.AddFile(f, transfer.FileResult{Path: "3_a", Size: 1})
		},
	} {
		dir := t.TempDir()
		a := openTest(t, dir)
		if err := errors.Join(fill(a), a.Close()); err != nil {
			t.Fatal(err)
		}
		if err := openTest(t, dir).Close(); err != nil {
			t.Fatal(err)
		}
		_, err := Open(dir, later)
		var other *OtherChatError
		if !errors.As(err, &other) || other.Has != testPeer.MarkedID() || other.Wanted != later.MarkedID() {
			t.Errorf("%s: the other chat gets %v", name, err)
			continue
		}
		if err := os.Rename(filepath.Join(dir, "chat"), filepath.Join(dir, "chat_old")); err != nil {
			t.Fatal(err)
		}
		if a, err = Open(dir, later); err != nil {
			t.Errorf("%s: after the renaming: %v", name, err)
			continue
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}
