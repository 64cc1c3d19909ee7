package tl_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/tghaul/haul/tl"
)

// The bytes on the wire, as the protocol's description and the implementations
// that follow it have them.
func TestPrimitives(t *testing.T) {
	tests := []struct {
		name   string
		encode func(e *tl.Encoder)
		decode func(d *tl.Decoder) any
		want   any
		wire   string
	}{
		{"int -1", func(e *tl.Encoder) { e.Int(-1) }, func(d *tl.Decoder) any { return d.Int() }, int32(-1), "ffffffff"},
		{"nat", func(e *tl.Encoder) { e.Nat(0x80000001) }, func(d *tl.Decoder) any { return d.Nat() }, uint32(0x80000001), "01000080"},
		{"long", func(e *tl.Encoder) { e.Long(0x0102030405060708) }, func(d *tl.Decoder) any { return d.Long() }, int64(0x0102030405060708), "0807060504030201"},
		{"long least", func(e *tl.Encoder) { e.Long(math.MinInt64) }, func(d *tl.Decoder) any { return d.Long() }, int64(math.MinInt64), "0000000000000080"},
		{"double", func(e *tl.Encoder) { e.Double(1.5) }, func(d *tl.Decoder) any { return d.Double() }, 1.5, "000000000000f83f"},
		{"int128", func(e *tl.Encoder) { e.Int128([16]byte{1, 15: 16}) }, func(d *tl.Decoder) any { return d.Int128() }, [16]byte{1, 15: 16}, "01000000000000000000000000000010"},
		{"int256", func(e *tl.Encoder) { e.Int256([32]byte{31: 2}) }, func(d *tl.Decoder) any { return d.Int256() }, [32]byte{31: 2}, strings.Repeat("00", 31) + "02"},
		{"true", func(e *tl.Encoder) { e.Bool(true) }, func(d *tl.Decoder) any { return d.Bool() }, true, "b5757299"},
		{"false", func(e *tl.Encoder) { e.Bool(false) }, func(d *tl.Decoder) any { return d.Bool() }, false, "379779bc"},
		{"string empty", func(e *tl.Encoder) { e.String("") }, func(d *tl.Decoder) any { return d.String() }, "", "00000000"},
		{"string 1", func(e *tl.Encoder) { e.String("a") }, func(d *tl.Decoder) any { return d.String() }, "a", "01610000"},
		{"string 2", func(e *tl.Encoder) { e.String("ab") }, func(d *tl.Decoder) any { return d.String() }, "ab", "02616200"},
		{"string 3", func(e *tl.Encoder) { e.String("abc") }, func(d *tl.Decoder) any { return d.String() }, "abc", "03616263"},
		{"string 4", func(e *tl.Encoder) { e.String("abcd") }, func(d *tl.Decoder) any { return d.String() }, "abcd", "0461626364000000"},
		{"string 253", func(e *tl.Encoder) { e.String(strings.Repeat("\xaa", 253)) }, func(d *tl.Decoder) any { return d.String() }, strings.Repeat("\xaa", 253), "fd" + strings.Repeat("aa", 253) + "0000"},
		{"string 254", func(e *tl.Encoder) { e.String(strings.Repeat("\xaa", 254)) }, func(d *tl.Decoder) any { return d.String() }, strings.Repeat("\xaa", 254), "fefe0000" + strings.Repeat("aa", 254) + "0000"},
		{"string 1024", func(e *tl.Encoder) { e.String(strings.Repeat("\xaa", 1024)) }, func(d *tl.Decoder) any { return d.String() }, strings.Repeat("\xaa", 1024), "fe000400" + strings.Repeat("aa", 1024)},
		{"bytes", func(e *tl.Encoder) { e.Blob([]byte("ab")) }, func(d *tl.Decoder) any { return string(d.Blob()) }, "ab", "02616200"},
		{"bytes in place", func(e *tl.Encoder) { copy(e.BlobSpace(3), "abc") }, func(d *tl.Decoder) any { return string(d.Blob()) }, "abc", "03616263"},
		{"bytes in place, long", func(e *tl.Encoder) { copy(e.BlobSpace(255), strings.Repeat("z", 255)) }, func(d *tl.Decoder) any { return len(d.Blob()) }, 255, "feff0000" + strings.Repeat("7a", 255) + "00"},
		{"vector", func(e *tl.Encoder) { e.Vector(2); e.Long(1); e.Long(2) }, func(d *tl.Decoder) any { return fmt.Sprint(d.Vector(8), d.Long(), d.Long()) }, "2 1 2", "15c4b51c0200000001000000000000000200000000000000"},
		{"bare vector", func(e *tl.Encoder) { e.Count(1); e.Int(7) }, func(d *tl.Decoder) any { return fmt.Sprint(d.Count(4), d.Int()) }, "1 7", "0100000007000000"},
		{"raw", func(e *tl.Encoder) { e.Raw([]byte{1, 2, 3, 4}) }, func(d *tl.Decoder) any { return string(d.Take(4)) }, "\x01\x02\x03\x04", "01020304"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			// The encoder appends to what there is, dirt behind it included.
			e := tl.NewEncoder(bytes.Repeat([]byte{0xee}, 4096)[:4])
			test.encode(e)
			got := e.Bytes()[4:]
			if hex.EncodeToString(got) != test.wire {
				t.Fatalf("encoded %x, want %s", got, test.wire)
			}
			if len(got)%4 != 0 {
				t.Errorf("length %d is no multiple of 4", len(got))
			}
			d := tl.NewDecoder(got)
			if v := test.decode(d); v != test.want {
				t.Errorf("decoded %v, want %v", v, test.want)
			}
			if err := d.End(); err != nil {
				t.Errorf("End: %v", err)
			}
			// Every byte is needed.
			for cut := range got {
				d := tl.NewDecoder(got[:cut])
				test.decode(d)
				if !errors.Is(d.Err(), tl.ErrShort) {
					t.Fatalf("of %d bytes %d were enough: error %v", len(got), cut, d.Err())
				}
			}
		})
	}
}

