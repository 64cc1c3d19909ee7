package mtserver

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/tl"
)

// The key exchange, server side: core.telegram.org/mtproto/auth_key.
//
//  1. req_pq_multi: a server nonce and a pq are made up; resPQ.
//  2. req_DH_params: the RSA-encrypted inner data is checked; g^a in server_DH_params_ok.
//  3. set_client_DH_params: the key is computed and stored; dh_gen_ok.
//
// An exchange belongs to its nonces, not to a connection: it may go on over
// another one. The same query again gets the same answer. A wrong query ends
// the exchange.

// exchangeLifetime is how long answers are remembered.
const exchangeLifetime = 10 * time.Minute

// maxExchanges bounds the memory of unfinished and remembered exchanges.
const maxExchanges = 4096

// maxTempLifetime is the longest expires_in of a temporary key.
const maxTempLifetime = 7 * 24 * time.Hour

// A handshakeError is a wrong query of the exchange, answered with a transport error.
type handshakeError struct {
	code int32
	why  string
}

func (e *handshakeError) Error() string { return "mtserver: key exchange: " + e.why }

func refuse(format string, args ...any) error {
	return &handshakeError{code: transportUnknown, why: fmt.Sprintf(format, args...)}
}

// An exchange is one key being made. Its mutex is held while one query is answered.
type exchange struct {
	mu          sync.Mutex
	started     time.Time
	nonce       [16]byte
	serverNonce [16]byte
	pq          uint64
	p, q        uint64
	resPQ       []byte
	dead        bool // after a wrong query

	// After req_DH_params:
	dhQuery  [32]byte // hash of the query, to know it again
	dhAnswer []byte
	newNonce [32]byte
	a        *big.Int
	temp     bool
	media    bool          // of a temporary key: it is made at a media-only endpoint
	lifetime time.Duration // of a temporary key

	// After set_client_DH_params:
	setQuery  [32]byte
	setAnswer []byte
	tries     int
	retryID   int64 // aux hash of the last try, 0 at first
	done      bool
}

// exchangeTable holds the exchanges of a DC by the client's nonce.
type exchangeTable struct {
	mu     sync.Mutex
	byName map[[16]byte]*exchange
	order  [][16]byte // oldest first
}

// find returns the exchange of a nonce, or nil.
func (t *exchangeTable) find(nonce [16]byte, now time.Time) *exchange {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expireLocked(now)
	return t.byName[nonce]
}

// open returns the exchange of a nonce, new if there was none.
func (t *exchangeTable) open(nonce [16]byte, now time.Time) *exchange {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expireLocked(now)
	if x := t.byName[nonce]; x != nil {
		return x
	}
	if t.byName == nil {
		t.byName = make(map[[16]byte]*exchange)
	}
	x := &exchange{nonce: nonce, started: now}
	t.byName[nonce] = x
	t.order = append(t.order, nonce)
	return x
}

// remove forgets an exchange. Its place in order stays until it expires.
func (t *exchangeTable) remove(nonce [16]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byName, nonce)
}

func (t *exchangeTable) expireLocked(now time.Time) {
	for len(t.order) > 0 {
		x := t.byName[t.order[0]]
		if x != nil && len(t.order) < maxExchanges && now.Sub(x.started) < exchangeLifetime {
			return
		}
		delete(t.byName, t.order[0])
		t.order = t.order[1:]
	}
}

// handshake answers one unencrypted query.
func (d *DC) handshake(body []byte, mediaOnly bool) ([]byte, error) {
	dec := tl.NewDecoder(body)
	switch id := dec.ID(); {
	case id == idReqPQMulti, id == idReqPQ && d.cfg.AcceptOldHandshake:
		nonce := dec.Int128()
		if dec.Err() != nil {
			return nil, refuse("short req_pq")
		}
		return d.answerPQ(d.exchanges.open(nonce, d.cfg.Now()))
	case id == idReqDHParams, id == idSetClientDH:
		nonce := dec.Int128()
		x := d.exchanges.find(nonce, d.cfg.Now())
		if x == nil {
			return nil, refuse("unknown nonce")
		}
		answer, err := d.stepExchange(x, id, dec, body, mediaOnly)
		if err != nil {
			d.exchanges.remove(nonce)
		}
		return answer, err
	default:
		return nil, refuse("constructor %#x unencrypted", id)
	}
}

