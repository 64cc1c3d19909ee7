package transport

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Secret is what some endpoints and every MTProxy ask for in the obfuscation.
// The zero Secret is none.
type Secret struct {
	Key    []byte // 16 bytes, nil for none
	Padded bool   // the framing must be padded intermediate
	// Domain makes the connection look like TLS with that host (fake TLS); "":
	// it does not. Set only with Key and Padded.
	Domain string
}

const (
	secretKey = 16
	// maxDomain keeps the ClientHello within what proxies read.
	maxDomain = 182

	securedMark = 0xdd // a key for padded intermediate follows
	fakeTLSMark = 0xee // a key and a domain follow
)

var errSecret = errors.New("transport: a secret is 16 bytes, or 17 that begin with dd, " +
	"or ee with 16 bytes and a domain; in hex or base64")

// ParseSecret reads a secret in hex, base64url or base64; "" is none. No error
// shows the secret.
func ParseSecret(text string) (Secret, error) {
	if text == "" {
		return Secret{}, nil
	}
	b, err := hex.DecodeString(text)
	if err != nil {
		trimmed := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
		if b, err = base64.RawStdEncoding.DecodeString(trimmed); err != nil {
			return Secret{}, errSecret
		}
	}
	return DecodeSecret(b)
}

// DecodeSecret reads the bytes of a secret, of which there must be some.
func DecodeSecret(b []byte) (Secret, error) {
	switch {
	case len(b) == secretKey:
		return Secret{Key: slices.Clone(b)}, nil
	case len(b) == 1+secretKey && b[0] == securedMark:
		return Secret{Key: slices.Clone(b[1:]), Padded: true}, nil
	case len(b) == 1+secretKey && b[0] == fakeTLSMark:
		return Secret{}, errors.New("transport: a secret that begins with ee must end with a domain")
	case len(b) > 1+secretKey && b[0] == fakeTLSMark:
		domain := b[1+secretKey:]
		if err := checkDomain(domain); err != nil {
			return Secret{}, err
		}
		return Secret{Key: slices.Clone(b[1 : 1+secretKey]), Padded: true, Domain: string(domain)}, nil
	default:
		return Secret{}, errSecret
	}
}

func checkDomain(domain []byte) error {
	if len(domain) > maxDomain {
		return fmt.Errorf("transport: the domain in the secret has %d bytes, want %d at most", len(domain), maxDomain)
	}
	for _, c := range domain {
		if c <= ' ' || c >= 0x7f {
			return errors.New("transport: the domain in the secret is not ASCII text")
		}
	}
	return nil
}

// Bytes is the form that DecodeSecret reads; nil for none.
func (s Secret) Bytes() []byte {
	switch {
	case s.Key == nil:
		return nil
	case s.Domain != "":
		return slices.Concat([]byte{fakeTLSMark}, s.Key, []byte(s.Domain))
	case s.Padded:
		return slices.Concat([]byte{securedMark}, s.Key)
	default:
		return slices.Clone(s.Key)
	}
}

// Format prints whether there is a secret and of which kind, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) {
	kind := "no secret"
	switch {
	case s.Domain != "":
		kind = "(secret, fake TLS)"
	case s.Padded:
		kind = "(secret, padded)"
	case s.Key != nil:
		kind = "(secret)"
	}
	_, _ = f.Write([]byte(kind))
}
