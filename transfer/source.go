package transfer

import (
	"fmt"
	"os"
	"time"
)

// lookPause is the time between two looks whether the source has changed
// while it is sent.
const lookPause = 250 * time.Millisecond

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
	u.hash = u.run.frontierOf(u.body, size, uploadPartSize)
	return nil
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
