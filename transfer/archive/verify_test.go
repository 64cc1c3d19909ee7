package archive_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
)

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func line(t *testing.T, e archive.Entry) string {
	t.Helper()
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + "\n"
}

func entry(message int, path, content string) archive.Entry {
	return archive.Entry{
		Chat: -1001, Message: message, Document: int64(message), Path: path, Size: int64(len(content)),
		SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(content))),
	}
}

// verify runs Verify and describes what it has told of, sorted.
func verify(t *testing.T, dir string) (*archive.Verification, []string) {
	t.Helper()
	var told []string
	last := ""
	v, err := archive.Verify(t.Context(), dir, archive.VerifyOptions{Files: 3, Events: func(e transfer.Event) {
		last = e.Head().Event
		switch e := e.(type) {
		case archive.FileWrong:
			told = append(told, fmt.Sprintf("%s %s", e.Problem, e.Path))
		case archive.FileExtra:
			told = append(told, fmt.Sprintf("extra %s %v", e.Path, e.Unfinished))
		case archive.LineBad:
			told = append(told, fmt.Sprintf("line %s:%d", e.Path, e.Line))
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if last != "verify_done" {
		t.Errorf("the last event is %s, want verify_done", last)
	}
	slices.Sort(told)
	return v, told
}

// TestVerify finds everything that can be wrong with an archive, in it and in
// another one below it.
func TestVerify(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("x", 3<<20)
	files := map[string]string{
		"one/1_a": "right", "one/sub/2_b": "right too", "one/3_c": "longer", "one/4_d": "other", "one/5_e": "old",
		"one/extra": "?", "one/7_g.part": "?", "one/8_h": long, "one/10_dup": "again", "one/messages.jsonl": "{}\n",
		"one/two/1_a": "inner", "one/two/extra": "?", "outside": "belongs to no archive",
	}
	for name, content := range files {
		write(t, filepath.Join(dir, name), []byte(content))
	}
	if err := os.Mkdir(filepath.Join(dir, "one/9_i"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "one/manifest.jsonl"), []byte(strings.Join([]string{
		line(t, entry(1, "1_a", "right")),
		line(t, entry(5, "5_e", "an older content")), // replaced by a later line
		line(t, entry(2, "sub/2_b", "right too")),
		"this is no JSON\n", // line 4
		line(t, entry(3, "3_c", "short")),
		line(t, entry(4, "4_d", "right")),
		line(t, entry(5, "5_e", "old")),
		line(t, entry(6, "6_f", "gone")),
		line(t, entry(7, "../two", "outside")), // line 9
		`{"path":"x","size":-1}` + "\n",        // line 10
		`{"path":"x","size":1,"sha256":"00"}` + "\n",
		`{"path":"` + strings.Repeat("x", 2<<20) + `"}` + "\n", // line 12
		line(t, entry(8, "8_h", long)),
		line(t, entry(9, "9_i", "a folder now")),
		line(t, entry(10, "10_dup", "again")),
		`{"chat":1,"message":11,"path":"11_torn"`, // its end never came
	}, "")))
	write(t, filepath.Join(dir, "one/two/manifest.jsonl"), []byte(line(t, entry(1, "1_a", "INNER"))))

	v, got := verify(t, dir)
	want := []string{
		"extra one/7_g.part true", "extra one/extra false", "extra one/two/extra false",
		"hash one/4_d", "hash one/two/1_a",
		"line one/manifest.jsonl:10", "line one/manifest.jsonl:11", "line one/manifest.jsonl:12",
		"line one/manifest.jsonl:4", "line one/manifest.jsonl:9",
		"missing one/6_f", "not_a_file one/9_i", "size one/3_c",
	}
	if !slices.Equal(got, want) {
		t.Errorf("told of\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	counters := v.VerifyCounters
	counters.Seconds = 0
	if want := (archive.VerifyCounters{
		Archives: 2, FilesRight: 5, FilesWrong: 5, FilesExtra: 3, LinesBad: 5,
		Bytes: int64(len(long) + len("right"+"right too"+"other"+"old"+"again"+"inner")),
	}); counters != want {
		t.Errorf("counted %+v, want %+v", counters, want)
	}
	if len(v.Wrong) != 5 || v.Wrong[0].Dir != filepath.Join(dir, "one") || v.Wrong[4].Dir != filepath.Join(dir, "one/two") {
		t.Errorf("wrong files: %+v", v.Wrong)
	}
}

func TestVerifyNothing(t *testing.T) {
	if _, err := archive.Verify(t.Context(), t.TempDir(), archive.VerifyOptions{}); !errors.Is(err, archive.ErrNone) {
		t.Errorf("empty folder: %v, want ErrNone", err)
	}
	if _, err := archive.Verify(t.Context(), filepath.Join(t.TempDir(), "x"), archive.VerifyOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v, want ErrNotExist", err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "manifest.jsonl"), []byte(line(t, entry(1, "a", "b"))))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := archive.Verify(ctx, dir, archive.VerifyOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v, want context.Canceled", err)
	}
}

// A link in an archive is not followed, wherever it leads.
func TestVerifyLink(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	write(t, filepath.Join(outside, "manifest.jsonl"), []byte(line(t, entry(1, "a", "b"))))
	write(t, filepath.Join(outside, "secret"), []byte("right"))
	write(t, filepath.Join(dir, "manifest.jsonl"), []byte(line(t, entry(1, "1_a", "right"))))
	for name, to := range map[string]string{"1_a": "secret", "folder": "."} {
		if err := os.Symlink(filepath.Join(outside, to), filepath.Join(dir, name)); err != nil {
			t.Skip(err)
		}
	}
	v, got := verify(t, dir)
	if want := []string{"extra folder false", "not_a_file 1_a"}; !slices.Equal(got, want) || v.Archives != 1 {
		t.Errorf("told of %v in %d archives, want %v in 1", got, v.Archives, want)
	}
}

// TestVerifyRepair archives a channel, damages files of it in several ways,
// and repairs them. What is damaged is found and fetched, and nothing more.
func TestVerifyRepair(t *testing.T) {
	for _, forget := range []bool{false, true} {
		t.Run("forget="+strconv.FormatBool(forget), func(t *testing.T) {
			cluster, client := signIn(t, dctest.Config{Channels: []dctest.ChannelConfig{{
				Username: "media", Files: []dctest.FileSpec{
					{Kind: "photo", Count: 20, MinSize: 10_000, MaxSize: 200_000},
					{Kind: "document", Count: 6, MinSize: 2 << 20, MaxSize: 3 << 20},
				},
			}}})
			var cp transfer.Checkpoint = checkpoint.NewMemory()
			dir := t.TempDir()
			archiveChat(t, client, cp, dir, "@media")
			if v, told := verify(t, dir); v.FilesWrong != 0 || v.FilesRight != 26 || len(told) != 0 {
				t.Fatalf("fresh archive: %+v, %v; want 26 right and nothing to tell", v.VerifyCounters, told)
			}
			bad := damageSome(t, filepath.Join(dir, "media"))
			v, told := verify(t, dir)
			if v.FilesWrong != bad || v.FilesRight != 26-bad {
				t.Fatalf("%+v, %v; want %d wrong", v.VerifyCounters, told, bad)
			}
			if forget {
				cp = checkpoint.NewMemory()
			}
			report := repair(t, client, cp, v.Wrong)
			if report.FilesDone != bad || report.FilesFailed != 0 {
				t.Fatalf("%+v, %v; want %d repaired", report.Counters, report.Failed, bad)
			}
			if report.BytesReceived > int64(bad)*(2<<20) {
				t.Errorf("%d bytes received for %d damaged files: too many", report.BytesReceived, bad)
			}
			if v, told := verify(t, dir); v.FilesWrong != 0 || len(told) != 0 {
				t.Errorf("after the repair: %v", told)
			}
			checkAll(t, cluster, filepath.Join(dir, "media"))
		})
	}
}

// damageSome damages every third file of an archive and returns how many.
func damageSome(t *testing.T, dir string) (bad int) {
	t.Helper()
	n := 0
	for name, e := range readManifest(t, dir) {
		n++
		if n%3 != 0 {
			continue
		}
		bad++
		path := filepath.Join(dir, name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case e.Size < 1<<20 && bad%2 == 0:
			err = os.Remove(path)
		case bad%2 == 0:
			err = os.WriteFile(path, b[:len(b)-len(b)/4], 0o644)
		default:
			b[len(b)/2] ^= 0x10
			err = os.WriteFile(path, b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return bad
}

func repair(t *testing.T, client *telegram.Client, cp transfer.Checkpoint, wrong []archive.Wrong) *transfer.Report {
	t.Helper()
	r, err := archive.NewRepairs(wrong, func(ctx context.Context, chat int64, ids []int) (map[int][]telegram.File, error) {
		peer, err := client.Resolve(ctx, strconv.FormatInt(chat, 10))
		if err != nil {
			return nil, err
		}
		return client.RefreshFiles(ctx, peer, ids)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // nothing was written through it
	report, err := transfer.New(client, transfer.Options{Checkpoint: cp}).Download(t.Context(), r.Downloads(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func checkAll(t *testing.T, cluster *dctest.Cluster, dir string) {
	t.Helper()
	entries := readManifest(t, dir)
	if len(entries) != 26 {
		t.Errorf("the manifest has %d lines, want 26", len(entries))
	}
	for _, f := range cluster.Files() {
		for name, e := range entries {
			if e.Document != f.ID {
				continue
			}
			b, err := os.ReadFile(filepath.Join(dir, name))
			if sum := fmt.Sprintf("%x", sha256.Sum256(b)); err != nil || sum != f.SHA256 {
				t.Errorf("%s: %v, SHA-256 %s, the cluster has %s", name, err, sum, f.SHA256)
			}
		}
	}
}

// A message that is gone, one that has another file, and a chat out of reach
// fail their own files only, and what is on disk stays.
func TestRepairGone(t *testing.T) {
	dir := t.TempDir()
	var lines []string
	for n := 1; n <= 4; n++ {
		e := entry(n, fmt.Sprintf("%d_x", n), "right")
		if n == 4 {
			e.Chat = -1002
		}
		lines = append(lines, line(t, e))
		write(t, filepath.Join(dir, e.Path), []byte("wrong"))
	}
	write(t, filepath.Join(dir, "manifest.jsonl"), []byte(strings.Join(lines, "")))
	v, _ := verify(t, dir)
	var calls [][]int
	r, err := archive.NewRepairs(v.Wrong, func(_ context.Context, chat int64, ids []int) (map[int][]telegram.File, error) {
		calls = append(calls, ids)
		if chat == -1002 {
			return nil, telegram.ErrPeerNotFound
		}
		return map[int][]telegram.File{2: {{ID: 99, Size: 5}}, 3: {{ID: 3, Size: 6}}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // nothing was written through it
	n := 0
	for d, err := range r.Downloads(t.Context()) {
		n++
		want := transfer.ErrGone
		if d.Path == "4_x" {
			want = telegram.ErrPeerNotFound
		}
		if err != nil || !errors.Is(d.File.Err, want) {
			t.Errorf("%s: %v, %v; want %v", d.Path, err, d.File.Err, want)
		}
	}
	if n != 4 || len(calls) != 2 || !slices.Equal(calls[0], []int{1, 2, 3}) && !slices.Equal(calls[1], []int{1, 2, 3}) {
		t.Errorf("%d downloads, calls %v; want 4, two calls", n, calls)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "1_x")); !bytes.Equal(b, []byte("wrong")) {
		t.Error("a file was touched")
	}
}
