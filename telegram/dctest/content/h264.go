package content

import (
	"bytes"
	"image"
	"image/color"
	"math/bits"
)

// What follows is the least of H.264 (ITU-T H.264, constrained baseline) that
// browsers play: macroblocks as plain samples (I_PCM), and those that are as in
// the frame before skipped (P_Skip). There is nothing to transform or predict.

const (
	blockSide = 16 // pixels of a macroblock's side
	avcLevel  = 30 // level 3.0

	nalSlice, nalIDR, nalSPS, nalPPS = 0x41, 0x65, 0x67, 0x68
)

// A macroblock holds samples in the order of I_PCM: 256 of luma, 64 each of Cb and Cr.
type macroblock [blockSide * blockSide * 3 / 2]byte

// macroblocks cuts a picture, whose sides are multiples of 16, into rows of blocks.
func macroblocks(img *image.RGBA) []macroblock {
	across := img.Rect.Dx() / blockSide
	list := make([]macroblock, across*(img.Rect.Dy()/blockSide))
	for i := range list {
		x0, y0 := i%across*blockSide, i/across*blockSide
		for n := range blockSide * blockSide {
			p := img.RGBAAt(x0+n%blockSide, y0+n/blockSide)
			y, cb, cr := color.RGBToYCbCr(p.R, p.G, p.B)
			list[i][n] = y
			if x, y := n%blockSide, n/blockSide; x%2 == 0 && y%2 == 0 { // one of four pixels tells the colour
				at := 256 + y/2*8 + x/2
				list[i][at], list[i][at+64] = cb, cr
			}
		}
	}
	return list
}

// avcParameters are the parameter sets of pictures of w by h pixels (7.3.2.1 and 7.3.2.2).
func avcParameters(w, h int) (sps, pps []byte) {
	var s bitWriter
	s.bytes(66, 0xc0, avcLevel) // profile, constraints
	s.ue(0, 0, 2, 1)            // id; 4 bits of frame_num; output in the order of decoding; one reference
	s.bits(0, 1)
	s.ue(uint(w/blockSide-1), uint(h/blockSide-1))
	s.bits(0b1101, 4)  // frames only, direct_8x8_inference, no cropping, VUI follows
	s.bits(0b001, 3)   // no aspect ratio, no overscan, signal type follows
	s.bits(5<<1|1, 4)  // no format in particular, full range
	s.bits(1, 1)       // colours follow:
	s.bytes(1, 13, 6)  // primaries of BT.709, sRGB, matrix of BT.601, as in JPEG
	s.bits(0b00000, 5) // no chroma location, timing, HRD (two), pic_struct
	s.bits(0, 1)       // no restrictions
	var p bitWriter
	p.ue(0, 0)
	p.bits(0, 2) // CAVLC
	p.ue(0, 0, 0)
	p.bits(0, 3)
	p.ue(0, 0, 0)
	p.bits(0b100, 3) // slices say how they are deblocked
	return s.nal(nalSPS), p.nal(nalPPS)
}

// avcFrame is picture number n as one slice; before is the picture before it,
// nil for the first (7.3.3 and 7.3.4).
func avcFrame(n int, before, now []macroblock) []byte {
	const (
		sliceP, sliceI = 5, 7
		pcmInI         = 25
		pcmInP         = 5 + pcmInI
	)
	var s bitWriter
	if before == nil {
		s.ue(0, sliceI, 0)
		s.bits(0, 4)
		s.ue(0)
		s.bits(0, 2) // reference marking
	} else {
		s.ue(0, sliceP, 0)
		s.bits(uint(n)&15, 4)
		s.bits(0, 3) // references as usual
	}
	s.ue(0, 1) // quantiser as it is, no deblocking
	skipped := uint(0)
	for i := range now {
		switch {
		case before == nil:
			s.ue(pcmInI)
		case before[i] == now[i]:
			skipped++
			continue
		default:
			s.ue(skipped, pcmInP)
			skipped = 0
		}
		s.align()
		s.bytes(now[i][:]...)
	}
	if skipped > 0 {
		s.ue(skipped)
	}
	if before == nil {
		return s.nal(nalIDR)
	}
	return s.nal(nalSlice)
}

// A bitWriter writes the syntax of H.264.
type bitWriter struct {
	b    bytes.Buffer
	cur  byte
	have int // bits in cur
}

// bits writes the n low bits of v.
func (w *bitWriter) bits(v uint, n int) {
	for n--; n >= 0; n-- {
		w.cur = w.cur<<1 | byte(v>>n&1)
		if w.have++; w.have == 8 {
			w.b.WriteByte(w.cur)
			w.cur, w.have = 0, 0
		}
	}
}

func (w *bitWriter) bytes(list ...byte) {
	if w.have == 0 {
		w.b.Write(list)
		return
	}
	for _, v := range list {
		w.bits(uint(v), 8)
	}
}

// ue writes numbers as Exp-Golomb codes (9.1).
func (w *bitWriter) ue(list ...uint) {
	for _, v := range list {
		w.bits(v+1, 2*bits.Len(v+1)-1)
	}
}

// align writes zeros up to the next byte.
func (w *bitWriter) align() {
	if w.have > 0 {
		w.bits(0, 8-w.have)
	}
}

// nal ends what was written and makes a NAL unit of it, in which no three bytes
// look like the start of another one (7.4.1).
func (w *bitWriter) nal(header byte) []byte {
	w.bits(1, 1)
	w.align()
	out := append(make([]byte, 0, w.b.Len()+w.b.Len()/64+1), header)
	zeros := 0
	for _, v := range w.b.Bytes() {
		if zeros == 2 && v <= 3 {
			out = append(out, 3)
			zeros = 0
		}
		if zeros++; v != 0 {
			zeros = 0
		}
		out = append(out, v)
	}
	return out
}
