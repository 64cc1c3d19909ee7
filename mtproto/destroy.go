package mtproto

import (
	"context"
	"errors"
	"fmt"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/mt"
)

// DestroyKey makes the server forget the key that this session runs on, which
// has to be the permanent one: the session must be without PFS. When it
// returns nil the server knows the key no more, and the session is of no use.
// Errors: ctx's, and whatever ends the session before the server has answered.
// See core.telegram.org/mtproto/service_messages#destroy-auth-key.
func (s *Session) DestroyKey(ctx context.Context) error {
	s.mu.Lock()
	if s.opts.PFS {
		s.mu.Unlock()
		return errors.New("mtproto: destroy the key: the session runs on a temporary one")
	}
	if s.destroyed == nil {
		s.destroyed = make(chan tl.Object, 1)
	}
	answer := s.destroyed
	s.serviceLocked(&mt.DestroyAuthKeyRequest{})
	s.mu.Unlock()
	select {
	case o := <-answer:
		if _, failed := o.(*mt.DestroyAuthKeyFail); failed {
			return errors.New("mtproto: destroy the key: the server refuses")
		}
		return nil
	case <-s.done:
		if errors.Is(s.Err(), ErrKeyUnknown) { // the answer was lost, but the key is gone
			return nil
		}
		return fmt.Errorf("mtproto: destroy the key: %w", s.Err())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// destroyedLocked takes the server's answer to destroy_auth_key.
func (s *Session) destroyedLocked(o tl.Object) {
	select {
	case s.destroyed <- o: // nil if nobody has asked: then nothing is ready
	default:
	}
}
