package telegram

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/tghaul/haul/mtproto"
)

// What a Client does about an error is decided here and nowhere else, by the
// error's type, never by its text. See core.telegram.org/api/errors.

// A reaction is what to do about an error of a call.
type reaction int

const (
	giveUp     reaction = iota // return the error
	backOff                    // server trouble: repeat after a growing pause
	waitFlood                  // the server names the time to wait
	moveHome                   // the account lives at another DC: go there, repeat
	checkLogin                 // perhaps signed out: confirm
	loggedOut                  // certainly signed out
	newConfig                  // the list of DCs is stale: fetch it, repeat
	barred                     // the account may not do this: say so
	noTakeout                  // the takeout session is over: repeat without it
)

const (
	maxBackOffs  = 8  // repeats of one call after server trouble
	maxFloods    = 16 // waits of one call
	maxHomeMoves = 3  // changes of the home DC by one call
	maxTakeouts  = 2  // repeats of one call for a takeout session that is over

	maxWaitSeconds = 14 * 24 * 60 * 60 // longest wait a server is believed
)

// react decides about an error of a call at the home DC.
func react(err error) reaction {
	var rpc *mtproto.RPCError
	if !errors.As(err, &rpc) {
		if errors.Is(err, mtproto.ErrKeyUnknown) {
			return loggedOut
		}
		return giveUp
	}
	if r, ok := reactByType[rpc.Type]; ok {
		return r
	}
	switch {
	case rpc.Code == 401:
		return checkLogin
	case rpc.Code == 420 && strings.Contains(rpc.Type, "_WAIT") && rpc.Arg > 0:
		return waitFlood
	case rpc.Code == 420, rpc.Code >= 500, rpc.Code < 0:
		return backOff
	default:
		return giveUp
	}
}

// reactByType overrules the class that the error's code stands for.
var reactByType = map[string]reaction{
	"PHONE_MIGRATE":   moveHome,
	"NETWORK_MIGRATE": moveHome,
	"USER_MIGRATE":    moveHome,

	"AUTH_KEY_DUPLICATED":     loggedOut,
	"SESSION_PASSWORD_NEEDED": giveUp, // an answer to a login, not a lost one
	"AUTH_KEY_PERM_EMPTY":     backOff,

	"PEER_FLOOD":                 barred,
	"PHONE_NUMBER_BANNED":        barred,
	"FROZEN_PARTICIPANT_MISSING": barred,

	"MTPROTO_CLUSTER_INVALID": newConfig,
	"TAKEOUT_INVALID":         noTakeout,
	"TAKEOUT_REQUIRED":        noTakeout,

	// 500s that repeating does not help, or that are no trouble at all.
	"RANDOM_ID_DUPLICATE":           giveUp,
	"AUTH_RESTART":                  giveUp,
	"AUTH_RESTART_X":                giveUp,
	"SIGN_IN_FAILED":                giveUp,
	"PERSISTENT_TIMESTAMP_OUTDATED": giveUp,

	// 420s that are no wait, or one for the user to know of.
	"FROZEN_METHOD_INVALID": barred,
	"TAKEOUT_INIT_DELAY":    giveUp,
	"2FA_CONFIRM_WAIT":      giveUp,
	"FLOOD_TEST_PHONE_WAIT": giveUp,
}

// AboutAccount reports whether an error that a file session has answered is
// about the account, its login or its takeout session, rather than about what
// was asked for: [Client.ReauthorizeDC] takes it from there.
func AboutAccount(err error) bool {
	switch react(err) {
	case checkLogin, loggedOut, barred, noTakeout:
		return true
	default:
		return false
	}
}

// backOffPause is the pause before repeat n, from 0: 1, 2, 4 … 60 s, each
// between half and all of that, so that many clients do not come back at once.
func backOffPause(n int) time.Duration {
	d := min(time.Second<<min(n, 10), time.Minute)
	return d/2 + rand.N(d/2+1)
}

// floodPause is how long to wait for a named number of seconds: it is never
// undercut, and exceeded by less than a second so that what waited together
// does not start together.
func floodPause(seconds int) time.Duration {
	d := time.Duration(min(max(seconds, 1), maxWaitSeconds)) * time.Second
	return d + rand.N(500*time.Millisecond)
}

// pause waits, or returns ctx's error if that ends first.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
