package mtserver

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"encoding/binary"
	"math/big"
	"testing"
	"time"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/mtproto/transport"
	"github.com/tghaul/haul/tl"
)

// A shaker makes auth keys as a client does, with a hook at each step so that
// tests can break every rule.
type shaker struct {
	e    *env
	conn *transport.Conn

	first     uint32 // req_pq_multi unless set
	inner     uint32 // p_q_inner_data_dc unless set
	dc        int32
	expiresIn int32
	oldPad    bool
	retryID   int64

	spoilInner func(in *innerData)
	spoilReq   func(q *dhRequest)
	spoilDH    func(in *clientDH)
	spoilBytes func(step int, body []byte) []byte

	nonce, serverNonce [16]byte
	newNonce           [32]byte
	queries, answers   [][]byte
}

// dhRequest is req_DH_params, clientDH the inside of set_client_DH_params.
type dhRequest struct {
	nonce, serverNonce [16]byte
	p, q, encrypted    []byte
	fingerprint        int64
}

type clientDH struct {
	nonce, serverNonce [16]byte
	retry              int64
	gb                 []byte
	hash               []byte // wrong, if not nil
}

// ask sends a plaintext query and returns the answer's body, or the transport
// error's code.
func (s *shaker) ask(body []byte) (*tl.Decoder, int32) {
	s.e.t.Helper()
	if s.spoilBytes != nil {
		body = s.spoilBytes(len(s.queries), body)
	}
	s.queries = append(s.queries, body)
	if err := s.conn.WriteFrame(plainQuery(body)); err != nil {
		s.e.t.Fatalf("write: %v", err)
	}
	_ = s.conn.SetReadDeadline(time.Now().Add(time.Second))
	frame, err := s.conn.ReadFrame(func(n int) []byte { return make([]byte, n) })
	if te := (*transport.Error)(nil); asTransport(err, &te) {
		return nil, te.Code
	}
	if err != nil {
		s.e.t.Fatalf("read: %v", err)
	}
	id, answer, err := parsePlain(frame)
	if err != nil || id&3 != 1 {
		s.e.t.Fatalf("answer with msg_id %x: %v", id, err)
	}
	s.answers = append(s.answers, append([]byte(nil), answer...))
	return tl.NewDecoder(answer), 0
}

// run makes a key. A transport error ends it with its code.
func (s *shaker) run() (key *crypto.AuthKey, salt int64, code int32) {
	s.e.t.Helper()
	pq, code := s.reqPQ()
	if code != 0 {
		return nil, 0, code
	}
	answer, code := s.reqDH(pq)
	if code != 0 {
		return nil, 0, code
	}
	raw, code := s.setDH(answer)
	if code != 0 {
		return nil, 0, code
	}
	salt = int64(binary.LittleEndian.Uint64(s.newNonce[:]) ^ binary.LittleEndian.Uint64(s.serverNonce[:]))
	return crypto.NewAuthKey(raw), salt, 0
}

func (s *shaker) reqPQ() (uint64, int32) {
	s.e.t.Helper()
	if s.first == 0 {
		s.first = idReqPQMulti
	}
	_, _ = rand.Read(s.nonce[:])
	d, code := s.ask(encode(s.first, func(e *tl.Encoder) { e.Int128(s.nonce) }))
	if code != 0 {
		return 0, code
	}
	d.Expect(idResPQ, "resPQ")
	if d.Int128() != s.nonce {
		s.e.t.Fatal("resPQ: wrong nonce")
	}
	s.serverNonce = d.Int128()
	pq := new(big.Int).SetBytes(d.Blob()).Uint64()
	if n := d.Vector(8); n != 1 || d.Long() != s.e.dc.PublicKey().Fingerprint() || d.Err() != nil {
		s.e.t.Fatalf("resPQ: fingerprints: %d, %v", n, d.Err())
	}
	return pq, 0
}

