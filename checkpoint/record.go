package checkpoint

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A Key names a download: the document, the message it was found in, and the
// folder it goes to. What selection of messages a run is for does not matter,
// so a changed selection keeps its progress.
type Key struct {
	Target   uint64 // of the destination folder, see TargetOf
	Chat     int64  // marked id
	Message  int
	Document int64
}

// An UploadKey names an upload: the source's path and the chat it goes to.
type UploadKey struct {
	Source uint64 // of the source's path, and of the job if it has one; see TargetOf
	Chat   int64  // marked id
}

// A Download is what is known of an unfinished download.
type Download struct {
	Path     string `json:"path"` // below the destination folder
	Size     int64  `json:"size"`
	PartSize int    `json:"part_size"`
	// Parts holds the CRC-32C (Castagnoli) of each part that was on disk when
	// it was marked. It is not part of the header record.
	Parts map[int]uint32 `json:"-"`
}

// Done is what is known of a finished download.
type Done struct {
	Path   string    `json:"path"` // below the destination folder
	Size   int64     `json:"size"`
	SHA256 [32]byte  `json:"sha256"`
	At     time.Time `json:"at"`
	// PartSize is that of the download, whose marks are kept as the checksums
	// of the file. 0: none are kept, or the record is older than them.
	PartSize int `json:"part_size,omitempty"`
	// Within is the path of a file of which this one has become a piece, from
	// Offset on, and which it lies in now; "": it lies at Path.
	Within string `json:"within,omitempty"`
	Offset int64  `json:"offset,omitempty"`
}

// An Upload is what is known of an upload: enough to go on with it, and to
// send its message exactly once.
type Upload struct {
	FileID   int64  `json:"file_id"`   // chosen by the client
	RandomID int64  `json:"random_id"` // of the message
	PartSize int    `json:"part_size"`
	Big      bool   `json:"big"`
	Source   Source `json:"source"`
	// Length is how many bytes are sent of the source; 0: all.
	Length int64 `json:"length,omitempty"`
	// Started is when the first part was sent. The server forgets parts after
	// some hours.
	Started time.Time `json:"started"`
	// Media is the file that the server has made of the parts, to be sent in an
	// album; nil before, and if there is none. It is not changed any more.
	Media *Media `json:"media,omitempty"`
	// Parts are those that the server has confirmed. It is not part of the
	// header record.
	Parts map[int]bool `json:"-"`
}

// A Media is a file on the server that messages can be made of.
type Media struct {
	Photo         bool     `json:"photo,omitempty"` // a photo, else a document
	ID            int64    `json:"id,string"`
	AccessHash    int64    `json:"access_hash,string"`
	FileReference []byte   `json:"file_reference"`
	SHA256        [32]byte `json:"sha256"` // of the source
	// Made is when; zero in records of early versions. The server forgets what no
	// message is made of.
	Made time.Time `json:"made,omitzero"`
}

// A Source identifies the content of a file on disk, as far as its metadata can.
type Source struct {
	Size    int64     `json:"size"`
	ModTime time.Time `json:"mod_time"`
	Inode   uint64    `json:"inode,omitempty"` // 0 where there is none
}

// Equal reports whether both are the same file, unchanged.
func (s Source) Equal(o Source) bool {
	return s.Size == o.Size && s.Inode == o.Inode && s.ModTime.Equal(o.ModTime)
}

// A Wait is a flood wait that was not over yet.
type Wait struct {
	DC     int       `json:"dc"`
	Method string    `json:"method"`
	Until  time.Time `json:"until"`
	// Premium says that accounts with Premium do not get such waits.
	Premium bool `json:"premium,omitempty"`
}

// A Limit is what has been learned of how often the server lets a method be
// called at a DC. Zero values mean that nothing is known.
type Limit struct {
	DC       int       `json:"dc"`
	Method   string    `json:"method"`
	Premium  bool      `json:"premium,omitempty"`   // one that Premium accounts do not have
	Rate     float64   `json:"rate,omitempty"`      // calls a second
	InFlight int       `json:"in_flight,omitempty"` // calls at the same time
	At       time.Time `json:"at"`
	// Standing is for whoever has learned it.
	Standing json.RawMessage `json:"standing,omitempty"`
}

// ErrRecord is wrapped by errors about records that cannot be read.
var ErrRecord = errors.New("checkpoint: damaged record")

