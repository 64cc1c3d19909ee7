package ctr

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// NIST SP 800-38A, F.5.5 and F.5.6: CTR-AES256, each way.
func TestVector(t *testing.T) {
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	key := [32]byte(unhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"))
	iv := [block]byte(unhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"))
	plain := unhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51" +
		"30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
	sealed := unhex("601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5" +
		"2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6")
	for _, way := range [][2][]byte{{plain, sealed}, {sealed, plain}} {
		got := make([]byte, len(plain))
		New(key, iv).XORKeyStream(got, way[0])
		if !bytes.Equal(got, way[1]) {
			t.Errorf("got %x, want %x", got, way[1])
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

func seeded(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// agree encrypts pieces of these lengths one after the other, and compares each with what
// the standard library makes of the whole. Each piece lies at some alignment in larger memory.
func agree(t *testing.T, rnd *rand.Rand, iv [block]byte, lengths ...int) {
	t.Helper()
	var key [32]byte
	fill(rnd, key[:])
	total := 0
	for _, n := range lengths {
		total += n
	}
	plain := make([]byte, total)
	fill(rnd, plain)
	want := bytes.Clone(plain)
	std(t, key, iv).XORKeyStream(want, want)

	s := New(key, iv)
	for i, n := range lengths {
		if d := onePiece(rnd, s, plain[:n], want[:n]); d != "" {
			t.Fatalf("piece %d of %v, iv %x: %s", i, lengths, iv, d)
		}
		plain, want = plain[n:], want[n:]
	}
}

func std(t testing.TB, key [32]byte, iv [block]byte) cipher.Stream {
	c, err := aes.NewCipher(key[:])
	if err != nil {
		t.Fatal(err)
	}
	return cipher.NewCTR(c, iv[:])
}

// onePiece says what is wrong with a piece: in place, or from memory into longer other memory.
func onePiece(rnd *rand.Rand, s cipher.Stream, plain, want []byte) string {
	n := len(plain)
	memory, from := make([]byte, n+128), rnd.IntN(64)
	fill(rnd, memory)
	before := bytes.Clone(memory)
	dst := memory[from : from+n+rnd.IntN(32)]
	if rnd.IntN(2) == 0 {
		copy(dst, plain)
		s.XORKeyStream(dst, dst[:n])
	} else {
		at := rnd.IntN(64)
		src := append(make([]byte, at, at+n), plain...)[at:]
		s.XORKeyStream(dst, src)
		if !bytes.Equal(src, plain) {
			return "the source was written"
		}
	}
	if got := dst[:n]; !bytes.Equal(got, want) {
		at := 0
		for got[at] == want[at] {
			at++
		}
		return fmt.Sprintf("differs from byte %d of %d", at, n)
	}
	if !bytes.Equal(memory[:from], before[:from]) || !bytes.Equal(memory[from+n:], before[from+n:]) {
		return "memory around it was written"
	}
	return ""
}

func randomIV(rnd *rand.Rand) (iv [block]byte) {
	fill(rnd, iv[:])
	return iv
}

// Every length up to some turns of the kernel, at once and continued within a block.
func TestEveryLength(t *testing.T) {
	rnd := seeded(t)
	for n := range 601 {
		agree(t, rnd, randomIV(rnd), n)
		agree(t, rnd, randomIV(rnd), n, n, 600-n)
	}
}

func TestSplits(t *testing.T) {
	rnd := seeded(t)
	for range 500 {
		lengths := make([]int, rnd.IntN(20))
		for i := range lengths {
			lengths[i] = rnd.IntN(1 << rnd.IntN(12))
		}
		agree(t, rnd, randomIV(rnd), lengths...)
	}
	agree(t, rnd, randomIV(rnd), 1<<20+5, 3*(32<<10)+1, 32<<10, 32<<10-1, 100<<10) // longer than what is done at a time
}

// The counter carries at each place in a call and at each of its bytes, over all of
// it, too.
func TestCarries(t *testing.T) {
	rnd := seeded(t)
	for ones := range block + 1 { // how many bytes at the end of the counter overflow
		for before := range uint64(40) { // blocks before they do
			iv := randomIV(rnd)
			for i := range ones {
				iv[block-1-i] = 0xff
			}
			low := binary.BigEndian.Uint64(iv[8:])
			binary.BigEndian.PutUint64(iv[8:], low-before)
			agree(t, rnd, iv, 700)
			agree(t, rnd, iv, rnd.IntN(700), rnd.IntN(700))
		}
	}
}

func TestAlignments(t *testing.T) {
	rnd := seeded(t)
	var key [32]byte
	iv := randomIV(rnd)
	const n = 333
	plain := make([]byte, n)
	fill(rnd, plain)
	want := make([]byte, n)
	std(t, key, iv).XORKeyStream(want, plain)
	for to := range 64 {
		for from := range 64 {
			src := append(make([]byte, from), plain...)[from:]
			dst := make([]byte, to+n)[to:]
			if New(key, iv).XORKeyStream(dst, src); !bytes.Equal(dst, want) {
				t.Fatalf("wrong from alignment %d to %d", from, to)
			}
		}
	}
}

// What cannot be right panics, as in crypto/cipher, and touches nothing.
func TestPanics(t *testing.T) {
	memory := make([]byte, 200)
	for _, tt := range []struct {
		name     string
		dst, src []byte
		panics   bool
	}{
		{"short", memory[:99], memory[100:200], true},
		{"nothing to write to", nil, memory[:1], true},
		{"shifted up", memory[1:101], memory[:100], true},
		{"shifted down", memory[:100], memory[1:101], true},
		{"last byte", memory[99:199], memory[:100], true},
		{"first byte", memory[:100], memory[99:199], true},
		{"side by side", memory[:100], memory[100:], false},
		{"side by side the other way", memory[100:], memory[:100], false},
		{"overlap beyond what is written", memory[:150], memory[100:], false},
		{"in place", memory, memory[:100], false},
		{"nothing", nil, nil, false},
		{"nothing in something", memory[10:], memory[5:5], false},
	} {
		clear(memory)
		panicked := func() (panicked bool) {
			defer func() { panicked = recover() != nil }()
			New([32]byte{1}, [block]byte{}).XORKeyStream(tt.dst, tt.src)
			return
		}()
		if panicked != tt.panics {
			t.Errorf("%s: panicked: %v, want %v", tt.name, panicked, tt.panics)
		}
		if panicked && !bytes.Equal(memory, make([]byte, len(memory))) {
			t.Errorf("%s: memory was written", tt.name)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	s, b := New([32]byte{}, [block]byte{}), make([]byte, 5000)
	if n := testing.AllocsPerRun(100, func() {
		s.XORKeyStream(b[:4], b[:4])
		s.XORKeyStream(b[:700], b[4000:4700])
		s.XORKeyStream(b, b)
	}); n != 0 {
		t.Errorf("allocates %v times", n)
	}
}

// FuzzStream takes the lengths of pieces, two bytes each, and how near the counter is to a carry.
func FuzzStream(f *testing.F) {
	f.Add(uint64(1), uint64(0), uint64(0), []byte{1, 0, 31, 0, 0, 1})
	f.Add(uint64(2), ^uint64(0), ^uint64(0)-2, []byte{255, 255, 3, 0, 64, 2})
	f.Add(uint64(3), uint64(7), ^uint64(0)-100, []byte{5, 0, 0, 32})
	f.Fuzz(func(t *testing.T, seed, high, low uint64, sizes []byte) {
		var iv [block]byte
		binary.BigEndian.PutUint64(iv[:8], high)
		binary.BigEndian.PutUint64(iv[8:], low)
		var lengths []int
		for sizes = sizes[:min(len(sizes), 20)]; len(sizes) >= 2; sizes = sizes[2:] {
			lengths = append(lengths, int(binary.LittleEndian.Uint16(sizes)))
		}
		agree(t, rand.New(rand.NewPCG(seed, 1)), iv, lengths...)
	})
}

// BenchmarkStream is the standard library and the best path in turns, in place: "best-MiB/s" is
// the rate of the fastest pass of each, which other work on the machine hardly
// changes, and "times" how much faster ours is.
func BenchmarkStream(b *testing.B) {
	for _, size := range []int{64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%v/%dKiB", best, size>>10), func(b *testing.B) {
			data := make([]byte, size)
			streams := [2]cipher.Stream{std(b, [32]byte{}, [block]byte{}), New([32]byte{}, [block]byte{})}
			least := [2]time.Duration{time.Hour, time.Hour}
			b.ReportAllocs()
			for b.Loop() {
				for i, s := range streams {
					start := time.Now()
					s.XORKeyStream(data, data)
					least[i] = min(least[i], time.Since(start))
				}
			}
			rate := func(d time.Duration) float64 { return float64(size) / (1 << 20) / d.Seconds() }
			b.ReportMetric(rate(least[0]), "std-best-MiB/s")
			b.ReportMetric(rate(least[1]), "best-MiB/s")
			b.ReportMetric(least[0].Seconds()/least[1].Seconds(), "times")
		})
	}
}
