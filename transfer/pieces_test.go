package transfer_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/split"
)

// sendSplit sends files in pieces of 512 KiB at most, with a client of its own.
func sendSplit(ctx context.Context, t *testing.T, cluster *dctest.Cluster, store transfer.Checkpoint, uploads ...transfer.Upload) (*transfer.Report, error) {
	t.Helper()
	client := signedIn(t, cluster)
	defer client.Close() //nolint:errcheck // the test is about what happens before
	peer, err := client.Resolve(t.Context(), "@"+dctest.BigChannel)
	if err != nil {
		t.Fatal(err)
	}
	e := transfer.New(client, transfer.Options{Checkpoint: store})
	return e.Upload(ctx, e.Split(512<<10, func(yield func(transfer.Upload, error) bool) {
		for _, u := range uploads {
			u.To = peer
			if !yield(u, nil) {
				return
			}
		}
	}))
}

// checkPieces wants each name to be sent once, first the pieces of path and then
// the manifest that describes them.
func checkPieces(t *testing.T, cluster *dctest.Cluster, path string, pieces int) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sent, ids := map[string]dctest.SentFile{}, map[string]int64{}
	for _, s := range cluster.Stats().Sent {
		if sent[s.Name].Name != "" {
			t.Errorf("%s was sent twice", s.Name)
		}
		sent[s.Name] = s
	}
	for _, f := range cluster.Uploaded() {
		ids[f.Name] = f.ID
	}
	about := sent[filepath.Base(path)+split.Suffix]
	m := split.Manifest{Name: filepath.Base(path), Size: int64(len(data)), SHA256: sha256.Sum256(data)}
	for n := range pieces {
		p := data[n*(512<<10) : min(len(data), (n+1)*(512<<10))]
		name := split.PieceName(m.Name, n)
		s := sent[name]
		if s.SHA256 != sha(p) || s.Message >= about.Message {
			t.Errorf("%s is message %d with SHA-256 %s; want %s, before the manifest, message %d", name, s.Message, s.SHA256, sha(p), about.Message)
		}
		m.Pieces = append(m.Pieces, split.Piece{Name: name, Size: int64(len(p)), SHA256: sha256.Sum256(p), Message: s.Message, Document: ids[name]})
	}
	if want, err := m.Encode(); err != nil || about.SHA256 != sha(want) {
		t.Errorf("the manifest is %+v, %v; want %s", about, err, want)
	}
}

// A source too large goes in pieces, then its manifest, and small ones beside it
// as they are. All of it is one file to the caller.
func TestSplit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cluster := inMemory(t)
		defer cluster.Close() //nolint:errcheck // the test is about what happens before
		large, small := noise(t, "large.bin", 3<<19+100), noise(t, "small.bin", 512<<10)
		var told []transfer.FileResult
		finished := func(r transfer.FileResult) error { told = append(told, r); return nil }
		store := checkpoint.NewMemory()
		uploads := []transfer.Upload{
			{Path: large, Job: "j", Confirm: true, Finished: finished}, {Path: small, Job: "j", Confirm: true, Finished: finished},
		}
		for run := range 2 { // the second one finds all of it sent
			told = nil
			report, err := sendSplit(t.Context(), t, cluster, store, uploads...)
			if err != nil || report.FilesDone+report.FilesSkipped != 6 || run == 1 && report.FilesSkipped != 6 {
				t.Fatalf("run %d: %v, %+v, %v", run, err, report.Counters, report.Failed)
			}
			slices.SortFunc(told, func(a, b transfer.FileResult) int { return strings.Compare(a.Path, b.Path) })
			data, _ := os.ReadFile(large)
			want := transfer.FileResult{Path: large, Size: 3<<19 + 100, SHA256: sha256.Sum256(data)}
			if len(told) != 2 || !slices.ContainsFunc(told, func(r transfer.FileResult) bool {
				return r.Path == want.Path && r.Size == want.Size && r.SHA256 == want.SHA256 && r.Unconfirmed == nil
			}) {
				t.Errorf("told %+v, want the two sources, confirmed", told)
			}
			checkPieces(t, cluster, large, 4)
		}
		fi, err := os.Stat(large)
		if err != nil {
			t.Fatal(err)
		}
		r, found, err := store.SentSource(checkpoint.UploadKey{Source: checkpoint.TargetOf(large), Chat: -1001500000001})
		if err != nil || !found || !r.Source.Equal(transfer.SourceOf(fi)) || r.Length() != fi.Size() {
			t.Errorf("the source is recorded as %+v, %v, %v", r, found, err)
		}
	})
}