// reqDH returns the decrypted server_DH_inner_data.
func (s *shaker) reqDH(pq uint64) (*tl.Decoder, int32) {
	s.e.t.Helper()
	p, q, err := crypto.FactorPQ(pq)
	if err != nil || p >= q || p>>30 != 1 || q>>30 != 1 {
		s.e.t.Fatalf("pq %d = %d * %d, %v; want two primes of 31 bits", pq, p, q, err)
	}
	_, _ = rand.Read(s.newNonce[:])
	in := innerData{
		pq: minimalBytes(pq), p: minimalBytes(p), q: minimalBytes(q),
		nonce: s.nonce, serverNonce: s.serverNonce, newNonce: s.newNonce, dc: s.dc, expiresIn: s.expiresIn,
	}
	if s.spoilInner != nil {
		s.spoilInner(&in)
	}
	req := dhRequest{
		nonce: s.nonce, serverNonce: s.serverNonce, p: minimalBytes(p), q: minimalBytes(q),
		fingerprint: s.e.dc.PublicKey().Fingerprint(), encrypted: s.encryptInner(in),
	}
	if s.spoilReq != nil {
		s.spoilReq(&req)
	}
	d, code := s.ask(encode(idReqDHParams, func(e *tl.Encoder) {
		e.Int128(req.nonce)
		e.Int128(req.serverNonce)
		e.Blob(req.p)
		e.Blob(req.q)
		e.Long(req.fingerprint)
		e.Blob(req.encrypted)
	}))
	if code != 0 {
		return nil, code
	}
	d.Expect(idServerDHOk, "server_DH_params_ok")
	if d.Int128() != s.nonce || d.Int128() != s.serverNonce {
		s.e.t.Fatal("server_DH_params_ok: wrong nonces")
	}
	key, iv := crypto.TempAESKey(s.newNonce, s.serverNonce)
	plain := append([]byte(nil), d.Blob()...)
	crypto.IGEDecrypt(plain, plain, key[:], iv[:])
	body, ok := checkHash(plain, func(b []byte) (int, error) {
		d := tl.NewDecoder(b)
		d.Take(4 + 16 + 16 + 4)
		d.Blob()
		d.Blob()
		d.Int()
		return d.Offset(), d.Err()
	})
	if !ok {
		s.e.t.Fatal("server_DH_inner_data: wrong hash")
	}
	return tl.NewDecoder(body), 0
}

func (s *shaker) encryptInner(in innerData) []byte {
	if s.inner == 0 {
		s.inner = idPQInnerDC
		if s.expiresIn != 0 {
			s.inner = idPQInnerTempDC
		}
	}
	data := encode(s.inner, func(e *tl.Encoder) {
		e.Blob(in.pq)
		e.Blob(in.p)
		e.Blob(in.q)
		e.Int128(in.nonce)
		e.Int128(in.serverNonce)
		e.Int256(in.newNonce)
		if s.inner == idPQInnerDC || s.inner == idPQInnerTempDC {
			e.Int(in.dc)
		}
		if s.inner == idPQInnerTemp || s.inner == idPQInnerTempDC {
			e.Int(in.expiresIn)
		}
	})
	if s.oldPad {
		hash := sha1.Sum(data)
		padded := make([]byte, 255)
		_, _ = rand.Read(padded)
		copy(padded[copy(padded, hash[:]):], data)
		pub := s.e.dc.PublicKey()
		return new(big.Int).Exp(new(big.Int).SetBytes(padded), big.NewInt(int64(pub.E)), pub.N).FillBytes(make([]byte, 256))
	}
	encrypted, err := s.e.dc.PublicKey().EncryptPad(data, rand.Reader)
	if err != nil {
		s.e.t.Fatal(err)
	}
	return encrypted
}

// setDH finishes the exchange, with as many tries as the server wants.
func (s *shaker) setDH(d *tl.Decoder) (raw [256]byte, code int32) {
	s.e.t.Helper()
	d.Expect(idServerDHInner, "server_DH_inner_data")
	d.Take(32)
	g, p, ga := d.Int(), new(big.Int).SetBytes(d.Blob()), new(big.Int).SetBytes(d.Blob())
	if now := d.Int(); int64(now) != time.Now().Unix() || d.Err() != nil {
		s.e.t.Fatalf("server_time %d (%v), want %d", now, d.Err(), time.Now().Unix())
	}
	if err := crypto.CheckDH(p, int(g)); err != nil {
		s.e.t.Fatal(err)
	}
	if err := crypto.CheckDHValue(p, ga); err != nil {
		s.e.t.Fatal(err)
	}
	for range 5 {
		b := randomNumber(256)
		new(big.Int).Exp(ga, b, p).FillBytes(raw[:])
		in := clientDH{
			nonce: s.nonce, serverNonce: s.serverNonce, retry: s.retryID,
			gb: new(big.Int).Exp(big.NewInt(int64(g)), b, p).FillBytes(make([]byte, 256)),
		}
		answer, code := s.ask(s.encryptDH(in))
		if code != 0 {
			return raw, code
		}
		if s.genAnswer(answer, crypto.NewAuthKey(raw)) {
			return raw, 0
		}
	}
	s.e.t.Fatal("dh_gen_retry without end")
	return raw, 0
}

