package sqlite

import (
	"encoding/binary"
	"fmt"
	"math"
)

// A walk goes through the b-tree of a table.
type walk struct {
	d     *DB
	t     *table
	yield func(Row, error) bool
	seen  map[int]bool // pages, of the tree and of overflowing rows
	left  int          // bytes of rows that the database can still hold
	ended bool
}

func (d *DB) scan(t *table, yield func(Row, error) bool) {
	w := &walk{d: d, t: t, yield: yield, seen: map[int]bool{}, left: d.size()}
	if err := w.tree(t.root, 0); err != nil && !w.ended {
		yield(Row{}, err)
	}
}

// visit is page n, once.
func (w *walk) visit(n int) ([]byte, error) {
	if w.seen[n] {
		return nil, fmt.Errorf("%w: page %d is used twice", ErrDamaged, n)
	}
	w.seen[n] = true
	return w.d.page(n)
}

// tree goes through the tree at page n (format, 1.6).
func (w *walk) tree(n, depth int) error {
	p, err := w.visit(n)
	if err != nil {
		return err
	}
	head := 0
	if n == 1 {
		head = headerSize
	}
	kind := p[head]
	cells := int(binary.BigEndian.Uint16(p[head+3:]))
	at := head + 8
	if kind == pageInterior {
		at += 4
	}
	switch {
	case kind != pageInterior && kind != pageLeaf:
		return fmt.Errorf("%w: page %d is of type %d", ErrDamaged, n, kind)
	case depth > maxDepth || at+2*cells > w.d.usable:
		return fmt.Errorf("%w: page %d", ErrDamaged, n)
	}
	for i := range cells {
		offset := int(binary.BigEndian.Uint16(p[at+2*i:]))
		if offset < at+2*cells || offset+4 > w.d.usable {
			return fmt.Errorf("%w: cell %d of page %d", ErrDamaged, i, n)
		}
		cell := p[offset:w.d.usable]
		if kind == pageLeaf {
			err = w.row(cell)
		} else {
			err = w.tree(int(binary.BigEndian.Uint32(cell)), depth+1)
		}
		if err != nil || w.ended {
			return err
		}
	}
	if kind == pageInterior {
		return w.tree(int(binary.BigEndian.Uint32(p[head+8:])), depth+1)
	}
	return nil
}

// row yields the row of a cell of a leaf.
func (w *walk) row(cell []byte) error {
	size, n := varint(cell)
	id, m := varint(cell[n:])
	if n == 0 || m == 0 || size < 0 || size > int64(w.left) {
		return fmt.Errorf("%w: a row of %d bytes", ErrDamaged, size)
	}
	w.left -= int(size)
	record, err := w.payload(cell[n+m:], int(size))
	if err != nil {
		return err
	}
	values, err := parseRecord(record, len(w.t.columns))
	if err != nil {
		return err
	}
	if !w.yield(Row{t: w.t, id: id, values: values}, nil) {
		w.ended = true
	}
	return nil
}

// payload is what a row has in its leaf and in its overflow pages (format, 1.6).
func (w *walk) payload(local []byte, size int) ([]byte, error) {
	u := w.d.usable
	if most := u - 35; size > most {
		least := (u-12)*32/255 - 23
		n := least + (size-least)%(u-4)
		if n > most {
			n = least
		}
		return w.overflow(local, n, size)
	}
	if size > len(local) {
		return nil, fmt.Errorf("%w: a row ends outside of its page", ErrDamaged)
	}
	return local[:size], nil
}

// overflow joins the first n bytes of a row with the rest of it.
func (w *walk) overflow(local []byte, n, size int) ([]byte, error) {
	if n+4 > len(local) {
		return nil, fmt.Errorf("%w: a row ends outside of its page", ErrDamaged)
	}
	out := append([]byte(nil), local[:n]...)
	next := int(binary.BigEndian.Uint32(local[n:]))
	for len(out) < size {
		p, err := w.visit(next)
		if err != nil {
			return nil, err
		}
		next = int(binary.BigEndian.Uint32(p))
		out = append(out, p[4:4+min(size-len(out), w.d.usable-4)]...)
	}
	return out, nil
}

// varint reads a number of one to nine bytes; n is how many, 0 if they are not there.
func varint(b []byte) (v int64, n int) {
	for i := range min(len(b), 8) {
		v = v<<7 | int64(b[i]&0x7f)
		if b[i] < 0x80 {
			return v, i + 1
		}
	}
	if len(b) < 9 {
		return 0, 0
	}
	return v<<8 | int64(b[8]), 9
}

// parseRecord reads the first columns of a record (format, 2.1).
func parseRecord(b []byte, columns int) ([]any, error) {
	errRecord := fmt.Errorf("%w: a row", ErrDamaged)
	size, n := varint(b)
	if n == 0 || size < int64(n) || size > int64(len(b)) {
		return nil, errRecord
	}
	head, body := b[n:size], b[size:]
	var values []any
	for len(head) > 0 && len(values) < columns {
		kind, n := varint(head)
		if n == 0 || kind < 0 {
			return nil, errRecord
		}
		head = head[n:]
		length := columnSize(kind)
		if length > int64(len(body)) {
			return nil, errRecord
		}
		values = append(values, columnValue(kind, body[:length]))
		body = body[length:]
	}
	return values, nil
}

// columnSize is how long a value of a type is.
func columnSize(kind int64) int64 {
	if kind < 12 {
		return [...]int64{0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0}[kind]
	}
	return (kind - 12) / 2
}

func columnValue(kind int64, b []byte) any {
	switch {
	case kind == 0, kind == 10, kind == 11: // the latter are in no file
		return nil
	case kind == 7:
		return math.Float64frombits(binary.BigEndian.Uint64(b))
	case kind == 8, kind == 9:
		return kind - 8
	case kind >= 12 && kind%2 == 0:
		return append([]byte{}, b...)
	case kind >= 13:
		return string(b)
	}
	v := int64(int8(b[0]))
	for _, c := range b[1:] {
		v = v<<8 | int64(c)
	}
	return v
}
