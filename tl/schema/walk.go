package schema

import (
	"fmt"

	"github.com/tghaul/haul/tl"
)

var (
	anything = &Type{Kind: Object}
	anyCall  = &Type{Kind: Query}
)

// top is the type of the boxed value that stands next in d: a function's call
// counts as a value only here, and where the schema says !X.
func top(d *tl.Decoder) *Type {
	if c, ok := Lookup(d.PeekID()); ok && c.Function {
		return anyCall
	}
	return anything
}

// Measure is the length in bytes of the boxed value at the start of b: any
// constructor or function of the table. A bare Vector is none: only the call
// that it answers tells what its items are.
func Measure(b []byte) (int, error) {
	d := tl.NewDecoder(b)
	Skip(d)
	if err := d.Err(); err != nil {
		return 0, err
	}
	return d.Offset(), nil
}

// Skip reads over one boxed value; d keeps the error.
func Skip(d *tl.Decoder) { skip(d, top(d)) }

// ReadRaw reads one boxed value and returns its bytes, which alias d's input.
func ReadRaw(d *tl.Decoder) tl.Raw { return read(d, top(d)) }

// ReadClass is ReadRaw for a value that must be a constructor of the type class.
func ReadClass(d *tl.Decoder, class string) tl.Raw {
	return read(d, &Type{Kind: Class, Name: class})
}

func read(d *tl.Decoder, t *Type) tl.Raw {
	start := d.Offset()
	skip(d, t)
	if d.Err() != nil {
		return nil
	}
	return tl.Raw(d.Span(start, d.Offset()))
}

// skip reads over a value of type t.
func skip(d *tl.Decoder, t *Type) {
	switch t.Kind {
	case Int, Nat:
		d.Take(4)
	case Long, Double:
		d.Take(8)
	case Int128:
		d.Take(16)
	case Int256:
		d.Take(32)
	case String, Bytes:
		d.Blob()
	case Bool:
		d.Bool()
	case True:
	case Vector, BareVector:
		for range count(d, t) {
			if d.Err() != nil {
				return
			}
			skip(d, t.Elem)
		}
	case Bare:
		skipFields(d, bare(d, t))
	case Class, Object, Query:
		skipFields(d, t.expect(d))
	case Result:
		d.Fail(fmt.Errorf("%w: a result of unknown type", tl.ErrValue))
	}
}

// count reads the header of a vector.
func count(d *tl.Decoder, t *Type) int {
	if t.Kind == Vector {
		return d.Vector(t.Elem.minSize())
	}
	return d.Count(t.Elem.minSize())
}

func bare(d *tl.Decoder, t *Type) *Combinator {
	c, ok := ByName(t.Name)
	if !ok {
		d.Fail(fmt.Errorf("%w: the schema has no %s", tl.ErrValue, t.Name))
	}
	return c
}

func skipFields(d *tl.Decoder, c *Combinator) {
	fields(d, c, func(f *Field) { skip(d, f.Type) })
}

// maxWords is how many flags fields a combinator may have; a test holds the
// table to it.
const maxWords = 4

// fields calls visit for each field of c that is there, in order, while d
// stands at its value. Flags words it reads itself, and visit never sees them.
// A bit that c does not know means a field that this layer does not have: what
// follows could not be read right, so it is an error.
func fields(d *tl.Decoder, c *Combinator, visit func(f *Field)) {
	if c == nil || !d.Enter() {
		return
	}
	defer d.Leave()
	var words [maxWords]uint32
	n := 0
	for i := range c.Fields {
		f := &c.Fields[i]
		switch {
		case d.Err() != nil:
			return
		case f.Type.Kind == Nat:
			words[n] = d.Nat()
			if unknown := words[n] &^ c.masks[n]; unknown != 0 {
				d.Fail(fmt.Errorf("%w: %s has unknown flags %#x", tl.ErrValue, c.Name, unknown))
			}
			n++
		case f.Word >= 0 && words[f.Word]&(1<<f.Bit) == 0:
		default:
			visit(f)
		}
	}
}
