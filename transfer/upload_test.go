package transfer

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

func crcOf(b []byte) uint32    { return crc32.Checksum(b, castagnoli) }
func sumOf(b []byte) [32]byte  { return sha256.Sum256(b) }
func boolFalse() tl.Object     { return tl.Raw{0x37, 0x97, 0x79, 0xbc} }
func upTo(p string) Upload     { return Upload{Path: p, To: channel} }
func lenOf(size int64) (n int) { return int((size + uploadPartSize - 1) / uploadPartSize) }

// source writes a file to send.
func (b *bench) source(name string, size int) (path string, data []byte) {
	b.t.Helper()
	data = make([]byte, size)
	rng := rand.NewChaCha8([32]byte{byte(size)})
	_, _ = rng.Read(data)
	path = filepath.Join(b.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		b.t.Fatal(err)
	}
	return path, data
}

func (b *bench) upload(ctx context.Context, uploads ...Upload) (*Report, error) {
	return NewFor(b, b.opts).Upload(ctx, func(yield func(Upload, error) bool) {
		for _, u := range uploads {
			if !yield(u, nil) {
				return
			}
		}
	})
}

// mustUpload sends files and compares what has arrived.
func (b *bench) mustUpload(data []byte, u Upload) *Report {
	b.t.Helper()
	report, err := b.upload(b.t.Context(), u)
	if err != nil || report.FilesDone != 1 {
		b.t.Fatalf("Upload: %v, %v", err, report.Failed)
	}
	res := report.Done[0]
	if res.SHA256 != sumOf(data) || res.MessageID == 0 || res.Size != int64(len(data)) {
		b.t.Errorf("result %+v", res)
	}
	sent := b.sent[len(b.sent)-1]
	switch f := sent.InputFile.(type) {
	case *api.InputFile:
		if want := fmt.Sprintf("%x", md5.Sum(data)); f.MD5Checksum != want || len(data) > smallUpload {
			b.t.Errorf("MD5 %s, want %s, of %d bytes", f.MD5Checksum, want, len(data))
		}
		b.checkUploaded(f.ID, int(f.Parts), data)
	case *api.InputFileBig:
		if len(data) <= smallUpload {
			b.t.Errorf("%d bytes as a big file", len(data))
		}
		b.checkUploaded(f.ID, int(f.Parts), data)
	}
	return report
}

func (b *bench) checkUploaded(id int64, parts int, data []byte) {
	b.t.Helper()
	if got := b.uploaded(id); !bytes.Equal(got, data) || parts != lenOf(int64(len(data))) {
		b.t.Errorf("server has %d bytes in %d parts, want %d in %d", len(got), parts, len(data), lenOf(int64(len(data))))
	}
}

func TestUpload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		for _, size := range []int{1, uploadPartSize, uploadPartSize + 1, smallUpload, smallUpload + 1, 23*mib + 7} {
			path, data := b.source(fmt.Sprintf("f%d.txt", size), size)
			report := b.mustUpload(data, Upload{Path: path, To: channel, Caption: "hello"})
			if report.BytesReceived != int64(size) || report.Parts != lenOf(int64(size)) {
				t.Errorf("%d bytes: %+v", size, report.Counters)
			}
		}
		sent := b.sent[0]
		if sent.Name != "f1.txt" || sent.Caption != "hello" || sent.MimeType == "" || sent.RandomID == 0 {
			t.Errorf("sent %+v", sent)
		}
	})
}

func TestUploadRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.opts.MaxUploadParts = 3
		empty, _ := b.source("empty", 0)
		big, _ := b.source("big", 4*uploadPartSize)
		good, _ := b.source("good", 10)
		report, err := b.upload(t.Context(), upTo(empty), upTo(big), upTo(b.dir), upTo(b.dir+"/none"), upTo(good))
		if err != nil || len(report.Failed) != 4 || report.FilesDone != 1 {
			t.Fatalf("%v, %d failed, %d done; want 4, 1", err, len(report.Failed), report.FilesDone)
		}
		want := map[string]error{empty: ErrEmpty, big: ErrTooBig, b.dir + "/none": os.ErrNotExist}
		for _, f := range report.Failed {
			if w := want[f.Path]; w != nil && !errors.Is(f.Err, w) {
				t.Errorf("%s: %v, want %v", f.Path, f.Err, w)
			}
		}
	})
}

