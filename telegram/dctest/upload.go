package dctest

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	_ "image/gif"  // photos that clients send
	_ "image/jpeg" // may have these
	_ "image/png"  // formats
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/tghaul/haul/telegram/dctest/content"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// Limits of uploads, core.telegram.org/api/files#uploading-files.
const (
	partUnit         = 1024
	maxUploadPart    = 512 << 10
	smallFile        = 10 << 20 // above, files go by saveBigFilePart
	maxParts         = 4000
	maxPartsPremium  = 8000
	maxCaption       = 1024
	maxCaptionLegend = 4096 // of Premium accounts
)

// A part is one call of upload.saveFilePart or upload.saveBigFilePart.
type part struct {
	id            int64
	number, total int
	big           bool
	bytes         []byte
}

// An upload is what an account has sent under one file id.
type upload struct {
	big      bool
	total    int
	partSize int // of all parts but the last
	parts    map[int][]byte
}

type uploadKey struct{ account, id int64 }

func (r *request) savePart(p part) (tl.Object, error) {
	if r.DC != r.c.cfg.HomeDC {
		return nil, refuse(303, "FILE_MIGRATE_"+strconv.Itoa(r.c.cfg.HomeDC))
	}
	limit := maxParts
	if r.ctxMe.cfg.Premium {
		limit = maxPartsPremium
	}
	switch {
	case len(p.bytes) == 0:
		return nil, refuse(400, "FILE_PART_EMPTY")
	case len(p.bytes) > maxUploadPart:
		return nil, refuse(400, "FILE_PART_TOO_BIG")
	case p.big && p.total != -1 && (p.total < 1 || p.total > limit):
		return nil, refuse(400, "FILE_PARTS_INVALID")
	case p.number < 0 || p.number >= limit || p.big && p.total > 0 && p.number >= p.total:
		return nil, refuse(400, "FILE_PART_INVALID")
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	key := uploadKey{r.ctxMe.id, p.id}
	u := r.c.uploads[key]
	if u == nil {
		u = &upload{big: p.big, parts: map[int][]byte{}}
		r.c.uploads[key] = u
	}
	if err := u.add(p); err != nil {
		return nil, err
	}
	r.c.stats.partSaved(p.id, p.number, len(p.bytes))
	return boxedBool(true), nil
}

// add applies the rules between the parts of a file. A part that stands before
// another has the full size; the last may be shorter.
func (u *upload) add(p part) error {
	if u.big != p.big {
		return refuse(400, "FILE_PART_INVALID")
	}
	last := p.big && p.number == p.total-1
	full := len(p.bytes)%partUnit == 0 && maxUploadPart%len(p.bytes) == 0
	switch {
	case !full && p.big && !last:
		return refuse(400, "FILE_PART_SIZE_INVALID")
	case u.partSize != 0 && len(p.bytes) > u.partSize:
		return refuse(400, "FILE_PART_SIZE_CHANGED")
	case u.partSize != 0 && len(p.bytes) != u.partSize && p.big && !last:
		return refuse(400, "FILE_PART_SIZE_CHANGED")
	}
	if full && !last {
		u.partSize = max(u.partSize, len(p.bytes))
	}
	if p.total > 0 {
		u.total = p.total
	}
	u.parts[p.number] = bytes.Clone(p.bytes)
	return nil
}

// An uploadedMedia is a file that a client has sent.
type uploadedMedia struct {
	name       string
	attributes []api.DocumentAttributeClass
	account    int64
}

// assemble turns the parts of an upload into a file.
func (r *request) assembleLocked(in api.InputFileClass) (data []byte, name string, err error) {
	var id int64
	var parts int
	var sum string
	big := false
	switch f := in.(type) {
	case *api.InputFile:
		id, parts, name, sum = f.ID, int(f.Parts), f.Name, f.MD5Checksum
	case *api.InputFileBig:
		id, parts, name, big = f.ID, int(f.Parts), f.Name, true
	default:
		return nil, "", refuse(400, "INPUT_FILE_INVALID")
	}
	u := r.c.uploads[uploadKey{r.ctxMe.id, id}]
	switch {
	case parts < 1 || parts > maxPartsPremium:
		return nil, "", refuse(400, "FILE_PARTS_INVALID")
	case u == nil:
		return nil, "", refuse(400, "FILE_PART_0_MISSING")
	case u.big != big || big && u.total > 0 && u.total != parts:
		return nil, "", refuse(400, "FILE_PARTS_INVALID")
	}
	for n := range parts {
		p, ok := u.parts[n]
		switch {
		case !ok:
			return nil, "", refuse(400, fmt.Sprintf("FILE_PART_%d_MISSING", n))
		case n < parts-1 && len(p) != len(u.parts[0]):
			return nil, "", refuse(400, "FILE_PART_LENGTH_INVALID")
		}
		data = append(data, p...)
	}
	if sum != "" {
		if got := md5.Sum(data); hex.EncodeToString(got[:]) != sum {
			return nil, "", refuse(400, "MD5_CHECKSUM_INVALID")
		}
	}
	if !big && len(data) > smallFile {
		return nil, "", refuse(400, "FILE_PARTS_INVALID")
	}
	return data, name, nil
}

// bytesSource is content in memory.
type bytesSource struct {
	data []byte
	w, h int
}

func (b *bytesSource) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(b.data).ReadAt(p, off)
}
func (b *bytesSource) Size() int64             { return int64(len(b.data)) }
func (b *bytesSource) Width() int              { return b.w }
func (b *bytesSource) Height() int             { return b.h }
func (b *bytesSource) Duration() time.Duration { return 0 }

