package checkpoint

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"testing"
)

// TestWriterRemembers: what commits keep in memory for the next ones is what is
// recorded. A store that forgets often, fails commits and is opened again is
// compared with a Memory, which keeps everything.
func TestWriterRemembers(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	s, twin := openForgetful(t, dir), NewMemory()
	defer func() { _ = s.Close() }()
	for step := range 120 {
		var b Batch
		for range 1 + rng.IntN(12) {
			randomChange(rng, &b, twin)
			if err := twin.Commit(&Batch{ops: b.ops[len(b.ops)-1:]}); err != nil {
				t.Fatal(err)
			}
		}
		if rng.IntN(6) == 0 { // one that fails changes nothing, in the store or in what is kept of it
			bad := b.Clone()
			k := someKey(rng)
			bad.Begin(someKey(rng), Download{Path: "bad", Size: 5000, PartSize: 1})
			if rng.IntN(2) == 0 {
				bad.Mark(k, 1<<20, 1)
			} else {
				bad.Forget(k)
				bad.Mark(k, 0, 1)
			}
			if err := s.Commit(bad); err == nil {
				t.Fatalf("seed %d, step %d: a part was marked that the file does not have", seed, step)
			}
		}
		if err := s.Commit(&b); err != nil {
			t.Fatalf("seed %d, step %d: %v", seed, step, err)
		}
		if rng.IntN(30) == 0 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openForgetful(t, dir)
		}
		if err := sameRecords(s, twin); err != nil {
			t.Fatalf("seed %d, step %d: %v", seed, step, err)
		}
	}
}

// openForgetful opens a store whose writer keeps next to nothing.
func openForgetful(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.writer.parts.limit, s.writer.pages.limit = 1, 1
	return s
}

const someKeys = 4

func someKey(rng *rand.Rand) Key          { return Key{Document: rng.Int64N(someKeys)} }
func someUpload(rng *rand.Rand) UploadKey { return UploadKey{Chat: rng.Int64N(someKeys)} }

// randomChange adds a change that is allowed in the state that the twin is in.
func randomChange(rng *rand.Rand, b *Batch, twin *Memory) {
	k, u := someKey(rng), someUpload(rng)
	d, begun, _ := twin.Download(k)
	up, known, _ := twin.Upload(u)
	const partSize = 10
	size := rng.Int64N(6000)
	switch n := rng.IntN(40); {
	case n < 2 || n < 20 && (!begun || d.Size == 0):
		b.Begin(k, Download{Path: fmt.Sprint(n), Size: size, PartSize: partSize})
	case n < 14:
		b.Mark(k, rng.IntN(int(d.Size+partSize-1)/partSize), rng.Uint32())
	case n < 17:
		b.Unmark(k, rng.IntN(int(d.Size+partSize-1)/partSize))
	case n < 19:
		b.Finish(k, Done{Path: "done", Size: d.Size, PartSize: partSize * (1 + rng.IntN(2))})
	case n < 20:
		b.Forget(k)
	case n < 22 || !known || up.Source.Size == 0:
		b.PutUpload(u, Upload{FileID: size, PartSize: partSize, Source: Source{Size: 3000}})
	case n < 34:
		b.Sent(u, rng.IntN(300))
	case n < 37:
		b.Unsent(u, rng.IntN(300))
	case n < 39:
		b.ForgetUpload(u)
	default:
		b.FinishUpload(u, "", Sent{})
	}
}

func sameRecords(s *Store, twin *Memory) error {
	for i := range int64(someKeys) {
		k, u := Key{Document: i}, UploadKey{Chat: i}
		got, found, err := s.Download(k)
		done, finished, errDone := s.Done(k)
		sums, errSums := s.Checksums(k)
		up, known, errUp := s.Upload(u)
		if err := errors.Join(err, errDone, errSums, errUp); err != nil {
			return err
		}
		if want, begun, _ := twin.Download(k); found != begun || got.Path != want.Path || got.Size != want.Size || !maps.Equal(got.Parts, want.Parts) {
			return fmt.Errorf("download %d: %+v %v, want %+v %v", i, got, found, want, begun)
		}
		if want, over, _ := twin.Done(k); finished != over || !reflect.DeepEqual(done, want) {
			return fmt.Errorf("finished download %d: %+v %v, want %+v %v", i, done, finished, want, over)
		}
		if want, _ := twin.Checksums(k); !maps.Equal(sums, want) {
			return fmt.Errorf("checksums of %d: %v, want %v", i, sums, want)
		}
		if want, begun, _ := twin.Upload(u); known != begun || up.FileID != want.FileID || !maps.Equal(up.Parts, want.Parts) {
			return fmt.Errorf("upload %d: %+v %v, want %+v %v", i, up, known, want, begun)
		}
	}
	return nil
}

// TestRecent: what is used stays, what is not is forgotten in the end.
func TestRecent(t *testing.T) {
	r := newRecent[int](10)
	r.put([]byte("used"), 7)
	r.put([]byte("unused"), 8)
	for i := range 100 {
		r.put(fmt.Append(nil, i), i)
		if v, ok := r.get([]byte("used")); !ok || v != 7 {
			t.Fatalf("after %d others: %d %v, want 7", i, v, ok)
		}
		r.age()
	}
	if _, ok := r.get([]byte("unused")); ok || len(r.young)+len(r.old) > 23 {
		t.Errorf("%d and %d kept of 102, the unused one among them: %v", len(r.young), len(r.old), ok)
	}
	r.drop([]byte("used"))
	if _, ok := r.get([]byte("used")); ok {
		t.Error("it is there after it was dropped")
	}
}

// TestCommitReadsNothing: marks of files that are under way need no record to be
// read, and change one page each.
func TestCommitReadsNothing(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	var b Batch
	for i := range int64(100) {
		b.Begin(Key{Document: i}, Download{Size: 1000, PartSize: 1})
		b.Mark(Key{Document: i}, 0, 1)
	}
	if err := s.Commit(&b); err != nil {
		t.Fatal(err)
	}
	w := &s.writer
	for i := range int64(100) {
		k := Key{Document: i}
		if n, ok := w.parts.get(k.bytes(prefixDownload)); !ok || n != 1000 {
			t.Fatalf("file %d: %d parts, %v", i, n, ok)
		}
		if p, ok := w.pages.get(pageKey(k.bytes(prefixPage), 0)); !ok || !p.marked(0) || p.dirty {
			t.Fatalf("file %d: page %+v, %v", i, p, ok)
		}
	}
	if len(w.dirty) != 0 || w.txn != nil {
		t.Errorf("%d pages left, transaction %v", len(w.dirty), w.txn)
	}
}