// A source that changes meanwhile (faults 46): nothing is sent.
func TestSourceChanges(t *testing.T) {
	t.Parallel()
	changes := map[string]func(path string) error{
		"grows":    func(p string) error { return os.Truncate(p, 30*mib) },
		"shrinks":  func(p string) error { return os.Truncate(p, mib) },
		"touched":  func(p string) error { return os.Chtimes(p, time.Time{}, time.Unix(5, 0)) },
		"replaced": func(p string) error { return errors.Join(os.Remove(p), os.WriteFile(p, make([]byte, 20*mib), 0o600)) },
		"gone":     os.Remove,
	}
	for name, change := range changes {
		for _, at := range []int{1, 20, 40} {
			t.Run(fmt.Sprintf("%s at part %d", name, at), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBench(t)
					path, _ := b.source("x", 20*mib)
					parts := 0
					b.hook = func(request) (tl.Object, error, bool) {
						if parts++; parts == at {
							if err := change(path); err != nil {
								t.Error(err)
							}
						}
						return nil, nil, false
					}
					report, err := b.upload(t.Context(), upTo(path))
					f := b.failed(report)
					if err != nil || !errors.Is(f.Err, ErrChanged) || len(b.sent) != 0 {
						t.Errorf("%v, %v, %d messages sent; want ErrChanged and none", err, f.Err, len(b.sent))
					}
				})
			})
		}
	}
}

// An upload that was cut short goes on with the same file id, the parts that
// are missing, and the same random id.
func TestUploadResumes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		path, data := b.source("x", 20*mib)
		ctx, cancel := context.WithCancel(t.Context())
		parts, ids := 0, make(map[int64]bool)
		b.hook = func(r request) (tl.Object, error, bool) {
			ids[r.q.(*api.UploadSaveBigFilePartRequest).FileID] = true
			if parts++; parts > 25 {
				time.AfterFunc(time.Second, cancel)
				return nil, errStall, true
			}
			return nil, nil, false
		}
		if _, err := b.upload(ctx, upTo(path)); !errors.Is(err, context.Canceled) {
			t.Fatalf("interrupted: %v", err)
		}
		parts = -1000
		report := b.mustUpload(data, upTo(path))
		if len(ids) != 1 || report.Done[0].ResumedBytes != 25*uploadPartSize || report.Parts != 15 {
			t.Errorf("%d file ids, %d bytes resumed, %d parts sent; want 1, 25 parts, 15", len(ids), report.Done[0].ResumedBytes, report.Parts)
		}

		// Once sent it is forgotten: sending it again is another message.
		if b.mustUpload(data, upTo(path)); len(b.sent) != 2 || b.sent[0].RandomID == b.sent[1].RandomID {
			t.Errorf("%d messages; want a second one of its own", len(b.sent))
		}
	})
}

// Parts that the server has forgotten are not believed to be there for ever.
func TestUploadTooOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		path, data := b.source("x", 20*mib)
		sendFails := true
		b.onSend = func(telegram.Uploaded) error {
			if sendFails {
				return errors.New("lost")
			}
			return nil
		}
		if report, err := b.upload(t.Context(), upTo(path)); err != nil || len(report.Failed) != 1 {
			t.Fatalf("%v, %+v", err, report)
		}
		time.Sleep(4 * time.Hour)
		sendFails = false
		clear(b.uploads)
		if report := b.mustUpload(data, upTo(path)); report.Parts != 40 {
			t.Errorf("%d parts sent, want all 40", report.Parts)
		}
	})
}

// The answer to the send is lost (faults 47): the same random id is used, so
// there is one message.
func TestSendOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		path, data := b.source("x", 100)
		lost := true
		var ids []int64
		b.onSend = func(u telegram.Uploaded) error {
			ids = append(ids, u.RandomID)
			if lost {
				b.mu.Lock()
				b.sent = append(b.sent, u)
				b.sentTo[u.RandomID] = len(b.sent)
				b.mu.Unlock()
				return errors.New("connection lost, result unknown")
			}
			return nil
		}
		if report, err := b.upload(t.Context(), upTo(path)); err != nil || len(report.Failed) != 1 {
			t.Fatalf("%v, %+v", err, report)
		}
		lost = false
		b.mustUpload(data, upTo(path))
		if len(b.sent) != 1 || len(ids) != 2 || ids[0] != ids[1] {
			t.Errorf("%d messages, random ids %v; want one message, the same id twice", len(b.sent), ids)
		}
	})
}

// The answer is lost, and the next run comes when the parts are too old to be
// believed in: they are sent again, and the message has the same random id.
func TestSendOnceMuchLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		path, data := b.source("x", 3*mib)
		lost := true
		b.onSend = func(u telegram.Uploaded) error {
			if !lost {
				return nil
			}
			b.mu.Lock()
			b.sent = append(b.sent, u)
			b.sentTo[u.RandomID] = len(b.sent)
			b.mu.Unlock()
			return errors.New("connection lost, result unknown")
		}
		if report, err := b.upload(t.Context(), upTo(path)); err != nil || len(report.Failed) != 1 {
			t.Fatalf("%v, %+v", err, report)
		}
		lost = false
		time.Sleep(4 * time.Hour)
		report, err := b.upload(t.Context(), upTo(path))
		if err != nil || report.FilesDone != 1 || report.Parts != lenOf(int64(len(data))) || len(b.sent) != 1 {
			t.Errorf("%v, %d files done, %d parts, %d messages; want 1, all parts, 1 message", err, report.FilesDone, report.Parts, len(b.sent))
		}
	})
}

// The server says that what it has is not the file: all of it is sent again,
// and if it says so for ever, the file fails.
func TestUploadSpoilt(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"MD5_CHECKSUM_INVALID", "FILE_PARTS_INVALID"} {
		for _, times := range []int{1, 99} {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				path, data := b.source("x", 3*mib)
				left := times
				b.onSend = func(telegram.Uploaded) error {
					if left--; left >= 0 {
						return rpcError(400, name, "messages.sendMedia")
					}
					return nil
				}
				if times == 1 {
					if report := b.mustUpload(data, upTo(path)); report.Parts != 2*lenOf(int64(len(data))) {
						t.Errorf("%s: %d parts sent, want all of them twice", name, report.Parts)
					}
					return
				}
				report, err := b.upload(t.Context(), upTo(path))
				if f := b.failed(report); err != nil || f.Err == nil || len(b.sent) != 0 || times-left > manyMissing {
					t.Errorf("%s: %v, %v, %d messages, asked %d times", name, err, f.Err, len(b.sent), times-left)
				}
			})
		}
	}
}

// FILE_PART_X_MISSING (faults 48): that part is sent again; if too many are
// missing, all of them.
func TestPartsMissing(t *testing.T) {
	t.Parallel()
	for _, lost := range [][]int{{7}, {7, 8}, {0}, {1, 2, 3, 4, 5, 6}} {
		t.Run(fmt.Sprint(lost), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				path, data := b.source("x", 20*mib)
				left := lost
				b.onSend = func(u telegram.Uploaded) error {
					b.mu.Lock()
					defer b.mu.Unlock()
					f := u.InputFile.(*api.InputFileBig)
					if len(left) > 0 {
						n := left[0]
						left = left[1:]
						delete(b.uploads[f.ID], n)
						return &telegram.PartMissingError{Part: n, Err: errors.New("FILE_PART_X_MISSING")}
					}
					return nil
				}
				report := b.mustUpload(data, upTo(path))
				if len(lost) < 3 && lost[0] != 0 && report.Parts != 40+len(lost) {
					t.Errorf("%d parts sent, want %d", report.Parts, 40+len(lost))
				}
			})
		})
	}
}

// boolFalse is no success.
func TestPartNotSaved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		path, data := b.source("x", 3*mib)
		n := 0
		b.hook = func(request) (tl.Object, error, bool) {
			if n++; n == 2 || n == 4 {
				return boolFalse(), nil, true
			}
			return nil, nil, false
		}
		b.mustUpload(data, upTo(path))
	})
}

func TestUploadFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		path, data := b.source("x", 20*mib)
		n := 0
		b.hook = func(request) (tl.Object, error, bool) {
			if n++; n == 11 {
				return nil, rpcError(420, "FLOOD_PREMIUM_WAIT_7", "upload.saveBigFilePart"), true
			}
			return nil, nil, false
		}
		start := time.Now()
		report := b.mustUpload(data, upTo(path))
		if report.FloodWaits != 1 || time.Since(start) < 7*time.Second {
			t.Errorf("%d waits, %v", report.FloodWaits, time.Since(start))
		}
	})
}

// TestJobSendsOnce: in all runs of a job a file is sent once, as long as it is
// the same file.
func TestJobSendsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		path, data := b.source("a", 3*mib)
		u := upTo(path)
		u.Job = "j1"
		first := b.mustUpload(data, u)
		again := func(what string, u Upload, done, skipped int) {
			t.Helper()
			var res FileResult
			u.Finished = func(r FileResult) error { res = r; return nil }
			report, err := b.upload(t.Context(), u)
			if err != nil || report.FilesDone != done || report.FilesSkipped != skipped {
				t.Fatalf("%s: %v, %+v, %v; want %d done, %d skipped", what, err, report.Counters, report.Failed, done, skipped)
			}
			if skipped > 0 && (res.MessageID != first.Done[0].MessageID || res.SHA256 != sumOf(data) || report.BytesReceived != 0) {
				t.Errorf("%s: %+v, %d bytes sent; want the message of the first run", what, res, report.BytesReceived)
			}
		}
		again("the same", u, 0, 1)
		other := u
		other.Job = "j2"
		again("another job", other, 1, 0)
		other.Job = ""
		again("no job", other, 1, 0)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		again("source cleared away", u, 0, 1)
		b.source("a", 3*mib)
		again("source written anew", u, 1, 0)
	})
}

// A message that was sent before, but cannot be found, is sent all the same.
func TestAlreadySent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		path, _ := b.source("a", 100)
		b.onSend = func(telegram.Uploaded) error { return telegram.ErrAlreadySent }
		u := upTo(path)
		u.Job = "j"
		report, err := b.upload(t.Context(), u)
		if err != nil || report.FilesDone != 1 || report.Done[0].MessageID != 0 {
			t.Fatalf("%v, %+v; want it done without a message id", err, report)
		}
		if report, err = b.upload(t.Context(), u); err != nil || report.FilesSkipped != 1 {
			t.Errorf("again: %v, %+v; want it skipped", err, report.Counters)
		}
	})
}

// Two jobs that send the same file to the same chat send a message each, even
// if the first did not live to hear of its own.
func TestJobsSendApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		path, data := b.source("a", 100)
		u := upTo(path)
		u.Job = "j1"
		var tried int64
		b.onSend = func(u telegram.Uploaded) error { tried = u.RandomID; return errors.New("the answer was lost") }
		if report, err := b.upload(t.Context(), u); err != nil || report.FilesFailed != 1 {
			t.Fatalf("%v, %+v; want it failed", err, report.Counters)
		}
		b.onSend = nil
		u.Job = "j2"
		if b.mustUpload(data, u); b.sent[0].RandomID == tried {
			t.Error("the second job used the first one's random id")
		}
		u.Job = "j1"
		if b.mustUpload(data, u); b.sent[1].RandomID != tried {
			t.Error("the first job used a new random id")
		}
	})
}
