package telegram

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
)

// TestFileIDs reads ids of public test suites, of several years.
func TestFileIDs(t *testing.T) {
	raw, err := os.ReadFile("testdata/file_ids.json")
	if err != nil {
		t.Fatal(err)
	}
	var ids []struct {
		Name       string `json:"name"`
		FileID     string `json:"file_id"`
		Type       int    `json:"type"`
		DC         int    `json:"dc"`
		Reference  string `json:"file_reference"`
		ID         int64  `json:"id"`
		AccessHash int64  `json:"access_hash"`
		Thumb      string `json:"thumb"`
		Of         int    `json:"of"`
	}
	if err := json.Unmarshal(raw, &ids); err != nil || len(ids) != 20 {
		t.Fatal(err, len(ids))
	}
	kinds := map[int]FileKind{0: KindDocument, 2: KindPhoto, 3: KindVoice, 4: KindVideo, 5: KindDocument, 8: KindSticker, 9: KindAudio, 10: KindAnimation}
	for _, id := range ids {
		f, err := ParseFileID(id.FileID)
		switch {
		case len(id.FileID) < minFileID:
			if !errors.Is(err, ErrNotFileID) {
				t.Errorf("%s, as short as a username: %v", id.Name, err)
			}
			continue
		case id.Type == 1: // pictures of chats
			if !errors.Is(err, ErrFileIDKind) || !IsFileID(id.FileID) {
				t.Errorf("%s: got %v, want ErrFileIDKind", id.Name, err)
			}
			continue
		case err != nil:
			t.Errorf("%s: %v", id.Name, err)
			continue
		}
		if f.ID != id.ID || f.AccessHash != id.AccessHash || f.DC != id.DC || hex.EncodeToString(f.FileReference) != id.Reference ||
			f.Thumb != id.Thumb || f.Kind != kinds[id.Type] || f.Size != SizeUnknown || !strings.Contains(f.Name, "_") {
			t.Errorf("%s: got %+v", id.Name, f)
		}
	}
}

// TestNotFileIDs: nothing else that people name is taken for one.
func TestNotFileIDs(t *testing.T) {
	good := "CAACAgIAAxkBAAM6YZlDEHCmaTKrUhCIjxAPtPtjVx4AAicAA4dXjx6dGLyHwXVNcCIE"
	if !IsFileID(good) {
		t.Fatal("the good one is none")
	}
	raw, _ := base64.RawURLEncoding.DecodeString(good)
	for _, s := range []string{
		"", "@films", "films", strings.Repeat("a", 32), "-1001234567890", "https://t.me/films/25", "https://t.me/+AAAAAAAAAAAAAAAAAAAAAA", good[1:], good[:len(good)-1],
		good + "A", good + "AAAA", strings.Repeat("A", 2000), strings.ReplaceAll(good, "A", "+"), base64.RawURLEncoding.EncodeToString(raw[:len(raw)-1]),
		base64.RawURLEncoding.EncodeToString(append(raw[:len(raw)-2:len(raw)-2], 0, 34, 4)), // a zero without a number
	} {
		if f, err := ParseFileID(s); err == nil {
			t.Errorf("%q was taken for %+v", s, f)
		}
	}
}

func FuzzFileID(f *testing.F) {
	f.Add("CAACAgIAAxkBAAM6YZlDEHCmaTKrUhCIjxAPtPtjVx4AAicAA4dXjx6dGLyHwXVNcCIE")
	f.Add("AAMCAgADGQEAAzthmpWOGgZc4iTqqBW7vF3RC_JFUQACtBAAArtesEiLnGAoc9EWlAEAB20AAyIE")
	f.Fuzz(func(t *testing.T, s string) {
		file, err := ParseFileID(s)
		if err == nil && (file.Kind == "" || file.Name == "" || file.DC < 1 || file.Size != SizeUnknown || file.Kind == KindPhoto && file.Thumb == "") {
			t.Errorf("%q: %+v", s, file)
		}
	})
}
