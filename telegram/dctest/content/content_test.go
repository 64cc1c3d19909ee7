package content

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

var allKinds = map[string]Kind{"document": Document, "photo": Photo, "video": Video, "audio": Audio, "voice": Voice}

func whole(t *testing.T, f *File) []byte {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil || int64(len(b)) != f.Size() {
		t.Fatalf("read %d of %d bytes: %v", len(b), f.Size(), err)
	}
	return b
}

// Whatever range is read, in whatever order, the bytes are those of the file.
func TestReadAt(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	for name, kind := range allKinds {
		for _, size := range []int64{0, 1, 100, 5000, 300 << 10, 3<<20 + 7} {
			want := whole(t, New(1, 42, kind, size))
			f := New(1, 42, kind, size)
			if kind == Document && f.Size() != size {
				t.Errorf("document has %d bytes, want %d", f.Size(), size)
			}
			for range 20 {
				off := rnd.Int64N(f.Size() + 1)
				p := make([]byte, rnd.IntN(100_000))
				n, err := f.ReadAt(p, off)
				if !bytes.Equal(p[:n], want[off:off+int64(n)]) || n < len(p) && !errors.Is(err, io.EOF) || err == nil && n < len(p) {
					t.Fatalf("%s of %d bytes: %d bytes at %d are wrong (%v)", name, size, n, off, err)
				}
			}
		}
	}
	if _, err := New(1, 1, Document, 10).ReadAt(make([]byte, 1), -1); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("offset -1: got %v", err)
	}
}

func TestFilesDiffer(t *testing.T) {
	a := whole(t, New(1, 42, Document, 1<<20))
	for name, other := range map[string]*File{"seed": New(2, 42, Document, 1<<20), "id": New(1, 43, Document, 1<<20)} {
		if bytes.Equal(a, whole(t, other)) {
			t.Errorf("another %s makes the same file", name)
		}
	}
}

func TestPhotosAreJPEG(t *testing.T) {
	for _, size := range []int64{1, 24 << 10, 100 << 10, 1 << 20, 1<<20 + 1} {
		f := New(1, size, Photo, size)
		img, err := jpeg.Decode(bytes.NewReader(whole(t, f)))
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if b := img.Bounds(); b.Dx() != f.Width() || b.Dy() != f.Height() {
			t.Errorf("%d bytes: %v, want %dx%d", size, b, f.Width(), f.Height())
		}
	}
}

// A video's boxes fill it exactly, the index stands before the frames, and
// where the index says frames are, there are some.
func TestVideosAreMP4(t *testing.T) {
	b := whole(t, New(1, 7, Video, 2<<20))
	var order []string
	for rest := b; len(rest) > 0; {
		n, name := uint64(binary.BigEndian.Uint32(rest)), string(rest[4:8])
		if n == 1 {
			n = binary.BigEndian.Uint64(rest[8:])
		}
		if n < 8 || n > uint64(len(rest)) {
			t.Fatalf("box %q of %d bytes in %d", name, n, len(rest))
		}
		order = append(order, name)
		rest = rest[n:]
	}
	if want := []string{"ftyp", "moov", "mdat", "free"}; !slices.Equal(order, want) {
		t.Errorf("boxes %v, want %v", order, want)
	}
	at := bytes.Index(b, []byte("stco"))
	first := binary.BigEndian.Uint32(b[at+12:])
	at = bytes.Index(b, []byte("stsz"))
	rest := b[first:]
	for i := range movieFrames {
		size := int(binary.BigEndian.Uint32(b[at+16+4*i:]))
		if n := int(binary.BigEndian.Uint32(rest)); n != size-4 {
			t.Fatalf("frame %d has a NAL unit of %d bytes in %d", i, n, size)
		}
		if want := map[bool]byte{true: nalIDR, false: nalSlice}[i == 0]; rest[4] != want {
			t.Errorf("frame %d has a NAL unit of type %#x, want %#x", i, rest[4], want)
		}
		if bytes.Contains(rest[5:size], []byte{0, 0, 1}) {
			t.Errorf("frame %d has a start code in it", i)
		}
		rest = rest[size:]
	}
}

// No art needs more room than there is.
func TestVideosFit(t *testing.T) {
	for id := range int64(4) {
		whole(t, New(3, id, Video, 1))
	}
}

// Inline thumbnails are the scan of a JPEG whose tables everyone knows.
func TestStripped(t *testing.T) {
	for _, kind := range []Kind{Photo, Video} {
		f := New(1, 7, kind, 100<<10)
		b := f.Stripped()
		if b[0] != 1 || max(b[1], b[2]) != 40 || len(b) < 60 || len(b) > 1000 {
			t.Errorf("%d bytes, beginning with %x", len(b), b[:3])
		}
	}
	if b := New(1, 7, Voice, 100<<10).Stripped(); b != nil {
		t.Errorf("a voice message has a thumbnail of %d bytes", len(b))
	}
}

func BenchmarkStripped(b *testing.B) {
	f := New(1, 7, Photo, 100<<10)
	for b.Loop() {
		f.Stripped()
	}
}

func TestSound(t *testing.T) {
	b := whole(t, New(1, 7, Audio, 100_000))
	if string(b[:4]) != "RIFF" || int(binary.LittleEndian.Uint32(b[4:])) != len(b)-8 || int(binary.LittleEndian.Uint32(b[40:])) != len(b)-44 {
		t.Errorf("not a WAV of %d bytes: %x", len(b), b[:44])
	}
	pages := 0
	for b := whole(t, New(1, 7, Voice, 50_000)); len(b) > 0; pages++ {
		if string(b[:4]) != "OggS" {
			t.Fatalf("page %d does not begin with OggS", pages)
		}
		n := 27 + int(b[26])
		for _, lace := range b[27:n] {
			n += int(lace)
		}
		page := bytes.Clone(b[:n])
		copy(page[22:26], make([]byte, 4))
		if got := binary.LittleEndian.Uint32(b[22:]); got != oggCRC(page) {
			t.Fatalf("page %d has checksum %08x, want %08x", pages, got, oggCRC(page))
		}
		b = b[n:]
	}
	if pages < 3 {
		t.Errorf("only %d pages", pages)
	}
}

func BenchmarkReadAt(b *testing.B) {
	f := New(1, 1, Document, 1<<30)
	p := make([]byte, 1<<20)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for off := int64(0); b.Loop(); off = (off + int64(len(p))) % (1 << 29) {
		if _, err := f.ReadAt(p, off+1<<20); err != nil {
			b.Fatal(err)
		}
	}
}
