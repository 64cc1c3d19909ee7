package mtproto

import (
	"context"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/mtproto/transport"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/mt"
)

// The key exchange, core.telegram.org/mtproto/auth_key:
//
//	1. req_pq_multi     -> resPQ: the server's nonce, pq, and which RSA keys it has
//	2. req_DH_params    -> server_DH_params_ok: p, g and g_a, under a key made of the nonces
//	3. set_client_DH_params -> dh_gen_ok: both sides have g^ab
//
// Whatever the server says is checked before it is used; the first thing that
// does not hold ends the exchange, and no key comes out of it.

// ErrSecurity is wrapped by errors that mean a check of the protocol failed:
// the peer is broken or hostile.
var ErrSecurity = errors.New("mtproto: security check failed")

// ErrNoPublicKey says that the server has none of the RSA keys that the client trusts.
var ErrNoPublicKey = errors.New("mtproto: the server has none of the known RSA keys")

// A KeyResult is what a key exchange yields.
type KeyResult struct {
	Key        *crypto.AuthKey
	Salt       int64         // the first server salt
	TimeOffset time.Duration // server time minus local time
	ExpiresAt  time.Time     // of a temporary key, by the server's clock; zero for a permanent one
}

// ExchangeConfig says which key to make.
type ExchangeConfig struct {
	Keys []*crypto.PublicKey // the server must have one of them
	// DC is the id that the server must agree with: +10000 for test servers,
	// negative for media-only endpoints.
	DC        int32
	ExpiresIn time.Duration // of a temporary key; 0 makes a permanent one
	Rand      io.Reader     // crypto/rand if nil
	Now       func() time.Time
}

const (
	exchangeTimeout = 10 * time.Second
	maxDHRetries    = 3
)

// Exchange makes an auth key over c, on which nothing else may happen
// meanwhile. It takes at most 10 seconds, or as long as ctx allows. After an
// error c is not to be used again. A *transport.Error is returned as such.
func Exchange(ctx context.Context, c *transport.Conn, cfg ExchangeConfig) (*KeyResult, error) {
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	x := &exchange{conn: c, cfg: cfg}
	result, err := x.run()
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("key exchange: %w", err)
	}
	if !stop() { // the deadline was just set: nobody must find it on the connection
		return nil, fmt.Errorf("key exchange: %w", ctx.Err())
	}
	return result, nil
}

// exchange is the state of one key exchange. Nonces are arrays, never
// numbers, which would lose leading zeros.
type exchange struct {
	conn *transport.Conn
	cfg  ExchangeConfig
	last int64 // msg_id sent last
	// answered is the msg_id of the last answer: when it was made, by the server's clock.
	answered int64

	nonce       [16]byte
	serverNonce [16]byte
	newNonce    [32]byte
	aesKey      [32]byte
	aesIV       [32]byte
}

func (x *exchange) run() (*KeyResult, error) {
	if _, err := io.ReadFull(x.cfg.Rand, x.nonce[:]); err != nil {
		return nil, err
	}
	pq, err := x.requestPQ()
	if err != nil {
		return nil, err
	}
	inner, offset, err := x.requestDH(pq)
	if err != nil {
		return nil, err
	}
	result, err := x.agree(inner)
	if err != nil {
		return nil, err
	}
	result.TimeOffset = offset
	result.Salt = int64(binary.LittleEndian.Uint64(x.newNonce[:8]) ^ binary.LittleEndian.Uint64(x.serverNonce[:8]))
	if x.cfg.ExpiresIn > 0 {
		result.ExpiresAt = x.cfg.Now().Add(offset + x.cfg.ExpiresIn)
	}
	return result, nil
}

// requestPQ is step 1.
func (x *exchange) requestPQ() (*mt.ResPQ, error) {
	answer, err := x.call(&mt.ReqPqMultiRequest{Nonce: x.nonce})
	if err != nil {
		return nil, err
	}
	pq, ok := answer.(*mt.ResPQ)
	if !ok {
		return nil, unexpected(answer)
	}
	if pq.Nonce != x.nonce {
		return nil, violated("nonce of resPQ")
	}
	x.serverNonce = pq.ServerNonce
	return pq, nil
}

