package transfer

import (
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// An expired reference, whatever its name (faults 10): one refresh, and the
// parts that were finished are kept.
func TestReferenceExpires(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"FILE_REFERENCE_EXPIRED", "FILE_REFERENCE_INVALID", "FILE_REFERENCE_EMPTY", "FILE_REFERENCE_0_EXPIRED",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				f := b.add(1, 40*mib, 2)
				served := 0
				b.hook = func(r request) (tl.Object, error, bool) {
					b.mu.Lock()
					defer b.mu.Unlock()
					q := r.q.(*api.UploadGetFileRequest)
					if served++; served == 20 {
						f.ref = "new"
					}
					if string(q.Location.(*api.InputDocumentFileLocation).FileReference) != f.ref {
						return nil, rpcError(400, name, "upload.getFile"), true
					}
					return nil, nil, false
				}
				report := b.mustDownload()
				if len(b.refresh) != 1 || report.ReferenceRefreshes != 1 {
					t.Errorf("%d refreshes, report says %d; want 1", len(b.refresh), report.ReferenceRefreshes)
				}
				if report.BytesReceived != 40*mib || report.BytesResent != 0 {
					t.Errorf("received %d, resent %d; want nothing twice", report.BytesReceived, report.BytesResent)
				}
			})
		})
	}
}

// Many references expire at once (faults 11): a call for each 100 files.
func TestReferencesExpireTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		b := newBench(t)
		for id := range int64(n) {
			b.add(id+1, 100, 1+int(id)%4).ref = "new"
		}
		report := b.mustDownload()
		if report.FilesDone != n || len(b.refresh) > n/100 {
			t.Errorf("%d files done with %d refreshes, want at most %d", report.FilesDone, len(b.refresh), n/100)
		}
		var ids []int
		for _, batch := range b.refresh {
			if ids = append(ids, batch...); len(batch) > 100 {
				t.Errorf("a call for %d messages", len(batch))
			}
		}
		slices.Sort(ids)
		if twice := len(ids) - len(slices.Compact(ids)); twice > 0 {
			t.Errorf("%d messages were fetched twice", twice)
		}
	})
}

// 10,000 files (fewer with the race detector), and all references expire in the middle (faults 11): besides
// the requests that are under way at that moment, at most one call in a hundred
// is more than it takes without that.
func TestTenThousandReferences(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 10_000
		if UnderRace {
			n = 2_000
		}
		b := newBench(t)
		for id := range int64(n) {
			b.add(id+1, 1, 1+int(id)%4)
		}
		var expired time.Time
		b.hook = func(r request) (tl.Object, error, bool) {
			b.mu.Lock()
			defer b.mu.Unlock()
			if len(b.requests) >= 500 && expired.IsZero() {
				expired = r.at
				for _, f := range b.files {
					f.ref = "new"
				}
			}
			return nil, nil, false
		}
		report, err := b.download(func(yield func(Download, error) bool) {
			for id := range int64(n) {
				b.mu.Lock()
				f := b.files[id+1].File
				f.FileReference = []byte(b.files[id+1].ref)
				b.mu.Unlock()
				if !yield(Download{File: f, Dir: b.root, Path: strconv.FormatInt(id, 10)}, nil) {
					return
				}
			}
		})
		if err != nil || report.FilesDone != n {
			t.Fatalf("%v, %d files done, want %d", err, report.FilesDone, n)
		}
		underway := 0 // for one way nobody can know, and for another nobody has heard
		for _, r := range b.requests {
			if d := r.at.Sub(expired); d > -b.latency && d < b.latency {
				underway++
			}
		}
		extra := len(b.requests) + len(b.refresh) - n
		if extra == 0 || extra-underway > n/100 {
			t.Errorf("%d calls more than files, %d of them refreshes, %d under way at that moment; want some, and %d at most besides those",
				extra, len(b.refresh), underway, n/100)
		}
		t.Logf("%d calls more, %d of them refreshes, %d under way", extra, len(b.refresh), underway)
	})
}

// A message is edited while its file is fetched (faults 12), and the new file
// goes by the same name: it gets nothing of what was there of the old one.
func TestEditedMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 10*mib, 2)
		other := b.add(2, 10*mib, 2)
		other.Name, other.Origin = b.files[1].Name, b.files[1].Origin
		b.onRefresh = func([]int) (map[int][]telegram.File, error) {
			return map[int][]telegram.File{1: {other.File}}, nil
		}
		asked := 0
		b.hook = func(r request) (tl.Object, error, bool) {
			if asked++; asked == 6 {
				b.mu.Lock()
				b.files[1].ref = "gone"
				b.mu.Unlock()
			}
			return nil, nil, false
		}
		report, err := b.download(b.some(1))
		if f := b.failed(report); err != nil || !errors.Is(f.Err, ErrGone) || report.BytesReceived == 0 {
			t.Fatalf("%v, %v, %d bytes; want ErrGone after some", err, f.Err, report.BytesReceived)
		}
		report, err = b.download(b.some(2))
		if err != nil || report.FilesDone != 1 || report.BytesReceived != 10*mib {
			t.Errorf("the new file: %v, %d done, %d bytes received; want all of it", err, report.FilesDone, report.BytesReceived)
		}
		b.checkDone(report)
	})
}

