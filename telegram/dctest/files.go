package dctest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/telegram/dctest/content"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// shaped is content that knows more than its bytes.
type shaped interface {
	Width() int
	Height() int
	Duration() time.Duration
}

func (f *worldFile) dimensions() (w, h int, d time.Duration) {
	if s, ok := f.data.(shaped); ok {
		return s.Width(), s.Height(), s.Duration()
	}
	return 0, 0, 0
}

// bigSize is the type of a photo's largest size, the only one that the cluster serves.
const bigSize = "y"

func (r *request) photo(f *worldFile, date time.Time) *api.Photo {
	w, h, _ := f.dimensions()
	return &api.Photo{
		ID: f.id, AccessHash: r.c.world.accessHash(r.ctxMe.id, f.id),
		FileReference: r.c.world.reference(r.ctxMe.id, f.id, r.now), Date: int32(date.Unix()), DCID: int32(f.dc),
		// The largest does not stand last, and a thumbnail is inline.
		Sizes: []api.PhotoSizeClass{
			&api.PhotoStrippedSize{Type: "i", Bytes: []byte{1, 4, 4, 0}},
			&api.PhotoSizeProgressive{Type: bigSize, W: int32(w), H: int32(h), Sizes: []int32{int32(f.size / 8), int32(f.size / 2), int32(f.size)}},
			&api.PhotoCachedSize{Type: "s", W: int32(w / 8), H: int32(h / 8), Bytes: []byte{0xff, 0xd8, 0xff, 0xd9}},
		},
	}
}

func (r *request) document(f *worldFile, date time.Time) *api.Document {
	return &api.Document{
		ID: f.id, AccessHash: r.c.world.accessHash(r.ctxMe.id, f.id),
		FileReference: r.c.world.reference(r.ctxMe.id, f.id, r.now), Date: int32(date.Unix()),
		MimeType: f.mime, Size: f.size, DCID: int32(f.dc), Attributes: f.attributes(),
	}
}

func (f *worldFile) attributes() []api.DocumentAttributeClass {
	if f.upload != nil {
		return f.upload.attributes
	}
	w, h, length := f.dimensions()
	name := f.name
	if named, ok := f.data.(interface{ Name() string }); ok && name == "" {
		name = named.Name()
	}
	var list []api.DocumentAttributeClass
	switch f.kind {
	case content.Video:
		list = append(list, &api.DocumentAttributeVideo{SupportsStreaming: true, Duration: length.Seconds(), W: int32(w), H: int32(h)})
	case content.Audio:
		list = append(list, &api.DocumentAttributeAudio{Duration: int32(length.Seconds()), Title: tl.Some("A melody"), Performer: tl.Some("Sim")})
	case content.Voice: // has no name
		return append(list, &api.DocumentAttributeAudio{Voice: true, Duration: int32(length.Seconds())})
	default:
	}
	if name == noName {
		return list
	}
	return append(list, &api.DocumentAttributeFilename{FileName: name})
}

// noName marks a file that has no name at all.
const noName = "\x00none"

const (
	maxPart    = 1 << 20
	hashBlock  = 128 << 10
	hashBlocks = 10 // blocks that one answer has hashes of
)

// checkRange applies the rules for offset and limit.
// See core.telegram.org/api/files#downloading-files.
func checkRange(offset int64, limit int, precise bool) error {
	unit := 4096
	if precise {
		unit = 1024
	}
	switch {
	case offset < 0 || offset%int64(unit) != 0:
		return refuse(400, "OFFSET_INVALID")
	case limit <= 0 || limit > maxPart || limit%unit != 0 || !precise && maxPart%limit != 0:
		return refuse(400, "LIMIT_INVALID")
	case offset/maxPart != (offset+int64(limit)-1)/maxPart:
		return refuse(400, "LIMIT_INVALID")
	}
	return nil
}

