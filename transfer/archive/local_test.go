package archive_test

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/telegram/selection"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
)

// fetchFiles lists the files of a chat as downloads into an archive that is
// arranged.
func fetchFiles(ctx context.Context, client *telegram.Client, a *archive.Archive, peer telegram.Peer, change func(*telegram.Message, *transfer.Download)) iter.Seq2[transfer.Download, error] {
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
					Finished: func(res transfer.FileResult) error { return a.AddFileOf(m, f, res) },
				}
				if change != nil {
					change(m, &d)
				}
				if !yield(d, nil) {
					return
				}
			}
		}
	}
}

// fetchChat fetches everything of a chat.
func fetchChat(t *testing.T, client *telegram.Client, dir, chat string) string {
	t.Helper()
	peer, err := client.Resolve(t.Context(), chat)
	if err != nil {
		t.Fatal(err)
	}
	a, err := archive.Open(dir, peer)
	if err != nil {
		t.Fatal(err)
	}
	report, err := transfer.New(client, transfer.Options{Checkpoint: checkpoint.NewMemory()}).Download(t.Context(), fetchFiles(t.Context(), client, a, peer, nil))
	if err != nil || len(report.Failed) > 0 {
		t.Fatal(err, report.Failed)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, archive.FolderName(peer))
}

// filesOf lists what a selection means, from wherever.
func filesOf(t *testing.T, s selection.Selection, source selection.Source, peer telegram.Peer) (list []string) {
	t.Helper()
	for m, err := range selection.NewPass(&s, source).Chat(t.Context(), peer) {
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range m.Files {
			if f.Err == nil {
				list = append(list, fmt.Sprintf("%d %v %d %s %d %s %q %d %d %dx%d %v %q", m.ID, m.Date, f.ID, f.Kind, f.Size, f.MimeType, f.Name, m.Topic, m.GroupedID, f.W, f.H, f.Duration, m.Text))
			}
		}
	}
	return list
}

// TestLocal holds the list of an archive against that of the chat, for every
// sort of selection.
func TestLocal(t *testing.T) {
	_, client := signIn(t, dctest.Config{Channels: []dctest.ChannelConfig{{
		Username: "media", Specials: true, Topics: []string{"Ships", "Cars"}, Files: []dctest.FileSpec{
			{Kind: "photo", Count: 6, MinSize: 10_000, MaxSize: 20_000},
			{Kind: "document", Count: 9, MinSize: 1, MaxSize: 9000},
			{Kind: "audio", Count: 2, MinSize: 1, MaxSize: 9000},
		},
	}}})
	folder := fetchChat(t, client, t.TempDir(), "@media")
	peer, err := client.Resolve(t.Context(), "@media")
	if err != nil {
		t.Fatal(err)
	}
	local, err := archive.OpenLocal(t.Context(), folder, true)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close() //nolint:errcheck // it was only read
	all := filesOf(t, selection.Selection{FilesOnly: true}, client, peer)
	var middle time.Time
	for m, err := range local.Messages(t.Context(), peer, telegram.MessagesOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		if middle = m.Date; m.ID < 12 {
			break
		}
	}
	parse := func(text string) *selection.Filter {
		f, err := selection.ParseFilter(text, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for name, s := range map[string]selection.Selection{
		"all":       {},
		"reverse":   {Reverse: true},
		"kinds":     {Kinds: []telegram.FileKind{telegram.KindPhoto, telegram.KindAudio}},
		"limit":     {Limit: 3},
		"ids":       {From: selection.Bound{ID: 6}, To: selection.Bound{ID: 14}},
		"since":     {From: selection.Bound{Time: middle}},
		"until":     {To: selection.Bound{Time: middle}},
		"sizes":     {MinSize: 1000, MaxSize: 12_000},
		"topic":     {Topic: 1},
		"filter":    {Filter: parse(`width > 0 or text contains "a" or mime endsWith "pdf" or duration > 5`)},
		"albums":    {Filter: parse(`album`), Album: true},
		"last ones": {Reverse: true, Limit: 4, MinSize: 5000},
	} {
		s.FilesOnly = true
		want, got := filesOf(t, s, client, peer), filesOf(t, s, local, local.Peer())
		if !slices.Equal(got, want) {
			t.Errorf("%s: the archive lists\n%q\nand the chat\n%q", name, got, want)
		}
		if len(want) == 0 || len(want) == len(all) && name != "all" && name != "reverse" {
			t.Errorf("%s: means %d files of %d and so tests nothing", name, len(want), len(all))
		}
	}
	if local.Peer().Username != "media" || local.BadLines != 0 {
		t.Errorf("peer %+v, %d bad lines", local.Peer(), local.BadLines)
	}
}

// Of several lines of a file the last counts, bad ones are counted, and what is
// not there is told.
func TestLocalLines(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, two := entry(1, "1_a.txt", "one"), entry(2, "2_b.txt", "two")
	older := two
	older.Path = "2_older.txt"
	write(t, filepath.Join(dir, archive.ManifestName), []byte(line(t, older)+line(t, one)+"{}\n"+line(t, two)+`{"message":3`))
	write(t, filepath.Join(dir, "1_a.txt"), []byte("one"))
	write(t, filepath.Join(dir, "2_b.txt"), []byte("longer"))
	local, err := archive.OpenLocal(t.Context(), dir, false)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close() //nolint:errcheck // it was only read
	var got []string
	for m, err := range local.Messages(t.Context(), local.Peer(), telegram.MessagesOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range m.Files {
			e, err := local.Entry(f)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(e.Path, " ", f.Name, " ", local.Check(e)))
		}
	}
	if want := []string{"2_b.txt b.txt size", "1_a.txt a.txt "}; !slices.Equal(got, want) || local.BadLines != 1 {
		t.Errorf("files %q, %d bad lines; want %q and 1", got, local.BadLines, want)
	}
	if err := os.WriteFile(filepath.Join(dir, archive.ManifestName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, err := range local.Messages(t.Context(), local.Peer(), telegram.MessagesOptions{}) {
		if err == nil {
			t.Error("no error when the manifest changes meanwhile")
		}
	}
}
