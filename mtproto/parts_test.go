package mtproto

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/mt"
)

// A dumb twin of the replay window keeps everything in a map.
func TestReplayWindowTwin(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	var w replayWindow
	var all []int64 // accepted and remembered, ascending
	next := int64(1 << 32)
	for range 20_000 {
		id := next - rnd.Int64N(5000)
		if rnd.IntN(3) > 0 {
			next += 1 + rnd.Int64N(4)
			id = next
		}
		want := fresh
		at, found := slices.BinarySearch(all, id)
		switch {
		case found:
			want = duplicate
		case at == 0 && len(all) >= windowSize:
			want = tooOld
		default:
			all = slices.Insert(all, at, id)
			if len(all) == 2*windowSize {
				all = all[windowSize:]
			}
		}
		if got := w.accept(id); got != want {
			t.Fatalf("id %d: got %v, want %v", id, got, want)
		}
	}
	if len(w.ids) < windowSize {
		t.Errorf("only %d ids are remembered, want %d or more", len(w.ids), windowSize)
	}
}

func TestWindowStates(t *testing.T) {
	w := replayWindow{ids: []int64{10, 20, 30}}
	if got := w.states([]int64{5, 10, 15, 30, 35}); !bytes.Equal(got, []byte{1, 4, 2, 4, 3}) {
		t.Errorf("got %v", got)
	}
}

func TestClock(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := newClock(now, 5*time.Hour)
	last := int64(0)
	for range 1000 {
		id := c.msgID(now)
		if id <= last || id%4 != 0 {
			t.Fatalf("id %d after %d", id, last)
		}
		last = id
	}
	if d := idToTime(last).Sub(now.Add(5 * time.Hour)); d < 0 || d > time.Second {
		t.Errorf("ids are %v off the server's time", d)
	}
	server := func(d time.Duration) int64 { return timeToID(now.Add(d)) | 1 }
	if !c.plausible(now, server(100*time.Hour)) {
		t.Error("an unconfirmed clock knows better than the server")
	}
	c.observe(now, server(time.Hour)) // the first message sets it
	for _, tt := range []struct {
		off  time.Duration
		want bool
	}{{0, true}, {-299 * time.Second, true}, {-302 * time.Second, false}, {29 * time.Second, true}, {32 * time.Second, false}} {
		if got := c.plausible(now, server(time.Hour+tt.off)); got != tt.want {
			t.Errorf("%v off: got %v, want %v", tt.off, got, tt.want)
		}
	}
	c.observe(now, server(time.Hour-10*time.Second)) // late, as messages are: proves nothing
	c.observe(now, server(time.Hour+5*time.Second))
	if got := c.at(now).Sub(now); got.Round(time.Second) != time.Hour+5*time.Second {
		t.Errorf("offset is %v, want the largest seen", got)
	}
}

// jumped is a reading of a clock that was set by d: the wall clock has moved,
// the monotonic one has not. Package time has no way to make one.
func jumped(t time.Time, d time.Duration) time.Time {
	p := (*struct {
		wall uint64 // from bit 30 on: seconds; the highest bit: there is a monotonic reading
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&t))
	if p.wall>>63 == 0 {
		panic("no monotonic reading")
	}
	p.wall += uint64(d/time.Second) << 30
	return t
}

// The local clock is set while a session runs: the server's time goes on as
// before, so that message ids do too, and only the offset that is kept for the
// next start changes.
func TestClockJumps(t *testing.T) {
	now := time.Now()
	for _, d := range []time.Duration{5 * time.Hour, -5 * time.Hour, 24 * 365 * time.Hour} {
		if later := jumped(now, d); later.Sub(now) != 0 || later.Round(0).Sub(now.Round(0)) != d {
			t.Fatalf("a jump by %v is none", d)
		}
		c := newClock(now, time.Minute)
		if got := c.at(jumped(now, d)).Sub(c.at(now)); got != 0 {
			t.Errorf("jump by %v before the first message: the server's time moved by %v", d, got)
		}
		c.observe(now, timeToID(now.Add(time.Minute))|1)
		before := c.msgID(now)
		later := jumped(now.Add(10*time.Second), d)
		if got := c.at(later).Sub(c.at(now)); got != 10*time.Second {
			t.Errorf("jump by %v: the server's time moved by %v in 10s", d, got)
		}
		if moved := idToTime(c.msgID(later)).Sub(idToTime(before)); moved < 9*time.Second || moved > 11*time.Second {
			t.Errorf("jump by %v: message ids moved by %v in 10s", d, moved)
		}
		if !c.plausible(later, timeToID(now.Add(time.Minute+10*time.Second))|1) {
			t.Errorf("jump by %v: the server's messages are refused", d)
		}
		if got := c.offset(later).Round(time.Second); got != time.Minute-d {
			t.Errorf("jump by %v: the offset for the next start is %v, want %v", d, got, time.Minute-d)
		}
	}
}

