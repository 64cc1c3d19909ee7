package content

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

const (
	sampleRate = 16000 // of WAV files, 16 bits, one channel
	wavHeader  = 44
)

// melody is a WAV file: a few notes, and soft noise after them.
func (f *File) melody(rnd *rand.Rand, number uint64) {
	f.name, f.mime = fmt.Sprintf("melody %04d.wav", number), "audio/x-wav"
	f.size = max(f.size&^1, wavHeader+2)
	f.long = time.Duration(f.size-wavHeader) * time.Second / (2 * sampleRate)
	seed := rnd.Uint64()
	f.make = func() (head, tail []byte) {
		data := f.size - wavHeader
		head = append(head, "RIFF"...)
		head = binary.LittleEndian.AppendUint32(head, uint32(data+36))
		head = append(head, "WAVEfmt "...)
		for _, v := range []any{uint32(16), uint16(1), uint16(1), uint32(sampleRate), uint32(2 * sampleRate), uint16(2), uint16(16)} {
			head, _ = binary.Append(head, binary.LittleEndian, v) // fixed sizes never fail
		}
		head = append(head, "data"...)
		head = binary.LittleEndian.AppendUint32(head, uint32(data))
		// The notes fill the file up to a few minutes; they cost a sine each.
		samples := min(data/2, 120*sampleRate)
		tune := rand.New(rand.NewPCG(seed, 5))
		var freq float64
		for i := range samples {
			if i%(sampleRate/3) == 0 {
				freq = 220 * math.Pow(2, float64([]int{0, 2, 4, 7, 9, 12}[tune.IntN(6)])/12)
			}
			fade := 1 - float64(i%(sampleRate/3))/(sampleRate/3)
			v := int16(9000 * fade * math.Sin(2*math.Pi*freq*float64(i)/sampleRate))
			head = binary.LittleEndian.AppendUint16(head, uint16(v))
		}
		return head, nil
	}
}

// voice is an Ogg Opus file of silence: packets of 20 ms that hold nothing.
// See RFC 7845 and RFC 6716 section 3.1.
func (f *File) voice(rnd *rand.Rand) {
	f.mime = "audio/ogg"
	const (
		perPage    = 50 // packets, a second
		packetSize = 120
		pageSize   = 27 + perPage + perPage*packetSize
	)
	pages := max(1, int(f.size)/pageSize)
	f.long = time.Duration(pages) * time.Second
	f.size = int64(27+1+19) + int64(27+1+24) + int64(pages)*pageSize
	serial := rnd.Uint32()
	f.make = func() (head, tail []byte) {
		var b bytes.Buffer
		id := append([]byte("OpusHead\x01\x01"), 0, 0, 0x80, 0xbb, 0, 0, 0, 0, 0)
		oggPage(&b, 2, 0, serial, 0, [][]byte{id})
		tags := append([]byte("OpusTags"), 8, 0, 0, 0, 'h', 'a', 'u', 'l', ' ', 's', 'i', 'm', 0, 0, 0, 0)
		oggPage(&b, 0, 0, serial, 1, [][]byte{tags})
		packet := make([]byte, packetSize)
		packet[0] = 0x58 // SILK, wide band, 20 ms, mono, one frame
		packets := make([][]byte, perPage)
		for i := range packets {
			packets[i] = packet
		}
		for n := range pages {
			flags := byte(0)
			if n == pages-1 {
				flags = 4
			}
			oggPage(&b, flags, uint64(n+1)*48000, serial, uint32(n+2), packets)
		}
		return b.Bytes(), nil
	}
}

// oggPage writes one page. See RFC 3533 section 6.
func oggPage(b *bytes.Buffer, flags byte, granule uint64, serial, sequence uint32, packets [][]byte) {
	page := append([]byte("OggS\x00"), flags)
	page = binary.LittleEndian.AppendUint64(page, granule)
	page = binary.LittleEndian.AppendUint32(page, serial)
	page = binary.LittleEndian.AppendUint32(page, sequence)
	page = append(page, 0, 0, 0, 0, byte(len(packets)))
	for _, p := range packets {
		page = append(page, byte(len(p)))
	}
	for _, p := range packets {
		page = append(page, p...)
	}
	binary.LittleEndian.PutUint32(page[22:], oggCRC(page))
	b.Write(page)
}

// oggCRC is CRC-32 with the polynomial 04c11db7, not reflected, from 0.
func oggCRC(b []byte) uint32 {
	var crc uint32
	for _, c := range b {
		crc ^= uint32(c) << 24
		for range 8 {
			if crc&(1<<31) != 0 {
				crc = crc<<1 ^ 0x04c11db7
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}
