package ige

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// paths are those that this machine can take.
func paths() (list []path) {
	for p := portable; p <= best; p++ {
		list = append(list, p)
	}
	return list
}

// `make test-arm64` says which path it is about: if the CPU that is emulated
// for it were not recognised, the tests would all pass without one instruction of it.
func TestWantedPath(t *testing.T) {
	if want := os.Getenv("HAUL_IGE_PATH"); want != "" && best.String() != want {
		t.Errorf("got %v, want %v", best, want)
	}
}

// testdata/vectors.json: two vectors of OpenSSL with AES-128, which only the
// portable code does, and one with AES-256. Values are hex.
func TestVectors(t *testing.T) {
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []struct{ Key, IV, Plain, Cipher string }
	if err := json.Unmarshal(b, &list); err != nil || len(list) < 3 {
		t.Fatal(len(list), err)
	}
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for i, v := range list {
		got := unhex(v.Plain)
		encryptBlocks(got, unhex(v.Key), unhex(v.IV))
		if hex.EncodeToString(got) != v.Cipher {
			t.Errorf("vector %d: encrypted to %x, want %s", i, got, v.Cipher)
		}
		decryptBlocks(got, unhex(v.Key), unhex(v.IV))
		if hex.EncodeToString(got) != v.Plain {
			t.Errorf("vector %d: decrypted to %x, want %s", i, got, v.Plain)
		}
		if len(v.Key) != 64 {
			continue
		}
		for _, p := range paths() {
			for n := 1; n <= 5; n++ { // the same message n times
				var messages []Message
				for range n {
					messages = append(messages, Message{Data: unhex(v.Plain), Key: [32]byte(unhex(v.Key)), IV: [32]byte(unhex(v.IV))})
				}
				p.encrypt(messages)
				for k, m := range messages {
					if hex.EncodeToString(m.Data) != v.Cipher {
						t.Errorf("vector %d, %v, message %d of %d: encrypted to %x, want %s", i, p, k, n, m.Data, v.Cipher)
					}
				}
				p.open(messages)
				for k, m := range messages {
					if hex.EncodeToString(m.Data) != v.Plain || m.Sum != sha256.Sum256(append(make([]byte, 32), m.Data...)) {
						t.Errorf("vector %d, %v, message %d of %d: opened as %x, want %s", i, p, k, n, m.Data, v.Plain)
					}
				}
			}
		}
	}
}

// fill makes b of random bytes.
func fill(rnd *rand.Rand, b []byte) {
	var word [8]byte
	for len(b) > 0 {
		binary.LittleEndian.PutUint64(word[:], rnd.Uint64())
		b = b[copy(b, word[:]):]
	}
}

// A sample is messages that lie somewhere in larger memory, at any alignment.
type sample struct {
	messages []Message
	memory   [][]byte
	from     []int
}

func newSample(rnd *rand.Rand, sizes []int) *sample {
	s := new(sample)
	for _, size := range sizes {
		memory, from := make([]byte, size+256), 64+rnd.IntN(64)
		fill(rnd, memory)
		m := Message{Data: memory[from : from+size : from+size]}
		fill(rnd, m.Key[:])
		fill(rnd, m.IV[:])
		fill(rnd, m.Prefix[:])
		fill(rnd, m.Sum[:])
		s.messages, s.memory, s.from = append(s.messages, m), append(s.memory, memory), append(s.from, from)
	}
	return s
}

func (s *sample) clone() *sample {
	c := &sample{from: s.from}
	for i, m := range s.messages {
		memory := bytes.Clone(s.memory[i])
		m.Data = memory[s.from[i] : s.from[i]+len(m.Data)]
		c.messages, c.memory = append(c.messages, m), append(c.memory, memory)
	}
	return c
}

// differs names the first message that is not as in want, or whose surroundings are not.
func (s *sample) differs(want *sample) string {
	for i, m := range s.messages {
		w := want.messages[i]
		switch {
		case !bytes.Equal(m.Data, w.Data):
			at := 0
			for m.Data[at] == w.Data[at] {
				at++
			}
			return fmt.Sprintf("message %d of %d differs from byte %d of %d", i, len(s.messages), at, len(m.Data))
		case !bytes.Equal(s.memory[i], want.memory[i]):
			return fmt.Sprintf("memory around message %d of %d was written", i, len(s.messages))
		case m.Sum != w.Sum:
			return fmt.Sprintf("message %d of %d has the sum %x, want %x", i, len(s.messages), m.Sum, w.Sum)
		case m.Key != w.Key || m.IV != w.IV || m.Prefix != w.Prefix:
			return fmt.Sprintf("key, iv or prefix of message %d of %d was changed", i, len(s.messages))
		}
	}
	return ""
}

