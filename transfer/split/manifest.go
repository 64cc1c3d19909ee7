// Package split describes files that were sent in pieces, because they are larger
// than Telegram takes: the manifest that goes with the pieces, and how they become
// one file again. It knows files on disk and nothing of the network.
package split

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Suffix ends the name of a manifest, after the name of the file.
const Suffix = ".haul-split.json"

// Bounds of what is believed.
const (
	MaxManifest = 4 << 20 // bytes of a manifest
	MaxPieces   = 9999
	MaxSize     = 1 << 44 // of a whole file
	maxName     = 1024    // bytes
)

// format is what a manifest says of itself.
const format = "haul split 1"

// A Manifest describes a file and the pieces that it was sent in. docs/formats.md
// documents its form.
type Manifest struct {
	Format string  `json:"format"`
	Name   string  `json:"name"` // of the whole, without any folder
	Size   int64   `json:"size"`
	SHA256 Sum     `json:"sha256"`
	Count  int     `json:"count"`
	Pieces []Piece `json:"pieces"` // in the order of the file
}

// A Piece is a part of the file that is a file of its own. It begins where the
// one before it ends.
type Piece struct {
	Name     string `json:"name"`
	Size     int64  `json:"size"`
	SHA256   Sum    `json:"sha256"`
	Message  int    `json:"message"` // in the chat to which it was sent; forwarded copies have others
	Document int64  `json:"document,string"`
}

// A Sum is a SHA-256, in hexadecimal where it is written.
type Sum [32]byte

// MarshalText implements encoding.TextMarshaler.
func (s Sum) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(s[:])), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Sum) UnmarshalText(b []byte) error {
	if len(b) != 2*len(s) {
		return fmt.Errorf("a SHA-256 of %d characters", len(b))
	}
	_, err := hex.Decode(s[:], b)
	return err
}

// ErrManifest is wrapped by all errors about manifests that cannot be true.
var ErrManifest = errors.New("split: senseless manifest")

// ErrName says that a file cannot be sent in pieces as it is called.
var ErrName = errors.New("split: a file sent in pieces has a name of UTF-8, without slashes and backslashes: call it something else")

// PieceName is what piece n, from 0, of a file is called.
func PieceName(name string, n int) string { return fmt.Sprintf("%s.%03d", name, n+1) }

// A Plan is a piece before it is sent.
type Plan struct {
	Name         string
	Offset, Size int64
}

// PlanOf cuts a file into pieces of a size at most. Its error wraps ErrName if the
// name is one that no manifest may have.
func PlanOf(name string, size, pieceSize int64) ([]Plan, error) {
	if !goodName(name) {
		return nil, fmt.Errorf("%w: %q", ErrName, name)
	}
	if size <= 0 || size > MaxSize || pieceSize <= 0 || (size-1)/pieceSize >= MaxPieces {
		return nil, fmt.Errorf("split: %d bytes in pieces of %d: at most %d pieces", size, pieceSize, MaxPieces)
	}
	var plan []Plan
	for at := int64(0); at < size; at += pieceSize {
		plan = append(plan, Plan{PieceName(name, len(plan)), at, min(pieceSize, size-at)})
	}
	return plan, nil
}

// Encode is the manifest as it is sent.
func (m Manifest) Encode() ([]byte, error) {
	m.Format, m.Count = format, len(m.Pieces)
	if err := m.check(); err != nil {
		return nil, err
	}
	b, err := json.MarshalIndent(m, "", " ")
	return append(b, '\n'), err
}

// Parse reads a manifest, which comes from strangers. What it returns is whole:
// names are names and no paths, sizes add up, and the pieces cover the file from
// end to end and nothing twice.
func Parse(b []byte) (*Manifest, error) {
	if len(b) > MaxManifest {
		return nil, fmt.Errorf("%w: %d bytes", ErrManifest, len(b))
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields() // what is not understood might say how to join
	m := new(Manifest)
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows it", ErrManifest)
	}
	return m, m.check()
}

func (m *Manifest) check() error {
	wrong := func(why string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrManifest, fmt.Sprintf(why, args...))
	}
	switch {
	case m.Format != format:
		return wrong("its format is %q, want %q", m.Format, format)
	case !goodName(m.Name):
		return wrong("the file is called %q", m.Name)
	case m.Size <= 0 || m.Size > MaxSize:
		return wrong("the file has %d bytes", m.Size)
	case len(m.Pieces) < 2 || len(m.Pieces) > MaxPieces || m.Count != len(m.Pieces):
		return wrong("%d pieces, of %d that it counts", len(m.Pieces), m.Count)
	}
	left := m.Size
	for i, p := range m.Pieces {
		switch {
		case p.Name != PieceName(m.Name, i):
			return wrong("piece %d is called %q, want %q", i+1, p.Name, PieceName(m.Name, i))
		case p.Size <= 0 || p.Size > left:
			return wrong("piece %d has %d bytes, where %d are left", i+1, p.Size, left)
		case i > 0 && i < len(m.Pieces)-1 && p.Size != m.Pieces[0].Size, p.Size > m.Pieces[0].Size:
			return wrong("piece %d has %d bytes, the first one %d", i+1, p.Size, m.Pieces[0].Size)
		case p.Message < 0:
			return wrong("piece %d is message %d", i+1, p.Message)
		}
		left -= p.Size
	}
	if left != 0 {
		return wrong("its pieces lack %d bytes of the file", left)
	}
	return nil
}

// goodName reports whether a name can be that of a file in a folder.
func goodName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= maxName && utf8.ValidString(name) && !strings.ContainsAny(name, "/\\\x00")
}

// IsManifest and IsPiece tell by their names what may be a manifest or a piece.
func IsManifest(name string) bool { return strings.HasSuffix(name, Suffix) && len(name) > len(Suffix) }

// IsPiece reports whether a name ends in a dot and three or four digits.
func IsPiece(name string) bool {
	at := strings.LastIndexByte(name, '.')
	digits := name[at+1:]
	return at > 0 && (len(digits) == 3 || len(digits) == 4) && strings.Trim(digits, "0123456789") == ""
}
