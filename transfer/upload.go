package transfer

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gabriel-vasile/mimetype"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/scheduler"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

const (
	// smallUpload is the size up to which files go by upload.saveFilePart.
	smallUpload = 10 << 20
	// partsLifetime is how long the server is trusted to keep parts.
	partsLifetime = 3 * time.Hour
	// maxMissing bounds how often a message may be refused for a missing part.
	maxMissing = 20
)

// An upload is the job of one file to send.
type upload struct {
	r       *run
	u       Upload
	key     checkpoint.UploadKey
	size    atomic.Int64
	statErr error
	source  checkpoint.Source
	file    *os.File
	front   *frontier
	rec     checkpoint.Upload
	buffers sync.Pool
	missing int

	mu    sync.Mutex
	parts map[int]bool // confirmed
}

func newUpload(r *run, u Upload) job {
	if u.Name == "" {
		u.Name = filepath.Base(u.Path)
	}
	j := &upload{r: r, u: u, key: checkpoint.UploadKey{Source: targetOf(u.Path), Chat: u.To.MarkedID()}}
	j.buffers.New = func() any { return new([uploadPartSize]byte) }
	fi, err := os.Stat(u.Path)
	if j.statErr = err; err == nil {
		j.size.Store(fi.Size())
	}
	return j
}

func (j *upload) info() jobInfo {
	return jobInfo{path: j.u.Path, size: j.size.Load(), dc: j.r.tg.HomeDC(), origin: telegram.Origin{Peer: j.u.To}}
}

func (j *upload) big() bool { return j.size.Load() > smallUpload }

func (j *upload) route() scheduler.Route {
	route := scheduler.Route{DC: j.r.tg.HomeDC(), Use: scheduler.Upload, Method: "upload.saveFilePart"}
	if j.big() {
		route.Method = "upload.saveBigFilePart"
	}
	return route
}

// open looks at the source, and at what was sent of it before.
func (j *upload) open(context.Context) (opened, error) {
	if j.file == nil {
		if err := j.openSource(); err != nil {
			return opened{}, err
		}
		if err := j.begin(); err != nil {
			return opened{}, err
		}
	}
	var o opened
	size := j.size.Load()
	j.mu.Lock()
	defer j.mu.Unlock()
	for n := range partCount(size, uploadPartSize) {
		length := partLen(size, uploadPartSize, n)
		if j.parts[n] {
			o.resumed += length
			continue
		}
		o.parts = append(o.parts, scheduler.Part{N: n, Size: length})
	}
	return o, nil
}

func (j *upload) openSource() error {
	if j.statErr != nil {
		return j.statErr
	}
	f, err := os.Open(j.u.Path)
	if err != nil {
		return err
	}
	fi, err := f.Stat()
	size := j.size.Load()
	switch {
	case err != nil:
	case !fi.Mode().IsRegular():
		err = fmt.Errorf("%s is no regular file", j.u.Path)
	case fi.Size() != size:
		err = ErrChanged
	case size == 0:
		err = ErrEmpty
	case partCount(size, uploadPartSize) > j.r.o.MaxUploadParts:
		err = fmt.Errorf("%w: %d parts, %d are allowed", ErrTooBig, partCount(size, uploadPartSize), j.r.o.MaxUploadParts)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	j.file, j.source = f, identity(fi)
	j.front = newFrontier(f, size, uploadPartSize)
	return nil
}

// begin goes on with an upload of the same file, or records a new one.
func (j *upload) begin() error {
	rec, found, err := j.r.o.Checkpoint.Upload(j.key)
	if err != nil && !errors.Is(err, checkpoint.ErrRecord) {
		return err
	}
	if found && err == nil && rec.Source.Equal(j.source) && rec.PartSize == uploadPartSize && rec.Big == j.big() &&
		time.Since(rec.Started) < partsLifetime {
		j.rec, j.parts = rec, rec.Parts
		if j.parts == nil {
			j.parts = map[int]bool{}
		}
		return nil
	}
	j.parts = map[int]bool{}
	j.rec = checkpoint.Upload{
		FileID: randomID(), RandomID: randomID(), PartSize: uploadPartSize, Big: j.big(), Source: j.source, Started: time.Now(),
	}
	return j.r.commits.wait(nil, func(b *checkpoint.Batch) { b.PutUpload(j.key, j.rec) })
}

// randomID is a random number that is not 0.
func randomID() int64 {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		if id := int64(binary.LittleEndian.Uint64(b[:])); id != 0 {
			return id
		}
	}
}

// unchanged says whether the source is still the file that was opened.
func (j *upload) unchanged() error {
	fi, err := os.Stat(j.u.Path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrChanged, err)
	}
	if !identity(fi).Equal(j.source) {
		return ErrChanged
	}
	return nil
}

