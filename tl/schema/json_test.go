package schema_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/internal/tlrand"
	"github.com/tghaul/haul/tl/schema"
)

func TestJSON(t *testing.T) {
	value := func(name string, fields func(e *tl.Encoder)) []byte {
		var e tl.Encoder
		e.ID(combinator(t, name).ID)
		fields(&e)
		return e.Bytes()
	}
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"no fields", value("inputPeerSelf", func(*tl.Encoder) {}), `{"_":"inputPeerSelf"}`},
		{"longs are strings", value("peerUser", func(e *tl.Encoder) { e.Long(math.MinInt64) }), `{"_":"peerUser","user_id":"-9223372036854775808"}`},
		{
			"ints and text", value("nearestDc", func(e *tl.Encoder) { e.String("a\"\\\n\x01<&>ä\u2028"); e.Int(-1); e.Int(2) }),
			`{"_":"nearestDc","country":"a\"\\\n\u0001<&>ä` + "\u2028" + `","this_dc":-1,"nearest_dc":2}`,
		},
		{"text that is none", value("jsonString", func(e *tl.Encoder) { e.String("a\xff") }), `{"_":"jsonString","value":{"_":"bytes","base64":"Yf8="}}`},
		{
			"flags", value("upload.getFile", func(e *tl.Encoder) { e.Nat(1); e.ID(combinator(t, "inputTakeoutFileLocation").ID); e.Long(5); e.Int(6) }),
			`{"_":"upload.getFile","precise":true,"location":{"_":"inputTakeoutFileLocation"},"offset":"5","limit":6}`,
		},
		{"optional fields", value("jsonObjectValue", func(e *tl.Encoder) { e.String("k"); e.ID(combinator(t, "jsonNull").ID) }), `{"_":"jsonObjectValue","key":"k","value":{"_":"jsonNull"}}`},
		{"Bool", value("jsonBool", func(e *tl.Encoder) { e.Bool(false) }), `{"_":"jsonBool","value":false}`},
		{"double", value("jsonNumber", func(e *tl.Encoder) { e.Double(1e21) }), `{"_":"jsonNumber","value":1e+21}`},
		{"double without a number", value("jsonNumber", func(e *tl.Encoder) { e.Double(math.Inf(-1)) }), `{"_":"jsonNumber","value":"-Inf"}`},
		{"vector", value("msgs_ack", func(e *tl.Encoder) { e.Vector(2); e.Long(1); e.Long(2) }), `{"_":"msgs_ack","msg_ids":["1","2"]}`},
		{"int128", value("req_pq_multi", func(e *tl.Encoder) { e.Int128([16]byte{0xab}) }), `{"_":"req_pq_multi","nonce":"ab000000000000000000000000000000"}`},
		{"bytes", value("gzip_packed", func(e *tl.Encoder) { e.Blob([]byte{0, 255}) }), `{"_":"gzip_packed","packed_data":"AP8="}`},
		{"bare items", value("future_salts", func(e *tl.Encoder) {
			e.Long(1)
			e.Int(2)
			e.Count(1)
			e.Int(3)
			e.Int(4)
			e.Long(5)
		}), `{"_":"future_salts","req_msg_id":"1","now":2,"salts":[{"_":"future_salt","valid_since":3,"valid_until":4,"salt":"5"}]}`},
		{"boolTrue by itself", value("boolTrue", func(*tl.Encoder) {}), `{"_":"boolTrue"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, n, err := schema.AppendJSON([]byte("# "), append(test.data, "rest"...))
			if string(got) != "# "+test.want || n != len(test.data) || err != nil {
				t.Errorf("got %s of %d bytes, error %v; want # %s of %d", got, n, err, test.want, len(test.data))
			}
		})
	}
}

// JSON loses nothing: what is read back from it is the value, byte for byte.
func TestJSONIsLossless(t *testing.T) {
	const seed = 5
	t.Logf("seed %d", seed)
	g := tlrand.New(seed)
	for c := range schema.All() {
		for range 2 {
			wire := g.Boxed(c, 3)
			if got := checkJSON(t, wire); !bytes.Equal(got, wire) {
				t.Fatalf("read back as\n%x, want\n%x", got, wire)
			}
		}
	}
}

// checkJSON prints the value that data starts with, if it does, and returns
// what is read back. That prints the same, so two values of one JSON differ at
// most in what has no meaning: padding, long forms of short lengths.
func checkJSON(t *testing.T, data []byte) []byte {
	t.Helper()
	text, n, err := schema.AppendJSON(nil, data)
	size, measureErr := schema.Measure(data)
	if (err == nil) != (measureErr == nil) || n != size {
		t.Fatalf("JSON took %d bytes, error %v; Measure says %d, error %v\n%x", n, err, size, measureErr, data)
	}
	if err != nil {
		return nil
	}
	if !json.Valid(text) {
		t.Fatalf("no JSON: %s", text)
	}
	var e tl.Encoder
	if err := fromJSON(&e, &schema.Type{Kind: schema.Object}, text); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	again, _, err := schema.AppendJSON(nil, e.Bytes())
	if err != nil || !bytes.Equal(again, text) {
		t.Fatalf("read back and printed again, error %v\n%s\nwant\n%s", err, again, text)
	}
	return e.Bytes()
}

// fromJSON encodes what AppendJSON printed of a value of type t.
func fromJSON(e *tl.Encoder, t *schema.Type, text json.RawMessage) error {
	switch t.Kind {
	case schema.Int, schema.Nat:
		n, err := strconv.ParseInt(string(text), 10, 64)
		e.Int(int32(n))
		return err
	case schema.Long:
		n, err := strconv.ParseInt(strings.Trim(string(text), `"`), 10, 64)
		e.Long(n)
		return err
	case schema.Double:
		v, err := strconv.ParseFloat(strings.Trim(string(text), `"`), 64)
		e.Double(v)
		return err
	case schema.String:
		return stringFromJSON(e, text)
	case schema.Bytes:
		return bytesFromJSON(text, base64.StdEncoding.DecodeString, e.Blob)
	case schema.Int128, schema.Int256:
		return bytesFromJSON(text, hex.DecodeString, e.Raw)
	case schema.Bool:
		e.Bool(string(text) == "true")
	case schema.Vector, schema.BareVector:
		var items []json.RawMessage
		if err := json.Unmarshal(text, &items); err != nil {
			return err
		}
		if t.Kind == schema.Vector {
			e.ID(tl.VectorID)
		}
		e.Count(len(items))
		for _, item := range items {
			if err := fromJSON(e, t.Elem, item); err != nil {
				return err
			}
		}
	default:
		return objectFromJSON(e, t, text)
	}
	return nil
}

