package main

import (
	"context"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
)

// An idTarget is a file id of the Bot API among the arguments of dl.
type idTarget struct {
	arg  string
	file telegram.File
}

// idName is a file id as lists show it: it opens a file, so not all of it.
func idName(arg string) string { return "file id " + arg[:12] + "…" }

// fileIDs yields the files of ids, once their sizes are found; a dry run does
// without. It reports whether more files are wanted. An id that is good for
// nothing is missed, and stops no other.
func (l *fetchList) fileIDs(ctx context.Context, yield func(found, error) bool) bool {
	var names transfer.Names
	for _, t := range l.ids {
		if l.pass.Full() {
			return false
		}
		f := t.file
		if l.measure != nil {
			var err error
			if f, err = l.measure(ctx, f); ctx.Err() != nil {
				yield(found{}, ctx.Err())
				return false
			}
			if err != nil {
				l.miss(idName(t.arg), err)
				continue
			}
		}
		l.pass.Files++
		if !yield(found{file: f, path: names.Take(f.Name, f.ID)}, nil) {
			return false
		}
	}
	return true
}
