package schema

import (
	_ "embed" // the table
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/tghaul/haul/tl"
)

// A Kind says what a Type is made of.
type Kind byte

// Kinds of types. The values are part of the table's format.
const (
	Int Kind = iota
	Long
	Double
	String
	Bytes
	Int128
	Int256
	Nat    // #: a word of flags
	True   // takes no bytes: its flag is its value
	Bool   // boxed boolTrue or boolFalse
	Vector // boxed, of Elem
	BareVector
	Class  // any constructor of the type Name
	Bare   // the constructor Name without its id
	Object // any constructor
	Query  // any function
	Result // what the inner function of a generic one returns
)

// A Type is the type of a field or of an answer.
type Type struct {
	Kind Kind
	Name string // of Class and Bare
	Elem *Type  // of Vector and BareVector
}

// A Field is a field of a constructor or function.
type Field struct {
	Name string
	Type *Type
	// Word is which of the flags fields before it decides whether the field
	// is there, counted from 0, and Bit the bit in it. Word is -1 if it always is.
	Word, Bit int
}

// A Combinator is a constructor or a function. It must not be changed.
type Combinator struct {
	ID       uint32
	Name     string
	Result   *Type
	Function bool
	Generic  bool
	Fields   []Field
	masks    []uint32 // by flags field: the bits that mean something
}

//go:embed table.bin
var tableBin []byte

type table struct {
	layer  int
	all    []Combinator
	byID   map[uint32]*Combinator
	byName map[string]*Combinator
}

var load = sync.OnceValue(func() *table {
	t, err := parseTable(tableBin)
	if err != nil {
		panic("schema: the embedded table is broken: " + err.Error())
	}
	return t
})

// Lookup finds a constructor or function by its id.
func Lookup(id uint32) (*Combinator, bool) {
	c, ok := load().byID[id]
	return c, ok
}

// ByName finds a constructor or function by its name in the schema.
func ByName(name string) (*Combinator, bool) {
	c, ok := load().byName[name]
	return c, ok
}

// Name is the name of a constructor or function, if the schema has it.
func Name(id uint32) (string, bool) {
	c, ok := Lookup(id)
	if !ok {
		return "", false
	}
	return c.Name, true
}

// All yields every constructor and function by ascending id.
func All() iter.Seq[*Combinator] {
	return func(yield func(*Combinator) bool) {
		all := load().all
		for i := range all {
			if !yield(&all[i]) {
				return
			}
		}
	}
}

var errTable = errors.New("malformed table")

// A tableReader reads the table's numbers; the first error sticks.
type tableReader struct {
	b   []byte
	err error
}

func (r *tableReader) num() int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > 1<<24 {
		r.err = errTable
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

func (r *tableReader) take(n int) []byte {
	if n > len(r.b) {
		r.err = errTable
		return make([]byte, n)
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// at indexes s with a number of the table.
func at[T any](r *tableReader, s []T) T {
	if i := r.num(); i < len(s) {
		return s[i]
	}
	r.err = errTable
	var zero T
	return zero
}

func parseTable(b []byte) (*table, error) {
	r := &tableReader{b: b}
	if string(r.take(4)) != "TLT1" {
		return nil, errTable
	}
	t := &table{layer: r.num(), byID: map[uint32]*Combinator{}, byName: map[string]*Combinator{}}
	names := make([]string, r.num())
	for i := range names {
		names[i] = string(r.take(r.num()))
	}
	types := make([]*Type, r.num())
	for i := range types {
		types[i] = &Type{Kind: Kind(r.take(1)[0])}
		switch types[i].Kind {
		case Vector, BareVector:
			types[i].Elem = at(r, types[:i])
		case Class, Bare:
			types[i].Name = at(r, names)
		default: // the kind says all
		}
	}
	t.all = make([]Combinator, r.num())
	for i := range t.all {
		c := &t.all[i]
		if err := r.combinator(c, names, types); err != nil {
			return nil, fmt.Errorf("combinator %d: %w", i, err)
		}
		t.byID[c.ID], t.byName[c.Name] = c, c
	}
	if len(r.b) != 0 || r.err != nil {
		return nil, errTable
	}
	return t, nil
}

func (r *tableReader) combinator(c *Combinator, names []string, types []*Type) error {
	c.ID = binary.LittleEndian.Uint32(r.take(4))
	c.Name, c.Result = at(r, names), at(r, types)
	marks := r.take(1)[0]
	c.Function, c.Generic = marks&1 != 0, marks&2 != 0
	c.Fields = make([]Field, r.num())
	for i := range c.Fields {
		f := &c.Fields[i]
		f.Name, f.Type, f.Word = at(r, names), at(r, types), -1
		if cond := r.num(); cond != 0 {
			f.Word, f.Bit = (cond-1)/32, (cond-1)%32
		}
		if r.err != nil || f.Word >= len(c.masks) {
			return errTable
		}
		if f.Word >= 0 {
			c.masks[f.Word] |= 1 << f.Bit
		}
		if f.Type.Kind == Nat {
			c.masks = append(c.masks, 0)
		}
	}
	return r.err
}

// minSize is the least number of bytes of a value of t, to check counts with.
func (t *Type) minSize() int {
	switch t.Kind {
	case Long, Double:
		return 8
	case Int128:
		return 16
	case Int256:
		return 32
	default:
		return 4
	}
}

// expect finds the combinator that stands next in d where t is expected, and reads its id.
func (t *Type) expect(d *tl.Decoder) *Combinator {
	id := d.PeekID()
	c, ok := Lookup(id)
	switch {
	case d.Err() != nil:
		return nil
	case d.Remaining() < 4:
		d.Fail(tl.ErrShort)
		return nil
	case !ok, t.Kind == Query && !c.Function, t.Kind == Object && c.Function, t.Kind == Class && !t.holds(c):
		d.Fail(&tl.UnknownConstructorError{ID: id, Want: t.want(), Layer: Layer})
		return nil
	}
	d.ID()
	return c
}

// holds reports whether c is a constructor of the class t.
func (t *Type) holds(c *Combinator) bool {
	return !c.Function && c.Result.Kind == Class && c.Result.Name == t.Name
}

// want is what an error says was expected.
func (t *Type) want() string {
	if t.Kind == Object {
		return "" // anything at all
	}
	return t.String()
}

// String is the type as the schema writes it.
func (t *Type) String() string {
	switch t.Kind {
	case Vector:
		return "Vector<" + t.Elem.String() + ">"
	case BareVector:
		return "vector<" + t.Elem.String() + ">"
	case Class, Bare:
		return t.Name
	default:
		return kindNames[t.Kind]
	}
}

var kindNames = map[Kind]string{
	Int: "int", Long: "long", Double: "double", String: "string", Bytes: "bytes", Int128: "int128", Int256: "int256",
	Nat: "#", True: "true", Bool: "Bool", Object: "Object", Query: "!X", Result: "X",
}
