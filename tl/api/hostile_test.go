package api

import (
	"bytes"
	"errors"
	"math"
	"runtime"
	"testing"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/internal/tlrand"
	"github.com/tghaul/haul/tl/internal/typetest"
	"github.com/tghaul/haul/tl/schema"
)

// allocated is how many bytes f allocates, whether they become free or not.
func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// pad makes b as long as a frame of 1 MiB.
func pad(e *tl.Encoder) []byte {
	return append(e.Bytes(), make([]byte, max(0, 1<<20-e.Len()))...)
}

// Lengths that promise more than there is cost nothing.
func TestHostileLengths(t *testing.T) {
	vector := func(n int32) []byte {
		var e tl.Encoder
		e.ID(MessagesMessagesID)
		e.ID(tl.VectorID)
		e.Int(n)
		return pad(&e)
	}
	longs := func(n int32) []byte { // of a type whose slice is made at once
		var e tl.Encoder
		e.ID(UpdatesID)
		e.Vector(1)
		(&UpdateDeleteChannelMessages{}).Encode(&e)
		b := e.Bytes()
		b = b[:len(b)-12] // its count, pts and pts_count
		e = *tl.NewEncoder(b)
		e.Int(n)
		return pad(&e)
	}
	text := func() []byte {
		var e tl.Encoder
		e.ID(NearestDcID)
		e.Raw([]byte{254, 0xff, 0xff, 0xff})
		return pad(&e)
	}
	tests := []struct {
		name   string
		data   []byte
		decode func(d *tl.Decoder)
	}{
		{"vector of 2^31-1", vector(math.MaxInt32), func(d *tl.Decoder) { DecodeMessagesMessages(d) }},
		{"vector of 2^31", vector(math.MinInt32), func(d *tl.Decoder) { DecodeMessagesMessages(d) }},
		{"vector that could just fit", vector(1<<18 - 3), func(d *tl.Decoder) { DecodeMessagesMessages(d) }},
		{"ints of 2^31-1", longs(math.MaxInt32), func(d *tl.Decoder) { DecodeUpdates(d) }},
		{"ints of 2^31", longs(math.MinInt32), func(d *tl.Decoder) { DecodeUpdates(d) }},
		{"ints that just fit", longs(1<<18 - 12), func(d *tl.Decoder) { DecodeUpdates(d) }},
		{"string of 16 MiB", text(), func(d *tl.Decoder) { new(NearestDc).Decode(d) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for what, read := range map[string]func(d *tl.Decoder){"generated": test.decode, "table": schema.Skip} {
				var err error
				n := allocated(func() {
					d := tl.NewDecoder(test.data)
					read(d)
					err = d.Err()
				})
				if err == nil || n > 2*len(test.data) {
					t.Errorf("%s: %d bytes allocated for %d received, error %v; want at most twice as many, and an error", what, n, len(test.data), err)
				}
			}
		})
	}
}

// A frame of 16 MiB may not cost more than 64 MiB, itself included, however
// much larger its values are in Go than on the wire.
func TestHostileDensity(t *testing.T) {
	const frame, most = 16 << 20, 64 << 20
	dense := func(id uint32, item tl.Object) []byte {
		one := tl.Marshal(item)
		n := (frame - 12) / len(one)
		e := tl.NewEncoder(make([]byte, 0, frame))
		if id != 0 {
			e.ID(id)
		}
		e.Vector(n)
		for range n {
			e.Raw(one)
		}
		return e.Bytes()
	}
	messages := func(d *tl.Decoder) { DecodeMessagesMessages(d) }
	bold := []MessageEntityClass{&MessageEntityBold{}, &MessageEntityBold{}}
	tests := []struct {
		name   string
		data   []byte
		decode func(d *tl.Decoder)
	}{
		{"users", dense(0, &User{}), func(d *tl.Decoder) { _, _ = new(UsersGetUsersRequest).DecodeResult(d) }},
		{"empty users", dense(0, &UserEmpty{}), func(d *tl.Decoder) { _, _ = new(UsersGetUsersRequest).DecodeResult(d) }},
		{"hashes", dense(0, &FileHash{}), func(d *tl.Decoder) { _, _ = new(UploadGetFileHashesRequest).DecodeResult(d) }},
		{"messages", dense(MessagesMessagesID, &Message{PeerID: &PeerUser{}}), messages},
		{"service messages", dense(MessagesMessagesID, &MessageService{PeerID: &PeerUser{}, Action: &MessageActionEmpty{}}), messages},
		{"empty messages", dense(MessagesMessagesID, &MessageEmpty{}), messages},
		{"entities", dense(MessagesMessagesID, &Message{PeerID: &PeerUser{}, Entities: bold}), messages},
		{"updates", dense(UpdatesID, &UpdateNewMessage{Message: &MessageEmpty{}}), func(d *tl.Decoder) { DecodeUpdates(d) }},
		{"JSON", dense(JsonArrayID, &JsonNull{}), func(d *tl.Decoder) { DecodeJSONValue(d) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := tl.NewDecoder(test.data)
			n := len(test.data) + allocated(func() { test.decode(d) })
			t.Logf("%d bytes for %d, then %v", n, len(test.data), d.Err())
			if n > most || d.Err() == nil {
				t.Errorf("%d bytes for a frame of %d, error %v; want at most %d and an error", n, len(test.data), d.Err(), most)
			}
		})
	}
}

