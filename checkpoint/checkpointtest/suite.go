// Package checkpointtest checks that an implementation of the engine's
// checkpoint keeps what it promises.
package checkpointtest

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/tghaul/haul/checkpoint"
)

// A Checkpoint is what the suite checks.
type Checkpoint interface {
	Commit(*checkpoint.Batch) error
	Download(checkpoint.Key) (checkpoint.Download, bool, error)
	Done(checkpoint.Key) (checkpoint.Done, bool, error)
	Upload(checkpoint.UploadKey) (checkpoint.Upload, bool, error)
	Waits(now time.Time) ([]checkpoint.Wait, error)
	Limits() ([]checkpoint.Limit, error)
	Checksums(checkpoint.Key) (map[int]uint32, error)
	Jobs() ([]checkpoint.Job, error)
	Sent(job string, k checkpoint.UploadKey) (checkpoint.Sent, bool, error)
	SentSource(k checkpoint.UploadKey) (checkpoint.Sent, bool, error)
	SentContent(chat, size int64, sum [32]byte) (checkpoint.Sent, bool, error)
	SentOfSize(chat, size int64) (bool, error)
	SentMessages(chat int64) ([]int, error)
	Forward(job string, n int) (checkpoint.Forward, bool, error)
}

// Run checks an implementation. open returns an empty checkpoint; reopen, if
// not nil, closes one and opens it again, with what was committed to it.
func Run(t *testing.T, open func(*testing.T) Checkpoint, reopen func(*testing.T, Checkpoint) Checkpoint) {
	if reopen == nil {
		reopen = func(_ *testing.T, c Checkpoint) Checkpoint { return c }
	}
	t.Run("Empty", func(t *testing.T) { testEmpty(t, open(t)) })
	t.Run("Download", func(t *testing.T) { testDownload(t, open(t), reopen) })
	t.Run("Upload", func(t *testing.T) { testUpload(t, open(t), reopen) })
	t.Run("Limits", func(t *testing.T) { testLimits(t, open(t), reopen) })
	t.Run("Waits", func(t *testing.T) { testWaits(t, open(t), reopen) })
	t.Run("Checksums", func(t *testing.T) { testChecksums(t, open(t), reopen) })
	t.Run("Jobs", func(t *testing.T) { testJobs(t, open(t), reopen) })
	t.Run("Existing", func(t *testing.T) { testExisting(t, open(t), reopen) })
	t.Run("Forward", func(t *testing.T) { testForward(t, open(t), reopen) })
	t.Run("Range", func(t *testing.T) { testRange(t, open(t)) })
	t.Run("Random", func(t *testing.T) { testRandom(t, open(t), reopen) })
}

func testEmpty(t *testing.T, c Checkpoint) {
	if err := c.Commit(new(checkpoint.Batch)); err != nil {
		t.Errorf("Commit of an empty batch: %v", err)
	}
	if _, found, err := c.Download(checkpoint.Key{}); found || err != nil {
		t.Errorf("Download = %v, %v; want false, nil", found, err)
	}
	if _, found, err := c.Done(checkpoint.Key{}); found || err != nil {
		t.Errorf("Done = %v, %v; want false, nil", found, err)
	}
	if _, found, err := c.Upload(checkpoint.UploadKey{}); found || err != nil {
		t.Errorf("Upload = %v, %v; want false, nil", found, err)
	}
}

