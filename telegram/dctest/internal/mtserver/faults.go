package mtserver

import "time"

// A Point is where a fault may strike: one packet, query or answer.
type Point struct {
	DC        int
	MediaOnly bool
	ConnID    int64
	AuthKeyID int64  // the permanent key, as in Call
	SessionID int64  // 0 before the packet is decrypted
	MsgID     int64  // of the packet or query
	Method    uint32 // innermost constructor of the query; 0 for packets
	Answers   int64  // rpc_results written to this connection so far
	Queries   int64  // API queries received on this connection so far, this one included
}

// Faults are hooks that make the server misbehave. Each may be nil, may be
// called from several goroutines at once, and must not block.
type Faults struct {
	// RefuseConn is asked when a connection has sent its first frame. A nonzero
	// code, such as -429, is sent as transport error and the connection closed.
	RefuseConn func(p Point) (code int32)
	// TransportError is asked for each encrypted packet, before it is looked at.
	// A nonzero code is sent instead of handling the packet.
	TransportError func(p Point) (code int32)
	// BadSalt is asked for each packet whose salt is right. True replaces the
	// salts of its key, so that the packet is answered with bad_server_salt.
	BadSalt func(p Point) bool
	// ForgetSession is asked for each accepted packet. True makes the server
	// forget all it knows of the session before, so that new_session_created comes.
	ForgetSession func(p Point) bool
	// DropConn is asked for each API query. True resets the connection; the
	// query counts as never received.
	DropConn func(p Point) bool
	// CutAnswer is asked for each answer about to be written. If cut is true,
	// only the first n bytes of its frame leave (at most all of it but one), then
	// the connection is reset.
	CutAnswer func(p Point) (n int, cut bool)
	// DropAnswer is asked for each answer. True loses it on the way: it is not
	// written, but sent again like any other unacknowledged answer.
	DropAnswer func(p Point) bool
	// DelayAnswer holds an answer back for the returned time.
	DelayAnswer func(p Point) time.Duration
	// DuplicateAnswer is asked for each answer. True sends it twice.
	DuplicateAnswer func(p Point) bool
	// Corrupt makes the server lie; see Corrupt.
	Corrupt Corrupt
}

// Corrupt holds the hooks with which security tests make a lying server: each
// may change what it gets in place or return something else.
type Corrupt struct {
	// Plain changes the TL body of a handshake answer; name is its constructor.
	Plain func(name string, body []byte) []byte
	// DHInner changes the server_DH_inner_data before it is hashed and encrypted.
	DHInner func(inner *DHInner)
	// DHAnswer changes SHA1(answer) || answer || padding before encryption.
	DHAnswer func(answer []byte) []byte
	// GenRetry makes the answer to set_client_DH_params number try (from 0) a
	// dh_gen_retry; GenFail a dh_gen_fail.
	GenRetry, GenFail func(try int) bool
	// Plaintext changes an encrypted message before encryption: salt, session,
	// msg_id, seqno, length, body and padding. The result's length must be a
	// multiple of 16.
	Plaintext func(p Point, plaintext []byte) []byte
	// Packet changes an encrypted packet: auth_key_id, msg_key, ciphertext.
	Packet func(p Point, packet []byte) []byte
	// Gzip changes the compressed bytes of an answer.
	Gzip func(p Point, packed []byte) []byte
	// FirstMsgID changes the first_msg_id of new_session_created.
	FirstMsgID func(id int64) int64
}

// DHInner is server_DH_inner_data as Corrupt.DHInner sees it; numbers are
// big-endian.
type DHInner struct {
	Nonce, ServerNonce [16]byte
	G                  int32
	Prime, GA          []byte
	ServerTime         int32
}
