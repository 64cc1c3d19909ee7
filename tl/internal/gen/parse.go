package main

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// A combinator is one line of a schema: a constructor or a function.
type combinator struct {
	name    string
	id      uint32
	generic bool // has {X:Type}
	method  bool
	fields  []field
	result  *typ
}

type field struct {
	name  string
	cond  string // name of the flags field that decides, or ""
	bit   int
	typ   *typ
	flags bool // this is a flags word itself
}

type kind byte

// The order is part of the table's format: see tl/schema.
const (
	kindInt kind = iota
	kindLong
	kindDouble
	kindString
	kindBytes
	kindInt128
	kindInt256
	kindNat
	kindTrue
	kindBool
	kindVector     // boxed, of elem
	kindBareVector // of elem
	kindClass      // any constructor of the type called name
	kindBare       // the constructor called name, without its id
	kindObject     // any constructor: Object
	kindQuery      // any function: !X
	kindX          // result of a generic function
)

type typ struct {
	kind kind
	name string
	elem *typ
}

var basic = map[string]kind{
	"int": kindInt, "long": kindLong, "double": kindDouble, "string": kindString, "bytes": kindBytes,
	"int128": kindInt128, "int256": kindInt256, "#": kindNat, "true": kindTrue, "Bool": kindBool,
	"Object": kindObject, "!X": kindQuery, "X": kindX,
}

var (
	lineRE = regexp.MustCompile(`^([\w.]+)(?:#([0-9a-f]{1,8}))? ?(.*) = ([\w.<>% ]+);$`)
	condRE = regexp.MustCompile(`^(flags\d*)\.(\d+)\?(.+)$`)
)

// skipped are lines that describe the language itself, and the messages around
// a bare message record, whose name the API schema uses for something else:
// they are laid out by hand where they are used.
var skipped = map[string]bool{
	"int": true, "long": true, "double": true, "string": true, "bytes": true, "vector": true,
	"msg_container": true, "msg_copy": true,
}

// parse reads a schema file. Anything it does not understand is an error.
func parse(r io.Reader, file string) ([]*combinator, error) {
	var all []*combinator
	method := false
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	for n := 1; in.Scan(); n++ {
		line := strings.TrimSpace(in.Text())
		switch {
		case line == "" || strings.HasPrefix(line, "//"):
			continue
		case line == "---functions---":
			method = true
			continue
		case line == "---types---":
			method = false
			continue
		}
		if cut := strings.Index(line, "; //"); cut >= 0 {
			line = line[:cut+1]
		}
		c, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, n, err)
		}
		// A line without an id is a bare record of a hand-written message.
		if skipped[c.name] || c.id == 0 {
			continue
		}
		c.method = method
		all = append(all, c)
	}
	return all, in.Err()
}

func parseLine(line string) (*combinator, error) {
	m := lineRE.FindStringSubmatch(line)
	if m == nil {
		return nil, fmt.Errorf("not a combinator: %q", line)
	}
	c := &combinator{name: m[1]}
	if m[2] != "" {
		id, err := strconv.ParseUint(m[2], 16, 32)
		if err != nil {
			return nil, err
		}
		c.id = uint32(id)
	}
	if skipped[c.name] {
		return c, nil
	}
	for part := range strings.FieldsSeq(m[3]) {
		if part == "{X:Type}" {
			c.generic = true
			continue
		}
		f, err := parseField(part)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		c.fields = append(c.fields, f)
	}
	var err error
	c.result, err = parseType(m[4])
	return c, err
}

func parseField(text string) (field, error) {
	name, t, ok := strings.Cut(text, ":")
	if !ok {
		return field{}, fmt.Errorf("field %q has no type", text)
	}
	f := field{name: name}
	if m := condRE.FindStringSubmatch(t); m != nil {
		bit, err := strconv.Atoi(m[2])
		if err != nil || bit > 31 {
			return f, fmt.Errorf("field %q: bit %s", text, m[2])
		}
		f.cond, f.bit, t = m[1], bit, m[3]
	}
	var err error
	f.typ, err = parseType(t)
	f.flags = f.typ != nil && f.typ.kind == kindNat
	return f, err
}

func parseType(text string) (*typ, error) {
	if k, ok := basic[text]; ok {
		return &typ{kind: k}, nil
	}
	for prefix, k := range map[string]kind{"Vector<": kindVector, "vector<": kindBareVector} {
		if inner, ok := strings.CutPrefix(text, prefix); ok && strings.HasSuffix(inner, ">") {
			elem, err := parseType(strings.TrimSuffix(inner, ">"))
			return &typ{kind: k, elem: elem}, err
		}
	}
	if name, ok := strings.CutPrefix(text, "%"); ok {
		return &typ{kind: kindBare, name: name}, nil
	}
	if text == "" || strings.ContainsAny(text, "<>%! ") {
		return nil, fmt.Errorf("unknown type %q", text)
	}
	last := text[strings.LastIndexByte(text, '.')+1:]
	if last[0] >= 'a' && last[0] <= 'z' {
		return &typ{kind: kindBare, name: text}, nil
	}
	return &typ{kind: kindClass, name: text}, nil
}
