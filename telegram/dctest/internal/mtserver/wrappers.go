package mtserver

import (
	"fmt"

	"github.com/tghaul/haul/tl"
)

// errQuery is answered to what cannot be read as a query.
var errQuery = &Error{Code: 400, Message: "INPUT_FETCH_ERROR"}

// openQuery undoes gzip_packed at the top and below the wrappers, and finds
// the constructor of the innermost query. See core.telegram.org/api/invoking.
func openQuery(body []byte) (query tl.Raw, method uint32, err error) {
	at, err := innermost(body)
	if err != nil {
		return nil, 0, err
	}
	if id := tl.Raw(body[at:]).TypeID(); id != idGzipPacked {
		return body, id, nil
	}
	d := tl.NewDecoder(body[at:])
	d.ID()
	packed := d.Blob()
	if d.End() != nil {
		return nil, 0, errQuery
	}
	inner, err := inflate(packed, maxInflated)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errQuery, err)
	}
	if at == 0 { // the packed query may bring its own wrappers
		at, err = innermost(inner)
	} else {
		inner = append(append(make([]byte, 0, at+len(inner)), body[:at]...), inner...)
	}
	method = tl.Raw(inner[min(at, len(inner)):]).TypeID()
	if err != nil || kindOf(method) != kindQuery || method == idGzipPacked || method == 0 {
		return nil, 0, errQuery
	}
	return inner, method, nil
}

// innermost is the offset of the query below all wrappers. What is wrapped in
// something it does not know counts as innermost.
func innermost(body []byte) (int, error) {
	d := tl.NewDecoder(body)
	for skipWrapper(d) {
	}
	if d.Err() != nil || d.Remaining() < 4 {
		return 0, errQuery
	}
	return d.Offset(), nil
}

// skipWrapper reads a wrapper up to the query in it. It reports false if the
// next value is none, without moving, or if it is malformed, which d remembers.
func skipWrapper(d *tl.Decoder) bool {
	switch d.PeekID() {
	case idInvokeWithLayer:
		d.Take(4 + 4)
	case idInitConnection:
		d.ID()
		skipInitConnection(d)
	case idWithoutUpdates:
		d.Take(4)
	case idWithTakeout, idAfterMsg:
		d.Take(4 + 8)
	case idAfterMsgs:
		d.ID()
		d.Take(8 * d.Vector(8))
	case idWithRange:
		d.ID()
		d.Expect(idMessageRange, "MessageRange")
		d.Take(8)
	default:
		return false
	}
	return d.Err() == nil
}

// skipInitConnection reads the fields of initConnection before its query.
func skipInitConnection(d *tl.Decoder) {
	flags := d.Nat()
	d.Int()       // api_id
	for range 6 { // device_model, system_version, app_version, system_lang_code, lang_pack, lang_code
		d.Blob()
	}
	if flags&1 != 0 {
		d.Expect(idClientProxy, "InputClientProxy")
		d.Blob()
		d.Int()
	}
	if flags&2 != 0 {
		skipJSON(d)
	}
}

// skipJSON reads one JSONValue.
func skipJSON(d *tl.Decoder) {
	if !d.Enter() {
		return
	}
	defer d.Leave()
	switch id := d.ID(); id {
	case idJSONNull:
	case idJSONBool:
		d.Bool()
	case idJSONNumber:
		d.Double()
	case idJSONString:
		d.Blob()
	case idJSONArray:
		for n := d.Vector(4); n > 0 && d.Err() == nil; n-- {
			skipJSON(d)
		}
	case idJSONObject:
		for n := d.Vector(12); n > 0 && d.Err() == nil; n-- {
			d.Expect(idJSONObjectValue, "JSONObjectValue")
			d.Blob()
			skipJSON(d)
		}
	default:
		d.Fail(&tl.UnknownConstructorError{ID: id, Want: "JSONValue"})
	}
}