func (s *shaker) encryptDH(in clientDH) []byte {
	if s.spoilDH != nil {
		s.spoilDH(&in)
	}
	plain := withHash(encode(idClientDHInner, func(e *tl.Encoder) {
		e.Int128(in.nonce)
		e.Int128(in.serverNonce)
		e.Long(in.retry)
		e.Blob(in.gb)
	}))
	copy(plain, in.hash)
	key, iv := crypto.TempAESKey(s.newNonce, s.serverNonce)
	crypto.IGEEncrypt(plain, plain, key[:], iv[:])
	return encode(idSetClientDH, func(e *tl.Encoder) {
		e.Int128(s.nonce)
		e.Int128(s.serverNonce)
		e.Blob(plain)
	})
}

// genAnswer checks the last answer and reports whether the key is good.
func (s *shaker) genAnswer(d *tl.Decoder, key *crypto.AuthKey) bool {
	s.e.t.Helper()
	kinds := map[uint32]byte{idDHGenOk: 1, idDHGenRetry: 2, idDHGenFail: 3}
	id := d.ID()
	n := kinds[id]
	if n == 0 || d.Int128() != s.nonce || d.Int128() != s.serverNonce ||
		d.Int128() != crypto.NonceHash(s.newNonce, n, key.AuxHash()) || d.Err() != nil {
		s.e.t.Fatalf("answer %#x: nonces or hash are wrong (%v)", id, d.Err())
	}
	if n == 3 {
		s.e.t.Fatal("dh_gen_fail")
	}
	s.retryID = key.AuxHash()
	return n == 1
}

func (e *env) shaker(mediaOnly bool) *shaker {
	return &shaker{e: e, dc: e.dc.wireID(mediaOnly), conn: e.dial(transport.Options{Framing: transport.Intermediate}, mediaOnly)}
}

func TestKeyExchange(t *testing.T) {
	tests := []struct {
		name      string
		cfg       Config
		media     bool
		dc        int32
		expiresIn int32
	}{
		{name: "production", dc: 2},
		{name: "test", cfg: Config{Test: true}, dc: 10002},
		{name: "media", media: true, dc: -2},
		{name: "test media", cfg: Config{Test: true}, media: true, dc: -10002},
		{name: "cdn", cfg: Config{CDN: true, ID: 203}, dc: 203, expiresIn: 86400},
		{name: "temporary", dc: 2, expiresIn: 86400},
		{name: "any environment, test", cfg: Config{Test: true, AnyEnvironment: true}, dc: 10002},
		{name: "any environment, production", cfg: Config{Test: true, AnyEnvironment: true}, dc: 2},
		{name: "any environment, media", cfg: Config{Test: true, AnyEnvironment: true}, media: true, dc: -2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, tt.cfg, func(e *env) {
				s := e.shaker(tt.media)
				s.dc, s.expiresIn = tt.dc, tt.expiresIn
				key, salt, code := s.run()
				if code != 0 {
					t.Fatalf("transport error %d", code)
				}
				c := e.clientWith(key)
				c.salt = salt
				if tt.expiresIn == 0 || tt.cfg.CDN {
					c.roundTrip(1)
				}
				c.ping(1)
				if got := e.dc.Stats().KeyExchanges; got != 1 {
					t.Errorf("%d exchanges counted, want 1", got)
				}
				if tt.expiresIn != 0 {
					time.Sleep(time.Duration(tt.expiresIn) * time.Second)
					c.call(2)
					c.expectTransport(transportUnknown)
				}
			})
		})
	}
}

