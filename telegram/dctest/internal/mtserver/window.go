package mtserver

import (
	"slices"
	"time"
)

// Limits of client msg_ids: core.telegram.org/mtproto/description,
// "Message Identifier (msg_id)".
const (
	maxAge    = 300 * time.Second // older messages are refused
	maxFuture = 30 * time.Second  // as are those from the future
)

// Codes of bad_msg_notification and bad_server_salt:
// core.telegram.org/mtproto/service_messages_about_messages,
// "Notice of Ignored Error Message".
const (
	badMsgIDLow      = 16
	badMsgIDHigh     = 17
	badMsgIDBits     = 18
	badContainerID   = 19
	badTooOld        = 20
	badSeqNoLow      = 32
	badSeqNoHigh     = 33
	badSeqNoOdd      = 34 // even expected, odd received
	badSeqNoEven     = 35 // odd expected, even received
	badServerSalt    = 48
	badContainer     = 64
	accepted         = 0
	transportFlood   = -429
	transportUnknown = -404
	transportWrongDC = -444
)

// checkMsgID applies the rules that need nothing but the time.
func checkMsgID(id int64, now time.Time) int {
	if id&3 != 0 {
		return badMsgIDBits
	}
	switch t := msgTime(id); {
	case t.Before(now.Add(-maxAge)):
		return badMsgIDLow
	case t.After(now.Add(maxFuture)):
		return badMsgIDHigh
	}
	return accepted
}

// msgTime is the time that a msg_id says: unix time * 2^32.
func msgTime(id int64) time.Time {
	nano := (uint64(uint32(id)) * uint64(time.Second)) >> 32
	return time.Unix(id>>32, int64(nano))
}

// msgIDAt is the smallest msg_id of a time.
func msgIDAt(t time.Time) int64 {
	return t.Unix()<<32 | int64(uint64(t.Nanosecond())<<32/uint64(time.Second))
}

// An inMsg is what a session remembers of one received message.
type inMsg struct {
	id    int64
	seqNo int32

	acked     bool          // a msgs_ack for it was sent
	container bool          // it held others
	running   bool          // an API query that is waiting or being handled
	answer    int64         // msg_id of the answer; 0 if none yet or none needed
	known     bool          // the client acknowledged the answer
	lost      bool          // the answer was dropped unacknowledged, for lack of room
	failed    bool          // the answer is an rpc_error
	drop      func()        // ends the handler's context; nil unless running
	done      chan struct{} // closed when answered; nil for service messages
}

func (m *inMsg) content() bool { return m.seqNo&1 == 1 }

// A window is the memory of received messages, ordered by msg_id.
// Invariant: seqno does not fall from one to the next, and of two with the
// same seqno none is odd; insert must only be called with what check accepts.
type window struct {
	list  []*inMsg
	floor int64 // highest msg_id forgotten; at or below it nothing is known
	limit int   // how many are kept at least, before the oldest are dropped
}

// get returns the record of a msg_id, or nil.
func (w *window) get(id int64) *inMsg {
	if i, found := w.search(id); found {
		return w.list[i]
	}
	return nil
}

// highest is the highest msg_id received, 0 if there is none.
func (w *window) highest() int64 {
	if len(w.list) == 0 {
		return w.floor
	}
	return w.list[len(w.list)-1].id
}

// check says whether a message that is not in the window may enter it: its
// seqno must lie between those of its neighbours.
func (w *window) check(id int64, seqNo int32) int {
	if id <= w.floor {
		return badTooOld
	}
	i, _ := w.search(id)
	if i > 0 {
		if before := w.list[i-1].seqNo; before > seqNo || before == seqNo && seqNo&1 == 1 {
			return badSeqNoLow
		}
	}
	if i < len(w.list) {
		if after := w.list[i].seqNo; after < seqNo || after == seqNo && seqNo&1 == 1 {
			return badSeqNoHigh
		}
	}
	return accepted
}

// insert remembers a message, and forgets the oldest ones when there are
// twice as many as are to be kept. A running one ends the forgetting.
func (w *window) insert(m *inMsg) {
	i, _ := w.search(m.id)
	w.list = slices.Insert(w.list, i, m)
	if len(w.list) < 2*w.limit {
		return
	}
	n := 0
	for n < len(w.list)-w.limit && !w.list[n].running {
		n++
	}
	if n > 0 {
		w.floor = w.list[n-1].id
		w.list = slices.Delete(w.list, 0, n)
	}
}

// remove undoes insert, for a container that is refused as a whole.
func (w *window) remove(id int64) {
	if i, found := w.search(id); found {
		w.list = slices.Delete(w.list, i, i+1)
	}
}

func (w *window) search(id int64) (int, bool) {
	// Nearly every message is newer than all before.
	if n := len(w.list); n == 0 || w.list[n-1].id < id {
		return n, false
	}
	return slices.BinarySearchFunc(w.list, id, func(m *inMsg, id int64) int {
		switch {
		case m.id < id:
			return -1
		case m.id > id:
			return 1
		}
		return 0
	})
}

// State bytes of msgs_state_info: core.telegram.org/mtproto/
// service_messages_about_messages, "Informational Message regarding Status of Messages".
const (
	stateUnknown  = 1   // too old, forgotten
	stateNot      = 2   // not received, within the remembered range
	stateNotHigh  = 3   // not received, higher than all received
	stateReceived = 4   // received
	stateAcked    = 8   // and acknowledged
	stateNoAck    = 16  // needs no acknowledgement
	stateRPC      = 32  // query being processed or done
	stateAnswered = 64  // an answer exists
	stateTheyKnow = 128 // the client knows that it was received
)

// state is the byte of msgs_state_info for a client's msg_id.
func (w *window) state(id int64) byte {
	m := w.get(id)
	switch {
	case m == nil && id <= w.floor, m != nil && m.lost:
		return stateUnknown
	case m == nil && id > w.highest():
		return stateNotHigh
	case m == nil:
		return stateNot
	}
	b := byte(stateReceived)
	if m.acked {
		b |= stateAcked
	}
	if !m.content() {
		b |= stateNoAck
	}
	if m.done != nil {
		b |= stateRPC
	}
	if m.answer != 0 {
		b |= stateAnswered
	}
	if m.known {
		b |= stateTheyKnow
	}
	return b
}
