package sqlite

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestColumns(t *testing.T) {
	for sql, want := range map[string]struct {
		columns string
		rowID   int
	}{
		"create table t (a integer primary key, b text)":                                           {"a b", 0},
		"CREATE TABLE t(a INTEGER PRIMARY KEY DESC, b)":                                            {"a b", -1},
		"create table t (a int primary key)":                                                       {"a", -1},
		"create table t (a text, b INTEGER, primary key (b))":                                      {"a b", 1},
		"create table t (a text, b INTEGER, constraint k primary key(b))":                          {"a b", 1},
		"create table t (a text, b INTEGER, primary key (a, b))":                                   {"a b", -1},
		`create table "t (" ("a, b" integer, [c d] default ('x,)') , ` + "`e`" + ` check (e > 1))`: {"a, b|c d|e", -1},
		"create table t -- a comment (\n(a /* , b */ integer not null primary key)":                {"a", 0},
		"create table t (a text default 'it''s', b numeric(10, 2), unique (a, b))":                 {"a b", -1},
		"create table t (a integer\n, b integer)":                                                  {"a b", -1},
	} {
		got, err := parseTable(sql, 2)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		sep := " "
		if strings.Contains(want.columns, "|") {
			sep = "|"
		}
		if strings.Join(got.columns, sep) != want.columns || got.rowID != want.rowID {
			t.Errorf("%s: got %q, row id %d, want %v", sql, got.columns, got.rowID, want)
		}
	}
	for sql, want := range map[string]error{
		"create table t (a primary key) without rowid": ErrFormat,
		"create virtual table t using fts5":            ErrFormat,
		"create table t (a 'unclosed)":                 ErrDamaged,
		"create table t ()":                            ErrDamaged,
		"":                                             ErrFormat,
	} {
		if _, err := parseTable(sql, 2); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", sql, err, want)
		}
	}
}

func TestVarint(t *testing.T) {
	for in, want := range map[string]int64{
		"00": 0, "7f": 127, "8100": 128, "ff7f": 16383, "ffffffffffffffffff": -1, "80808080808080808001": 128,
	} {
		b, err := hex.DecodeString(in)
		if err != nil {
			t.Fatal(err)
		}
		if got, n := varint(b); got != want || n != min(len(b), 9) {
			t.Errorf("%s: got %d of %d bytes, want %d", in, got, n, want)
		}
	}
	if _, n := varint([]byte{0x81, 0x82}); n != 0 {
		t.Errorf("one that is cut off: got %d bytes", n)
	}
}

