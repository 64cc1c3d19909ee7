package mtserver

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha1"
	"fmt"
	"math/big"
	"time"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/tl"
)

// openInner decrypts and checks p_q_inner_data in one of its forms.
func (d *DC) openInner(x *exchange, encrypted []byte, mediaOnly bool) error {
	data, err := d.decryptInner(encrypted)
	if err != nil {
		return err
	}
	in, err := parseInner(data)
	if err != nil {
		return err
	}
	switch {
	case !in.hasDC && !d.cfg.AcceptOldHandshake:
		return refuse("obsolete inner data without a DC id")
	case !sameNumber(in.pq, x.pq) || !sameNumber(in.p, x.p) || !sameNumber(in.q, x.q):
		return refuse("wrong pq in the inner data")
	case in.nonce != x.nonce || in.serverNonce != x.serverNonce:
		return refuse("wrong nonce in the inner data")
	case in.temp && (in.expiresIn <= 0 || in.lifetime() > maxTempLifetime):
		return refuse("expires_in is %d", in.expiresIn)
	case in.hasDC && !d.named(in.dc, mediaOnly):
		return &handshakeError{code: transportWrongDC, why: fmt.Sprintf("DC id %d, want %d", in.dc, d.wireID(mediaOnly))}
	}
	x.newNonce, x.temp, x.media, x.lifetime = in.newNonce, in.temp, mediaOnly, in.lifetime()
	return nil
}

// wireID is the DC id that clients must name: 10000 is added on test servers,
// the sign is negative on media-only endpoints.
func (d *DC) wireID(mediaOnly bool) int32 {
	id := int32(d.cfg.ID)
	if d.cfg.Test {
		id += 10000
	}
	if mediaOnly && !d.cfg.CDN {
		id = -id
	}
	return id
}

// named says whether a client that names DC id means this one.
func (d *DC) named(id int32, mediaOnly bool) bool {
	own := d.wireID(mediaOnly)
	if id == own {
		return true
	}
	if !d.cfg.AnyEnvironment {
		return false
	}
	return id == int32(d.cfg.ID) || id == -int32(d.cfg.ID) && own < 0
}

// decryptInner undoes RSA_PAD, or the old padding if that is accepted.
func (d *DC) decryptInner(encrypted []byte) ([]byte, error) {
	data, err := crypto.DecryptPad(d.cfg.RSA, encrypted)
	if err == nil {
		return data, nil
	}
	if d.cfg.AcceptOldHandshake {
		if data, ok := decryptOldPadding(d.cfg.RSA, encrypted); ok {
			return data, nil
		}
	}
	return nil, refuse("inner data: %v", err)
}

// innerData is any form of p_q_inner_data.
type innerData struct {
	pq, p, q           []byte
	nonce, serverNonce [16]byte
	newNonce           [32]byte
	hasDC, temp        bool
	dc, expiresIn      int32
}

func (in *innerData) lifetime() time.Duration { return time.Duration(in.expiresIn) * time.Second }

// parseInner reads the inner data; random padding may follow it.
func parseInner(data []byte) (*innerData, error) {
	d := tl.NewDecoder(data)
	in := new(innerData)
	switch d.ID() {
	case idPQInner:
	case idPQInnerTemp:
		in.temp = true
	case idPQInnerDC:
		in.hasDC = true
	case idPQInnerTempDC:
		in.hasDC, in.temp = true, true
	default:
		return nil, refuse("unknown inner data")
	}
	in.pq, in.p, in.q = d.Blob(), d.Blob(), d.Blob()
	in.nonce, in.serverNonce, in.newNonce = d.Int128(), d.Int128(), d.Int256()
	if in.hasDC {
		in.dc = d.Int()
	}
	if in.temp {
		in.expiresIn = d.Int()
	}
	if d.Err() != nil {
		return nil, refuse("malformed inner data: %v", d.Err())
	}
	return in, nil
}

// sameNumber compares a big-endian number of the wire, which must be minimal.
func sameNumber(b []byte, v uint64) bool { return bytes.Equal(b, minimalBytes(v)) }

// decryptOldPadding undoes the padding that RSA_PAD replaced: SHA1(data) ||
// data || random bytes, 255 bytes in all.
func decryptOldPadding(key *rsa.PrivateKey, encrypted []byte) ([]byte, bool) {
	c := new(big.Int).SetBytes(encrypted)
	if len(encrypted) > 256 || c.Cmp(key.N) >= 0 {
		return nil, false
	}
	m := c.Exp(c, key.D, key.N)
	if m.BitLen() > 255*8 {
		return nil, false
	}
	var plain [255]byte
	m.FillBytes(plain[:])
	data := plain[sha1.Size:]
	n, err := measureInner(data)
	if err != nil {
		return nil, false
	}
	hash := sha1.Sum(data[:n])
	return data[:n], bytes.Equal(hash[:], plain[:sha1.Size])
}

// measureInner is the length of the inner data at the start of b.
func measureInner(b []byte) (int, error) {
	in, err := parseInner(b)
	if err != nil {
		return 0, err
	}
	n := 4 + 16 + 16 + 32
	for _, s := range [][]byte{in.pq, in.p, in.q} {
		n += (len(s) + 1 + 3) &^ 3 // never 254 bytes or more: b is 235
	}
	if in.hasDC {
		n += 4
	}
	if in.temp {
		n += 4
	}
	return n, nil
}
