package follow_test

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/transfer"
)

// A run that goes on from what was on disk at any moment of another one leaves
// nothing out: the record never says more than is true.
func TestKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		rnd := rand.New(rand.NewPCG(seed, 3))
		// Few files at a time, so that the record is written while some are under way.
		cfg := channel(80, 240)
		cfg.RTT = dctest.Duration(300 * time.Millisecond)
		r := newRig(t, cfg)
		whole := r.dir
		var images []string
		at := map[int]bool{1 + rnd.IntN(77): true, 1 + rnd.IntN(77): true, 78: true} // by 78 all is listed
		done := 0
		r.must(job{on: func(e transfer.Event) {
			if _, ok := e.(transfer.FileDone); ok {
				if done++; at[done] {
					images = append(images, imageOf(t, whole))
				}
			}
		}})
		recorded := 0
		for _, image := range images {
			if _, err := os.Stat(filepath.Join(image, dctest.BigChannel, "progress.json")); err == nil {
				recorded++
			}
			r.dir, r.store = image, checkpoint.NewMemory()
			r.must(job{})
			r.whole()
		}
		if recorded == 0 || len(images) < 2 {
			t.Errorf("of %d images %d have a record", len(images), recorded)
		}
	})
}

// imageOf is a copy of a folder in which a run goes on: a file may get its
// final name just when it is to be copied, and then the copy is begun anew.
func imageOf(t *testing.T, dir string) string {
	t.Helper()
	for range 100 {
		image := filepath.Join(t.TempDir(), "x")
		err := os.CopyFS(image, os.DirFS(dir))
		if err == nil {
			return image
		}
		if !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
			break
		}
	}
	t.Error("no copy was whole")
	return ""
}
