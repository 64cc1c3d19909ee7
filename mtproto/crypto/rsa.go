package crypto

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"

	"github.com/tghaul/haul/tl"
)

const (
	rsaSize    = 256 // bytes of a modulus
	paddedSize = 192 // bytes of data with its padding
	maxRSAData = 144
)

// A PublicKey is an RSA key of a server.
type PublicKey struct {
	N *big.Int
	E int
}

// ParsePublicKeys reads any number of PEM blocks "RSA PUBLIC KEY" (PKCS#1).
// Anything else in text, or a modulus that has not 2048 bits, is an error.
func ParsePublicKeys(text []byte) ([]*PublicKey, error) {
	var keys []*PublicKey
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			if len(bytes.TrimSpace(text)) != 0 || len(keys) == 0 {
				return nil, errors.New("crypto: no PEM block \"RSA PUBLIC KEY\"")
			}
			return keys, nil
		}
		if block.Type != "RSA PUBLIC KEY" {
			return nil, fmt.Errorf("crypto: PEM block %q, want \"RSA PUBLIC KEY\"", block.Type)
		}
		key, err := x509.ParsePKCS1PublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("crypto: public key: %w", err)
		}
		if key.N.BitLen() != 8*rsaSize || key.E < 3 || key.E%2 == 0 {
			return nil, fmt.Errorf("crypto: public key of %d bits with exponent %d", key.N.BitLen(), key.E)
		}
		keys = append(keys, &PublicKey{N: key.N, E: key.E})
		text = rest
	}
}

// PEM is the key as ParsePublicKeys reads it.
func (k *PublicKey) PEM() string {
	der := x509.MarshalPKCS1PublicKey(&rsa.PublicKey{N: k.N, E: k.E})
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: der}))
}

// Fingerprint names the key in the key exchange: the last 8 bytes of the
// SHA-1 of n and e as TL strings.
func (k *PublicKey) Fingerprint() int64 {
	var e tl.Encoder
	e.Blob(k.N.Bytes())
	e.Blob(big.NewInt(int64(k.E)).Bytes())
	sum := sha1.Sum(e.Bytes())
	return int64(binary.LittleEndian.Uint64(sum[12:20]))
}

// EncryptPad is RSA_PAD: data of at most 144 bytes, padded, hidden under a
// one-time AES key, and encrypted to 256 bytes.
// See core.telegram.org/mtproto/auth_key#41-rsa-paddata-server-public-key-mentioned-above-is-implemented-as-follows.
func (k *PublicKey) EncryptPad(data []byte, rnd io.Reader) ([]byte, error) {
	if len(data) > maxRSAData {
		return nil, fmt.Errorf("crypto: %d bytes are too many for RSA_PAD", len(data))
	}
	var padded [paddedSize]byte
	n := copy(padded[:], data)
	if _, err := io.ReadFull(rnd, padded[n:]); err != nil {
		return nil, fmt.Errorf("crypto: RSA_PAD: %w", err)
	}
	for {
		var temp [32]byte
		if _, err := io.ReadFull(rnd, temp[:]); err != nil {
			return nil, fmt.Errorf("crypto: RSA_PAD: %w", err)
		}
		if out, ok := k.encryptPadded(&padded, &temp); ok {
			return out, nil
		}
	}
}

// encryptPadded fails if the number to encrypt is not below the modulus:
// another temporary key must be tried.
func (k *PublicKey) encryptPadded(padded *[paddedSize]byte, temp *[32]byte) ([]byte, bool) {
	var x [rsaSize]byte
	body := x[32:]
	copy(body, padded[:])
	slices.Reverse(body[:paddedSize])
	sum := sha256.Sum256(append(temp[:len(temp):len(temp)], padded[:]...))
	copy(body[paddedSize:], sum[:])
	var iv [32]byte
	IGEEncrypt(body, body, temp[:], iv[:])
	sum = sha256.Sum256(body)
	subtle.XORBytes(x[:32], temp[:], sum[:])
	num := new(big.Int).SetBytes(x[:])
	if num.Cmp(k.N) >= 0 {
		return nil, false
	}
	return num.Exp(num, big.NewInt(int64(k.E)), k.N).FillBytes(make([]byte, rsaSize)), true
}

var errRSAPad = errors.New("crypto: RSA_PAD does not match")

// DecryptPad is the server's inverse of EncryptPad: the 192 bytes of data and padding.
func DecryptPad(priv *rsa.PrivateKey, encrypted []byte) ([]byte, error) {
	num := new(big.Int).SetBytes(encrypted)
	if len(encrypted) != rsaSize || num.Cmp(priv.N) >= 0 {
		return nil, errRSAPad
	}
	x := num.Exp(num, priv.D, priv.N).FillBytes(make([]byte, rsaSize))
	body := x[32:]
	sum := sha256.Sum256(body)
	var temp, iv [32]byte
	subtle.XORBytes(temp[:], x[:32], sum[:])
	IGEDecrypt(body, body, temp[:], iv[:])
	padded := body[:paddedSize]
	slices.Reverse(padded)
	sum = sha256.Sum256(append(temp[:], padded...))
	if subtle.ConstantTimeCompare(sum[:], body[paddedSize:]) != 1 {
		return nil, errRSAPad
	}
	return padded, nil
}
