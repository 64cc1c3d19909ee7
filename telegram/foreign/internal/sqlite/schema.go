package sqlite

import (
	"fmt"
	"math"
	"strings"
)

// A table is where its rows are and what its columns are called.
type table struct {
	root    int
	columns []string
	rowID   int // index of the column that is the row's id, and not stored; -1 if none is
}

const maxColumns = 2000 // as SQLite allows unless built otherwise

// parseTable reads what CREATE TABLE says of the columns.
func parseTable(sql string, root int64) (*table, error) {
	tokens, ok := tokenize(sql)
	if !ok || root < 1 || root > math.MaxInt32 {
		return nil, fmt.Errorf("%w: its schema", ErrDamaged)
	}
	open := 0
	for open < len(tokens) && tokens[open].text != "(" {
		open++
	}
	if open == len(tokens) { // virtual tables, and those made of a SELECT have one all the same
		return nil, fmt.Errorf("%w: a table without columns", ErrFormat)
	}
	t := &table{root: int(root), rowID: -1}
	defs, rest := splitDefinitions(tokens[open+1:])
	for _, tok := range rest {
		if tok.is("WITHOUT") {
			return nil, fmt.Errorf("%w: a table without row ids", ErrFormat)
		}
	}
	var integers []bool
	for _, def := range defs {
		if len(def) == 0 {
			return nil, fmt.Errorf("%w: its schema", ErrDamaged)
		}
		if def[0].is("CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN") {
			t.keyConstraint(def, integers)
			continue
		}
		// "INTEGER PRIMARY KEY" makes a column the row's id, no other type does.
		integer := len(def) > 1 && def[1].is("INTEGER") && (len(def) == 2 || !def[2].is("("))
		if integer && hasPrimaryKey(def[2:]) {
			t.rowID = len(t.columns)
		}
		t.columns, integers = append(t.columns, def[0].text), append(integers, integer)
	}
	if len(t.columns) == 0 || len(t.columns) > maxColumns {
		return nil, fmt.Errorf("%w: a table of %d columns", ErrDamaged, len(t.columns))
	}
	return t, nil
}

// hasPrimaryKey looks for the constraint among those of a column. DESC after
// it keeps the column from being the row's id, by a mistake that SQLite keeps.
func hasPrimaryKey(def []token) bool {
	for i := range def {
		if def[i].is("PRIMARY") && i+1 < len(def) && def[i+1].is("KEY") {
			return i+2 >= len(def) || !def[i+2].is("DESC")
		}
	}
	return false
}

// keyConstraint looks at a constraint of the table: PRIMARY KEY (name) of a
// single INTEGER column makes that one the row's id.
func (t *table) keyConstraint(def []token, integers []bool) {
	if def[0].is("CONSTRAINT") && len(def) > 2 {
		def = def[2:]
	}
	if len(def) < 5 || !def[0].is("PRIMARY") || def[2].text != "(" || def[4].text != ")" {
		return
	}
	for i, c := range t.columns {
		if strings.EqualFold(c, def[3].text) && integers[i] {
			t.rowID = i
		}
	}
}

// splitDefinitions splits at the commas up to the closing parenthesis; rest
// is what follows that.
func splitDefinitions(tokens []token) (defs [][]token, rest []token) {
	depth, from := 0, 0
	for i, tok := range tokens {
		switch tok.text {
		case "(":
			depth++
		case ")":
			if depth == 0 {
				return append(defs, tokens[from:i]), tokens[i+1:]
			}
			depth--
		case ",":
			if depth == 0 {
				defs, from = append(defs, tokens[from:i]), i+1
			}
		}
	}
	return append(defs, tokens[from:]), nil
}

// A token is a word, a name out of quotes, or a sign.
type token struct {
	text   string
	quoted bool
}

// is says whether the token is one of these words, in any case.
func (t token) is(words ...string) bool {
	for _, w := range words {
		if !t.quoted && strings.EqualFold(t.text, w) {
			return true
		}
	}
	return false
}

// closing are the quotes that names and texts stand in.
var closing = map[byte]byte{'"': '"', '\'': '\'', '`': '`', '[': ']'}

func tokenize(sql string) (tokens []token, ok bool) {
	for i := 0; i < len(sql); {
		c := sql[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f':
			i++
		case strings.HasPrefix(sql[i:], "--"):
			i += lengthTo(sql[i:], "\n")
		case strings.HasPrefix(sql[i:], "/*"):
			i += 2 + lengthTo(sql[i+2:], "*/")
		case closing[c] != 0:
			text, n := unquote(sql[i:], closing[c])
			if n == 0 {
				return nil, false
			}
			tokens = append(tokens, token{text, true})
			i += n
		case isWord(c):
			n := 1
			for i+n < len(sql) && isWord(sql[i+n]) {
				n++
			}
			tokens = append(tokens, token{sql[i : i+n], false})
			i += n
		default:
			tokens = append(tokens, token{string(c), false})
			i++
		}
	}
	return tokens, true
}

// lengthTo is the length up to and with end, or of all.
func lengthTo(s, end string) int {
	if n := strings.Index(s, end); n >= 0 {
		return n + len(end)
	}
	return len(s)
}

// unquote reads a quoted text; a doubled closing quote stands for one.
func unquote(s string, end byte) (text string, n int) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] != end {
			b.WriteByte(s[i])
			continue
		}
		if end == ']' || i+1 == len(s) || s[i+1] != end {
			return b.String(), i + 1
		}
		b.WriteByte(end)
		i++
	}
	return "", 0
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80
}