// locate finds the file of a location and checks that the account may have it.
func (r *request) locate(in api.InputFileLocationClass) (*worldFile, error) {
	var id, hash int64
	var ref []byte
	var size string
	switch l := in.(type) {
	case *api.InputDocumentFileLocation:
		id, hash, ref, size = l.ID, l.AccessHash, l.FileReference, l.ThumbSize
	case *api.InputPhotoFileLocation:
		id, hash, ref, size = l.ID, l.AccessHash, l.FileReference, l.ThumbSize
	default:
		return nil, refuse(400, "LOCATION_INVALID")
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	f := r.c.world.file(id)
	if f == nil || hash != r.c.world.accessHash(r.ctxMe.id, id) {
		return nil, refuse(400, "FILE_ID_INVALID")
	}
	_, isPhoto := in.(*api.InputPhotoFileLocation)
	if isPhoto != (f.kind == content.Photo) || isPhoto && size != bigSize || !isPhoto && size != "" {
		return nil, refuse(400, "LOCATION_INVALID")
	}
	if r.expireIt {
		r.c.minRef[id] = r.now
	}
	if text := r.c.world.checkReference(ref, r.ctxMe.id, id, r.now, r.c.minRef[id]); text != "" {
		return nil, refuse(400, text)
	}
	dc := f.dc
	if moved := r.c.moved[id]; moved != 0 {
		dc = moved
	}
	if dc != r.DC {
		return nil, refuse(303, "FILE_MIGRATE_"+strconv.Itoa(dc))
	}
	return f, nil
}

// migrate moves the file that is asked for to another DC, where it stays; what
// messages say of it is old from then on.
func (r *request) migrate() {
	d := tl.NewDecoder(r.Query)
	for d.Remaining() > 4 && d.PeekID() != api.UploadGetFileRequestID {
		d.Take(4)
	}
	var q api.UploadGetFileRequest
	if q.Decode(d); d.Err() != nil {
		return
	}
	f, err := r.locate(q.Location)
	if err != nil {
		return
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	for _, dc := range r.c.cfg.DCs {
		if !dc.CDN && dc.ID != r.DC {
			r.c.moved[f.id] = dc.ID
			return
		}
	}
}

func (r *request) getFile(q *api.UploadGetFileRequest) (tl.Object, error) {
	f, err := r.locate(q.Location)
	if err != nil {
		return nil, err
	}
	if err := checkRange(q.Offset, int(q.Limit), q.Precise); err != nil {
		return nil, err
	}
	if f.cdn && q.CdnSupported {
		if dc := r.c.cdnDC(); dc != 0 {
			return r.redirect(f, dc)
		}
	}
	n := min(int64(q.Limit), max(0, f.size-q.Offset))
	n = max(0, n-int64(r.shortBy))
	r.c.stats.served(f.id, q.Offset, int(n))
	return &fileAnswer{file: f, offset: q.Offset, n: int(n)}, nil
}

// A fileAnswer is upload.file whose bytes are made where they are encoded.
type fileAnswer struct {
	file   *worldFile
	offset int64
	n      int
	cdn    *crypt // for upload.cdnFile
}

type crypt struct{ key, iv []byte }

// TypeID is the constructor id.
func (a *fileAnswer) TypeID() uint32 {
	if a.cdn != nil {
		return api.UploadCdnFileID
	}
	return api.UploadFileID
}

// TypeName is the constructor's name.
func (a *fileAnswer) TypeName() string {
	if a.cdn != nil {
		return "upload.cdnFile"
	}
	return "upload.file"
}

// SizeHint is about how long the encoding is.
func (a *fileAnswer) SizeHint() int { return a.n + 32 }

// Encode makes the bytes.
func (a *fileAnswer) Encode(e *tl.Encoder) {
	e.ID(a.TypeID())
	if a.cdn == nil {
		e.ID(api.StorageFilePartialID)
		e.Int(int32(epoch.Unix()))
	}
	space := e.BlobSpace(a.n)
	if _, err := a.file.data.ReadAt(space, a.offset); err != nil && !errors.Is(err, io.EOF) {
		panic("dctest: content failed: " + err.Error())
	}
	if a.cdn != nil {
		if err := crypto.CDNCrypt(a.cdn.key, a.cdn.iv, a.offset, space); err != nil {
			panic("dctest: " + err.Error())
		}
	}
}

type hashes = boxedVector[api.FileHash, *api.FileHash]

// hashesFrom are the hashes of the blocks from offset on.
func hashesFrom(f *worldFile, offset int64) hashes {
	list := hashes{}
	buf := make([]byte, hashBlock)
	for off := offset / hashBlock * hashBlock; off < f.size && len(list) < hashBlocks; off += hashBlock {
		block := buf[:min(hashBlock, f.size-off)]
		if _, err := f.data.ReadAt(block, off); err != nil && !errors.Is(err, io.EOF) {
			break
		}
		sum := sha256.Sum256(block)
		list = append(list, api.FileHash{Offset: off, Limit: int32(len(block)), Hash: sum[:]})
	}
	return list
}

func (r *request) getFileHashes(q *api.UploadGetFileHashesRequest) (tl.Object, error) {
	f, err := r.locate(q.Location)
	if err != nil {
		return nil, err
	}
	if q.Offset < 0 {
		return nil, refuse(400, "OFFSET_INVALID")
	}
	return hashesFrom(f, q.Offset), nil
}

// CDN: the token names file and account, and cannot be made up; the key never
// reaches the CDN DC in the real world, and here only its encryption needs it.

const tokenSize = 8 + 8 + 16

func (r *request) token(f *worldFile) []byte {
	t := binary.BigEndian.AppendUint64(nil, uint64(f.id))
	t = binary.BigEndian.AppendUint64(t, uint64(r.ctxMe.id))
	return append(t, r.c.world.mac("cdn token", f.id, r.ctxMe.id)[:16]...)
}

func (r *request) parseToken(t []byte) (*worldFile, error) {
	if len(t) != tokenSize {
		return nil, refuse(400, "FILE_TOKEN_INVALID")
	}
	id, account := int64(binary.BigEndian.Uint64(t)), int64(binary.BigEndian.Uint64(t[8:]))
	if !hmac.Equal(t[16:], r.c.world.mac("cdn token", id, account)[:16]) {
		return nil, refuse(400, "FILE_TOKEN_INVALID")
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	f := r.c.world.file(id)
	if f == nil {
		return nil, refuse(400, "FILE_TOKEN_INVALID")
	}
	return f, nil
}

func (r *request) crypt(f *worldFile) *crypt {
	return &crypt{key: r.c.world.mac("cdn key", f.id), iv: r.c.world.mac("cdn iv", f.id)[:16]}
}

func (r *request) redirect(f *worldFile, dc int) (tl.Object, error) {
	c := r.crypt(f)
	return &api.UploadFileCdnRedirect{
		DCID: int32(dc), FileToken: r.token(f), EncryptionKey: c.key, EncryptionIv: c.iv, FileHashes: hashesFrom(f, 0),
	}, nil
}

func (r *request) getCdnFile(q *api.UploadGetCdnFileRequest) (tl.Object, error) {
	f, err := r.parseToken(q.FileToken)
	if err != nil {
		return nil, err
	}
	if err := checkRange(q.Offset, int(q.Limit), false); err != nil {
		return nil, err
	}
	r.c.mu.Lock()
	cached := r.c.onCDN[f.id]
	r.c.mu.Unlock()
	if !cached {
		return &api.UploadCdnFileReuploadNeeded{RequestToken: r.c.world.mac("reupload", f.id)}, nil
	}
	n := min(int64(q.Limit), max(0, f.size-q.Offset))
	r.c.stats.served(f.id, q.Offset, int(n))
	return &fileAnswer{file: f, offset: q.Offset, n: int(n), cdn: r.crypt(f)}, nil
}

func (r *request) reuploadCdnFile(q *api.UploadReuploadCdnFileRequest) (tl.Object, error) {
	f, err := r.parseToken(q.FileToken)
	if err != nil {
		return nil, err
	}
	if !hmac.Equal(q.RequestToken, r.c.world.mac("reupload", f.id)) {
		return nil, refuse(400, "REQUEST_TOKEN_INVALID")
	}
	r.c.mu.Lock()
	r.c.onCDN[f.id] = true
	r.c.mu.Unlock()
	return hashesFrom(f, 0), nil
}

func (r *request) getCdnFileHashes(q *api.UploadGetCdnFileHashesRequest) (tl.Object, error) {
	f, err := r.parseToken(q.FileToken)
	if err != nil {
		return nil, err
	}
	return hashesFrom(f, max(0, q.Offset)), nil
}
