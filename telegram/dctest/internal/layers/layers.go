// Package layers translates between the current layer of the API and the
// shapes that older layers give the constructors and functions which the
// cluster uses, so that clients of layers 144 and up find what they expect.
package layers

import (
	"bufio"
	_ "embed" // the older shapes
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/schema"
)

//go:embed older.tl
var olderText string

// A shape is a combinator as layers up to until have it.
type shape struct {
	schema.Combinator
	until int
}

type shapes struct {
	byID   map[uint32]*shape
	byName map[string][]*shape // by rising layer
}

var older = sync.OnceValue(func() *shapes {
	s, err := parse(olderText)
	if err != nil {
		panic("layers: " + err.Error())
	}
	return s
})

// Upgrade rewrites a query of an older layer as the current layer has it. What
// the schema does not know is returned as it is.
func Upgrade(query tl.Raw, layer int) (tl.Raw, error) {
	if layer == 0 || layer >= schema.Layer || lookup(query.TypeID()) == nil {
		return query, nil
	}
	d := tl.NewDecoder(query)
	v := read(d, &schema.Type{Kind: schema.Object})
	if err := d.End(); err != nil {
		return nil, err
	}
	return write(v, schema.Layer)
}

// Downgrade returns a value in the shape of an older layer.
func Downgrade(o tl.Object, layer int) (tl.Object, error) {
	if layer == 0 || layer >= schema.Layer || stable[o.TypeName()] {
		return o, nil
	}
	d := tl.NewDecoder(tl.Marshal(o))
	t := &schema.Type{Kind: schema.Object}
	if o.TypeID() == tl.VectorID {
		t = &schema.Type{Kind: schema.Vector, Elem: t}
	}
	v := read(d, t)
	if err := d.End(); err != nil {
		return nil, err
	}
	return write(v, layer)
}

// stable are answers that no layer has changed and that may be large, or are
// no objects.
var stable = map[string]bool{"upload.file": true, "upload.cdnFile": true, "Bool": true}

// A node is an object taken apart.
type node struct {
	name   string
	fields map[string]any // absent ones are not there
}

// lookup finds a combinator of any layer by its id.
func lookup(id uint32) *schema.Combinator {
	if s, ok := older().byID[id]; ok {
		return &s.Combinator
	}
	c, _ := schema.Lookup(id)
	return c
}

// read takes a value apart: *node, []any, int32, int64, float64, bool, []byte,
// [16]byte or [32]byte.
func read(d *tl.Decoder, t *schema.Type) any {
	switch t.Kind {
	case schema.Int, schema.Nat:
		return d.Int()
	case schema.Long:
		return d.Long()
	case schema.Double:
		return d.Double()
	case schema.String, schema.Bytes:
		return d.Blob()
	case schema.Int128:
		return d.Int128()
	case schema.Int256:
		return d.Int256()
	case schema.Bool:
		return d.Bool()
	case schema.True:
		return true
	case schema.Vector:
		var list []any
		for n := d.Vector(4); n > 0 && d.Err() == nil; n-- {
			list = append(list, read(d, t.Elem))
		}
		return list
	default:
		return readObject(d)
	}
}

func readObject(d *tl.Decoder) *node {
	c := lookup(d.PeekID())
	if c == nil {
		d.Fail(&tl.UnknownConstructorError{ID: d.PeekID()})
	}
	if !d.Enter() {
		return nil
	}
	defer d.Leave()
	d.ID()
	n := &node{name: c.Name, fields: map[string]any{}}
	var words []uint32
	for _, f := range c.Fields {
		switch {
		case f.Type.Kind == schema.Nat:
			words = append(words, d.Nat())
		case f.Word >= 0 && words[f.Word]&(1<<f.Bit) == 0:
		default:
			n.fields[f.Name] = read(d, f.Type)
		}
	}
	return n
}

// write lays a value out as a layer has it.
func write(v any, layer int) (raw tl.Raw, err error) {
	defer func() {
		if p, ok := recover().(misfit); ok {
			err = error(p)
		}
	}()
	w := writer{layer: layer}
	switch v := v.(type) {
	case []any:
		w.enc.Vector(len(v))
		for _, item := range v {
			w.object(item)
		}
	default:
		w.object(v)
	}
	return w.enc.Bytes(), nil
}

// A misfit is a value that a layer has no shape for. It is thrown by writer
// and caught by write.
type misfit struct{ error }

type writer struct {
	enc   tl.Encoder
	layer int
}

// pick is the shape of a name in the writer's layer.
func (w *writer) pick(name string) *schema.Combinator {
	for _, s := range older().byName[name] {
		if w.layer <= s.until {
			return &s.Combinator
		}
	}
	c, ok := schema.ByName(name)
	if !ok {
		panic(misfit{fmt.Errorf("layers: no %s in layer %d", name, w.layer)})
	}
	return c
}

