package transfer

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A file that was begun, or is done, is known by its path until it is gone.
func TestKnownPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 20<<20, 2)
		b.latency = time.Second
		known := func(want string) {
			t.Helper()
			d := Download{File: b.files[1].File, Dir: b.root} // what it is called now does not count
			if got, err := NewFor(b, b.opts).KnownPath(d); err != nil || got != want {
				t.Errorf("known path is %q, %v; want %q", got, err, want)
			}
		}
		known("")
		b.stopAt(1500 * time.Millisecond)
		name := b.names()[0]
		known(strings.TrimSuffix(name, partSuffix))
		b.mustDownload()
		known("file1.bin")
		if err := b.root.Remove("file1.bin"); err != nil {
			t.Fatal(err)
		}
		known("")
	})
}
