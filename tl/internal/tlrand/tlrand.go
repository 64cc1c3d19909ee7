// Package tlrand makes random values of the schema, for tests: what the table
// calls valid, it makes, in the one form that encoders write.
package tlrand

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/schema"
)

// A Gen makes values out of one source of randomness.
type Gen struct {
	*rand.Rand
	// Skip, if set, names constructors and functions not to be used where
	// there is a choice.
	Skip func(c *schema.Combinator) bool
}

// New returns a generator that makes the same values for the same seed.
func New(seed uint64) *Gen { return &Gen{Rand: rand.New(rand.NewPCG(seed, 1))} }

// Boxed returns a random call or value of c. Values nest about depth deep.
func (g *Gen) Boxed(c *schema.Combinator, depth int) []byte {
	var e tl.Encoder
	g.boxed(&e, c, depth)
	return e.Bytes()
}

// Value returns a random value of the type t.
func (g *Gen) Value(t *schema.Type, depth int) []byte {
	var e tl.Encoder
	g.value(&e, t, depth)
	return e.Bytes()
}

func (g *Gen) boxed(e *tl.Encoder, c *schema.Combinator, depth int) {
	e.ID(c.ID)
	g.fields(e, c, depth)
}

func (g *Gen) fields(e *tl.Encoder, c *schema.Combinator, depth int) {
	var words []uint32
	for i, f := range c.Fields {
		switch {
		case f.Type.Kind == schema.Nat:
			words = append(words, g.flags(c, len(words), i, depth))
			e.Nat(words[len(words)-1])
		case f.Word >= 0 && words[f.Word]&(1<<f.Bit) == 0:
		default:
			g.value(e, f.Type, depth-1)
		}
	}
}

// flags chooses which optional fields of a word are there: fewer the deeper.
func (g *Gen) flags(c *schema.Combinator, word, from, depth int) (flags uint32) {
	odds := [...]int{0, 2, 5, 10}[g.IntN(4)] // of ten
	for _, f := range c.Fields[from:] {
		if f.Word == word && g.IntN(10) < odds && (depth > 0 || f.Type.Kind == schema.True) {
			flags |= 1 << f.Bit
		}
	}
	return flags
}

func (g *Gen) value(e *tl.Encoder, t *schema.Type, depth int) {
	switch t.Kind {
	case schema.Int, schema.Nat:
		e.Nat(g.Uint32() >> g.IntN(32))
	case schema.Long:
		e.Long(int64(g.Uint64() >> g.IntN(64)))
	case schema.Double: // a number: there are many NaN, which only bits tell apart
		e.Double([]float64{0, math.Copysign(0, -1), math.Inf(1), g.NormFloat64(), math.Ldexp(g.Float64(), 1000-g.IntN(2000))}[g.IntN(5)])
	case schema.Int128:
		e.Raw(g.bytes(16))
	case schema.Int256:
		e.Raw(g.bytes(32))
	case schema.String:
		e.String(g.text())
	case schema.Bytes:
		e.Blob(g.bytes(g.length()))
	case schema.Bool:
		e.Bool(g.IntN(2) == 0)
	case schema.True:
	case schema.Vector:
		n := g.count(depth)
		e.Vector(n)
		g.items(e, t.Elem, n, depth)
	case schema.BareVector:
		n := g.count(depth)
		e.Count(n)
		g.items(e, t.Elem, n, depth)
	case schema.Bare:
		c, ok := schema.ByName(t.Name)
		if !ok {
			panic("tlrand: no constructor " + t.Name)
		}
		g.fields(e, c, depth)
	case schema.Class, schema.Object, schema.Query:
		g.boxed(e, g.choose(t, depth), depth)
	case schema.Result: // of a call whose query is unknown: anything
		g.boxed(e, g.choose(&schema.Type{Kind: schema.Object}, depth), depth)
	}
}

func (g *Gen) items(e *tl.Encoder, t *schema.Type, n, depth int) {
	for range n {
		g.value(e, t, depth-1)
	}
}

func (g *Gen) count(depth int) int {
	if depth <= 0 {
		return 0
	}
	return []int{0, 1, 1, 2, 3, 20}[g.IntN(6)]
}

func (g *Gen) length() int {
	switch g.IntN(10) {
	case 0:
		return 250 + g.IntN(10) // about where the header changes
	case 1:
		return g.IntN(3000)
	default:
		return g.IntN(20)
	}
}

func (g *Gen) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return b
}

// text is mostly valid UTF-8, with all that a printer must take care of.
func (g *Gen) text() string {
	if g.IntN(10) == 0 {
		return string(g.bytes(g.length()))
	}
	letters := []rune("ab \"\\/<>&\x00\x1f\n\t\u007fäя\u2028\ufffd\U0001f600")
	text := make([]rune, g.length())
	for i := range text {
		text[i] = letters[g.IntN(len(letters))]
	}
	return string(text)
}

// choose picks a combinator for a type: a shallow one once depth is used up.
func (g *Gen) choose(t *schema.Type, depth int) *schema.Combinator {
	all := candidates()[*t]
	if len(all) == 0 {
		panic(fmt.Sprintf("tlrand: nothing is a %s", t))
	}
	for range 20 {
		c := all[g.IntN(len(all))]
		if depth <= 0 {
			c = all[0]
		}
		if g.Skip == nil || !g.Skip(c) {
			return c
		}
		if depth <= 0 {
			break
		}
	}
	for _, c := range all {
		if g.Skip == nil || !g.Skip(c) {
			return c
		}
	}
	return all[0]
}

// candidates are the combinators of each type that has a choice, those of the
// least depth first.
var candidates = sync.OnceValue(func() map[schema.Type][]*schema.Combinator {
	types := map[schema.Type][]*schema.Combinator{}
	least := map[*schema.Combinator]int{}
	// Each round adds what is made only of what the rounds before added.
	for round := 0; ; round++ {
		var found []*schema.Combinator
		for c := range schema.All() {
			if _, done := least[c]; !done && possible(c, types) {
				found = append(found, c)
			}
		}
		if len(found) == 0 {
			return types
		}
		for _, c := range found {
			least[c] = round
			t := schema.Type{Kind: schema.Query}
			if !c.Function {
				t = schema.Type{Kind: schema.Object}
				if c.Result.Kind == schema.Class {
					class := *c.Result
					types[class] = append(types[class], c)
				}
			}
			types[t] = append(types[t], c)
		}
	}
})

// possible reports whether the fields that c always has can be made of types.
func possible(c *schema.Combinator, types map[schema.Type][]*schema.Combinator) bool {
	for _, f := range c.Fields {
		switch f.Type.Kind {
		case schema.Class, schema.Object, schema.Query:
			if f.Word < 0 && len(types[*f.Type]) == 0 {
				return false
			}
		default: // vectors can be empty
		}
	}
	return true
}