// requestDH is step 2. The offset is server time minus local time.
func (x *exchange) requestDH(pq *mt.ResPQ) (*mt.ServerDHInnerData, time.Duration, error) {
	key := x.publicKey(pq.ServerPublicKeyFingerprints)
	if key == nil {
		return nil, 0, ErrNoPublicKey
	}
	if len(pq.Pq) == 0 || len(pq.Pq) > 8 {
		return nil, 0, violated("pq of %d bytes", len(pq.Pq))
	}
	var padded [8]byte
	copy(padded[8-len(pq.Pq):], pq.Pq)
	p, q, err := crypto.FactorPQ(binary.BigEndian.Uint64(padded[:]))
	if err != nil {
		return nil, 0, violated("%w", err)
	}
	if _, err := io.ReadFull(x.cfg.Rand, x.newNonce[:]); err != nil {
		return nil, 0, err
	}
	pBytes, qBytes := new(big.Int).SetUint64(p).Bytes(), new(big.Int).SetUint64(q).Bytes()
	encrypted, err := key.EncryptPad(tl.Marshal(x.innerData(pq.Pq, pBytes, qBytes)), x.cfg.Rand)
	if err != nil {
		return nil, 0, err
	}
	answer, err := x.call(&mt.ReqDHParamsRequest{
		Nonce: x.nonce, ServerNonce: x.serverNonce, P: pBytes, Q: qBytes,
		PublicKeyFingerprint: key.Fingerprint(), EncryptedData: encrypted,
	})
	if err != nil {
		return nil, 0, err
	}
	received := x.cfg.Now()
	ok, isOK := answer.(*mt.ServerDHParamsOk)
	switch {
	case !isOK:
		return nil, 0, unexpected(answer)
	case ok.Nonce != x.nonce || ok.ServerNonce != x.serverNonce:
		return nil, 0, violated("nonces of server_DH_params_ok")
	}
	inner, err := x.decryptDH(ok.EncryptedAnswer)
	if err != nil {
		return nil, 0, err
	}
	return inner, time.Unix(int64(inner.ServerTime), 0).Sub(received), nil
}

// publicKey picks a trusted key that the server has.
func (x *exchange) publicKey(fingerprints []int64) *crypto.PublicKey {
	for _, key := range x.cfg.Keys {
		own := key.Fingerprint()
		for _, fp := range fingerprints {
			if fp == own {
				return key
			}
		}
	}
	return nil
}

func (x *exchange) innerData(pq, p, q []byte) tl.Object {
	if x.cfg.ExpiresIn > 0 {
		return &mt.PQInnerDataTempDc{
			Pq: pq, P: p, Q: q, Nonce: x.nonce, ServerNonce: x.serverNonce, NewNonce: x.newNonce,
			DC: x.cfg.DC, ExpiresIn: int32(x.cfg.ExpiresIn / time.Second),
		}
	}
	return &mt.PQInnerDataDc{
		Pq: pq, P: p, Q: q, Nonce: x.nonce, ServerNonce: x.serverNonce, NewNonce: x.newNonce, DC: x.cfg.DC,
	}
}

// decryptDH opens the answer of step 2: SHA-1, server_DH_inner_data, up to 15 bytes of padding.
func (x *exchange) decryptDH(encrypted []byte) (*mt.ServerDHInnerData, error) {
	if len(encrypted)%16 != 0 || len(encrypted) < 2*sha1.Size {
		return nil, violated("encrypted answer of %d bytes", len(encrypted))
	}
	x.aesKey, x.aesIV = crypto.TempAESKey(x.newNonce, x.serverNonce)
	plain := make([]byte, len(encrypted))
	crypto.IGEDecrypt(plain, encrypted, x.aesKey[:], x.aesIV[:])
	d := tl.NewDecoder(plain[sha1.Size:])
	inner := new(mt.ServerDHInnerData)
	inner.Decode(d)
	if d.Err() != nil || d.Remaining() > 15 {
		return nil, violated("server_DH_inner_data does not parse")
	}
	sum := sha1.Sum(plain[sha1.Size : sha1.Size+d.Offset()])
	switch {
	case subtle.ConstantTimeCompare(sum[:], plain[:sha1.Size]) != 1:
		return nil, violated("SHA-1 of server_DH_inner_data")
	case inner.Nonce != x.nonce || inner.ServerNonce != x.serverNonce:
		return nil, violated("nonces of server_DH_inner_data")
	}
	return inner, nil
}

// agree is step 3, repeated with another b if the server asks for it.
func (x *exchange) agree(inner *mt.ServerDHInnerData) (*KeyResult, error) {
	prime, ga := new(big.Int).SetBytes(inner.DhPrime), new(big.Int).SetBytes(inner.GA)
	if err := crypto.CheckDH(prime, int(inner.G)); err != nil {
		return nil, violated("%w", err)
	}
	if err := crypto.CheckDHValue(prime, ga); err != nil {
		return nil, violated("g_a: %w", err)
	}
	retryID := int64(0)
	for range maxDHRetries {
		b, gb, err := x.exponent(prime, int64(inner.G))
		if err != nil {
			return nil, err
		}
		var value [crypto.AuthKeySize]byte
		new(big.Int).Exp(ga, b, prime).FillBytes(value[:])
		key := crypto.NewAuthKey(value)
		done, err := x.setClientDH(gb, key, retryID)
		if err != nil {
			return nil, err
		}
		if done {
			return &KeyResult{Key: key}, nil
		}
		retryID = key.AuxHash()
	}
	return nil, errors.New("the server asked for another key too often")
}

