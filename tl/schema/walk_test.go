package schema_test

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/internal/tlrand"
	"github.com/tghaul/haul/tl/schema"
)

func TestMeasureRandomValues(t *testing.T) {
	const seed = 1
	t.Logf("seed %d", seed)
	g := tlrand.New(seed)
	for c := range schema.All() {
		for range 5 {
			wire := g.Boxed(c, 3)
			if n, err := schema.Measure(append(bytes.Clone(wire), 1, 2, 3)); n != len(wire) || err != nil {
				t.Fatalf("%s measures %d bytes, error %v; want %d\n%x", c.Name, n, err, len(wire), wire)
			}
			// No value is the beginning of another.
			cut := g.IntN(len(wire))
			if n, err := schema.Measure(wire[:cut]); err == nil {
				t.Fatalf("%s measures %d bytes when cut to %d of %d\n%x", c.Name, n, cut, len(wire), wire)
			}
		}
	}
}

func TestReadRaw(t *testing.T) {
	const seed = 2
	t.Logf("seed %d", seed)
	g := tlrand.New(seed)
	message, query := combinator(t, "message"), combinator(t, "initConnection")
	first, second := g.Boxed(message, 3), g.Boxed(query, 3)
	all := append(bytes.Clone(first), second...)
	d := tl.NewDecoder(all)
	for i, want := range [][]byte{first, second} {
		if got := schema.ReadRaw(d); !bytes.Equal(got, want) {
			t.Errorf("value %d is\n%x, want\n%x", i, got, want)
		}
	}
	if err := d.End(); err != nil {
		t.Error(err)
	}
	d = tl.NewDecoder(all)
	raw := schema.ReadClass(d, "Message")
	if all[0]++; raw == nil || raw[0] != all[0] {
		t.Errorf("the value does not alias its input, error %v", d.Err())
	}
	all[0]--
	if _ = append(raw, 0xaa); !bytes.Equal(all[len(first):], second) {
		t.Error("appending to a value wrote over what follows it")
	}
}

func TestWalkRefuses(t *testing.T) {
	id := func(name string) uint32 { return combinator(t, name).ID }
	value := func(ids ...uint32) []byte {
		var e tl.Encoder
		for _, id := range ids {
			e.ID(id)
		}
		return e.Bytes()
	}
	tests := []struct {
		name string
		data []byte
		want error
	}{
		{"nothing", nil, tl.ErrShort},
		{"half an id", []byte{1, 2}, tl.ErrShort},
		{"a vector of who knows what", value(tl.VectorID, 0), unknown(tl.VectorID, "")},
		{"an unknown id", value(0x12345678), unknown(0x12345678, "")},
		{"a constructor of another type", value(id("inputPeerUserFromMessage"), id("peerUser")), unknown(id("peerUser"), "InputPeer")},
		{"a function for a value", value(id("inputPeerUserFromMessage"), id("updates.getState")), unknown(id("updates.getState"), "InputPeer")},
		{"a value for a query", value(id("invokeWithoutUpdates"), id("true")), unknown(id("true"), "!X")},
		{"a query for an Object", append(value(id("rpc_result"), 0, 0), value(id("updates.getState"))...), unknown(id("updates.getState"), "")},
		{"a wrong Bool", value(id("jsonBool"), id("true")), unknown(id("true"), "Bool")},
		{"a wrong Vector", value(id("jsonArray"), id("true")), unknown(id("true"), "Vector")},
		{"an unknown flag", value(id("upload.getFile"), 1<<2), tl.ErrValue},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n, err := schema.Measure(test.data)
			var got, want *tl.UnknownConstructorError
			if errors.As(test.want, &want) {
				if !errors.As(err, &got) || got.ID != want.ID || got.Want != want.Want {
					t.Errorf("%d bytes, error %v; want %v", n, err, want)
				}
			} else if !errors.Is(err, test.want) {
				t.Errorf("%d bytes, error %v; want %v", n, err, test.want)
			}
			out, _, jsonErr := schema.AppendJSON([]byte("before"), test.data)
			if jsonErr == nil || jsonErr.Error() != err.Error() || string(out) != "before" {
				t.Errorf("JSON %q, error %v; want %q and the same error as Measure, %v", out, jsonErr, "before", err)
			}
			d := tl.NewDecoder(test.data)
			if raw := schema.ReadRaw(d); raw != nil || d.Err() == nil {
				t.Errorf("ReadRaw gave %x, error %v; want an error", raw, d.Err())
			}
		})
	}
}

func unknown(id uint32, want string) error {
	return &tl.UnknownConstructorError{ID: id, Want: want}
}

func combinator(t testing.TB, name string) *schema.Combinator {
	t.Helper()
	c, ok := schema.ByName(name)
	if !ok {
		t.Fatalf("the table has no %s", name)
	}
	return c
}

// The walk itself allocates next to nothing, whatever the lengths say.
func TestMeasureAllocations(t *testing.T) {
	wire := tlrand.New(3).Boxed(combinator(t, "messages.channelMessages"), 5)
	if n := testing.AllocsPerRun(20, func() {
		if _, err := schema.Measure(wire); err != nil {
			t.Fatal(err)
		}
	}); n > 2 {
		t.Errorf("%v allocations for %d bytes, want at most 2", n, len(wire))
	}
	var e tl.Encoder
	e.ID(combinator(t, "msgs_ack").ID)
	e.Vector(math.MaxInt32)
	if n := testing.AllocsPerRun(20, func() { _, _ = schema.Measure(e.Bytes()) }); n > 10 {
		t.Errorf("%v allocations for a hostile vector, want those of the error only", n)
	}
}

// FuzzMeasure: the walk never panics, and what it takes for a value is one
// wherever it stands.
func FuzzMeasure(f *testing.F) {
	seeds(f, 4)
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := schema.Measure(data)
		if err != nil {
			return
		}
		if n < 4 || n > len(data) {
			t.Fatalf("a value of %d bytes in %d", n, len(data))
		}
		exact, err := schema.Measure(data[:n])
		if exact != n || err != nil {
			t.Fatalf("%d bytes alone measure %d, error %v", n, exact, err)
		}
		d := tl.NewDecoder(append(append([]byte("head"), data[:n]...), "tail"...))
		d.Take(4)
		if schema.Skip(d); d.Err() != nil || string(d.Rest()) != "tail" {
			t.Fatalf("skipping leaves %q, error %v", d.Rest(), d.Err())
		}
	})
}

// seeds gives a fuzz target a few values of all kinds.
func seeds(f *testing.F, seed uint64) {
	g := tlrand.New(seed)
	for c := range schema.All() {
		if g.IntN(8) == 0 {
			f.Add(g.Boxed(c, 2))
		}
	}
}

func BenchmarkMeasure(b *testing.B) {
	wire := tlrand.New(3).Boxed(combinator(b, "messages.channelMessages"), 5)
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := schema.Measure(wire); err != nil {
			b.Fatal(err)
		}
	}
}
