package archive_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// signIn starts a cluster in memory and signs a bot in.
func signIn(t *testing.T, cfg dctest.Config) (*dctest.Cluster, *telegram.Client) {
	t.Helper()
	cfg.InMemory = true
	cluster, err := dctest.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })
	doc, err := json.Marshal(cluster.Datacenters())
	if err != nil {
		t.Fatal(err)
	}
	dcs, err := telegram.ParseDatacenters(doc)
	if err != nil {
		t.Fatal(err)
	}
	client, err := telegram.Dial(t.Context(), telegram.Config{
		AppID: 1, AppHash: "x", Datacenters: dcs, Dial: cluster.Dial,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	if _, err := client.LoginBot(t.Context(), dctest.BotToken); err != nil {
		t.Fatal(err)
	}
	return cluster, client
}

// archiveChat does what `haul archive` does.
func archiveChat(t *testing.T, client *telegram.Client, cp transfer.Checkpoint, dir, chat string) *transfer.Report {
	t.Helper()
	ctx := t.Context()
	peer, err := client.Resolve(ctx, chat)
	if err != nil {
		t.Fatal(err)
	}
	a, err := archive.Open(dir, peer)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}()
	engine := transfer.New(client, transfer.Options{Checkpoint: cp})
	report, err := engine.Download(ctx, files(ctx, client, a, peer))
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func files(ctx context.Context, client *telegram.Client, a *archive.Archive, peer telegram.Peer) iter.Seq2[transfer.Download, error] {
	return func(yield func(transfer.Download, error) bool) {
		for m, err := range client.Messages(ctx, peer, telegram.MessagesOptions{}) {
			if err == nil {
				_, err = a.AddMessage(m)
			}
			if err != nil {
				yield(transfer.Download{}, err)
				return
			}
			for _, f := range m.Files {
				if f.NoForwards || f.Err != nil {
					continue
				}
				d := transfer.Download{
					File: f, Dir: a.Root(), Path: a.Path(f), SHA256: a.SHA256(f),
					Finished: func(res transfer.FileResult) error { return a.AddFile(f, res) },
				}
				if !yield(d, nil) {
					return
				}
			}
		}
	}
}

func readManifest(t *testing.T, dir string) map[string]archive.Entry {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, archive.ManifestName))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	entries := make(map[string]archive.Entry)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var e archive.Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		if _, twice := entries[e.Path]; twice {
			t.Errorf("%s is in the manifest twice", e.Path)
		}
		entries[e.Path] = e
	}
	return entries
}

