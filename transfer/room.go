package transfer

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/tghaul/haul/checkpoint"
)

// A full disk fails nothing: what needs room is tried again every roomPause,
// and the parts that wait for it hold their buffers, so that no more than the
// scheduler's budget is asked for. The checkpoint says that the disk is full
// before it really is, since Badger must never meet one (it maps its files);
// then nothing is marked, and the committer lets nothing more be written.
const roomPause = 3 * time.Second

// isFull reports whether the error says that a disk, or the user's share of
// it, is full.
func isFull(err error) bool {
	if err == nil {
		return false
	}
	var space *checkpoint.SpaceError
	return errors.As(err, &space) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || isFullHere(err)
}

// whenRoom calls write, and again every few seconds as long as there is no
// room for it. The run is paused meanwhile, and says so. Once the run is
// stopped there is only the first try. It must not be called by the loop.
func (r *run) whenRoom(write func() error) error {
	err := write()
	if !isFull(err) {
		return err
	}
	return r.waitForRoom(write, err)
}

// waitForRoom calls write until there is room for it, for want of which it has
// failed.
func (r *run) waitForRoom(write func() error, err error) error {
	r.post(func() { r.pause(err) })
	for isFull(err) && r.sleep(roomPause) == nil {
		err = write()
	}
	r.post(r.unpause)
	return err
}

// sleep waits, or returns the context's error if the run is stopped before.
func (r *run) sleep(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-r.ctx().Done():
		return r.ctx().Err()
	}
}

// pause notes that one more task waits for room.
func (r *run) pause(err error) {
	if r.paused++; r.paused == 1 && r.fatal == nil {
		r.pausedAt = time.Now()
		r.o.Events(Paused{Header: header("paused", r.pausedAt), Reason: DiskFull, Error: err.Error()})
	}
}

func (r *run) unpause() {
	if r.paused--; r.paused == 0 && r.fatal == nil {
		now := time.Now()
		r.o.Events(Resumed{Header: header("resumed", now), Reason: DiskFull, Seconds: now.Sub(r.pausedAt).Seconds()})
	}
}

// WhenRoom calls write, and again every few seconds as long as it fails for
// want of room on the disk: then it pauses the engine's present run, which
// tells it by Paused and Resumed. It is for what the caller writes while the
// run takes files from its sequence. The error is that of the last call.
func (e *Engine) WhenRoom(ctx context.Context, write func() error) error {
	if r := e.running.Load(); r != nil {
		return r.whenRoom(write)
	}
	for {
		err := write()
		if !isFull(err) {
			return err
		}
		select {
		case <-time.After(roomPause):
		case <-ctx.Done():
			return err
		}
	}
}