func TestParseRPCError(t *testing.T) {
	for _, tt := range []struct {
		code int
		text string
		want RPCError
		is   error
	}{
		{420, "FLOOD_WAIT_30", RPCError{Type: "FLOOD_WAIT", Arg: 30}, ErrFloodWait},
		{420, "FLOOD_PREMIUM_WAIT_3", RPCError{Type: "FLOOD_PREMIUM_WAIT", Arg: 3}, ErrFloodWait},
		{400, "FILE_PART_17_MISSING", RPCError{Type: "FILE_PART_X_MISSING", Arg: 17}, nil},
		{400, "FILE_REFERENCE_2_EXPIRED", RPCError{Type: "FILE_REFERENCE_X_EXPIRED", Arg: 2}, ErrFileReference},
		{400, "FILE_REFERENCE_EXPIRED", RPCError{Type: "FILE_REFERENCE_EXPIRED"}, ErrFileReference},
		{303, "PHONE_MIGRATE_4", RPCError{Type: "PHONE_MIGRATE", Arg: 4}, ErrMigrate},
		{401, "AUTH_KEY_UNREGISTERED", RPCError{Type: "AUTH_KEY_UNREGISTERED"}, ErrUnauthorized},
		{-503, "Timeout", RPCError{Type: "Timeout"}, ErrServer},
		{500, "INTERDC_2_CALL_ERROR", RPCError{Type: "INTERDC_X_CALL_ERROR", Arg: 2}, ErrServer},
		{420, "2FA_CONFIRM_WAIT_5", RPCError{Type: "2FA_CONFIRM_WAIT", Arg: 5}, nil},
		{400, "X_99999999999999999999", RPCError{Type: "X_99999999999999999999"}, nil},
		{400, "", RPCError{}, nil},
	} {
		got := ParseRPCError(tt.code, tt.text, "m")
		tt.want.Code, tt.want.Method = tt.code, "m"
		if *got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.text, *got, tt.want)
		}
		if tt.is != nil && !errors.Is(got, tt.is) {
			t.Errorf("%s is not %v", tt.text, tt.is)
		}
	}
	for text, want := range map[string]time.Duration{
		"FLOOD_WAIT_30": 30 * time.Second, "FLOOD_WAIT_0": time.Second, "FLOOD_WAIT_99999999": maxWait, "TAKEOUT_INIT_DELAY_60": time.Minute,
	} {
		if got, ok := ParseRPCError(420, text, "").Wait(); !ok || got != want {
			t.Errorf("%s: got %v, %v, want %v", text, got, ok, want)
		}
	}
}

func packed(t *testing.T, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(body)
	if err := errors.Join(err, z.Close()); err != nil {
		t.Fatal(err)
	}
	return tl.Marshal(&mt.GzipPacked{PackedData: b.Bytes()})
}

// packedZeros is what packed makes of so many MiB of zeros and a rest. One MiB is
// compressed once: that of hundreds takes the race detector seconds.
func packedZeros(t *testing.T, mebibytes int, rest []byte) []byte {
	t.Helper()
	zeros := make([]byte, 1<<20)
	var b bytes.Buffer
	z, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	_, err = z.Write(zeros)
	err = errors.Join(err, z.Flush()) // ends on a byte, so it can be repeated
	block := bytes.Clone(b.Bytes())
	b.Reset()
	_, errRest := z.Write(rest)
	if err := errors.Join(err, errRest, z.Close()); err != nil {
		t.Fatal(err)
	}
	sum := crc32.NewIEEE()
	for range mebibytes {
		_, _ = sum.Write(zeros) // a hash takes everything
	}
	_, _ = sum.Write(rest)
	out := slices.Concat([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}, bytes.Repeat(block, mebibytes), b.Bytes())
	out = binary.LittleEndian.AppendUint32(out, sum.Sum32())
	out = binary.LittleEndian.AppendUint32(out, uint32(mebibytes<<20+len(rest)))
	return tl.Marshal(&mt.GzipPacked{PackedData: out})
}

func TestGunzip(t *testing.T) {
	body := tl.Marshal(&mt.Pong{MsgID: 1, PingID: 2})
	if got, err := gunzip(packed(t, body)); err != nil || !bytes.Equal(got, body) {
		t.Errorf("got %x, %v, want %x", got, err, body)
	}
	whole := packed(t, bytes.Repeat(body, 100))
	for name, in := range map[string][]byte{
		"bomb":         packedZeros(t, maxGzip>>20, []byte{1}),
		"gzip in gzip": packed(t, packed(t, body)),
		"cut":          tl.Marshal(&mt.GzipPacked{PackedData: whole[8 : len(whole)-20]}),
		"no gzip":      tl.Marshal(&mt.GzipPacked{PackedData: []byte("nonsense")}),
		"leftover":     append(packed(t, body), 0, 0, 0, 0),
	} {
		if got, err := gunzip(in); err == nil {
			t.Errorf("%s: got %d bytes, want an error", name, len(got))
		}
	}
}