// answerPQ answers req_pq_multi, and the same again with the same.
func (d *DC) answerPQ(x *exchange) ([]byte, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.dead {
		return nil, refuse("exchange failed before")
	}
	if x.resPQ == nil {
		_, _ = rand.Read(x.serverNonce[:]) // never fails
		x.p, x.q = makePQ()
		x.pq = x.p * x.q
		body := encode(idResPQ, func(e *tl.Encoder) {
			e.Int128(x.nonce)
			e.Int128(x.serverNonce)
			e.Blob(minimalBytes(x.pq))
			e.Vector(1)
			e.Long(d.rsa.Fingerprint())
		})
		x.resPQ = d.plainAnswer("resPQ", body)
	}
	return x.resPQ, nil
}

// stepExchange answers one of the two later queries.
func (d *DC) stepExchange(x *exchange, id uint32, dec *tl.Decoder, body []byte, mediaOnly bool) (answer []byte, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	defer func() { x.dead = x.dead || err != nil }()
	if x.dead || x.resPQ == nil {
		return nil, refuse("exchange failed before, or not begun")
	}
	if dec.Int128() != x.serverNonce {
		return nil, refuse("wrong server_nonce")
	}
	hash := sha256.Sum256(body)
	if id == idReqDHParams {
		return d.answerDH(x, dec, hash, mediaOnly)
	}
	return d.answerSetDH(x, dec, hash)
}

// answerDH answers req_DH_params.
func (d *DC) answerDH(x *exchange, dec *tl.Decoder, hash [32]byte, mediaOnly bool) ([]byte, error) {
	if x.dhAnswer != nil {
		if hash != x.dhQuery {
			return nil, refuse("second req_DH_params differs")
		}
		return x.dhAnswer, nil
	}
	p, q, fingerprint, encrypted := dec.Blob(), dec.Blob(), dec.Long(), dec.Blob()
	switch {
	case dec.Err() != nil:
		return nil, refuse("malformed req_DH_params: %v", dec.Err())
	case fingerprint != d.rsa.Fingerprint():
		return nil, refuse("fingerprint %x is not ours", uint64(fingerprint))
	case !sameNumber(p, x.p) || !sameNumber(q, x.q):
		return nil, refuse("wrong factors")
	}
	if err := d.openInner(x, encrypted, mediaOnly); err != nil {
		return nil, err
	}
	answer, err := d.makeDHAnswer(x)
	if err != nil {
		return nil, err
	}
	x.dhQuery, x.dhAnswer = hash, answer
	return answer, nil
}

// makeDHAnswer chooses a and encrypts server_DH_inner_data.
func (d *DC) makeDHAnswer(x *exchange) ([]byte, error) {
	prime := crypto.KnownPrime
	inner := DHInner{
		Nonce: x.nonce, ServerNonce: x.serverNonce, G: 3, Prime: prime.Bytes(),
		ServerTime: int32(d.cfg.Now().Unix()),
	}
	for {
		x.a = randomNumber(256)
		ga := new(big.Int).Exp(big.NewInt(int64(inner.G)), x.a, prime)
		if crypto.CheckDHValue(prime, ga) == nil {
			inner.GA = ga.Bytes()
			break
		}
	}
	if lie := d.cfg.Faults.Corrupt.DHInner; lie != nil {
		lie(&inner)
	}
	answer := withHash(encode(idServerDHInner, func(e *tl.Encoder) {
		e.Int128(inner.Nonce)
		e.Int128(inner.ServerNonce)
		e.Int(inner.G)
		e.Blob(inner.Prime)
		e.Blob(inner.GA)
		e.Int(inner.ServerTime)
	}))
	if lie := d.cfg.Faults.Corrupt.DHAnswer; lie != nil {
		answer = lie(answer)
	}
	key, iv := crypto.TempAESKey(x.newNonce, x.serverNonce)
	crypto.IGEEncrypt(answer, answer, key[:], iv[:])
	return d.plainAnswer("server_DH_params_ok", encode(idServerDHOk, func(e *tl.Encoder) {
		e.Int128(x.nonce)
		e.Int128(x.serverNonce)
		e.Blob(answer)
	})), nil
}

// answerSetDH answers set_client_DH_params.
func (d *DC) answerSetDH(x *exchange, dec *tl.Decoder, hash [32]byte) ([]byte, error) {
	if x.setAnswer != nil && hash == x.setQuery {
		return x.setAnswer, nil
	}
	if x.dhAnswer == nil || x.done {
		return nil, refuse("set_client_DH_params out of turn")
	}
	encrypted := dec.Blob()
	if dec.Err() != nil {
		return nil, refuse("malformed set_client_DH_params")
	}
	gb, err := x.openClientDH(encrypted)
	if err != nil {
		return nil, err
	}
	var raw [256]byte
	new(big.Int).Exp(gb, x.a, crypto.KnownPrime).FillBytes(raw[:])
	answer, err := d.finish(x, crypto.NewAuthKey(raw))
	if err != nil {
		return nil, err
	}
	x.setQuery, x.setAnswer = hash, answer
	return answer, nil
}

