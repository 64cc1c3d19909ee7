package checkpointtest

import (
	"slices"
	"testing"
	"time"

	"github.com/tghaul/haul/checkpoint"
)

// testExisting: what was sent is known by source and content beyond its job, in
// its chat alone.
func testExisting(t *testing.T, c Checkpoint, reopen func(*testing.T, Checkpoint) Checkpoint) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	sent := func(message int, sum byte, path uint64, size int64) checkpoint.Sent {
		return checkpoint.Sent{
			Source: checkpoint.Source{Size: 4, ModTime: at}, Document: 1, Message: message, SHA256: [32]byte{sum}, At: at, Path: path, Size: size,
		}
	}
	whole, again, piece := sent(12, 1, 77, 0), sent(15, 1, 77, 0), sent(13, 2, 0, 3)
	k := checkpoint.UploadKey{Source: 3, Chat: -9}
	commit(t, c, func(b *checkpoint.Batch) {
		b.FinishUpload(k, "job", whole)
		b.FinishUpload(checkpoint.UploadKey{Source: 4, Chat: -9}, "", piece)
		b.FinishUpload(checkpoint.UploadKey{Source: 5, Chat: -9}, "", sent(0, 3, 78, 0))                     // its number is not known
		b.FinishUpload(checkpoint.UploadKey{Source: 6, Chat: -9}, "", checkpoint.Sent{Message: 3, Path: 79}) // nor its content
		b.FinishUpload(checkpoint.UploadKey{Source: 3, Chat: 8}, "", sent(99, 1, 0, 0))                      // elsewhere
	})
	c = reopen(t, c)
	commit(t, c, func(b *checkpoint.Batch) { b.ForgetJob("job") })
	check := func(path uint64, size int64, sum byte, source, content *checkpoint.Sent) {
		t.Helper()
		got, found, err := c.SentSource(checkpoint.UploadKey{Source: path, Chat: -9})
		if err != nil || found != (source != nil) || found && got != *source {
			t.Errorf("SentSource(%d) = %+v, %v, %v; want %+v", path, got, found, err, source)
		}
		got, found, err = c.SentContent(-9, size, [32]byte{sum})
		if err != nil || found != (content != nil) || found && got != *content {
			t.Errorf("SentContent(%d, %d) = %+v, %v, %v; want %+v", size, sum, got, found, err, content)
		}
	}
	check(77, 4, 1, &whole, &whole)
	check(0, 3, 2, nil, &piece)
	check(78, 4, 3, nil, nil)
	check(79, 4, 2, nil, nil)
	for size, want := range map[int64]bool{4: true, 3: true, 5: false} {
		if got, err := c.SentOfSize(-9, size); err != nil || got != want {
			t.Errorf("SentOfSize(%d) = %v, %v; want %v", size, got, err, want)
		}
	}
	commit(t, c, func(b *checkpoint.Batch) { b.FinishUpload(k, "", again) })
	check(77, 4, 1, &again, &again)
	if ids, err := c.SentMessages(-9); err != nil || !slices.Equal(ids, []int{13, 15}) {
		t.Errorf("SentMessages = %v, %v; want 13, 15", ids, err)
	}
}
