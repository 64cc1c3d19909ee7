// Package media reads out of files what Telegram wants to be told of them: of
// pictures and videos their dimensions, of videos and audio how long they are,
// of music its title and who performs it.
//
// Files are taken for hostile. Of each at most maxRead bytes are read, whatever
// it says of itself, and what a library makes of it cannot cost more than that.
package media

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/gabriel-vasile/mimetype"
)

// A Kind is what a file is by its content.
type Kind uint8

// Kinds.
const (
	Other   Kind = iota
	Picture      // JPEG, PNG, GIF, WebP, BMP or TIFF
	Video        // MP4: what Telegram's clients play
	Audio        // MP3, M4A, FLAC, Ogg or WAV
	Voice        // Ogg with Opus: what voice messages are made of
)

// String is the kind in words.
func (k Kind) String() string {
	return [...]string{"file", "picture", "video", "audio", "voice recording"}[k]
}

// An Info is what is known of a file. What is not known is zero.
type Info struct {
	Kind          Kind
	MimeType      string // never empty
	Width, Height int    // pixels, as it is shown
	Duration      time.Duration
	// Streaming says that a video can be played while it is fetched: its index
	// stands in front.
	Streaming bool
	// Silent says that a video has no sound track.
	Silent bool
	// Title and Performer of audio: one line each, at most maxText characters.
	Title, Performer string
}

const (
	// maxRead is how much of a file is read, at most.
	maxRead = 12 << 20
	// maxText is how many characters of a title are kept.
	maxText = 128
	// maxPixels is the greatest width or height that is believed, maxDuration
	// the greatest length.
	maxPixels   = 1 << 16
	maxDuration = 1000 * time.Hour
)

// errTooMuch says that a file would have to be read further than is sensible.
var errTooMuch = fmt.Errorf("what it is made of stands not within its first %d MiB of reading", maxRead>>20)

// Probe looks at a file of a size. A file that seems to be media and is broken
// is Other, with an error that says what is wrong; its MimeType is right
// nonetheless. Failing to read it is such an error too.
func Probe(r io.ReaderAt, size int64) (Info, error) {
	b := &budget{r: r, left: maxRead}
	other := Info{MimeType: "application/octet-stream"}
	m, err := mimetype.DetectReader(io.NewSectionReader(b, 0, size))
	if err != nil {
		return other, err
	}
	other.MimeType = m.String()
	read := readers[strings.SplitN(other.MimeType, ";", 2)[0]]
	if read == nil {
		return other, nil
	}
	info, err := careful(read, b, size)
	if err == nil {
		err = info.sane()
	}
	if err != nil {
		return other, fmt.Errorf("broken %s: %w", other.MimeType, err)
	}
	if info.MimeType == "" {
		info.MimeType = other.MimeType
	}
	return info, nil
}

// A reader reads files of one format.
type reader func(b *budget, size int64) (Info, error)

// readers are the formats that are known, by their MIME type.
var readers = map[string]reader{
	"image/jpeg": readPicture, "image/png": readPicture, "image/gif": readPicture, "image/webp": readPicture,
	"image/bmp": readPicture, "image/tiff": readPicture,
	"video/mp4": readMP4, "video/x-m4v": readMP4, "video/quicktime": readMP4, "audio/mp4": readMP4, "audio/x-m4a": readMP4,
	"audio/mpeg": readMP3, "audio/flac": readFLAC, "audio/ogg": readOgg, "application/ogg": readOgg, "audio/wav": readWAV,
}

// careful calls a reader. The parsers are other people's, and a file that makes
// one panic is a broken file.
func careful(read reader, b *budget, size int64) (info Info, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its parser gave up: %v", p)
		}
	}()
	return read(b, size)
}

// sane refuses what no file can be.
func (i *Info) sane() error {
	if i.Kind == Picture || i.Kind == Video {
		if i.Width < 1 || i.Height < 1 || i.Width > maxPixels || i.Height > maxPixels {
			return fmt.Errorf("dimensions of %d x %d", i.Width, i.Height)
		}
	}
	if i.Duration < 0 || i.Duration > maxDuration {
		return errors.New("it says that it takes weeks")
	}
	return nil
}

// seconds is a length of n units, of which there are rate in a second; 0 if
// that makes no sense.
func seconds(n, rate uint64) time.Duration {
	if rate == 0 {
		return 0
	}
	s := float64(n) / float64(rate)
	if s > (2 * maxDuration).Seconds() {
		return 2 * maxDuration // refused by sane
	}
	return time.Duration(s * float64(time.Second))
}

// oneLine makes a title of what a file says is one.
func oneLine(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	words := strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
	s = strings.Join(words, " ")
	if r := []rune(s); len(r) > maxText {
		s = string(r[:maxText])
	}
	return s
}

// A budget is a file of which only so much is read. It is not safe for
// concurrent use.
type budget struct {
	r    io.ReaderAt
	left int64 // bytes
}

// seekCost is what a read counts at least: a file may also ask for very many
// small ones.
const seekCost = 16

func (b *budget) ReadAt(p []byte, off int64) (int, error) {
	if b.left <= 0 {
		return 0, errTooMuch
	}
	p = p[:min(int64(len(p)), b.left)]
	n, err := b.r.ReadAt(p, off)
	b.left -= int64(max(n, seekCost))
	return n, err
}
