package mtproto

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
	"github.com/tghaul/haul/tl/mt"
)

// Perfect forward secrecy, core.telegram.org/api/pfs: messages travel under a
// temporary key, which is bound to the permanent one and forgotten in a day.

// A tempKey is a temporary key. Its fields do not change, but for bound.
type tempKey struct {
	key     *crypto.AuthKey
	expires time.Time // by the server's clock
	renew   time.Time // local time from which another one is made
	bound   bool      // guarded by the session's lock
}

func newTempKey(r *KeyResult, now time.Time, lifetime time.Duration) *tempKey {
	// An hour ahead for a day's key; shorter ones keep the proportion.
	margin := min(time.Hour, lifetime/10)
	return &tempKey{key: r.Key, expires: r.ExpiresAt, renew: now.Add(lifetime - margin)}
}

func (t *tempKey) staleAt(now time.Time) bool { return !now.Before(t.renew) }

// bindLocked puts auth.bindTempAuthKey before everything else, if it is due.
func (s *Session) bindLocked() error {
	if s.bind != nil { // of an earlier connection: it names an earlier session
		delete(s.calls, s.bind.msgID)
		s.queue = slices.DeleteFunc(s.queue, func(c *call) bool { return c == s.bind })
		s.bind = nil
	}
	if s.temp == nil || s.temp.bound {
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
		s.temp.bound = true
		s.signal()
		return nil
	case errors.As(o.err, &e) && e.Type == "ENCRYPTED_MESSAGE_INVALID" && time.Since(s.perm.Created) > youngKey:
		return fmt.Errorf("%w (%w)", ErrKeyUnknown, o.err)
	default:
		s.temp = nil
		return fmt.Errorf("binding the temporary key: %w", o.err)
	}
}
