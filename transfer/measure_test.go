package transfer

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// measured runs a download of the only file of b, whose size is not told.
func (b *bench) measured(id int64) (f telegram.File, requests int, err error) {
	e := NewFor(b, b.opts)
	report, runErr := e.Download(b.t.Context(), func(yield func(Download, error) bool) {
		f = b.files[id].File
		f.Size = telegram.SizeUnknown
		if f, err = e.Measure(b.t.Context(), f); err == nil {
			requests = len(b.getFiles())
			yield(Download{File: f, Dir: b.root}, nil)
		}
	})
	if runErr != nil {
		b.t.Fatal(runErr)
	}
	b.checkDone(report)
	return f, requests, err
}

// TestMeasure: the size of a file is found by few requests, wherever it is.
func TestMeasure(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{1, 4095, 4096, 4097, 64 * 4096, 64*4096 + 1, 320 * 4096, 1<<20 - 1, 3<<20 + 77, 20 << 20} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.add(1, int(size), 2)
			moved := *b.files[1]
			moved.DC = 4 // as the id says; the server knows better
			b.files[1] = &moved
			f, requests, err := b.measured(1)
			if err != nil || f.Size != size || requests > 40 || f.DC != 2 {
				t.Errorf("%d bytes: found %d in DC %d by %d requests, %v", size, f.Size, f.DC, requests, err)
			}
		})
	}
}

// TestMeasureTrouble: answers that are cut short, and waits, do not make a file shorter.
func TestMeasureTrouble(t *testing.T) {
	t.Parallel()
	const size = 3<<20 + 77
	short := func(q *api.UploadGetFileRequest) (tl.Object, error, bool) {
		return &api.UploadFile{Type: &api.StorageFilePartial{}, Bytes: make([]byte, 100)}, nil, true
	}
	for at := range 12 {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.add(1, size, 2)
			n := 0
			b.hook = func(r request) (tl.Object, error, bool) {
				q, ok := r.q.(*api.UploadGetFileRequest)
				if n++; !ok || n-1 != at || q.Offset >= size {
					return nil, nil, false
				}
				return short(q)
			}
			if f, _, err := b.measured(1); err != nil || f.Size != size {
				t.Errorf("answer %d cut short: %d bytes, %v", at, f.Size, err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, size, 2)
		n := 0
		var refused time.Time
		b.hook = func(r request) (tl.Object, error, bool) {
			if n++; n == 3 {
				refused = r.at
				return nil, waitError(7 * time.Second), true
			}
			return nil, nil, false
		}
		if f, _, err := b.measured(1); err != nil || f.Size != size {
			t.Errorf("after a wait: %d bytes, %v", f.Size, err)
		}
		for _, r := range b.getFiles()[3:] {
			if r.at.Sub(refused) < 7*time.Second {
				t.Errorf("a request %v after a wait of 7 s had begun", r.at.Sub(refused))
			}
		}
	})
}

// TestMeasureHopeless: what has no end, no bytes or no reference is refused.
func TestMeasureHopeless(t *testing.T) {
	t.Parallel()
	n := 0
	for name, tt := range map[string]struct {
		answer func() (tl.Object, error, bool)
		want   error
	}{
		"endless": {func() (tl.Object, error, bool) {
			return &api.UploadFile{Type: &api.StorageFilePartial{}, Bytes: make([]byte, measureStep)}, nil, true
		}, ErrSize},
		"empty": {func() (tl.Object, error, bool) { return &api.UploadFile{Type: &api.StorageFilePartial{}}, nil, true }, ErrSize},
		"too long": {func() (tl.Object, error, bool) {
			return &api.UploadFile{Type: &api.StorageFilePartial{}, Bytes: make([]byte, 2*measureStep)}, nil, true
		}, ErrLong},
		"never twice the same": {func() (tl.Object, error, bool) {
			n++
			return &api.UploadFile{Type: &api.StorageFilePartial{}, Bytes: make([]byte, n%100)}, nil, true
		}, errUnsteady},
		"expired": {func() (tl.Object, error, bool) {
			return nil, rpcError(400, "FILE_REFERENCE_EXPIRED", "upload.getFile"), true
		}, telegram.ErrNoOrigin},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.add(1, 100, 2)
				b.hook = func(request) (tl.Object, error, bool) { return tt.answer() }
				if f, _, err := b.measured(1); !errors.Is(err, tt.want) {
					t.Errorf("%d bytes, %v; want %v", f.Size, err, tt.want)
				}
			})
		})
	}
}

// TestNamedByType: what the server says of a file ends a name that has no extension.
func TestNamedByType(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		kind api.StorageFileTypeClass
		want string
	}{
		{"document_1", &api.StorageFilePdf{}, "document_1.pdf"},
		{"document_1", &api.StorageFileJpeg{}, "document_1.jpg"},
		{"document_1", &api.StorageFileMov{}, "document_1.mov"},
		{"document_1", &api.StorageFilePartial{}, "document_1"},
		{"video_1.mp4", &api.StorageFileMov{}, "video_1.mp4"},
	} {
		d := &download{file: telegram.File{Name: tt.name}}
		if d.nameBy(tt.kind); d.file.Name != tt.want {
			t.Errorf("%s, said to be %s, is called %s, want %s", tt.name, tt.kind.TypeName(), d.file.Name, tt.want)
		}
	}
}
