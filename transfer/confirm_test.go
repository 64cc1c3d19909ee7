package transfer_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/transfer"
)

// sendAll sends uploads with a client of its own.
func sendAll(t *testing.T, cluster *dctest.Cluster, store transfer.Checkpoint, uploads ...transfer.Upload) *transfer.Report {
	t.Helper()
	client := signedIn(t, cluster)
	defer client.Close() //nolint:errcheck // the test is about what happens before
	peer, err := client.Resolve(t.Context(), "@"+dctest.BigChannel)
	if err != nil {
		t.Fatal(err)
	}
	report, err := transfer.New(client, transfer.Options{Checkpoint: store}).Upload(t.Context(), func(yield func(transfer.Upload, error) bool) {
		for _, u := range uploads {
			u.To = peer
			if !yield(u, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func inMemory(t *testing.T, faults ...dctest.Fault) *dctest.Cluster {
	t.Helper()
	cluster, err := dctest.Start(t.Context(), dctest.Config{InMemory: true, RTT: dctest.Duration(20 * time.Millisecond), Faults: faults})
	if err != nil {
		t.Fatal(err)
	}
	return cluster
}

// noise makes a file to send.
func noise(t *testing.T, name string, size int) string {
	t.Helper()
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(size), byte(len(name))}).Read(b)
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What is sent is confirmed if the server has all of it, and only then.
func TestConfirm(t *testing.T) {
	t.Parallel()
	const hashes, send = "upload.getFileHashes", "messages.sendMedia"
	for _, c := range []struct {
		name  string
		fault dctest.Fault
		want  string // "": confirmed
	}{
		{"honest", dctest.Fault{Kind: "error", Method: hashes, At: []int64{1}, Code: 500, Message: "INTERNAL"}, ""},
		{"a hash is wrong", dctest.Fault{Kind: "hash_lie", Method: hashes, At: []int64{2}}, "hash"},
		{"no hashes", dctest.Fault{Kind: "no_hashes", Method: hashes, Rate: 1}, "no hashes"},
		{"hashes of the beginning only", dctest.Fault{Kind: "no_hashes", Method: hashes, At: []int64{2}}, "no hashes of it: from byte 1310720 on"},
		{"the end is lost", dctest.Fault{Kind: "cut_upload", Method: send, At: []int64{1}}, "bytes there"},
		{"waits", dctest.Fault{Kind: "flood_wait", Method: hashes, At: []int64{1, 3}, Seconds: 3}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cluster := inMemory(t, c.fault)
				defer cluster.Close() //nolint:errcheck // the test is about what happens before
				path := noise(t, "x.bin", 2<<20+77)
				report := sendAll(t, cluster, checkpoint.NewMemory(), transfer.Upload{Path: path, Confirm: true})
				if report.FilesDone != 1 {
					t.Fatalf("%+v", report)
				}
				err := report.Done[0].Unconfirmed
				if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, transfer.ErrUnconfirmed) || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("Unconfirmed is %v, want %q", err, c.want)
				}
			})
		})
	}
}

// A run that goes on after the message was sent confirms it, without sending it
// again; a source with other bytes by then is not what was sent, even if nothing
// but its bytes tells.
func TestConfirmLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cluster := inMemory(t)
		defer cluster.Close() //nolint:errcheck // the test is about what happens before
		path, store := noise(t, "x.bin", 300_000), checkpoint.NewMemory()
		sendAll(t, cluster, store, transfer.Upload{Path: path, Job: "j"})
		later := func() transfer.FileResult {
			t.Helper()
			var got transfer.FileResult
			report := sendAll(t, cluster, store, transfer.Upload{
				Path: path, Job: "j", Confirm: true, Finished: func(r transfer.FileResult) error { got = r; return nil },
			})
			if report.FilesSkipped != 1 || len(cluster.Stats().Sent) != 1 || got.Reason != transfer.SkipSent {
				t.Fatalf("%d skipped for %q, %d messages; want one and one", report.FilesSkipped, got.Reason, len(cluster.Stats().Sent))
			}
			return got
		}
		if got := later(); got.Unconfirmed != nil {
			t.Errorf("Unconfirmed is %v", got.Unconfirmed)
		}
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt([]byte("other"), 200_000)
		if err := errors.Join(err, f.Close(), os.Chtimes(path, time.Time{}, fi.ModTime())); err != nil {
			t.Fatal(err)
		}
		if got := later(); !errors.Is(got.Unconfirmed, transfer.ErrHash) {
			t.Errorf("Unconfirmed is %v, want ErrHash", got.Unconfirmed)
		}
	})
}

