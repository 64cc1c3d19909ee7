package transport

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
)

// testdata/vectors.json holds obfuscation headers of public test suites, and
// frames made with an independent implementation. Values are hex.
type vectors struct {
	Obfuscated []struct {
		Note      string
		Random64  string
		Tag       string `json:"protocol_tag"`
		DC        *int16 `json:"dc_id"`
		Secret    string `json:"secret16"`
		Sent      string `json:"sent_header"`
		Plain     string `json:"plain_after_header"`
		SentAfter string `json:"sent_after_header"`
	} `json:"obfuscated2"`
	Frames  map[string]string `json:"transport_frames"`
	FakeTLS []struct {
		Secret string `json:"secret16"`
		Random string `json:"client_random_as_sent"`
		Reply  string `json:"server_reply"`
	} `json:"faketls_server_hello"`
}

func load(t *testing.T) *vectors {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	v := new(vectors)
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A wire is a net.Conn whose reads come from a buffer and whose writes go into another.
type wire struct {
	net.Conn
	in  io.Reader
	out bytes.Buffer
}

func (w *wire) Read(b []byte) (int, error)  { return w.in.Read(b) }
func (w *wire) Write(b []byte) (int, error) { return w.out.Write(b) }

func alloc(n int) []byte { return make([]byte, n) }

func TestFrameVectors(t *testing.T) {
	v := load(t).Frames
	for _, tt := range []struct {
		framing Framing
		frames  []string
	}{
		{Abridged, []string{v["abridged_first"]}},
		{Intermediate, []string{v["intermediate_first"]}},
		{Full, []string{v["full_seq0"], v["full_seq1"]}},
	} {
		t.Run(tt.framing.String(), func(t *testing.T) {
			w := new(wire)
			c, err := Client(w, Options{Framing: tt.framing})
			if err != nil {
				t.Fatal(err)
			}
			var want []byte
			for _, f := range tt.frames {
				want = append(want, unhex(t, f)...)
				if err := c.WriteFrame(unhex(t, v["payload"])); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(w.out.Bytes(), want) {
				t.Fatalf("sent %x, want %x", w.out.Bytes(), want)
			}
			s, err := Server(&wire{in: bytes.NewReader(want)}, ServerOptions{})
			if err != nil || s.Framing() != tt.framing {
				t.Fatalf("the server sees %v, %v", s, err)
			}
			for range tt.frames {
				got, err := s.ReadFrame(alloc)
				if err != nil || !bytes.Equal(got, unhex(t, v["payload"])) {
					t.Fatalf("got %x, %v", got, err)
				}
			}
		})
	}
}

// The padding of a padded frame is cut off: here by the length that a plain packet carries.
func TestPaddedVector(t *testing.T) {
	v := load(t).Frames
	s, err := Server(&wire{in: bytes.NewReader(unhex(t, v["padded_intermediate_first_with_3_padding_bytes_aabbcc"]))}, ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.ReadFrame(alloc); err != nil || !bytes.Equal(got, unhex(t, v["payload"])) {
		t.Errorf("got %x, %v, want %s", got, err, v["payload"])
	}
}

func TestTransportErrors(t *testing.T) {
	v := load(t).Frames
	for _, code := range []int32{-404, -429, -444} {
		payload := unhex(t, v[fmt.Sprintf("transport_error_%d_payload", code)])
		w := &wire{in: bytes.NewReader(append(binary.LittleEndian.AppendUint32(nil, 4), payload...))}
		c, err := Client(w, Options{Framing: Intermediate})
		if err != nil {
			t.Fatal(err)
		}
		var got *Error
		if _, err := c.ReadFrame(alloc); !errors.As(err, &got) || got.Code != code {
			t.Errorf("got %v, want code %d", err, code)
		}
	}
}

func TestObfuscationVectors(t *testing.T) {
	for _, v := range load(t).Obfuscated {
		t.Run(v.Note, func(t *testing.T) {
			w := new(wire)
			c := newConn(w, 0)
			if v.Tag == "dddddddd" {
				c.framing = PaddedIntermediate
			}
			header := [obfuscatedHeader]byte(unhex(t, v.Random64))
			c.dc = int16(binary.LittleEndian.Uint16(header[60:])) // without one the random bytes stay
			if v.DC != nil {
				c.dc = *v.DC
			}
			var secret []byte
			if v.Secret != "" {
				secret = unhex(t, v.Secret)
			}
			c.obfuscateWith(&header, secret)
			if got := hex.EncodeToString(c.pending); got != v.Sent {
				t.Fatalf("header: got %s, want %s", got, v.Sent)
			}
			sent := bytes.Clone(c.pending)
			if v.Plain != "" {
				if err := c.writeParts(unhex(t, v.Plain)); err != nil {
					t.Fatal(err)
				}
				if got := hex.EncodeToString(w.out.Bytes()[obfuscatedHeader:]); got != v.SentAfter {
					t.Errorf("after the header: got %s, want %s", got, v.SentAfter)
				}
			}
			s, err := Server(&wire{in: bytes.NewReader(sent)}, ServerOptions{Secret: secret})
			if err != nil || s.Framing() != c.framing || s.DC() != c.dc {
				t.Errorf("the server sees %+v, %v", s, err)
			}
		})
	}
}

// TestBothEnds sends packets of many lengths both ways over each transport.
func TestBothEnds(t *testing.T) {
	secrets := map[string]Secret{"": {}, " with a secret": {Key: bytes.Repeat([]byte{7}, 16)}}
	for _, f := range []Framing{Abridged, Intermediate, PaddedIntermediate, Full} {
		for _, obfuscated := range []bool{false, true} {
			for name, secret := range secrets {
				if f == Full && (obfuscated || secret.Key != nil) || !obfuscated && secret.Key != nil {
					continue
				}
				t.Run(fmt.Sprintf("%v obfuscated=%v%s", f, obfuscated, name), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						bothEnds(t, Options{Framing: f, Obfuscated: obfuscated, DC: -10002, Secret: secret})
					})
				})
			}
		}
	}
}