// Records are kept under these first bytes of the key.
const (
	prefixDownload = 'd' // Key: header of an unfinished download, JSON
	prefixPage     = 'p' // Key, page number: marks of up to pageParts parts, of an unfinished or finished download
	prefixDone     = 'f' // Key: finished download, JSON
	prefixUpload   = 'u' // UploadKey: header of an upload, JSON
	prefixSent     = 's' // UploadKey, page number: marks of its parts
	prefixWait     = 'w' // DC, method: flood wait, JSON
	prefixLimit    = 'l' // DC, method, Premium or not: Limit, JSON
	prefixJob      = 'j' // id: Job, JSON
	prefixMessage  = 'm' // id of a job, 0, UploadKey: Sent, JSON
)

// pageParts is how many parts share one record, so that marking a part of a
// file of thousands rewrites a little and not the whole list.
const pageParts = 256

// pageCount is how many pages n parts take.
func pageCount(n int) int { return (n + pageParts - 1) / pageParts }

// pageKey is the key of the i-th page.
func pageKey(pages []byte, i int) []byte {
	return binary.BigEndian.AppendUint32(pages[:len(pages):len(pages)], uint32(i))
}

// A header is what the headers of downloads and uploads have in common.
type header struct {
	Size     int64  `json:"size"`
	PartSize int    `json:"part_size"`
	Source   Source `json:"source"`
}

func (h *header) parts() (int, error) {
	return partCount(max(h.Size, h.Source.Size), h.PartSize)
}

const (
	keyLen       = 1 + 8 + 8 + 8 + 8
	uploadKeyLen = 1 + 8 + 8
)

// bytes is the record's key in the store. Numbers are big-endian, so records
// of one folder and chat are neighbours.
func (k Key) bytes(prefix byte) []byte {
	b := make([]byte, 0, keyLen+4)
	b = append(b, prefix)
	b = binary.BigEndian.AppendUint64(b, k.Target)
	b = binary.BigEndian.AppendUint64(b, uint64(k.Chat))
	b = binary.BigEndian.AppendUint64(b, uint64(k.Message))
	return binary.BigEndian.AppendUint64(b, uint64(k.Document))
}

func parseKey(b []byte) (Key, error) {
	if len(b) < keyLen {
		return Key{}, fmt.Errorf("%w: key of %d bytes", ErrRecord, len(b))
	}
	u := binary.BigEndian.Uint64
	return Key{
		Target: u(b[1:]), Chat: int64(u(b[9:])), Message: int(u(b[17:])), Document: int64(u(b[25:])),
	}, nil
}

func (k UploadKey) bytes(prefix byte) []byte {
	b := make([]byte, 0, uploadKeyLen+4)
	b = append(b, prefix)
	b = binary.BigEndian.AppendUint64(b, k.Source)
	return binary.BigEndian.AppendUint64(b, uint64(k.Chat))
}

func waitKey(dc int, method string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{prefixWait}, uint32(dc)), method...)
}

func limitKey(l Limit) []byte {
	key := append(binary.BigEndian.AppendUint32([]byte{prefixLimit}, uint32(l.DC)), l.Method...)
	if l.Premium {
		return append(key, 0, 1)
	}
	return append(key, 0, 0)
}

// A page marks up to pageParts neighbouring parts: a bitmap, then a CRC-32C
// for each bit up to the last that is set, so that small files have small
// records. Marks of uploads have CRC 0.
type page struct {
	bits  [pageParts / 8]byte
	crcs  [pageParts]uint32
	dirty bool // changed since it was written
}

const pageLen = pageParts/8 + 4*pageParts

func (p *page) mark(i int, crc uint32) {
	p.bits[i/8] |= 1 << (i % 8)
	p.crcs[i] = crc
}

func (p *page) unmark(i int) {
	p.bits[i/8] &^= 1 << (i % 8)
	p.crcs[i] = 0
}

func (p *page) marked(i int) bool { return p.bits[i/8]&(1<<(i%8)) != 0 }

func (p *page) appendTo(b []byte) []byte {
	b = append(b, p.bits[:]...)
	last := pageParts - 1
	for last >= 0 && !p.marked(last) {
		last--
	}
	for _, c := range p.crcs[:last+1] {
		b = binary.BigEndian.AppendUint32(b, c)
	}
	return b
}

func (p *page) decode(b []byte) error {
	const bits = len(p.bits)
	if len(b) < bits || len(b) > pageLen || (len(b)-bits)%4 != 0 {
		return fmt.Errorf("%w: page of %d bytes, want %d to %d", ErrRecord, len(b), bits, pageLen)
	}
	crcs := (len(b) - bits) / 4
	*p = page{}
	copy(p.bits[:], b)
	for i := range pageParts {
		switch {
		case i < crcs:
			p.crcs[i] = binary.BigEndian.Uint32(b[bits+4*i:])
		case p.marked(i):
			return fmt.Errorf("%w: page of %d bytes marks part %d", ErrRecord, len(b), i)
		}
	}
	return nil
}
