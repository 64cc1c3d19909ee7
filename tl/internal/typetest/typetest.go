// Package typetest holds generated types to the table: one suite for all
// packages of generated types.
package typetest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/internal/tlrand"
	"github.com/tghaul/haul/tl/schema"
)

// An Object is what every generated type is.
type Object interface {
	tl.Object
	Decode(d *tl.Decoder)
	DecodeBare(d *tl.Decoder)
	EncodeBare(e *tl.Encoder)
}

// A Suite is a package's types and functions.
type Suite struct {
	Types   []func() Object
	Results map[string]func(d *tl.Decoder) error
}

// Result is an entry of Results.
func Result[R any](q tl.Method[R], d *tl.Decoder) error {
	_, err := q.DecodeResult(d)
	return err
}

// Combinator is what the table has for o.
func Combinator(t *testing.T, o tl.Object) *schema.Combinator {
	t.Helper()
	c, ok := schema.Lookup(o.TypeID())
	if !ok || c.Name != o.TypeName() {
		t.Fatalf("%s has the id %#x, which in the table is %v", o.TypeName(), o.TypeID(), c)
	}
	return c
}

// Random decodes random values of every type, encodes them again, and
// compares with the table at each step.
func (s Suite) Random(t *testing.T, seed uint64, rounds int) {
	t.Logf("seed %d", seed)
	for _, zero := range s.Types {
		c := Combinator(t, zero())
		g := tlrand.New(seed ^ uint64(c.ID))
		for range rounds {
			agree(t, zero(), g.Boxed(c, 4), g.Boxed(c, 4))
		}
	}
}

// agree checks one value, decoded into a struct that held another before.
func agree(t *testing.T, v Object, before, wire []byte) {
	t.Helper()
	v.Decode(tl.NewDecoder(before))
	d := tl.NewDecoder(wire)
	v.Decode(d)
	if err := d.End(); err != nil {
		t.Fatalf("%s: %v\n%x", v.TypeName(), err, wire)
	}
	if got := tl.Marshal(v); !bytes.Equal(got, wire) {
		t.Fatalf("%s encoded\n%x, want\n%x", v.TypeName(), got, wire)
	}
	if n, err := schema.Measure(append(bytes.Clone(wire), "rest"...)); n != len(wire) || err != nil {
		t.Fatalf("%s measures %d bytes, error %v; want %d\n%x", v.TypeName(), n, err, len(wire), wire)
	}
	d = tl.NewDecoder(wire[4:])
	v.DecodeBare(d)
	var e tl.Encoder
	v.EncodeBare(&e)
	if err := d.End(); err != nil || !bytes.Equal(e.Bytes(), wire[4:]) {
		t.Fatalf("%s bare: error %v, encoded\n%x, want\n%x", v.TypeName(), err, e.Bytes(), wire[4:])
	}
}

// Answers decodes random answers to every function.
func (s Suite) Answers(t *testing.T, seed uint64, rounds int) {
	t.Logf("seed %d", seed)
	g := tlrand.New(seed)
	for name, decode := range s.Results {
		c, ok := schema.ByName(name)
		if !ok || !c.Function {
			t.Fatalf("the table has no function %s", name)
		}
		if name == "http_wait" {
			continue // is never answered: its type has no constructor
		}
		for range rounds {
			wire := g.Value(c.Result, 3)
			if err := decode(tl.NewDecoder(wire)); err != nil {
				t.Fatalf("answer to %s: %v\n%x", name, err, wire)
			}
			if c.Generic {
				continue // any bytes may be the answer to a query inside
			}
			if err := decode(tl.NewDecoder(append(wire, 0, 0, 0, 0))); !errors.Is(err, tl.ErrValue) {
				t.Fatalf("answer to %s with 4 bytes left over: error %v, want %v", name, err, tl.ErrValue)
			}
		}
	}
}

// Flags sets each bit that means nothing in each flags word that has nothing
// but such words before it.
func (s Suite) Flags(t *testing.T) {
	words := 0
	for _, zero := range s.Types {
		c := Combinator(t, zero())
		for word, f := range c.Fields {
			if f.Type.Kind != schema.Nat {
				break
			}
			words++
			known := uint32(0)
			for _, g := range c.Fields {
				if g.Word == word {
					known |= 1 << g.Bit
				}
			}
			for bit := range 32 {
				if known&(1<<bit) == 0 {
					unknownFlag(t, c, zero(), word, bit)
				}
			}
		}
	}
	t.Logf("%d flags words", words)
}

func unknownFlag(t *testing.T, c *schema.Combinator, v Object, word, bit int) {
	t.Helper()
	var e tl.Encoder
	e.ID(c.ID)
	for range word {
		e.Nat(0)
	}
	e.Nat(1 << bit)
	e.Raw(make([]byte, 512))
	d := tl.NewDecoder(e.Bytes())
	v.Decode(d)
	_, tableErr := schema.Measure(e.Bytes())
	for _, err := range []error{d.Err(), tableErr} {
		if !errors.Is(err, tl.ErrValue) || !strings.Contains(err.Error(), c.Name+" has unknown flags") {
			t.Errorf("%s with bit %d of word %d set: error %v, want one that names it", c.Name, bit, word, err)
		}
	}
}

// Hostile decodes data as the fields of the n-th type, as the generated code
// and as the table do it: they agree, and what comes out is stable.
func (s Suite) Hostile(t *testing.T, n uint16, data []byte) {
	zero := s.Types[int(n)%len(s.Types)]
	v := zero()
	c := Combinator(t, v)
	data = append(binary.LittleEndian.AppendUint32(nil, c.ID), data...)
	size, tableErr := schema.Measure(data)
	if tableErr == nil {
		text, n, err := schema.AppendJSON(nil, data)
		if err != nil || n != size || !json.Valid(text) {
			t.Fatalf("JSON of %d bytes took %d, error %v: %s", size, n, err, text)
		}
	}
	d := tl.NewDecoder(data)
	v.Decode(d)
	if !bounds(d.Err()) && !bounds(tableErr) && !open(c) && ((d.Err() == nil) != (tableErr == nil) || tableErr == nil && d.Offset() != size) {
		t.Fatalf("%s: generated code took %d bytes, error %v; the table %d, error %v\n%x", c.Name, d.Offset(), d.Err(), size, tableErr, data)
	}
	if d.Err() != nil {
		return
	}
	once := tl.Marshal(v)
	again := zero()
	d = tl.NewDecoder(once)
	again.Decode(d)
	if err := d.End(); err != nil || !bytes.Equal(tl.Marshal(again), once) {
		t.Fatalf("%s: re-encoding is not stable, error %v\n%x", c.Name, err, once)
	}
}

// bounds reports whether err is about a bound of one side only.
func bounds(err error) bool { return errors.Is(err, tl.ErrSize) || errors.Is(err, tl.ErrDepth) }

// open reports whether c holds a value that generated code takes as it comes,
// for its reader to look at.
func open(c *schema.Combinator) bool {
	return slices.ContainsFunc(c.Fields, func(f schema.Field) bool {
		return f.Type.Kind == schema.Query || f.Type.Kind == schema.Object
	})
}
