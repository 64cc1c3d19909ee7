// Package mtproto speaks MTProto 2.0: it makes auth keys, keeps encrypted
// sessions alive over connections that come and go, and calls functions of the
// API over them. It knows nothing of accounts, files or disks.
// See core.telegram.org/mtproto.
package mtproto

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Errors to compare with errors.Is. An *RPCError matches those that describe it.
var (
	// ErrClosed is returned for calls of a session that was closed.
	ErrClosed = errors.New("mtproto: session is closed")
	// ErrKeyUnknown means that the server does not know the permanent auth key
	// any more, confirmed on a second connection: the account is logged out there.
	ErrKeyUnknown = errors.New("mtproto: the server does not know the auth key")
	// ErrUnreached means that no endpoint takes a connection.
	ErrUnreached = errors.New("mtproto: no address can be reached")
	// ErrUnknownOutcome means that a call may or may not have been executed.
	ErrUnknownOutcome = errors.New("mtproto: unknown whether the server executed the call")
	// ErrFloodWait matches FLOOD_WAIT and FLOOD_PREMIUM_WAIT; RPCError.Wait has the time.
	ErrFloodWait = errors.New("mtproto: flood wait")
	// ErrMigrate matches the 303 errors; RPCError.Arg is the DC to go to.
	ErrMigrate = errors.New("mtproto: another DC is responsible")
	// ErrUnauthorized matches the 401 errors.
	ErrUnauthorized = errors.New("mtproto: not authorised")
	// ErrFileReference matches all FILE_REFERENCE_ errors.
	ErrFileReference = errors.New("mtproto: file reference is not valid any more")
	// ErrServer matches trouble of the server that passes: 500 and negative codes.
	ErrServer = errors.New("mtproto: temporary server error")
	// ErrRefused means that the server has refused a message again and again,
	// whatever was done about it.
	ErrRefused = errors.New("mtproto: the server keeps refusing the call")
	// ErrBadAnswer means that an answer could not be read. It concerns that call alone.
	ErrBadAnswer = errors.New("mtproto: unreadable answer")
)

// An RPCError is what the server answered instead of a result.
// See core.telegram.org/api/errors.
type RPCError struct {
	Method string // "upload.getFile"
	Code   int    // 420
	Type   string // "FLOOD_WAIT"; an inner number stands as X: "FILE_PART_X_MISSING"
	Arg    int    // the number: seconds, a DC, a part
}

// ParseRPCError takes the server's text apart: the first run of digits between
// underscores, or at the end, is the argument.
func ParseRPCError(code int, message, method string) *RPCError {
	e := &RPCError{Method: method, Code: code, Type: message}
	words := strings.Split(message, "_")
	for i, w := range words {
		n, err := strconv.Atoi(w)
		if err != nil || w == "" || w[0] < '0' || w[0] > '9' || n > 1<<31-1 {
			continue
		}
		e.Arg = n
		if i == len(words)-1 {
			e.Type = strings.Join(words[:i], "_")
		} else {
			words[i] = "X"
			e.Type = strings.Join(words, "_")
		}
		return e
	}
	return e
}

func (e *RPCError) Error() string {
	text := e.Type
	switch {
	case strings.Contains(text, "_X_"):
		text = strings.Replace(text, "_X_", "_"+strconv.Itoa(e.Arg)+"_", 1)
	case e.Arg != 0:
		text += "_" + strconv.Itoa(e.Arg)
	}
	return fmt.Sprintf("%s: %s (%d)", e.Method, text, e.Code)
}

// Is matches the sentinel errors of this package.
func (e *RPCError) Is(target error) bool {
	switch target {
	case ErrFloodWait:
		return e.Type == "FLOOD_WAIT" || e.Type == "FLOOD_PREMIUM_WAIT"
	case ErrMigrate:
		return e.Code == 303 && strings.HasSuffix(e.Type, "_MIGRATE")
	case ErrUnauthorized:
		return e.Code == 401
	case ErrFileReference:
		return strings.HasPrefix(e.Type, "FILE_REFERENCE_")
	case ErrServer:
		return e.Code == 500 || e.Code < 0 || e.Type == "Timeout" || e.Type == "Timedout"
	default:
		return false
	}
}

// Bounds of a wait that is believed.
const (
	minWait = time.Second
	maxWait = 14 * 24 * time.Hour
)

// Wait is how long the server wants calls like this one to pause, for every
// error with code 420 that says so.
func (e *RPCError) Wait() (time.Duration, bool) {
	if e.Code != 420 || !strings.HasSuffix(e.Type, "_WAIT") && !strings.HasSuffix(e.Type, "_DELAY") {
		return 0, false
	}
	return min(max(time.Duration(e.Arg)*time.Second, minWait), maxWait), true
}

// isNotInited says that the server wants initConnection again.
func (e *RPCError) isNotInited() bool {
	return e.Type == "CONNECTION_NOT_INITED" || e.Type == "CONNECTION_LAYER_INVALID"
}
