// Package fips is what both generators compute rather than copy out of the standards.
package fips

import (
	"math"
	"math/big"
)

// RoundConstants are the first 32 bits of the fractional parts of the cube
// roots of the first 64 primes: FIPS 180-4, 4.2.2.
func RoundConstants() (list []uint32) {
	for n := int64(2); len(list) < 64; n++ {
		if !big.NewInt(n).ProbablyPrime(0) {
			continue
		}
		// The root of n * 2^96 is that of n, times 2^32.
		target := new(big.Int).Lsh(big.NewInt(n), 96)
		root := big.NewInt(int64(math.Cbrt(float64(n)) * (1 << 32)))
		cube := func(x *big.Int) *big.Int { return new(big.Int).Exp(x, big.NewInt(3), nil) }
		for cube(root).Cmp(target) > 0 {
			root.Sub(root, big.NewInt(1))
		}
		for next := new(big.Int).Add(root, big.NewInt(1)); cube(next).Cmp(target) <= 0; next.Add(next, big.NewInt(1)) {
			root.Set(next)
		}
		list = append(list, uint32(root.Uint64()))
	}
	return list
}
