package mtserver

import (
	"github.com/tghaul/haul/tl"
)

// Constructors of the MTProto layer: core.telegram.org/schema/mtproto. They
// are written out here, not taken from the generated types, so that the server
// does not repeat a mistake of the client's tables.
const (
	idReqPQ            = 0x60469778
	idReqPQMulti       = 0xbe7e8ef1
	idResPQ            = 0x05162463
	idPQInner          = 0x83c95aec
	idPQInnerTemp      = 0x3c6a84d4
	idPQInnerDC        = 0xa9f55f95
	idPQInnerTempDC    = 0x56fddf88
	idReqDHParams      = 0xd712e4be
	idServerDHOk       = 0xd0e8075c
	idServerDHInner    = 0xb5890dba
	idClientDHInner    = 0x6643b654
	idSetClientDH      = 0xf5045f1f
	idDHGenOk          = 0x3bcbf734
	idDHGenRetry       = 0x46dc1fb9
	idDHGenFail        = 0xa69dae02
	idBindInner        = 0x75a3f765
	idRPCResult        = 0xf35c6d01
	idRPCError         = 0x2144ca19
	idAnswerUnknown    = 0x5e2ad36e
	idAnswerRunning    = 0xcd78e586
	idAnswerDropped    = 0xa43ad8b7
	idFutureSalts      = 0xae500895
	idPong             = 0x347773c5
	idSessionOk        = 0xe22045fc
	idSessionNone      = 0x62d350c9
	idNewSession       = 0x9ec20908
	idContainer        = 0x73f1f8dc
	idMsgCopy          = 0xe06046b2
	idGzipPacked       = 0x3072cfa1
	idMsgsAck          = 0x62d6b459
	idBadMsg           = 0xa7eff811
	idBadSalt          = 0xedab447b
	idMsgResendReq     = 0x7d861a08
	idMsgsStateReq     = 0xda69fb52
	idMsgsStateInfo    = 0x04deb57d
	idMsgsAllInfo      = 0x8cc0d131
	idMsgDetailed      = 0x276d3ec6
	idMsgNewDetailed   = 0x809db6df
	idDestroyKeyOk     = 0xf660e1d4
	idDropAnswer       = 0x58e4a740
	idGetFutureSalts   = 0xb921bd04
	idPing             = 0x7abe77ec
	idPingDisconnect   = 0xf3427b8c
	idDestroySession   = 0xe7512126
	idHTTPWait         = 0x9299359f
	idDestroyAuthKey   = 0xd1435160
	idInvokeWithLayer  = 0xda9b0d0d
	idInitConnection   = 0xc1cd5ea9
	idWithoutUpdates   = 0xbf9459b7
	idWithTakeout      = 0xaca9fd2e
	idWithRange        = 0x365275f2
	idMessageRange     = 0x0ae30253
	idAfterMsg         = 0xcb9f372d
	idAfterMsgs        = 0x3dc4b4f0
	idClientProxy      = 0x75588b3f
	idBindTempAuthKey  = 0xcdd42a05
	idHelpGetConfig    = 0xc4f9186b
	idHelpGetNearestDC = 0x1fb33026
	idUploadFile       = 0x096a18d5
	idUploadCDNFile    = 0xa99fca4f
	idUploadWebFile    = 0x21e753bc
)

// Constructors of JSONValue, which initConnection may carry.
const (
	idJSONNull        = 0x3f6d7b68
	idJSONBool        = 0xc7345e6a
	idJSONNumber      = 0x2be0dfa4
	idJSONString      = 0xb71e767a
	idJSONArray       = 0xf7444763
	idJSONObject      = 0x99c1d49d
	idJSONObjectValue = 0xc0de1bd9
)

// Limits of one message: core.telegram.org/mtproto/service_messages.
const (
	maxContainer = 1024    // messages
	maxIDs       = 8192    // in one msgs_ack, msgs_state_req or msg_resend_req
	maxInflated  = 4 << 20 // bytes that a gzip_packed query may become
)

// A msgKind says which seqno a message must have.
type msgKind int

const (
	kindQuery   msgKind = iota // must be content-related: odd
	kindPlain                  // acks and containers, must not be: even
	kindService                // may be either
)

// kindOf sorts a message by its constructor. What is no service message is an
// API query, gzip_packed included, since nothing else may be packed.
func kindOf(id uint32) msgKind {
	switch id {
	case idMsgsAck, idContainer, idMsgCopy:
		return kindPlain
	case idPing, idPingDisconnect, idGetFutureSalts, idMsgsStateReq, idMsgsStateInfo, idMsgsAllInfo,
		idMsgResendReq, idDropAnswer, idDestroySession, idHTTPWait, idDestroyAuthKey:
		return kindService
	}
	return kindQuery
}

// A rawMsg is one message of a packet, its body still encoded.
type rawMsg struct {
	id    int64
	seqNo int32
	body  []byte
}

func (m rawMsg) constructor() uint32 { return tl.Raw(m.body).TypeID() }

// parseContainer splits a msg_container. Code badContainer says that it is
// malformed or holds another container, transportFlood that it holds too much.
func parseContainer(outer rawMsg) ([]rawMsg, int) {
	d := tl.NewDecoder(outer.body)
	d.ID()
	n := d.Count(20) // msg_id, seqno, length and a constructor at least
	if d.Err() != nil {
		return nil, badContainer
	}
	if n > maxContainer {
		return nil, transportFlood
	}
	msgs := make([]rawMsg, 0, n)
	for range n {
		m, ok := parseMessage(d)
		if !ok || m.id >= outer.id {
			return nil, badContainer
		}
		msgs = append(msgs, m)
	}
	if d.End() != nil || hasTwins(msgs) {
		return nil, badContainer
	}
	return msgs, accepted
}

// parseMessage reads one `message` of a container or msg_copy.
func parseMessage(d *tl.Decoder) (rawMsg, bool) {
	m := rawMsg{id: d.Long(), seqNo: d.Int()}
	length := int(d.Int())
	if length < 4 || length%4 != 0 {
		return m, false
	}
	m.body = d.Take(length)
	if d.Err() != nil {
		return m, false
	}
	id := m.constructor()
	return m, id != idContainer && id != idMsgCopy
}

// hasTwins reports whether two messages have the same msg_id.
func hasTwins(msgs []rawMsg) bool {
	seen := make(map[int64]struct{}, len(msgs))
	for _, m := range msgs {
		if _, twice := seen[m.id]; twice {
			return true
		}
		seen[m.id] = struct{}{}
	}
	return false
}

// parseIDs reads the Vector<long> that follows the constructor of msgs_ack,
// msgs_state_req or msg_resend_req.
func parseIDs(body []byte) (ids []int64, code int32, ok bool) {
	d := tl.NewDecoder(body)
	d.ID()
	n := d.Vector(8)
	if n > maxIDs {
		return nil, transportFlood, false
	}
	ids = make([]int64, n)
	for i := range ids {
		ids[i] = d.Long()
	}
	return ids, 0, d.End() == nil
}

// encode returns the bytes of a service message.
func encode(id uint32, fields func(e *tl.Encoder)) []byte {
	var e tl.Encoder
	e.ID(id)
	if fields != nil {
		fields(&e)
	}
	return e.Bytes()
}

func encodeIDs(id uint32, ids []int64) []byte {
	return encode(id, func(e *tl.Encoder) {
		e.Vector(len(ids))
		for _, v := range ids {
			e.Long(v)
		}
	})
}
