package archive_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
)

// A sidecar has the line of the manifest and that of messages.jsonl; it is
// written when it is missing or says something else, and never else.
func TestSidecar(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	folder := filepath.Join(dir, archive.FolderName(peer))
	name := filepath.Join(folder, "5_a.txt.haul.json")
	run := func(text string) []byte {
		t.Helper()
		a := openArchive(t, dir)
		a.WriteSidecars()
		raw := tl.Marshal(&api.Message{ID: 5, PeerID: &api.PeerChannel{ChannelID: 77}, Message: text})
		m := &telegram.Message{Peer: peer, ID: 5, Raw: raw}
		if _, err := a.AddMessage(m); err != nil {
			t.Fatal(err)
		}
		f := telegram.File{ID: 1, Name: "a.txt", Kind: telegram.KindDocument, Origin: telegram.Origin{Peer: peer, MessageID: 5}}
		write(t, filepath.Join(folder, "5_a.txt"), nil)
		d := transfer.Download{File: f, Path: a.Path(f)}
		a.Share(nil, m, &d)
		res := transfer.FileResult{Path: d.Path}
		res.SHA256 = sha256.Sum256(nil)
		if err := d.Finished(res); err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := run("what \u202e it says")
	var s archive.Sidecar
	if err := json.Unmarshal(first, &s); err != nil {
		t.Fatal(err)
	}
	for list, want := range map[string]any{archive.ManifestName: s.File, archive.MessagesName: s.Message} {
		b, err := os.ReadFile(filepath.Join(folder, list))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(want); err != nil || !bytes.Equal(got, bytes.TrimSpace(b)) {
			t.Errorf("%s has %s, the sidecar %s, %v", list, b, got, err)
		}
	}
	before, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	run("what \u202e it says")
	if after, err := os.Stat(name); err != nil || !os.SameFile(before, after) {
		t.Errorf("it was written again, %v", err)
	}
	if edited := run("what was edited"); !strings.Contains(string(edited), "edited") {
		t.Errorf("after the edit it is %s", edited)
	}
	found, told := verify(t, dir)
	if found.FilesExtra != 0 || found.FilesRight != 1 {
		t.Errorf("verify: %+v, %q", found.VerifyCounters, told)
	}
}

// No file of a chat can be taken for a sidecar.
func TestSidecarName(t *testing.T) {
	t.Parallel()
	a := openArchive(t, t.TempDir())
	a.Arrange(parseTemplate(t, "{{.Name}}"), nil)
	s := hostileSubjectNamed("5_a.txt.HAUL.json")
	if p, err := a.Place(s); err != nil || p != "5_a.txt%2EHAUL.json" {
		t.Errorf("place %q, %v", p, err)
	}
}
