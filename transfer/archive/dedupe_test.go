package archive_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
	"github.com/tghaul/haul/transfer/archive/gallery"
)

// A dedupeLab archives files without a network: what a server would send is in
// content, by document.
type dedupeLab struct {
	t       *testing.T
	dir     string
	way     archive.Dedupe
	content map[int64]string
	warned  []string
	noLinks bool
}

func newDedupeLab(t *testing.T, way archive.Dedupe) *dedupeLab {
	return &dedupeLab{t: t, dir: t.TempDir(), way: way, content: map[int64]string{1: "one content", 2: "another", 3: "one content"}}
}

func chatOf(name string) telegram.Peer {
	return telegram.Peer{Kind: telegram.PeerChannel, ID: int64(len(name)), Username: name}
}

// archive has documents archived from a chat; the messages are numbered from 1.
// It returns what became of each: fetched, placed, elsewhere, or an error.
func (l *dedupeLab) archive(chat string, documents ...int64) (became []string) {
	l.t.Helper()
	a, err := archive.Open(l.dir, chatOf(chat))
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() {
		if err := a.Close(); err != nil {
			l.t.Error(err)
		}
	}()
	var pool *archive.Pool
	if l.way != archive.DedupeOff {
		if pool, err = archive.OpenPool(l.t.Context(), l.dir, l.way, func(text string) { l.warned = append(l.warned, text) }); err != nil {
			l.t.Fatal(err)
		}
		if l.noLinks {
			pool.WithoutLinks()
		}
		defer pool.Close() //nolint:errcheck // files are closed by themselves
	}
	for i, document := range documents {
		m := &telegram.Message{Peer: chatOf(chat), ID: i + 1, Date: time.Unix(1e9, 0)}
		f := telegram.File{
			ID: document, Name: "name.txt", Kind: telegram.KindDocument, Size: int64(len(l.content[document])),
			Origin: telegram.Origin{Peer: m.Peer, MessageID: m.ID},
		}
		d := transfer.Download{File: f, Dir: a.Root(), Path: a.Path(f), SHA256: a.SHA256(f), ModTime: m.Date}
		a.Share(pool, m, &d)
		became = append(became, l.engine(a, d))
	}
	return became
}

