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
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
	"unicode/utf16"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/scheduler"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

const (
	// smallUpload is the greatest size that goes by upload.saveFilePart, with
	// an MD5 that the server checks. See core.telegram.org/api/files.
	smallUpload = 10 << 20
	// partsLife is how long parts are believed to live on the server, which
	// forgets them after some hours and does not tell.
	partsLife = 3 * time.Hour
	// maxResends is how often an upload may be found incomplete by the server.
	maxResends = 8
	// manyMissing is after how many missing parts all are sent again: the
	// server names one at a time.
	manyMissing = 3
	// lookPause is the time between two looks whether the source has changed
	// while it is sent.
	lookPause = 250 * time.Millisecond
)

// An upload is the job of one file to send.
type upload struct {
	run  *run
	u    Upload
	name string
	key  checkpoint.UploadKey
	path uint64 // of the source, if all of it is sent: its TargetOf

	file  *os.File    // set by open, like the following
	body  io.ReaderAt // what is sent of it: size bytes from 0 on
	size  int64
	since checkpoint.Source
	hash  *frontier
	how   *shape // as what it is sent; nil before that is looked at
	tries int    // of finish

	thumb      api.InputFileClass // the preview; nil: none, or not sent yet
	thumbAt    time.Time          // when it was
	thumbBytes []byte             // if thumbMade
	thumbMade  bool

	mu     sync.Mutex
	record checkpoint.Upload // Parts holds those that the server has
	looked time.Time         // when unchangedYet has looked
}

func newUpload(r *run, u Upload) job {
	name := u.Name
	if name == "" {
		name = filepath.Base(u.Path)
	}
	path, err := filepath.Abs(u.Path)
	if err != nil {
		path = u.Path
	}
	j := &upload{run: r, u: u, name: name, key: checkpoint.UploadKey{Chat: u.To.MarkedID()}}
	if u.completes() {
		j.path = checkpoint.TargetOf(path)
	}
	if u.Section != nil {
		path += u.Section.key()
	}
	if u.Job != "" { // each job sends a message of its own
		path = u.Job + "\x00" + path
	}
	j.key.Source = checkpoint.TargetOf(path)
	return j
}

func (u *upload) info() jobInfo {
	u.mu.Lock()
	defer u.mu.Unlock()
	size := u.u.length(u.record.Source.Size) // not u.size: open may be writing it
	if u.record.FileID == 0 {                // not open yet
		if fi, err := os.Stat(u.u.Path); err == nil {
			size = u.u.length(fi.Size())
		}
	}
	return jobInfo{id: u.record.FileID, path: u.u.shown(), size: size, dc: u.run.tg.HomeDC()}
}

func (u *upload) route() scheduler.Route {
	method := (*api.UploadSaveFilePartRequest)(nil).TypeName()
	if u.info().size > smallUpload {
		method = (*api.UploadSaveBigFilePartRequest)(nil).TypeName()
	}
	return scheduler.Route{DC: u.run.tg.HomeDC(), Use: scheduler.Upload, Method: method}
}

