package media

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tghaul/haul/telegram/dctest/content"
)

// made is a file as the simulated cluster makes them.
func made(t testing.TB, kind content.Kind, size int64) (*content.File, []byte) {
	t.Helper()
	f := content.New(1, 7, kind, size)
	b, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return f, b
}

func pngOf(t testing.TB, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, w, h))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// mp3Of is frames of silence at 128 kbit/s and 44100 Hz, after a tag.
func mp3Of(frames int, title string) []byte {
	frame := append([]byte{0xff, 0xfb, 0x90, 0x00}, make([]byte, 413)...)
	text := append([]byte{3}, title...)
	id3 := append([]byte("TIT2"), 0, 0, 0, byte(len(text)), 0, 0)
	id3 = append(id3, text...)
	return append(append([]byte{'I', 'D', '3', 4, 0, 0, 0, 0, 0, byte(len(id3))}, id3...), bytes.Repeat(frame, frames)...)
}

// xingOf is mp3Of with a first frame that tells the number of frames.
func xingOf(frames, told int) []byte {
	b := mp3Of(frames, "x")
	at := bytes.Index(b, []byte{0xff, 0xfb}) + 4 + 32
	copy(b[at:], "Xing\x00\x00\x00\x01")
	binary.BigEndian.PutUint32(b[at+8:], uint32(told))
	return b
}

func flacOf(rate, samples uint64) []byte {
	b := append([]byte("fLaC\x00\x00\x00\x22"), make([]byte, 34)...)
	binary.BigEndian.PutUint64(b[18:], rate<<44|1<<41|15<<36|samples)
	return b
}

// moovLast puts the index of an MP4 file behind everything else.
func moovLast(b []byte) []byte {
	var boxes [][]byte
	var moov []byte
	for len(b) > 0 {
		n := uint64(binary.BigEndian.Uint32(b))
		if n == 1 {
			n = binary.BigEndian.Uint64(b[8:])
		}
		if string(b[4:8]) == "moov" {
			moov = b[:n]
		} else {
			boxes = append(boxes, b[:n])
		}
		b = b[n:]
	}
	return bytes.Join(append(boxes, moov), nil)
}

