package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/telegram/dctest/content"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
	"github.com/tghaul/haul/transfer"
)

// A stage is a cluster, a client and files to send.
type stage struct {
	t       *testing.T
	cluster *dctest.Cluster
	client  *telegram.Client
	peer    telegram.Peer
	dir     string
	store   transfer.Checkpoint
	notes   []string
}

// onStage runs a test in a bubble of virtual time.
func onStage(t *testing.T, cfg dctest.Config, test func(t *testing.T, s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg.InMemory, cfg.RTT = true, dctest.Duration(20*time.Millisecond)
		cluster, err := dctest.Start(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer cluster.Close() //nolint:errcheck // the test is about what happens before
		s := &stage{t: t, cluster: cluster, dir: t.TempDir(), store: checkpoint.NewMemory()}
		s.client = signedIn(t, cluster)
		defer s.client.Close() //nolint:errcheck // as above
		if s.peer, err = s.client.Resolve(t.Context(), "@"+dctest.BigChannel); err != nil {
			t.Fatal(err)
		}
		test(t, s)
	})
}

func (s *stage) file(name string, data []byte) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// made is a file as the cluster makes them.
func (s *stage) made(name string, kind content.Kind, n int64) string {
	s.t.Helper()
	f := content.New(1, n, kind, 20_000+n)
	b, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		s.t.Fatal(err)
	}
	return s.file(name, b)
}

func (s *stage) send(ctx context.Context, albums bool, uploads ...transfer.Upload) (*transfer.Report, error) {
	list := func(yield func(transfer.Upload, error) bool) {
		for _, u := range uploads {
			u.To = s.peer
			if !yield(u, nil) {
				return
			}
		}
	}
	o := transfer.Options{Checkpoint: s.store, Events: func(e transfer.Event) {
		if n, ok := e.(transfer.FileNote); ok {
			s.notes = append(s.notes, filepath.Base(n.Path)+" "+n.Text)
		}
	}}
	if albums {
		return transfer.New(s.client, o).Upload(ctx, transfer.Albums(list))
	}
	return transfer.New(s.client, o).Upload(ctx, list)
}

// newest are the newest messages, the oldest of them first.
func (s *stage) newest(n int) (list []*telegram.Message) {
	s.t.Helper()
	for m, err := range s.client.Messages(s.t.Context(), s.peer, telegram.MessagesOptions{Limit: n}) {
		if err != nil {
			s.t.Fatal(err)
		}
		list = append(list, m)
	}
	slices.Reverse(list)
	return list
}

func thumbOf(w, h int) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) {
		var b bytes.Buffer
		err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, w, h)), nil)
		return b.Bytes(), err
	}
}

// TestKinds sends a file of each kind, and looks at what has become of it.
func TestKinds(t *testing.T) {
	t.Parallel()
	onStage(t, dctest.Config{}, func(t *testing.T, s *stage) {
		wide := new(bytes.Buffer)
		if err := png.Encode(wide, image.NewGray(image.Rect(0, 0, 2100, 100))); err != nil {
			t.Fatal(err)
		}
		video := s.made("clip.mp4", content.Video, 1)
		cut := s.file("cut.mp4", []byte("\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2 and no more"))
		for _, tt := range []struct {
			path  string
			as    transfer.Kinds
			kind  telegram.FileKind
			note  string
			thumb func(context.Context) ([]byte, error)
		}{
			{path: video, as: media, kind: telegram.KindVideo, thumb: thumbOf(320, 180)},
			{path: video, as: transfer.Documents, kind: telegram.KindDocument},
			{path: s.made("p.jpg", content.Photo, 2), as: media, kind: telegram.KindPhoto},
			{path: s.made("d.jpg", content.Photo, 3), as: transfer.AsVideo, kind: telegram.KindDocument},
			{path: s.made("a.wav", content.Audio, 4), as: media, kind: telegram.KindAudio},
			{path: s.made("v.ogg", content.Voice, 5), as: media, kind: telegram.KindVoice},
			{path: s.made("w.ogg", content.Voice, 6), as: transfer.AsAudio, kind: telegram.KindAudio},
			{path: s.file("wide.png", wide.Bytes()), as: media, kind: telegram.KindDocument, note: "wide.png is sent as a document: it is more than 20 times as long as wide"},
			{path: cut, as: media, kind: telegram.KindDocument, note: "cut.mp4 is sent as a document: broken video/mp4"},
			{path: video, as: media, kind: telegram.KindVideo, thumb: thumbOf(400, 400), note: "clip.mp4 has no preview: a preview of 400 x 400 pixels"},
		} {
			s.notes = nil
			report, err := s.send(t.Context(), false, transfer.Upload{Path: tt.path, As: tt.as, Caption: "c", Thumb: tt.thumb})
			if err != nil || report.FilesDone != 1 {
				t.Fatalf("%s: %v, %v", tt.path, err, report.Failed)
			}
			m := s.newest(1)[0]
			f := m.Files[0]
			if f.Kind != tt.kind || m.Text != "c" || m.ID != report.Done[0].MessageID {
				t.Errorf("%s as %v: became a %v", filepath.Base(tt.path), tt.as, f.Kind)
			}
			if got := strings.Join(s.notes, ";"); tt.note == "" && got != "" || !strings.HasPrefix(got, tt.note) {
				t.Errorf("%s: noted %q, want %q", filepath.Base(tt.path), got, tt.note)
			}
			checkAttributes(t, m, tt.thumb != nil && tt.note == "")
		}
	})
}

