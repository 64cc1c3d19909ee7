package telegram

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// Takeout sessions, core.telegram.org/api/takeout: an account is exported within
// one, with lower flood limits. Everything that reads chats, messages and files
// is wrapped while one is open, at all DCs; a file reference that was given out
// within is good only there. The id is kept in the session, so that a process
// which was killed is followed by one that goes on with it.

// A TakeoutScope says what a takeout session is for.
type TakeoutScope struct {
	Users    bool `json:"users,omitempty"`    // chats with users
	Chats    bool `json:"chats,omitempty"`    // basic groups
	Channels bool `json:"channels,omitempty"` // channels and supergroups
	// MaxFileSize is the size of the largest files to be read, in bytes. 0: none are.
	MaxFileSize int64 `json:"max_file_size,omitempty"`
}

// TakeoutOf is the scope for the messages of some chats, and their files.
func TakeoutOf(peers []Peer, maxFileSize int64) TakeoutScope {
	s := TakeoutScope{MaxFileSize: maxFileSize}
	for _, p := range peers {
		switch p.Kind {
		case PeerChannel:
			s.Channels = true
		case PeerChat:
			s.Chats = true
		case PeerSelf, PeerUser:
			s.Users = true
		}
	}
	return s
}

// covers reports whether all of t is in s.
func (s TakeoutScope) covers(t TakeoutScope) bool {
	return (s.Users || !t.Users) && (s.Chats || !t.Chats) && (s.Channels || !t.Channels) && s.MaxFileSize >= t.MaxFileSize
}

func (s TakeoutScope) request() *api.AccountInitTakeoutSessionRequest {
	q := &api.AccountInitTakeoutSessionRequest{
		MessageUsers: s.Users, MessageChats: s.Chats, MessageMegagroups: s.Channels, MessageChannels: s.Channels,
	}
	if s.MaxFileSize > 0 {
		q.Files, q.FileMaxSize = true, tl.Some(s.MaxFileSize)
	}
	return q
}

// A Takeout is a takeout session that was begun and not finished.
type Takeout struct {
	ID    int64        `json:"id"`
	Scope TakeoutScope `json:"scope"`
	Begun time.Time    `json:"begun"`
}

// A TakeoutDelayError is a takeout session that may not begin yet, since the
// user has not consented to it. Telegram has asked them, in the chat "Telegram"
// of their other apps; once they agree it may begin at once.
type TakeoutDelayError struct {
	Wait time.Duration // after which it may begin in any case
	Err  error         // the *mtproto.RPCError
}

func (e *TakeoutDelayError) Error() string {
	return fmt.Sprintf("telegram: a takeout session may begin in %v, or as soon as you allow it in another app", e.Wait)
}

// Unwrap returns the server's error.
func (e *TakeoutDelayError) Unwrap() error { return e.Err }

// takeoutPatience bounds the beginning and finishing of a takeout session:
// reading goes on without one too.
const takeoutPatience = 30 * time.Second

// takeoutID is that of the open takeout session, 0 if there is none.
type takeoutID struct{ atomic.Int64 }

// wrap puts the open takeout session around a query that belongs in it.
func (t *takeoutID) wrap(q tl.Object) tl.Object {
	id := t.Load()
	if id == 0 || !inTakeout(q.TypeName()) {
		return q
	}
	return &api.InvokeWithTakeoutRequest{TakeoutID: id, Query: q}
}

// inTakeout reports whether a method reads what is exported. Those about logins,
// configuration and the account itself do not, and CDN DCs know no wrappers.
func inTakeout(method string) bool {
	for _, prefix := range []string{"messages.get", "messages.search", "channels.get", "contacts.resolve", "upload.get", "upload.reupload"} {
		if strings.HasPrefix(method, prefix) {
			return method != "upload.getCdnFile"
		}
	}
	return false
}

// A takeoutQuery is a call within a takeout session that need not be the open one.
type takeoutQuery[R any] struct {
	tl.Method[R]
	id int64
}

// TypeID is that of the wrapper.
func (takeoutQuery[R]) TypeID() uint32 { return api.InvokeWithTakeoutRequestID }

// Encode appends the query in its wrapper.
func (q takeoutQuery[R]) Encode(e *tl.Encoder) {
	(&api.InvokeWithTakeoutRequest{TakeoutID: q.id, Query: q.Method}).Encode(e)
}

// takeoutGone reports whether the server says that there is no such takeout
// session, or that it is not for what was asked within it.
func takeoutGone(err error) bool {
	_, gone := isRPC(err, "TAKEOUT_INVALID", "TAKEOUT_REQUIRED")
	return gone
}

