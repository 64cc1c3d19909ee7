package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
)

func TestFit(t *testing.T) {
	figures := []string{"1.0 MiB / 2.0 MiB", "3 MiB/s", "5s left"}
	for width, want := range map[int]string{
		0: figures[0], 17: figures[0], 25: figures[0], 26: figures[0] + "  3 MiB/s", 35: strings.Join(figures, "  "), 80: strings.Join(figures, "  "),
	} {
		if got := fit(figures, width); got != want {
			t.Errorf("%d columns: %q, want %q", width, got, want)
		}
	}
}

func TestShorten(t *testing.T) {
	for _, tt := range []struct {
		name  string
		width int
		want  string
	}{
		{"short.bin", 12, "short.bin"},
		{"a long name.mp4", 10, "…name.mp4"},
		{"写真写真写真.jpg", 10, "…写真.jpg"},
		{"tur\x1b[2Jn\u202e.bin", 20, "tur[2Jn.bin"},
	} {
		if got := shorten(tt.name, tt.width); strings.TrimSpace(got) != tt.want {
			t.Errorf("%q in %d columns: %q, want %q", tt.name, tt.width, got, tt.want)
		}
	}
}

// While the list goes on nobody knows how much it will be.
func TestRemaining(t *testing.T) {
	p := transfer.Progress{BytesDone: 1 << 20, BytesKnown: 3 << 20, BytesRate: 1 << 20}
	if got, sum := remaining(p), known(p); got != "" || sum != "3.0 MiB+" {
		t.Errorf("of a list that goes on: %q, %q", got, sum)
	}
	p.ListComplete = true
	if got, sum := remaining(p), known(p); got != "2s left" || sum != "3.0 MiB" {
		t.Errorf("of a list that is complete: %q, %q", got, sum)
	}
}

func TestCountdown(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", time.Millisecond: "1 s", 23 * time.Second: "23 s", 61 * time.Second: "1m1s", 2*time.Hour - time.Millisecond: "2h0m0s",
	} {
		if got := countdown(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func TestSummary(t *testing.T) {
	r := &transfer.Report{Counters: transfer.Counters{FilesDone: 3, FilesFailed: 22, FloodWaits: 2}}
	for range 22 {
		r.Failed = append(r.Failed, transfer.FileResult{Path: "a.bin", Size: 2048, Err: errors.New("broken"), Retryable: true})
	}
	r.Failed[0].Retryable = false
	var out strings.Builder
	summarize(&out, r, "sent")
	for _, want := range []string{"a.bin  2.0 KiB  broken (trying again", "and 2 more; --report", "3 files done", "22 failed", "0 B sent in", "2 waits for Telegram"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	if n := strings.Count(out.String(), "a.bin"); n != failuresShown {
		t.Errorf("%d failed files are named, want %d", n, failuresShown)
	}
}

// Names of files, also of those on disk, come from strangers: none may move
// the cursor, alone or within an error.
func TestNamesArePrintable(t *testing.T) {
	const name = "a\x1b[2J\u202eb\r.bin"
	var out strings.Builder
	summarize(&out, &transfer.Report{Failed: []transfer.FileResult{{Path: name, Err: errors.New("open " + name + ": no")}}}, "received")
	for _, line := range []string{
		lineOf(transfer.FileDone{Path: name}), lineOf(transfer.FileDone{Path: name, ResumedBytes: 1}),
		lineOf(transfer.FileFailed{Path: name, Error: "open " + name + ": no"}), lineOf(archive.FileExtra{Path: name}), out.String(),
	} {
		if !strings.Contains(line, "a[2Jb.bin") || strings.ContainsAny(line, "\x1b\r\u202e") {
			t.Errorf("%q", line)
		}
	}
}