// A bomb costs nothing, and what may just come out is held once.
func TestGzipBomb(t *testing.T) {
	for _, tt := range []struct {
		name string
		data []byte
		most uint64
		bad  bool
	}{
		{"256 MiB", packedZeros(t, 8*maxGzip>>20, nil), 1 << 20, true},
		{"32 MiB", packedZeros(t, maxGzip>>20, nil), maxGzip + 1<<20, false},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := gunzip(tt.data)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; (err != nil) != tt.bad || n > tt.most {
			t.Errorf("%s: %d bytes, %v, %d KiB allocated; want an error: %v, and %d KiB at most", tt.name, len(got), err, n>>10, tt.bad, tt.most>>10)
		}
	}
}

// container is a message with messages inside.
func container(count int32, inner ...message) []byte {
	var e tl.Encoder
	e.ID(containerID)
	e.Int(count)
	for _, m := range inner {
		e.Long(m.id)
		e.Int(m.seqNo)
		e.Int(int32(len(m.body)))
		e.Raw(m.body)
	}
	return e.Bytes()
}

func TestUnpack(t *testing.T) {
	pong := tl.Marshal(&mt.Pong{})
	good := []message{{id: 5, body: pong}, {id: 9, seqNo: 1, body: pong}}
	got, err := unpack(nil, message{id: 13, body: container(2, good...)})
	if err != nil || len(got) != 2 || got[1].id != 9 || got[1].seqNo != 1 {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := unpack(nil, message{id: 13, body: container(0)}); err != nil || len(got) != 0 {
		t.Errorf("empty container: got %v, %v", got, err)
	}
	for name, body := range map[string][]byte{
		"container in a container": container(1, message{id: 5, body: container(0)}),
		"message younger":          container(1, message{id: 17, body: pong}),
		"message of the same id":   container(1, message{id: 13, body: pong}),
		"2^31 messages":            container(-1 << 31),
		"2^30 messages":            container(1 << 30),
		"one missing":              container(3, good...),
		"one too many":             container(1, good...),
		"odd length":               container(1, message{id: 5, body: []byte{1, 2, 3}}),
	} {
		if got, err := unpack(nil, message{id: 13, body: body}); !errors.Is(err, ErrSecurity) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, ErrSecurity)
		}
	}
}

// An answer that cannot be read fails its call alone, and names id and layer.
func TestUnreadableAnswer(t *testing.T) {
	inv := invokerFunc(func() *Response { return NewResponse([]byte{0xef, 0xbe, 0xad, 0xde}) })
	_, err := Call(t.Context(), inv, &mt.PingRequest{})
	if !errors.Is(err, ErrBadAnswer) || !bytes.Contains([]byte(err.Error()), []byte("deadbeef")) {
		t.Errorf("got %v, want %v with the constructor", err, ErrBadAnswer)
	}
}

type invokerFunc func() *Response

func (f invokerFunc) Invoke(context.Context, tl.Object) (*Response, error) { return f(), nil }

func TestFramePool(t *testing.T) {
	var p framePool
	for _, n := range []int{1, 4096, 100_000, 1 << 20, 3 << 20} {
		f := p.get(n)
		if len(f.mem) < n {
			t.Errorf("%d bytes: got %d", n, len(f.mem))
		}
		f.hold()
		f.release()
		f.release()
	}
	if got := p.inUse.Load(); got != 0 {
		t.Errorf("%d frames are out", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("a Response could be released twice")
		}
	}()
	r := NewResponse(nil)
	r.Release()
	r.Release()
}

func FuzzUnpack(f *testing.F) {
	f.Add(container(1, message{id: 5, body: tl.Marshal(&mt.Pong{})}))
	f.Add(tl.Marshal(&mt.GzipPacked{PackedData: []byte{0x1f, 0x8b}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		inner, err := unpack(nil, message{id: 1 << 40, body: b})
		if err != nil {
			return
		}
		for _, m := range inner {
			if body, err := gunzip(m.body); err == nil && len(body) > maxGzip {
				t.Errorf("inflated to %d bytes", len(body))
			}
		}
	})
}

func FuzzParsePlain(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, _, err := parsePlain(b); err == nil && o == nil {
			t.Error("neither an answer nor an error")
		}
	})
}

func FuzzParseRPCError(f *testing.F) {
	f.Add(420, "FLOOD_WAIT_30")
	f.Fuzz(func(t *testing.T, code int, text string) {
		e := ParseRPCError(code, text, "m")
		if _, err := io.WriteString(io.Discard, e.Error()); err != nil || e.Arg < 0 {
			t.Errorf("%q: %+v", text, e)
		}
	})
}
