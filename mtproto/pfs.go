package mtproto

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/mtproto/transport"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
	"github.com/tghaul/haul/tl/mt"
)

// Perfect forward secrecy, core.telegram.org/api/pfs: messages travel under a
// temporary key, which is bound to the permanent one and forgotten in a day.
//
// A permanent key is bound to one temporary key at a time: a binding takes the
// place of the one before. Sessions that each bound a key of their own would
// put each other out, if the server kept to that. So all sessions of a client
// with one DC share one, apart from media-only endpoints, which have memories
// of their own and for which the DC's id in the key exchange is another.
//
//  1. The first session to need a key makes it and binds it on its own
//     connection; those that come meanwhile wait for it.
//  2. Some time before it expires, one of the sessions has another made and
//     bound beside, by a short-lived session, while parts go on under the old one.
//  3. Each session notices the new key, asks for nothing more under the old
//     one, awaits what it has asked for, and goes on with the new one on a
//     fresh connection. What the server refuses meanwhile, since the old key
//     is bound no more, is asked for again under the new one.

const (
	// drainTime bounds how long a session awaits answers under a key that was
	// replaced. Calls that are open then are sent again.
	drainTime = 15 * time.Second
	// renewTime bounds one try to have a key replaced, renewPause parts tries.
	renewTime  = 30 * time.Second
	renewPause = 10 * time.Second
)

// TempKeys are the temporary keys that the sessions of one client with one DC
// share. The zero value is ready. It may be used concurrently.
type TempKeys struct {
	mu   sync.Mutex
	lots [2]tempLot // of ordinary endpoints, and of media-only ones
}

// A tempLot is the temporary key for one sort of endpoints.
type tempLot struct {
	key *tempKey // nil: none
	// busy is closed when whoever makes or binds a key is done, well or not;
	// nil while nobody does.
	busy chan struct{}
	// after is when a replacement may be tried again that has failed.
	after time.Time
}

// A tempKey is a temporary key. Its fields do not change, but for bound.
type tempKey struct {
	key     *crypto.AuthKey
	perm    int64     // the permanent key that it is for
	salt    int64     // the first one
	expires time.Time // by the server's clock
	renew   time.Time // local time from which another one is made
	end     time.Time // local time from which it is of no use
	bound   atomic.Bool
}

func newTempKey(r *KeyResult, perm int64, now time.Time, lifetime time.Duration) *tempKey {
	margin := min(time.Hour, lifetime/4)
	return &tempKey{
		key: r.Key, perm: perm, salt: r.Salt, expires: r.ExpiresAt,
		renew: now.Add(lifetime - margin), end: now.Add(lifetime),
	}
}

// lotOf is the index of the lot that serves an endpoint.
func lotOf(e Endpoint) int {
	if e.WireDC() < 0 {
		return 1
	}
	return 0
}

// take returns the key of a lot to use with a permanent key. If there is none
// that is bound, the caller has to see to it, and to call done in the end:
// then mine is true, and t a key to be bound, or nil if one is to be made too.
// While somebody else sees to it, wait is what to wait for.
func (k *TempKeys) take(lot int, perm int64, now time.Time) (t *tempKey, wait <-chan struct{}, mine bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := &k.lots[lot]
	if l.key != nil && (l.key.perm != perm || !now.Before(l.key.end)) {
		l.key = nil
	}
	switch {
	case l.key != nil && l.key.bound.Load():
		return l.key, nil, false
	case l.busy != nil:
		return nil, l.busy, false
	}
	l.busy = make(chan struct{})
	return l.key, nil, true
}

// due reports whether it is time to replace t, and nobody does. Then the
// caller has to, and to call done in the end.
func (k *TempKeys) due(lot int, t *tempKey, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := &k.lots[lot]
	if l.key != t || l.busy != nil || now.Before(t.renew) || now.Before(l.after) {
		return false
	}
	l.busy = make(chan struct{})
	l.after = now.Add(renewPause)
	return true
}