// TestSameAsSQLite makes databases by SQLite's own program, at random, and
// compares what it reads from them with what is read here.
func TestSameAsSQLite(t *testing.T) {
	program, err := exec.LookPath("sqlite3")
	if err != nil {
		t.Skip("there is no sqlite3 to compare with")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range 12 {
		file := filepath.Join(t.TempDir(), fmt.Sprintf("%d.db", i))
		run(t, program, file, randomSQL(random))
		want := run(t, program, file, "select id, n, typeof(n), quote(t), quote(b), quote(late) from x order by id")
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := dump(t, data); got != want {
			t.Fatalf("database %d: got\n%.2000s\nSQLite says\n%.2000s", i, got, want)
		}
	}
}

// randomSQL fills a table, deletes from it, and adds a column late.
func randomSQL(random *rand.Rand) string {
	var b strings.Builder
	fmt.Fprintf(&b, "pragma page_size=%d; pragma auto_vacuum=%d; begin;\n", 512<<random.IntN(8), random.IntN(2))
	b.WriteString("create table other (a, b); create table x (id integer primary key, n, t text, b blob); create index i on x (t);\n")
	for range random.IntN(600) {
		number := [...]string{"null", "0", "1", "-1", "1.5", fmt.Sprint(random.Int64()), fmt.Sprint(-random.Int64N(1 << 40)), fmt.Sprint(random.IntN(70000))}[random.IntN(8)]
		fmt.Fprintf(&b, "insert or replace into x values (%d, %s, '%s', x'%x');\n", random.Int64N(1<<40)-1<<39, number,
			strings.Repeat("é", random.IntN(1<<random.IntN(12))), bytes.Repeat([]byte{byte(random.IntN(256))}, random.IntN(1<<random.IntN(14))))
		b.WriteString("insert into other values (1, 'filler');\n")
	}
	fmt.Fprintf(&b, "delete from x where id %% %d = 0;\n", 2+random.IntN(5))
	b.WriteString("alter table x add late integer; insert or ignore into x (id, late) values (5, 7); commit;\n")
	return b.String()
}

func run(t *testing.T, program, file, sql string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, file)
	cmd.Stdin = strings.NewReader(sql)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// dump prints table x as sqlite3 does.
func dump(t *testing.T, data []byte) string {
	t.Helper()
	d, err := Open(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	quote := func(v any) string {
		switch v := v.(type) {
		case nil:
			return "NULL"
		case string:
			return "'" + v + "'"
		case []byte:
			return fmt.Sprintf("X'%X'", v)
		default:
			return fmt.Sprint(v)
		}
	}
	var out strings.Builder
	for r, err := range d.Rows("X") {
		if err != nil {
			t.Fatal(err)
		}
		id, _ := r.Int("id")
		n, kind := fmt.Sprint(r.value("n")), "integer"
		switch r.value("n").(type) {
		case nil:
			n, kind = "", "null"
		case float64:
			kind = "real"
		}
		fmt.Fprintf(&out, "%d|%s|%s|%s|%s|%s\n", id, n, kind, quote(r.value("t")), quote(r.value("b")), quote(r.value("late")))
	}
	return out.String()
}

// TestHostile: neither a tree that bites its tail nor one whose rows claim
// more than there is brings much to pass.
func TestHostile(t *testing.T) {
	sound, err := os.ReadFile(filepath.Join("..", "..", "testdata", "telethon_many.session"))
	if err != nil {
		t.Fatal(err)
	}
	count := func(data []byte) (rows, bytes int, err error) {
		d, err := Open(data, nil)
		if err != nil {
			return 0, 0, err
		}
		for r, err := range d.Rows("entities") {
			if err != nil {
				return rows, bytes, err
			}
			rows++
			bytes += len(r.Text("name"))
		}
		return rows, bytes, nil
	}
	if n, _, err := count(sound); n == 0 || err != nil {
		t.Fatalf("%d rows, %v", n, err)
	}
	d, err := Open(sound, nil)
	if err != nil {
		t.Fatal(err)
	}
	table, err := d.table("entities")
	if err != nil {
		t.Fatal(err)
	}
	root := sound[(table.root-1)*d.pageSize:]
	if root[0] != pageInterior {
		t.Fatal("the table has no tree")
	}

	loop := slices.Clone(sound)
	at := (table.root-1)*d.pageSize + 8
	copy(loop[at:], []byte{0, 0, 0, byte(table.root)}) // its last child is itself
	if n, _, err := count(loop); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "used twice") {
		t.Errorf("a loop: %d rows, %v", n, err) // found at once, not by its depth: each level could have many
	}

	// All cells of each leaf are its first one.
	same := slices.Clone(sound)
	for p := range len(same) / d.pageSize {
		page := same[p*d.pageSize:][:d.pageSize]
		if p == 0 || page[0] != pageLeaf {
			continue
		}
		for i := range int(page[4]) {
			copy(page[8+2*i:10+2*i], page[8:10])
		}
	}
	if _, n, _ := count(same); n > len(same) {
		t.Errorf("%d bytes of rows out of %d", n, len(same))
	}

	for size := 0; size < len(sound); size += 509 {
		if _, _, err := count(sound[:size]); err == nil && size < 1024 {
			t.Errorf("cut off at %d: no error", size)
		}
	}
}

// TestAmplified: a page whose many cells are all the same large row does not
// make more of itself than the file has.
func TestAmplified(t *testing.T) {
	const pageSize, cells = 65536, 20_000
	record := func(values ...any) []byte {
		var head, body []byte
		for _, v := range values {
			switch v := v.(type) {
			case string:
				kind := 13 + 2*len(v)
				head, body = append(head, byte(kind>>14)|0x80, byte(kind>>7)|0x80, byte(kind&0x7f)), append(body, v...)
			case int:
				head, body = append(head, 1), append(body, byte(v))
			}
		}
		return slices.Concat([]byte{byte(len(head) + 1)}, head, body)
	}
	// leaf puts one record at the end of a page, and n cells that are it.
	leaf := func(page []byte, at, n int, rec []byte) {
		cell := slices.Concat([]byte{byte(len(rec)>>14) | 0x80, byte(len(rec)>>7) | 0x80, byte(len(rec) & 0x7f), 1}, rec)
		start := len(page) - len(cell)
		copy(page[start:], cell)
		page[at], page[at+3], page[at+4] = pageLeaf, byte(n>>8), byte(n)
		for i := range n {
			page[at+8+2*i], page[at+9+2*i] = byte(start>>8), byte(start)
		}
	}
	data := make([]byte, 2*pageSize)
	copy(data, Magic)
	data[17], data[18], data[19] = 1, 1, 1
	leaf(data[:pageSize], headerSize, 1, record("table", "t", "t", 2, "create table t (a)"))
	leaf(data[pageSize:], 0, cells, record(strings.Repeat("x", 20_000)))
	d, err := Open(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for r, e := range d.Rows("t") {
		if err = e; e == nil {
			total += len(r.Text("a"))
		}
	}
	if total == 0 || total > len(data) || !errors.Is(err, ErrDamaged) {
		t.Errorf("%d bytes out of %d, %v", total, len(data), err)
	}
}

func FuzzOpen(f *testing.F) {
	for _, name := range []string{"telethon_many", "kurigram"} {
		db, err := os.ReadFile(filepath.Join("..", "..", "testdata", name+".session"))
		if err != nil {
			f.Fatal(err)
		}
		wal, _ := os.ReadFile(filepath.Join("..", "..", "testdata", name+".session-wal")) // one has none
		f.Add(db, wal, "entities")
		f.Add(db, wal, "sessions")
	}
	f.Fuzz(func(t *testing.T, db, wal []byte, name string) {
		d, err := Open(db, wal)
		if err != nil {
			return
		}
		total := 0
		for r, err := range d.Rows(name) {
			if err != nil {
				if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrFormat) {
					t.Fatalf("an error of no kind: %v", err)
				}
				break
			}
			for _, v := range r.values {
				switch v := v.(type) {
				case string:
					total += len(v)
				case []byte:
					total += len(v)
				}
			}
		}
		if total > len(db)+len(wal) {
			t.Fatalf("%d bytes of rows out of %d", total, len(db)+len(wal))
		}
	})
}
