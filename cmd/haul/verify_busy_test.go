//go:build unix

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/transfer/archive"
)

// An archive that somebody writes to is named before anything is read, and does
// not keep others from being repaired; the exit code is 6 if nothing else is left wrong.
func TestRepairBesideBusy(t *testing.T) {
	t.Parallel()
	files := []dctest.FileSpec{{Kind: "document", Count: 2, MinSize: 1000}}
	s := newStage(t, dctest.Config{Channels: []dctest.ChannelConfig{{Username: "one", Files: files}, {Username: "two", Files: files}}})
	s.run(0, "archive", "@one", "@two", "-d", "out")
	out := filepath.Join(s.dir, "out")
	peer := spoilFirst(t, filepath.Join(out, "one"))
	spoilFirst(t, filepath.Join(out, "two"))
	peer.Username = "one"
	writer, err := archive.Open(out, peer)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close() //nolint:errcheck // it has nothing

	stdout, _ := s.run(0, "archive", "@one", "-d", "out", "--full", "--dry-run") // that only reads
	if !strings.Contains(stdout, `"files":1,`) {
		t.Errorf("a dry run while the archive is busy says %q", stdout)
	}
	stdout, stderr := s.run(exitLocked, "verify", "out/one", "--repair")
	if strings.Contains(stdout, "run_started") || !strings.Contains(stderr, "out/one") {
		t.Errorf("the only archive is busy, and it says %q, %q", stdout, stderr)
	}
	stdout, stderr = s.run(exitLocked, "verify", "out", "--repair")
	if !strings.Contains(stdout, `"files_done":1,"files_failed":0`) || strings.Count(stderr, "out/one, or repairs it; nothing is repaired there") != 1 {
		t.Errorf("one of two archives is busy, and it says %q, %q", stdout, stderr)
	}
	s.run(0, "verify", "out/two")
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	s.run(exitSomeFailed, "verify", "out/one")
	s.run(0, "verify", "out", "--repair")
}

// spoilFirst makes the first file of an archive wrong, and returns the chat.
func spoilFirst(t *testing.T, dir string) telegram.Peer {
	t.Helper()
	list, err := os.ReadFile(filepath.Join(dir, archive.ManifestName))
	if err != nil {
		t.Fatal(err)
	}
	var e archive.Entry
	line, _, _ := strings.Cut(string(list), "\n")
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, e.Path), []byte("spoiled"), 0o600); err != nil {
		t.Fatal(err)
	}
	peer, err := telegram.PeerFromMarkedID(e.Chat)
	if err != nil {
		t.Fatal(err)
	}
	return peer
}
