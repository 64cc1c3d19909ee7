package dctest

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/telegram/dctest/content"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

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

// A located file is what a location means: a file, or its small picture.
type located struct {
	*worldFile
	thumb source // nil: the file itself
}

// locate finds the file of a location and checks that the account may have it
// here. See core.telegram.org/api/files#downloading-files.
func (r *request) locate(in api.InputFileLocationClass) (f located, err error) {
	var id, hash int64
	var ref []byte
	var size, whole string
	switch l := in.(type) {
	case *api.InputDocumentFileLocation:
		id, hash, ref, size = l.ID, l.AccessHash, l.FileReference, l.ThumbSize
	case *api.InputPhotoFileLocation:
		id, hash, ref, size, whole = l.ID, l.AccessHash, l.FileReference, l.ThumbSize, bigSize
	default:
		return f, refuse(400, "LOCATION_INVALID")
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	w := r.c.world
	if f.worldFile = w.file(id); f.worldFile == nil || hash != w.accessHash(r.me.id, id) {
		return f, refuse(400, "FILE_ID_INVALID")
	}
	if isPhoto := whole == bigSize; isPhoto != (f.kind == content.Photo) {
		return f, refuse(400, "LOCATION_INVALID")
	}
	if size != whole {
		t := f.worldFile.thumb()
		if size != thumbSize || t == nil {
			return f, refuse(400, "LOCATION_INVALID")
		}
		f.thumb = t
	}
	r.strikeLocked(f.worldFile)
	if text := r.checkReference(ref, id); text != "" {
		return f, refuse(400, text)
	}
	if dc := cmp.Or(r.c.moved[id], f.dc); dc != r.DC {
		return f, refuse(303, "FILE_MIGRATE_"+itoa(dc))
	}
	return f, nil
}

// strikeLocked lets the faults happen that concern the file of a request.
func (r *request) strikeLocked(f *worldFile) {
	switch r.strike {
	case "gone":
		r.c.world.deleteMessageOf(f.id)
		r.c.world.expiries[f.id]++
	case "file_reference_expired":
		r.c.world.expiries[f.id]++
	case "references_expired":
		r.c.world.allExpired++
	case "file_migrate":
		for _, dc := range r.c.cfg.DCs {
			if !dc.CDN && dc.ID != r.DC {
				r.c.moved[f.id] = dc.ID
				return
			}
		}
	}
}

// shortBy is how many bytes the fault short_part takes off an answer.
const shortBy = 1000

func (r *request) getFile(q *api.UploadGetFileRequest) (tl.Object, error) {
	f, err := r.locate(q.Location)
	if err != nil {
		return nil, err
	}
	if err := checkRange(q.Offset, int(q.Limit), q.Precise); err != nil {
		return nil, err
	}
	if f.thumb != nil {
		return serve(f.thumb, true, q.Offset, q.Limit), nil
	}
	if f.cdn && q.CdnSupported {
		if dc := r.c.cdnDC(); dc != 0 {
			return r.redirect(f.worldFile, dc), nil
		}
	}
	answer := serve(f.data, f.kind == content.Photo, q.Offset, q.Limit)
	if r.strike == "short_part" {
		answer.n = max(0, answer.n-shortBy)
	}
	r.c.stats.served(f.id, q.Offset, answer.n)
	return answer, nil
}

// serve is the answer with a part of data.
func serve(data source, jpeg bool, offset int64, limit int32) *fileAnswer {
	n := min(int64(limit), max(0, data.Size()-offset))
	kind := api.StorageFileTypeClass(&api.StorageFilePartial{})
	if jpeg {
		kind = &api.StorageFileJpeg{}
	}
	return &fileAnswer{data: data, offset: offset, n: int(n), kind: kind}
}

// A fileAnswer is upload.file whose bytes are made where they are encoded, in
// the packet: it is mtserver.Lasting. The content of a file never changes.
type fileAnswer struct {
	data   source
	offset int64
	n      int
	kind   api.StorageFileTypeClass
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

// EncodedLen is the length of what Encode makes.
func (a *fileAnswer) EncodedLen() int {
	if a.cdn != nil {
		return 4 + tl.BlobLen(a.n)
	}
	return 4 + 4 + 4 + tl.BlobLen(a.n) // the constructor, its type and its time
}

// Encode makes the bytes.
func (a *fileAnswer) Encode(e *tl.Encoder) {
	e.ID(a.TypeID())
	if a.cdn == nil {
		a.kind.Encode(e)
		e.Int(int32(epoch.Unix()))
	}
	space := e.BlobSpace(a.n)
	if _, err := a.data.ReadAt(space, a.offset); err != nil && !errors.Is(err, io.EOF) {
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
func hashesFrom(data source, offset int64) hashes {
	list := hashes{}
	buf := make([]byte, hashBlock)
	for off := offset / hashBlock * hashBlock; off < data.Size() && len(list) < hashBlocks; off += hashBlock {
		block := buf[:min(hashBlock, data.Size()-off)]
		if _, err := data.ReadAt(block, off); err != nil && !errors.Is(err, io.EOF) {
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
	data := f.data
	if f.thumb != nil {
		data = f.thumb
	}
	list := hashesFrom(data, q.Offset)
	switch {
	case r.strike == "no_hashes":
		return hashes{}, nil
	case r.strike == "hash_lie" && len(list) > 0:
		list[len(list)/2].Hash[7] ^= 1
	}
	return list, nil
}

// CDN: the token names file and account, and cannot be made up; the key never
// reaches the CDN DC in the real world, and here only its encryption needs it.

const tokenSize = 8 + 8 + 16

func (r *request) token(f *worldFile) []byte {
	t := binary.BigEndian.AppendUint64(nil, uint64(f.id))
	t = binary.BigEndian.AppendUint64(t, uint64(r.me.id))
	return append(t, r.c.world.mac("cdn token", f.id, r.me.id)[:16]...)
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
	// The DC of the file takes a token back only from whom it gave it to.
	if f == nil || r.me != nil && (account != r.me.id || cmp.Or(r.c.moved[id], f.dc) != r.DC) {
		return nil, refuse(400, "FILE_TOKEN_INVALID")
	}
	return f, nil
}

func (r *request) crypt(f *worldFile) *crypt {
	return &crypt{key: r.c.world.mac("cdn key", f.id), iv: r.c.world.mac("cdn iv", f.id)[:16]}
}

func (r *request) redirect(f *worldFile, dc int) tl.Object {
	c := r.crypt(f)
	return &api.UploadFileCdnRedirect{
		DCID: int32(dc), FileToken: r.token(f), EncryptionKey: c.key, EncryptionIv: c.iv, FileHashes: hashesFrom(f.data, 0),
	}
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
	answer := serve(f.data, false, q.Offset, q.Limit)
	answer.cdn = r.crypt(f)
	r.c.stats.served(f.id, q.Offset, answer.n)
	return answer, nil
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
	return hashesFrom(f.data, 0), nil
}

func (r *request) getCdnFileHashes(q *api.UploadGetCdnFileHashesRequest) (tl.Object, error) {
	f, err := r.parseToken(q.FileToken)
	if err != nil {
		return nil, err
	}
	if q.Offset < 0 {
		return nil, refuse(400, "OFFSET_INVALID")
	}
	return hashesFrom(f.data, q.Offset), nil
}