// exponent draws b until g_b is in range.
func (x *exchange) exponent(prime *big.Int, g int64) (b, gb *big.Int, err error) {
	var raw [256]byte
	for {
		if _, err := io.ReadFull(x.cfg.Rand, raw[:]); err != nil {
			return nil, nil, err
		}
		b = new(big.Int).SetBytes(raw[:])
		gb = new(big.Int).Exp(big.NewInt(g), b, prime)
		if crypto.CheckDHValue(prime, gb) == nil {
			return b, gb, nil
		}
	}
}

// setClientDH sends g_b and reports whether the server has accepted key; if
// not, it wants another one.
func (x *exchange) setClientDH(gb *big.Int, key *crypto.AuthKey, retryID int64) (bool, error) {
	data := tl.Marshal(&mt.ClientDHInnerData{
		Nonce: x.nonce, ServerNonce: x.serverNonce, RetryID: retryID, GB: gb.FillBytes(make([]byte, crypto.AuthKeySize)),
	})
	sum := sha1.Sum(data)
	plain := append(sum[:], data...)
	padding := make([]byte, -len(plain)&15)
	if _, err := io.ReadFull(x.cfg.Rand, padding); err != nil {
		return false, err
	}
	plain = append(plain, padding...)
	crypto.IGEEncrypt(plain, plain, x.aesKey[:], x.aesIV[:])
	answer, err := x.call(&mt.SetClientDHParamsRequest{Nonce: x.nonce, ServerNonce: x.serverNonce, EncryptedData: plain})
	if err != nil {
		return false, err
	}
	switch a := answer.(type) {
	case *mt.DhGenOk:
		return true, x.checkGen(a.Nonce, a.ServerNonce, a.NewNonceHash1, 1, key)
	case *mt.DhGenRetry:
		return false, x.checkGen(a.Nonce, a.ServerNonce, a.NewNonceHash2, 2, key)
	case *mt.DhGenFail:
		if err := x.checkGen(a.Nonce, a.ServerNonce, a.NewNonceHash3, 3, key); err != nil {
			return false, err
		}
		return false, errors.New("the server refused the key (dh_gen_fail)")
	default:
		return false, unexpected(answer)
	}
}

func (x *exchange) checkGen(nonce, serverNonce, hash [16]byte, n byte, key *crypto.AuthKey) error {
	want := crypto.NonceHash(x.newNonce, n, key.AuxHash())
	if nonce != x.nonce || serverNonce != x.serverNonce || subtle.ConstantTimeCompare(hash[:], want[:]) != 1 {
		return violated("nonces or new_nonce_hash%d of the last answer", n)
	}
	return nil
}

// plainHeader is auth_key_id (0), msg_id and length of an unencrypted packet.
const plainHeader = 20

// call sends a query unencrypted and decodes the answer. Servers append random
// bytes to it, which are ignored.
func (x *exchange) call(query tl.Object) (tl.Object, error) {
	var e tl.Encoder
	e.Long(0)
	e.Long(x.msgID())
	e.Int(0)
	query.Encode(&e)
	packet := e.Bytes()
	binary.LittleEndian.PutUint32(packet[16:], uint32(len(packet)-plainHeader))
	if err := x.conn.WriteFrame(packet); err != nil {
		return nil, err
	}
	frame, err := x.read()
	if err != nil {
		return nil, err
	}
	answer, id, err := parsePlain(frame)
	x.answered = id
	return answer, err
}

// read skips the frames that mean nothing: transport error 0.
func (x *exchange) read() ([]byte, error) {
	for {
		frame, err := x.conn.ReadFrame(func(n int) []byte { return make([]byte, n) })
		var status *transport.Error
		if errors.As(err, &status) && status.Code == 0 {
			continue
		}
		return frame, err
	}
}

// parsePlain takes an unencrypted packet of the server apart.
func parsePlain(frame []byte) (answer tl.Object, msgID int64, err error) {
	d := tl.NewDecoder(frame)
	keyID, msgID, length := d.Long(), d.Long(), int(d.Int())
	if d.Err() != nil || keyID != 0 || msgID&3 != 1 || length < 0 || length > d.Remaining() {
		return nil, 0, violated("malformed plain packet")
	}
	if answer, err = mt.Decode(tl.NewDecoder(d.Take(length))); err != nil {
		return nil, 0, violated("%w", err)
	}
	return answer, msgID, nil
}

// msgID is unix time · 2^32, divisible by 4 and growing.
func (x *exchange) msgID() int64 {
	now := x.cfg.Now().UnixNano()
	id := (now/1e9<<32 | now%1e9*(1<<32)/1e9) &^ 3
	x.last = max(id, x.last+4)
	return x.last
}

func violated(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrSecurity, fmt.Errorf(format, args...))
}

func unexpected(answer tl.Object) error {
	return violated("answer is %s", answer.TypeName())
}
