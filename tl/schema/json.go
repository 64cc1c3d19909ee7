package schema

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/tghaul/haul/tl"
)

// AppendJSON appends the boxed value at the start of b to dst as JSON, and
// returns how many bytes of b it took. It loses nothing:
//
//   - an object has its constructor's name as "_", then its fields in the
//     order and by the names of the schema; absent fields are left out;
//   - int and double are numbers; a double that JSON cannot express is a string;
//   - long is a string of decimal digits, for readers whose numbers are doubles;
//   - bytes are base64 strings, int128 and int256 hexadecimal ones;
//   - strings are JSON strings; invalid UTF-8, which JSON cannot hold, makes an
//     object {"_":"bytes","base64":…} instead;
//   - flags.N?true is true, or left out.
func AppendJSON(dst, b []byte) (out []byte, n int, err error) {
	d := tl.NewDecoder(b)
	p := &printer{d: d, out: dst}
	if c, ok := Lookup(d.PeekID()); ok && c.Function {
		p.value(&Type{Kind: Query})
	} else {
		p.value(anything)
	}
	if err := d.Err(); err != nil {
		return dst, 0, err
	}
	return p.out, d.Offset(), nil
}

type printer struct {
	d   *tl.Decoder
	out []byte
}

func (p *printer) value(t *Type) {
	switch d := p.d; t.Kind {
	case Int:
		p.out = strconv.AppendInt(p.out, int64(d.Int()), 10)
	case Nat:
		p.out = strconv.AppendUint(p.out, uint64(d.Nat()), 10)
	case Long:
		p.out = append(strconv.AppendInt(append(p.out, '"'), d.Long(), 10), '"')
	case Double:
		p.double(d.Double())
	case String:
		p.string(d.Blob())
	case Bytes:
		p.base64(d.Blob())
	case Int128:
		p.hex(d.Take(16))
	case Int256:
		p.hex(d.Take(32))
	case Bool:
		p.out = strconv.AppendBool(p.out, d.Bool())
	case True:
		p.out = append(p.out, "true"...)
	case Vector, BareVector:
		p.vector(t)
	case Bare:
		p.object(bare(d, t))
	case Class, Object, Query:
		p.object(t.expect(d))
	case Result:
		skip(d, t)
	}
}

func (p *printer) vector(t *Type) {
	p.out = append(p.out, '[')
	for i := range count(p.d, t) {
		if p.d.Err() != nil {
			return
		}
		if i > 0 {
			p.out = append(p.out, ',')
		}
		p.value(t.Elem)
	}
	p.out = append(p.out, ']')
}

func (p *printer) object(c *Combinator) {
	if c == nil {
		return
	}
	p.out = append(append(append(p.out, `{"_":"`...), c.Name...), '"')
	fields(p.d, c, func(f *Field) {
		p.out = append(append(append(p.out, ',', '"'), f.Name...), '"', ':')
		p.value(f.Type)
	})
	p.out = append(p.out, '}')
}

func (p *printer) double(v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		p.out = strconv.AppendQuote(p.out, strconv.FormatFloat(v, 'g', -1, 64))
		return
	}
	p.out = strconv.AppendFloat(p.out, v, 'g', -1, 64)
}

func (p *printer) string(b []byte) {
	if !utf8.Valid(b) {
		p.out = append(p.out, `{"_":"bytes","base64":`...)
		p.base64(b)
		p.out = append(p.out, '}')
		return
	}
	quoted, err := json.Marshal(string(b))
	if err != nil {
		p.d.Fail(err)
		return
	}
	p.out = append(p.out, quoted...)
}

func (p *printer) base64(b []byte) {
	p.out = append(base64.StdEncoding.AppendEncode(append(p.out, '"'), b), '"')
}

func (p *printer) hex(b []byte) {
	p.out = append(hex.AppendEncode(append(p.out, '"'), b), '"')
}
