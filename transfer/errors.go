package transfer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/scheduler"
	"github.com/tghaul/haul/telegram"
)

// A verdict is what to do about an error of a part. Exactly one of run and
// file is set, or else failure goes to the scheduler.
type verdict struct {
	failure scheduler.Failure
	file    error // the file fails
	run     error // nothing works any more
}

// An answerError is an answer that could not be decoded.
type answerError struct {
	method string
	err    error
}

func (e *answerError) Error() string { return fmt.Sprintf("answer to %s: %v", e.method, e.err) }
func (e *answerError) Unwrap() error { return e.err }

// A dialError is a session that could not be had.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// A rerouteError sends a file elsewhere.
type rerouteError struct {
	to  scheduler.Route
	why error // may be nil
}

func (e *rerouteError) Error() string {
	return fmt.Sprintf("sent to DC %d (%s): %v", e.to.DC, e.to.Method, e.why)
}
func (e *rerouteError) Unwrap() error { return e.why }

// errAgain is no fault of anybody: the part has to be asked for once more.
var errAgain = errors.New("transfer: ask again")

// errServer is trouble that may be over when the part is tried again later.
var errServer = errors.New("transfer: server trouble")

// react decides about the error of a part. It is the one place that does. It
// may take some time, when an authorisation has to be renewed.
func (r *run) react(ctx context.Context, s scheduler.Send, err error) verdict {
	failure := func(k scheduler.Kind) verdict {
		return verdict{failure: scheduler.Failure{Kind: k, Err: err}}
	}
	var (
		rpc     *mtproto.RPCError
		reroute *rerouteError
		dial    *dialError
		answer  *answerError
	)
	// A wait holds, also if nobody waits for the part any more.
	if errors.As(err, &rpc) && isWait(rpc) && !errors.As(err, &reroute) && !errors.Is(err, errServer) {
		return verdict{failure: scheduler.Failure{
			Kind: scheduler.Flood, Wait: waitOf(rpc), Premium: isPremium(rpc), Route: s.Route, Err: err,
		}}
	}
	switch {
	case ctx.Err() != nil: // cancelled: whoever did that knows what follows
		return failure(scheduler.Again)
	case endsRun(err):
		return verdict{run: err}
	case errors.As(err, &reroute):
		return verdict{failure: scheduler.Failure{Kind: scheduler.Moved, Route: reroute.to, Err: err}}
	case errors.Is(err, errAgain):
		return failure(scheduler.Again)
	case errors.Is(err, errServer), errors.Is(err, mtproto.ErrRefused):
		return failure(scheduler.Trouble)
	case errors.As(err, &rpc):
		return r.reactRPC(ctx, s, rpc, err)
	case errors.Is(err, ErrShort), errors.As(err, &answer), errors.Is(err, mtproto.ErrBadAnswer):
		return failure(scheduler.BadAnswer)
	case errors.Is(err, ErrLong), errors.Is(err, ErrChanged), errors.Is(err, telegram.ErrUnknownDC), errors.Is(err, telegram.ErrGuestAuth):
		return verdict{file: err}
	case errors.As(err, &dial):
		return failure(scheduler.ConnLost)
	default: // the session has died
		r.dropSession(s)
		return failure(scheduler.ConnLost)
	}
}

// reactRPC decides about what the server answered instead of a part.
// See core.telegram.org/api/errors.
func (r *run) reactRPC(ctx context.Context, s scheduler.Send, rpc *mtproto.RPCError, err error) verdict {
	f := scheduler.Failure{Err: err}
	switch {
	case rpc.Type == "FILE_MIGRATE":
		f.Kind, f.Route = scheduler.Moved, s.Route
		f.Route.DC = rpc.Arg
	case strings.HasPrefix(rpc.Type, "FILE_REFERENCE_"):
		f.Kind = scheduler.Stale
	case telegram.AboutAccount(rpc):
		if err := r.tg.ReauthorizeDC(ctx, s.Route.DC, rpc); err != nil && ctx.Err() == nil {
			if endsRun(err) {
				return verdict{run: err}
			}
			return verdict{file: err}
		}
		f.Kind = scheduler.Trouble // bounded, should it not help
	case rpc.Code >= 500 || rpc.Code < 0 || rpc.Code == 420:
		f.Kind = scheduler.Trouble
	default:
		return verdict{file: err}
	}
	return verdict{failure: f}
}

// isWait reports whether the error names a time to wait, waitOf how long it is
// believed to be, isPremium whether it is one that Premium accounts do not get.
func isWait(rpc *mtproto.RPCError) bool {
	return rpc.Code == 420 && strings.HasSuffix(rpc.Type, "_WAIT") && rpc.Arg > 0
}

func waitOf(rpc *mtproto.RPCError) time.Duration {
	d, _ := rpc.Wait()
	return d
}

func isPremium(rpc *mtproto.RPCError) bool { return rpc.Type == "FLOOD_PREMIUM_WAIT" }

// endsRun reports whether nothing of the account works any more.
func endsRun(err error) bool {
	var account *telegram.AccountError
	return errors.As(err, &account) || errors.Is(err, telegram.ErrLoggedOut) || errors.Is(err, telegram.ErrNotLoggedIn) ||
		errors.Is(err, telegram.ErrClosed)
}

// errBroken is wrapped by the failure of an upload that was listed as Broken.
var errBroken = errors.New("transfer: it cannot be sent")

// retryable reports whether running again may help a file that has failed.
func retryable(err error) bool {
	for _, final := range []error{
		ErrProtected, ErrGone, ErrSize, ErrLong, ErrDiffers, ErrEmpty, ErrTooBig, ErrCaption, errBroken, ErrExists, telegram.ErrBadFile, errPath,
	} {
		if errors.Is(err, final) {
			return false
		}
	}
	var rpc *mtproto.RPCError
	if errors.As(err, &rpc) {
		return rpc.Code >= 500 || rpc.Code < 0 || rpc.Code == 420 || rpc.Code == 401 ||
			strings.HasPrefix(rpc.Type, "FILE_REFERENCE_")
	}
	return true
}