// newMediaLocked makes a file of what sendMedia or uploadMedia were given.
func (r *request) newMediaLocked(in api.InputMediaClass) (*worldFile, error) {
	switch m := in.(type) {
	case *api.InputMediaUploadedDocument:
		data, name, err := r.assembleLocked(m.File)
		if err != nil {
			return nil, err
		}
		attributes := m.Attributes
		if !hasName(attributes) && name != "" {
			attributes = append(attributes, &api.DocumentAttributeFilename{FileName: name})
		}
		return r.addUploadLocked(&worldFile{
			kind: content.Document, mime: m.MimeType, data: &bytesSource{data: data},
			upload: &uploadedMedia{name: name, attributes: attributes},
		}), nil
	case *api.InputMediaUploadedPhoto:
		data, name, err := r.assembleLocked(m.File)
		if err != nil {
			return nil, err
		}
		if !strings.HasSuffix(strings.ToLower(name), ".jpg") && !strings.HasSuffix(name, ".jpeg") && !strings.HasSuffix(name, ".png") {
			return nil, refuse(400, "PHOTO_EXT_INVALID")
		}
		cfg, _, err := image.DecodeConfig(bytes.NewReader(data))
		if err != nil {
			return nil, refuse(400, "IMAGE_PROCESS_FAILED")
		}
		if cfg.Width+cfg.Height > 10000 {
			return nil, refuse(400, "PHOTO_INVALID_DIMENSIONS")
		}
		return r.addUploadLocked(&worldFile{
			kind: content.Photo, mime: "image/jpeg", data: &bytesSource{data: data, w: cfg.Width, h: cfg.Height},
			upload: &uploadedMedia{name: name},
		}), nil
	case *api.InputMediaDocument:
		if d, ok := m.ID.(*api.InputDocument); ok {
			return r.existingLocked(d.ID, d.AccessHash, d.FileReference)
		}
	case *api.InputMediaPhoto:
		if p, ok := m.ID.(*api.InputPhoto); ok {
			return r.existingLocked(p.ID, p.AccessHash, p.FileReference)
		}
	}
	return nil, refuse(400, "MEDIA_INVALID")
}

func hasName(list []api.DocumentAttributeClass) bool {
	for _, a := range list {
		if _, ok := a.(*api.DocumentAttributeFilename); ok {
			return true
		}
	}
	return false
}

func (r *request) existingLocked(id, hash int64, ref []byte) (*worldFile, error) {
	f := r.c.world.file(id)
	if f == nil || hash != r.c.world.accessHash(r.ctxMe.id, id) {
		return nil, refuse(400, "MEDIA_EMPTY")
	}
	if text := r.c.world.checkReference(ref, r.ctxMe.id, id, r.now, r.c.minRef[id]); text != "" {
		return nil, refuse(400, text)
	}
	return f, nil
}

func (r *request) addUploadLocked(f *worldFile) *worldFile {
	w := r.c.world
	w.uploaded = append(w.uploaded, f)
	f.id = fileID(uploads, len(w.uploaded))
	f.size, f.dc = f.data.Size(), r.c.cfg.HomeDC
	f.upload.account = r.ctxMe.id
	return f
}

func (w *world) uploadedFile(id int64) *worldFile {
	_, n, _ := parseFileID(id)
	if n < 1 || n > len(w.uploaded) {
		return nil
	}
	return w.uploaded[n-1]
}

