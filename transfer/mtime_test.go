package transfer

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/transfer/internal/faultfs"
)

var sent = time.Date(2021, 3, 4, 5, 6, 7, 0, time.UTC)

// A complete file has the time it should have, also one of many parts, one that
// was cut short and one that was repaired. Without such a time it has the real one.
func TestModTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 20<<20, 2)
		b.add(2, 0, 2)
		b.add(3, 5000, 2)
		b.latency = time.Second
		dated := func(yield func(Download, error) bool) {
			for d, err := range b.all() {
				if d.File.ID != 3 {
					d.ModTime = sent
				}
				if !yield(d, err) {
					return
				}
			}
		}
		b.stopAt(1500 * time.Millisecond)
		report, err := b.download(dated)
		if err != nil || len(report.Failed) > 0 {
			t.Fatal(err, report.Failed)
		}
		times := func() (list [3]time.Time) {
			for i, name := range []string{"file1.bin", "file2.bin", "file3.bin"} {
				fi, err := os.Stat(filepath.Join(b.dir, name))
				if err != nil {
					t.Fatal(err)
				}
				list[i] = fi.ModTime()
			}
			return list
		}
		if got := times(); !got[0].Equal(sent) || got[2].Equal(sent) {
			t.Errorf("times are %v; want %v for the first, the real one for the last", got, sent)
		}
		if report, err = b.download(b.all()); err != nil || report.FilesSkipped != 3 || report.BytesReceived != 0 {
			t.Errorf("the second run: %+v, %v", report.Counters, err)
		}
		if err := os.Truncate(filepath.Join(b.dir, "file1.bin"), 9<<20); err != nil {
			t.Fatal(err)
		}
		b.repairDated(1, sent)
		if got := times(); !got[0].Equal(sent) {
			t.Errorf("after the repair the time is %v, want %v", got[0], sent)
		}
	})
}

func (b *bench) repairDated(id int64, at time.Time) {
	b.t.Helper()
	f := b.files[id]
	report, err := b.download(func(yield func(Download, error) bool) {
		yield(Download{File: f.File, Dir: b.root, ModTime: at, Repair: &Repair{SHA256: sha256.Sum256(f.data)}}, nil)
	})
	if err != nil || report.FilesDone != 1 {
		b.t.Fatalf("repair: %+v, %v", report.Failed, err)
	}
}

// A file has its time before it has its name: whoever sees the name sees the
// time. That a file system keeps no times fails no file.
func TestModTimeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 3<<20, 2)
		e, fsys := b.onFaultFS()
		dated, renamed := false, false
		fsys.SetFault(func(o faultfs.Op) error {
			switch {
			case o.Kind == faultfs.SetTime:
				dated = true
				return os.ErrPermission
			case o.Kind == faultfs.Write && dated:
				t.Error("a write comes after the time")
			case o.Kind == faultfs.Rename:
				renamed = true
				if !dated {
					t.Error("the name comes before the time")
				}
			}
			return nil
		})
		report, err := e.Download(t.Context(), func(yield func(Download, error) bool) {
			for d, err := range b.all() {
				d.ModTime = sent
				yield(d, err)
			}
		})
		if err != nil || report.FilesDone != 1 || !renamed {
			t.Errorf("%+v, %v", report.Failed, err)
		}
	})
}