func commit(t *testing.T, c Checkpoint, fill func(*checkpoint.Batch)) {
	t.Helper()
	var b checkpoint.Batch
	fill(&b)
	if err := c.Commit(&b); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

func testDownload(t *testing.T, c Checkpoint, reopen func(*testing.T, Checkpoint) Checkpoint) {
	k := checkpoint.Key{Target: 1 << 63, Chat: -1001234567890, Message: 7, Document: -5}
	other := k
	other.Document++
	d := checkpoint.Download{Path: "a/b.mp4", Size: 1000 << 20, PartSize: 1 << 20}
	commit(t, c, func(b *checkpoint.Batch) {
		b.Begin(k, d)
		b.Begin(other, d)
		for _, part := range []int{0, 255, 256, 999} {
			b.Mark(k, part, uint32(part)*3)
		}
		b.Unmark(k, 255)
	})
	c = reopen(t, c)
	want := d
	want.Parts = map[int]uint32{0: 0, 256: 768, 999: 2997}
	checkDownload(t, c, k, want, true)
	want.Parts = map[int]uint32{}
	checkDownload(t, c, other, want, true)

	done := checkpoint.Done{Path: d.Path, Size: d.Size, SHA256: [32]byte{1, 2}, At: time.Unix(5, 0).UTC()}
	commit(t, c, func(b *checkpoint.Batch) { b.Finish(k, done) })
	c = reopen(t, c)
	checkDownload(t, c, k, checkpoint.Download{}, false)
	got, found, err := c.Done(k)
	if err != nil || !found || !got.At.Equal(done.At) || got.SHA256 != done.SHA256 || got.Path != done.Path || got.Size != done.Size {
		t.Errorf("Done = %+v, %v, %v; want %+v", got, found, err, done)
	}

	commit(t, c, func(b *checkpoint.Batch) { b.Begin(k, d) })
	want = d
	want.Parts = map[int]uint32{} // the marks of the first time are gone
	checkDownload(t, c, k, want, true)
	if _, found, _ := c.Done(k); found {
		t.Error("Done is still there after Begin")
	}
	commit(t, c, func(b *checkpoint.Batch) { b.Forget(k) })
	checkDownload(t, c, k, checkpoint.Download{}, false)
}

func checkDownload(t *testing.T, c Checkpoint, k checkpoint.Key, want checkpoint.Download, wantFound bool) {
	t.Helper()
	got, found, err := c.Download(k)
	if err != nil || found != wantFound || found && !reflect.DeepEqual(got, want) {
		t.Errorf("Download = %+v, %v, %v; want %+v, %v", got, found, err, want, wantFound)
	}
}

func testUpload(t *testing.T, c Checkpoint, reopen func(*testing.T, Checkpoint) Checkpoint) {
	k := checkpoint.UploadKey{Source: 9, Chat: 42}
	u := checkpoint.Upload{
		FileID: -1 << 63, RandomID: 77, PartSize: 512 << 10, Big: true,
		Source:  checkpoint.Source{Size: 300 << 20, ModTime: time.Unix(1, 5).UTC(), Inode: 1 << 63},
		Started: time.Unix(9, 0).UTC(),
	}
	commit(t, c, func(b *checkpoint.Batch) {
		b.PutUpload(k, u)
		b.Sent(k, 0)
		b.Sent(k, 599)
		b.Sent(k, 300)
		b.Unsent(k, 300)
	})
	u.Media = &checkpoint.Media{Photo: true, ID: 1<<62 + 1, AccessHash: -1, FileReference: []byte{0, 255}, SHA256: [32]byte{7}}
	commit(t, c, func(b *checkpoint.Batch) { b.PutUpload(k, u) })
	c = reopen(t, c)
	got, found, err := c.Upload(k)
	want := u
	want.Parts = map[int]bool{0: true, 599: true}
	if err != nil || !found || !reflect.DeepEqual(got, want) {
		t.Errorf("Upload = %+v, %v, %v; want %+v", got, found, err, want)
	}
	commit(t, c, func(b *checkpoint.Batch) { b.ForgetUpload(k); b.PutUpload(k, u) })
	got, _, err = c.Upload(k)
	if err != nil || len(got.Parts) != 0 {
		t.Errorf("parts after ForgetUpload: %v, %v; want none", got.Parts, err)
	}
}

func testWaits(t *testing.T, c Checkpoint, reopen func(*testing.T, Checkpoint) Checkpoint) {
	now := time.Unix(1000, 0).UTC()
	long := checkpoint.Wait{DC: 4, Method: "upload.getFile", Until: now.Add(time.Hour)}
	commit(t, c, func(b *checkpoint.Batch) {
		b.PutWait(checkpoint.Wait{DC: 4, Method: "upload.getFile", Until: now.Add(time.Minute)})
		b.PutWait(long)
		b.PutWait(checkpoint.Wait{DC: 2, Method: "upload.getFile", Until: now})
	})
	c = reopen(t, c)
	got, err := c.Waits(now)
	if err != nil || len(got) != 1 || got[0] != long {
		t.Errorf("Waits = %v, %v; want only %v", got, err, long)
	}
}

func testRange(t *testing.T, c Checkpoint) {
	k := checkpoint.Key{Document: 1}
	commit(t, c, func(b *checkpoint.Batch) { b.Begin(k, checkpoint.Download{Size: 10, PartSize: 4}) })
	for _, part := range []int{-1, 3, 1 << 40} {
		var b checkpoint.Batch
		b.Mark(k, part, 1)
		if err := c.Commit(&b); err == nil {
			t.Errorf("part %d of 3 was marked without an error", part)
		}
	}
	for _, d := range []checkpoint.Download{{Size: -1, PartSize: 1}, {Size: 1 << 62, PartSize: 1}, {Size: 1}} {
		var b checkpoint.Batch
		b.Begin(k, d)
		if err := c.Commit(&b); err == nil {
			t.Errorf("Begin(%+v): no error", d)
		}
	}
}

// testRandom compares random batches with a dumb model.
func testRandom(t *testing.T, c Checkpoint, reopen func(*testing.T, Checkpoint) Checkpoint) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	type entry struct {
		parts map[int]uint32
		done  bool
		sums  bool // done, and the parts are the checksums
	}
	model := make(map[checkpoint.Key]*entry)
	const size, partSize = 700, 1
	for round := range 40 {
		var b checkpoint.Batch
		for range 1 + rng.IntN(50) {
			k := checkpoint.Key{Target: 3, Chat: int64(rng.IntN(2)), Message: rng.IntN(3), Document: int64(rng.IntN(3))}
			e := model[k]
			switch op := rng.IntN(20); {
			case e == nil || op == 0:
				b.Begin(k, checkpoint.Download{Size: size, PartSize: partSize})
				model[k] = &entry{parts: make(map[int]uint32)}
			case op == 1:
				b.Forget(k)
				delete(model, k)
			case op == 2:
				sums := rng.IntN(3) > 0 && !e.done
				d := checkpoint.Done{Size: size}
				if sums {
					d.PartSize = partSize
				}
				b.Finish(k, d)
				model[k] = &entry{parts: e.parts, done: true, sums: sums}
			case e.done:
			case op < 6:
				part := rng.IntN(size)
				b.Unmark(k, part)
				delete(e.parts, part)
			default:
				part, crc := rng.IntN(size), rng.Uint32()
				b.Mark(k, part, crc)
				e.parts[part] = crc
			}
		}
		if err := c.Commit(&b); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if round%10 == 9 {
			c = reopen(t, c)
		}
		for k, e := range model {
			d, found, err := c.Download(k)
			if err != nil || found == e.done || found && !reflect.DeepEqual(d.Parts, e.parts) {
				t.Fatalf("round %d: Download(%v) = %v, %v, %v; want %v, %v", round, k, d.Parts, found, err, e.parts, !e.done)
			}
			if _, found, err := c.Done(k); err != nil || found != e.done {
				t.Fatalf("round %d: Done(%v) = %v, %v; want %v", round, k, found, err, e.done)
			}
			sums, err := c.Checksums(k)
			if want := len(e.parts); err != nil || e.sums && !maps.Equal(sums, e.parts) || !e.sums && len(sums) > 0 {
				t.Fatalf("round %d: Checksums(%v) = %v, %v; want the %d marked, if they were kept: %v", round, k, sums, err, want, e.sums)
			}
		}
	}
}

// testLimits: the last record of a limit counts, and ordinary and Premium
// limits are different ones.
func testLimits(t *testing.T, c Checkpoint, reopen func(*testing.T, Checkpoint) Checkpoint) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	want := []checkpoint.Limit{
		{DC: 2, Method: "upload.getFile", Rate: 12.5, At: at, Standing: json.RawMessage(`{"phase":"holding"}`)},
		{DC: 2, Method: "upload.getFile", Premium: true, InFlight: 4, At: at},
	}
	commit(t, c, func(b *checkpoint.Batch) {
		b.PutLimit(checkpoint.Limit{DC: 2, Method: "upload.getFile", Rate: 99})
		b.PutLimit(want[0])
		b.PutLimit(want[1])
	})
	c = reopen(t, c)
	got, err := c.Limits()
	slices.SortFunc(got, func(a, b checkpoint.Limit) int { return a.InFlight - b.InFlight })
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Limits = %v, %v; want %v", got, err, want)
	}
}
