package mtserver

import (
	"bytes"
	"context"
	"math/big"
	"net"
	"testing"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/tl"
)

// FuzzPlain feeds unencrypted packets to the parser: what it takes apart can
// be put together again.
func FuzzPlain(f *testing.F) {
	f.Add(plainQuery(encode(idReqPQMulti, func(e *tl.Encoder) { e.Int128([16]byte{1, 2, 3}) })))
	f.Add(plainPacket(5, []byte("1234")))
	f.Add(make([]byte, 20))
	f.Fuzz(func(t *testing.T, packet []byte) {
		id, body, err := parsePlain(packet)
		if err != nil {
			return
		}
		if got := plainPacket(id, body); !bytes.Equal(got, packet) {
			t.Errorf("% x became % x", packet, got)
		}
	})
}

// FuzzHandshake feeds queries of the key exchange to an exchange in each of
// its states: nothing panics, and no key is made without a proof.
func FuzzHandshake(f *testing.F) {
	nonce, serverNonce := [16]byte{7}, [16]byte{9}
	const p, q = 1229739323, 1402015859
	pub := crypto.PublicKey{N: testRSA().N, E: testRSA().E}
	f.Add(uint8(0), encode(idReqPQMulti, func(e *tl.Encoder) { e.Int128(nonce) }))
	f.Add(uint8(1), encode(idReqDHParams, func(e *tl.Encoder) {
		e.Int128(nonce)
		e.Int128(serverNonce)
		e.Blob(minimalBytes(p))
		e.Blob(minimalBytes(q))
		e.Long(pub.Fingerprint())
		e.Blob(make([]byte, 256))
	}))
	f.Add(uint8(2), encode(idSetClientDH, func(e *tl.Encoder) {
		e.Int128(nonce)
		e.Int128(serverNonce)
		e.Blob(make([]byte, 336))
	}))
	f.Fuzz(func(t *testing.T, state uint8, body []byte) {
		dc := NewDC(Config{ID: 2, RSA: testRSA(), Handler: echo, AcceptOldHandshake: true})
		defer func() { _ = dc.Close() }()
		x := dc.exchanges.open(nonce, dc.cfg.Now())
		if state%3 > 0 {
			x.serverNonce, x.p, x.q, x.pq, x.resPQ = serverNonce, p, q, p*q, []byte{1}
		}
		if state%3 > 1 {
			x.a, x.dhAnswer = big.NewInt(5), []byte{1}
		}
		answer, err := dc.handshake(body, false)
		if err == nil && len(answer) == 0 {
			t.Error("neither answer nor error")
		}
		if n := dc.keys.Len(); n != 0 {
			t.Errorf("%d keys made", n)
		}
	})
}

// FuzzInnerData feeds what RSA decryption may give.
func FuzzInnerData(f *testing.F) {
	f.Add(encode(idPQInnerTempDC, func(e *tl.Encoder) {
		e.Blob([]byte{1, 2, 3, 4, 5, 6, 7, 8})
		e.Blob([]byte{1, 2, 3, 4})
		e.Blob([]byte{1, 2, 3, 5})
		e.Raw(make([]byte, 64))
		e.Int(2)
		e.Int(3600)
	}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 235 { // what RSA can carry
			return
		}
		n, err := measureInner(data)
		if _, parseErr := parseInner(data); (parseErr == nil) != (err == nil) {
			t.Fatalf("parse: %v, measure: %v", parseErr, err)
		}
		if err != nil {
			return
		}
		if n > len(data) {
			t.Fatalf("%d bytes measured of %d", n, len(data))
		}
		if _, err := parseInner(data[:n]); err != nil {
			t.Errorf("the measured part does not parse: %v", err)
		}
	})
}

// FuzzQuery feeds messages to the unpacking of queries and of containers.
func FuzzQuery(f *testing.F) {
	f.Add(layered(packed(gzipped(query(1)))))
	f.Add(packed(zlibbed(layered(query(1)))))
	f.Add(containerBody(rawMsg{id: 4, body: query(1)}, rawMsg{id: 8, body: query(2)}))
	f.Add(encodeIDs(idMsgsAck, []int64{1, 2, 3}))
	f.Fuzz(func(t *testing.T, body []byte) {
		if q, method, err := openQuery(body); err == nil {
			if len(q) < 4 || method == idGzipPacked {
				t.Errorf("query of %d bytes, method %#x", len(q), method)
			}
			again, m, err := openQuery(q)
			if err != nil || m != method || !bytes.Equal(again, q) {
				t.Errorf("opened again: %d bytes, %#x, %v; want the same %d bytes, %#x", len(again), m, err, len(q), method)
			}
		}
		if len(body) >= 4 {
			if msgs, code := parseContainer(rawMsg{id: 1 << 40, body: body}); code == accepted && !bytes.Equal(containerBody(msgs...)[4:], body[4:]) {
				t.Error("container changed by parsing")
			}
		}
		if ids, _, ok := parseIDs(body); ok && !bytes.Equal(encodeIDs(idMsgsAck, ids)[4:], body[4:]) {
			t.Error("ids changed by parsing")
		}
	})
}

// FuzzMessages feeds decrypted bodies to a session: each is accepted, refused
// with an answer, or ends the connection.
func FuzzMessages(f *testing.F) {
	f.Add(uint32(1), query(1))
	f.Add(uint32(0), containerBody(rawMsg{id: 4, body: encode(idPing, func(e *tl.Encoder) { e.Long(1) })}))
	for _, id := range []uint32{idPingDisconnect, idGetFutureSalts, idDropAnswer, idDestroySession, idMsgsStateReq, idMsgResendReq, idMsgCopy} {
		f.Add(uint32(0), encode(id, func(e *tl.Encoder) { e.Long(5) }))
		f.Add(uint32(0), encodeIDs(id, []int64{1, 5}))
	}
	f.Fuzz(func(t *testing.T, seqNo uint32, body []byte) {
		if len(body) < 4 || len(body)%4 != 0 {
			return
		}
		dc := NewDC(Config{ID: 2, RSA: testRSA(), Handler: handlerFunc(func(context.Context, *Call) (tl.Object, error) {
			return boolTrue, nil
		})})
		defer func() { _ = dc.Close() }()
		e := &env{dc: dc}
		key := dc.keys.get(e.addKey(0).ID(), dc.cfg.Now())
		_, there := net.Pipe()
		c := dc.newConn(there, false)
		r := &received{conn: c, frame: newFrame(c.held), key: key, point: Point{SessionID: 3}, salt: 7}
		r.outer = rawMsg{id: msgIDAt(dc.cfg.Now()) &^ 3, seqNo: int32(seqNo), body: body}
		err := r.handle(t.Context())
		r.frame.release()
		if n := dc.Stats().PacketsOut; err == nil && dc.Stats().PacketsIn == 0 && n != 1 {
			t.Errorf("the packet was not accepted, and answered with %d packets, want 1", n)
		}
	})
}
