package mt

import (
	"errors"
	"testing"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/internal/tlrand"
	"github.com/tghaul/haul/tl/internal/typetest"
)

type object = typetest.Object

func result[R any](q tl.Method[R], d *tl.Decoder) error { return typetest.Result(q, d) }

var suite = typetest.Suite{Types: allTypes, Results: allResults}

func TestRandomValues(t *testing.T) { suite.Random(t, 1, 200) }

func TestRandomAnswers(t *testing.T) { suite.Answers(t, 2, 100) }

func TestDecode(t *testing.T) {
	const seed = 3
	t.Logf("seed %d", seed)
	g := tlrand.New(seed)
	for _, zero := range allTypes {
		want := zero()
		v, err := Decode(tl.NewDecoder(g.Boxed(typetest.Combinator(t, want), 2)))
		if err != nil || v.TypeName() != want.TypeName() {
			t.Errorf("got %v, error %v; want %s", v, err, want.TypeName())
		}
	}
	var unknown *tl.UnknownConstructorError
	if v, err := Decode(tl.NewDecoder([]byte{1, 2, 3, 4})); !errors.As(err, &unknown) || unknown.ID != 0x04030201 {
		t.Errorf("got %v, error %v; want one about the constructor 0x04030201", v, err)
	}
	if v, err := Decode(tl.NewDecoder([]byte{1, 2, 3})); !errors.Is(err, tl.ErrShort) {
		t.Errorf("got %v, error %v; want %v", v, err, tl.ErrShort)
	}
}

// FuzzDecode gives hostile fields to every type of the service schema.
func FuzzDecode(f *testing.F) {
	g := tlrand.New(4)
	for i, zero := range allTypes {
		c := typetest.Combinator(&testing.T{}, zero())
		f.Add(uint16(i), g.Boxed(c, 2)[4:])
	}
	f.Fuzz(suite.Hostile)
}