// engine does what the engine does with a download.
func (l *dedupeLab) engine(a *archive.Archive, d transfer.Download) string {
	res := transfer.FileResult{ID: d.File.ID, Origin: d.File.Origin, Path: d.Path, Size: d.File.Size, SHA256: sha256.Sum256([]byte(l.content[d.File.ID]))}
	name := filepath.Join(a.Root().Name(), d.Path)
	if _, err := os.Lstat(name); err == nil {
		res.Skipped = true
		return fmt.Sprint("there", errText(d.Finished(res)))
	}
	local, err := d.Local(l.t.Context())
	switch {
	case err != nil:
		return err.Error()
	case local.Found && local.SHA256 != res.SHA256:
		l.t.Errorf("%s: found another content", d.Path)
	case local.Found:
		res.Skipped = true
		became := "placed"
		if local.Elsewhere {
			became = "elsewhere"
		}
		return fmt.Sprint(became, errText(d.Finished(res)))
	}
	if err := os.WriteFile(name, []byte(l.content[d.File.ID]), 0o600); err != nil {
		l.t.Fatal(err)
	}
	return fmt.Sprint("fetched", errText(d.Finished(res)))
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// check verifies everything, and that a gallery finds all files.
func (l *dedupeLab) check(files int) {
	l.t.Helper()
	found, lines := verify(l.t, l.dir)
	if found.FilesRight != files || found.FilesWrong+found.FilesExtra+found.LinesBad > 0 {
		l.t.Errorf("verify: %+v, %q; want %d right files", found.VerifyCounters, lines, files)
	}
	page, err := gallery.Write(l.t.Context(), l.dir)
	if err != nil || page.Items != files || page.Missing > 0 {
		l.t.Errorf("gallery: %+v, %v; want %d items", page, err, files)
	}
	if err := os.RemoveAll(filepath.Join(l.dir, archive.GalleryName)); err != nil {
		l.t.Fatal(err)
	}
}

func (l *dedupeLab) sameFile(a, b string) bool {
	l.t.Helper()
	one, err := os.Stat(filepath.Join(l.dir, a))
	if err != nil {
		l.t.Fatal(err)
	}
	two, err := os.Stat(filepath.Join(l.dir, b))
	if err != nil {
		l.t.Fatal(err)
	}
	return os.SameFile(one, two)
}

func (l *dedupeLab) want(got []string, want ...string) {
	l.t.Helper()
	if !slices.Equal(got, want) {
		l.t.Errorf("files were %q, want %q", got, want)
	}
}

// A document is fetched once, in whatever chats and runs it occurs; so is, on
// disk, what has the same content under another document.
func TestDedupeHardlink(t *testing.T) {
	t.Parallel()
	l := newDedupeLab(t, archive.DedupeHardlink)
	l.want(l.archive("films", 1, 2, 1), "fetched", "fetched", "placed")
	l.want(l.archive("copies", 2, 3, 1), "placed", "fetched", "placed")
	l.check(6)
	if !l.sameFile("films/1_name.txt", "films/3_name.txt") || !l.sameFile("films/1_name.txt", "copies/3_name.txt") || !l.sameFile("films/1_name.txt", "copies/2_name.txt") {
		t.Error("files with one content are several on disk")
	}
	if l.sameFile("films/1_name.txt", "films/2_name.txt") || len(l.warned) > 0 {
		t.Errorf("different files are one, or warnings: %q", l.warned)
	}
	l.want(l.archive("copies", 2, 3, 1), "there", "there", "there")
	if err := os.Remove(filepath.Join(l.dir, "copies/3_name.txt")); err != nil {
		t.Fatal(err)
	}
	l.want(l.archive("copies", 2, 3, 1), "there", "there", "placed")
	l.check(6)
}

// A reference has no file of its own. If the other is gone, or is not what it
// was, it is fetched.
func TestDedupeReference(t *testing.T) {
	t.Parallel()
	l := newDedupeLab(t, archive.DedupeReference)
	l.want(l.archive("films", 1, 2, 1), "fetched", "fetched", "elsewhere")
	l.want(l.archive("copies", 2, 3, 1), "elsewhere", "fetched", "elsewhere")
	l.check(6)
	if left, err := filepath.Glob(filepath.Join(l.dir, "*", "*.txt")); err != nil || len(left) != 2 {
		t.Errorf("files %q, %v; want two", left, err)
	}
	var paths []string
	for _, chat := range []string{"films", "copies"} {
		local, err := archive.OpenLocal(t.Context(), filepath.Join(l.dir, chat), false)
		if err != nil {
			t.Fatal(err)
		}
		for m, err := range local.Messages(t.Context(), local.Peer(), telegram.MessagesOptions{Reverse: true}) {
			if err != nil {
				t.Fatal(err)
			}
			e, err := local.Entry(m.Files[0])
			if err != nil || local.Check(e) != "" || m.Files[0].Name != "name.txt" {
				t.Errorf("%+v of %s: %v, %s", e, chat, err, local.Check(e))
			}
			paths = append(paths, e.Path)
		}
		_ = local.Close()
	}
	l.want(paths, "1_name.txt", "2_name.txt", "1_name.txt", "../films/2_name.txt", "../films/1_name.txt", "../films/1_name.txt")
	l.want(l.archive("copies", 2, 3, 1), "elsewhere", "elsewhere", "elsewhere")
	l.way = archive.DedupeOff // what is there by reference stays so
	l.want(l.archive("copies", 2, 3, 1), "elsewhere", "elsewhere", "elsewhere")
	if b, err := os.ReadFile(filepath.Join(l.dir, "copies", archive.ManifestName)); err != nil || strings.Count(string(b), "\n") != 3 {
		t.Errorf("the manifest grew: %s, %v", b, err)
	}

	l.way = archive.DedupeReference
	write(t, filepath.Join(l.dir, "films/1_name.txt"), []byte("short"))
	if err := os.Remove(filepath.Join(l.dir, "films/2_name.txt")); err != nil {
		t.Fatal(err)
	}
	l.want(l.archive("copies", 2, 3, 1), "fetched", "fetched", "fetched")
	found, lines := verify(t, filepath.Join(l.dir, "copies"))
	if found.FilesRight != 3 || found.FilesWrong+found.FilesExtra > 0 {
		t.Errorf("verify: %+v, %q", found.VerifyCounters, lines)
	}
	if left, err := filepath.Glob(filepath.Join(l.dir, "copies", "*.txt")); err != nil || len(left) != 2 {
		t.Errorf("files %q, %v; want two, since two have one content", left, err)
	}
}

// What is on disk is believed only if it has the hash that it had: damage of the
// same size does not spread.
func TestDedupeProves(t *testing.T) {
	t.Parallel()
	for _, way := range []archive.Dedupe{archive.DedupeHardlink, archive.DedupeReference} {
		l := newDedupeLab(t, way)
		l.want(l.archive("films", 1), "fetched")
		write(t, filepath.Join(l.dir, "films/1_name.txt"), []byte("ONE content"))
		l.want(l.archive("copies", 1, 3), "fetched", "fetched")
		found, lines := verify(t, l.dir)
		if found.FilesWrong != 1 || found.FilesRight != 2 {
			t.Errorf("%s: %d wrong, %d right: %q", way, found.FilesWrong, found.FilesRight, lines)
		}
		if b, err := os.ReadFile(filepath.Join(l.dir, "copies/1_name.txt")); err != nil || string(b) != "one content" {
			t.Errorf("%s: the copy is %q, %v", way, b, err)
		}
		// A link in its place is no file.
		if err := os.Remove(filepath.Join(l.dir, "films/1_name.txt")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("../copies/1_name.txt", filepath.Join(l.dir, "films/1_name.txt")); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(l.dir, "copies", archive.ManifestName), nil)
		_ = os.Remove(filepath.Join(l.dir, "copies/1_name.txt"))
		l.want(l.archive("copies", 1), "fetched")
	}
}

// Where there are no hard links files are copied, proven and dated, and that is
// said once.
func TestDedupeCopies(t *testing.T) {
	t.Parallel()
	l := newDedupeLab(t, archive.DedupeHardlink)
	l.noLinks = true
	l.want(l.archive("films", 1, 1, 3, 1), "fetched", "placed", "fetched", "placed")
	l.check(4)
	if l.sameFile("films/1_name.txt", "films/2_name.txt") || len(l.warned) != 1 || !strings.Contains(l.warned[0], "no hard links") {
		t.Errorf("warnings %q", l.warned)
	}
	if fi, err := os.Stat(filepath.Join(l.dir, "films/2_name.txt")); err != nil || fi.ModTime().Unix() != 1e9 {
		t.Errorf("the copy is of %v, %v", fi.ModTime(), err)
	}
}

// A hostile line refers to nothing outside of the folder that the archives are in.
func TestReferenceContained(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "in")
	outside := sha256.Sum256([]byte("secret"))
	write(t, filepath.Join(dir, "..", "secret"), []byte("secret"))
	lines := ""
	for i, p := range []string{"../../secret", "../chat/../../secret", "/etc/passwd", "..", "../..", "a/../../secret", "../secret"} {
		e := entry(i+1, p, "secret")
		e.Reference, e.SHA256 = true, hex.EncodeToString(outside[:])
		lines += line(t, e)
	}
	write(t, filepath.Join(dir, "chat", archive.ManifestName), []byte(lines))
	found, told := verify(t, dir)
	if found.FilesRight != 0 || found.LinesBad != 6 || found.FilesWrong != 1 {
		t.Errorf("%+v: %q", found.VerifyCounters, told)
	}
	page, err := gallery.Write(t.Context(), filepath.Join(dir, "chat"))
	if err != nil || page.Items != 0 {
		t.Errorf("gallery: %+v, %v", page, err)
	}
}

