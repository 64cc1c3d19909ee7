package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/transfer"
)

// jobState is what a run that ended with err leaves behind: its state, why it is
// not done, in words, and until when Telegram wants to be left alone.
func jobState(err error, now time.Time) (state, reason string, until time.Time) {
	wait, waits := longWait(err)
	switch {
	case err == nil:
		return jobDone, "", time.Time{}
	case errors.Is(err, context.Canceled):
		return jobInterrupted, "", time.Time{}
	case errors.As(err, new(*someFailed)), errors.As(err, new(*sourcesKept)):
		return jobFailed, err.Error(), time.Time{}
	case waits:
		return jobWaiting, text(err), now.Add(wait).UTC().Round(time.Second)
	default:
		return jobStopped, text(err), time.Time{}
	}
}

// longWait is how long Telegram wants a run to wait that has ended for that.
func longWait(err error) (time.Duration, bool) {
	if wait := (*transfer.WaitError)(nil); errors.As(err, &wait) {
		return wait.Wait, true
	}
	if rpc := (*mtproto.RPCError)(nil); errors.As(err, &rpc) && errors.Is(rpc, mtproto.ErrFloodWait) {
		return rpc.Wait()
	}
	return 0, false
}

// jobReason says in a line why a job is not done.
func jobReason(r checkpoint.Job, now time.Time) string {
	switch {
	case r.State == jobWaiting && r.Until.After(now):
		return "waits for Telegram until " + r.Until.Local().Format("2006-01-02 15:04")
	case r.State == jobWaiting && !r.Until.IsZero():
		return "has waited for Telegram long enough: haul resume"
	case r.Reason == "":
		return r.State
	default:
		return strings.Join(strings.Fields(r.Reason), " ")
	}
}
