// Package crypto is the cryptography on the wire of MTProto 2.0: auth keys,
// message encryption, RSA_PAD, and the checks of the Diffie-Hellman exchange.
// Client and simulated cluster share it; neither's state is here.
package crypto

import (
	"crypto/sha1"
	"encoding/binary"
	"log/slog"
)

// AuthKeySize is the length of an auth key in bytes.
const AuthKeySize = 256

const redacted = "[redacted]"

// An AuthKey is the secret that a client shares with one DC. It is immutable
// and prints as [redacted], whichever way it is printed.
type AuthKey struct {
	value [AuthKeySize]byte
	id    int64
	aux   int64
}

// NewAuthKey makes a key of its bytes.
func NewAuthKey(value [AuthKeySize]byte) *AuthKey {
	k := &AuthKey{value: value}
	sum := sha1.Sum(value[:])
	k.aux = int64(binary.LittleEndian.Uint64(sum[0:8]))
	k.id = int64(binary.LittleEndian.Uint64(sum[12:20]))
	return k
}

// ID is auth_key_id: the last 8 bytes of the key's SHA-1.
func (k *AuthKey) ID() int64 { return k.id }

// AuxHash is auth_key_aux_hash: the first 8 bytes of the key's SHA-1.
func (k *AuthKey) AuxHash() int64 { return k.aux }

// Bytes is the secret itself, for storing it sealed.
func (k *AuthKey) Bytes() [AuthKeySize]byte { return k.value }

// String hides the key.
func (k *AuthKey) String() string { return redacted }

// GoString hides the key.
func (k *AuthKey) GoString() string { return redacted }

// LogValue hides the key.
func (k *AuthKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON hides the key. Storing one takes Bytes.
func (k *AuthKey) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }
