package archive_test

import (
	"bytes"
	"image/jpeg"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
	"github.com/tghaul/haul/transfer/archive/gallery"
)

// withThumbs puts the thumbnail of each file behind it.
func withThumbs(a *archive.Archive, files iter.Seq2[transfer.Download, error]) iter.Seq2[transfer.Download, error] {
	return func(yield func(transfer.Download, error) bool) {
		for d, err := range files {
			if !yield(d, err) {
				return
			}
			m := &telegram.Message{Peer: d.File.Origin.Peer, ID: d.File.Origin.MessageID}
			if thumb, ok := a.Thumb(m, &d); ok && !yield(thumb, nil) {
				return
			}
		}
	}
}

// TestThumbs fetches thumbnails of photos and videos beside them: real pictures,
// told apart in the manifest, verified, repaired and shown as what they are.
func TestThumbs(t *testing.T) {
	_, client := signIn(t, dctest.Config{ReferenceLifetime: dctest.Duration(time.Hour), Channels: []dctest.ChannelConfig{{
		Username: "media", Files: []dctest.FileSpec{
			{Kind: "photo", Count: 3, MinSize: 30_000}, {Kind: "video", Count: 2, MinSize: 60_000, DC: 4}, {Kind: "document", Count: 2, MinSize: 300},
		},
	}}})
	dir := t.TempDir()
	cp := checkpoint.NewMemory()
	peer, err := client.Resolve(t.Context(), "@media")
	if err != nil {
		t.Fatal(err)
	}
	run := func() *transfer.Report {
		t.Helper()
		a, err := archive.Open(dir, peer)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close() //nolint:errcheck // the files tell
		e := transfer.New(client, transfer.Options{Checkpoint: cp, VerifyServer: true})
		report, err := e.Download(t.Context(), withThumbs(a, fetchFiles(t.Context(), client, a, peer, nil)))
		if err != nil || len(report.Failed) > 0 {
			t.Fatal(err, report.Failed)
		}
		return report
	}
	if report := run(); report.FilesDone != 12 {
		t.Errorf("%d files done, want 7 and 5 thumbnails", report.FilesDone)
	}
	if report := run(); report.FilesSkipped != 12 || report.BytesReceived != 0 {
		t.Errorf("second run: %+v", report.Counters)
	}
	folder := filepath.Join(dir, "media")
	thumbs, err := filepath.Glob(filepath.Join(folder, "*.thumb.jpg"))
	if err != nil || len(thumbs) != 5 {
		t.Fatalf("thumbnails %q, %v", thumbs, err)
	}
	for _, name := range thumbs {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := jpeg.DecodeConfig(bytes.NewReader(b)); err != nil || p.Width > 320 || p.Width < 16 {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	entries := readManifest(t, folder)
	if e := entries[filepath.Base(thumbs[0])]; e.Thumb != "m" || e.Document != entries[strings.TrimSuffix(filepath.Base(thumbs[0]), ".thumb.jpg")].Document {
		t.Errorf("line of a thumbnail: %+v", e)
	}
	checkThumbs(t, client, cp, dir, thumbs)
}

// checkThumbs damages two thumbnails and has them repaired, and looks at what
// others make of them.
func checkThumbs(t *testing.T, client *telegram.Client, cp transfer.Checkpoint, dir string, thumbs []string) {
	t.Helper()
	write(t, thumbs[0], []byte("not a picture"))
	if err := os.Remove(thumbs[4]); err != nil {
		t.Fatal(err)
	}
	found, _ := verify(t, dir)
	if found.FilesRight != 10 || len(found.Wrong) != 2 || found.FilesExtra != 0 {
		t.Fatalf("verify: %+v", found.VerifyCounters)
	}
	page, err := gallery.Write(t.Context(), dir)
	if err != nil || page.Items != 7 || page.Missing != 0 {
		t.Errorf("gallery: %+v, %v", page, err)
	}
	data, err := filepath.Glob(filepath.Join(dir, archive.GalleryName, "files", "*.js"))
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, name := range data {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		shown += bytes.Count(b, []byte(`.thumb.jpg"`))
	}
	if shown != 4 {
		t.Errorf("the gallery shows %d thumbnails, want the 4 that are there", shown)
	}
	local, err := archive.OpenLocal(t.Context(), filepath.Join(dir, "media"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close() //nolint:errcheck // it was only read
	n := 0
	for m, err := range local.Messages(t.Context(), local.Peer(), telegram.MessagesOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		n += len(m.Files)
	}
	if n != 7 {
		t.Errorf("%d files are listed, want 7", n)
	}
	if report := repair(t, client, cp, found.Wrong); report.FilesDone != 2 {
		t.Errorf("repair: %+v, %v", report.Counters, report.Failed)
	}
	if found, told := verify(t, filepath.Join(dir, "media")); found.FilesRight != 12 || found.FilesWrong > 0 {
		t.Errorf("after the repair: %+v, %q", found.VerifyCounters, told)
	}
}