// TestKeyExchangeRefused breaks each rule of the exchange alone.
func TestKeyExchangeRefused(t *testing.T) {
	tests := []struct {
		name  string
		cfg   Config
		media bool
		spoil func(s *shaker)
		want  int32
	}{
		{name: "req_pq", spoil: func(s *shaker) { s.first = idReqPQ }},
		{name: "old inner data", spoil: func(s *shaker) { s.inner = idPQInner }},
		{name: "old temporary inner data", spoil: func(s *shaker) { s.inner, s.expiresIn = idPQInnerTemp, 100 }},
		{name: "old padding", spoil: func(s *shaker) { s.oldPad = true }},
		{name: "other DC", spoil: func(s *shaker) { s.dc = 3 }, want: transportWrongDC},
		{name: "test id", spoil: func(s *shaker) { s.dc = 10002 }, want: transportWrongDC},
		{name: "production id", cfg: Config{Test: true}, spoil: func(s *shaker) { s.dc = 2 }, want: transportWrongDC},
		{name: "media id", spoil: func(s *shaker) { s.dc = -2 }, want: transportWrongDC},
		{name: "ordinary id at media", media: true, spoil: func(s *shaker) { s.dc = 2 }, want: transportWrongDC},
		{name: "any environment, other DC", cfg: Config{Test: true, AnyEnvironment: true}, spoil: func(s *shaker) { s.dc = 3 }, want: transportWrongDC},
		{name: "any environment, media id", cfg: Config{Test: true, AnyEnvironment: true}, spoil: func(s *shaker) { s.dc = -2 }, want: transportWrongDC},
		{name: "server_nonce", spoil: func(s *shaker) { s.spoilReq = func(q *dhRequest) { q.serverNonce[0]++ } }},
		{name: "nonce", spoil: func(s *shaker) { s.spoilReq = func(q *dhRequest) { q.nonce[0]++ } }},
		{name: "factors", spoil: func(s *shaker) { s.spoilReq = func(q *dhRequest) { q.p, q.q = q.q, q.p } }},
		{name: "fingerprint", spoil: func(s *shaker) { s.spoilReq = func(q *dhRequest) { q.fingerprint++ } }},
		{name: "encrypted data", spoil: func(s *shaker) { s.spoilReq = func(q *dhRequest) { q.encrypted[9]++ } }},
		{name: "short encrypted data", spoil: func(s *shaker) { s.spoilReq = func(q *dhRequest) { q.encrypted = q.encrypted[1:] } }},
		{name: "inner nonce", spoil: func(s *shaker) { s.spoilInner = func(in *innerData) { in.nonce[15]++ } }},
		{name: "inner server_nonce", spoil: func(s *shaker) { s.spoilInner = func(in *innerData) { in.serverNonce[15]++ } }},
		{name: "inner pq", spoil: func(s *shaker) { s.spoilInner = func(in *innerData) { in.pq = minimalBytes(15) } }},
		{name: "inner factors", spoil: func(s *shaker) { s.spoilInner = func(in *innerData) { in.p, in.q = in.q, in.p } }},
		{name: "expires_in", spoil: func(s *shaker) { s.expiresIn = -5 }},
		{name: "long expires_in", spoil: func(s *shaker) { s.expiresIn = 1 << 30 }},
		{name: "DH nonce", spoil: func(s *shaker) { s.spoilDH = func(in *clientDH) { in.nonce[0]++ } }},
		{name: "DH server_nonce", spoil: func(s *shaker) { s.spoilDH = func(in *clientDH) { in.serverNonce[0]++ } }},
		{name: "DH hash", spoil: func(s *shaker) { s.spoilDH = func(in *clientDH) { in.hash = make([]byte, 20) } }},
		{name: "retry_id", spoil: func(s *shaker) { s.spoilDH = func(in *clientDH) { in.retry = 1 } }},
		{name: "g_b of 1", spoil: func(s *shaker) { s.spoilDH = func(in *clientDH) { in.gb = []byte{1} } }},
		{name: "g_b of p-1", spoil: func(s *shaker) {
			s.spoilDH = func(in *clientDH) { in.gb = new(big.Int).Sub(crypto.KnownPrime, big.NewInt(1)).Bytes() }
		}},
		{name: "other constructor", spoil: func(s *shaker) {
			s.spoilBytes = func(_ int, b []byte) []byte { return append(query(1), b...) }
		}},
		{name: "truncated", spoil: func(s *shaker) {
			s.spoilBytes = func(step int, b []byte) []byte {
				if step == 1 {
					return b[:len(b)-8]
				}
				return b
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, tt.cfg, func(e *env) {
				s := e.shaker(tt.media)
				tt.spoil(s)
				want := tt.want
				if want == 0 {
					want = transportUnknown
				}
				if _, _, code := s.run(); code != want {
					t.Fatalf("transport error %d, want %d", code, want)
				}
				// The exchange is over, whatever comes.
				last := s.queries[len(s.queries)-1]
				s.spoilBytes = nil
				if _, code := s.ask(last); code != transportUnknown {
					t.Errorf("the wrong query again: %d, want %d", code, transportUnknown)
				}
				// A new one on the same connection is fine.
				fresh := e.shaker(tt.media)
				fresh.conn = s.conn
				if _, _, code := fresh.run(); code != 0 {
					t.Errorf("a fresh exchange: transport error %d", code)
				}
			})
		})
	}
}

