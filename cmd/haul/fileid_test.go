//go:build unix

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/tl"
)

// fileID is a document's file_id as the Bot API gives it.
func fileID(f telegram.File) string {
	var e tl.Encoder
	e.Int(5 | 1<<25)
	e.Int(int32(f.DC))
	e.Blob(f.FileReference)
	e.Long(f.ID)
	e.Long(f.AccessHash)
	var packed []byte
	for plain := e.Bytes(); len(plain) > 0; {
		n := 0
		for n < len(plain) && n < 250 && plain[n] == 0 {
			n++
		}
		if n == 0 {
			packed, plain = append(packed, plain[0]), plain[1:]
			continue
		}
		packed, plain = append(packed, 0, byte(n)), plain[n:]
	}
	return base64.RawURLEncoding.EncodeToString(append(packed, 61, 4))
}

// TestFileIDs: the files of file ids come whole although no id tells a size,
// and an id that is good for nothing is named and stops no other.
func TestFileIDs(t *testing.T) {
	t.Parallel()
	var specs []dctest.FileSpec
	for _, size := range []int64{1, 4095, 4096, 4097, 256<<10 - 1, 256 << 10, 1<<20 + 5, 3 << 20} {
		specs = append(specs, dctest.FileSpec{Kind: "document", Count: 1, MinSize: size, MaxSize: size, DC: 4})
	}
	s := newStage(t, dctest.Config{Channels: []dctest.ChannelConfig{{Username: "media", Files: specs}}})
	s.run(0, "archive", "@media", "-d", "out")
	files := archivedFiles(t, filepath.Join(s.dir, "out", "media", "messages.jsonl"))
	if len(files) != len(specs) {
		t.Fatalf("%d files were archived", len(files))
	}
	args := []string{"dl", "-d", "ids"}
	for _, f := range files {
		args = append(args, fileID(f))
	}
	lost := files[0]
	lost.FileReference = []byte(strings.Repeat("x", len(lost.FileReference)))
	stdout, _ := s.run(exitSomeFailed, append(args, fileID(lost))...)
	if !strings.Contains(stdout, "the file id is too old") || !strings.Contains(stdout, "file id BQAC") {
		t.Errorf("of an id without a reference it said %s", stdout)
	}
	for _, f := range files {
		old, _ := filepath.Glob(filepath.Join(s.dir, "out", "media", strconv.Itoa(f.Origin.MessageID)+"_*"))
		got, err := os.ReadFile(filepath.Join(s.dir, "ids", "document_"+strconv.FormatInt(f.ID, 10)))
		if err != nil || len(old) != 1 {
			t.Fatal(err, old)
		}
		if want, err := os.ReadFile(old[0]); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes came of an id, want %d (%v)", len(got), len(want), err)
		}
	}
	if stdout, _ = s.run(0, args...); !strings.Contains(stdout, `"bytes_received":0`) {
		t.Errorf("a second run fetched again: %s", stdout)
	}
	stdout, _ = s.run(0, append(args, args[3], "--dry-run")...)
	if !strings.Contains(stdout, `"size":-1`) || strings.Count(stdout, "would_fetch") != len(files) {
		t.Errorf("a dry run, of one twice, said %s", stdout)
	}
}

// archivedFiles are the documents of an archive's messages, with all that locates them.
func archivedFiles(t *testing.T, list string) (files []telegram.File) {
	t.Helper()
	raw, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(raw) {
		var m struct {
			ID    int `json:"id"`
			Media struct {
				Document struct {
					ID         int64  `json:"id,string"`
					AccessHash int64  `json:"access_hash,string"`
					Reference  []byte `json:"file_reference"`
					DC         int    `json:"dc_id"`
				} `json:"document"`
			} `json:"media"`
		}
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		if d := m.Media.Document; d.ID != 0 {
			files = append(files, telegram.File{
				ID: d.ID, AccessHash: d.AccessHash, FileReference: d.Reference, DC: d.DC, Origin: telegram.Origin{MessageID: m.ID},
			})
		}
	}
	return files
}