func (u *upload) open(ctx context.Context) (opened, error) {
	if u.file == nil {
		missing := u.openSource()
		if res, err := u.sentBefore(ctx, missing); err != nil || res != nil {
			return opened{done: res}, err
		}
		if err := u.load(); err != nil {
			return opened{}, err
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	var o opened
	if u.record.Media != nil { // all that is left is to send it
		return opened{resumed: u.size}, ctx.Err()
	}
	for n := range u.count() {
		length := u.length(n)
		if u.record.Parts[n] {
			o.resumed += int64(length)
			u.hash.mark(n)
			continue
		}
		o.parts = append(o.parts, scheduler.Part{N: n, Size: int64(length)})
	}
	return o, ctx.Err()
}

// openSource opens the file and notes what identifies its content.
func (u *upload) openSource() error {
	f, err := os.Open(u.u.Path)
	if err != nil {
		return err
	}
	u.file = f
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	size := u.u.length(fi.Size())
	switch {
	case !fi.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file", u.u.Path)
	case size == 0:
		return ErrEmpty
	case u.u.Section != nil && u.u.Section.broken != nil:
		return u.u.Section.broken
	case !u.u.Section.fits(identify(fi)):
		return ErrChanged
	case u.u.Skip != nil: // nothing is sent, whatever its size
	case u.u.Broken != nil:
		return fmt.Errorf("%w: %w", errBroken, u.u.Broken)
	case u.captionLen() > u.run.o.maxCaption():
		return fmt.Errorf("%w: %d characters, at most %d", ErrCaption, u.captionLen(), u.run.o.maxCaption())
	case (size+uploadPartSize-1)/uploadPartSize > int64(u.run.o.MaxUploadParts):
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooBig, size, int64(u.run.o.MaxUploadParts)*uploadPartSize)
	}
	u.since, u.size = identify(fi), size
	if u.body, err = u.u.body(f, fi.Size()); err != nil {
		return err
	}
	u.hash = u.run.newFrontier(u.body, size, uploadPartSize)
	return nil
}

// sentBefore is the message that an earlier run of the job has sent of the same
// content; nil if there is none. A source that could not be opened counts as
// sent if it is gone: people clear away what they have sent.
func (u *upload) sentBefore(ctx context.Context, openErr error) (*FileResult, error) {
	gone := errors.Is(openErr, fs.ErrNotExist)
	if s := u.u.Skip; s != nil && openErr == nil {
		res := u.result(checkpoint.Sent{Source: u.since, Document: s.Document, Message: s.Message, SHA256: s.SHA256, Size: u.size})
		res.Reason = s.Reason
		return &res, u.confirm(ctx, &res, telegram.File{})
	}
	if u.u.Job == "" || openErr != nil && !gone {
		return nil, openErr
	}
	s, found, err := u.run.o.Checkpoint.Sent(u.u.Job, u.key)
	if err != nil || !found || !gone && !s.Source.Equal(u.since) {
		return nil, errors.Join(err, openErr)
	}
	res := u.result(s)
	res.Reason = SkipSent
	if gone {
		return &res, nil
	}
	return &res, u.confirm(ctx, &res, telegram.File{})
}

// result is the outcome of an upload whose message is sent.
func (u *upload) result(s checkpoint.Sent) FileResult {
	return FileResult{
		ID: s.Document, Path: u.u.shown(), Size: s.Length(), SHA256: s.SHA256, MessageID: s.Message, Date: s.At, Source: s.Source,
		Origin: telegram.Origin{Peer: u.u.To, MessageID: s.Message}, captioned: s.Captioned,
	}
}

// load goes on with what an earlier run has sent of the same content, or
// begins anew. Either way the record is durable before the first part leaves.
func (u *upload) load() error {
	old, found, err := u.run.o.Checkpoint.Upload(u.key)
	if err == nil && !found {
		old, found, err = u.adopt()
	}
	if err != nil {
		return err
	}
	same := found && old.Source.Equal(u.since) && old.PartSize == uploadPartSize && old.Length == u.u.sectionSize(u.size)
	fresh := same && time.Since(old.Started) < partsLife
	// An earlier run may have had it in an album, or sent another kind.
	ready := same && old.Media != nil && u.u.album != nil && old.Media.Photo == u.shape().photo
	u.mu.Lock()
	if same {
		u.record = old
	} else {
		u.record = checkpoint.Upload{RandomID: randomID()}
	}
	if !ready {
		u.record.Media = nil
	}
	u.mu.Unlock()
	if fresh || ready {
		return nil
	}
	return u.restart()
}

// adopt takes over what there is of the same source without a job: early
// versions had none. Whoever comes first has it; it moves to the key of the job.
func (u *upload) adopt() (old checkpoint.Upload, found bool, err error) {
	if u.u.Job == "" || u.path == 0 {
		return old, false, nil
	}
	early := checkpoint.UploadKey{Source: u.path, Chat: u.key.Chat}
	old, found, err = u.run.o.Checkpoint.Upload(early)
	if err != nil || !found || !old.Source.Equal(u.since) {
		return old, false, err
	}
	return old, true, u.run.commits.wait(nil, func(b *checkpoint.Batch) {
		b.PutUpload(u.key, old)
		for part := range old.Parts {
			b.Sent(u.key, part)
		}
		b.ForgetUpload(early)
	})
}

// restart forgets all parts and chooses a new file id. The message keeps its
// random id: should it have been sent, it is not sent again.
func (u *upload) restart() error {
	u.mu.Lock()
	u.record = checkpoint.Upload{
		FileID: randomID(), RandomID: u.record.RandomID, PartSize: uploadPartSize,
		Big: u.size > smallUpload, Source: u.since, Length: u.u.sectionSize(u.size), Started: time.Now().UTC(),
		Parts: make(map[int]bool),
	}
	record := u.record
	u.mu.Unlock()
	return u.run.commits.wait(nil, func(b *checkpoint.Batch) {
		b.ForgetUpload(u.key)
		b.PutUpload(u.key, record)
	})
}

// randomID is a random number other than 0.
func randomID() int64 {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		if id := int64(binary.LittleEndian.Uint64(b[:])); id != 0 {
			return id
		}
	}
}

