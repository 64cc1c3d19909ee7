// Package sqlite reads tables out of the bytes of an SQLite database: all rows
// of ordinary tables, by name, and nothing else. It writes nothing, knows no
// SQL but the columns of CREATE TABLE, and uses no index.
//
// Its input is hostile. Each page is visited once at most, and all rows
// together are no larger than the database, as in every sound one; whatever
// breaks that is ErrDamaged. See sqlite.org/fileformat2.html, cited as "format".
package sqlite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"strings"
)

var (
	// ErrFormat is wrapped by errors about what is no database, or of a sort that is not read here.
	ErrFormat = errors.New("not an SQLite database that can be read here")
	// ErrDamaged is wrapped by errors about what no SQLite has written.
	ErrDamaged = errors.New("SQLite database is damaged")
)

// Magic begins every database.
const Magic = "SQLite format 3\x00"

const (
	headerSize = 100 // of the database, on page 1
	maxDepth   = 20  // of a tree; 2^32 pages need less
)

// Types of b-tree pages that tables are made of.
const (
	pageInterior = 5
	pageLeaf     = 13
)

// A DB is a database. It aliases the bytes that it was opened with, and is not
// safe for concurrent use.
type DB struct {
	data     []byte
	pageSize int
	usable   int            // bytes of a page, but for what extensions have reserved
	newer    map[int][]byte // pages of the write-ahead log, by number
	count    int            // of pages
}

// Open reads the header of a database, and its write-ahead log: what is
// committed there counts. wal may be empty. Errors: ErrFormat, ErrDamaged.
func Open(data, wal []byte) (*DB, error) {
	if len(data) < headerSize || string(data[:len(Magic)]) != Magic {
		return nil, ErrFormat
	}
	d := &DB{data: data, pageSize: int(binary.BigEndian.Uint16(data[16:]))}
	if d.pageSize == 1 {
		d.pageSize = 65536
	}
	d.usable = d.pageSize - int(data[20])
	switch {
	case d.pageSize < 512 || d.pageSize&(d.pageSize-1) != 0 || d.usable < 480:
		return nil, fmt.Errorf("%w: pages of %d bytes", ErrDamaged, d.pageSize)
	case data[18] > 2 || data[19] > 2:
		return nil, fmt.Errorf("%w: written by a later version", ErrFormat)
	case binary.BigEndian.Uint32(data[56:]) > 1:
		return nil, fmt.Errorf("%w: its texts are UTF-16", ErrFormat)
	}
	d.count = len(data) / d.pageSize
	d.readLog(wal)
	return d, nil
}

// page is page n, from 1.
func (d *DB) page(n int) ([]byte, error) {
	if n < 1 || n > d.count {
		return nil, fmt.Errorf("%w: page %d of %d", ErrDamaged, n, d.count)
	}
	if p, ok := d.newer[n]; ok {
		return p, nil
	}
	if n*d.pageSize > len(d.data) {
		return nil, fmt.Errorf("%w: page %d is missing", ErrDamaged, n)
	}
	return d.data[(n-1)*d.pageSize : n*d.pageSize], nil
}

// size is that of all pages.
func (d *DB) size() int { return d.count * d.pageSize }

// A Row is a row of a table.
type Row struct {
	t      *table
	id     int64
	values []any // may be shorter than the columns, after ALTER TABLE
}

// Int is an integer column; 0 and false if it is NULL, absent or no integer.
func (r Row) Int(column string) (int64, bool) {
	v, ok := r.value(column).(int64)
	return v, ok
}

// Text is a text column; "" if it is NULL, absent or no text.
func (r Row) Text(column string) string {
	s, _ := r.value(column).(string)
	return s
}

// Blob is a blob column; nil if it is NULL, absent or no blob. It is the caller's.
func (r Row) Blob(column string) []byte {
	b, _ := r.value(column).([]byte)
	return b
}

// value is nil, int64, float64, string or []byte.
func (r Row) value(column string) any {
	for i, c := range r.t.columns {
		if strings.EqualFold(c, column) {
			if i == r.t.rowID {
				return r.id
			}
			if i < len(r.values) {
				return r.values[i]
			}
		}
	}
	return nil
}

// Columns are the names of a table's columns, nil if there is no such table.
// Errors: ErrDamaged.
func (d *DB) Columns(name string) ([]string, error) {
	t, err := d.table(name)
	if t == nil {
		return nil, err
	}
	return t.columns, err
}

// Rows are all rows of a table, none if there is no such table. Errors: ErrFormat, ErrDamaged.
func (d *DB) Rows(name string) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		t, err := d.table(name)
		if err != nil {
			yield(Row{}, err)
			return
		}
		if t != nil {
			d.scan(t, yield)
		}
	}
}

// table finds a table in the schema, which is a table itself, with its root at page 1.
func (d *DB) table(name string) (found *table, err error) {
	schema := &table{root: 1, columns: []string{"type", "name", "tbl_name", "rootpage", "sql"}, rowID: -1}
	d.scan(schema, func(r Row, e error) bool {
		switch {
		case e != nil:
			err = e
		case r.Text("type") == "table" && strings.EqualFold(r.Text("name"), name):
			root, _ := r.Int("rootpage")
			found, err = parseTable(r.Text("sql"), root)
		}
		return err == nil && found == nil
	})
	return found, err
}