// BeginTakeout opens a takeout session, within which everything is read from
// then on. One that an earlier client has left open is used again if it is for
// all that is wanted (resumed), or else finished. It waits out no flood, and at
// most half a minute in all: after any error but ErrLoggedOut, the same is read
// without a takeout session, only slower.
//
// Errors: *TakeoutDelayError, ErrUserOnly, and those of Invoke.
func (c *Client) BeginTakeout(ctx context.Context, scope TakeoutScope) (resumed bool, err error) {
	if err := c.checkLoggedIn(); err != nil {
		return false, err
	}
	if c.IsBot() {
		return false, fmt.Errorf("takeout session: %w", ErrUserOnly)
	}
	bounded, cancel := context.WithTimeout(ctx, takeoutPatience)
	defer cancel()
	if resumed, err = c.beginTakeout(bounded, scope); err != nil && ctx.Err() == nil && bounded.Err() != nil {
		return false, fmt.Errorf("begin a takeout session: no answer in %v", takeoutPatience)
	}
	return resumed, err
}

func (c *Client) beginTakeout(ctx context.Context, scope TakeoutScope) (resumed bool, err error) {
	if kept := get(c.keep, func(s *Session) *Takeout { return s.Takeout }); kept != nil {
		ok, err := c.resumeTakeout(ctx, kept, scope)
		if ok || err != nil {
			return ok, err
		}
	}
	begun, err := mtproto.Call(ctx, impatient{c}, scope.request())
	if rpc, delayed := isRPC(err, "TAKEOUT_INIT_DELAY"); delayed {
		wait, _ := rpc.Wait()
		return false, &TakeoutDelayError{Wait: wait, Err: rpc}
	}
	if err != nil {
		return false, fmt.Errorf("begin a takeout session: %w", err)
	}
	t := &Takeout{ID: begun.ID, Scope: scope, Begun: time.Now().UTC()}
	if err := c.keep.updateNow(func(s *Session) { s.Takeout = t }); err != nil {
		return false, err
	}
	c.takeout.Store(begun.ID)
	c.cfg.Log.Info("takeout session begun")
	return false, nil
}

// resumeTakeout opens a kept takeout session, if the server still knows it and
// it is for all that is wanted.
func (c *Client) resumeTakeout(ctx context.Context, kept *Takeout, scope TakeoutScope) (bool, error) {
	if !kept.Scope.covers(scope) {
		err := c.endTakeout(ctx, kept.ID, false)
		return false, err
	}
	_, err := mtproto.Call(ctx, impatient{c}, takeoutQuery[[]api.UserClass]{selfQuery(), kept.ID})
	switch {
	case err == nil:
		c.takeout.Store(kept.ID)
		c.cfg.Log.Info("takeout session resumed", "begun", kept.Begun)
		return true, nil
	case takeoutGone(err):
		return false, c.keep.updateNow(func(s *Session) { s.Takeout = nil })
	default:
		return false, fmt.Errorf("resume the takeout session: %w", err)
	}
}

// FinishTakeout ends the open takeout session, if there is one: success says
// that all was read. From then on things are read without it. If the server
// cannot be told it stays in the session, for the next BeginTakeout to go on
// with. Errors: those of Invoke.
func (c *Client) FinishTakeout(ctx context.Context, success bool) error {
	id := c.takeout.Swap(0)
	if id == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, takeoutPatience)
	defer cancel()
	return c.endTakeout(ctx, id, success)
}

func (c *Client) endTakeout(ctx context.Context, id int64, success bool) error {
	_, err := mtproto.Call(ctx, impatient{c}, takeoutQuery[bool]{&api.AccountFinishTakeoutSessionRequest{Success: success}, id})
	if err != nil && !takeoutGone(err) {
		return fmt.Errorf("finish the takeout session: %w", err)
	}
	c.cfg.Log.Info("takeout session finished", "success", success)
	return c.keep.updateNow(func(s *Session) {
		if s.Takeout != nil && s.Takeout.ID == id {
			s.Takeout = nil
		}
	})
}

// takeoutLost takes in that the server has ended the takeout session before it
// was finished: from now on calls are made without it. The error is that of
// the store.
func (c *Client) takeoutLost(err error) error {
	id := c.takeout.Swap(0)
	if id == 0 {
		return nil // another call has found out before
	}
	c.cfg.Log.Warn("takeout session ended by the server", "err", err)
	if c.cfg.OnTakeoutLost != nil {
		c.cfg.OnTakeoutLost(err)
	}
	return c.keep.updateNow(func(s *Session) { s.Takeout = nil })
}

// errTakeoutLoop: the server goes on about a takeout session that there is not.
var errTakeoutLoop = errors.New("telegram: the server wants a takeout session for this")
