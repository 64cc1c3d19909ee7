package follow_test

import (
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
					image := t.TempDir()
					if err := os.CopyFS(filepath.Join(image, "x"), os.DirFS(whole)); err != nil {
						t.Error(err)
					}
					images = append(images, filepath.Join(image, "x"))
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
