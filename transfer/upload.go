package transfer

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
	"unicode/utf16"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/scheduler"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl/api"
)

const (
	// smallUpload is the greatest size that goes by upload.saveFilePart, with
	// an MD5 that the server checks. See core.telegram.org/api/files.
	smallUpload = 10 << 20
	// partsLife is how long parts are believed to live on the server, which
	// forgets them after some hours and does not tell.
	partsLife = 3 * time.Hour
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
