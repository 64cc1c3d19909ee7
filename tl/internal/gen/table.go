package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// writeTable lays the whole schema out for tl/schema, which describes the
// format. Sorted by id, so equal input gives equal bytes.
func writeTable(layer int, all []*combinator) ([]byte, error) {
	t := &table{strings: map[string]int{}, types: map[string]int{}}
	slices.SortFunc(all, func(a, b *combinator) int { return int(int64(a.id) - int64(b.id)) })
	var body bytes.Buffer
	for i, c := range all {
		if i > 0 && all[i-1].id == c.id {
			return nil, fmt.Errorf("%s and %s share the id %08x", all[i-1].name, c.name, c.id)
		}
		if err := t.combinator(&body, c); err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	out := binary.AppendUvarint([]byte("TLT1"), uint64(layer))
	out = binary.AppendUvarint(out, uint64(len(t.stringList)))
	for _, s := range t.stringList {
		out = append(binary.AppendUvarint(out, uint64(len(s))), s...)
	}
	out = binary.AppendUvarint(out, uint64(len(t.typeList)))
	for _, b := range t.typeList {
		out = append(out, b...)
	}
	out = binary.AppendUvarint(out, uint64(len(all)))
	return append(out, body.Bytes()...), nil
}

type table struct {
	strings    map[string]int
	stringList []string
	types      map[string]int
	typeList   [][]byte
}

func (t *table) str(s string) uint64 {
	i, ok := t.strings[s]
	if !ok {
		i = len(t.stringList)
		t.strings[s] = i
		t.stringList = append(t.stringList, s)
	}
	return uint64(i)
}

// typ is kind, then what the kind needs: the index of the item type, which
// always stands before, or of a name.
func (t *table) typ(x *typ) uint64 {
	b := []byte{byte(x.kind)}
	switch x.kind {
	case kindVector, kindBareVector:
		b = binary.AppendUvarint(b, t.typ(x.elem))
	case kindClass, kindBare:
		b = binary.AppendUvarint(b, t.str(x.name))
	default: // the kind says all
	}
	i, ok := t.types[string(b)]
	if !ok {
		i = len(t.typeList)
		t.types[string(b)] = i
		t.typeList = append(t.typeList, b)
	}
	return uint64(i)
}

func (t *table) combinator(w *bytes.Buffer, c *combinator) error {
	var b []byte
	b = binary.LittleEndian.AppendUint32(b, c.id)
	b = binary.AppendUvarint(b, t.str(c.name))
	b = binary.AppendUvarint(b, t.typ(c.result))
	var marks byte
	if c.method {
		marks |= 1
	}
	if c.generic {
		marks |= 2
	}
	b = append(b, marks)
	b = binary.AppendUvarint(b, uint64(len(c.fields)))
	var words []string // the flags fields met so far
	for _, f := range c.fields {
		cond := 0
		if f.cond != "" {
			word := slices.Index(words, f.cond)
			if word < 0 {
				return fmt.Errorf("field %s depends on %s, which does not stand before it", f.name, f.cond)
			}
			cond = 1 + 32*word + f.bit
		}
		if f.flags {
			words = append(words, f.name)
		}
		b = binary.AppendUvarint(b, t.str(f.name))
		b = binary.AppendUvarint(b, t.typ(f.typ))
		b = binary.AppendUvarint(b, uint64(cond))
	}
	w.Write(b)
	return nil
}

// className is the type that a constructor belongs to.
func (c *combinator) className() string {
	switch c.result.kind {
	case kindObject:
		return "Object"
	case kindBool:
		return "Bool"
	default:
		return c.result.name
	}
}
