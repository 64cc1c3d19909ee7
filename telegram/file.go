package telegram

import (
	"errors"
	"fmt"
	"time"

	"github.com/tghaul/haul/tl/api"
)

// A FileKind says what sort of media a File is.
type FileKind string

// Kinds of files. A document is what is nothing else.
const (
	KindPhoto     FileKind = "photo"
	KindVideo     FileKind = "video"
	KindAudio     FileKind = "audio"
	KindVoice     FileKind = "voice"
	KindDocument  FileKind = "document"
	KindAnimation FileKind = "animation"
	KindSticker   FileKind = "sticker"
	KindRound     FileKind = "round" // video note
)

// A File is where a file is and what is known of it. It is plain data: it may
// be stored, but AccessHash and FileReference belong to this account, the
// reference for some hours only (see [Client.RefreshFiles]), and neither
// should be logged.
type File struct {
	ID            int64 // of the document or photo; with the same id it is the same content
	AccessHash    int64
	FileReference []byte // owned by the File, shared with nothing
	Thumb         string // type of the photo size; "" of documents
	Kind          FileKind
	Size          int64 // bytes, as the server says
	DC            int
	// Name is what the sender called the file, or else is made of kind and
	// message id. It comes from strangers: never use it as a path unchecked.
	Name     string
	MimeType string
	Date     time.Time // when it was made or uploaded, UTC
	Origin   Origin
	// NoForwards says that the content is protected or self-destructing: it
	// must not be saved.
	NoForwards bool
	// Small is what can be fetched of the file as a small picture; see ThumbFile.
	Small Thumbnail
	// IsThumb says that this is not the file itself but its thumbnail.
	IsThumb  bool
	W, H     int           // pixels, 0 if unknown
	Duration time.Duration // of audio and video, 0 if unknown
	// Err is why the file cannot be fetched although the message has it: what
	// the server says of it makes no sense. Wraps ErrBadFile.
	Err error
}

// An Origin is a message that carries the file: where a fresh file reference comes from.
type Origin struct {
	Peer      Peer
	MessageID int
}

// ErrBadFile is wrapped by the Err of files whose description makes no sense.
var ErrBadFile = errors.New("telegram: file with senseless description")

// MaxFileSize is the largest size that is believed. Telegram's own limit is
// 4000 MiB for Premium accounts.
const MaxFileSize = 1 << 40

// Location is the file as upload.getFile takes it. It refers to f's
// FileReference without copying it. See core.telegram.org/api/files.
func (f *File) Location() api.InputFileLocationClass {
	if f.Kind == KindPhoto {
		return &api.InputPhotoFileLocation{
			ID: f.ID, AccessHash: f.AccessHash, FileReference: f.FileReference, ThumbSize: f.Thumb,
		}
	}
	return &api.InputDocumentFileLocation{
		ID: f.ID, AccessHash: f.AccessHash, FileReference: f.FileReference, ThumbSize: f.Thumb,
	}
}

// String names the file for people. It shows neither access hash nor reference.
func (f File) String() string {
	return fmt.Sprintf("%s %d of message %d in %v", f.Kind, f.ID, f.Origin.MessageID, f.Origin.Peer)
}

// GoString is String.
func (f File) GoString() string { return f.String() }

// check sets Err if size or DC cannot be true.
func (f *File) check() {
	switch {
	case f.Size < 0 || f.Size > MaxFileSize:
		f.Err = fmt.Errorf("%w: size %d", ErrBadFile, f.Size)
	case f.DC < 1 || f.DC > maxDCID:
		f.Err = fmt.Errorf("%w: DC %d", ErrBadFile, f.DC)
	}
}
