package ige

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// stateAt is where the eight words stand in what crypto/sha256 marshals.
const stateAt = 4

// stateOf is the state of SHA-256 after whole blocks.
func stateOf(t testing.TB, blocks []byte) []byte {
	t.Helper()
	h := sha256.New()
	h.Write(blocks)
	b, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return b[stateAt : stateAt+sha256.Size]
}

// newStream has hashed a block, and has so many bytes in front of it.
func newStream(t testing.TB, rnd *rand.Rand, n int) (*Stream, []byte) {
	memory := make([]byte, sha256.BlockSize+n)
	fill(rnd, memory)
	s := &Stream{Data: memory[sha256.BlockSize:]}
	s.SetState(stateOf(t, memory[:sha256.BlockSize]))
	return s, memory
}

// one is a stream that waits alone, or did. If shy is set it is not always there.
type one struct {
	*Stream
	shy *rand.Rand
	out bool
}

func (o *one) Take() *Stream {
	if o.out || o.Turns() == 0 || o.shy != nil && o.shy.IntN(2) == 0 {
		return nil
	}
	o.out = true
	return o.Stream
}

func (o *one) Put(s *Stream) {
	if !o.out || s != o.Stream {
		panic("put what was not taken")
	}
	o.out = false
}

// hashedRight says what is wrong with a stream, of which at least a number of bytes should have been taken.
func hashedRight(t testing.TB, s *Stream, memory []byte, atLeast int) string {
	taken := len(memory) - sha256.BlockSize - len(s.Data)
	var state [sha256.Size]byte
	s.PutState(state[:])
	switch {
	case taken%sha256.BlockSize != 0:
		return fmt.Sprintf("%d bytes were taken", taken)
	case taken < atLeast:
		return fmt.Sprintf("%d bytes were taken, want at least %d", taken, atLeast)
	case len(s.Data) > 0 && &s.Data[0] != &memory[sha256.BlockSize+taken]:
		return "the rest is not the rest"
	case !bytes.Equal(state[:], stateOf(t, memory[:sha256.BlockSize+taken])):
		return fmt.Sprintf("the state after %d bytes is wrong", taken)
	}
	return ""
}

// agreeBeside opens messages beside a stream by each path, and encrypts and hashes
// them, and compares with what the standard library makes of each by itself.
func agreeBeside(t *testing.T, rnd *rand.Rand, sizes []int, n int) {
	t.Helper()
	start := newSample(rnd, sizes)
	opened := start.clone()
	for i := range sizes {
		m := &opened.messages[i]
		decryptPortable(m)
		m.Sum = sha256.Sum256(append(m.Prefix[:], m.Data...))
	}
	// The first of each four and the second are encrypted, beside the hash of the others.
	crossed := start.clone()
	for i := range sizes {
		if m := &crossed.messages[i]; i%4 < MaxBeside {
			encryptPortable(m)
		} else {
			m.Sum = sha256.Sum256(append(m.Prefix[:], m.Data...))
		}
	}
	for k, p := range append(paths(), best) {
		var shy *rand.Rand
		if k > int(best) { // once more, beside a stream that comes and goes
			shy = rnd
		}
		least := 0
		if p.besides() && len(sizes) > 0 && shy == nil { // what goes beside the first for certain
			least = max(0, min(n/StreamTurn*StreamTurn, (sizes[0]-3*sha256.BlockSize)/sha256.BlockSize*StreamTurn))
		}
		got := start.clone()
		s, memory := newStream(t, rnd, n)
		before := bytes.Clone(memory)
		p.openBeside(got.messages, &one{Stream: s, shy: shy})
		if d := got.differs(opened); d != "" {
			t.Fatalf("%v, sizes %v beside %d bytes: %s", p, sizes, n, d)
		}
		if d := hashedRight(t, s, memory, least); d != "" || !bytes.Equal(memory, before) {
			t.Fatalf("%v, %d bytes beside sizes %v: %s", p, n, sizes, d)
		}
		got = start.clone()
		s, memory = newStream(t, rnd, n)
		before = bytes.Clone(memory)
		for list := got.messages; len(list) > 0; {
			k := min(len(list), MaxBeside)
			l := min(len(list), 2*MaxBeside)
			p.encryptBeside(list[:k], list[k:l], &one{Stream: s, shy: shy})
			list = list[l:]
		}
		if d := got.differs(crossed); d != "" {
			t.Fatalf("%v, sizes %v encrypted and hashed beside %d bytes: %s", p, sizes, n, d)
		}
		if len(sizes) > 1 {
			least = min(least, max(0, (sizes[1]-3*sha256.BlockSize)/sha256.BlockSize*StreamTurn))
		}
		for _, size := range sizes[min(2, len(sizes)):min(4, len(sizes))] {
			least = min(least, max(0, (size-3*sha256.BlockSize)/sha256.BlockSize*StreamTurn))
		}
		if d := hashedRight(t, s, memory, least); d != "" || !bytes.Equal(memory, before) {
			t.Fatalf("%v, %d bytes beside the encryption of sizes %v: %s", p, n, sizes, d)
		}
	}
}