func TestOldHandshakeAccepted(t *testing.T) {
	tests := []struct {
		name   string
		first  uint32
		inner  uint32
		expire int32
		oldPad bool
	}{
		{"req_pq", idReqPQ, idPQInnerDC, 0, false},
		{"inner data", idReqPQMulti, idPQInner, 0, false},
		{"old padding", idReqPQMulti, idPQInner, 0, true},
		{"all old", idReqPQ, idPQInnerTemp, 600, true},
		{"new", idReqPQMulti, idPQInnerTempDC, 600, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, Config{AcceptOldHandshake: true}, func(e *env) {
				s := e.shaker(false)
				s.first, s.inner, s.expiresIn, s.oldPad = tt.first, tt.inner, tt.expire, tt.oldPad
				if _, _, code := s.run(); code != 0 {
					t.Errorf("transport error %d", code)
				}
			})
		})
	}
}

// TestExchangeRepeated: the same query gets the same answer, on the same
// connection or another, for ten minutes; a different one does not.
func TestExchangeRepeated(t *testing.T) {
	inBubble(t, Config{}, func(e *env) {
		s := e.shaker(false)
		if _, _, code := s.run(); code != 0 {
			t.Fatalf("transport error %d", code)
		}
		queries, answers := s.queries, s.answers
		for _, conn := range []string{"same", "other"} {
			if conn == "other" {
				s.conn = e.dial(transport.Options{Framing: transport.Abridged}, false)
			}
			for i, q := range queries {
				d, code := s.ask(q)
				if code != 0 {
					t.Fatalf("query %d on the %s connection: transport error %d", i, conn, code)
				}
				if !bytes.Equal(d.Rest(), answers[i]) {
					t.Errorf("query %d on the %s connection: another answer", i, conn)
				}
			}
		}
		if n := e.dc.Stats().KeyExchanges; n != 1 {
			t.Errorf("%d keys made, want 1", n)
		}
		time.Sleep(exchangeLifetime)
		if _, code := s.ask(queries[2]); code != transportUnknown {
			t.Errorf("after ten minutes: %d, want %d", code, transportUnknown)
		}
	})
}

func TestGenRetry(t *testing.T) {
	cfg := Config{}
	cfg.Faults.Corrupt.GenRetry = func(try int) bool { return try < 2 }
	inBubble(t, cfg, func(e *env) {
		s := e.shaker(false)
		key, salt, code := s.run()
		if code != 0 {
			t.Fatalf("transport error %d", code)
		}
		c := e.clientWith(key)
		c.salt = salt
		c.roundTrip(1)
		if got := len(s.queries); got != 2+3 {
			t.Errorf("%d queries, want 5", got)
		}
	})
}

// TestPlainAnswersHaveRandomTail: clients must ignore what follows an answer.
func TestPlainAnswersHaveRandomTail(t *testing.T) {
	inBubble(t, Config{}, func(e *env) {
		lengths := map[int]bool{}
		for range 8 {
			s := e.shaker(false)
			if _, code := s.reqPQ(); code != 0 {
				t.Fatalf("transport error %d", code)
			}
			lengths[len(s.answers[0])] = true
		}
		if len(lengths) < 2 {
			t.Errorf("all answers have the same length: %v", lengths)
		}
	})
}
