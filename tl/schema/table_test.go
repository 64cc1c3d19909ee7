package schema

import (
	"bytes"
	"testing"
)

func TestTable(t *testing.T) {
	if got := load().layer; got != Layer {
		t.Errorf("the table is of layer %d, but Layer is %d", got, Layer)
	}
	classes := map[string]bool{}
	ids, last := 0, uint32(0)
	names := map[string]bool{}
	for c := range All() {
		if c.ID <= last || names[c.Name] {
			t.Errorf("%s: id %08x after %08x, or a name that was there before", c.Name, c.ID, last)
		}
		last, names[c.Name] = c.ID, true
		ids++
		if !c.Function {
			classes[c.Result.Name] = true
		}
	}
	for c := range All() {
		fields := map[string]bool{"_": true}
		for i, f := range c.Fields {
			if fields[f.Name] {
				t.Errorf("%s has two fields %s, which JSON could not tell apart", c.Name, f.Name)
			}
			fields[f.Name] = true
			checkType(t, c, f.Type, classes)
			if f.Type.Kind == Query && i != len(c.Fields)-1 {
				t.Errorf("%s.%s is a query with something after it", c.Name, f.Name)
			}
			if f.Type.Kind == True && f.Word < 0 || f.Type.Kind == Nat && f.Word >= 0 {
				t.Errorf("%s.%s: a %s depends on flags word %d", c.Name, f.Name, f.Type, f.Word)
			}
		}
		if len(c.masks) > maxWords {
			t.Errorf("%s has %d flags words, more than %d", c.Name, len(c.masks), maxWords)
		}
	}
	t.Logf("%d combinators", ids)
}

// checkType checks that a value of a field's type can be read.
func checkType(t *testing.T, c *Combinator, typ *Type, classes map[string]bool) {
	t.Helper()
	switch typ.Kind {
	case Vector, BareVector:
		checkType(t, c, typ.Elem, classes)
	case Class:
		if !classes[typ.Name] {
			t.Errorf("%s has a field of type %s, which has no constructor", c.Name, typ.Name)
		}
	case Bare:
		if b, ok := ByName(typ.Name); !ok || b.Function {
			t.Errorf("%s has a field of bare type %s, which is no constructor", c.Name, typ.Name)
		}
	case Result:
		t.Errorf("%s has a field of type X", c.Name)
	default: // reads by itself
	}
}

// A table cut short is refused, wherever it ends.
func TestParseTruncated(t *testing.T) {
	for n := 0; n < len(tableBin); n += 997 {
		if _, err := parseTable(tableBin[:n]); err == nil {
			t.Fatalf("a table of %d bytes instead of %d was taken", n, len(tableBin))
		}
	}
	if _, err := parseTable(append(bytes.Clone(tableBin), 0)); err == nil {
		t.Error("a table with a byte left over was taken")
	}
	if _, err := parseTable(bytes.Replace(tableBin, []byte("TLT1"), []byte("TLT2"), 1)); err == nil {
		t.Error("a table of another format was taken")
	}
}

func TestTypeString(t *testing.T) {
	for want, typ := range map[string]Type{
		"Vector<long>":        {Kind: Vector, Elem: &Type{Kind: Long}},
		"vector<future_salt>": {Kind: BareVector, Elem: &Type{Kind: Bare, Name: "future_salt"}},
		"InputPeer":           {Kind: Class, Name: "InputPeer"},
		"!X":                  {Kind: Query}, "#": {Kind: Nat}, "int256": {Kind: Int256},
	} {
		if got := typ.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	b.SetBytes(int64(len(tableBin)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseTable(tableBin); err != nil {
			b.Fatal(err)
		}
	}
}
