package telegram

import (
	"errors"
	"fmt"

	"github.com/tghaul/haul/mtproto"
)

// Errors of a Client. They are wrapped with what was being done; an
// *mtproto.RPCError that the server answered is in the chain too.
var (
	// ErrNotLoggedIn: nobody is signed in with this session.
	ErrNotLoggedIn = errors.New("telegram: not signed in")
	// ErrLoggedOut: the session was signed in, and the server has ended that; the
	// *AccountError that matches it says why. Nothing works any more until the
	// next login. Not retryable.
	ErrLoggedOut = errors.New("telegram: the login was ended by the server, sign in again")
	// ErrPeerNotFound: no chat of that name or id, or none this account can open.
	ErrPeerNotFound = errors.New("telegram: no such chat, or no access to it")
	// ErrUserOnly: the server keeps this from bots.
	ErrUserOnly = errors.New("telegram: bots may not do this, sign in as a user")
	// ErrSignedIn: the session has an account already.
	ErrSignedIn = errors.New("telegram: somebody is signed in already")
	// ErrBotToken: the server does not take the bot token.
	ErrBotToken = errors.New("telegram: invalid bot token")
	// ErrUnknownDC: a DC that neither the datacenters nor the server's list has.
	ErrUnknownDC = errors.New("telegram: unknown data center")
	// ErrUnreachable: no endpoint of a DC answers.
	ErrUnreachable = errors.New("telegram: data center not reachable")
	// ErrGuestAuth: a DC keeps refusing the authorisation brought to it.
	ErrGuestAuth = errors.New("telegram: data center does not keep the authorisation")
	// ErrNoDatacenters: the Config names no data centers.
	ErrNoDatacenters = errors.New("telegram: no data centers configured")
	// ErrClosed: the Client was closed.
	ErrClosed = errors.New("telegram: client closed")
	// ErrAlreadySent: a message with this random id was sent before, but is
	// not to be found among the newest messages of the chat.
	ErrAlreadySent = errors.New("telegram: message was already sent")
)

// A PartMissingError is a send that the server refused because a part of the
// uploaded file has expired there. Upload Part again, then repeat the send
// with the same random id.
type PartMissingError struct {
	Part int
	Err  error // the *mtproto.RPCError
}

func (e *PartMissingError) Error() string {
	return fmt.Sprintf("telegram: part %d of the upload has expired: %v", e.Part, e.Err)
}

// Unwrap returns the server's error.
func (e *PartMissingError) Unwrap() error { return e.Err }

// isRPC reports whether the server answered one of the error types, and that error.
func isRPC(err error, types ...string) (*mtproto.RPCError, bool) {
	var rpc *mtproto.RPCError
	if !errors.As(err, &rpc) {
		return nil, false
	}
	for _, t := range types {
		if rpc.Type == t {
			return rpc, true
		}
	}
	return rpc, len(types) == 0
}
