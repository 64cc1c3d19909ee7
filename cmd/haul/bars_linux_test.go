package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/mattn/go-runewidth"

	"github.com/tghaul/haul/telegram/dctest"
)

// On a terminal of 40 columns each line fits, nothing has a colour, and whoever
// waits for Telegram sees for what, and for how long.
func TestTerminalBars(t *testing.T) {
	t.Parallel()
	c := terminalCluster(t, dctest.Config{
		DCBandwidth: 4 << 20,
		Channels:    []dctest.ChannelConfig{{Username: "media", Files: []dctest.FileSpec{{Kind: "document", Count: 2, MinSize: 5 << 20}}}},
		Faults:      []dctest.Fault{{Kind: "flood_wait", Method: "upload.getFile", At: []int64{8}, Seconds: 2}},
	})
	s := onTerminal(t, c, "login", "--phone", "+9996620001", "--code", "22222")
	s.exit(exitDone)
	s = s.again("archive", "@media", "-d", "out")
	if err := pty.Setsize(s.tty, &pty.Winsize{Rows: 30, Cols: 40}); err != nil {
		t.Fatal(err)
	}
	s.exit(exitDone)
	all := s.all()
	for _, want := range []string{`total`, `/ 10\.0 MiB`, `[0-9]+ (.i)?B/s`, `wait [12] s: upload\.getFile at DC 2`, `2 files done \(10\.0 MiB\)`} {
		if !regexp.MustCompile(want).MatchString(all) {
			t.Errorf("no %q on the screen:\n%q", want, all)
		}
	}
	if colour := regexp.MustCompile(`\x1b\[[0-9;]*m`).FindString(all); colour != "" {
		t.Errorf("a colour: %q", colour)
	}
	moves := regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]|\r`)
	_, bars, _ := strings.Cut(all, "total") // the width may have come after the first picture
	for line := range strings.SplitSeq(bars, "\n") {
		if line = moves.ReplaceAllString(line, ""); runewidth.StringWidth(line) > 40 && strings.Contains(line, "MiB /") {
			t.Errorf("%d columns: %q", runewidth.StringWidth(line), line)
		}
	}
}
