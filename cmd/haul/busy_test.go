package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer/archive"
)

// Who comes second to an archive is told which folder it is and what to do, with
// the exit code of what is in use, also among other jobs (faults 56).
func TestArchiveBusy(t *testing.T) {
	t.Parallel()
	dir, peer := t.TempDir(), telegram.Peer{Kind: telegram.PeerChannel, ID: 5, Username: "films"}
	first, err := archive.Open(dir, peer)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close() //nolint:errcheck // it has nothing
	_, err = archive.Open(dir, peer)
	var said bytes.Buffer
	code := report(&said, t.Context(), err)
	if text := said.String(); code != exitLocked || !strings.Contains(text, "/films") || !strings.Contains(text, "hint: wait for that run") {
		t.Errorf("exit code %d: %s", code, text)
	}
	if code := (&jobsFailed{failed: []error{err}, total: 2}).code(); code != exitLocked {
		t.Errorf("haul resume with such a job ends with %d", code)
	}
}
