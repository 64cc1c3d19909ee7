package mtserver

import (
	"time"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/tl"
)

// bindSkew is by how much expires_at may exceed the expiry that the server
// computed: the client counts from its own idea of the server's time.
const bindSkew = 5 * time.Minute

// boolTrue is the answer to auth.bindTempAuthKey.
var boolTrue = func() tl.Raw {
	var e tl.Encoder
	e.Bool(true)
	return e.Bytes()
}()

// bindRequest is auth.bindTempAuthKey.
type bindRequest struct {
	perm, nonce int64
	expiresAt   int32
	message     []byte
}

// bindTempAuthKey ties the session's temporary key to a permanent one:
// core.telegram.org/method/auth.bindTempAuthKey.
func (s *Session) bindTempAuthKey(c *Call) (tl.Object, error) {
	at, err := innermost(c.Query)
	if err != nil {
		return nil, err
	}
	d := tl.NewDecoder(c.Query[at:])
	d.ID()
	q := bindRequest{perm: d.Long(), nonce: d.Long(), expiresAt: d.Int(), message: d.Blob()}
	if d.End() != nil {
		return nil, errQuery
	}
	if err := s.checkBind(c.MsgID, q); err != nil {
		return nil, err
	}
	if !s.dc.keys.bind(s.key, q.perm) {
		return nil, &Error{Code: 400, Message: "TEMP_AUTH_KEY_ALREADY_BOUND"}
	}
	s.dc.stats.bindings.Add(1)
	return boolTrue, nil
}

// checkBind verifies the whole of the binding message.
func (s *Session) checkBind(msgID int64, q bindRequest) error {
	now := s.dc.cfg.Now()
	invalid := &Error{Code: 400, Message: "ENCRYPTED_MESSAGE_INVALID"}
	if !s.key.temp {
		return &Error{Code: 400, Message: "TEMP_AUTH_KEY_EMPTY"}
	}
	perm := s.dc.keys.get(q.perm, now)
	if perm == nil || perm.temp {
		return invalid
	}
	innerID, inner, err := crypto.OpenBindMessage(perm.key, q.message)
	if err != nil || innerID != msgID {
		return invalid
	}
	d := tl.NewDecoder(inner)
	d.Expect(idBindInner, "BindAuthKeyInner")
	nonce, temp, permID, session, expires := d.Long(), d.Long(), d.Long(), d.Long(), d.Int()
	if d.End() != nil || nonce != q.nonce || temp != s.KeyID() || permID != q.perm ||
		session != s.id || expires != q.expiresAt {
		return invalid
	}
	if at := time.Unix(int64(q.expiresAt), 0); !at.After(now) || at.After(s.key.expires.Add(bindSkew)) {
		return &Error{Code: 400, Message: "EXPIRES_AT_INVALID"}
	}
	return nil
}
