package content

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"math/rand/v2"
	"time"
)

const (
	movieW, movieH = 320, 240
	movieFrames    = 24
	frameRate      = 8
	// movieRoom is more than the frames ever take: the first is plain samples,
	// the others are where the sun moves, 16 macroblocks at most.
	movieRoom = 320 << 10
)

// movie is an MP4 file of a few frames in H.264, the index in front, so that it
// can be played while it loads; a box of noise at its end, which players skip,
// gives it its size.
func (f *File) movie(rnd *rand.Rand, number uint64) {
	f.name, f.mime = fmt.Sprintf("video %04d.mp4", number), "video/mp4"
	f.w, f.h, f.long = movieW, movieH, movieFrames*time.Second/frameRate
	f.size = max(f.size, movieRoom)
	f.art = rnd.Uint64()
	f.make = func() (head, tail []byte) {
		frames := make([][]byte, movieFrames)
		var before []macroblock
		for i := range frames {
			img := image.NewRGBA(image.Rect(0, 0, movieW, movieH))
			landscape(img, rand.New(rand.NewPCG(f.art, 3)), float64(i)*2)
			now := macroblocks(img)
			unit := avcFrame(i, before, now)
			frames[i] = append(be(uint32(len(unit))), unit...)
			before = now
		}
		head = mux(frames)
		rest := f.size - int64(len(head))
		if rest < 16 {
			panic("content: video is larger than its room")
		}
		// A box whose length may take 64 bits.
		head = append(head, 0, 0, 0, 1, 'f', 'r', 'e', 'e')
		return binary.BigEndian.AppendUint64(head, uint64(rest)), nil
	}
}

// box wraps its parts into an ISO base media box.
func box(name string, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	b := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	return append(append(b, name...), body...)
}

// be appends numbers big-endian.
func be(values ...any) []byte {
	var b []byte
	for _, v := range values {
		b, _ = binary.Append(b, binary.BigEndian, v) // fixed sizes never fail
	}
	return b
}

var identityMatrix = be(uint32(1<<16), uint32(0), uint32(0), uint32(0), uint32(1<<16), uint32(0), uint32(0), uint32(0), uint32(1<<30))

// mux makes ftyp, moov and mdat of frames. See ISO/IEC 14496-12.
func mux(frames [][]byte) []byte {
	ftyp := box("ftyp", []byte("isom"), be(uint32(512)), []byte("isomiso2avc1mp41"))
	// The offset of the frames depends on the size of moov, which does not
	// depend on the offset.
	moov := movieBox(frames, 0)
	moov = movieBox(frames, uint32(len(ftyp)+len(moov)+8))
	return bytes.Join([][]byte{ftyp, moov, box("mdat", frames...)}, nil)
}

func movieBox(frames [][]byte, offset uint32) []byte {
	length := uint32(len(frames))
	zeros := func(n int) []byte { return make([]byte, n) }
	mvhd := box("mvhd", zeros(12), be(uint32(frameRate), length, uint32(1<<16), uint16(1<<8)), zeros(10), identityMatrix, zeros(24), be(uint32(2)))
	tkhd := box("tkhd", be(uint32(3)), zeros(8), be(uint32(1), uint32(0), length), zeros(16), identityMatrix,
		be(uint32(movieW<<16), uint32(movieH<<16)))
	mdhd := box("mdhd", zeros(12), be(uint32(frameRate), length, uint16(0x55c4), uint16(0)))
	hdlr := box("hdlr", zeros(8), []byte("vide"), zeros(12), []byte("haul\x00"))
	sps, pps := avcParameters(movieW, movieH)
	avcC := box("avcC", []byte{1}, sps[1:4], []byte{0xff, 0xe1}, be(uint16(len(sps))), sps, []byte{1}, be(uint16(len(pps))), pps)
	sample := box("avc1", zeros(6), be(uint16(1)), zeros(16), be(uint16(movieW), uint16(movieH), uint32(72<<16), uint32(72<<16), uint32(0), uint16(1)),
		zeros(32), be(uint16(24), uint16(0xffff)), avcC)
	sizes := be(uint32(0), uint32(0), length)
	for _, f := range frames {
		sizes = append(sizes, be(uint32(len(f)))...)
	}
	stbl := box("stbl",
		box("stsd", be(uint32(0), uint32(1)), sample),
		box("stts", be(uint32(0), uint32(1), length, uint32(1))),
		box("stss", be(uint32(0), uint32(1), uint32(1))), // only the first frame stands for itself
		box("stsc", be(uint32(0), uint32(1), uint32(1), length, uint32(1))),
		box("stsz", sizes),
		box("stco", be(uint32(0), uint32(1), offset)))
	dinf := box("dinf", box("dref", be(uint32(0), uint32(1)), box("url ", be(uint32(1)))))
	minf := box("minf", box("vmhd", be(uint32(1)), zeros(8)), dinf, stbl)
	return box("moov", mvhd, box("trak", tkhd, box("mdia", mdhd, hdlr, minf)))
}