// TestArchive archives a channel of a simulated cluster, twice. Everything is
// byte for byte what the cluster has; the second time nothing moves.
func TestArchive(t *testing.T) {
	cluster, client := signIn(t, dctest.Config{Channels: []dctest.ChannelConfig{{
		Username: "media", Specials: true, Files: []dctest.FileSpec{
			{Kind: "photo", Count: 20, MinSize: 10_000, MaxSize: 200_000},
			{Kind: "document", Count: 10, MinSize: 1, MaxSize: 5 << 20},
			{Kind: "video", Count: 3, MinSize: 1 << 20, MaxSize: 9 << 20, DC: 4},
			{Kind: "document", Count: 2, MinSize: 3 << 20, MaxSize: 4 << 20, CDN: true},
		},
	}}})
	store, err := checkpoint.Open(t.TempDir(), checkpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	dir := t.TempDir()

	first := archiveChat(t, client, store, dir, "@media")
	if len(first.Failed) > 0 || first.FilesDone == 0 || first.FilesSkipped != 0 {
		t.Fatalf("first run: %+v", first.Counters)
	}
	for _, f := range first.Failed {
		t.Errorf("%s: %v", f.Path, f.Err)
	}
	checkAgainst(t, cluster, filepath.Join(dir, "media"))

	before := snapshot(t, dir)
	second := archiveChat(t, client, store, dir, "@media")
	if second.BytesReceived != 0 || second.FilesDone != 0 || second.FilesSkipped != first.FilesDone {
		t.Errorf("second run: %+v; want %d skipped, nothing received", second.Counters, first.FilesDone)
	}
	if after := snapshot(t, dir); after != before {
		t.Errorf("the second run changed the archive:\n%s\nwas\n%s", after, before)
	}

	// Without its checkpoint the archive still knows what it has (faults 45).
	lost := archiveChat(t, client, checkpoint.NewMemory(), dir, "@media")
	if lost.BytesReceived != 0 || lost.FilesDone != 0 || lost.FilesSkipped != first.FilesDone || len(lost.Failed) > 0 {
		t.Errorf("without a checkpoint: %+v; want %d skipped, nothing received", lost.Counters, first.FilesDone)
	}
	if after := snapshot(t, dir); after != before {
		t.Errorf("the run without a checkpoint changed the archive:\n%s\nwas\n%s", after, before)
	}

	third := archiveChat(t, client, checkpoint.NewMemory(), t.TempDir(), "@media")
	if third.FilesDone != first.FilesDone {
		t.Errorf("into another folder: %+v; want %d files done", third.Counters, first.FilesDone)
	}
}

// checkAgainst compares a folder with what the cluster has.
func checkAgainst(t *testing.T, cluster *dctest.Cluster, dir string) {
	t.Helper()
	manifest := readManifest(t, dir)
	byDocument := make(map[int64]archive.Entry)
	for _, e := range manifest {
		byDocument[e.Document] = e
	}
	n := 0
	for _, want := range cluster.Files() {
		e, ok := byDocument[want.ID]
		if !ok {
			continue // protected, or deleted
		}
		n++
		b, err := os.ReadFile(filepath.Join(dir, e.Path))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(b)); got != want.SHA256 || e.SHA256 != want.SHA256 || int64(len(b)) != want.Size {
			t.Errorf("%s: %d bytes with hash %s, manifest says %s; want %d, %s", e.Path, len(b), got, e.SHA256, want.Size, want.SHA256)
		}
	}
	if n < len(byDocument) || n < 35 {
		t.Errorf("%d files compared, manifest has %d", n, len(byDocument))
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if strings.HasSuffix(path, ".part") {
			t.Errorf("%s is left over", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// snapshot names each file with its size and time.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		at := fi.ModTime().UnixNano()
		if strings.HasSuffix(path, ".jsonl") {
			at = 0 // opened for appending: only the content matters
		}
		fmt.Fprintln(&b, path, fi.Size(), at)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var peer = telegram.Peer{Kind: telegram.PeerChannel, ID: 77, Username: "Some/..:Name"}

func testMessage(id int) *telegram.Message {
	m := &api.Message{ID: int32(id), PeerID: &api.PeerChannel{ChannelID: 77}, Message: "text \u202e \x00"}
	return &telegram.Message{Peer: peer, ID: id, Raw: tl.Marshal(m)}
}

func TestMessagesOnce(t *testing.T) {
	dir := t.TempDir()
	for run := range 3 {
		a, err := archive.Open(dir, peer)
		if err != nil {
			t.Fatal(err)
		}
		for id := 1; id <= 3+run; id++ {
			added, err := a.AddMessage(testMessage(id * 5000))
			if want := run == 0 || id == 3+run; err != nil || added != want {
				t.Errorf("run %d: AddMessage(%d) = %v, %v; want %v", run, id, added, err, want)
			}
		}
		for range 2 {
			if err := a.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, archive.FolderName(peer), archive.MessagesName))
	if err != nil || bytes.Count(b, []byte("\n")) != 5 {
		t.Errorf("%d lines, %v; want 5:\n%s", bytes.Count(b, []byte("\n")), err, b)
	}
}

// A line that was being written when the program ended is no line.
func TestTornLine(t *testing.T) {
	dir := t.TempDir()
	a, err := archive.Open(dir, peer)
	if err != nil {
		t.Fatal(err)
	}
	f := telegram.File{ID: 9, Name: "x.txt", Size: 3, Origin: telegram.Origin{Peer: peer, MessageID: 4}}
	if err := a.AddFile(f, transfer.FileResult{Path: a.Path(f), Size: 3}); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, archive.FolderName(peer), archive.ManifestName)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(good, `{"chat":-100`...), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err = archive.Open(dir, peer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	if got, want := a.Path(f), "4_x.txt"; got != want {
		t.Errorf("Path = %q, want %q", got, want)
	}
	if a.Has(f) {
		t.Error("Has a file that is not on disk")
	}
	if now, _ := os.ReadFile(path); !bytes.Equal(now, good) {
		t.Errorf("manifest is %q, want %q", now, good)
	}
}

// TestLinesLost takes from the lists what a power loss may: the end of what was
// not synced, or sectors of it. Whatever it is, the archive opens, has no entry
// that was not there, and what is added again makes it whole.
func TestLinesLost(t *testing.T) {
	dir := t.TempDir()
	const files = 40
	file := func(n int) telegram.File {
		return telegram.File{ID: int64(n), Name: fmt.Sprintf("file %d.bin", n), Size: int64(n), Origin: telegram.Origin{Peer: peer, MessageID: n}}
	}
	add := func(a *archive.Archive) {
		t.Helper()
		for n := range files {
			f := file(n + 1)
			if _, err := a.AddMessage(testMessage(n + 1)); err != nil {
				t.Fatal(err)
			}
			if err := a.AddFile(f, transfer.FileResult{Path: a.Path(f), Size: f.Size, SHA256: [32]byte{byte(n)}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	a, err := archive.Open(dir, peer)
	if err != nil {
		t.Fatal(err)
	}
	add(a)
	folder := filepath.Join(dir, archive.FolderName(peer))
	whole := make(map[string][]byte)
	for _, name := range []string{archive.ManifestName, archive.MessagesName} {
		if whole[name], err = os.ReadFile(filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for i := range 100 {
		asideWanted := false
		for name, good := range whole {
			b := bytes.Clone(good)
			switch from := rng.IntN(len(b)); rng.IntN(3) {
			case 0:
				b = b[:from]
			case 1: // the length is there, the end is not
				clear(b[from:])
			default:
				at := from / 512 * 512
				clear(b[at:min(at+512, len(b))])
				asideWanted = asideWanted || at+512 < len(b)
			}
			if err := os.WriteFile(filepath.Join(folder, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		a, err := archive.Open(dir, peer)
		if err != nil {
			t.Fatalf("image %d: %v", i, err)
		}
		for n := range files {
			if sum := a.SHA256(file(n + 1)); sum != [32]byte{} && sum != [32]byte{byte(n)} {
				t.Errorf("image %d: file %d has hash %x", i, n+1, sum)
			}
		}
		if asideWanted && len(a.SetAside()) == 0 {
			t.Errorf("image %d: nothing was set aside", i)
		}
		for _, name := range a.SetAside() {
			if err := os.Remove(filepath.Join(folder, name)); err != nil {
				t.Error(err)
			}
		}
		add(a)
		if got := len(readManifest(t, folder)); got != files {
			t.Errorf("image %d: %d entries, want %d", i, got, files)
		}
		b, err := os.ReadFile(filepath.Join(folder, archive.MessagesName))
		if err != nil || bytes.Count(b, []byte("\n")) != files || bytes.Contains(b, []byte{0}) {
			t.Errorf("image %d: messages.jsonl has %d lines, %v", i, bytes.Count(b, []byte("\n")), err)
		}
	}
}

// Names of other files never become equal to those that the manifest has.
func TestPathsKeepApart(t *testing.T) {
	a, err := archive.Open(t.TempDir(), peer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	file := func(id int64, name string) telegram.File {
		return telegram.File{ID: id, Name: name, Origin: telegram.Origin{Peer: peer, MessageID: 1}}
	}
	one, two, three := file(1, "A.txt"), file(2, "a.TXT"), file(3, "manifest.jsonl")
	if a.Path(one) != "1_A.txt" || a.Path(two) != "1_a (2).TXT" || a.Path(three) != "1_manifest.jsonl" {
		t.Errorf("paths %q, %q, %q", a.Path(one), a.Path(two), a.Path(three))
	}
	if a.Path(one) != "1_A.txt" {
		t.Errorf("path of the same file changed to %q", a.Path(one))
	}
}
