package selection

import (
	"strings"
	"testing"
	"time"

	"github.com/tghaul/haul/telegram"
)

// aMessage is what the expressions of the tests look at.
func aMessage() (*telegram.Message, *telegram.File) {
	m := &telegram.Message{
		Peer: telegram.Peer{Kind: telegram.PeerChannel, ID: 55, Username: "films"}, ID: 17, GroupedID: 9, Views: 300,
		Date: time.Date(2025, 3, 30, 12, 0, 0, 0, time.UTC), Text: "A lecture on glaciers",
	}
	f := &telegram.File{
		Kind: telegram.KindVideo, Size: 60 << 20, Name: "Glacier.Part1.MKV", MimeType: "video/x-matroska", W: 1920, H: 1080,
		Duration: 90 * time.Minute, DC: 4,
	}
	return m, f
}

func TestFilter(t *testing.T) {
	m, f := aMessage()
	tests := []struct {
		text string
		want string // yes, no, or part of an error
	}{
		{`size > 50*MB`, "yes"},
		{`size > 50*MB && size < 60*MB`, "no"},
		{`name endsWith ".MKV" and text contains "lecture"`, "yes"},
		{`ext == "mkv"`, "yes"},
		{`ext in ["mp4", "mkv"] and not (mime startsWith "audio/")`, "yes"},
		{`type == "video"`, "yes"},
		{`type == "gif"`, "no"},
		{`lower(name) matches "part[0-9]+"`, "yes"},
		{`date > since("7d")`, "yes"},
		{`date > since("2025-03-31")`, "no"},
		{`date.Year() == 2025`, "yes"},
		{`width >= 1920 and height >= 1080 and duration > 3600`, "yes"},
		{`id == 17 and album and views >= 300 and dc == 4 and not out`, "yes"},
		{`chat == "films" and chat_id == -1000000000055`, "yes"},
		{`len(text) > 1000`, "no"},
		{`topic == 0 and reply_to == 0 and comments == 0`, "yes"},
		{`size > 3*GB or size > 3*KB`, "yes"},

		{``, "unexpected token EOF"},
		{`size >`, "unexpected token EOF"},
		{`sise > 5`, "unknown name sise"},
		{`size > "5"`, "mismatched types int and string"},
		{`size`, "expected bool, but got int"},
		{`name contains 5`, "mismatched types string and int"},
		{`since("someday") < date`, `since("someday")`},
		{`since(name) < date`, "since needs a text in quotes"},
		{`since(5) < date`, "since needs a text in quotes"},
		{`name matches "("`, "missing closing )"},
		{`name matches text`, "behind matches"},
		{`size in 1..5`, "ranges"},
		{`let a = text + text; a == ""`, "variables"},
		{`all([1, 2], # > 0)`, "loops"},
		{`[1, 2] | map(# + 1) | len() == 2`, "loops"},
		{`all(1..1000000, all(1..1000000, true))`, "not offered"},
		{`repeat("x", 1000000000) == ""`, "repeat"},
		{strings.Repeat("(", 3000), ""},
		{strings.Repeat("not ", 800) + "true", "exceeds maximum allowed nodes"},
		{strings.Repeat(" ", 5000) + "true", "longer than"},
	}
	for _, tt := range tests {
		got := ""
		filter, err := ParseFilter(tt.text, now)
		if err == nil {
			yes, matchErr := filter.Match(m, f)
			if got = map[bool]string{true: "yes", false: "no"}[yes]; matchErr != nil {
				err = matchErr
			}
		}
		if err != nil {
			got = "error: " + err.Error()
		}
		if tt.want == "yes" || tt.want == "no" {
			if got != tt.want {
				t.Errorf("%s: got %s, want %s", clip(tt.text), got, tt.want)
			}
		} else if err == nil || !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %s, want an error with %q", clip(tt.text), got, tt.want)
		}
	}
}

// FuzzFilter: whatever passes the checks ends soon, and takes little memory.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{
		`size > 50*MB`, `name endsWith ".mkv" and date > since("7d")`, `text matches "a+b"`, `(text + name)[2:5] == "x"`,
		`{"a": [size]}.a[0] % 3 == 0`, `date.AddDate(1, 2, 3).Format(text) != ""`, `2 ** 2 ** 2 ** 9 > 5 ?? true`, `[1,2,3] | len() > 2`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		begun := time.Now()
		filter, err := ParseFilter(s, now)
		if err != nil {
			return
		}
		m, file := aMessage()
		m.Text = strings.Repeat("ab ", 1400)
		_, _ = filter.Match(m, file)
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("%q took %v", s, took)
		}
	})
}