func bothEnds(t *testing.T, o Options) {
	near, far := net.Pipe()
	client, err := Client(near, o)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- echo(far, o) }()
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, blocks := range []int{1, 2, 7, 31, 32, 127, 1000, 65536} {
		packet := make([]byte, 24+16*blocks) // as encrypted ones are
		for i := range packet {
			packet[i] = byte(rnd.Uint32())
		}
		if err := client.WriteFrame(bytes.Clone(packet)); err != nil {
			t.Fatal(err)
		}
		got, err := client.ReadFrame(alloc)
		if err != nil || !bytes.Equal(got, packet) {
			t.Fatalf("%d bytes: got %d, %v", len(packet), len(got), err)
		}
	}
	_ = client.Close()
	if err := <-done; !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

func echo(c net.Conn, o Options) error {
	s, err := Server(c, ServerOptions{Secret: o.Secret.Key})
	if err != nil {
		return err
	}
	if o.Obfuscated && s.DC() != o.DC {
		return fmt.Errorf("the header says DC %d, want %d", s.DC(), o.DC)
	}
	for {
		b, err := s.ReadFrame(alloc)
		if err != nil {
			return err
		}
		if err := s.WriteFrame(b); err != nil {
			return err
		}
	}
}

// What breaks a framing is refused, and no buffer is taken for a length that is too large.
func TestHostileFrames(t *testing.T) {
	full := func(n, seq, crc uint32) []byte {
		b := binary.LittleEndian.AppendUint32(nil, n)
		b = append(binary.LittleEndian.AppendUint32(b, seq), make([]byte, 16)...)
		return binary.LittleEndian.AppendUint32(b, crc)
	}
	for _, tt := range []struct {
		name    string
		framing Framing
		in      []byte
		want    error
	}{
		{"intermediate, 2 GiB", Intermediate, []byte{0xff, 0xff, 0xff, 0x7f}, ErrFrameTooLong},
		{"abridged, 64 MiB", Abridged, []byte{0x7f, 0xff, 0xff, 0xff}, ErrFrameTooLong},
		{"padded, 1 GiB", PaddedIntermediate, []byte{0, 0, 0, 0x40}, ErrFrameTooLong},
		{"full, 4 GiB", Full, full(0xffffffff, 0, 0), ErrFrameTooLong},
		{"full, too short", Full, full(12, 0, 0), ErrFrame},
		{"full, wrong sequence", Full, full(28, 1, 0), ErrFrame},
		{"full, wrong checksum", Full, full(28, 0, 1), ErrFrame},
		{"empty", Intermediate, []byte{0, 0, 0, 0}, ErrFrame},
		{"cut short", Intermediate, []byte{16, 0, 0, 0, 1, 2}, io.ErrUnexpectedEOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Client(&wire{in: bytes.NewReader(tt.in)}, Options{Framing: tt.framing})
			if err != nil {
				t.Fatal(err)
			}
			most := 0
			if _, err := c.ReadFrame(func(n int) []byte { most = max(most, n); return make([]byte, n) }); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if most > DefaultMaxFrame {
				t.Errorf("a buffer of %d bytes was taken", most)
			}
		})
	}
}

func TestParseSecret(t *testing.T) {
	key := "000102030405060708090a0b0c0d0e0f"
	for _, tt := range []struct {
		text   string
		padded bool
		ok     bool
	}{
		{"", false, true},
		{key, false, true},
		{"dd" + key, true, true},
		{"AAECAwQFBgcICQoLDA0ODw==", false, true},
		{"3QABAgMEBQYHCAkKCwwNDg8", true, true},
		{"ee" + key + "6578616d706c65", true, true},
		{"ee" + key, false, false},
		{"ee" + key + "00", false, false},
		{"ee" + key + strings.Repeat("61", 183), false, false},
		{"00", false, false},
		{"zz", false, false},
		{"cc" + key, false, false},
	} {
		s, err := ParseSecret(tt.text)
		if (err == nil) != tt.ok || s.Padded != tt.padded || err == nil && tt.text != "" && len(s.Key) != 16 {
			t.Errorf("%q: got %+v, %v", tt.text, s, err)
		}
		if again, err := DecodeSecret(s.Bytes()); tt.ok && tt.text != "" && (err != nil || !reflect.DeepEqual(again, s)) {
			t.Errorf("%q: its bytes read as %v, %v", tt.text, again, err)
		}
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add(uint8(0), []byte{16, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	f.Add(uint8(3), []byte{28, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, framing uint8, b []byte) {
		c, err := Client(&wire{in: bytes.NewReader(b)}, Options{Framing: Framing(framing % 4), MaxFrame: 1 << 16})
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if _, err := c.ReadFrame(func(n int) []byte {
				if n > 1<<16+4 {
					t.Fatalf("a buffer of %d bytes", n)
				}
				return make([]byte, n)
			}); err != nil {
				return
			}
		}
	})
}

func FuzzServer(f *testing.F) {
	f.Add([]byte{0xef, 1, 0, 0, 0, 0}, false)
	f.Add(make([]byte, 100), true)
	f.Fuzz(func(t *testing.T, b []byte, secret bool) {
		o := ServerOptions{MaxFrame: 1 << 16}
		if secret {
			o.Secret = make([]byte, 16)
		}
		s, err := Server(&wire{in: bytes.NewReader(b)}, o)
		if err == nil {
			_, _ = s.ReadFrame(alloc)
		}
	})
}
