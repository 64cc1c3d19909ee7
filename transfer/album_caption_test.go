package transfer_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/telegram/dctest/content"
	"github.com/tghaul/haul/transfer"
)

// photos are uploads of one folder, of one job.
func (s *stage) photos(n int64, caption func(i int64) string) (uploads []transfer.Upload) {
	s.t.Helper()
	for i := range n {
		path := s.made(fmt.Sprintf("%d.jpg", i), content.Photo, i+1)
		uploads = append(uploads, transfer.Upload{Path: path, As: media, Caption: caption(i), Job: "j"})
	}
	return uploads
}

func always(text string) func(int64) string { return func(int64) string { return text } }

// TestAlbumFirstRefused: a group is refused, and of its items sent one by one
// the first is, too. The caption is on the next, in that run and in no later one.
func TestAlbumFirstRefused(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"MEDIA_INVALID", "FILE_REFERENCE_EXPIRED"} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			onStage(t, dctest.Config{Faults: []dctest.Fault{
				{Kind: "error", Method: "messages.sendMultiMedia", Rate: 1, Code: 400, Message: "MEDIA_INVALID"},
				{Kind: "error", Method: "messages.sendMedia", At: []int64{1}, Code: 400, Message: answer},
			}}, func(t *testing.T, s *stage) {
				uploads, before := s.photos(3, always("one")), s.newest(1)[0].ID
				if _, err := s.send(t.Context(), true, uploads...); err != nil {
					t.Fatal(err)
				}
				report, err := s.send(t.Context(), true, uploads...)
				if err != nil || report.FilesDone+report.FilesSkipped != 3 {
					t.Fatalf("again: %v, %d done, %v", err, report.FilesDone, report.Failed)
				}
				if got := groups(s.newest(3)); got != "|p*|p|p" || s.newest(1)[0].ID != before+3 {
					t.Errorf("groups %s, %d messages", got, s.newest(1)[0].ID-before)
				}
			})
		})
	}
}

// TestAlbumEarlierGone: the first file of an album was sent with the caption and
// is gone from the disk when the job goes on. Of those that make an album then
// one was sent without a caption; the rest is an album of its own and has one.
func TestAlbumEarlierGone(t *testing.T) {
	t.Parallel()
	onStage(t, dctest.Config{}, func(t *testing.T, s *stage) {
		uploads := s.photos(4, func(i int64) string { return fmt.Sprint("caption ", i) })
		if report, err := s.send(t.Context(), true, uploads[:2]...); err != nil || report.FilesDone != 2 {
			t.Fatal(err, report.Failed)
		}
		if err := os.Remove(uploads[0].Path); err != nil {
			t.Fatal(err)
		}
		report, err := s.send(t.Context(), true, uploads...)
		if err != nil || report.FilesDone != 2 || report.FilesSkipped != 2 {
			t.Fatalf("again: %v, %d done, %v", err, report.FilesDone, report.Failed)
		}
		if got := groups(s.newest(4)); got != "|p*p|p*p" {
			t.Errorf("groups %s", got)
		}
	})
}

// TestAlbumCaptionTooLong: nothing of an album is sent without the caption that
// is too long for it, and nothing is uploaded; each file says why.
func TestAlbumCaptionTooLong(t *testing.T) {
	t.Parallel()
	onStage(t, dctest.Config{}, func(t *testing.T, s *stage) {
		before := s.newest(1)[0].ID
		report, err := s.send(t.Context(), true, s.photos(3, always(strings.Repeat("a", 1025)))...)
		if err != nil || report.FilesFailed != 3 || report.Parts != 0 || s.newest(1)[0].ID != before {
			t.Errorf("%v, %+v", err, report.Counters)
		}
		for _, f := range report.Failed {
			if !errors.Is(f.Err, transfer.ErrCaption) {
				t.Errorf("%s: %v", f.Path, f.Err)
			}
		}
	})
}

// TestAlbumFirstCaption: the first file has none, the second has.
func TestAlbumFirstCaption(t *testing.T) {
	t.Parallel()
	onStage(t, dctest.Config{}, func(t *testing.T, s *stage) {
		uploads := s.photos(3, func(i int64) string { return strings.Repeat("c", int(i)) })
		if report, err := s.send(t.Context(), true, uploads...); err != nil || report.FilesDone != 3 {
			t.Fatal(err, report.Failed)
		}
		if m := s.newest(3); groups(m) != "|p*pp" || m[0].Text != "c" {
			t.Errorf("groups %s, caption %q", groups(m), m[0].Text)
		}
	})
}