// A piece that the server has lost the end of, or that was sent while the source
// was another, leaves the whole unconfirmed, or without a manifest.
func TestSplitDoubts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cluster := inMemory(t, dctest.Fault{Kind: "cut_upload", Method: "messages.sendMedia", At: []int64{2}})
		defer cluster.Close() //nolint:errcheck // the test is about what happens before
		var told []transfer.FileResult
		_, err := sendSplit(t.Context(), t, cluster, checkpoint.NewMemory(), transfer.Upload{
			Path: noise(t, "x.bin", 3<<19), Confirm: true, Finished: func(r transfer.FileResult) error { told = append(told, r); return nil },
		})
		if err != nil || len(told) != 1 || !errors.Is(told[0].Unconfirmed, transfer.ErrUnconfirmed) {
			t.Errorf("%v, told %+v; want it unconfirmed", err, told)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		cluster := inMemory(t, dctest.Fault{Kind: "error", Method: "messages.sendMedia", At: []int64{2}, Code: 400, Message: "MEDIA_INVALID"})
		defer cluster.Close() //nolint:errcheck // the test is about what happens before
		path := noise(t, "x.bin", 3<<19)
		store, job := checkpoint.NewMemory(), transfer.Upload{Path: path, Job: "j"}
		report, err := sendSplit(t.Context(), t, cluster, store, job)
		if err != nil || report.FilesFailed != 1 || report.FilesDone != 2 || len(cluster.Stats().Sent) != 2 {
			t.Fatalf("%v, %+v; want one piece failed and no manifest", err, report.Counters)
		}
		fi, _ := os.Stat(path) // other bytes in all pieces, and nothing else tells
		if err := errors.Join(overwrite(path, 10), overwrite(path, 600<<10), overwrite(path, 1100<<10), os.Chtimes(path, time.Time{}, fi.ModTime())); err != nil {
			t.Fatal(err)
		}
		report, err = sendSplit(t.Context(), t, cluster, store, job)
		if err != nil || report.FilesFailed != 1 || !errors.Is(report.Failed[0].Err, transfer.ErrChanged) || len(cluster.Stats().Sent) != 3 {
			t.Errorf("%v, %+v; want ErrChanged and no manifest", err, report.Failed)
		}
	})
}

// overwrite puts other bytes in a file, in place.
func overwrite(path string, at int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte("other"), at)
	return errors.Join(err, f.Close())
}

// However often the run is cut short, in the end each piece and the manifest are
// there once.
func TestSplitResumes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cluster := inMemory(t)
		defer cluster.Close() //nolint:errcheck // the test is about what happens before
		path, store := noise(t, "x.bin", 9<<18), checkpoint.NewMemory()
		cuts := 0
		for at := 60 * time.Millisecond; ; at += 15 * time.Millisecond {
			ctx, cancel := context.WithTimeout(t.Context(), at)
			report, err := sendSplit(ctx, t, cluster, store, transfer.Upload{Path: path, Job: "j"})
			cancel()
			if err == nil && report.FilesDone+report.FilesSkipped == 6 {
				break
			}
			if cuts++; !errors.Is(err, context.DeadlineExceeded) || cuts > 100 {
				t.Fatalf("cut %d: %v, %+v", cuts, err, report.Failed)
			}
		}
		if cuts < 3 {
			t.Errorf("the run was cut short %d times only", cuts)
		}
		checkPieces(t, cluster, path, 5)
	})
}