func TestDecoderRefuses(t *testing.T) {
	tests := []struct {
		name string
		wire string
		read func(d *tl.Decoder)
		want error
	}{
		{"string of 7-byte length", "ff00000001000000", func(d *tl.Decoder) { d.Blob() }, tl.ErrValue},
		{"string past the end", "feffffff" + "00000000", func(d *tl.Decoder) { d.Blob() }, tl.ErrShort},
		{"string without padding", "0161", func(d *tl.Decoder) { d.Blob() }, tl.ErrShort},
		{"vector of 2^31-1", "15c4b51cffffff7f", func(d *tl.Decoder) { d.Vector(4) }, tl.ErrShort},
		{"vector of 2^31", "15c4b51c00000080", func(d *tl.Decoder) { d.Vector(4) }, tl.ErrShort},
		{"vector of -1", "15c4b51cffffffff", func(d *tl.Decoder) { d.Vector(4) }, tl.ErrShort},
		{"vector that nearly fits", "15c4b51c0200000000000000", func(d *tl.Decoder) { d.Vector(4) }, tl.ErrShort},
		{"vector with least size 0", "15c4b51c0500000000000000", func(d *tl.Decoder) { d.Vector(0) }, tl.ErrShort},
		{"bytes left over", "0000000000000000", func(d *tl.Decoder) { d.Int(); _ = d.End() }, tl.ErrValue},
		{"negative take", "00000000", func(d *tl.Decoder) { d.Take(-1) }, tl.ErrShort},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wire, err := hex.DecodeString(test.wire)
			if err != nil {
				t.Fatal(err)
			}
			d := tl.NewDecoder(wire)
			test.read(d)
			if !errors.Is(d.Err(), test.want) {
				t.Errorf("error %v, want %v", d.Err(), test.want)
			}
		})
	}
}

