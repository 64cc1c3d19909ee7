package schema

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/tghaul/haul/tl"
)

// AppendJSON appends the boxed value at the start of b to dst as JSON, and
// returns how many bytes of b it took. It loses nothing but the bits of a NaN:
//
//   - an object has its constructor's name as "_", then its fields in the
//     order and by the names of the schema; absent fields are left out;
//   - int and double are numbers; a double that JSON cannot express is a string;
//   - long is a string of decimal digits, for readers whose numbers are doubles;
//   - bytes are base64 strings, int128 and int256 hexadecimal ones;
//   - strings are JSON strings; invalid UTF-8, which JSON cannot hold, makes an
//     object {"_":"bytes","base64":…} instead;
//   - flags.N?true is true, or left out.
//
// The JSON may take 8 MiB more than twice b: names make short values many
// times longer, and a hostile b must not fill the memory with them. Beyond
// that, and if b is no value of the schema, it fails and returns dst as it was.
func AppendJSON(dst, b []byte) (out []byte, n int, err error) {
	d := tl.NewDecoder(b)
	p := &printer{d: d, out: dst, limit: len(dst) + 8<<20 + 2*len(b)}
	p.value(top(d))
	if err := d.Err(); err != nil {
		return dst, 0, err
	}
	return p.out, d.Offset(), nil
}

type printer struct {
	d     *tl.Decoder
	out   []byte
	limit int // of len(out)
}

// room reports whether p may go on printing.
func (p *printer) room() bool {
	if len(p.out) > p.limit {
		p.d.Fail(fmt.Errorf("%w: over %d bytes of JSON", tl.ErrSize, p.limit))
	}
	return p.d.Err() == nil
}

func (p *printer) value(t *Type) {
	if !p.room() {
		return
	}
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

// string prints what the schema calls a string. Line separators and the like
// stay as they are: JSON allows them.
func (p *printer) string(b []byte) {
	if !utf8.Valid(b) {
		p.out = append(p.out, `{"_":"bytes","base64":`...)
		p.base64(b)
		p.out = append(p.out, '}')
		return
	}
	p.out = append(p.out, '"')
	start := 0 // of what needs no escape and has not been appended
	for i, c := range b {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		p.out = append(p.out, b[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			p.out = append(p.out, '\\', c)
		case '\n':
			p.out = append(p.out, '\\', 'n')
		default:
			p.out = append(p.out, '\\', 'u', '0', '0', "01"[c>>4], "0123456789abcdef"[c&15])
		}
		if !p.room() {
			return
		}
	}
	p.out = append(append(p.out, b[start:]...), '"')
}

func (p *printer) base64(b []byte) {
	p.out = append(base64.StdEncoding.AppendEncode(append(p.out, '"'), b), '"')
}

func (p *printer) hex(b []byte) {
	p.out = append(hex.AppendEncode(append(p.out, '"'), b), '"')
}