// agree does each operation by each path, and compares with what the standard
// library makes of one message after the other.
func agree(t *testing.T, rnd *rand.Rand, sizes []int) {
	t.Helper()
	start := newSample(rnd, sizes)
	encrypted, decrypted, hashed, opened := start.clone(), start.clone(), start.clone(), start.clone()
	for i := range sizes {
		m := &encrypted.messages[i]
		encryptPortable(m)
		m = &decrypted.messages[i]
		decryptPortable(m)
		m = &hashed.messages[i]
		m.Sum = sha256.Sum256(append(m.Prefix[:], m.Data...))
		m = &opened.messages[i]
		decryptPortable(m)
		m.Sum = sha256.Sum256(append(m.Prefix[:], m.Data...))
	}
	for _, p := range paths() {
		for _, op := range []struct {
			name string
			do   func([]Message)
			want *sample
		}{
			{"encrypt", p.encrypt, encrypted},
			{"decrypt", p.decrypt, decrypted},
			{"hash", p.hash, hashed},
			{"open", p.open, opened},
		} {
			got := start.clone()
			op.do(got.messages)
			if d := got.differs(op.want); d != "" {
				t.Fatalf("%v %s, sizes %v: %s", p, op.name, sizes, d)
			}
		}
	}
}

func seeded(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// Every length up to some turns of each kernel, alone and in two to four lanes.
func TestEveryLength(t *testing.T) {
	rnd := seeded(t)
	for size := 0; size <= 1024; size += block {
		agree(t, rnd, []int{size})
		agree(t, rnd, []int{size, size})
		agree(t, rnd, []int{size, size, size})
		agree(t, rnd, []int{size, size, size, size})
	}
}

// Lanes of different lengths end at different times and are taken by the next message.
func TestManyMessages(t *testing.T) {
	rnd := seeded(t)
	for range 300 {
		sizes := make([]int, rnd.IntN(12))
		for i := range sizes {
			sizes[i] = block * rnd.IntN(1<<rnd.IntN(9))
		}
		agree(t, rnd, sizes)
	}
}

// Long messages are worked on in slices.
func TestSlices(t *testing.T) {
	rnd := seeded(t)
	sizes := []int{
		sliceBytes - block, sliceBytes, sliceBytes + block, sliceBytes + 80, sliceBytes + 96, sliceBytes + 112,
		2*sliceBytes + 96, 3*sliceBytes + 48, 1<<20 + 64,
	}
	if best == portable { // only the hash is, and AES without instructions for it is slow
		sizes = sizes[2:3]
	}
	for _, size := range sizes {
		agree(t, rnd, []int{size})
		agree(t, rnd, []int{size, 4 * block, size + block, 0, 2*size - 5*block})
	}
}

func TestLengthPanics(t *testing.T) {
	for _, f := range []func([]Message){Open, Hash, Encrypt, Decrypt} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("17 bytes did not panic")
				}
			}()
			f([]Message{{Data: make([]byte, 32)}, {Data: make([]byte, 17)}})
		}()
	}
}

func TestNoAllocation(t *testing.T) {
	if best == portable {
		t.Skip("crypto/aes allocates a cipher for each key")
	}
	list := make([]Message, 5)
	for i := range list {
		list[i] = Message{Data: make([]byte, 4096+16*i)}
	}
	for name, f := range map[string]func(){
		"Open one": func() { Open(list[:1]) }, "Open": func() { Open(list) },
		"Encrypt": func() { Encrypt(list) }, "Hash": func() { Hash(list) }, "Hash one": func() { Hash(list[:1]) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

// FuzzPaths takes the sizes of messages, a byte each, in blocks of AES, and
// fills them from a seed.
func FuzzPaths(f *testing.F) {
	f.Add(uint64(1), []byte{3})
	f.Add(uint64(2), []byte{6, 255, 7, 0, 19})
	f.Add(uint64(3), []byte{0, 9, 8, 7, 6, 8})
	f.Fuzz(func(t *testing.T, seed uint64, lengths []byte) {
		sizes := make([]int, min(len(lengths), 9))
		for i := range sizes {
			sizes[i] = block * int(lengths[i])
		}
		agree(t, rand.New(rand.NewPCG(seed, 1)), sizes)
	})
}

// BenchmarkOpen is decryption and hash of one to four messages of 128 KiB, by
// each path: compare within one run. Beside the mean it gives the rate of the
// fastest pass, which other work on the machine hardly changes.
func BenchmarkOpen(b *testing.B) {
	benchmark(b, path.open, 1, 2, 3, 4)
}

// BenchmarkSeal is hash and encryption.
func BenchmarkSeal(b *testing.B) {
	benchmark(b, func(p path, messages []Message) {
		p.hash(messages)
		p.encrypt(messages)
	}, 1, 4)
}

func benchmark(b *testing.B, do func(path, []Message), counts ...int) {
	const size = 128 << 10
	for _, p := range paths() {
		for _, n := range counts {
			b.Run(fmt.Sprintf("%v/%d", p, n), func(b *testing.B) {
				messages := make([]Message, n)
				for i := range messages {
					messages[i] = Message{Data: make([]byte, size)}
				}
				b.SetBytes(int64(n * size))
				b.ReportAllocs()
				best := time.Hour
				for b.Loop() {
					start := time.Now()
					do(p, messages)
					best = min(best, time.Since(start))
				}
				b.ReportMetric(float64(n*size)/(1<<20)/best.Seconds(), "best-MiB/s")
			})
		}
	}
}
