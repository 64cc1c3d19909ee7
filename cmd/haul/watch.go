package main

import (
	"fmt"
	"strings"

	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive/follow"
)

// watchLine is what an event of a watch says in a line, "" if nothing.
func watchLine(e transfer.Event) string {
	switch e := e.(type) {
	case follow.Watching:
		return watchingLine(e) + "; Ctrl-C ends it"
	case follow.ChatChanged:
		return fmt.Sprintf("%s: %s", e.Name, changes(e))
	case follow.HistoryGap:
		return fmt.Sprintf("%s: more has happened than Telegram tells; what is new is listed, --full finds what was edited or deleted", e.Name)
	case follow.WatchTrouble:
		return fmt.Sprintf("%s cannot be asked for what is new: %s; trying again in %.0f s", e.Name, e.Error, e.Seconds)
	case follow.WatchRecovered:
		return e.Name + " answers again"
	case follow.WatchLost:
		return fmt.Sprintf("%s is not watched any more: %s", e.Name, e.Error)
	default:
		return ""
	}
}

// watchingLine says what is watched, and what is waited for.
func watchingLine(e follow.Watching) string {
	var names []string
	polled := 0
	for _, chat := range e.Chats {
		names = append(names, chat.Name)
		if chat.By == follow.ByPolling {
			polled++
		}
	}
	line := "watching " + strings.Join(names, ", ") + ": waiting for new messages"
	switch {
	case polled == len(e.Chats):
		line += " (a look each minute)"
	case polled > 0:
		line += fmt.Sprintf(" (%d of them by a look each minute)", polled)
	}
	return line
}

// changes counts what has happened: "3 new, 1 deleted".
func changes(e follow.ChatChanged) string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{e.New, "new"}, {e.Edited, "edited"}, {e.Deleted, "deleted"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	return strings.Join(parts, ", ")
}
