package mtserver

import (
	"errors"
	"time"

	"github.com/tghaul/haul/tl"
)

// errPlain says that an unencrypted packet is malformed.
var errPlain = errors.New("mtserver: malformed unencrypted packet")

// plainHeader is auth_key_id = 0, msg_id and length.
const plainHeader = 8 + 8 + 4

// parsePlain takes an unencrypted packet apart: core.telegram.org/mtproto/
// description, "Unencrypted Message". The body must fill it.
func parsePlain(packet []byte) (msgID int64, body []byte, err error) {
	d := tl.NewDecoder(packet)
	key, msgID, length := d.Long(), d.Long(), int(d.Int())
	body = d.Take(length)
	if d.Err() != nil || key != 0 || length < 4 || d.Remaining() != 0 {
		return 0, nil, errPlain
	}
	return msgID, body, nil
}

// plainPacket makes an unencrypted answer.
func plainPacket(msgID int64, body []byte) []byte {
	e := tl.NewEncoder(make([]byte, 0, plainHeader+len(body)))
	e.Long(0)
	e.Long(msgID)
	e.Int(int32(len(body)))
	e.Raw(body)
	return e.Bytes()
}

// answerID is a msg_id for an unencrypted answer: odd, 1 modulo 4.
func answerID(now time.Time) int64 { return msgIDAt(now)&^3 | 1 }