// sentLocked notes a random_id, or says that it was used.
func (r *request) sentLocked(randomID int64) error {
	if randomID == 0 {
		return refuse(400, "RANDOM_ID_EMPTY")
	}
	key := uploadKey{r.ctxMe.id, randomID}
	if r.c.randomIDs[key] {
		return refuse(500, "RANDOM_ID_DUPLICATE")
	}
	r.c.randomIDs[key] = true
	return nil
}

// post adds a message to a channel and returns the updates that tell of it.
func (r *request) postLocked(ch *channel, m *worldMessage, randomID int64) []api.UpdateClass {
	m.date, m.from, m.id = r.now, r.ctxMe.id, ch.top()+1
	ch.sent = append(ch.sent, m)
	ch.pts++
	return []api.UpdateClass{
		&api.UpdateMessageID{ID: int32(m.id), RandomID: randomID},
		&api.UpdateNewChannelMessage{Message: r.render(ch, m.id), Pts: int32(ch.pts), PtsCount: 1},
	}
}

func (r *request) updates(ch *channel, list []api.UpdateClass) *api.Updates {
	return &api.Updates{Updates: list, Chats: []api.ChatClass{r.chat(ch)}, Users: []api.UserClass{r.user(r.ctxMe)}, Date: int32(r.now.Unix())}
}

func (r *request) checkCaption(text string) error {
	limit := maxCaption
	if r.ctxMe.cfg.Premium {
		limit = maxCaptionLegend
	}
	if len([]rune(text)) > limit {
		return refuse(400, "MEDIA_CAPTION_TOO_LONG")
	}
	return nil
}

func (r *request) sendMedia(q *api.MessagesSendMediaRequest) (tl.Object, error) {
	ch, err := r.peer(q.Peer)
	if err != nil {
		return nil, err
	}
	if err := r.checkCaption(q.Message); err != nil {
		return nil, err
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if r.c.randomIDs[uploadKey{r.ctxMe.id, q.RandomID}] {
		return nil, refuse(500, "RANDOM_ID_DUPLICATE")
	}
	f, err := r.newMediaLocked(q.Media)
	if err != nil {
		return nil, err
	}
	if err := r.sentLocked(q.RandomID); err != nil {
		return nil, err
	}
	return r.updates(ch, r.postLocked(ch, &worldMessage{text: q.Message, file: f}, q.RandomID)), nil
}

func (r *request) uploadMedia(q *api.MessagesUploadMediaRequest) (tl.Object, error) {
	if _, err := r.peer(q.Peer); err != nil {
		return nil, err
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	f, err := r.newMediaLocked(q.Media)
	if err != nil {
		return nil, err
	}
	return r.media(f, r.now), nil
}

const maxAlbum = 10

func (r *request) sendMultiMedia(q *api.MessagesSendMultiMediaRequest) (tl.Object, error) {
	ch, err := r.peer(q.Peer)
	switch {
	case err != nil:
		return nil, err
	case len(q.MultiMedia) > maxAlbum:
		return nil, refuse(400, "MULTI_MEDIA_TOO_LONG")
	case len(q.MultiMedia) < 2:
		return nil, refuse(400, "MEDIA_EMPTY")
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	files := make([]*worldFile, len(q.MultiMedia))
	for i, m := range q.MultiMedia {
		if files[i], err = r.newMediaLocked(m.Media); err != nil {
			return nil, err
		}
		if err := r.sentLocked(m.RandomID); err != nil {
			return nil, err
		}
	}
	var list []api.UpdateClass
	grouped := ch.id<<16 | int64(ch.top()+1)
	for i, m := range q.MultiMedia {
		list = append(list, r.postLocked(ch, &worldMessage{text: m.Message, file: files[i], grouped: grouped}, m.RandomID)...)
	}
	return r.updates(ch, list), nil
}

func (r *request) sendMessage(q *api.MessagesSendMessageRequest) (tl.Object, error) {
	ch, err := r.peer(q.Peer)
	if err != nil {
		return nil, err
	}
	if q.Message == "" {
		return nil, refuse(400, "MESSAGE_EMPTY")
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if err := r.sentLocked(q.RandomID); err != nil {
		return nil, err
	}
	return r.updates(ch, r.postLocked(ch, &worldMessage{text: q.Message}, q.RandomID)), nil
}

// sum is the SHA-256 of a source in hex.
func sum(s source) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(s, 0, s.Size())); err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
