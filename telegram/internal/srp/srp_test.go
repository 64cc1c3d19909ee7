package srp

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"testing"

	"github.com/tghaul/haul/mtproto/crypto"
)

type vector struct {
	Password string
	Salt1    string
	Salt2    string
	G        int
	P        string
	SrpB     string `json:"srp_B"`
	A        string `json:"a"`
	X, V     string
	GA       string `json:"A"`
	U        string
	KA       string `json:"k_a"`
	M1       string
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// vectors are documented computations. encoding/json matches names without
// regard to case unless one fits exactly: a and A both do.
func vectors(t *testing.T) []vector {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ SRP []vector }
	if err := json.Unmarshal(b, &file); err != nil || len(file.SRP) == 0 {
		t.Fatalf("%v, %d vectors", err, len(file.SRP))
	}
	return file.SRP
}

func (v vector) params(t *testing.T) Params {
	t.Helper()
	if v.P != "known dh_prime" {
		t.Fatalf("prime %q", v.P)
	}
	return Params{
		Salt1: unhex(t, v.Salt1), Salt2: unhex(t, v.Salt2), G: v.G, P: crypto.KnownPrime.Bytes(), B: unhex(t, v.SrpB),
	}
}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.Password, func(t *testing.T) {
			e, err := begin(v.params(t))
			if err != nil {
				t.Fatal(err)
			}
			x, err := e.secret([]byte(v.Password))
			if err != nil {
				t.Fatal(err)
			}
			s := e.solve(x, new(big.Int).SetBytes(unhex(t, v.A)))
			for _, c := range []struct {
				name string
				got  []byte
				want string
			}{
				{"x", x.FillBytes(make([]byte, 32)), v.X},
				{"v", number(s.v), v.V},
				{"A", s.proof.A[:], v.GA},
				{"u", s.u.FillBytes(make([]byte, 32)), v.U},
				{"k_a", s.key, v.KA},
				{"M1", s.proof.M1[:], v.M1},
			} {
				if got := hex.EncodeToString(c.got); got != c.want {
					t.Errorf("%s = %s, want %s", c.name, got, c.want)
				}
			}
		})
	}
}

// The exported way takes its exponent from the source of randomness, and
// passes over those whose public value is out of range: the first vector's
// exponent is 1, and g^1 far too small.
func TestProve(t *testing.T) {
	list := vectors(t)
	p := list[1].params(t)
	bad, good := unhex(t, list[0].A), unhex(t, list[1].A)
	got, err := Prove(p, []byte(list[1].Password), bytes.NewReader(append(bad, good...)))
	if err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(got.A[:]) != list[1].GA || hex.EncodeToString(got.M1[:]) != list[1].M1 {
		t.Error("the proof is not that of the vector")
	}
	if _, err := Prove(p, nil, bytes.NewReader(bad)); err == nil {
		t.Error("proved without enough random numbers")
	}
}

func TestRefused(t *testing.T) {
	good := vectors(t)[0].params(t)
	prime := crypto.KnownPrime
	shift := func(n uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), n) }
	less := func(n int64) []byte { return new(big.Int).Sub(prime, big.NewInt(n)).Bytes() }
	for _, c := range []struct {
		name   string
		change func(*Params)
	}{
		{"B is 0", func(p *Params) { p.B = nil }},
		{"B is 1", func(p *Params) { p.B = []byte{1} }},
		{"B is p-1", func(p *Params) { p.B = less(1) }},
		{"B is p", func(p *Params) { p.B = prime.Bytes() }},
		{"B is above p", func(p *Params) { p.B = bytes.Repeat([]byte{0xff}, 256) }},
		{"B below 2^1984", func(p *Params) { p.B = new(big.Int).Sub(shift(1984), big.NewInt(1)).Bytes() }},
		{"B above p - 2^1984", func(p *Params) {
			p.B = new(big.Int).Add(new(big.Int).Sub(prime, shift(1984)), big.NewInt(1)).Bytes()
		}},
		{"B has 257 bytes", func(p *Params) { p.B = append([]byte{0}, make([]byte, 256)...) }},
		{"g does not fit p", func(p *Params) { p.G = 2 }},
		{"g is 1", func(p *Params) { p.G = 1 }},
		{"g is 8", func(p *Params) { p.G = 8 }},
		{"no prime", func(p *Params) { p.P = nil }},
		{"short prime", func(p *Params) { p.P = prime.Bytes()[1:] }},
		{"not a prime", func(p *Params) { p.P = less(6) }},
		{"longer than a prime may be", func(p *Params) { p.P = append([]byte{1}, prime.Bytes()...) }},
		{"endless salt", func(p *Params) { p.Salt1 = make([]byte, maxSalt+1) }},
		{"endless second salt", func(p *Params) { p.Salt2 = make([]byte, maxSalt+1) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := good
			c.change(&p)
			if _, err := Prove(p, []byte("x"), rand.Reader); !errors.Is(err, ErrParams) {
				t.Errorf("got %v, want ErrParams", err)
			}
		})
	}
}

// The bounds themselves are allowed.
func TestBounds(t *testing.T) {
	low := new(big.Int).Lsh(big.NewInt(1), 1984)
	for _, b := range []*big.Int{low, new(big.Int).Sub(crypto.KnownPrime, low)} {
		p := vectors(t)[0].params(t)
		p.B = b.Bytes()
		if _, err := begin(p); err != nil {
			t.Errorf("B of %d bits: %v", b.BitLen(), err)
		}
	}
}