// What the message has now decides (faults 12): only the same document, of the
// same size, is the same file.
func TestMessageChanges(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(f telegram.File) []telegram.File
		want   error
	}{
		{"deleted", func(telegram.File) []telegram.File { return nil }, ErrGone},
		{"another document", func(f telegram.File) []telegram.File { f.ID = 99; return []telegram.File{f} }, ErrGone},
		{"another size", func(f telegram.File) []telegram.File { f.Size++; return []telegram.File{f} }, ErrGone},
		{"another kind", func(f telegram.File) []telegram.File { f.Kind = telegram.KindPhoto; return []telegram.File{f} }, ErrGone},
		{"protected now", func(f telegram.File) []telegram.File { f.NoForwards = true; return []telegram.File{f} }, ErrProtected},
		{"among others", func(f telegram.File) []telegram.File {
			other := f
			other.ID = 99
			return []telegram.File{other, f}
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.add(1, 3*mib, 2).ref = "new"
				b.add(2, 10, 2)
				b.onRefresh = func(ids []int) (map[int][]telegram.File, error) {
					files := b.fresh(ids)
					if f, ok := files[1]; ok {
						files[1] = tt.change(f[0])
					}
					return files, nil
				}
				report, err := b.download(b.all())
				if err != nil {
					t.Fatal(err)
				}
				b.checkDone(report)
				if tt.want == nil {
					if report.FilesDone != 2 {
						t.Errorf("failed: %v", report.Failed)
					}
					return
				}
				if f := b.failed(report); !errors.Is(f.Err, tt.want) || f.ID != 1 || f.Retryable {
					t.Errorf("%d failed with %v; want 1 with %v, not retryable", f.ID, f.Err, tt.want)
				}
			})
		})
	}
}

// A reference that is stale however often it is refreshed ends the file.
func TestRefreshDoesNotHelp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 10, 2)
		b.hook = func(request) (tl.Object, error, bool) {
			return nil, rpcError(400, "FILE_REFERENCE_EXPIRED", "upload.getFile"), true
		}
		report, err := b.download(b.all())
		if f := b.failed(report); err != nil || !f.Retryable || len(b.refresh) > 4 {
			t.Errorf("%v, %v after %d refreshes", err, f.Err, len(b.refresh))
		}
	})
}

func TestRefreshFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.add(1, 10, 2).ref = "new"
		b.add(2, 10, 2)
		b.onRefresh = func([]int) (map[int][]telegram.File, error) {
			return nil, rpcError(406, "CHANNEL_PRIVATE", "channels.getMessages")
		}
		report, err := b.download(b.all())
		if f := b.failed(report); err != nil || f.ID != 1 || report.FilesDone != 1 {
			t.Errorf("%v, %v, %d done", err, f.Err, report.FilesDone)
		}
	})
}

// CDN files: each part is decrypted and proven (faults 25, 26).
func TestCDN(t *testing.T) {
	t.Parallel()
	const size = 3*mib + 200_000
	tests := []struct {
		name   string
		setUp  func(b *bench, f *fakeFile)
		master bool // some bytes come from the file's own DC
	}{
		{"plain", func(_ *bench, f *fakeFile) { f.cdnHas = true }, false},
		{"reupload needed", func(*bench, *fakeFile) {}, false},
		{"hashes left out", func(_ *bench, f *fakeFile) { f.cdnHas, f.noHashes = true, true }, false},
		{"corrupt for ever", func(b *bench, f *fakeFile) {
			f.cdnHas = true
			b.onCDNAnswer = func(data []byte) { data[len(data)/2] ^= 1 }
		}, true},
		{"corrupt twice", func(b *bench, f *fakeFile) {
			f.cdnHas = true
			times := 0
			b.onCDNAnswer = func(data []byte) {
				if times++; times <= 2 {
					data[0] ^= 1
				}
			}
		}, false},
		{"unknown key", func(b *bench, _ *fakeFile) {
			b.onCDN = func(int) error { return errors.New("no key of this CDN is known") }
		}, true},
		{"redirect loop", func(b *bench, _ *fakeFile) {
			b.hook = func(r request) (tl.Object, error, bool) {
				if r.cdn {
					return nil, rpcError(400, "FILE_TOKEN_INVALID", "upload.getCdnFile"), true
				}
				return nil, nil, false
			}
		}, true},
		{"short answers", func(b *bench, _ *fakeFile) {
			b.hook = func(r request) (tl.Object, error, bool) {
				if r.cdn {
					return &api.UploadCdnFile{Bytes: []byte{}}, nil, true
				}
				return nil, nil, false
			}
		}, true},
		{"senseless key", func(b *bench, f *fakeFile) {
			b.hook = func(r request) (tl.Object, error, bool) {
				if q, ok := r.q.(*api.UploadGetFileRequest); ok && q.CdnSupported {
					return &api.UploadFileCdnRedirect{DCID: 9, FileToken: []byte{1}, EncryptionKey: []byte("short")}, nil, true
				}
				return nil, nil, false
			}
		}, true},
		{"wait at the CDN", func(b *bench, f *fakeFile) {
			f.cdnHas = true
			told := false
			b.hook = func(r request) (tl.Object, error, bool) {
				if r.cdn && !told {
					told = true
					return nil, rpcError(420, "FLOOD_WAIT_5", "upload.getCdnFile"), true
				}
				return nil, nil, false
			}
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				f := b.add(1, size, 2)
				f.cdn = 9
				tt.setUp(b, f)
				report := b.mustDownload()
				if report.BytesReceived != size {
					t.Errorf("received %d bytes, want %d", report.BytesReceived, size)
				}
				byMaster := 0
				for _, r := range b.getFiles() {
					if q, ok := r.q.(*api.UploadGetFileRequest); ok && !q.CdnSupported {
						byMaster++
					}
				}
				if (byMaster > 0) != tt.master {
					t.Errorf("%d requests without cdn_supported; want some: %v", byMaster, tt.master)
				}
				if n := len(b.getFiles()); n > 60 {
					t.Errorf("%s requests for 4 parts", strconv.Itoa(n))
				}
			})
		})
	}
}
