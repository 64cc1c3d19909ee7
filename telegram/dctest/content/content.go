// Package content makes the files of the simulated cluster: real pictures,
// videos, sound and text, as pure functions of a seed and an id. Nothing is
// stored: any range of any file is computed when it is read.
package content

import (
	"crypto/aes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/tghaul/haul/mtproto/crypto"
)

// A Kind says what a file is.
type Kind int

// Kinds of files.
const (
	Document Kind = iota // text, tables and the like; big ones are noise
	Photo                // JPEG
	Video                // MP4
	Audio                // WAV
	Voice                // Ogg Opus
)

// A File is one made file. It is safe for concurrent use.
type File struct {
	kind Kind
	size int64
	name string
	mime string
	w, h int
	long time.Duration
	key  [32]byte
	art  uint64 // what pictures show
	// make returns what stands at the start and the end; between them is noise.
	make func() (head, tail []byte)
	once sync.Once
	head []byte
	tail []byte
}

// New makes a file of exactly size bytes, or of as many as its format needs at
// least; size 0 gives an empty file. It costs next to nothing: what takes
// time is done when the file is first read.
func New(seed uint64, id int64, kind Kind, size int64) *File {
	f := &File{kind: kind, size: size}
	binary.LittleEndian.PutUint64(f.key[:], seed)
	binary.LittleEndian.PutUint64(f.key[8:], uint64(id))
	rnd := rand.New(rand.NewPCG(seed, uint64(id)))
	number := uint64(id) % 10000
	switch {
	case size == 0:
		f.name, f.mime = fmt.Sprintf("empty %04d.txt", number), "text/plain"
		f.make = func() (head, tail []byte) { return nil, nil }
	case kind == Photo:
		f.picture(rnd, number)
	case kind == Video:
		f.movie(rnd, number)
	case kind == Audio:
		f.melody(rnd, number)
	case kind == Voice:
		f.voice(rnd)
	default:
		f.document(rnd, number)
	}
	return f
}

// Size is the length in bytes.
func (f *File) Size() int64 { return f.size }

// Kind is the kind.
func (f *File) Kind() Kind { return f.kind }

// Name is a file name with an extension; a voice message has none.
func (f *File) Name() string { return f.name }

// MimeType is the MIME type.
func (f *File) MimeType() string { return f.mime }

// Width of a picture or video in pixels.
func (f *File) Width() int { return f.w }

// Height of a picture or video in pixels.
func (f *File) Height() int { return f.h }

// Duration of sound and video.
func (f *File) Duration() time.Duration { return f.long }

func (f *File) prepare() {
	f.once.Do(func() { f.head, f.tail = f.make() })
}

// ReadAt fills p with the bytes from off on; see io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("content: offset %d", off)
	}
	if off >= f.size {
		return 0, io.EOF
	}
	f.prepare()
	n := int(min(int64(len(p)), f.size-off))
	f.fill(p[:n], off)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// fill writes the bytes of a range that is inside the file.
func (f *File) fill(p []byte, off int64) {
	tailAt := f.size - int64(len(f.tail))
	for len(p) > 0 {
		var n int
		switch {
		case off < int64(len(f.head)):
			n = copy(p, f.head[off:])
		case off >= tailAt:
			n = copy(p, f.tail[off-tailAt:])
		default:
			n = int(min(int64(len(p)), tailAt-off))
			f.noise(p[:n], off)
		}
		p, off = p[n:], off+int64(n)
	}
}

// noiseAtOnce is how many bytes are cleared, and are still in the CPU's nearest
// cache when the key stream goes over them.
const noiseAtOnce = 16 << 10

// noise is the key stream of AES-CTR, whose counter is the place in the file.
func (f *File) noise(p []byte, off int64) {
	var iv [aes.BlockSize]byte
	binary.BigEndian.PutUint64(iv[8:], uint64(off/aes.BlockSize))
	stream := crypto.NewCTR(f.key, iv)
	var skip [aes.BlockSize]byte
	stream.XORKeyStream(skip[:off%aes.BlockSize], skip[:off%aes.BlockSize])
	for b := range slices.Chunk(p, noiseAtOnce) {
		clear(b)
		stream.XORKeyStream(b, b)
	}
}
