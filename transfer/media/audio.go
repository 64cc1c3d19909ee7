package media

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/dhowden/tag"
)

// tags are the title and performer of audio; "" where there is none, or where
// they cannot be read: that is no reason not to send it as audio.
func tags(b *budget, size int64) (title, performer string) {
	defer func() { _ = recover() }() // as in careful
	m, err := tag.ReadFrom(io.NewSectionReader(b, 0, size))
	if err != nil {
		return "", ""
	}
	return oneLine(m.Title()), oneLine(m.Artist())
}

// sound is what all audio has.
func sound(b *budget, size int64, mime string, n, rate uint64) (Info, error) {
	info := Info{Kind: Audio, MimeType: mime, Duration: seconds(n, rate)}
	if info.Duration <= 0 {
		return Info{}, errors.New("it does not tell how long it is")
	}
	info.Title, info.Performer = tags(b, size)
	return info, nil
}

// at reads n bytes of a file.
func (b *budget) at(off int64, n int) ([]byte, error) {
	p := make([]byte, n)
	got, err := b.ReadAt(p, off)
	if got == n {
		return p, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return nil, err
}

// readWAV reads the length out of the chunks "fmt " and "data".
func readWAV(b *budget, size int64) (Info, error) {
	var rate uint64 // bytes a second
	for off := int64(12); off+8 <= size; {
		head, err := b.at(off, 8)
		if err != nil {
			return Info{}, err
		}
		length := int64(binary.LittleEndian.Uint32(head[4:]))
		switch string(head[:4]) {
		case "fmt ":
			f, err := b.at(off+8, 16)
			if err != nil {
				return Info{}, err
			}
			rate = uint64(binary.LittleEndian.Uint32(f[8:]))
		case "data":
			return sound(b, size, "audio/wav", uint64(min(length, size-off-8)), rate)
		}
		off += 8 + length + length&1
	}
	return Info{}, errors.New("it has no sound in it")
}

// readFLAC reads the first metadata block, which is always STREAMINFO.
// See RFC 9639, section 8.2.
func readFLAC(b *budget, size int64) (Info, error) {
	h, err := b.at(0, 26)
	if err != nil {
		return Info{}, err
	}
	if string(h[:4]) != "fLaC" || h[4]&0x7f != 0 {
		return Info{}, errors.New("it does not begin with STREAMINFO")
	}
	bits := binary.BigEndian.Uint64(h[18:]) // 20 bits rate, 3 channels, 5 depth, 36 samples
	return sound(b, size, "audio/flac", bits&(1<<36-1), bits>>44)
}

// oggTail is how far from the end the last page is looked for: pages have at
// most 65307 bytes.
const oggTail = 1 << 17

// readOgg reads the first page and the last one. See RFC 3533 and RFC 7845.
func readOgg(b *budget, size int64) (Info, error) {
	head, err := b.at(0, int(min(size, 128)))
	if err != nil {
		return Info{}, err
	}
	if len(head) < 64 || string(head[:4]) != "OggS" {
		return Info{}, io.ErrUnexpectedEOF
	}
	serial, packet := head[14:18], head[27+int(head[26])%64:]
	tail, err := b.at(max(0, size-oggTail), int(min(size, oggTail)))
	if err != nil {
		return Info{}, err
	}
	var samples uint64
	for at := len(tail); samples == 0; {
		if at = bytes.LastIndex(tail[:at], []byte("OggS")); at < 0 {
			return Info{}, errors.New("its end is missing")
		}
		if page := tail[at:]; len(page) >= 27 && bytes.Equal(page[14:18], serial) {
			if n := binary.LittleEndian.Uint64(page[6:]); n < 1<<62 { // -1: no packet ends here
				samples = n
			}
		}
	}
	switch {
	case bytes.HasPrefix(packet, []byte("OpusHead")) && len(packet) >= 12:
		skip := uint64(binary.LittleEndian.Uint16(packet[10:]))
		info, err := sound(b, size, "audio/ogg", samples-min(skip, samples), 48000)
		if err == nil {
			info.Kind = Voice
		}
		return info, err
	case bytes.HasPrefix(packet, []byte("\x01vorbis")) && len(packet) >= 16:
		return sound(b, size, "audio/ogg", samples, uint64(binary.LittleEndian.Uint32(packet[12:])))
	default:
		return Info{}, errors.New("neither Opus nor Vorbis")
	}
}

// Bit rates in kbit/s and sampling rates in Hz of MPEG audio, by the fields of
// a frame's header. See ISO/IEC 11172-3, 2.4.2.3, and 13818-3.
var (
	bitRates = map[[2]int][15]uint64{ // version 1 or 2, layer
		{1, 1}: {0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},
		{1, 2}: {0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},
		{1, 3}: {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
		{2, 1}: {0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},
		{2, 2}: {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
		{2, 3}: {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
	}
	sampleRates = [3]uint64{44100, 48000, 32000}
)

// maxGarbage is how far behind the tag the first frame is looked for.
const maxGarbage = 64 << 10

// readMP3 finds the first frame. If that says how many there are (Xing, Info,
// VBRI) the length is known, else it is reckoned from a constant bit rate.
func readMP3(b *budget, size int64) (Info, error) {
	start := int64(0)
	if h, err := b.at(0, 10); err != nil {
		return Info{}, err
	} else if string(h[:3]) == "ID3" {
		start = 10 + int64(h[6]&0x7f)<<21 + int64(h[7]&0x7f)<<14 + int64(h[8]&0x7f)<<7 + int64(h[9]&0x7f)
	}
	if start >= size {
		return Info{}, errors.New("it has nothing but a tag")
	}
	data, err := b.at(start, int(min(maxGarbage, size-start)))
	if err != nil {
		return Info{}, err
	}
	for i := 0; i+4 <= len(data); i++ {
		f, ok := parseFrame(data[i:])
		if !ok {
			continue
		}
		if next := i + f.length; next+4 <= len(data) {
			if _, ok := parseFrame(data[next:]); !ok { // chance made it look like a frame
				continue
			}
		}
		if n := f.count(data[i:]); n > 0 {
			return sound(b, size, "audio/mpeg", n*f.samples, f.rate)
		}
		return sound(b, size, "audio/mpeg", uint64(size-start-int64(i))*8, f.bits)
	}
	return Info{}, fmt.Errorf("no sound within %d KiB", maxGarbage>>10)
}

// A frame is what the header of one says.
type frame struct {
	length  int    // bytes
	samples uint64 // in it
	rate    uint64 // samples a second
	bits    uint64 // a second
	side    int    // bytes between header and what Xing has put there
}

func parseFrame(b []byte) (f frame, ok bool) {
	if len(b) < 4 || b[0] != 0xff || b[1]&0xe0 != 0xe0 {
		return f, false
	}
	version, layer := int(b[1]>>3&3), 4-int(b[1]>>1&3)
	bits, rate := int(b[2]>>4), int(b[2]>>2&3)
	if version == 1 || layer == 4 || bits == 0 || bits == 15 || rate == 3 {
		return f, false
	}
	old := 1 // MPEG 1, or 2 for 2 and 2.5
	if version != 3 {
		old = 2
	}
	f.bits = bitRates[[2]int{old, layer}][bits] * 1000
	f.rate = sampleRates[rate] >> map[int]int{3: 0, 2: 1, 0: 2}[version]
	f.samples = 1152
	switch {
	case layer == 1:
		f.samples = 384
	case layer == 3 && old == 2:
		f.samples = 576
	}
	f.length = int(f.samples/8*f.bits/f.rate) + int(b[2]>>1&1)
	mono := b[3]>>6 == 3
	f.side = map[[2]bool]int{{true, false}: 32, {true, true}: 17, {false, false}: 17, {false, true}: 9}[[2]bool{old == 1, mono}]
	return f, f.length >= 4
}

// count is the number of frames of the whole file, if this one, the first, is
// made to tell it; else 0.
func (f frame) count(b []byte) uint64 {
	if at := 4 + f.side; len(b) >= at+12 {
		if tag := string(b[at : at+4]); (tag == "Xing" || tag == "Info") && b[at+7]&1 != 0 {
			return uint64(binary.BigEndian.Uint32(b[at+8:]))
		}
	}
	if len(b) >= 36+18 && string(b[36:40]) == "VBRI" {
		return uint64(binary.BigEndian.Uint32(b[36+14:]))
	}
	return 0
}
