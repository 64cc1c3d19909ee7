package main

import (
	"testing"

	"github.com/tghaul/haul/transfer"
)

// TestLastPicture: the bar is full at the end if all is there, and only then.
func TestLastPicture(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		listed                bool
		done, skipped, failed int
		want                  int64
	}{
		"all done":     {true, 3, 1, 0, 100},
		"interrupted":  {true, 1, 1, 0, 40},
		"one failed":   {true, 2, 1, 1, 40},
		"still listed": {false, 3, 1, 0, 40},
	} {
		p := transfer.Progress{FilesKnown: 4, ListComplete: c.listed, BytesDone: 40, BytesKnown: 100, BytesRate: 5}
		e := transfer.RunDone{Counters: transfer.Counters{FilesDone: c.done, FilesSkipped: c.skipped, FilesFailed: c.failed}}
		if got := lastPicture(p, e); got.BytesDone != c.want || got.FilesDone != c.done || got.BytesRate != 0 {
			t.Errorf("%s: %+v, want %d bytes", name, got, c.want)
		}
	}
}
