package crypto

import (
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"sync"
)

// KnownPrime is the safe prime that Telegram's servers have used for many
// years; comparing with it spares two primality tests. It must not be changed.
var KnownPrime, _ = new(big.Int).SetString(
	"c71caeb9c6b1c9048e6c522f70f13f73980d40238e3e21c14934d037563d930f48198a0aa7c14058229493d22530f4db"+
		"fa336f6e0ac925139543aed44cce7c3720fd51f69458705ac68cd4fe6b6b13abdc9746512969328454f18faf8c595f64"+
		"2477fe96bb2a941d5bcd1d4ac8cc49880708fa9b378e3c4f3a9060bee67cf9a4a4a695811051907e162753b56b0f6b41"+
		"0dba74d8a84b2a14b3144e0ef1284754fd17ed950d5965b4b9dd46582db1178d169c6bc465b0d6ff9ca3928fef5b9ae4"+
		"e418fc15e83ebea0f87fa9ff5eed70050ded2849f47bf959d956850ce929851f0d8115f635b105ee2e4e15d04b2454bf"+
		"6f4fadf034b10403119cd8e3b92fcc5b", 16)

// ErrDH is wrapped by the errors of CheckDH and CheckDHValue.
var ErrDH = errors.New("crypto: unsafe Diffie-Hellman parameter")

const (
	dhBits      = 2048
	primeRounds = 20
)

// safePrimes remembers primes that passed the tests, which take a second.
var safePrimes sync.Map // string(p.Bytes()) -> struct{}

// CheckDH fails unless p is a safe prime of 2048 bits and g generates its
// subgroup of order (p-1)/2. See core.telegram.org/mtproto/auth_key#presenting-proof-of-work-server-authentication.
func CheckDH(p *big.Int, g int) error {
	if p.Sign() <= 0 || p.BitLen() != dhBits {
		return fmt.Errorf("%w: prime has %d bits", ErrDH, p.BitLen())
	}
	mod := func(m int64) int64 { return new(big.Int).Mod(p, big.NewInt(m)).Int64() }
	var ok bool
	switch g {
	case 2:
		ok = mod(8) == 7
	case 3:
		ok = mod(3) == 2
	case 4:
		ok = true
	case 5:
		ok = mod(5) == 1 || mod(5) == 4
	case 6:
		ok = mod(24) == 19 || mod(24) == 23
	case 7:
		ok = mod(7) == 3 || mod(7) == 5 || mod(7) == 6
	}
	if !ok {
		return fmt.Errorf("%w: g = %d", ErrDH, g)
	}
	if p.Cmp(KnownPrime) == 0 {
		return nil
	}
	name := string(p.Bytes())
	if _, known := safePrimes.Load(name); known {
		return nil
	}
	half := new(big.Int).Rsh(p, 1)
	if !p.ProbablyPrime(primeRounds) || !half.ProbablyPrime(primeRounds) {
		return fmt.Errorf("%w: not a safe prime", ErrDH)
	}
	safePrimes.Store(name, struct{}{})
	return nil
}

// CheckDHValue fails unless 2^1984 <= x <= p - 2^1984, for g_a and g_b.
func CheckDHValue(p, x *big.Int) error {
	low := new(big.Int).Lsh(big.NewInt(1), dhBits-64)
	if x.Cmp(low) < 0 || x.Cmp(new(big.Int).Sub(p, low)) > 0 {
		return fmt.Errorf("%w: value out of range", ErrDH)
	}
	return nil
}

// TempAESKey derives the key and iv that protect the answers of the key exchange.
func TempAESKey(newNonce [32]byte, serverNonce [16]byte) (key, iv [32]byte) {
	var buf [64]byte
	copy(buf[:], newNonce[:])
	copy(buf[32:], serverNonce[:])
	ns := sha1.Sum(buf[:48])
	copy(buf[:], serverNonce[:])
	copy(buf[16:], newNonce[:])
	sn := sha1.Sum(buf[:48])
	copy(buf[:], newNonce[:])
	copy(buf[32:], newNonce[:])
	nn := sha1.Sum(buf[:])
	copy(key[:], ns[:])
	copy(key[20:], sn[:12])
	copy(iv[:], sn[12:])
	copy(iv[8:], nn[:])
	copy(iv[28:], newNonce[:4])
	return key, iv
}

// NonceHash is new_nonce_hash1, 2 or 3, by n.
func NonceHash(newNonce [32]byte, n byte, auxHash int64) (hash [16]byte) {
	var buf [41]byte
	copy(buf[:], newNonce[:])
	buf[32] = n
	binary.LittleEndian.PutUint64(buf[33:], uint64(auxHash))
	sum := sha1.Sum(buf[:])
	copy(hash[:], sum[4:])
	return hash
}

// ErrFactor says that a number is not the product of two different primes.
var ErrFactor = errors.New("crypto: pq is not the product of two primes")

// FactorPQ splits pq into p < q, in milliseconds for the 62 bits that servers
// send, and within a bounded number of steps for anything else.
// See core.telegram.org/mtproto/auth_key#3-client-decomposes-pq-into-prime-factors-such-that-p--q.
func FactorPQ(pq uint64) (p, q uint64, err error) {
	if pq < 4 || pq%2 == 0 || pq>>63 != 0 || new(big.Int).SetUint64(pq).ProbablyPrime(primeRounds) {
		return 0, 0, ErrFactor
	}
	for c := uint64(1); c <= 8; c++ {
		if p = rho(pq, c); p != 0 {
			break
		}
	}
	if p == 0 || pq%p != 0 {
		return 0, 0, ErrFactor
	}
	q = pq / p
	if p > q {
		p, q = q, p
	}
	prime := func(v uint64) bool { return new(big.Int).SetUint64(v).ProbablyPrime(primeRounds) }
	if p == q || !prime(p) || !prime(q) {
		return 0, 0, ErrFactor
	}
	return p, q, nil
}

// rho is Brent's variant of Pollard's method: a factor of n, or 0 if this
// constant finds none within a bounded number of steps.
func rho(n, c uint64) uint64 {
	const batch, limit = 128, 1 << 20
	mul := func(a, b uint64) uint64 {
		hi, lo := bits.Mul64(a, b)
		_, rem := bits.Div64(hi%n, lo, n)
		return rem
	}
	step := func(x uint64) uint64 {
		sum, carry := bits.Add64(mul(x, x), c, 0)
		if carry != 0 || sum >= n {
			sum -= n
		}
		return sum
	}
	y, product := uint64(2), uint64(1)
	for r := 1; r < limit; r *= 2 {
		x := y
		for range r {
			y = step(y)
		}
		for done := 0; done < r; done += batch {
			start := y
			for range min(batch, r-done) {
				y = step(y)
				product = mul(product, x-y+n*b2u(x < y))
			}
			g := gcd(product, n)
			if g == 1 {
				continue
			}
			// Several factors in one batch: go through it singly.
			for g = 1; g == 1; {
				start = step(start)
				g = gcd(x-start+n*b2u(x < start), n)
			}
			if g == n {
				return 0
			}
			return g
		}
	}
	return 0
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