// checkAttributes looks at what a message says of its file.
func checkAttributes(t *testing.T, m *telegram.Message, thumb bool) {
	t.Helper()
	f := m.Files[0]
	if f.Kind == telegram.KindVideo && (f.W < 16 || f.H < 16 || f.Duration <= 0) {
		t.Errorf("video of %dx%d, %v", f.W, f.H, f.Duration)
	}
	if (f.Kind == telegram.KindAudio || f.Kind == telegram.KindVoice) && f.Duration <= 0 {
		t.Errorf("audio of %v", f.Duration)
	}
	if strings.HasSuffix(f.Name, ".jpg") && f.Kind == telegram.KindDocument && f.W == 0 {
		t.Error("a picture as a document has no dimensions")
	}
	media, ok := api.DecodeMessage(tl.NewDecoder(m.Raw)).(*api.Message)
	if !ok {
		t.Fatalf("message %d cannot be read", m.ID)
	}
	if d, ok := media.Media.(*api.MessageMediaDocument); ok {
		if doc, ok := d.Document.(*api.Document); ok && (len(doc.Thumbs) == 1) != thumb {
			t.Errorf("%s has %d previews", f.Name, len(doc.Thumbs))
		}
	}
}

// album is what TestAlbum sends: two folders, kinds mixed.
func (s *stage) album(as transfer.Kinds) (uploads []transfer.Upload) {
	s.t.Helper()
	var paths []string
	for i := range int64(13) {
		kind := content.Photo
		if i%3 == 1 {
			kind = content.Video
		}
		paths = append(paths, s.made(fmt.Sprintf("one/%02d.%s", i, map[content.Kind]string{content.Photo: "jpg", content.Video: "mp4"}[kind]), kind, i+1))
	}
	paths = append(paths, s.made("one/x.wav", content.Audio, 20), s.made("two/a.wav", content.Audio, 21), s.made("two/b.wav", content.Audio, 22),
		s.made("two/c.ogg", content.Voice, 23), s.file("two/d.txt", []byte("d")), s.file("two/e.txt", []byte("e")))
	for _, p := range paths {
		uploads = append(uploads, transfer.Upload{Path: p, As: as, Caption: "caption of " + filepath.Base(p), Job: "job"})
	}
	return uploads
}

// groups says which messages stand together: their files' names, a bar between groups.
func groups(messages []*telegram.Message) string {
	var b strings.Builder
	var last int64 = -1
	for _, m := range messages {
		if m.GroupedID == 0 || m.GroupedID != last {
			b.WriteString("|")
		}
		last = m.GroupedID
		b.WriteString(fmt.Sprint(m.Files[0].Kind)[:1])
		if m.Text != "" {
			b.WriteString("*")
		}
	}
	return b.String()
}

const media = transfer.AsPhoto | transfer.AsVideo | transfer.AsAudio | transfer.AsVoice

