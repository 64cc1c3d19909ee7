package dctest

import (
	"errors"
	"fmt"
	"time"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// Takeout sessions, in which an account is exported. One belongs to the login
// that has begun it, and to those that were brought to other DCs from there.
// See core.telegram.org/api/takeout.

// A takeout is an export session.
type takeout struct {
	id    int64
	scope api.AccountInitTakeoutSessionRequest
	until time.Time // zero: it does not expire
}

// takeouts is what goes on with exports. Guarded by Cluster.mu.
type takeouts struct {
	open     map[keyAt]*takeout // by the login where it was begun; one at most for each
	consents map[int64]consent  // by account
	counts   TakeoutStats
}

// TakeoutStats counts what happened about export sessions.
type TakeoutStats struct {
	Begun     int64 `json:"begun"`
	Delayed   int64 `json:"delayed"`   // answers TAKEOUT_INIT_DELAY_X
	Finished  int64 `json:"finished"`  // by their clients
	Succeeded int64 `json:"succeeded"` // of those, with success
	Refused   int64 `json:"refused"`   // calls within none that is open, or beyond what it is for
	// Calls within one, by method.
	Calls map[string]int64 `json:"calls,omitempty"`
}

func newTakeouts() takeouts {
	return takeouts{open: map[keyAt]*takeout{}, consents: map[int64]consent{}, counts: TakeoutStats{Calls: map[string]int64{}}}
}

// rootLocked is the login that a call's key is signed in by.
func (r *request) rootLocked() keyAt {
	if l := r.c.logins[r.key()]; l.parent != (keyAt{}) {
		return l.parent
	}
	return r.key()
}

// initTakeout begins an export session, in place of the one there is.
func (r *request) initTakeout(q *api.AccountInitTakeoutSessionRequest) (tl.Object, error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if q.Files && (!q.FileMaxSize.Set || q.FileMaxSize.Value < 0) {
		return nil, refuse(400, "INPUT_FETCH_ERROR")
	}
	if left := r.delayLocked(); left > 0 {
		r.c.takeouts.counts.Delayed++
		return nil, refuse(420, "TAKEOUT_INIT_DELAY_"+itoa(seconds(left)))
	}
	t := &takeout{id: r.c.world.accessHash(r.me.id, r.now.UnixNano()+r.c.takeouts.counts.Begun), scope: *q}
	if life := time.Duration(r.c.cfg.TakeoutLifetime); life > 0 {
		t.until = r.now.Add(life)
	}
	r.c.takeouts.open[r.rootLocked()] = t
	r.c.takeouts.counts.Begun++
	return &api.AccountTakeout{ID: t.id}, nil
}

// A consent is what an account waits for with its exports.
type consent struct {
	over  time.Time // the delay
	given time.Time // by the user, which ends the delay; zero: never
}

// delayLocked is how long the account has to wait. The first try starts the
// delay, and has the user asked.
func (r *request) delayLocked() time.Duration {
	c, asked := r.c.takeouts.consents[r.me.id]
	if !asked {
		c.over = r.now.Add(time.Duration(r.me.cfg.TakeoutDelay))
		if allow := time.Duration(r.me.cfg.TakeoutAllowAfter); allow > 0 {
			c.given = r.now.Add(allow)
		}
		r.c.takeouts.consents[r.me.id] = c
	}
	if !c.given.IsZero() && !r.now.Before(c.given) {
		return 0
	}
	return c.over.Sub(r.now)
}

// AllowTakeout lets the user with the phone number consent to the export that a
// client has asked for: from now on one may begin.
func (c *Cluster) AllowTakeout(phone string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.byPhone(digits(phone))
	if a == nil {
		return fmt.Errorf("dctest: there is no account with the phone %s", phone)
	}
	asked, ok := c.takeouts.consents[a.id]
	if !ok {
		return errors.New("dctest: nobody has asked for an export of that account")
	}
	asked.given = c.now()
	c.takeouts.consents[a.id] = asked
	return nil
}

func (r *request) finishTakeout(q *api.AccountFinishTakeoutSessionRequest) (tl.Object, error) {
	if !r.takeout.Set {
		return nil, refuse(403, "TAKEOUT_REQUIRED")
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	delete(r.c.takeouts.open, r.rootLocked())
	r.c.takeouts.counts.Finished++
	if q.Success {
		r.c.takeouts.counts.Succeeded++
	}
	return boxedBool(true), nil
}

// endTakeouts ends the export sessions of an account, as its user can.
func (c *Cluster) endTakeouts(account int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := range c.takeouts.open {
		if c.logins[k].account == account {
			delete(c.takeouts.open, k)
		}
	}
}

// admitTakeout checks the export session that a call names, and counts it.
func (r *request) admitTakeout(q tl.Object) error {
	if !r.takeout.Set {
		return nil
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	counts := &r.c.takeouts.counts
	t := r.c.takeouts.open[r.rootLocked()]
	switch {
	case r.me == nil || t == nil || t.id != r.takeout.Value || !t.until.IsZero() && !r.now.Before(t.until):
		counts.Refused++
		return refuse(400, "TAKEOUT_INVALID")
	case !t.covers(q):
		// Strict: an export reads what it was begun for.
		counts.Refused++
		return refuse(403, "TAKEOUT_REQUIRED")
	}
	counts.Calls[r.method]++
	return nil
}

// covers reports whether a call reads what the export was begun for.
func (t *takeout) covers(q tl.Object) bool {
	s := &t.scope
	switch q := q.(type) {
	case *api.MessagesGetHistoryRequest:
		return t.coversPeer(q.Peer)
	case *api.MessagesSearchRequest:
		return t.coversPeer(q.Peer)
	case *api.MessagesGetMessagesRequest:
		return s.MessageUsers || s.MessageChats
	case *api.ChannelsGetMessagesRequest: // all channels here are broadcasts
		return s.MessageChannels
	case *api.UploadGetFileRequest:
		return s.Files && q.Offset < s.FileMaxSize.Value
	case *api.UploadGetFileHashesRequest:
		return s.Files && q.Offset < s.FileMaxSize.Value
	default:
		return true
	}
}

func (t *takeout) coversPeer(p api.InputPeerClass) bool {
	switch p.(type) {
	case *api.InputPeerChannel:
		return t.scope.MessageChannels
	case *api.InputPeerChat:
		return t.scope.MessageChats
	default:
		return t.scope.MessageUsers
	}
}