func TestUnknownConstructor(t *testing.T) {
	d := tl.NewDecoder([]byte{0x78, 0x56, 0x34, 0x02})
	d.Bool()
	var unknown *tl.UnknownConstructorError
	if !errors.As(d.Err(), &unknown) || unknown.ID != 0x02345678 || unknown.Want != "Bool" {
		t.Fatalf("error %v, want one of constructor 0x02345678 where Bool was expected", d.Err())
	}
	tests := []struct {
		err  tl.UnknownConstructorError
		want string
	}{
		{tl.UnknownConstructorError{ID: 0x2345678, Want: "Bool"}, "tl: constructor 0x02345678 is none of Bool"},
		{tl.UnknownConstructorError{ID: 1}, "tl: unknown constructor 0x00000001"},
		{tl.UnknownConstructorError{ID: 1, Want: "Peer", Layer: 228}, "tl: constructor 0x00000001 is none of Peer in layer 228"},
	}
	for _, test := range tests {
		if got := test.err.Error(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

// The first error stays, and with it the place where it happened.
func TestErrorSticks(t *testing.T) {
	d := tl.NewDecoder([]byte{1, 0, 0, 0, 2, 0, 0, 0, 9})
	d.Int()
	d.Long()
	first := d.Err()
	if first == nil || !strings.Contains(first.Error(), "at byte 4") {
		t.Fatalf("error %v, want one at byte 4", first)
	}
	if n := d.Int(); n != 0 {
		t.Errorf("Int after an error is %d, want 0", n)
	}
	if b := d.Take(1); b != nil {
		t.Errorf("Take after an error is %v, want nil", b)
	}
	if id := d.PeekID(); id != 0 {
		t.Errorf("PeekID after an error is %#x, want 0", id)
	}
	d.Fail(errors.New("another"))
	if !errors.Is(d.Err(), first) || d.Enter() || d.Charge(0) {
		t.Errorf("error became %v, or the decoder went on after it", d.Err())
	}
}

func TestBlobAliases(t *testing.T) {
	var e tl.Encoder
	e.Blob([]byte("part"))
	wire := e.Bytes()
	d := tl.NewDecoder(wire)
	blob := d.Blob()
	wire[1] = 'P'
	if string(blob) != "Part" {
		t.Errorf("blob is %q, want it to alias the input", blob)
	}
	if grown := append(blob, '!'); wire[5] == '!' {
		t.Errorf("appending to the blob wrote %q over what follows it", grown)
	}
	d = tl.NewDecoder([]byte{0, 0, 0, 0})
	if empty := d.Blob(); empty == nil || len(empty) != 0 {
		t.Errorf("an empty blob is %#v, want one that is not nil", empty)
	}
}

func TestDepth(t *testing.T) {
	d := tl.NewDecoder(nil)
	for i := range tl.MaxDepth {
		if !d.Enter() {
			t.Fatalf("refused at depth %d, want %d allowed", i, tl.MaxDepth)
		}
	}
	if d.Enter() || !errors.Is(d.Err(), tl.ErrDepth) {
		t.Errorf("depth %d: error %v, want %v", tl.MaxDepth+1, d.Err(), tl.ErrDepth)
	}
	d = tl.NewDecoder(nil)
	for range 10 * tl.MaxDepth { // side by side is not deep
		if !d.Enter() {
			t.Fatal(d.Err())
		}
		d.Leave()
	}
}

func TestBudget(t *testing.T) {
	const input = 1 << 20
	d := tl.NewDecoder(make([]byte, input))
	n := 0
	for d.Charge(1 << 20) {
		n++
	}
	if !errors.Is(d.Err(), tl.ErrSize) || n != 10 {
		t.Errorf("of %d bytes of input came %d MiB, then %v; want 10 MiB and %v", input, n, d.Err(), tl.ErrSize)
	}
	d = tl.NewDecoder(nil)
	items := tl.MakeSlice[[1 << 10]byte](d, 0)
	for tl.Extend(d, &items) {
		if len(items) > 1<<14 {
			t.Fatal("a slice of 16 MiB grew out of no input")
		}
	}
	if len(items) == 0 || !errors.Is(d.Err(), tl.ErrSize) {
		t.Errorf("%d items, then %v; want some, then %v", len(items), d.Err(), tl.ErrSize)
	}
	if v := tl.New[[1 << 20]byte](tl.NewDecoder(nil)); v == nil {
		t.Error("New returned nil")
	}
}

func TestLongStringPanics(t *testing.T) {
	for name, encode := range map[string]func(e *tl.Encoder){
		"String":    func(e *tl.Encoder) { e.String(strings.Repeat("a", 1<<24)) },
		"Blob":      func(e *tl.Encoder) { e.Blob(make([]byte, 1<<24)) },
		"BlobSpace": func(e *tl.Encoder) { e.BlobSpace(1 << 24) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("2^24 bytes were encoded, want a panic")
				}
			}()
			encode(new(tl.Encoder))
		})
	}
}

