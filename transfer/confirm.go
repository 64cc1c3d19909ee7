package transfer

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	"github.com/tghaul/haul/telegram"
)

// ErrUnconfirmed is wrapped by FileResult.Unconfirmed: it is not proven that the
// server has what the source has.
var ErrUnconfirmed = errors.New("transfer: the server's copy is not proven")

// confirm has it proven, if that is wanted, that the server has the content of a
// message that was sent: by its size, and by its hashes of every byte
// (upload.getFileHashes), which are compared with the source as it is now, which
// must be the source as it was sent. f is the file of the message; one without an
// id is asked for.
//
// What speaks against it goes into res. The error is one that concerns more than
// that: then nothing is known.
func (u *upload) confirm(ctx context.Context, res *FileResult, f telegram.File) error {
	if !u.u.Confirm {
		return nil
	}
	err := u.proveSent(ctx, *res, f)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && endsRun(err):
		return err
	case err != nil:
		res.Unconfirmed = fmt.Errorf("%w: %w", ErrUnconfirmed, err)
	}
	return nil
}

// confirmParked is confirm for an upload that is not open, of an album that was sent.
func (u *upload) confirmParked(ctx context.Context, res *FileResult) error {
	if !u.u.Confirm {
		return nil
	}
	err := u.openSource()
	if err == nil && !u.since.Equal(res.Source) {
		err = errOtherSince
	}
	if err != nil {
		res.Unconfirmed = fmt.Errorf("%w: %w", ErrUnconfirmed, err)
	} else {
		err = u.confirm(ctx, res, telegram.File{})
	}
	if u.file != nil {
		_ = u.file.Close() // it was only read
		u.file = nil
	}
	if res.Unconfirmed != nil {
		return nil
	}
	return err
}

// Reasons why a copy cannot be proven.
var (
	errNoMessage  = errors.New("its message is not known or not there any more")
	errRemade     = errors.New("the server has compressed the photo")
	errNoHashes   = errors.New("the server states no hashes of it")
	errOtherSince = errors.New("the source is not what was sent")
)

func (u *upload) proveSent(ctx context.Context, res FileResult, f telegram.File) error {
	if f.ID == 0 {
		var err error
		if f, err = u.sentFile(ctx, res); err != nil {
			return err
		}
	}
	switch {
	case f.Kind == telegram.KindPhoto:
		return errRemade
	case f.Err != nil:
		return f.Err
	case f.Size != u.size:
		return fmt.Errorf("it has %d bytes there, and %d here", f.Size, u.size)
	}
	sum, err := u.compareHashes(ctx, f)
	if err != nil {
		return err
	}
	whole := u.u.Section != nil && res.SHA256 == u.u.Section.Whole // of which this is only the last message
	if res.SHA256 != [32]byte{} && sum != res.SHA256 && !whole {
		return errOtherSince
	}
	return u.unchanged()
}

// sentFile asks for the file of a message that was sent by an earlier run.
func (u *upload) sentFile(ctx context.Context, res FileResult) (telegram.File, error) {
	if res.MessageID == 0 || res.ID == 0 {
		return telegram.File{}, errNoMessage
	}
	files, err := u.run.tg.RefreshFiles(ctx, u.u.To, []int{res.MessageID})
	if err != nil {
		return telegram.File{}, err
	}
	for _, f := range files[res.MessageID] {
		if f.ID == res.ID {
			return f, nil
		}
	}
	return telegram.File{}, errNoMessage
}

// compareHashes compares all that is sent with the server's hashes, and returns
// its SHA-256. Bytes of which the server states no hash are not proven.
func (u *upload) compareHashes(ctx context.Context, f telegram.File) (sum [32]byte, err error) {
	if f.Origin.MessageID == 0 {
		return sum, errNoMessage
	}
	d := &download{run: u.run, d: Download{File: f}, size: f.Size, file: f}
	whole, proven := sha256.New(), int64(0)
	err = d.eachHash(ctx, d.freshHashes, func(at int64) int64 { return at }, func(from, to int64, want []byte) error {
		if from != proven {
			return fmt.Errorf("%w: from byte %d on", errNoHashes, proven)
		}
		block := sha256.New()
		if n, err := io.Copy(io.MultiWriter(block, whole), io.NewSectionReader(u.body, from, to-from)); err != nil || n != to-from {
			return fmt.Errorf("%w: read the source again: %w", errOtherSince, errors.Join(err, io.ErrUnexpectedEOF))
		}
		if subtle.ConstantTimeCompare(block.Sum(nil), want) != 1 {
			return fmt.Errorf("%w: bytes %d to %d", ErrHash, from, to)
		}
		proven = to
		return nil
	})
	switch {
	case err != nil:
		return sum, err
	case proven == 0:
		return sum, errNoHashes
	case proven != f.Size:
		return sum, fmt.Errorf("%w: from byte %d on", errNoHashes, proven)
	}
	return [32]byte(whole.Sum(nil)), nil
}
