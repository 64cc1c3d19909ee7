package telegram

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"

	"github.com/tghaul/haul/tl"
)

// Errors of file ids.
var (
	ErrNotFileID  = errors.New("telegram: not a file id of the Bot API")
	ErrFileIDKind = errors.New("telegram: file ids of this kind are not taken")
	// ErrNoOrigin says that a fresh reference cannot be had, since it is not known
	// which message has the file.
	ErrNoOrigin = errors.New("telegram: the file id is too old: its file reference has expired, and it does not tell which message has the file")
)

// SizeUnknown is the Size of a file of which only the location is known.
const SizeUnknown = -1

const (
	fileIDVersion = 4
	fileIDOld     = 2 // without a subversion
	// minFileID and maxFileID are lengths in characters. No username is as long.
	minFileID, maxFileID = 33, 1024

	fileIDWeb       = 1 << 24
	fileIDReference = 1 << 25
)

// Types of file ids that are documents, and what they are here. The others have
// a photo's location, or none that can be fetched.
var fileIDDocuments = map[int32]FileKind{
	3: KindVoice, 4: KindVideo, 5: KindDocument, 8: KindSticker, 9: KindAudio, 10: KindAnimation,
	13: KindRound, 17: KindDocument, 26: KindVideo,
}

// Types of file ids that have a photo's location: photos, and thumbnails of documents.
const (
	fileIDThumbnail  = 0
	fileIDPhoto      = 2
	fileIDPhotoStory = 20
)

// IsFileID reports whether s looks like a file id rather than a link or a name.
func IsFileID(s string) bool {
	_, err := ParseFileID(s)
	return err == nil || errors.Is(err, ErrFileIDKind)
}

// ParseFileID reads a file_id of the Bot API. It tells neither the size of the
// file (Size is SizeUnknown) nor which message has it (Origin is zero), and is
// good for the account alone that was given it. Ids come from anywhere, so what
// is in one must be all of it. Errors wrap ErrNotFileID or ErrFileIDKind.
// See core.telegram.org/bots/api#file.
func ParseFileID(s string) (File, error) {
	if len(s) < minFileID || len(s) > maxFileID {
		return File{}, ErrNotFileID
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return File{}, ErrNotFileID
	}
	body, subversion := raw[:len(raw)-1], 0
	switch raw[len(raw)-1] {
	case fileIDVersion:
		subversion, body = int(body[len(body)-1]), body[:len(body)-1]
	case fileIDOld:
	default:
		return File{}, ErrNotFileID
	}
	plain, ok := unpackZeros(body)
	if !ok {
		return File{}, ErrNotFileID
	}
	d := tl.NewDecoder(plain)
	f, err := decodeFileID(d, subversion)
	if err == nil && d.End() != nil {
		err = ErrNotFileID
	}
	if err != nil {
		return File{}, err
	}
	if f.DC < 1 || f.DC > maxDCID {
		return File{}, fmt.Errorf("%w: DC %d", ErrNotFileID, f.DC)
	}
	f.Name = string(f.Kind) + "_" + strconv.FormatInt(f.ID, 10) + kindExtension[f.Kind]
	if f.Kind == KindDocument && f.Thumb != "" {
		f.Name = "thumbnail_" + strconv.FormatInt(f.ID, 10) + ".jpg"
	}
	return f, nil
}

// kindExtension is how files of a kind end, if they all end alike.
var kindExtension = map[FileKind]string{
	KindPhoto: ".jpg", KindVideo: ".mp4", KindRound: ".mp4", KindVoice: ".ogg", KindAnimation: ".mp4", KindSticker: ".webp",
}

func decodeFileID(d *tl.Decoder, subversion int) (f File, err error) {
	kind := d.Int()
	f.DC, f.Size = int(d.Int()), SizeUnknown
	if kind&fileIDReference != 0 {
		f.FileReference = bytes.Clone(d.Blob())
	}
	if kind&fileIDWeb != 0 {
		return f, fmt.Errorf("%w: it names a page of the web", ErrFileIDKind)
	}
	kind &^= fileIDReference
	f.ID, f.AccessHash = d.Long(), d.Long()
	if d.Err() != nil {
		return f, ErrNotFileID
	}
	if document, ok := fileIDDocuments[kind]; ok {
		f.Kind = document
		return f, nil
	}
	switch {
	case kind != fileIDThumbnail && kind != fileIDPhoto && kind != fileIDPhotoStory:
		return f, fmt.Errorf("%w: type %d", ErrFileIDKind, kind)
	case subversion < 22:
		return f, fmt.Errorf("%w: a photo's, made before 2019", ErrFileIDKind)
	}
	return f, decodePhotoSource(d, subversion, &f)
}

// decodePhotoSource reads which picture of a photo, or which thumbnail of a
// document, is meant.
func decodePhotoSource(d *tl.Decoder, subversion int, f *File) error {
	if subversion < 32 {
		d.Long() // volume
	}
	if source := d.Int(); d.Err() == nil && source != 1 {
		return fmt.Errorf("%w: the picture of a chat or sticker set", ErrFileIDKind)
	}
	of, size := d.Int(), d.Int()
	if subversion < 32 {
		d.Int() // place in the volume
	}
	if d.Err() != nil || size <= ' ' || size > '~' {
		return ErrNotFileID
	}
	f.Thumb, f.Kind = string(size), KindDocument
	if of != fileIDThumbnail {
		f.Kind = KindPhoto
	}
	return nil
}

// unpackZeros undoes how runs of zeros are shortened: a zero and their number.
func unpackZeros(b []byte) (plain []byte, ok bool) {
	for i := 0; i < len(b); i++ {
		if b[i] != 0 {
			plain = append(plain, b[i])
			continue
		}
		if i++; i == len(b) || b[i] == 0 {
			return nil, false
		}
		plain = append(plain, make([]byte, b[i])...)
	}
	return plain, true
}
