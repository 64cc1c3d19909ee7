package checkpointtest

import (
	"maps"
	"reflect"
	"testing"
	"time"

	"github.com/tghaul/haul/checkpoint"
)

// testChecksums: the marks of a download that is done stay as its checksums,
// until it begins anew.
func testChecksums(t *testing.T, c Checkpoint, reopen func(*testing.T, Checkpoint) Checkpoint) {
	k := checkpoint.Key{Target: 8, Chat: -3, Message: 2, Document: 1}
	d := checkpoint.Download{Path: "a", Size: 600, PartSize: 2}
	want := map[int]uint32{0: 5, 255: 6, 256: 7, 299: 8}
	begin := func(b *checkpoint.Batch) {
		b.Begin(k, d)
		for part, crc := range want {
			b.Mark(k, part, crc)
		}
	}
	check := func(when string, want map[int]uint32) {
		t.Helper()
		got, err := c.Checksums(k)
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%s: Checksums = %v, %v; want %v", when, got, err, want)
		}
	}
	check("empty", nil)
	commit(t, c, begin)
	check("unfinished", nil)
	commit(t, c, func(b *checkpoint.Batch) { b.Finish(k, checkpoint.Done{Path: "a", Size: 600, PartSize: 2}) })
	c = reopen(t, c)
	check("finished", want)
	if got, _, err := c.Done(k); err != nil || got.PartSize != 2 {
		t.Errorf("Done = %+v, %v; want part size 2", got, err)
	}
	commit(t, c, func(b *checkpoint.Batch) { b.Begin(k, d); b.Mark(k, 9, 9) })
	checkMarks(t, c, k, map[int]uint32{9: 9}) // nothing of the old ones
	check("begun anew", nil)

	commit(t, c, func(b *checkpoint.Batch) { begin(b); b.Finish(k, checkpoint.Done{Path: "a", Size: 600, PartSize: 4}) })
	check("finished with other parts", nil)
	if got, _, err := c.Done(k); err != nil || got.PartSize != 0 {
		t.Errorf("Done = %+v, %v; want no part size", got, err)
	}
	commit(t, c, func(b *checkpoint.Batch) { begin(b); b.Finish(k, checkpoint.Done{Path: "a", Size: 600, PartSize: 2}) })
	check("finished again", want) // all in one batch
	commit(t, c, func(b *checkpoint.Batch) { b.Forget(k) })
	check("forgotten", nil)
	commit(t, c, func(b *checkpoint.Batch) { b.Begin(k, d) })
	checkMarks(t, c, k, map[int]uint32{})
}

func checkMarks(t *testing.T, c Checkpoint, k checkpoint.Key, want map[int]uint32) {
	t.Helper()
	got, found, err := c.Download(k)
	if err != nil || !found || !maps.Equal(got.Parts, want) {
		t.Errorf("Download = %v, %v, %v; want parts %v", got, found, err, want)
	}
}

// testJobs: jobs come back as they were put, the oldest first; what one has
// sent is known until it is forgotten, and is nobody else's.
func testJobs(t *testing.T, c Checkpoint, reopen func(*testing.T, Checkpoint) Checkpoint) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	young := checkpoint.Job{
		ID: "ab", Command: "up", Args: []string{"/x", "/y"}, Flags: map[string]string{"to": "@z"},
		Tuning: map[string]string{"transfers": "6"}, Created: at.Add(time.Hour), LastRun: at.Add(2 * time.Hour), State: "failed",
		Reason: "1 of 2 files failed", FilesDone: 1, FilesFailed: 1, FilesKnown: 2, ListDone: true, BytesDone: 5, BytesKnown: 9,
	}
	old := checkpoint.Job{ID: "b", Command: "dl", Args: []string{"https://t.me/x/1"}, Created: at, LastRun: at}
	k := checkpoint.UploadKey{Source: 3, Chat: -9}
	sent := checkpoint.Sent{
		Source:   checkpoint.Source{Size: 4, ModTime: at, Inode: 7},
		Document: -5, Message: 12, SHA256: [32]byte{1}, At: at,
	}
	commit(t, c, func(b *checkpoint.Batch) {
		b.PutJob(checkpoint.Job{ID: "ab", Command: "replaced"})
		b.PutJob(young)
		b.PutJob(old)
		b.PutUpload(k, checkpoint.Upload{FileID: 1, PartSize: 1, Source: sent.Source})
		b.Sent(k, 2)
		b.FinishUpload(k, "ab", sent)
		b.FinishUpload(k, "a", checkpoint.Sent{Message: 1})
		b.FinishUpload(k, "", checkpoint.Sent{Message: 2})
	})
	c = reopen(t, c)
	got, err := c.Jobs()
	if want := []checkpoint.Job{old, young}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Jobs = %+v, %v; want %+v", got, err, want)
	}
	if _, found, err := c.Upload(k); err != nil || found {
		t.Errorf("Upload after FinishUpload: %v, %v; want none", found, err)
	}
	checkSent := func(job string, want checkpoint.Sent, wantFound bool) {
		t.Helper()
		got, found, err := c.Sent(job, k)
		if err != nil || found != wantFound || found && got != want {
			t.Errorf("Sent(%q) = %+v, %v, %v; want %+v, %v", job, got, found, err, want, wantFound)
		}
	}
	checkSent("ab", sent, true)
	checkSent("", checkpoint.Sent{}, false)
	commit(t, c, func(b *checkpoint.Batch) { b.ForgetSent("a") })
	checkSent("ab", sent, true) // "a" begins "ab"
	checkSent("a", checkpoint.Sent{}, false)
	commit(t, c, func(b *checkpoint.Batch) { b.ForgetJob("ab") })
	checkSent("ab", sent, false)
	if got, err := c.Jobs(); err != nil || len(got) != 1 || got[0].ID != "b" {
		t.Errorf("Jobs after ForgetJob = %+v, %v; want only b", got, err)
	}
}
