//go:build unix

package main

import (
	"errors"
	"os"
	"testing"

	"github.com/tghaul/haul/telegram/dctest"
)

// A haul that is killed after its message was sent, and before the source is
// deleted, goes on with proving and deleting. The message is sent once.
func TestKillBeforeDeletion(t *testing.T) {
	t.Parallel()
	const hashes = "upload.getFileHashes"
	s := newStage(t, dctest.Config{Faults: []dctest.Fault{{Kind: "error", Method: hashes, At: []int64{1, 2}, Code: 500, Message: "INTERNAL"}}})
	path := s.noise("small.bin", 300_000)
	p := s.start("up", path, "--to", "@media", "--delete-source")
	s.soon("the first question for hashes", func() bool { return s.cluster.Stats().Methods[hashes] != nil })
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.wait()
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the source after the kill: %v", err)
	}
	s.run(0, "resume")
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the source after resume: %v, want it gone", err)
	}
	if n := len(s.cluster.Stats().Sent); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
	s.run(0, "resume") // there is nothing left
}