func (u *upload) count() int {
	return int((u.size + uploadPartSize - 1) / uploadPartSize)
}

func (u *upload) length(n int) int {
	return int(min(uploadPartSize, u.size-int64(n)*uploadPartSize))
}

// unchanged fails with ErrChanged if the source is not what it was.
func (u *upload) unchanged() error {
	open, err := u.file.Stat()
	if err != nil {
		return err
	}
	named, err := os.Stat(u.u.Path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrChanged, err)
	}
	if !identify(open).Equal(u.since) || !os.SameFile(open, named) {
		return ErrChanged
	}
	return nil
}

// unchangedYet is unchanged, for the sake of noticing early: it looks once in
// lookPause. What is missed is found when the source has been sent.
func (u *upload) unchangedYet() error {
	u.mu.Lock()
	now := time.Now()
	due := now.Sub(u.looked) >= lookPause
	if due {
		u.looked = now
	}
	u.mu.Unlock()
	if !due {
		return nil
	}
	return u.unchanged()
}

// A confirmed is a part that the server has.
type confirmed struct {
	u *upload
	n int
}

func (p *confirmed) size() int64 { return int64(p.u.length(p.n)) }
func (p *confirmed) release()    {}
func (p *confirmed) stored()     { p.u.hash.catchUp(p.u.run.ctx()) }

// store has the confirmed part recorded.
func (p *confirmed) store() error {
	p.u.mu.Lock()
	p.u.record.Parts[p.n] = true
	p.u.mu.Unlock()
	p.u.hash.mark(p.n)
	p.u.run.commits.admit(p.size())
	p.u.run.commits.mark(nil, p.size(), p.u, partMark{n: p.n})
	return nil
}

// markPart implements marker.
func (u *upload) markPart(b *checkpoint.Batch, p partMark) { b.Sent(u.key, p.n) }

// move sends one part.
func (u *upload) move(ctx context.Context, s scheduler.Send, m *scratch) (payload, error) {
	if err := u.unchangedYet(); err != nil {
		return nil, err
	}
	conn, err := u.run.partSession(ctx, s)
	if err != nil {
		return nil, err
	}
	q := u.saveRequest(s.Part.N, m)
	resp, err := conn.InvokeWith(ctx, q, u.payload(s.Part.N))
	if err != nil {
		return nil, changedIfUnread(err)
	}
	saved, err := decodeBy(&m.dec, q, resp.Body())
	resp.Release()
	if err != nil {
		return nil, err
	}
	if !saved {
		return nil, fmt.Errorf("%w: it could not save the part", errServer)
	}
	m.confirmed = confirmed{u: u, n: s.Part.N}
	return &m.confirmed, nil
}

// changedIfUnread says of a source that cannot be read any more that it has
// changed. Other errors stay as they are.
func changedIfUnread(err error) error {
	var unread *mtproto.PayloadError
	if errors.As(err, &unread) {
		return fmt.Errorf("%w: %w", ErrChanged, unread.Err)
	}
	return err
}

// payload are the bytes of a part, read out of the source when it is sent. That
// may still happen when the upload is closed already.
func (u *upload) payload(n int) mtproto.Payload {
	return mtproto.Payload{Len: u.length(n), From: u.body, At: int64(n) * uploadPartSize}
}

// saveRequest is the request to save a part, without its bytes. It lives in m.
func (u *upload) saveRequest(n int, m *scratch) tl.Method[bool] {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.record.Big {
		m.saveBig = api.UploadSaveBigFilePartRequest{
			FileID: u.record.FileID, FilePart: int32(n), FileTotalParts: int32(u.count()),
		}
		return &m.saveBig
	}
	m.save = api.UploadSaveFilePartRequest{FileID: u.record.FileID, FilePart: int32(n)}
	return &m.save
}

