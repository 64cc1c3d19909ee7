//go:build unix

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive/follow"
)

// TestWatchProcess: a watch fetches what comes, tells of it, and ends by Ctrl-C
// with the sums. What came while nobody watched is found by haul resume, which
// catches up and ends.
func TestWatchProcess(t *testing.T) {
	t.Parallel()
	s := newStage(t, dctest.Config{Channels: []dctest.ChannelConfig{
		{Username: "media", Files: []dctest.FileSpec{{Kind: "document", Count: 3, MinSize: 500}}},
		{Username: "talk", Files: []dctest.FileSpec{{Kind: "text", Count: 2}}},
	}})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	p := s.start("archive", "@media", "@talk", "-d", "out", "--watch")
	p.until("watching", func(event string, line []byte) bool {
		var w follow.Watching
		must(json.Unmarshal(line, &w))
		return event == "watching" && len(w.Chats) == 2 && w.Chats[1].Name == "@talk"
	})
	post := func(text string) {
		t.Helper()
		_, err := s.cluster.Post("media", dctest.Post{Text: text, Kind: "document", Size: 700})
		must(err)
	}
	post("new")
	var done transfer.FileDone
	p.until("the new file", func(event string, line []byte) bool {
		must(json.Unmarshal(line, &done))
		return event == "file_done" && done.Message == 4
	})
	must(s.cluster.Delete("media", 1))
	p.until("a deletion", func(event string, line []byte) bool {
		var change follow.ChatChanged
		must(json.Unmarshal(line, &change))
		return event == "chat_changed" && change.Deleted == 1 && change.Name == "@media"
	})
	must(p.cmd.Process.Signal(os.Interrupt))
	if code := p.wait(); code != exitInterrupted {
		t.Errorf("exit code %d, want %d: %s", code, exitInterrupted, p.stderr.String())
	}
	if last := p.out[len(p.out)-1]; !strings.Contains(last, `"run_done"`) || !strings.Contains(last, `"files_done":4,`) {
		t.Errorf("the last line is %s", last)
	}
	post("while nobody looks")
	stdout, _ := s.run(0, "resume") // ends
	if !strings.Contains(stdout, `"files_done":1,`) {
		t.Errorf("the next run told %s", stdout)
	}
	if stdout, _ = s.run(0, "jobs"); !strings.Contains(stdout, `"state":"interrupted"`) {
		t.Errorf("the watch that was not named is not on the list: %s", stdout)
	}
	b, err := os.ReadFile(filepath.Join(s.dir, "out", "media", "messages.jsonl"))
	must(err)
	if text := string(b); !strings.Contains(text, `{"_":"haul.deleted","id":1,`) || strings.Count(text, "\n") != 6 {
		t.Errorf("messages.jsonl is\n%s", text)
	}
}
