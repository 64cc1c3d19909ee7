package dctest

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"encoding/hex"
	"image"
	_ "image/gif" // photos that clients send
	"image/jpeg"
	_ "image/png" // may have these formats
	"io"
	"path"
	"slices"
	"strings"

	"github.com/tghaul/haul/telegram/dctest/content"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// An uploadedMedia is what the cluster knows of a file that a client has sent,
// besides its bytes.
type uploadedMedia struct {
	name       string
	attributes []api.DocumentAttributeClass // with memory of their own
	account    int64
	w, h       int // of a photo

	thumb          memSource // JPEG that came with a document; nil for none
	thumbW, thumbH int
}

// assemble turns the parts of an upload into a file.
// See core.telegram.org/constructor/inputFile.
func (r *request) assemble(in api.InputFileClass) (data source, name string, err error) {
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
	if parts < 1 || parts > r.maxParts() {
		return nil, "", refuse(400, "FILE_PARTS_INVALID")
	}
	r.c.mu.Lock()
	u := r.c.uploads[uploadKey{r.me.id, id}]
	r.c.mu.Unlock()
	if u == nil {
		return nil, "", refuse(400, "FILE_PART_0_MISSING")
	}
	if data, err = u.assemble(parts, big); err == nil && r.strike == "cut_upload" {
		return cutSource(data), name, nil
	}
	if err != nil || sum == "" {
		return data, name, err
	}
	h := md5.New()
	if _, err := io.Copy(h, io.NewSectionReader(data, 0, data.Size())); err != nil {
		return nil, "", err
	}
	if hex.EncodeToString(h.Sum(nil)) != sum {
		return nil, "", refuse(400, "MD5_CHECKSUM_INVALID")
	}
	return data, name, nil
}

// cutSource is data without its last bytes, as a server that loses some has it.
func cutSource(data source) source {
	left := max(1, data.Size()-shortBy)
	if f, ok := data.(*fileSource); ok {
		return &fileSource{f: f.f, size: left}
	}
	b := make(memSource, left)
	_, _ = data.ReadAt(b, 0) // it has them
	return b
}

// newMedia makes a file of what a send call was given, or finds it.
func (r *request) newMedia(in api.InputMediaClass) (*worldFile, error) {
	switch m := in.(type) {
	case *api.InputMediaUploadedDocument:
		return r.newDocument(m)
	case *api.InputMediaUploadedPhoto:
		return r.newPhoto(m)
	case *api.InputMediaDocument:
		if d, ok := m.ID.(*api.InputDocument); ok {
			return r.existing(d.ID, d.AccessHash, d.FileReference)
		}
	case *api.InputMediaPhoto:
		if p, ok := m.ID.(*api.InputPhoto); ok {
			return r.existing(p.ID, p.AccessHash, p.FileReference)
		}
	case *api.InputMediaEmpty:
		return nil, refuse(400, "MEDIA_EMPTY")
	}
	return nil, refuse(400, "MEDIA_INVALID")
}

func (r *request) newDocument(m *api.InputMediaUploadedDocument) (*worldFile, error) {
	data, name, err := r.assemble(m.File)
	if err != nil {
		return nil, err
	}
	attributes, err := ownAttributes(m.Attributes)
	if err != nil {
		return nil, err
	}
	f := &worldFile{kind: content.Document, mime: cmp.Or(m.MimeType, "application/octet-stream"), data: data}
	f.upload = &uploadedMedia{}
	if err := r.addThumb(f, m.Thumb); err != nil {
		return nil, err
	}
	if m.ForceFile { // nothing but a file is seen in it
		attributes = slices.DeleteFunc(attributes, isMedia)
	}
	for _, a := range attributes {
		switch a := a.(type) {
		case *api.DocumentAttributeFilename:
			f.name = a.FileName
		case *api.DocumentAttributeVideo:
			if a.W < 1 || a.H < 1 || a.Duration < 0 || !strings.HasPrefix(f.mime, "video/") {
				return nil, refuse(400, "MEDIA_INVALID")
			}
			f.kind = content.Video
			if !m.NosoundVideo && !a.RoundMessage && isMute(data) {
				f.shape = "animation"
			}
		case *api.DocumentAttributeAudio:
			f.kind = content.Audio
			if a.Voice {
				f.kind = content.Voice
			}
		}
	}
	if f.shape == "animation" {
		attributes = append(attributes, &api.DocumentAttributeAnimated{})
	}
	if f.name == "" && name != "" && f.kind != content.Voice {
		f.name = name
		attributes = append(attributes, &api.DocumentAttributeFilename{FileName: name})
	}
	f.upload.name, f.upload.attributes = f.name, attributes
	return r.addUpload(f), nil
}

