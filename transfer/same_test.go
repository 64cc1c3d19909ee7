package transfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/tghaul/haul/tl"
)

// twins lists copies of file 1, each under a name of its own, and file 2. have
// is what Local finds.
type twins struct {
	*bench
	copies int
	mu     sync.Mutex
	have   string // path of the first copy that is done
	active int    // copies under way
	most   int
}

func (w *twins) list(yield func(Download, error) bool) {
	for n := range w.copies {
		d := Download{File: w.files[1].File, Dir: w.root, Path: fmt.Sprintf("copy%d", n), Same: "1"}
		d.File.Origin.MessageID = 100 + n
		if n == 2 {
			d.Path = "folder/" + d.Path
		}
		d.Local = func(context.Context) (Local, error) { return w.local(d.Path) }
		d.Finished = func(res FileResult) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.have == "" {
				w.have = res.Path
			}
			w.active--
			return nil
		}
		if !yield(d, nil) {
			return
		}
	}
	yield(Download{File: w.files[2].File, Dir: w.root}, nil)
}

func (w *twins) local(path string) (Local, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.active++
	w.most = max(w.most, w.active)
	if w.have == "" {
		return Local{}, nil
	}
	if path == "copy1" { // it stays where it is
		return Local{Found: true, Elsewhere: true, SHA256: sha256.Sum256(w.files[1].data)}, nil
	}
	if err := w.root.MkdirAll(pathDir(path), 0o755); err != nil {
		return Local{}, err
	}
	return Local{Found: true, SHA256: sha256.Sum256(w.files[1].data)}, w.root.Link(w.have, path)
}

// Of files of one content one is fetched, and the others are had from it. They
// wait without a turn of their own.
func TestSame(t *testing.T) {
	for _, transfers := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.opts.Transfers = transfers
			b.add(1, 5<<20, 2)
			b.add(2, 5<<20, 2)
			w := &twins{bench: b, copies: 5}
			report, err := b.download(w.list)
			if err != nil || report.FilesDone != 2 || report.FilesSkipped != 4 || len(report.Failed) > 0 {
				t.Fatalf("%+v, %v", report, err)
			}
			if report.BytesReceived != 10<<20 || w.most != 1 {
				t.Errorf("%d bytes received, %d copies at a time", report.BytesReceived, w.most)
			}
			for _, name := range []string{"copy0", "folder/copy2", "copy4"} {
				if got, err := b.root.ReadFile(name); err != nil || sha256.Sum256(got) != sha256.Sum256(b.files[1].data) {
					t.Errorf("%s: %d bytes, %v", name, len(got), err)
				}
			}
			if again, err := b.download(w.list); err != nil || again.FilesSkipped != 6 || again.BytesReceived != 0 {
				t.Errorf("the second run: %+v, %v", again, err)
			}
		})
	}
}

// If the first of them fails, the next one is fetched.
func TestSameFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 3<<20, 2)
		b.add(2, 1000, 2)
		fails := 0
		b.hook = func(r request) (tl.Object, error, bool) {
			if n, ok := part(r, 1); ok && n == 0 && fails == 0 {
				fails++
				return nil, rpcError(400, "FILE_ID_INVALID", "upload.getFile"), true
			}
			return nil, nil, false
		}
		w := &twins{bench: b, copies: 3}
		report, err := b.download(w.list)
		if err != nil || report.FilesFailed != 1 || report.FilesDone != 2 || report.FilesSkipped != 1 {
			t.Fatalf("%+v, %v", report, err)
		}
		w.active = 0
		if again, err := b.download(w.list); err != nil || again.FilesFailed != 0 || again.BytesReceived != 0 {
			t.Errorf("the second run: %+v, %v", again.Counters, err)
		}
	})
}

// A run that is stopped does not hang on what waits, and goes on.
func TestSameStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 5<<20, 2)
		b.add(2, 1000, 2)
		w := &twins{bench: b, copies: 4}
		ctx, cancel := context.WithCancel(t.Context())
		b.hook = func(r request) (tl.Object, error, bool) {
			if n, ok := part(r, 1); ok && n == 3 {
				cancel()
			}
			return nil, nil, false
		}
		if _, err := NewFor(b, b.opts).Download(ctx, w.list); !errors.Is(err, context.Canceled) {
			t.Fatalf("run: %v", err)
		}
		b.hook, w.active, w.most = nil, 0, 0
		report, err := b.download(w.list)
		if err != nil || len(report.Failed) > 0 || report.FilesSkipped < 3 || w.most != 1 {
			t.Errorf("%+v, %v; %d at a time", report, err, w.most)
		}
	})
}
