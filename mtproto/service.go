package mtproto

import (
	"fmt"
	"slices"
	"time"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/mt"
)

// serviceMessage handles what the server says about the session itself.
// See core.telegram.org/mtproto/service_messages.
func (r *receiver) serviceMessage(m message, object tl.Object) error {
	switch o := object.(type) {
	case *mt.Pong:
		if sent, ok := r.pings[o.PingID]; ok {
			r.hearLocked(r.now)
			delete(r.pings, o.PingID)
			r.rtt.Store(int64(r.now.Sub(sent)))
		}
	case *mt.NewSessionCreated:
		r.newSession(o)
	case *mt.BadServerSalt:
		return r.badServerSalt(o)
	case *mt.BadMsgNotification:
		return r.badMessage(m, o)
	case *mt.MsgsAck:
		for _, id := range o.MsgIDs {
			r.named(id, func(c *call) {
				c.acked = true
				r.hearLocked(r.now)
			})
		}
	case *mt.FutureSalts:
		r.futureSalts(o)
	case *mt.MsgsStateInfo:
		if ids, ok := r.states[o.ReqMsgID]; ok {
			delete(r.states, o.ReqMsgID)
			r.hearLocked(r.now)
			r.state(ids, o.Info)
		}
	case *mt.MsgsAllInfo:
		r.state(o.MsgIDs, o.Info)
	case *mt.MsgDetailedInfo:
		if _, open := r.calls[o.MsgID]; open {
			r.serviceLocked(&mt.MsgResendReq{MsgIDs: []int64{o.AnswerMsgID}})
		} else {
			r.acks = append(r.acks, o.AnswerMsgID)
		}
	case *mt.MsgNewDetailedInfo:
		r.serviceLocked(&mt.MsgResendReq{MsgIDs: []int64{o.AnswerMsgID}})
	case *mt.MsgResendReq:
		for _, id := range o.MsgIDs {
			r.named(id, r.again)
		}
	case *mt.MsgsStateReq:
		r.serviceLocked(&mt.MsgsStateInfo{ReqMsgID: m.id, Info: r.window.states(o.MsgIDs)})
	case *mt.DestroyAuthKeyOk, *mt.DestroyAuthKeyNone, *mt.DestroyAuthKeyFail:
		r.destroyedLocked(o)
	default:
		// Answers to questions that are not open, such as destroy_session_ok.
	}
	return nil
}

// newSession says which calls the server has lost with an earlier session.
func (r *receiver) newSession(o *mt.NewSessionCreated) {
	if r.created[o.UniqueID] {
		return
	}
	r.created[o.UniqueID] = true
	r.salt, r.salts, r.keyChanged = o.ServerSalt, nil, true
	r.requeueLocked(func(c *call) bool { return max(c.msgID, c.container) < o.FirstMsgID })
}

func (r *receiver) badServerSalt(o *mt.BadServerSalt) error {
	if !r.sent.has(o.BadMsgID) {
		return nil // not about us: perhaps replayed
	}
	r.salt, r.salts, r.keyChanged = o.NewServerSalt, nil, true
	if r.badSalt++; r.badSalt > maxBadSalts {
		return r.renewSession()
	}
	r.named(o.BadMsgID, r.again)
	return nil
}

// Codes of bad_msg_notification.
// See core.telegram.org/mtproto/service_messages_about_messages#notice-of-ignored-error-message.
const (
	badIDTooLow  = 16
	badIDTooHigh = 17
	badTooOld    = 20
)

func (r *receiver) badMessage(m message, o *mt.BadMsgNotification) error {
	if !r.sent.has(o.BadMsgID) {
		return nil
	}
	r.opts.Log.Debug("message refused", "code", o.ErrorCode, "dc", r.active.DC)
	switch o.ErrorCode {
	case badIDTooLow:
		r.clock.reset(r.now, m.id)
		r.keyChanged = true
		r.named(o.BadMsgID, r.again)
	case badTooOld:
		r.named(o.BadMsgID, r.again)
	case badIDTooHigh:
		// Ids made so far are higher than what is allowed now.
		r.clock.reset(r.now, m.id)
		r.clock.last = 0
		r.keyChanged = true
		r.named(o.BadMsgID, func(c *call) { c.tries++ })
		return r.renewSession()
	default: // ids and seqnos are out of step
		r.named(o.BadMsgID, func(c *call) { c.tries++ })
		return r.renewSession()
	}
	return nil
}

// renewSession starts a new session_id on the same key and connection. The
// binding of a temporary key names the session: one under way starts over.
func (r *receiver) renewSession() error {
	r.resetSessionLocked()
	r.queue = slices.DeleteFunc(r.queue, func(c *call) bool {
		if c.tries <= maxTries || c == r.bind {
			return false
		}
		c.finish(outcome{err: fmt.Errorf("%w: %s, %d times", ErrRefused, c.method, c.tries)})
		return true
	})
	if r.bind != nil {
		return errRestart
	}
	return nil
}

func (r *receiver) futureSalts(o *mt.FutureSalts) {
	if !r.sent.has(o.ReqMsgID) {
		return
	}
	r.salts = r.salts[:0:0]
	for _, fs := range o.Salts {
		r.salts = append(r.salts, FutureSalt{
			ValidSince: time.Unix(int64(fs.ValidSince), 0), ValidUntil: time.Unix(int64(fs.ValidUntil), 0), Salt: fs.Salt,
		})
	}
	r.keyChanged = true
}

// state takes what the server knows of calls, one byte each.
func (r *receiver) state(ids []int64, info []byte) {
	const (
		received = 4
		answered = 64
	)
	for i, id := range ids[:min(len(ids), len(info))] {
		c, open := r.calls[id]
		switch {
		case !open:
		case info[i]&7 == received:
			c.acked, c.working = true, info[i]&answered == 0
		default:
			r.again(c)
		}
	}
}
