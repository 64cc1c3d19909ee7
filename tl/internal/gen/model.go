package main

import (
	"fmt"
	"slices"
	"strings"
)

// A model is what becomes Go code in one package: the wanted combinators, and
// for each type whether it is an interface, a struct, or stays raw.
type model struct {
	pkg     string
	wanted  []*combinator // sorted by name
	byName  map[string]*combinator
	classes map[string][]*combinator // all constructors of a type, wanted or not
	isWant  map[*combinator]bool
}

// newModel picks the combinators that list names: a constructor or function
// by its name, or all constructors of a type by the name of the type.
func newModel(pkg string, all []*combinator, list []string) (*model, error) {
	m := &model{
		pkg: pkg, byName: map[string]*combinator{},
		classes: map[string][]*combinator{}, isWant: map[*combinator]bool{},
	}
	for _, c := range all {
		m.byName[c.name] = c
		if !c.method {
			m.classes[c.className()] = append(m.classes[c.className()], c)
		}
	}
	for _, name := range list {
		found := m.classes[name]
		if c := m.byName[name]; c != nil {
			found = []*combinator{c}
		}
		if found == nil {
			return nil, fmt.Errorf("the wanted list names %q, which the schema does not have", name)
		}
		for _, c := range found {
			if !m.isWant[c] {
				m.isWant[c] = true
				m.wanted = append(m.wanted, c)
			}
		}
	}
	slices.SortFunc(m.wanted, func(a, b *combinator) int { return strings.Compare(a.name, b.name) })
	return m, nil
}

// has reports whether any constructor of the type is wanted.
func (m *model) has(class string) bool {
	return slices.ContainsFunc(m.classes[class], func(c *combinator) bool { return m.isWant[c] })
}

// single is the only constructor of a type, or nil.
func (m *model) single(class string) *combinator {
	if cs := m.classes[class]; len(cs) == 1 {
		return cs[0]
	}
	return nil
}

// interfaces are the wanted types with several constructors, sorted.
func (m *model) interfaces() []string {
	var names []string
	for class, cs := range m.classes {
		if len(cs) > 1 && m.has(class) {
			names = append(names, class)
		}
	}
	slices.Sort(names)
	return names
}

// files spreads the wanted combinators over files, so that each stays small
// enough to read: functions and types apart, then by namespace; types without
// a namespace by the first letter of their type.
func (m *model) files() map[string][]*combinator {
	files := map[string][]*combinator{}
	for _, c := range m.wanted {
		name := "types"
		space, _, ok := strings.Cut(c.name, ".")
		switch {
		case c.method:
			name = "functions"
		case !ok && m.pkg == "api":
			space, ok = strings.ToLower(c.className()[:1]), true
		}
		if ok {
			name += "_" + strings.ToLower(space)
		}
		files[name] = append(files[name], c)
	}
	return files
}

// goName turns a schema name into a Go name: upload.getFile is UploadGetFile.
func goName(name string) string {
	var b strings.Builder
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '.' || r == '_' }) {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

func (c *combinator) goName() string {
	if c.method {
		return goName(c.name) + "Request"
	}
	return goName(c.name)
}

var initialisms = map[string]string{
	"id": "ID", "ids": "IDs", "dc": "DC", "url": "URL", "ip": "IP", "ttl": "TTL", "md5": "MD5", "api": "API",
}

// goField turns a field's name into Go's: file_reference is FileReference.
func goField(name string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(name, "_") {
		if s, ok := initialisms[part]; ok {
			b.WriteString(s)
			continue
		}
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

var basicGo = map[kind]string{
	kindInt: "int32", kindLong: "int64", kindDouble: "float64", kindString: "string", kindBytes: "[]byte",
	kindInt128: "[16]byte", kindInt256: "[32]byte", kindNat: "uint32", kindTrue: "bool", kindBool: "bool",
	kindObject: "tl.Object", kindQuery: "tl.Object", kindX: "tl.Raw",
}

// goType is the Go type of a value that is always there.
func (m *model) goType(t *typ) string {
	switch t.kind {
	case kindVector, kindBareVector:
		return "[]" + m.goType(t.elem)
	case kindBare:
		return m.byName[t.name].goName()
	case kindClass:
		switch {
		case !m.has(t.name):
			return "tl.Raw"
		case m.single(t.name) != nil:
			return m.single(t.name).goName()
		default:
			return goName(t.name) + "Class"
		}
	default:
		return basicGo[t.kind]
	}
}

// fieldType is the Go type of a field, which may be absent.
func (m *model) fieldType(f field) string {
	t := m.goType(f.typ)
	if f.cond == "" || f.typ.kind == kindTrue {
		return t
	}
	switch f.typ.kind {
	case kindInt, kindLong, kindDouble, kindString, kindBool:
		return "tl.Opt[" + t + "]"
	case kindInt128, kindInt256, kindBare:
		return "*" + t
	case kindClass:
		if m.has(f.typ.name) && m.single(f.typ.name) != nil {
			return "*" + t
		}
	default: // nil is absent
	}
	return t
}

// resultType is the Go type of a function's answer.
func (m *model) resultType(t *typ) string {
	if t.kind == kindClass && m.has(t.name) && m.single(t.name) != nil {
		return "*" + m.goType(t)
	}
	return m.goType(t)
}

// fixed reports whether a value is as large in Go as on the wire.
func (t *typ) fixed() bool {
	switch t.kind {
	case kindInt, kindLong, kindDouble, kindInt128, kindInt256, kindNat:
		return true
	default:
		return false
	}
}

// minSize is the least number of bytes of a value, for checking counts.
func (m *model) minSize(t *typ) int {
	switch t.kind {
	case kindLong, kindDouble:
		return 8
	case kindInt128:
		return 16
	case kindInt256:
		return 32
	default:
		return 4
	}
}
