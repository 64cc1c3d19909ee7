package mtserver

import (
	"context"
	"fmt"
	"time"

	"github.com/tghaul/haul/tl"
)

// A Handler answers API queries. Handle is called from several goroutines at
// once, at most a fixed number per session.
//
// The context ends when the client drops the answer (rpc_drop_answer), when
// the session or its key is destroyed, and when the DC closes; it outlives the
// connection, since the answer can be fetched on another one.
//
// An error that is an *Error becomes an rpc_error; any other one becomes
// 500 INTERNAL. The returned object is encoded once, before Handle's goroutine
// ends, unless it is Lasting. If it has a method Release(), that is called right
// after, so that an object may lend pooled memory.
type Handler interface {
	Handle(ctx context.Context, c *Call) (tl.Object, error)
}

// A Call is one API query. It and the bytes of Query belong to the server
// again when Handle returns: whoever keeps any of them must copy.
type Call struct {
	DC         int         // id of the DC, without the 10000 of test servers
	MediaOnly  bool        // it came through a media-only endpoint
	AuthKeyID  int64       // the permanent key: the one in use, or the one it is bound to; of an unbound temporary key its own
	KeyID      int64       // the key that encrypted the query
	TempKey    bool        // KeyID is a temporary key
	SessionID  int64       // chosen by the client
	MsgID      int64       // of the query
	Query      tl.Raw      // gzip undone, wrappers (invokeWithLayer and so on) still on
	Method     uint32      // constructor of the innermost query, below all wrappers
	ConnID     int64       // the connection it came through, unique in the process
	RemoteAddr string      // the client's end of the connection
	Received   time.Time   // server time
	Session    *Session    // may be kept, to push updates
	frame      *frameBuf   // holds Query's memory
	msg        *inMsg      // the session's record of the query
	conn       *serverConn // for the faults that break connections
}

// Begun is when the client has begun the query, in server time as the client
// knows it: that is in its msg_id.
func (c *Call) Begun() time.Time {
	return time.Unix(c.MsgID>>32, (c.MsgID&0xffffffff)*int64(time.Second)>>32)
}

// An Error is what a Handler answers instead of a result: rpc_error.
// See core.telegram.org/api/errors.
type Error struct {
	Code    int    // 420
	Message string // "FLOOD_WAIT_30"
	// Written, if not nil, is called when it was written to the client. It must
	// not call into the session.
	Written func()
}

func (e *Error) Error() string { return fmt.Sprintf("rpc error %d %s", e.Code, e.Message) }

// A Releaser is a result that lends its memory; see Handler.
type Releaser interface{ Release() }

// A Lasting result is kept in place of its encoding until the client has it, and
// encoded straight into each packet that carries it: always to the same
// bytes, by any goroutine, until the DC is closed. It must not be a Releaser,
// nor is it packed: it is for parts of files, which would fill memory.
type Lasting interface {
	tl.Object
	// EncodedLen is the length of the encoding in bytes.
	EncodedLen() int
}