func TestRaw(t *testing.T) {
	r := tl.Raw{0xb5, 0x75, 0x72, 0x99}
	if r.TypeID() != tl.BoolTrueID {
		t.Errorf("id %#x, want %#x", r.TypeID(), tl.BoolTrueID)
	}
	if got := tl.Marshal(r); !bytes.Equal(got, r) {
		t.Errorf("encoded %x, want %x", got, r)
	}
	if id := tl.Raw(nil).TypeID(); id != 0 {
		t.Errorf("id of nothing is %#x, want 0", id)
	}
}

// FuzzDecoder reads data by a script of one-byte operations. Whatever comes,
// reading stays inside the data, an error sticks, and what was read encodes
// to something that reads the same.
func FuzzDecoder(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, bytes.Repeat([]byte{1, 2, 3, 4}, 64))
	f.Add([]byte{6, 6}, []byte("\xfe\x01\x00\x00a\x00\x00\x00\x03abc"))
	f.Add([]byte{8, 1, 9}, []byte("\x15\xc4\xb5\x1c\x02\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\x7f"))
	f.Fuzz(func(t *testing.T, script, data []byte) {
		first, again := tl.NewDecoder(data), &tl.Encoder{}
		for _, op := range script {
			before := first.Offset()
			step(first, again, op)
			if at := first.Offset(); at < before || at > len(data) || first.Remaining() != len(data)-at {
				t.Fatalf("op %d moved from %d to %d of %d, %d remaining", op, before, at, len(data), first.Remaining())
			}
			if first.Err() != nil {
				before := first.Offset()
				if b := first.Take(1); b != nil || first.Offset() != before {
					t.Fatalf("read on after %v", first.Err())
				}
				return
			}
		}
		second, same := tl.NewDecoder(again.Bytes()), &tl.Encoder{}
		for _, op := range script {
			step(second, same, op)
		}
		if err := second.End(); err != nil || !bytes.Equal(again.Bytes(), same.Bytes()) {
			t.Fatalf("re-encoding is not stable: %v\n%x\n%x", err, again.Bytes(), same.Bytes())
		}
	})
}

// step reads one value from d and writes it to e.
func step(d *tl.Decoder, e *tl.Encoder, op byte) {
	switch op % 10 {
	case 0:
		e.Int(d.Int())
	case 1:
		e.Long(d.Long())
	case 2:
		e.Double(d.Double())
	case 3:
		e.Int128(d.Int128())
	case 4:
		e.Int256(d.Int256())
	case 5:
		e.Bool(d.Bool())
	case 6:
		b := d.Blob()
		copy(e.BlobSpace(len(b)), b)
	case 7:
		e.String(d.String())
	case 8:
		n := d.Vector(4)
		e.Vector(n)
		for range n {
			e.Int(d.Int())
		}
	case 9:
		n := d.Count(1)
		e.Count(n)
		e.Raw(d.Take(n))
	}
}