func TestProbe(t *testing.T) {
	video, videoBytes := made(t, content.Video, 60_000)
	photo, photoBytes := made(t, content.Photo, 30_000)
	audio, audioBytes := made(t, content.Audio, 200_000)
	voice, voiceBytes := made(t, content.Voice, 20_000)
	var animated bytes.Buffer
	if err := gif.Encode(&animated, image.NewPaletted(image.Rect(0, 0, 9, 8), color.Palette{color.Black, color.White}), nil); err != nil {
		t.Fatal(err)
	}
	shown := Info{
		Kind: Video, MimeType: "video/mp4", Width: video.Width(), Height: video.Height(),
		Duration: video.Duration(), Streaming: true, Silent: true,
	}
	late := shown
	late.Streaming = false
	for _, tt := range []struct {
		name string
		data []byte
		want Info
	}{
		{"video", videoBytes, shown},
		{"video with the index last", moovLast(videoBytes), late},
		{"photo", photoBytes, Info{Kind: Picture, MimeType: "image/jpeg", Width: photo.Width(), Height: photo.Height()}},
		{"png", pngOf(t, 30, 20), Info{Kind: Picture, MimeType: "image/png", Width: 30, Height: 20}},
		{"gif", animated.Bytes(), Info{Kind: Picture, MimeType: "image/gif", Width: 9, Height: 8}},
		{"wav", audioBytes, Info{Kind: Audio, MimeType: "audio/wav", Duration: audio.Duration()}},
		{"opus", voiceBytes, Info{Kind: Voice, MimeType: "audio/ogg", Duration: voice.Duration()}},
		{"mp3", mp3Of(100, "A \n title"), Info{Kind: Audio, MimeType: "audio/mpeg", Duration: 100 * 1152 * time.Second / 44100, Title: "A title"}},
		{"mp3 that counts", xingOf(10, 1000), Info{Kind: Audio, MimeType: "audio/mpeg", Duration: 1000 * 1152 * time.Second / 44100, Title: "x"}},
		{"flac", flacOf(96000, 96000*30), Info{Kind: Audio, MimeType: "audio/flac", Duration: 30 * time.Second}},
		{"text", []byte("hello"), Info{MimeType: "text/plain; charset=utf-8"}},
		{"nothing", nil, Info{MimeType: "text/plain"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Probe(bytes.NewReader(tt.data), int64(len(tt.data)))
			if err != nil {
				t.Fatal(err)
			}
			if off := got.Duration - tt.want.Duration; off < -50*time.Millisecond || off > 50*time.Millisecond {
				t.Errorf("lasts %v, want %v", got.Duration, tt.want.Duration)
			}
			got.Duration = tt.want.Duration
			if got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

// TestBroken: what is cut short is no media, and says why.
func TestBroken(t *testing.T) {
	_, video := made(t, content.Video, 60_000)
	cut := moovLast(video)[:30_000]
	huge := slices.Clone(video)
	at := bytes.Index(huge, []byte("mvhd")) + 4
	binary.BigEndian.PutUint32(huge[at+12:], 1)           // timescale
	binary.BigEndian.PutUint32(huge[at+16:], 0xffff_fff0) // duration
	wide := pngOf(t, 3, 3)
	for name, data := range map[string][]byte{
		"video without its index": cut, "video of a century": huge, "half a picture": wide[:20], "flac head": flacOf(1, 1)[:20],
		"wav head": []byte("RIFF\x00\x00\x00\x00WAVEfmt "), "mp3 tag": []byte("ID3\x04\x00\x00\x00\x00\x00\x7f"),
	} {
		info, err := Probe(bytes.NewReader(data), int64(len(data)))
		if err == nil || info.Kind != Other || info.MimeType == "" || !strings.HasPrefix(err.Error(), "broken ") {
			t.Errorf("%s: %+v, %v; want an error", name, info, err)
		}
	}
}

func TestNoPhoto(t *testing.T) {
	for _, tt := range []struct {
		w, h int
		size int64
		ok   bool
	}{
		{100, 100, MaxPhotoSize, true}, {100, 100, MaxPhotoSize + 1, false}, {5000, 5000, 1, true}, {5000, 5001, 1, false}, {2000, 100, 1, true}, {100, 2001, 1, false},
	} {
		i := Info{Kind: Picture, Width: tt.w, Height: tt.h}
		if got := i.NoPhoto(tt.size); (got == "") != tt.ok {
			t.Errorf("%+v: %q", tt, got)
		}
	}
	if (&Info{}).NoPhoto(1) == "" {
		t.Error("what is no picture is a photo")
	}
}

// endless is a file that repeats itself for ever.
type endless struct{ unit []byte }

func (e endless) ReadAt(p []byte, off int64) (int, error) {
	for i := range p {
		p[i] = e.unit[(off+int64(i))%int64(len(e.unit))]
	}
	return len(p), nil
}

// TestBudget: a file that has no end to look for is given up, soon and cheaply.
// The race detector doubles what it costs.
func TestBudget(t *testing.T) {
	box := append([]byte{0, 0, 0, 16}, "ftypisom\x00\x00\x02\x00"...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := Probe(endless{box}, 1<<50); err == nil {
		t.Error("an endless file is no error")
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 128<<20 {
		t.Errorf("it cost %d MiB", grown>>20)
	}
}

// FuzzProbe: no file makes it panic, or read or claim too much.
func FuzzProbe(f *testing.F) {
	for _, kind := range []content.Kind{content.Video, content.Photo, content.Audio, content.Voice} {
		_, b := made(f, kind, 3000)
		f.Add(b)
		f.Add(moovOrSame(b))
	}
	f.Add(mp3Of(3, "title"))
	f.Add(xingOf(3, 9))
	f.Add(flacOf(44100, 1000))
	f.Add(pngOf(f, 5, 4))
	f.Fuzz(func(t *testing.T, data []byte) {
		b := &budget{r: bytes.NewReader(data), left: maxRead}
		for mime, read := range readers { // also what the content does not look like
			info, err := careful(read, b, int64(len(data)))
			if err == nil && info.sane() == nil && (info.Duration > maxDuration || len([]rune(info.Title)) > maxText) {
				t.Errorf("%s: %+v", mime, info)
			}
			b.left = maxRead
		}
		if info, err := Probe(bytes.NewReader(data), int64(len(data))); info.MimeType == "" || err != nil && info.Kind != Other {
			t.Errorf("%+v, %v", info, err)
		}
	})
}

func moovOrSame(b []byte) []byte {
	if len(b) > 8 && string(b[4:8]) == "ftyp" {
		return moovLast(b)
	}
	return b
}