// move sends a part.
func (j *upload) move(ctx context.Context, s scheduler.Send) (payload, error) {
	conn, err := j.r.session(ctx, s.Route, s.Conn)
	if err != nil {
		return nil, err
	}
	buf, ok := j.buffers.Get().(*[uploadPartSize]byte)
	if !ok {
		buf = new([uploadPartSize]byte)
	}
	defer j.buffers.Put(buf)
	b := buf[:s.Part.Size]
	if _, err := j.file.ReadAt(b, int64(s.Part.N)*uploadPartSize); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChanged, err)
	}
	if err := j.unchanged(); err != nil {
		return nil, err
	}
	var q tl.Method[bool] = &api.UploadSaveFilePartRequest{FileID: j.rec.FileID, FilePart: int32(s.Part.N), Bytes: b}
	if j.big() {
		q = &api.UploadSaveBigFilePartRequest{
			FileID: j.rec.FileID, FilePart: int32(s.Part.N), Bytes: b,
			FileTotalParts: int32(partCount(j.size.Load(), uploadPartSize)),
		}
	}
	err = call(ctx, conn, q, func(saved bool) error {
		if !saved {
			return errServer
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	j.front.offer(s.Part.N, b)
	return &sentPart{j: j, n: s.Part.N, bytes: s.Part.Size}, nil
}

// A sentPart is a part that the server has confirmed.
type sentPart struct {
	j     *upload
	n     int
	bytes int64
}

func (p *sentPart) size() int64 { return p.bytes }
func (p *sentPart) release()    {}
func (p *sentPart) stored()     {}

func (p *sentPart) store() error {
	p.j.mu.Lock()
	p.j.parts[p.n] = true
	p.j.mu.Unlock()
	p.j.r.commits.do(func(b *checkpoint.Batch) { b.Sent(p.j.key, p.n) })
	return nil
}

// finish sends the message. The random id was recorded before the first part,
// so however often this is repeated, there will be one message.
func (j *upload) finish(ctx context.Context) (FileResult, error) {
	sum, err := j.hash(ctx)
	if err != nil {
		return FileResult{}, err
	}
	if err := j.unchanged(); err != nil {
		return FileResult{}, errors.Join(err, j.forget())
	}
	in, err := j.inputFile()
	if err != nil {
		return FileResult{}, err
	}
	id, _, err := j.r.tg.SendUploaded(ctx, j.u.To, telegram.Uploaded{
		InputFile: in, Name: j.u.Name, MimeType: j.mime(), Caption: j.u.Caption, Size: j.size.Load(),
		RandomID: j.rec.RandomID, ForceFile: true,
	})
	var lost *telegram.PartMissingError
	switch {
	case errors.As(err, &lost):
		return FileResult{}, j.again(lost)
	case err != nil:
		return FileResult{}, fmt.Errorf("send: %w", err)
	}
	res := FileResult{
		ID: j.rec.FileID, Origin: telegram.Origin{Peer: j.u.To, MessageID: id}, Path: j.u.Path,
		Size: j.size.Load(), SHA256: sum, Date: time.Now(), MessageID: id,
	}
	if err := j.forget(); err != nil {
		return res, err
	}
	j.r.finMu.Lock()
	defer j.r.finMu.Unlock()
	return res, j.finished(res)
}

// hash is the SHA-256 of the source. Parts sent in an earlier run are read for it.
func (j *upload) hash(ctx context.Context) ([32]byte, error) {
	j.front.mu.Lock()
	for n := range j.front.have {
		j.front.have[n] = true // they all are in the source
	}
	j.front.mu.Unlock()
	return j.front.result(ctx)
}

// again has a part that the server has lost sent once more.
func (j *upload) again(lost *telegram.PartMissingError) error {
	if j.missing++; j.missing > maxMissing || lost.Part < 0 || lost.Part >= partCount(j.size.Load(), uploadPartSize) {
		return errors.Join(fmt.Errorf("send: %w", lost), j.forget())
	}
	j.mu.Lock()
	delete(j.parts, lost.Part)
	j.mu.Unlock()
	j.r.commits.do(func(b *checkpoint.Batch) { b.Unsent(j.key, lost.Part) })
	return errMore
}

func (j *upload) inputFile() (api.InputFileClass, error) {
	parts := int32(partCount(j.size.Load(), uploadPartSize))
	if j.big() {
		return &api.InputFileBig{ID: j.rec.FileID, Parts: parts, Name: j.u.Name}, nil
	}
	sum := md5.New()
	if _, err := io.Copy(sum, io.NewSectionReader(j.file, 0, j.size.Load())); err != nil {
		return nil, err
	}
	return &api.InputFile{ID: j.rec.FileID, Parts: parts, Name: j.u.Name, MD5Checksum: hex.EncodeToString(sum.Sum(nil))}, nil
}

func (j *upload) mime() string {
	if j.u.MimeType != "" {
		return j.u.MimeType
	}
	m, err := mimetype.DetectReader(io.NewSectionReader(j.file, 0, j.size.Load()))
	if err != nil {
		return "application/octet-stream"
	}
	return m.String()
}

// forget ends the record: the message is sent, or the upload is void.
func (j *upload) forget() error {
	return j.r.commits.wait(nil, func(b *checkpoint.Batch) { b.ForgetUpload(j.key) })
}

func (j *upload) finished(res FileResult) error {
	if j.u.Finished == nil {
		return nil
	}
	return j.u.Finished(res)
}

func (j *upload) close() {
	if j.file != nil {
		_ = j.file.Close() // only read
	}
}