func stringFromJSON(e *tl.Encoder, text json.RawMessage) error {
	if text[0] == '{' {
		var odd struct{ Base64 []byte }
		err := json.Unmarshal(text, &odd)
		e.Blob(odd.Base64)
		return err
	}
	var s string
	err := json.Unmarshal(text, &s)
	e.String(s)
	return err
}

func bytesFromJSON(text json.RawMessage, decode func(string) ([]byte, error), put func([]byte)) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	b, err := decode(s)
	put(b)
	return err
}

func objectFromJSON(e *tl.Encoder, t *schema.Type, text json.RawMessage) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return err
	}
	var name string
	if err := json.Unmarshal(fields["_"], &name); err != nil {
		return err
	}
	c, ok := schema.ByName(name)
	if !ok {
		return fmt.Errorf("no constructor %q", name)
	}
	if t.Kind != schema.Bare {
		e.ID(c.ID)
	}
	word := 0
	for _, f := range c.Fields {
		value, there := fields[f.Name]
		switch {
		case f.Type.Kind == schema.Nat:
			e.Nat(flagsFromJSON(c, word, fields))
			word++
		case f.Type.Kind == schema.True || !there && f.Word >= 0:
		case !there:
			return fmt.Errorf("%s has no %s", name, f.Name)
		default:
			if err := fromJSON(e, f.Type, value); err != nil {
				return fmt.Errorf("%s.%s: %w", name, f.Name, err)
			}
		}
	}
	return nil
}

func flagsFromJSON(c *schema.Combinator, word int, fields map[string]json.RawMessage) (flags uint32) {
	for _, f := range c.Fields {
		if _, there := fields[f.Name]; there && f.Word == word {
			flags |= 1 << f.Bit
		}
	}
	return flags
}

// Names make short values long: what a hostile one may print is bounded.
func TestJSONBound(t *testing.T) {
	nulls := func(e *tl.Encoder, n int) {
		e.ID(combinator(t, "jsonArray").ID)
		e.Vector(n)
		for range n {
			e.ID(combinator(t, "jsonNull").ID)
		}
	}
	escapes := func(e *tl.Encoder, n int) {
		e.ID(combinator(t, "jsonString").ID)
		clear(e.BlobSpace(n))
	}
	tests := []struct {
		name string
		make func(e *tl.Encoder, n int)
		n    int
		ok   bool
	}{
		{"many names", nulls, 1 << 20, false},
		{"some names", nulls, 1 << 18, true},
		{"many escapes", escapes, 3 << 20, false},
		{"some escapes", escapes, 1 << 20, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var e tl.Encoder
			test.make(&e, test.n)
			out, _, err := schema.AppendJSON(nil, e.Bytes())
			if test.ok && err != nil || !test.ok && !errors.Is(err, tl.ErrSize) {
				t.Errorf("%d bytes became %d of JSON, error %v; want success: %t", e.Len(), len(out), err, test.ok)
			}
			// One value more than the bound may be there: a short one.
			if most := 8<<20 + 2*e.Len() + 1<<10; cap(out) > 2*most {
				t.Errorf("%d bytes took a buffer of %d, want at most %d", e.Len(), cap(out), 2*most)
			}
		})
	}
}

// FuzzAppendJSON: what is printed is JSON, and means the value.
func FuzzAppendJSON(f *testing.F) {
	seeds(f, 6)
	f.Fuzz(func(t *testing.T, data []byte) { checkJSON(t, data) })
}

func BenchmarkAppendJSON(b *testing.B) {
	wire := tlrand.New(3).Boxed(combinator(b, "messages.channelMessages"), 5)
	var out []byte
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if out, _, err = schema.AppendJSON(out[:0], wire); err != nil {
			b.Fatal(err)
		}
	}
}
