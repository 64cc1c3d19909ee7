package transfer_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/telegram/dctest/content"
	"github.com/tghaul/haul/transfer"
)

// A mortal store forgets nothing that was committed before it died, and takes
// nothing afterwards: what a kill -9 leaves behind.
type mortal struct {
	transfer.Checkpoint
	dead atomic.Bool
}

func (m *mortal) Commit(b *checkpoint.Batch) error {
	if m.dead.Load() {
		return nil
	}
	return m.Checkpoint.Commit(b)
}

// TestAlbumKilled: haul is killed at random moments, over and over, while the
// answers to what sends messages are lost now and then. Each file is one message
// in the end, and those that were never heard of again stand in albums.
func TestAlbumKilled(t *testing.T) {
	t.Parallel()
	for i := range 5 {
		seed := uint64(i + 1)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			onStage(t, dctest.Config{Seed: seed, Faults: []dctest.Fault{
				{Kind: "cut_answer", Method: "messages.sendMultiMedia", Rate: 0.3},
				{Kind: "cut_answer", Method: "messages.uploadMedia", Rate: 0.1},
				{Kind: "error", Method: "messages.sendMultiMedia", At: []int64{2}, Code: 400, Message: "FILE_REFERENCE_0_EXPIRED"},
			}}, func(t *testing.T, s *stage) { albumKilled(t, s, rand.New(rand.NewPCG(seed, 5))) })
		})
	}
}

func albumKilled(t *testing.T, s *stage, rnd *rand.Rand) {
	before := s.newest(1)[0].ID
	var uploads []transfer.Upload
	for i := range int64(7) {
		uploads = append(uploads, transfer.Upload{Path: s.made(fmt.Sprintf("%d.jpg", i), content.Photo, i+1), As: media, Caption: "c", Job: "j"})
	}
	for i := range 4 {
		uploads = append(uploads, transfer.Upload{Path: s.file(fmt.Sprintf("t%d.txt", i), fmt.Append(nil, "text ", i)), As: media, Caption: "c", Job: "j"})
	}
	last := s.store
	for range 5 {
		store := &mortal{Checkpoint: last}
		s.store = store
		ctx, cancel := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { _, _ = s.send(ctx, true, uploads...) })
		time.Sleep(time.Duration(rnd.IntN(500)) * time.Millisecond)
		store.dead.Store(true)
		cancel()
		run.Wait()
	}
	s.store = last
	report, err := s.send(t.Context(), true, uploads...)
	if err != nil || report.FilesDone+report.FilesSkipped != len(uploads) {
		t.Fatalf("%v, %d done, %d skipped, failed %v", err, report.FilesDone, report.FilesSkipped, report.Failed)
	}
	if got := s.newest(1)[0].ID - before; got != len(uploads) {
		t.Errorf("%d messages, want %d", got, len(uploads))
	}
	if got := groups(s.newest(len(uploads))); strings.Count(got, "p") != 7 || strings.Count(got, "d") != 4 || strings.Count(got, "|") > 4 {
		t.Errorf("groups %s", got)
	}
	seen := make(map[string]bool)
	for _, f := range s.cluster.Stats().Sent {
		if seen[f.SHA256] {
			t.Errorf("%s was sent twice", f.Name)
		}
		seen[f.SHA256] = true
	}
}