// A damaged file that several lines share is repaired once, by the line that
// has it, and all are right then.
func TestRepairShared(t *testing.T) {
	t.Parallel()
	l := newDedupeLab(t, archive.DedupeReference)
	l.archive("films", 1, 2)
	l.archive("copies", 1, 3, 2)
	write(t, filepath.Join(l.dir, "films/1_name.txt"), []byte("ONE content"))
	found, _ := verify(t, l.dir)
	if len(found.Wrong) != 3 {
		t.Fatalf("%d wrong, want 3", len(found.Wrong))
	}
	var mu sync.Mutex
	var asked []int64
	repairs, err := archive.NewRepairs(found.Wrong, func(_ context.Context, chat int64, ids []int) (map[int][]telegram.File, error) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, chat)
		return map[int][]telegram.File{ids[0]: {{ID: 1, Size: 11}}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer repairs.Close() //nolint:errcheck // nothing was written
	n := 0
	for d, err := range repairs.Downloads(t.Context()) {
		if err != nil || errors.Is(d.File.Err, transfer.ErrGone) || d.Path != "1_name.txt" || filepath.Base(d.Dir.Name()) != "films" {
			t.Errorf("repair of %s in %s: %v, %v", d.Path, d.Dir.Name(), err, d.File.Err)
		}
		n++
		if err := d.Finished(transfer.FileResult{}); err != nil {
			t.Error(err)
		}
	}
	if films := chatOf("films"); n != 1 || !slices.Equal(asked, []int64{films.MarkedID()}) || repairs.Done() != 3 {
		t.Errorf("%d repairs, chats %v, %d lines right", n, asked, repairs.Done())
	}
}