// isMedia reports whether an attribute makes more than a file of a document.
func isMedia(a api.DocumentAttributeClass) bool {
	switch a.(type) {
	case *api.DocumentAttributeVideo, *api.DocumentAttributeAudio, *api.DocumentAttributeAnimated, *api.DocumentAttributeSticker:
		return true
	default:
		return false
	}
}

// muteDepth is how much of a video is looked through for a sound track.
const muteDepth = 4 << 20

// isMute reports whether an MP4 file has no sound track: the server makes an
// animation of such a one. It is told by the name of the handler of sound.
func isMute(data source) bool {
	b, err := io.ReadAll(io.NewSectionReader(data, 0, min(data.Size(), muteDepth)))
	return err == nil && bytes.Contains(b, []byte("vide")) && !bytes.Contains(b, []byte("soun"))
}

// Limits of previews, core.telegram.org/api/files#uploading-files.
const (
	maxThumbSize = 200 << 10
	maxThumbSide = 320
)

// addThumb gives a document the preview that was uploaded with it. The real
// servers leave out one that is not as it should be; here it is refused.
func (r *request) addThumb(f *worldFile, in api.InputFileClass) error {
	if in == nil {
		return nil
	}
	if _, small := in.(*api.InputFile); !small {
		return refuse(400, "INPUT_FILE_INVALID")
	}
	data, _, err := r.assemble(in)
	if err != nil {
		return err
	}
	pic, err := jpeg.DecodeConfig(io.NewSectionReader(data, 0, data.Size()))
	if err != nil || data.Size() > maxThumbSize || pic.Width > maxThumbSide || pic.Height > maxThumbSide {
		return refuse(400, "IMAGE_PROCESS_FAILED")
	}
	b, err := io.ReadAll(io.NewSectionReader(data, 0, data.Size()))
	f.upload.thumb, f.upload.thumbW, f.upload.thumbH = b, pic.Width, pic.Height
	return err
}

// ownAttributes are attributes that share no memory with the query.
func ownAttributes(list []api.DocumentAttributeClass) ([]api.DocumentAttributeClass, error) {
	var e tl.Encoder
	for _, a := range list {
		a.Encode(&e)
	}
	return decodeAll(e.Bytes(), api.DecodeDocumentAttribute)
}

// decodeAll reads values until the end of b.
func decodeAll[T any](b []byte, decode func(*tl.Decoder) T) (list []T, err error) {
	d := tl.NewDecoder(b)
	for d.Remaining() > 0 && d.Err() == nil {
		list = append(list, decode(d))
	}
	return list, d.Err()
}

// Limits of photos, core.telegram.org/api/files#uploading-files.
const (
	maxPhotoSides = 10000 // width and height together
	maxPhotoRatio = 20
)

var photoExtensions = []string{".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"}

// newPhoto makes a photo. Unlike the real servers it keeps the bytes as they
// are, so that what comes back can be compared.
func (r *request) newPhoto(m *api.InputMediaUploadedPhoto) (*worldFile, error) {
	if _, small := m.File.(*api.InputFile); !small {
		return nil, refuse(400, "PHOTO_SAVE_FILE_INVALID") // always by saveFilePart
	}
	data, name, err := r.assemble(m.File)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(photoExtensions, strings.ToLower(path.Ext(name))) {
		return nil, refuse(400, "PHOTO_EXT_INVALID")
	}
	if data.Size() > smallFile {
		return nil, refuse(400, "PHOTO_SAVE_FILE_INVALID")
	}
	pic, _, err := image.DecodeConfig(io.NewSectionReader(data, 0, data.Size()))
	switch w, h := pic.Width, pic.Height; {
	case err != nil || w < 1 || h < 1:
		return nil, refuse(400, "IMAGE_PROCESS_FAILED")
	case w+h > maxPhotoSides || max(w, h) > maxPhotoRatio*min(w, h):
		return nil, refuse(400, "PHOTO_INVALID_DIMENSIONS")
	}
	return r.addUpload(&worldFile{
		kind: content.Photo, mime: "image/jpeg", data: data, name: name,
		upload: &uploadedMedia{name: name, w: pic.Width, h: pic.Height},
	}), nil
}

// existing finds a file that the account has seen.
func (r *request) existing(id, hash int64, ref []byte) (*worldFile, error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	f := r.c.world.file(id)
	if f == nil || hash != r.c.world.accessHash(r.me.id, id) {
		return nil, refuse(400, "MEDIA_EMPTY")
	}
	if text := r.checkReference(ref, id); text != "" {
		return nil, refuse(400, text)
	}
	return f, nil
}

// addUpload makes a file known.
func (r *request) addUpload(f *worldFile) *worldFile {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	w := r.c.world
	w.uploaded = append(w.uploaded, f)
	f.id = fileID(uploads, len(w.uploaded))
	f.size, f.dc = f.data.Size(), r.me.cfg.DC
	if f.name == "" {
		f.name = noName
	}
	f.upload.account = r.me.id
	return f
}
