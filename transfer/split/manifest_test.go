package split

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func example() Manifest {
	return Manifest{Name: "film.mkv", Size: 25, SHA256: Sum{9}, Pieces: []Piece{
		{Name: "film.mkv.001", Size: 10, SHA256: Sum{1}, Message: 5, Document: 1 << 60},
		{Name: "film.mkv.002", Size: 10, SHA256: Sum{2}, Message: 6, Document: 2},
		{Name: "film.mkv.003", Size: 5, SHA256: Sum{3}, Message: 7, Document: 3},
	}}
}

func TestManifest(t *testing.T) {
	t.Parallel()
	b, err := example().Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(b)
	want := example()
	want.Format, want.Count = format, 3
	if err != nil || !reflect.DeepEqual(*got, want) {
		t.Errorf("Parse = %+v, %v; want %+v", got, err, want)
	}
	for name, c := range map[string]struct{ old, new string }{
		"a path":              {`"film.mkv"`, `"../film.mkv"`},
		"a Windows path":      {`"film.mkv"`, `"..\\film.mkv"`},
		"no name":             {`"film.mkv"`, `""`},
		"a piece elsewhere":   {`"film.mkv.002"`, `"../../film.mkv.002"`},
		"a piece twice":       {`"film.mkv.002"`, `"film.mkv.001"`},
		"another size":        {`"size": 25`, `"size": 26`},
		"too large":           {`"size": 25`, `"size": 17592186044417`},
		"negative":            {`"size": 25`, `"size": -25`},
		"a piece of nothing":  {`"size": 5,`, `"size": 0,`},
		"an overflow":         {`"size": 5,`, `"size": 9223372036854775807,`},
		"the last is longest": {`"size": 25`, `"size": 40`},
		"a wrong count":       {`"count": 3`, `"count": 4`},
		"an unknown field":    {`"count": 3`, `"offset": 1, "count": 3`},
		"another format":      {`haul split 1`, `haul split 2`},
		"half a hash":         {`"sha256": "02`, `"sha256": "`},
		"no hash":             {`"sha256": "02`, `"sha256": "zz`},
		"a message below 0":   {`"message": 5`, `"message": -5`},
		"more after it":       {"\n}\n", "\n} {}\n"},
	} {
		bad := strings.Replace(string(b), c.old, c.new, 1)
		if name == "the last is longest" {
			bad = strings.Replace(bad, `"size": 5,`, `"size": 20,`, 1)
		}
		if _, err := Parse([]byte(bad)); !errors.Is(err, ErrManifest) || bad == string(b) {
			t.Errorf("%s: %v, want ErrManifest", name, err)
		}
	}
	if _, err := Parse(bytes.Repeat([]byte(" "), MaxManifest+1)); !errors.Is(err, ErrManifest) {
		t.Errorf("too long: %v", err)
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ size, piece, last, count int64 }{{25, 10, 5, 3}, {20, 10, 10, 2}, {21, 10, 1, 3}, {9, 10, 9, 1}, {9999, 1, 1, 9999}} {
		plan, err := PlanOf("x", c.size, c.piece)
		if err != nil || int64(len(plan)) != c.count || plan[len(plan)-1].Size != c.last || plan[len(plan)-1].Offset+c.last != c.size {
			t.Errorf("PlanOf(%d, %d) = %v, %v", c.size, c.piece, plan, err)
		}
		for _, p := range plan {
			if !IsPiece(p.Name) {
				t.Errorf("%s is not known as a piece", p.Name)
			}
		}
	}
	if _, err := PlanOf("x", 10_000, 1); err == nil {
		t.Error("10,000 pieces are planned")
	}
	for name, want := range map[string]bool{"a.001": true, "a.1000": true, "a.12": false, ".001": false, "a": false, "a.0x1": false, "a.": false} {
		if IsPiece(name) != want {
			t.Errorf("IsPiece(%q) = %v", name, !want)
		}
	}
}

// Whatever is parsed, what is believed adds up, and can be written again.
func FuzzManifest(f *testing.F) {
	b, err := example().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"format":"haul split 1","name":"a","size":1,"count":1,"pieces":[{"name":"a.001","size":1}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		sum := int64(0)
		for _, p := range m.Pieces {
			sum += p.Size
		}
		again, err := m.Encode()
		if err != nil || sum != m.Size || strings.ContainsAny(m.Name, "/\\") {
			t.Fatalf("%+v: %v", m, err)
		}
		if twice, err := Parse(again); err != nil || !reflect.DeepEqual(m, twice) {
			t.Fatalf("%+v became %+v, %v", m, twice, err)
		}
	})
}

// A file of one piece is nothing that was sent in pieces: joining it would rename
// whatever has those bytes.
func TestOnePiece(t *testing.T) {
	t.Parallel()
	m := Manifest{Name: "x", Size: 1, Pieces: []Piece{{Name: "x.001", Size: 1}}}
	if _, err := m.Encode(); !errors.Is(err, ErrManifest) {
		t.Errorf("%v, want ErrManifest", err)
	}
}