// A legitimate page, of the largest kind there is, is far from the bounds.
func TestLargePage(t *testing.T) {
	wire := history(10_000)
	page, err := new(MessagesGetHistoryRequest).DecodeResult(tl.NewDecoder(wire))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(page.(*MessagesChannelMessages).Messages); n != 10_000 {
		t.Errorf("%d messages of %d bytes, want 10000", n, len(wire))
	}
}

// Values in values, a million deep, end at the 128th with an error.
func TestHostileDepth(t *testing.T) {
	nest := func(id uint32, after ...byte) []byte {
		var e tl.Encoder
		e.ID(id)
		one := append(e.Bytes(), after...)
		return bytes.Repeat(one, 1_000_000)
	}
	tests := []struct {
		name   string
		data   []byte
		decode func(d *tl.Decoder)
	}{
		{"peers", nest(InputPeerUserFromMessageID), func(d *tl.Decoder) { DecodeInputPeer(d) }},
		{"JSON arrays", nest(JsonArrayID, 0x15, 0xc4, 0xb5, 0x1c, 1, 0, 0, 0), func(d *tl.Decoder) { DecodeJSONValue(d) }},
		{"rich texts", nest(id(t, "textBold")), func(d *tl.Decoder) { schema.ReadClass(d, "RichText") }},
		{"queries", nest(InvokeWithoutUpdatesRequestID), schema.Skip},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for what, read := range map[string]func(d *tl.Decoder){"decode": test.decode, "table": schema.Skip} {
				d := tl.NewDecoder(test.data)
				if read(d); !errors.Is(d.Err(), tl.ErrDepth) {
					t.Errorf("%s: error %v, want %v", what, d.Err(), tl.ErrDepth)
				}
			}
			if _, _, err := schema.AppendJSON(nil, test.data); !errors.Is(err, tl.ErrDepth) {
				t.Errorf("JSON: error %v, want %v", err, tl.ErrDepth)
			}
		})
	}
}

func id(t *testing.T, name string) uint32 {
	t.Helper()
	c, ok := schema.ByName(name)
	if !ok {
		t.Fatalf("no %s in the table", name)
	}
	return c.ID
}

// FuzzTypes gives hostile fields to every type and call.
func FuzzTypes(f *testing.F) {
	g := tlrand.New(7)
	for i, zero := range allTypes {
		c, _ := schema.Lookup(zero().TypeID())
		f.Add(uint16(i), g.Boxed(c, 2)[4:])
	}
	f.Fuzz(suite.Hostile)
}

// FuzzAnswers gives hostile answers to every call.
func FuzzAnswers(f *testing.F) {
	g := tlrand.New(8)
	var calls []*schema.Combinator
	for _, zero := range allTypes {
		if c, ok := schema.Lookup(zero().TypeID()); ok && c.Function {
			f.Add(uint16(len(calls)), g.Value(c.Result, 2))
			calls = append(calls, c)
		}
	}
	f.Fuzz(func(t *testing.T, n uint16, data []byte) {
		c := calls[int(n)%len(calls)]
		err := allResults[c.Name](tl.NewDecoder(data))
		if err != nil || c.Generic || c.Result.Kind != schema.Class {
			return
		}
		if size, err := schema.Measure(data); size != len(data) || err != nil {
			t.Fatalf("%s took an answer of %d bytes, of which the table says %d, error %v\n%x", c.Name, len(data), size, err, data)
		}
	})
}

// FuzzRequests gives hostile calls to the reader of the simulated cluster.
func FuzzRequests(f *testing.F) {
	g := tlrand.New(9)
	for _, zero := range allTypes {
		if c := zero(); typetest.Combinator(&testing.T{}, c).Function {
			f.Add(g.Boxed(typetest.Combinator(&testing.T{}, c), 2))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := DecodeRequest(tl.NewDecoder(data))
		if err != nil {
			return
		}
		once := tl.Marshal(v)
		again, err := DecodeRequest(tl.NewDecoder(once))
		if err != nil || !bytes.Equal(tl.Marshal(again), once) {
			t.Fatalf("%s: re-encoding is not stable, error %v\n%x", v.TypeName(), err, once)
		}
	})
}
