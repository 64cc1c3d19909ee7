// Package srp proves to a server that one knows the two-step password without
// telling it: SRP 6a as Telegram has it. All hashes are SHA-256, and numbers
// are hashed as 256 bytes, big-endian.
// See core.telegram.org/api/srp.
package srp

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/tghaul/haul/mtproto/crypto"
)

const (
	numberSize = 256    // bytes of a number as it is hashed and sent
	rounds     = 100000 // of PBKDF2; about a tenth of a second
	maxSalt    = 1024   // bytes; servers send 40 and 16
)

// ErrParams is wrapped by errors about what the server sent: to go on with it
// could give the password away, or prove nothing.
var ErrParams = errors.New("srp: the server's parameters are not safe")

// Params are what the server says of a password: the algorithm
// passwordKdfAlgoSHA256SHA256PBKDF2HMACSHA512iter100000SHA256ModPow.
type Params struct {
	Salt1, Salt2 []byte
	G            int
	P            []byte // the prime, big-endian
	B            []byte // srp_B: the server's public value, new for each try
}

// A Proof is the answer: A and M1 of inputCheckPasswordSRP.
type Proof struct {
	A  [numberSize]byte
	M1 [sha256.Size]byte
}

// Prove answers the server's challenge with the password, its UTF-8 bytes
// exactly as typed. random is the source of the secret exponent, 256 bytes for
// each try at one. It takes about a tenth of a second.
// Errors wrap ErrParams, or are those of random.
func Prove(p Params, password []byte, random io.Reader) (Proof, error) {
	e, err := begin(p)
	if err != nil {
		return Proof{}, err
	}
	x, err := e.secret(password)
	if err != nil {
		return Proof{}, err
	}
	const tries = 64 // one is enough but for one in 2^64
	for range tries {
		var b [numberSize]byte
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return Proof{}, fmt.Errorf("srp: %w", err)
		}
		a := new(big.Int).SetBytes(b[:])
		if crypto.CheckDHValue(e.p, new(big.Int).Exp(e.g, a, e.p)) != nil {
			continue
		}
		if s := e.solve(x, a); s != nil {
			return s.proof, nil
		}
	}
	return Proof{}, errors.New("srp: no usable random numbers")
}

// An exchange is one challenge, checked.
type exchange struct {
	Params
	p, g, b *big.Int
}

// begin checks the server's values: p and g as in the key exchange, and B in
// the range that every public value has to be in.
func begin(p Params) (*exchange, error) {
	e := &exchange{Params: p, p: new(big.Int).SetBytes(p.P), g: big.NewInt(int64(p.G)), b: new(big.Int).SetBytes(p.B)}
	if len(p.P) > numberSize || len(p.B) > numberSize || len(p.Salt1) > maxSalt || len(p.Salt2) > maxSalt {
		return nil, fmt.Errorf("%w: too long", ErrParams)
	}
	if err := crypto.CheckDH(e.p, p.G); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrParams, err)
	}
	if err := crypto.CheckDHValue(e.p, e.b); err != nil {
		return nil, fmt.Errorf("%w: srp_B: %w", ErrParams, err)
	}
	return e, nil
}

// secret is x, the password's part of the computation (PH2).
func (e *exchange) secret(password []byte) (*big.Int, error) {
	first := salted(salted(password, e.Salt1), e.Salt2) // PH1
	stretched, err := pbkdf2.Key(sha512.New, string(first), e.Salt1, rounds, sha512.Size)
	if err != nil {
		return nil, fmt.Errorf("srp: %w", err)
	}
	return new(big.Int).SetBytes(salted(stretched, e.Salt2)), nil
}

// salted is SH(data, salt) = SHA256(salt || data || salt).
func salted(data, salt []byte) []byte { return hash(salt, data, salt) }

// A solution has the intermediate values, for the vectors.
type solution struct {
	v, u  *big.Int
	key   []byte // k_a
	proof Proof
}

// solve computes the proof for the secret exponent a, nil if u or t is 0, so
// that another a is needed. The exponent a + u*x is not reduced.
func (e *exchange) solve(x, a *big.Int) *solution {
	var s solution
	padP, padG := number(e.p), number(e.g)
	ga := number(new(big.Int).Exp(e.g, a, e.p))
	k := new(big.Int).SetBytes(hash(padP, padG))
	s.v = new(big.Int).Exp(e.g, x, e.p)
	s.u = new(big.Int).SetBytes(hash(ga, number(e.b)))
	t := new(big.Int).Mul(k, s.v)
	t.Sub(e.b, t).Mod(t, e.p) // Mod is never negative
	if s.u.Sign() == 0 || t.Sign() == 0 {
		return nil
	}
	exponent := new(big.Int).Mul(s.u, x)
	s.key = hash(number(t.Exp(t, exponent.Add(exponent, a), e.p)))
	xored := make([]byte, sha256.Size)
	subtle.XORBytes(xored, hash(padP), hash(padG))
	copy(s.proof.A[:], ga)
	copy(s.proof.M1[:], hash(xored, hash(e.Salt1), hash(e.Salt2), ga, number(e.b), s.key))
	return &s
}

// number is n as it is hashed and sent.
func number(n *big.Int) []byte { return n.FillBytes(make([]byte, numberSize)) }

func hash(parts ...[]byte) []byte {
	sum := sha256.Sum256(bytes.Join(parts, nil))
	return sum[:]
}