// TestAlbum: what may stand together does, ten at most, in order, with one caption.
func TestAlbum(t *testing.T) {
	t.Parallel()
	onStage(t, dctest.Config{}, func(t *testing.T, s *stage) {
		before := s.newest(1)[0].ID
		uploads := s.album(media)
		report, err := s.send(t.Context(), true, uploads...)
		if err != nil || report.FilesDone != 19 {
			t.Fatalf("%v, %v", err, report.Failed)
		}
		s.checkAlbum(before)
		again, err := s.send(t.Context(), true, uploads...)
		if err != nil || again.FilesSkipped != 19 || s.newest(1)[0].ID != before+19 {
			t.Errorf("again: %v, %d skipped, failed %v; want all 19 skipped", err, again.FilesSkipped, again.Failed)
		}
	})
}

// checkAlbum wants each file of the album sent once, and grouped as documented.
// Groups may have come in any order.
func (s *stage) checkAlbum(before int) {
	s.t.Helper()
	messages := s.newest(19)
	if first := messages[0].ID; first != before+1 {
		s.t.Errorf("%d messages were sent, want 19", s.newest(1)[0].ID-before)
	}
	seen := strings.Split(groups(messages)[1:], "|")
	slices.Sort(seen)
	want := []string{"p*vppvppvpp", "v*pp", "a*", "a*a", "v*", "d*d"}
	slices.Sort(want)
	if !slices.Equal(seen, want) {
		s.t.Errorf("groups %q\nwant   %q", seen, want)
	}
}

// TestAlbumOnce: the answer about an album is lost, and perhaps the process too:
// each file is one message in the end, and the albums are whole.
func TestAlbumOnce(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		t.Run(map[bool]string{false: "asked again", true: "restarted"}[restart], func(t *testing.T) {
			t.Parallel()
			onStage(t, dctest.Config{Faults: []dctest.Fault{{Kind: "cut_answer", Method: "messages.sendMultiMedia", At: []int64{1, 3}}}}, func(t *testing.T, s *stage) {
				before := s.newest(1)[0].ID
				uploads := s.album(media)
				if restart {
					ctx, cancel := context.WithCancel(t.Context())
					var first sync.WaitGroup
					first.Go(func() {
						if _, err := s.send(ctx, true, uploads...); !errors.Is(err, context.Canceled) {
							t.Errorf("the first run: %v, want it cut", err)
						}
					})
					for len(s.cluster.Stats().Sent) < 10 { // until the server has sent one
						time.Sleep(5 * time.Millisecond)
					}
					cancel()
					first.Wait()
				}
				report, err := s.send(t.Context(), true, uploads...)
				if err != nil || report.FilesDone+report.FilesSkipped != 19 {
					t.Fatalf("%v, %d done, failed %v", err, report.FilesDone, report.Failed)
				}
				for _, f := range report.Done {
					if f.MessageID == 0 {
						t.Errorf("%s: its message was not found", f.Path)
					}
				}
				s.checkAlbum(before)
			})
		})
	}
}

