package gallery

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/jpeg"
)

// What stands before and after the scan in a stripped thumbnail, which is all
// that a message has of it: a JPEG without it. Height and width are 0, and are to be
// put at 164 and 166. See core.telegram.org/api/files#stripped-thumbnails.
var (
	strippedHead = jpegHead()
	strippedEnd  = []byte{0xff, 0xd9}
)

// jpegHead is the JPEG that Telegram's clients use. Its tables are those of
// the JPEG standard at quality 20, which image/jpeg writes too, only not one
// segment for each.
func jpegHead() []byte {
	var b bytes.Buffer
	// A Buffer takes everything.
	_ = jpeg.Encode(&b, image.NewYCbCr(image.Rect(0, 0, 8, 8), image.YCbCrSubsampleRatio420), &jpeg.Options{Quality: 20})
	out := []byte{0xff, 0xd8}
	out = appendSegment(out, 0xe0, []byte("JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"))
	for rest := b.Bytes()[2:]; ; {
		marker, length := rest[1], 2+int(binary.BigEndian.Uint16(rest[2:]))
		body := rest[4:length]
		rest = rest[length:]
		switch marker {
		case 0xdb: // quantisation: an id, and 64 values
			for ; len(body) > 0; body = body[65:] {
				out = appendSegment(out, marker, body[:65])
			}
		case 0xc4: // Huffman codes: an id, 16 counts, and as many values as those sum up to
			for len(body) > 0 {
				n := 17
				for _, count := range body[1:17] {
					n += int(count)
				}
				out, body = appendSegment(out, marker, body[:n]), body[n:]
			}
		case 0xc0: // frame: precision, height, width
			clear(body[1:5])
			out = appendSegment(out, marker, body)
		case 0xda: // start of the scan
			return appendSegment(out, marker, body)
		}
	}
}

func appendSegment(b []byte, marker byte, body []byte) []byte {
	b = append(b, 0xff, marker)
	b = binary.BigEndian.AppendUint16(b, uint16(2+len(body)))
	return append(b, body...)
}
