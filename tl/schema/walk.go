package schema

import (
	"fmt"

	"github.com/tghaul/haul/tl"
)

var anything = &Type{Kind: Object}

// Measure is the length in bytes of the boxed value at the start of b: any
// constructor or function of the table, a vector of unknown items excepted.
func Measure(b []byte) (int, error) {
	d := tl.NewDecoder(b)
	Skip(d)
	if err := d.Err(); err != nil {
		return 0, err
	}
	return d.Offset(), nil
}

// Skip reads over one boxed value; d keeps the error.
func Skip(d *tl.Decoder) {
	if c, ok := Lookup(d.PeekID()); ok && c.Function {
		skip(d, &Type{Kind: Query})
		return
	}
	skip(d, anything)
}

// ReadRaw reads one boxed value and returns its bytes, which alias d's input.
func ReadRaw(d *tl.Decoder) tl.Raw { return span(d, func() { Skip(d) }) }

// ReadClass is ReadRaw for a value that must be a constructor of the type class.
func ReadClass(d *tl.Decoder, class string) tl.Raw {
	return span(d, func() { skip(d, &Type{Kind: Class, Name: class}) })
}

func span(d *tl.Decoder, read func()) tl.Raw {
	start := d.Offset()
	read()
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

// fields calls visit for each field of c that is there, in order, at the
// place in d where its value stands. Flags words are read by fields itself;
// visit sees them not. For a True field nothing stands there: set is its value.
func fields(d *tl.Decoder, c *Combinator, visit func(f *Field)) {
	if c == nil || !d.Enter() {
		return
	}
	defer d.Leave()
	var words [4]uint32
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