// finish sends the message. Should the server miss parts by then, they are
// sent again.
func (u *upload) finish(ctx context.Context) (FileResult, error) {
	if u.tries++; u.tries > maxResends {
		return FileResult{}, errors.New("transfer: the server keeps losing parts of the upload")
	}
	if u.record.Media != nil {
		return FileResult{}, errParked
	}
	what, sum, err := u.describe(ctx)
	if err != nil {
		return FileResult{}, err
	}
	if u.u.album != nil {
		return FileResult{}, u.makeMedia(ctx, what, sum)
	}
	id, sent, err := u.run.tg.SendUploaded(ctx, u.u.To, what)
	if lost, more := u.lostParts(err); lost {
		return FileResult{}, more
	}
	if err != nil && id == 0 && (ctx.Err() != nil || !errors.Is(err, telegram.ErrAlreadySent)) {
		return FileResult{}, err // cut short, it may be sent: the next run finds its message
	}
	record := checkpoint.Sent{
		Source: u.since, Document: sent.ID, Message: id, SHA256: sum, At: time.Now().UTC(), Path: u.path, Size: u.u.sectionSize(u.size),
		Captioned: u.u.Caption != "",
	}
	res := u.result(record)
	if u.u.Section != nil && u.u.completes() {
		record.SHA256, record.Size = u.u.Section.Whole, 0
	}
	if err := u.run.commits.wait(nil, func(b *checkpoint.Batch) { b.FinishUpload(u.key, u.u.Job, record) }); err != nil {
		return FileResult{}, err
	}
	if err := u.confirm(ctx, &res, sent); err != nil {
		return FileResult{}, err
	}
	return res, u.run.tell(u, res)
}

// describe is what the server is told of the uploaded parts, and the SHA-256 of
// the source.
func (u *upload) describe(ctx context.Context) (what telegram.Uploaded, sum [32]byte, err error) {
	sum, err = u.hash.result(ctx)
	file, fileErr := u.inputFile()
	how := u.shape()
	if err := u.unchanged(); err != nil {
		return what, sum, err // the reason why it cannot be read, if it cannot
	}
	if err := errors.Join(err, fileErr); err != nil {
		return what, sum, fmt.Errorf("read the source again: %w", err)
	}
	thumb, err := u.preview(ctx)
	return telegram.Uploaded{
		InputFile: file, Name: u.name, MimeType: how.mime, Caption: u.u.Caption, Entities: u.u.Entities,
		RandomID: u.record.RandomID, Size: u.size, Send: u.u.Send,
		Photo: how.photo, ForceFile: how.force, NoSound: how.noSound, Attributes: how.attributes, Thumb: thumb,
	}, sum, err
}

// lostParts reports whether a call has failed since the server lacks parts, and
// then what that means: errMore, if they are to be sent again.
func (u *upload) lostParts(err error) (lost bool, then error) {
	var missing *telegram.PartMissingError
	if errors.As(err, &missing) {
		u.thumb = nil // it may be what is missing
		return true, u.lose(missing.Part)
	}
	if isSpoilt(err) && u.tries < manyMissing {
		u.thumb = nil
		return true, u.lose(0)
	}
	return false, nil
}

// lose takes in that the server no longer has a part. If it seems to have lost
// more than a few, all are sent again.
func (u *upload) lose(part int) error {
	if part <= 0 || part >= u.count() || u.tries > manyMissing {
		if err := u.restart(); err != nil {
			return err
		}
		return errMore
	}
	u.mu.Lock()
	delete(u.record.Parts, part)
	u.mu.Unlock()
	u.run.commits.do(func(b *checkpoint.Batch) { b.Unsent(u.key, part) })
	return errMore
}

// isSpoilt reports whether the server says that what it has of an upload is
// not the file: all of it has to be sent again.
func isSpoilt(err error) bool {
	var rpc *mtproto.RPCError
	return errors.As(err, &rpc) && (rpc.Type == "MD5_CHECKSUM_INVALID" || rpc.Type == "FILE_PARTS_INVALID")
}

// inputFile names the uploaded parts to the server.
func (u *upload) inputFile() (api.InputFileClass, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	parts := int32(u.count())
	if u.record.Big {
		return &api.InputFileBig{ID: u.record.FileID, Parts: parts, Name: u.name}, nil
	}
	sum := md5.New()
	if _, err := io.Copy(sum, io.NewSectionReader(u.body, 0, u.size)); err != nil {
		return nil, err
	}
	return &api.InputFile{
		ID: u.record.FileID, Parts: parts, Name: u.name, MD5Checksum: hex.EncodeToString(sum.Sum(nil)),
	}, nil
}

func (u *upload) finished(res FileResult) error {
	if u.u.Finished == nil {
		return nil
	}
	return u.u.Finished(res)
}

func (u *upload) close() {
	if u.file != nil {
		_ = u.file.Close() // it was only read
		u.file = nil
	}
	if u.u.over != nil {
		u.u.over()
		u.u.over = nil
	}
}

// utf16Len is a length as Telegram counts it.
func utf16Len(s string) (n int) {
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}
