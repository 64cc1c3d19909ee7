package transfer

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"

	"github.com/tghaul/haul/checkpoint"
)

// A Section is what is sent of a source instead of all of it: some of its bytes,
// or bytes about it. Uploads of several sections of one source are independent of
// each other; all of them notice when the source changes.
type Section struct {
	Offset, Size int64  // bytes of the source
	Content      []byte // not nil: these instead. It is not changed while the upload lives
	// Whole says, of Content that completes the source in the chat, the SHA-256
	// of the source: the checkpoint then knows the source as sent.
	Whole  [32]byte
	broken error // why there is no Content
	// since is what identifies the source that Content was made of, if not zero.
	since checkpoint.Source
}

// completes reports whether the source is in the chat once u is sent.
func (u *Upload) completes() bool { return u.Section == nil || u.Section.Whole != [32]byte{} }

// key tells the sections of a source apart in the checkpoint. What is said about
// a source stands for it.
func (s *Section) key() string {
	if s.Content != nil || s.broken != nil {
		return ""
	}
	return fmt.Sprintf("\x00%d+%d", s.Offset, s.Size)
}

// fits reports whether an open source is that which Content was made of.
func (s *Section) fits(source checkpoint.Source) bool {
	return s == nil || s.since == (checkpoint.Source{}) || s.since.Equal(source)
}

// A Skip says why a file is not sent, and where it is.
type Skip struct {
	Reason   string // for programs; FileSkipped has it
	Document int64  // 0: not known, as the others
	Message  int
	SHA256   [32]byte
}

// SkipSent is the reason of files that an earlier run of the job has sent.
const SkipSent = "sent by this job"

// length is how many bytes are sent of a source of a size.
func (u *Upload) length(size int64) int64 {
	switch {
	case u.Section == nil:
		return size
	case u.Section.Content != nil:
		return int64(len(u.Section.Content))
	case u.Section.broken != nil:
		return size
	default:
		return u.Section.Size
	}
}

// sectionSize is size if it is that of a section, else 0.
func (u *Upload) sectionSize(size int64) int64 {
	if u.Section == nil {
		return 0
	}
	return size
}

// body is what is sent of an open source.
func (u *Upload) body(f io.ReaderAt, size int64) (io.ReaderAt, error) {
	s := u.Section
	switch {
	case s == nil:
		return f, nil
	case s.broken != nil:
		return nil, s.broken
	case s.Content != nil:
		return bytes.NewReader(s.Content), nil
	case s.Offset < 0 || s.Size < 0 || s.Offset > size-s.Size:
		return nil, fmt.Errorf("%w: it has %d bytes, and should have %d from %d on", ErrChanged, size, s.Size, s.Offset)
	default:
		return io.NewSectionReader(f, s.Offset, s.Size), nil
	}
}

// shown is how the upload is called: the path of its source, or, of a section,
// what it is called in the chat.
func (u *Upload) shown() string {
	if u.Section == nil || u.Name == "" {
		return u.Path
	}
	dir, _ := filepath.Split(u.Path)
	return dir + u.Name
}