// Every length of message and stream up to some turns, and lanes that end at different times.
func TestBeside(t *testing.T) {
	rnd := seeded(t)
	for size := 0; size <= 512; size += block {
		for _, n := range []int{0, 127, 128, 384, 2000} {
			agreeBeside(t, rnd, []int{size}, n)
			agreeBeside(t, rnd, []int{size, size}, n)
			agreeBeside(t, rnd, []int{size, size + block, 400, 192}, n)
		}
	}
	for range 100 {
		sizes := make([]int, rnd.IntN(10))
		for i := range sizes {
			sizes[i] = block * rnd.IntN(1<<rnd.IntN(9))
		}
		agreeBeside(t, rnd, sizes, rnd.IntN(1<<rnd.IntN(16)))
	}
}

// Long messages and streams are worked on in slices.
func TestBesideSlices(t *testing.T) {
	if best == portable {
		t.Skip("nothing goes beside anything")
	}
	rnd := seeded(t)
	for _, size := range []int{sliceBytes - block, sliceBytes + 96, 3*sliceBytes + 48, 1<<20 + 64} {
		agreeBeside(t, rnd, []int{size}, size)
		agreeBeside(t, rnd, []int{size, 2*size + block, size - block, size}, 3*size)
	}
}

func TestBesidePanics(t *testing.T) {
	for name, f := range map[string]func(){
		"17 bytes opened":    func() { OpenBeside([]Message{{Data: make([]byte, 17)}}, nil) },
		"17 bytes encrypted": func() { EncryptBeside([]Message{{Data: make([]byte, 17)}}, nil, nil) },
		"17 bytes hashed":    func() { EncryptBeside(nil, []Message{{Data: make([]byte, 17)}}, nil) },
		"three encrypted":    func() { EncryptBeside(make([]Message, 3), nil, nil) },
		"three hashed":       func() { EncryptBeside(nil, make([]Message, 3), nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s did not panic", name)
				}
			}()
			f()
		}()
	}
}

func TestBesideNoAllocation(t *testing.T) {
	if best == portable {
		t.Skip("crypto/aes allocates a cipher for each key")
	}
	list, s := make([]Message, 4), &one{Stream: new(Stream)}
	for i := range list {
		list[i] = Message{Data: make([]byte, 4096+16*i)}
	}
	data := make([]byte, 3<<12)
	for name, f := range map[string]func(){
		"open":    func() { OpenBeside(list, s) },
		"encrypt": func() { EncryptBeside(list[:2], list[2:], s) },
	} {
		if n := testing.AllocsPerRun(100, func() { s.Data = data; f() }); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

// FuzzBeside takes the sizes of messages, a byte each, in blocks of AES, and the length of a stream.
func FuzzBeside(f *testing.F) {
	f.Add(uint64(1), []byte{30}, uint16(1000))
	f.Add(uint64(2), []byte{16, 255, 7, 0, 19}, uint16(640))
	f.Add(uint64(3), []byte{40, 40, 40, 40}, uint16(4000))
	f.Fuzz(func(t *testing.T, seed uint64, lengths []byte, n uint16) {
		sizes := make([]int, min(len(lengths), 9))
		for i := range sizes {
			sizes[i] = block * int(lengths[i])
		}
		agreeBeside(t, rand.New(rand.NewPCG(seed, 1)), sizes, int(n))
	})
}

// BenchmarkBeside is one and two messages of 128 KiB with as long a stream: one after
// the other, and beside each other. The rate is of the messages, the stream is as much again.
func BenchmarkBeside(b *testing.B) {
	const size = 128 << 10
	rnd := rand.New(rand.NewPCG(1, 1))
	for _, work := range []struct {
		name string
		do   func(messages []Message, s Streams)
	}{
		{"open", func(m []Message, s Streams) { best.openBeside(m, s) }},
		{"seal", func(m []Message, s Streams) { best.hash(m); best.encryptBeside(m, nil, s) }},
		{"cross", func(m []Message, s Streams) { best.encryptBeside(m[:len(m)/2], m[len(m)/2:], s) }},
	} {
		for _, n := range []int{1, 2, 4} {
			if work.name == "cross" && n < 4 || work.name == "seal" && n > 2 {
				continue
			}
			for _, beside := range []bool{false, true} {
				b.Run(fmt.Sprintf("%s/%d/%v", work.name, n, beside), func(b *testing.B) {
					messages := make([]Message, n)
					for i := range messages {
						messages[i] = Message{Data: make([]byte, size)}
					}
					s, memory := newStream(b, rnd, n*size)
					least := time.Hour
					for b.Loop() {
						start := time.Now()
						if s.Data = nil; beside {
							s.Data = memory[sha256.BlockSize:]
						}
						work.do(messages, &one{Stream: s})
						if !beside {
							s.Data = memory[sha256.BlockSize:]
						}
						h := sha256.New()
						h.Write(s.Data)
						least = min(least, time.Since(start))
					}
					b.ReportMetric(float64(n*size)/(1<<20)/least.Seconds(), "best-MiB/s")
				})
			}
		}
	}
}
