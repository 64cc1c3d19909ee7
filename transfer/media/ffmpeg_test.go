package media

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test's own program be the ffmpeg of a test: $FAKE_FFMPEG says
// what it does.
func TestMain(m *testing.M) {
	switch os.Getenv("FAKE_FFMPEG") {
	case "":
		os.Exit(m.Run())
	case "picture", "wide":
		w := 320
		if os.Getenv("FAKE_FFMPEG") == "wide" {
			w = 321
		}
		if jpeg.Encode(os.Stdout, image.NewGray(image.Rect(0, 0, w, 100)), nil) != nil {
			os.Exit(2)
		}
	case "arguments":
		_, _ = os.Stderr.WriteString(strings.Join(os.Args[1:], "\x00"))
		os.Exit(1)
	case "flood":
		for {
			if _, err := os.Stdout.Write(make([]byte, 1<<16)); err != nil {
				os.Exit(3)
			}
		}
	case "hang":
		time.Sleep(time.Hour)
	}
}

func frameBy(t *testing.T, ctx context.Context, fake, path string) ([]byte, error) { //nolint:revive // t comes first
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("FAKE_FFMPEG", fake)
	t.Setenv("GORACE", "atexit_sleep_ms=10") // what has the race detector sleeps a second before it exits
	return Frame(ctx, program, path, 10*time.Second)
}

// TestFrame: what ffmpeg may be told, and what may come of it.
func TestFrame(t *testing.T) {
	if b, err := frameBy(t, t.Context(), "picture", "x.mp4"); err != nil || CheckThumb(b) != nil {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	for _, fake := range []string{"wide", "flood"} {
		if _, err := frameBy(t, t.Context(), fake, "x.mp4"); err == nil {
			t.Errorf("%s is taken", fake)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := frameBy(t, ctx, "hang", "x.mp4"); !errors.Is(err, context.Canceled) {
		t.Errorf("hanging: %v", err)
	}
	abs, err := filepath.Abs("-i http:x|y.mp4")
	if err != nil {
		t.Fatal(err)
	}
	_, err = frameBy(t, t.Context(), "arguments", "-i http:x|y.mp4")
	_, said, _ := strings.Cut(err.Error(), "exit status 1: ")
	args := strings.Split(said, "\x00")
	if i := slices.Index(args, "-i"); i < 0 || args[i+1] != "file:"+abs || !strings.Contains(said, "-protocol_whitelist\x00file\x00-f\x00mov\x00") {
		t.Errorf("arguments %q", args)
	}
}

// largePNG is what pngOf makes, of one bit a pixel, and written without a picture
// of so many bytes: with the race detector that takes seconds. w is a multiple of 8.
func largePNG(t *testing.T, w, h int) []byte {
	t.Helper()
	out := []byte("\x89PNG\r\n\x1a\n")
	add := func(name string, data []byte) {
		out = binary.BigEndian.AppendUint32(out, uint32(len(data)))
		from := len(out)
		out = append(append(out, name...), data...)
		out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[from:]))
	}
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(w)), uint32(h))
	add("IHDR", append(head, 1, 0, 0, 0, 0)) // one bit of grey
	var lines bytes.Buffer
	z := zlib.NewWriter(&lines)
	_, err := z.Write(make([]byte, h*(1+w/8)))
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	add("IDAT", lines.Bytes())
	add("IEND", nil)
	return out
}

// The large picture that is refused is a good one but for its size.
func TestLargePNG(t *testing.T) {
	img, err := png.Decode(bytes.NewReader(largePNG(t, 80, 70)))
	if err != nil || img.Bounds() != image.Rect(0, 0, 80, 70) {
		t.Errorf("got %v, %v", img, err)
	}
}

// TestThumb: a picture of any size becomes a preview.
func TestThumb(t *testing.T) {
	for _, size := range [][2]int{{2000, 1500}, {100, 50}, {3000, 10}, {5, 3000}, {320, 320}} {
		b := pngOf(t, size[0], size[1])
		thumb, err := Thumb(bytes.NewReader(b), int64(len(b)))
		if err != nil || CheckThumb(thumb) != nil {
			t.Errorf("%v: %v", size, err)
		}
	}
	for name, b := range map[string][]byte{"no picture": []byte("text"), "too many pixels": largePNG(t, 8000, 7000), "cut": pngOf(t, 50, 50)[:60]} {
		if _, err := Thumb(bytes.NewReader(b), int64(len(b))); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