// openClientDH decrypts client_DH_inner_data and returns the checked g_b.
func (x *exchange) openClientDH(encrypted []byte) (*big.Int, error) {
	if len(encrypted) == 0 || len(encrypted)%16 != 0 {
		return nil, refuse("client_DH_inner_data of %d bytes", len(encrypted))
	}
	key, iv := crypto.TempAESKey(x.newNonce, x.serverNonce)
	plain := make([]byte, len(encrypted))
	crypto.IGEDecrypt(plain, encrypted, key[:], iv[:])
	body, ok := checkHash(plain, parseClientDH)
	if !ok {
		return nil, refuse("hash of client_DH_inner_data")
	}
	d := tl.NewDecoder(body)
	d.ID()
	nonce, serverNonce, retry, gb := d.Int128(), d.Int128(), d.Long(), new(big.Int).SetBytes(d.Blob())
	switch {
	case nonce != x.nonce || serverNonce != x.serverNonce:
		return nil, refuse("wrong nonce in client_DH_inner_data")
	case retry != x.retryID:
		return nil, refuse("retry_id is %x, want %x", uint64(retry), uint64(x.retryID))
	}
	if err := crypto.CheckDHValue(crypto.KnownPrime, gb); err != nil {
		return nil, refuse("g_b: %v", err)
	}
	return gb, nil
}

// parseClientDH is the length of the client_DH_inner_data at the start of b.
func parseClientDH(b []byte) (int, error) {
	d := tl.NewDecoder(b)
	d.Expect(idClientDHInner, "Client_DH_Inner_Data")
	d.Take(16 + 16 + 8)
	d.Blob()
	return d.Offset(), d.Err()
}

// finish stores the key and makes the last answer.
func (d *DC) finish(x *exchange, key *crypto.AuthKey) ([]byte, error) {
	lie := d.cfg.Faults.Corrupt
	try := x.tries
	x.tries++
	if lie.GenFail != nil && lie.GenFail(try) {
		x.done = true
		return d.genAnswer(x, "dh_gen_fail", idDHGenFail, 3, key), nil
	}
	entry := d.newKey(x, key)
	if lie.GenRetry != nil && lie.GenRetry(try) || !d.keys.add(entry) {
		x.retryID = key.AuxHash()
		return d.genAnswer(x, "dh_gen_retry", idDHGenRetry, 2, key), nil
	}
	x.done = true
	d.stats.exchanges.Add(1)
	d.log.Debug("auth key made", "key", key.ID(), "temporary", x.temp)
	answer := d.genAnswer(x, "dh_gen_ok", idDHGenOk, 1, key)
	x.newNonce, x.a = [32]byte{}, nil
	return answer, nil
}

// newKey is the entry of a fresh key, with its first salt.
func (d *DC) newKey(x *exchange, key *crypto.AuthKey) *keyEntry {
	now := d.cfg.Now()
	first := binary.LittleEndian.Uint64(x.newNonce[:8]) ^ binary.LittleEndian.Uint64(x.serverNonce[:8])
	e := &keyEntry{key: key, created: now, temp: x.temp, salts: newSalts(int64(first), now, d.cfg.SaltLifetime)}
	if x.temp {
		e.media, e.expires = x.media, now.Add(x.lifetime)
	}
	return e
}

func (d *DC) genAnswer(x *exchange, name string, id uint32, n byte, key *crypto.AuthKey) []byte {
	return d.plainAnswer(name, encode(id, func(e *tl.Encoder) {
		e.Int128(x.nonce)
		e.Int128(x.serverNonce)
		e.Int128(crypto.NonceHash(x.newNonce, n, key.AuxHash()))
	}))
}

// plainAnswer appends random bytes to an answer, as real servers do. Before,
// a security test may change it.
func (d *DC) plainAnswer(name string, body []byte) []byte {
	if lie := d.cfg.Faults.Corrupt.Plain; lie != nil {
		body = lie(name, body)
	}
	var extra [1 + 31*4]byte
	_, _ = rand.Read(extra[:]) // never fails
	return append(body, extra[1:][:int(extra[0]%32)*4]...)
}

// handshakeCode is the transport error code for what handshake returned.
func handshakeCode(err error) int32 {
	var h *handshakeError
	if errors.As(err, &h) {
		return h.code
	}
	return transportUnknown
}
