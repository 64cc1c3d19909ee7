//go:build purego || !amd64

package ctr

import "crypto/cipher"

var pathNames = []string{"portable"}

func detect() path { return portable }

func newStream(key [32]byte, iv [block]byte) cipher.Stream { return newPortable(key, iv) }
