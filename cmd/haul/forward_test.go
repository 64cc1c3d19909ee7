//go:build unix

package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/tghaul/haul/telegram/dctest"
)

// A haul forward that is killed goes on where it was: each message is forwarded
// once, in order. What it has been told to wait is shown.
func TestKillForward(t *testing.T) {
	t.Parallel()
	s := newStage(t, dctest.Config{
		Channels: []dctest.ChannelConfig{
			{Username: "media", Files: []dctest.FileSpec{{Kind: "document", Count: 250, MinSize: 100}}},
			{Username: "there"},
		},
		Faults: []dctest.Fault{{Kind: "flood_wait", Method: "messages.forwardMessages", At: []int64{2}, Seconds: 2}},
	})
	p := s.start("forward", "@media", "--to", "@there")
	p.until("the wait", func(event string, line []byte) bool {
		return event == "flood_wait" && strings.Contains(string(line), `"reason":"FLOOD_WAIT"`)
	})
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.wait()
	out, _ := s.run(0, "jobs")
	if !strings.Contains(out, `"files_done":`) || !strings.Contains(out, "killed") {
		t.Errorf("jobs: %s", out)
	}
	out, _ = s.run(0, "resume")
	if !strings.Contains(out, `"messages":150,"albums":0,"earlier":100`) {
		t.Errorf("resume: %s", out)
	}
	out, _ = s.run(0, "ls", "@there", "--reverse")
	var got, want []string
	for line := range strings.Lines(out) {
		var f listed
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		got = append(got, f.Name)
	}
	for _, f := range s.cluster.Files() {
		if f.Channel == "media" {
			want = append(want, f.Name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d messages, want %d, each once and in order", len(got), len(want))
	}
}
