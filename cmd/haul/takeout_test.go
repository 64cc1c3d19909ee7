//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tghaul/haul/telegram/dctest"
)

// TestTakeout follows the takeout session of one job: finished without success
// when the run is interrupted, left open when it is killed, resumed, and
// finished with success once all is there.
func TestTakeout(t *testing.T) {
	t.Parallel()
	s := newStage(t, dctest.Config{ConnBandwidth: 2 << 20, Accounts: []dctest.AccountConfig{
		{Token: dctest.BotToken}, {Phone: dctest.Phone, Code: dctest.Code},
	}})
	if _, stderr := s.run(exitUsage, "dl", "https://t.me/media/1", "-d", "out", "--takeout"); !strings.Contains(stderr, "bots have no takeout") {
		t.Errorf("a bot is told %q", stderr)
	}
	s.run(0, "-n", "user", "login", "--phone", dctest.Phone, "--code", dctest.Code)
	check := func(when, stderr, says string, begun, finished, succeeded int64) {
		t.Helper()
		if !strings.Contains(stderr, says) {
			t.Errorf("%s it said %q, want %q", when, stderr, says)
		}
		got := s.cluster.Stats().Takeouts
		if got.Begun != begun || got.Finished != finished || got.Succeeded != succeeded || got.Refused != 0 {
			t.Errorf("%s there were %+v, want %d begun, %d finished, %d of them with success", when, got, begun, finished, succeeded)
		}
	}
	p := s.start("-n", "user", "dl", "https://t.me/media/1", "-d", "out", "--takeout")
	p.moved(2 << 20)
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(); code != exitInterrupted {
		t.Errorf("exit code %d, want %d", code, exitInterrupted)
	}
	// Only a machine that is busier than busy cannot tell it in time; then the
	// takeout session must go on.
	begins, begun, finished := "a takeout session has begun", int64(1), int64(1)
	if strings.Contains(p.stderr.String(), "could not be finished") {
		finished = 0
	}
	check("interrupted", p.stderr.String(), begins, begun, finished, 0)
	if begun += finished; finished == 0 {
		begins = "goes on"
	}

	p = s.start("-n", "user", "resume")
	p.moved(1 << 20)
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.wait()
	check("killed", p.stderr.String(), begins, begun, finished, 0)

	_, stderr := s.run(0, "-n", "user", "resume")
	check("at the end", stderr, "takeout session of an earlier run goes on", begun, finished+1, 1)
	directions[0].check(s)
	stats := s.cluster.Stats()
	if within, all := stats.Takeouts.Calls["upload.getFile"], stats.Methods["upload.getFile"]["2"].Answers; within < all {
		t.Errorf("%d parts within the takeout sessions, %d in all", within, all)
	}
}

// TestTakeoutExplained: what keeps a takeout session from beginning, or ends
// it, is said in words, and everything is fetched all the same.
func TestTakeoutExplained(t *testing.T) {
	t.Parallel()
	const delayed, second = "+9996620002", "+9996620003"
	s := newStage(t, dctest.Config{
		Accounts: []dctest.AccountConfig{
			{Token: dctest.BotToken}, {Phone: delayed, Code: "1", TakeoutDelay: dctest.Duration(24 * time.Hour)}, {Phone: second, Code: "2"},
		},
		Channels: []dctest.ChannelConfig{{Username: "media", Files: []dctest.FileSpec{{Kind: "document", Count: 1, MinSize: 3 << 20}}}},
		Faults:   []dctest.Fault{{Kind: "takeout_ended", Method: "upload.getFile", Rate: 1}},
	})
	fetch := func(name string, says ...string) {
		t.Helper()
		_, stderr := s.run(0, "-n", name, "archive", "@media", "-d", name, "--takeout")
		for _, want := range says {
			if !strings.Contains(stderr, want) {
				t.Errorf("%s is told %q, want %q in it", name, stderr, want)
			}
		}
		if names, _ := filepath.Glob(filepath.Join(s.dir, name, "media", "*.bin")); len(names) != 1 {
			t.Errorf("%s has %v, want one file", name, names)
		}
	}
	s.run(0, "-n", "delayed", "login", "--phone", delayed, "--code", "1")
	s.run(0, "-n", "second", "login", "--phone", second, "--code", "2")
	fetch("delayed", "open the chat \"Telegram\"", "start it again at once", "begin in 24h0m0s, from 20", "going on without it")
	fetch("second", "a takeout session has begun", "Telegram has ended the takeout session before the run was over (TAKEOUT_INVALID)")
}
