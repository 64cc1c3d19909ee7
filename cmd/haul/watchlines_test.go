package main

import (
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"

	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive/follow"
)

// What a watch tells people, in a line each.
func TestWatchLines(t *testing.T) {
	chat := func(name, by string) follow.Watched { return follow.Watched{Name: name, By: by} }
	for _, c := range []struct {
		e    transfer.Event
		want string
	}{
		{follow.Watching{Chats: []follow.Watched{chat("@a", follow.ByDifference)}}, "watching @a: waiting for new messages; Ctrl-C ends it"},
		{
			follow.Watching{Chats: []follow.Watched{chat("@a", follow.ByDifference), chat("me", follow.ByPolling)}},
			"watching @a, me: waiting for new messages (1 of them by a look each minute); Ctrl-C ends it",
		},
		{follow.Watching{Chats: []follow.Watched{chat("me", follow.ByPolling)}}, "watching me: waiting for new messages (a look each minute); Ctrl-C ends it"},
		{follow.ChatChanged{Name: "@a", New: 3, Deleted: 1}, "@a: 3 new, 1 deleted"},
		{follow.ChatChanged{Name: "a\x1b[2J", Edited: 2}, "a[2J: 2 edited"},
		{follow.WatchTrouble{Name: "@a", Error: "no answer", Seconds: 4}, "@a cannot be asked for what is new: no answer; trying again in 4 s"},
		{follow.WatchRecovered{Name: "@a"}, "@a answers again"},
		{follow.WatchLost{Name: "@a", Error: "no access"}, "@a is not watched any more: no access"},
		{follow.HistoryGap{Name: "@a"}, "@a: more has happened than Telegram tells; what is new is listed, --full finds what was edited or deleted"},
	} {
		if got := lineOf(c.e); got != c.want {
			t.Errorf("%T: %q, want %q", c.e, got, c.want)
		}
	}
}

// The line below the bars fits, and counts down.
func TestWaitLine(t *testing.T) {
	now := time.Unix(1000, 0)
	watching := &waitLine{what: "watching @a, @b: waiting for new messages"}
	trouble := &waitLine{what: "@a cannot be asked for what is new, trying again in", until: now.Add(4 * time.Second)}
	for width := 10; width < 90; width++ {
		for _, w := range []*waitLine{watching, trouble} {
			if got := w.text(now, width); runewidth.StringWidth(got) > width {
				t.Errorf("%d columns: %q", width, got)
			}
		}
	}
	if got := trouble.text(now, 80); !strings.HasSuffix(got, "trying again in 4 s") {
		t.Errorf("trouble: %q", got)
	}
	if got := watching.text(now, 20); got != "watching @a, @b: wa…" {
		t.Errorf("watching: %q", got)
	}
}

// While nothing happens, progress is told once a minute.
func TestIdle(t *testing.T) {
	var i idle
	told := 0
	at := func(second int, change func(*transfer.Progress)) {
		p := transfer.Progress{Header: transfer.Header{Time: time.Unix(int64(second), 0)}, FilesDone: 3}
		if change != nil {
			change(&p)
		}
		if !i.skips(p) {
			told++
		}
	}
	for s := range 150 {
		at(s, nil)
	}
	if told != 3 {
		t.Errorf("told %d times in 150 s, want 3", told)
	}
	at(151, func(p *transfer.Progress) { p.Active = make([]transfer.FileProgress, 1) })
	at(152, func(p *transfer.Progress) { p.FilesDone = 4 })
	if told != 5 || i.skips(transfer.FileDone{}) {
		t.Errorf("told %d times, want 5", told)
	}
}
