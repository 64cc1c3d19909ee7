package transfer

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/tl/api"
)

const (
	// maxResends is how often an upload may be found incomplete by the server.
	maxResends = 8
	// manyMissing is after how many missing parts all are sent again: the
	// server names one at a time.
	manyMissing = 3
)

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