// TestAlbumRegrouped: an album of which nobody knows that it was sent is sent
// again with more files. Those are new messages, and nothing is there twice.
func TestAlbumRegrouped(t *testing.T) {
	t.Parallel()
	onStage(t, dctest.Config{Faults: []dctest.Fault{{Kind: "cut_answer", Method: "messages.sendMultiMedia", At: []int64{1}}}}, func(t *testing.T, s *stage) {
		before := s.newest(1)[0].ID
		var uploads []transfer.Upload
		for i := range int64(5) {
			uploads = append(uploads, transfer.Upload{Path: s.made(fmt.Sprintf("%d.jpg", i), content.Photo, i+1), As: media, Job: "j"})
		}
		ctx, cancel := context.WithCancel(t.Context())
		var first sync.WaitGroup
		first.Go(func() { _, _ = s.send(ctx, true, uploads[1], uploads[2], uploads[3]) })
		for len(s.cluster.Stats().Sent) < 3 {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
		first.Wait()
		report, err := s.send(t.Context(), true, uploads...)
		if err != nil || report.FilesDone+report.FilesSkipped != 5 || s.newest(1)[0].ID != before+5 {
			t.Fatalf("%v, %v; %d messages, want 5", err, report.Failed, s.newest(1)[0].ID-before)
		}
		if got := groups(s.newest(5)); got != "|ppp|pp" {
			t.Errorf("groups %s", got)
		}
	})
}

// TestAlbumStale: the reference of an item expires before the album is sent. It
// is uploaded again, if need be with its parts, and the album is whole.
func TestAlbumStale(t *testing.T) {
	t.Parallel()
	for _, item := range []int{0, 2} {
		t.Run(fmt.Sprint("item ", item), func(t *testing.T) {
			t.Parallel()
			onStage(t, dctest.Config{Faults: []dctest.Fault{
				{Kind: "error", Method: "messages.sendMultiMedia", At: []int64{1}, Code: 400, Message: fmt.Sprintf("FILE_REFERENCE_%d_EXPIRED", item)},
				{Kind: "error", Method: "messages.uploadMedia", At: []int64{4}, Code: 400, Message: "FILE_PART_0_MISSING"},
			}}, func(t *testing.T, s *stage) {
				var uploads []transfer.Upload
				for i := range int64(3) {
					uploads = append(uploads, transfer.Upload{Path: s.made(fmt.Sprintf("%d.jpg", i), content.Photo, i+1), As: media})
				}
				before := s.newest(1)[0].ID
				report, err := s.send(t.Context(), true, uploads...)
				if err != nil || report.FilesDone != 3 || s.newest(1)[0].ID != before+3 {
					t.Fatalf("%v, %v", err, report.Failed)
				}
				if got := groups(s.newest(3)); got != "|ppp" || report.Parts != 4 {
					t.Errorf("groups %s, %d parts; want one, 4", got, report.Parts)
				}
			})
		})
	}
}

// TestAlbumItemFails: one that cannot be sent does not keep the others back, and
// the caption is on the first that is.
func TestAlbumItemFails(t *testing.T) {
	t.Parallel()
	onStage(t, dctest.Config{}, func(t *testing.T, s *stage) {
		var uploads []transfer.Upload
		for i := range int64(4) {
			uploads = append(uploads, transfer.Upload{Path: s.made(fmt.Sprintf("%d.jpg", i), content.Photo, i+1), As: media, Caption: "all of it"})
		}
		list := func(yield func(transfer.Upload, error) bool) {
			for u, err := range transfer.Albums(func(yield func(transfer.Upload, error) bool) {
				for _, u := range uploads {
					u.To = s.peer
					if !yield(u, nil) {
						return
					}
				}
			}) {
				if filepath.Base(u.Path) == "0.jpg" { // after it was found to be a photo
					if err := os.Remove(u.Path); err != nil {
						t.Error(err)
					}
				}
				if !yield(u, err) {
					return
				}
			}
		}
		report, err := transfer.New(s.client, transfer.Options{}).Upload(t.Context(), list)
		if err != nil || report.FilesDone != 3 || report.FilesFailed != 1 {
			t.Fatalf("%v, %d done, %v", err, report.FilesDone, report.Failed)
		}
		if got := groups(s.newest(3)); got != "|p*pp" {
			t.Errorf("groups %s", got)
		}
	})
}

// TestAlbumRefused: a group that the server refuses for one of its items is sent
// item by item.
func TestAlbumRefused(t *testing.T) {
	t.Parallel()
	onStage(t, dctest.Config{Faults: []dctest.Fault{
		{Kind: "error", Method: "messages.sendMultiMedia", Rate: 1, Code: 400, Message: "MEDIA_INVALID"},
		{Kind: "error", Method: "messages.sendMedia", At: []int64{2}, Code: 400, Message: "MEDIA_INVALID"},
	}}, func(t *testing.T, s *stage) {
		var uploads []transfer.Upload
		for i := range int64(3) {
			uploads = append(uploads, transfer.Upload{Path: s.made(fmt.Sprintf("%d.jpg", i), content.Photo, i+1), As: media})
		}
		report, err := s.send(t.Context(), true, uploads...)
		if err != nil || report.FilesDone != 2 || report.FilesFailed != 1 {
			t.Fatalf("%v, %d done, %v", err, report.FilesDone, report.Failed)
		}
	})
}