// A file that is there is skipped with its reason, and can be confirmed too.
func TestUploadSkipped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cluster := inMemory(t)
		defer cluster.Close() //nolint:errcheck // the test is about what happens before
		path, store := noise(t, "x.bin", 5000), checkpoint.NewMemory()
		first := sendAll(t, cluster, store, transfer.Upload{Path: path}).Done[0]
		for _, c := range []struct {
			skip      transfer.Skip
			confirmed bool
		}{
			{transfer.Skip{Reason: "there", Message: first.MessageID, Document: first.ID}, true},
			{transfer.Skip{Reason: "there", Message: first.MessageID, Document: first.ID + 1}, false},
			{transfer.Skip{Reason: "there"}, false},
		} {
			var got transfer.FileResult
			report := sendAll(t, cluster, store, transfer.Upload{
				Path: path, Skip: &c.skip, Confirm: true, Finished: func(r transfer.FileResult) error { got = r; return nil },
			})
			if report.FilesSkipped != 1 || got.Reason != "there" || (got.Unconfirmed == nil) != c.confirmed {
				t.Errorf("%+v: %d skipped, result %+v", c.skip, report.FilesSkipped, got)
			}
		}
		if n := len(cluster.Stats().Sent); n != 1 {
			t.Errorf("%d messages, want 1", n)
		}
	})
}

// Sections of a source are messages of their own, sent from their offsets.
func TestSections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cluster := inMemory(t)
		defer cluster.Close() //nolint:errcheck // the test is about what happens before
		path, store := noise(t, "x.bin", 1<<20+1000), checkpoint.NewMemory()
		all, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		section := func(name string, s transfer.Section) transfer.Upload {
			return transfer.Upload{Path: path, Name: name, Section: &s, Job: "j"}
		}
		uploads := []transfer.Upload{
			section("a", transfer.Section{Size: 1 << 20}), section("b", transfer.Section{Offset: 1 << 20, Size: 1000}),
			section("c", transfer.Section{Content: []byte("about it")}),
		}
		report := sendAll(t, cluster, store, uploads...)
		want := map[string]string{"a": sha(all[:1<<20]), "b": sha(all[1<<20:]), "c": sha([]byte("about it"))}
		sent := cluster.Stats().Sent
		for _, s := range sent {
			if s.SHA256 != want[s.Name] {
				t.Errorf("%s has SHA-256 %s, want %s", s.Name, s.SHA256, want[s.Name])
			}
		}
		if report.FilesDone != 3 || len(sent) != 3 {
			t.Fatalf("%d done, %d messages, want 3: %+v", report.FilesDone, len(sent), report.Failed)
		}
		if again := sendAll(t, cluster, store, uploads...); again.FilesSkipped != 3 {
			t.Errorf("the second run: %+v, want 3 skipped", again.Counters)
		}
		beyond := sendAll(t, cluster, store, section("d", transfer.Section{Offset: 1 << 20, Size: 1001}))
		if beyond.FilesFailed != 1 || !errors.Is(beyond.Failed[0].Err, transfer.ErrChanged) {
			t.Errorf("beyond the end: %+v, want ErrChanged", beyond.Failed)
		}
	})
}

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// The files of an album are confirmed too, once it is sent; photos, which the
// server makes anew, never are.
func TestConfirmAlbum(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cluster := inMemory(t, dctest.Fault{Kind: "hash_lie", Method: "upload.getFileHashes", At: []int64{2}})
		defer cluster.Close() //nolint:errcheck // the test is about what happens before
		client := signedIn(t, cluster)
		defer client.Close() //nolint:errcheck // likewise
		peer, err := client.Resolve(t.Context(), "@"+dctest.BigChannel)
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		var told []transfer.FileResult
		report, err := transfer.New(client, transfer.Options{}).Upload(t.Context(), transfer.Albums(func(yield func(transfer.Upload, error) bool) {
			for _, name := range []string{"a.bin", "b.bin", "c.bin"} {
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, []byte("the content of "+name), 0o600); err != nil {
					t.Error(err)
				}
				u := transfer.Upload{Path: path, To: peer, Confirm: true, Finished: func(r transfer.FileResult) error { told = append(told, r); return nil }}
				if !yield(u, nil) {
					return
				}
			}
		}))
		if err != nil || report.FilesDone != 3 || len(told) != 3 || told[0].Unconfirmed != nil || !errors.Is(told[1].Unconfirmed, transfer.ErrHash) || told[2].Unconfirmed != nil {
			t.Errorf("%v, %+v, told %+v; want the second unconfirmed", err, report.Counters, told)
		}
	})
}