// put makes t the key of a lot. Only who sees to it may.
func (k *TempKeys) put(lot int, t *tempKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lots[lot].key, k.lots[lot].after = t, time.Time{}
}

// done ends what take or due has begun.
func (k *TempKeys) done(lot int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.lots[lot].busy)
	k.lots[lot].busy = nil
}

// drop forgets a key that the server would not have, unless it was replaced.
func (k *TempKeys) drop(lot int, t *tempKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lots[lot].key == t {
		k.lots[lot].key = nil
	}
}

// replaced reports whether there is another key than t, which can be used.
func (k *TempKeys) replaced(lot int, t *tempKey) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.lots[lot].key
	return now != nil && now != t && now.bound.Load()
}

// takeTemp gives the session the temporary key to use at an endpoint. If there
// is none, it makes one, on link.
func (s *Session) takeTemp(ctx context.Context, link *transport.Conn, e Endpoint, perm *crypto.AuthKey) (*crypto.AuthKey, error) {
	lot := lotOf(e)
	for {
		t, wait, mine := s.opts.TempKeys.take(lot, perm.ID(), time.Now())
		if wait != nil {
			select {
			case <-wait:
				continue
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		s.mu.Lock()
		s.claimed = mine
		s.mu.Unlock()
		if t != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.temp != t {
				s.temp, s.salt, s.salts = t, t.salt, nil
				s.resetSessionLocked()
			}
			return t.key, nil
		}
		lifetime := s.opts.TempKeyLifetime
		r, err := Exchange(ctx, link, ExchangeConfig{Keys: s.opts.PublicKeys, DC: e.WireDC(), Rand: s.opts.Rand, ExpiresIn: lifetime})
		if err != nil {
			return nil, err
		}
		t = newTempKey(r, perm.ID(), time.Now(), lifetime)
		s.opts.TempKeys.put(lot, t)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.temp = t
		s.adoptKeyLocked(r)
		return t.key, nil
	}
}

// disclaim lets others see to the temporary key, if this session did.
func (s *Session) disclaim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disclaimLocked()
}

func (s *Session) disclaimLocked() {
	if s.claimed {
		s.claimed = false
		s.opts.TempKeys.done(lotOf(s.active))
	}
}

// loseTempLocked gives up the session's temporary key, for all who share it.
func (s *Session) loseTempLocked() {
	s.opts.TempKeys.drop(lotOf(s.active), s.temp)
	s.temp = nil
}

// bindLocked puts auth.bindTempAuthKey before everything else, if it is due.
func (s *Session) bindLocked() error {
	if s.bind != nil { // of an earlier connection: it names an earlier session
		delete(s.calls, s.bind.msgID)
		s.queue = slices.DeleteFunc(s.queue, func(c *call) bool { return c == s.bind })
		s.bind = nil
	}
	if s.temp == nil || s.temp.bound.Load() {
		return nil
	}
	var nonce [8]byte
	if _, err := s.opts.Rand.Read(nonce[:]); err != nil {
		return err
	}
	d := tl.NewDecoder(nonce[:])
	inner := &mt.BindAuthKeyInner{
		Nonce: d.Long(), TempAuthKeyID: s.temp.key.ID(), PermAuthKeyID: s.perm.Key.ID(),
		TempSessionID: s.id, ExpiresAt: int32(s.temp.expires.Unix()),
	}
	perm := s.perm.Key
	s.bind = &call{
		method: (*api.AuthBindTempAuthKeyRequest)(nil).TypeName(),
		done:   make(chan outcome, 1),
		build: func(msgID int64) ([]byte, error) {
			sealed, err := crypto.SealBindMessage(perm, msgID, tl.Marshal(inner), s.opts.Rand)
			if err != nil {
				return nil, err
			}
			return tl.Marshal(&api.AuthBindTempAuthKeyRequest{
				PermAuthKeyID: inner.PermAuthKeyID, Nonce: inner.Nonce,
				ExpiresAt: inner.ExpiresAt, EncryptedMessage: sealed,
			}), nil
		},
	}
	s.queue = append([]*call{s.bind}, s.queue...)
	s.signal()
	return nil
}