func (w *writer) object(v any) {
	n, ok := v.(*node)
	if !ok || n == nil {
		panic(misfit{fmt.Errorf("layers: %T where an object belongs", v)})
	}
	c := w.pick(n.name)
	w.enc.ID(c.ID)
	word := 0
	for _, f := range c.Fields {
		v, set := n.fields[f.Name]
		switch {
		case f.Type.Kind == schema.Nat:
			w.enc.Nat(flags(c, n, word))
			word++
		case f.Type.Kind == schema.True, f.Word >= 0 && !set && !shared(c, n, f):
		default:
			w.value(f.Type, v)
		}
	}
}

// flags is the value of a flags word: which fields of it are there.
func flags(c *schema.Combinator, n *node, word int) (bits uint32) {
	for _, f := range c.Fields {
		if _, set := n.fields[f.Name]; set && f.Word == word {
			bits |= 1 << f.Bit
		}
	}
	return bits
}

// shared says whether another field with the bit of f is there.
func shared(c *schema.Combinator, n *node, f schema.Field) bool {
	return flags(c, n, f.Word)&(1<<f.Bit) != 0
}

// value writes v as t, zero if it is nil. Numbers change their kind where layers disagree.
func (w *writer) value(t *schema.Type, v any) {
	switch t.Kind {
	case schema.Int, schema.Nat:
		w.enc.Int(int32(number(v)))
	case schema.Long:
		l, isLong := v.(int64)
		if !isLong {
			l = int64(number(v))
		}
		w.enc.Long(l)
	case schema.Double:
		w.enc.Double(number(v))
	case schema.String, schema.Bytes:
		b, _ := v.([]byte)
		w.enc.Blob(b)
	case schema.Int128:
		b, _ := v.([16]byte)
		w.enc.Int128(b)
	case schema.Int256:
		b, _ := v.([32]byte)
		w.enc.Int256(b)
	case schema.Bool:
		b, _ := v.(bool)
		w.enc.Bool(b)
	case schema.Vector:
		list, _ := v.([]any)
		w.enc.Vector(len(list))
		for _, item := range list {
			w.value(t.Elem, item)
		}
	default:
		w.object(v)
	}
}

func number(v any) float64 {
	switch v := v.(type) {
	case int32:
		return float64(v)
	case int64:
		return float64(v)
	case float64:
		return v
	default:
		return 0
	}
}

// parse reads the older shapes: a combinator a line, and in a comment the
// last layer that has it.
func parse(text string) (*shapes, error) {
	all := &shapes{byID: map[uint32]*shape{}, byName: map[string][]*shape{}}
	function := false
	in := bufio.NewScanner(strings.NewReader(text))
	for in.Scan() {
		line := in.Text()
		if strings.HasPrefix(line, "---") {
			function = true
		}
		if line == "" || strings.HasPrefix(line, "---") || strings.HasPrefix(line, "//") {
			continue
		}
		s, err := parseShape(line)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		s.Function = function
		all.byID[s.ID] = s
		all.byName[s.Name] = append(all.byName[s.Name], s)
	}
	return all, in.Err()
}

func parseShape(line string) (*shape, error) {
	decl, comment, ok := strings.Cut(line, "; // to ")
	body, result, ok2 := strings.Cut(decl, " = ")
	if !ok || !ok2 {
		return nil, fmt.Errorf("no result or layer")
	}
	until, err := strconv.Atoi(comment)
	if err != nil {
		return nil, err
	}
	words := strings.Fields(body)
	name, hexID, _ := strings.Cut(words[0], "#")
	id, err := strconv.ParseUint(hexID, 16, 32)
	if err != nil {
		return nil, err
	}
	s := &shape{until: until, Combinator: schema.Combinator{ID: uint32(id), Name: name, Result: parseType(result)}}
	var flagWords []string
	for _, w := range words[1:] {
		fname, t, _ := strings.Cut(w, ":")
		f := schema.Field{Name: fname, Word: -1}
		if cond, rest, ok := strings.Cut(t, "?"); ok {
			word, bit, _ := strings.Cut(cond, ".")
			for i, known := range flagWords {
				if known == word {
					f.Word = i
				}
			}
			if f.Bit, err = strconv.Atoi(bit); err != nil || f.Word < 0 {
				return nil, fmt.Errorf("condition of %s", fname)
			}
			t = rest
		}
		f.Type = parseType(t)
		if f.Type.Kind == schema.Nat {
			flagWords = append(flagWords, fname)
		}
		s.Fields = append(s.Fields, f)
	}
	return s, nil
}

var basic = map[string]schema.Kind{
	"int": schema.Int, "long": schema.Long, "double": schema.Double, "string": schema.String, "bytes": schema.Bytes,
	"int128": schema.Int128, "int256": schema.Int256, "#": schema.Nat, "true": schema.True, "Bool": schema.Bool,
}

func parseType(text string) *schema.Type {
	if k, ok := basic[text]; ok {
		return &schema.Type{Kind: k}
	}
	if inner, ok := strings.CutPrefix(text, "Vector<"); ok {
		return &schema.Type{Kind: schema.Vector, Elem: parseType(strings.TrimSuffix(inner, ">"))}
	}
	return &schema.Type{Kind: schema.Class, Name: text}
}
