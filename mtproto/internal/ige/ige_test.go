package ige

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"testing"
)

// testdata/vectors.json: two vectors of OpenSSL with AES-128, and one with AES-256. Values are hex.
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
		got := make([]byte, len(unhex(v.Plain)))
		Encrypt(got, unhex(v.Plain), unhex(v.Key), unhex(v.IV))
		if hex.EncodeToString(got) != v.Cipher {
			t.Errorf("vector %d: encrypted to %x, want %s", i, got, v.Cipher)
		}
		Decrypt(got, unhex(v.Cipher), unhex(v.Key), unhex(v.IV))
		if hex.EncodeToString(got) != v.Plain {
			t.Errorf("vector %d: decrypted to %x, want %s", i, got, v.Plain)
		}
	}
}

// In place or not, and there and back, it is the same.
func TestInPlace(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return b
	}
	for range 50 {
		plain, key, iv := random(16*rnd.IntN(100)), random(32), random(32)
		apart := make([]byte, len(plain))
		Encrypt(apart, plain, key, iv)
		same := bytes.Clone(plain)
		Encrypt(same, same, key, iv)
		if !bytes.Equal(same, apart) {
			t.Fatalf("%d bytes: encryption in place differs", len(plain))
		}
		Decrypt(same, same, key, iv)
		if !bytes.Equal(same, plain) {
			t.Fatalf("%d bytes: decryption does not give the plaintext back", len(plain))
		}
	}
}

func BenchmarkDecrypt(b *testing.B) {
	buf := make([]byte, 1<<20)
	key, iv := make([]byte, 32), make([]byte, 32)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		Decrypt(buf, buf, key, iv)
	}
}
