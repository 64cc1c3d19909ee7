//go:build unix

package main

import (
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/transfer/archive"
	"github.com/tghaul/haul/transfer/split"
)

// mixedFiles is how many files TestMixedFolder moves; make mixed moves 500.
var mixedFiles = flag.Int("mixed", 60, "files that TestMixedFolder moves")

// A folder of all sorts of files is uploaded, killed in the middle, resumed,
// sent once more with nothing to do, and verified; and what is downloaded into
// an empty folder is, file by file, what was there.
func TestMixedFolder(t *testing.T) {
	t.Parallel()
	s := newStage(t, dctest.Config{
		Channels: []dctest.ChannelConfig{{Username: "media", Files: []dctest.FileSpec{{Kind: "text", Count: 1}}}},
		// In the middle nothing is sent for a while: time to kill.
		Faults: []dctest.Fault{{Kind: "flood_wait", Method: "messages.sendMedia", At: []int64{int64(*mixedFiles) / 3}, Seconds: 2}},
	})
	sizes, largest := mixedSizes, "11M"
	if *mixedFiles < 200 {
		sizes, largest = []int64{1, 2, 1023, 1024, 512<<10 - 1, 512 << 10, 512<<10 + 1, 3<<20 + 3}, "1M"
	}
	want := s.mixedFolder("mixed", *mixedFiles, sizes)
	up := []string{"up", "mixed", "--to", "@media", "--split", largest, "--caption", "{{.Path}}"}
	p := s.start(up...)
	s.soon("the wait in the middle", func() bool { return s.cluster.Stats().Faults["flood_wait"] > 0 })
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(); code != -1 {
		t.Fatalf("it ended with %d before it was killed", code)
	}
	s.run(0, "resume")
	sent := len(s.cluster.Stats().Sent)
	s.run(0, append(up, "--skip-existing")...)
	if now := len(s.cluster.Stats().Sent); now != sent {
		t.Errorf("%d messages after a second run, %d before", now, sent)
	}

	s.run(0, "archive", "@media", "-d", "archive")
	s.run(0, "verify", "archive")
	s.run(0, "dl", "@media", "-d", "out")
	s.compare(want, filepath.Join(s.dir, "out"))
	entries, err := readManifest(filepath.Join(s.dir, "archive", "media", archive.ManifestName))
	if err != nil || len(entries) != sent {
		t.Errorf("%d files in the archive, %v; want the %d that were sent", len(entries), err, sent)
	}
}

// soon waits until something has come about.
func (s *stage) soon(what string, is func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("%s does not come", what)
		}
	}
}

// A mixedFile is one of the folder.
type mixedFile struct {
	name string
	size int64
	sum  string
}

// mixedSizes are those that come first, at the borders of what uploads do.
var mixedSizes = []int64{1, 2, 1023, 1024, 512<<10 - 1, 512 << 10, 512<<10 + 1, 10<<20 - 1, 10 << 20, 10<<20 + 1, 12<<20 + 3}

// mixedNames are patterns of names, with a number in each.
var mixedNames = []string{
	"plain %d.txt", "ünï çødé %d.bin", "日本語 %d.dat", "emoji 🎬 %d.mp4", " leading blank %d", "trailing dot %d.", "UPPER %d.JPG", "no extension %d",
	"quotes ' %d.txt", "percent %%41 %d.txt", "semi;colon&%d.sh", ".hidden %d", "-dash %d.txt", "CON.%d", "a b\tc %d.txt", "backslash \\ %d.txt",
	"colon: %d.txt", "question? %d*.txt", "right\u202eleft %d.txt", strings.Repeat("long ", 40) + "%d.txt", "piece.%03d", "e\u0301 combining %d",
}

// mixedFolder makes a folder with so many files, in folders of its own, and with
// an empty one.
func (s *stage) mixedFolder(name string, count int, sizes []int64) []mixedFile {
	s.t.Helper()
	rng := rand.New(rand.NewPCG(1, uint64(count)))
	noise := rand.NewChaCha8([32]byte{5})
	var list []mixedFile
	for i := range count {
		size := 1 + rng.Int64N(40<<10)
		if i < len(sizes) {
			size = sizes[i]
		}
		b := make([]byte, size)
		_, _ = noise.Read(b)
		base := fmt.Sprintf(mixedNames[i%len(mixedNames)], i)
		path := filepath.Join(s.dir, name, []string{"", "sub", "sub/deeper", "ot her"}[i%4], base)
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		if err == nil {
			err = os.WriteFile(path, b, 0o600)
		}
		if err != nil {
			s.t.Fatal(err)
		}
		sum, err := fileSum(path)
		if err != nil {
			s.t.Fatal(err)
		}
		list = append(list, mixedFile{base, size, sum})
	}
	if err := os.MkdirAll(filepath.Join(s.dir, name, "empty"), 0o700); err != nil {
		s.t.Fatal(err)
	}
	return list
}

// compare wants a folder to have the files, by their content, and no other.
func (s *stage) compare(want []mixedFile, dir string) {
	s.t.Helper()
	var sums, names []string
	for _, f := range want {
		sums = append(sums, f.sum)
	}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || split.IsManifest(path) { // of what was joined
			return err
		}
		sum, err := fileSum(path)
		if at := slices.Index(sums, sum); at >= 0 {
			sums = slices.Delete(sums, at, at+1)
		} else {
			names = append(names, path)
		}
		return err
	})
	if err != nil || len(sums) > 0 || len(names) > 0 {
		s.t.Errorf("%v; %d files are missing, and nobody has sent %q", err, len(sums), names)
	}
}