// youngKey is how long a permanent key may still be unknown to some of the
// server's machines.
const youngKey = time.Minute

// boundLocked takes the outcome of binding. The error ends the connection.
func (s *Session) boundLocked(o outcome) error {
	s.bind = nil
	if o.response != nil {
		o.response.Release()
	}
	var e *RPCError
	switch {
	case s.temp == nil:
		return errRestart
	case o.err == nil:
		s.temp.bound.Store(true)
		s.disclaimLocked()
		s.signal()
		return nil
	case errors.As(o.err, &e) && e.Type == "ENCRYPTED_MESSAGE_INVALID" && time.Since(s.perm.Created) > youngKey:
		return fmt.Errorf("%w (%w)", ErrKeyUnknown, o.err)
	default:
		s.loseTempLocked()
		return fmt.Errorf("binding the temporary key: %w", o.err)
	}
}

// unboundLocked handles an answer which says that the temporary key is bound
// no more, most likely since a younger one is. The call is repeated under that.
func (s *Session) unboundLocked(c *call, e *RPCError, now time.Time) bool {
	if s.temp == nil || e == nil || e.Type != "AUTH_KEY_PERM_EMPTY" || c == s.bind || c.tries >= maxTries {
		return false
	}
	s.opts.TempKeys.drop(lotOf(s.active), s.temp)
	s.leaveLocked(now)
	s.again(c)
	return true
}

// leaveLocked begins to leave the connection for one with another key: nothing
// more is asked for, and what was asked for is awaited.
func (s *Session) leaveLocked(now time.Time) {
	if s.leaving.IsZero() {
		s.leaving = now
		s.signal()
	}
}

// left reports whether a connection that is being left has nothing to wait for.
func (s *Session) left(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.leaving.IsZero() && (len(s.calls) == 0 || now.Sub(s.leaving) > drainTime)
}

// keepTemp sees to it that the temporary key is replaced in time, by renew,
// and leaves the connection once that is done.
func (s *Session) keepTemp(now time.Time, renew func(lot int, like Endpoint, perm KeyState)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.temp == nil || !s.temp.bound.Load() {
		return
	}
	lot := lotOf(s.active)
	if s.opts.TempKeys.replaced(lot, s.temp) {
		s.leaveLocked(now)
	} else if s.opts.TempKeys.due(lot, s.temp, now) {
		renew(lot, s.active, s.keyStateLocked())
	}
}

// renew makes and binds a temporary key for a lot, by a session of its own
// with an endpoint of the same sort as like.
func (s *Session) renew(ctx context.Context, lot int, like Endpoint, perm KeyState) {
	defer s.opts.TempKeys.done(lot)
	ctx, cancel := context.WithTimeout(ctx, renewTime)
	defer cancel()
	o := s.opts
	o.Key, o.TempKeys = perm, new(TempKeys)
	o.OnUpdate, o.OnKey, o.OnEndpoint, o.OnFailure = nil, nil, nil, nil
	o.GiveUp = func(error) bool { return true } // the next one to try comes soon
	o.Endpoints, o.Source = []Endpoint{like}, nil
	if s.opts.Source != nil {
		same := slices.DeleteFunc(s.opts.Source(), func(e Endpoint) bool { return lotOf(e) != lot })
		if len(same) > 0 {
			o.Endpoints = same
		}
	}
	helper, err := Connect(ctx, o)
	if err != nil {
		s.opts.Log.Debug("temporary key not replaced", "dc", like.DC, "reason", err)
		return
	}
	t, _, _ := o.TempKeys.take(lot, perm.Key.ID(), time.Now())
	if t != nil && t.bound.Load() {
		s.opts.TempKeys.put(lot, t)
		s.opts.Log.Debug("temporary key replaced", "dc", like.DC, "media", lot == 1)
	}
	_ = helper.Close() // it has served its purpose
}
