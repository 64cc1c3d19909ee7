package crypto

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"os"
	"strings"
	"testing"
)

// testdata/vectors.json holds the documented sample exchange, whose derived
// values were recomputed, vectors of public test suites, and some made with an
// independent implementation; see its notes. Values are hex.
type vectors struct {
	Exchange  map[string]any      `json:"auth_key_exchange"`
	TmpAES    []map[string]string `json:"tmp_aes"`
	RSAKeys   map[string]rsaNE    `json:"rsa_keys"`
	RSAPad    []map[string]string `json:"rsa_pad"`
	IGE       []map[string]string `json:"aes_ige"`
	AuthKeyID []map[string]string `json:"auth_key_id"`
	KDF       []map[string]any    `json:"kdf"`
	Messages  []map[string]any    `json:"message_v2"`
	Bind      map[string]any      `json:"bind_temp_auth_key"`
	CDN       []map[string]any    `json:"cdn_ctr"`
}

type rsaNE struct {
	N string
	E int
}

func load(t *testing.T) *vectors {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	v := new(vectors)
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t *testing.T, v any) []byte {
	t.Helper()
	s, ok := v.(string)
	b, err := hex.DecodeString(s)
	if !ok || err != nil {
		t.Fatalf("%v is no hex: %v", v, err)
	}
	return b
}

func array[T [16]byte | [32]byte | [256]byte](t *testing.T, b []byte) (a T) {
	t.Helper()
	switch p := any(&a).(type) {
	case *[16]byte:
		*p = [16]byte(b)
	case *[32]byte:
		*p = [32]byte(b)
	case *[256]byte:
		*p = [256]byte(b)
	}
	return a
}

// counting is the key of bytes 00 to ff.
func counting() *AuthKey {
	var b [256]byte
	for i := range b {
		b[i] = byte(i)
	}
	return NewAuthKey(b)
}

func equal(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got %x, want %x", what, got, want)
	}
}

func TestAuthKeyID(t *testing.T) {
	v := load(t).AuthKeyID[0]
	k := counting()
	equal(t, "id", binary.LittleEndian.AppendUint64(nil, uint64(k.ID())), unhex(t, v["auth_key_id_wire"]))
	equal(t, "aux hash", binary.LittleEndian.AppendUint64(nil, uint64(k.AuxHash())), unhex(t, v["aux_hash"]))
}

func TestExchangeValues(t *testing.T) {
	x := load(t).Exchange
	newNonce, serverNonce := array[[32]byte](t, unhex(t, x["new_nonce"])), array[[16]byte](t, unhex(t, x["server_nonce"]))
	key, iv := TempAESKey(newNonce, serverNonce)
	equal(t, "tmp_aes_key", key[:], unhex(t, x["tmp_aes_key"]))
	equal(t, "tmp_aes_iv", iv[:], unhex(t, x["tmp_aes_iv"]))

	answer := unhex(t, x["encrypted_answer"])
	IGEDecrypt(answer, answer, key[:], iv[:])
	equal(t, "answer", answer, unhex(t, x["answer_with_hash"]))

	prime, ga := new(big.Int).SetBytes(unhex(t, x["dh_prime"])), new(big.Int).SetBytes(unhex(t, x["g_a"]))
	if prime.Cmp(KnownPrime) != 0 {
		t.Error("the sample's prime is not the known one")
	}
	if err := errors.Join(CheckDH(prime, 3), CheckDHValue(prime, ga)); err != nil {
		t.Error(err)
	}
	b := new(big.Int).SetBytes(unhex(t, x["b"]))
	equal(t, "g_b", new(big.Int).Exp(big.NewInt(3), b, prime).FillBytes(make([]byte, 256)), unhex(t, x["g_b"]))
	authKey := NewAuthKey([256]byte(new(big.Int).Exp(ga, b, prime).FillBytes(make([]byte, 256))))
	value := authKey.Bytes()
	equal(t, "auth_key", value[:], unhex(t, x["auth_key"]))
	for n := byte(1); n <= 3; n++ {
		hash := NonceHash(newNonce, n, authKey.AuxHash())
		equal(t, fmt.Sprintf("new_nonce_hash%d", n), hash[:], unhex(t, x[fmt.Sprintf("new_nonce_hash%d", n)]))
	}
}

func TestTempAESKey(t *testing.T) {
	for _, v := range load(t).TmpAES {
		key, iv := TempAESKey(array[[32]byte](t, unhex(t, v["new_nonce"])), array[[16]byte](t, unhex(t, v["server_nonce"])))
		equal(t, "key", key[:], unhex(t, v["tmp_aes_key"]))
		equal(t, "iv", iv[:], unhex(t, v["tmp_aes_iv"]))
	}
}

func TestMessageKeys(t *testing.T) {
	for _, v := range load(t).KDF {
		k := NewAuthKey(array[[256]byte](t, unhex(t, v["auth_key"])))
		x, _ := v["x"].(float64)
		key, iv := k.messageKeys(unhex(t, v["msg_key"]), Side(x))
		equal(t, "2.0 key", key[:], unhex(t, v["v2_aes_key"]))
		equal(t, "2.0 iv", iv[:], unhex(t, v["v2_aes_iv"]))
		key, iv = k.MessageKeysV1(unhex(t, v["msg_key"]), Side(x))
		equal(t, "1.0 key", key[:], unhex(t, v["v1_aes_key"]))
		equal(t, "1.0 iv", iv[:], unhex(t, v["v1_aes_iv"]))
	}
}

// messageVector is a whole packet of the vectors.
func messageVector(t *testing.T, v map[string]any) (side Side, plaintext, padding, packet []byte) {
	t.Helper()
	if v["direction"] != "client->server" {
		side = FromServer
	}
	return side, unhex(t, v["plaintext"]), unhex(t, v["padding"]), unhex(t, v["packet"])
}

func TestSealAndOpen(t *testing.T) {
	for _, v := range load(t).Messages {
		side, plaintext, padding, packet := messageVector(t, v)
		n := len(plaintext) - len(padding)
		buf := make([]byte, PacketHeader+len(plaintext))
		copy(buf[PacketHeader:], plaintext[:n])
		got, token, err := counting().Seal(buf, n, side, len(padding), bytes.NewReader(padding))
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "packet", got, packet)
		equal(t, "quick ack", binary.BigEndian.AppendUint32(nil, token), unhex(t, v["quick_ack_token"]))
		opened, err := counting().Open(bytes.Clone(packet), side)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "plaintext", opened, plaintext)
		_, body, err := ParseHeader(opened)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "body", body, unhex(t, v["body"]))
	}
}

// A packet with any bit changed opens as nothing.
func TestOpenRefuses(t *testing.T) {
	side, _, _, packet := messageVector(t, load(t).Messages[0])
	for i := range len(packet) * 8 {
		b := bytes.Clone(packet)
		b[i/8] ^= 1 << (i % 8)
		want := ErrMsgKey
		if i < 64 {
			want = ErrKeyID
		}
		if _, err := counting().Open(b, side); !errors.Is(err, want) {
			t.Fatalf("bit %d changed: got %v, want %v", i, err, want)
		}
	}
	if _, err := counting().Open(bytes.Clone(packet), FromServer-side); !errors.Is(err, ErrMsgKey) {
		t.Errorf("taken for the other direction: got %v, want %v", err, ErrMsgKey)
	}
	for _, n := range []int{0, 8, 23, 24, 39, len(packet) - 1} {
		if _, err := counting().Open(bytes.Clone(packet[:n]), side); !errors.Is(err, ErrLength) {
			t.Errorf("%d bytes: got %v, want %v", n, err, ErrLength)
		}
	}
}

// Packets opened together are opened as each alone; bad ones do not spoil others.
func TestOpenAll(t *testing.T) {
	k := counting()
	seal := func(n int) []byte {
		buf := make([]byte, SealedSize(n))
		for i := range n {
			buf[PacketHeader+i] = byte(i * n)
		}
		packet, _, err := k.Seal(buf, n, FromServer, 0, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return packet
	}
	bad := func(packet []byte, at int) []byte {
		packet[at] ^= 1
		return packet
	}
	for n := range 10 {
		var packets []Packet
		var want []error
		for i := range n {
			packet, err := seal(100+i*i*1000), error(nil)
			switch i % 6 {
			case 1:
				packet, err = bad(packet, len(packet)-1), ErrMsgKey
			case 2:
				packet, err = bad(packet, 0), ErrKeyID
			case 4:
				packet, err = packet[:len(packet)-1], ErrLength
			}
			packets, want = append(packets, Packet{Key: k, Bytes: packet, Plaintext: []byte("old"), Err: io.EOF}), append(want, err)
		}
		alone := make([]Packet, n)
		for i, p := range packets {
			alone[i].Plaintext, alone[i].Err = k.Open(bytes.Clone(p.Bytes), FromServer)
		}
		OpenAll(packets, FromServer)
		for i, p := range packets {
			if !errors.Is(p.Err, want[i]) || !errors.Is(alone[i].Err, want[i]) || (p.Err != nil) != (want[i] != nil) {
				t.Errorf("packet %d of %d: got %v together and %v alone, want %v", i, n, p.Err, alone[i].Err, want[i])
			}
			if !bytes.Equal(p.Plaintext, alone[i].Plaintext) || (p.Plaintext == nil) != (p.Err != nil) {
				t.Errorf("packet %d of %d differs from what it is alone", i, n)
			}
		}
	}
}

// Packets sealed together are sealed as each alone.
func TestSealAll(t *testing.T) {
	k := counting()
	zero := func() io.Reader { return bytes.NewReader(make([]byte, maxPadding)) }
	for n := range 10 {
		var together, alone []Sealing
		for i := range n {
			size := 32 + i*i*1000
			s := Sealing{Key: k, N: size, Rand: zero(), Packet: []byte("old"), Err: io.EOF}
			s.Buf = bytes.Repeat([]byte{byte(i)}, SealedSize(size))
			var want error
			switch i % 5 {
			case 1:
				s.Buf, want = s.Buf[:len(s.Buf)-1], ErrLength
			case 3:
				s.Rand, want = bytes.NewReader(nil), io.EOF
			}
			one := Sealing{Buf: bytes.Clone(s.Buf)}
			one.Packet, one.QuickAck, one.Err = k.Seal(one.Buf, size, FromClient, 0, zero())
			if want != nil {
				one = Sealing{Err: want}
			}
			together, alone = append(together, s), append(alone, one)
		}
		SealAll(together, FromClient)
		for i, s := range together {
			a := alone[i]
			if !errors.Is(s.Err, a.Err) || s.QuickAck != a.QuickAck || !bytes.Equal(s.Packet, a.Packet) || (s.Packet == nil) != (s.Err != nil) {
				t.Errorf("packet %d of %d differs from what it is alone: %v, want %v", i, n, s.Err, a.Err)
			}
		}
	}
}

func TestNoAllocation(t *testing.T) {
	if AtOnce() == 1 {
		t.Skip("crypto/aes allocates a cipher for each key")
	}
	k := counting()
	buf := make([]byte, SealedSize(5000))
	n := testing.AllocsPerRun(100, func() {
		packet, _, err := k.Seal(buf, 5000, FromServer, 0, rand.Reader)
		if err == nil {
			_, err = k.Open(packet, FromServer)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("sealing and opening allocate %v times", n)
	}
}

func TestParseHeader(t *testing.T) {
	for _, tt := range []struct {
		name    string
		length  int32 // what the header says
		size    int   // of the plaintext
		refused bool
	}{
		{name: "12 bytes of padding", length: 4, size: 48},
		{name: "1024 bytes of padding", length: 0, size: 32 + 1024},
		{name: "11 bytes of padding", length: 4, size: 47, refused: true},
		{name: "1025 bytes of padding", length: 0, size: 32 + 1025, refused: true},
		{name: "1040 bytes of padding", length: 8, size: 32 + 8 + 1040, refused: true},
		{name: "negative length", length: -4, size: 64, refused: true},
		{name: "length not divisible by 4", length: 2, size: 48, refused: true},
		{name: "longer than the packet", length: 1 << 30, size: 64, refused: true},
		{name: "no room for a header", length: 0, size: 16, refused: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := make([]byte, tt.size)
			if tt.size >= HeaderSize {
				Header{MsgID: 5, Length: tt.length}.Put(b)
			}
			h, body, err := ParseHeader(b)
			if errors.Is(err, ErrLength) != tt.refused {
				t.Fatalf("got %v, want refused: %v", err, tt.refused)
			}
			if err == nil && (h.MsgID != 5 || len(body) != int(tt.length)) {
				t.Errorf("got %+v and %d bytes", h, len(body))
			}
		})
	}
}

func TestBindMessage(t *testing.T) {
	v := load(t).Bind
	var value [256]byte
	for i := range value {
		value[i] = byte(255 - i)
	}
	perm := NewAuthKey(value)
	inner := unhex(t, v["bind_auth_key_inner"])
	const msgID = 0x0011223344556677
	got, err := SealBindMessage(perm, msgID, inner, bytes.NewReader(bytes.Repeat([]byte{0xcd}, 24)))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "encrypted_message", got, unhex(t, v["encrypted_message"]))
	id, opened, err := OpenBindMessage(perm, got)
	if err != nil || id != msgID {
		t.Fatalf("got id %x, %v", id, err)
	}
	equal(t, "inner", opened, inner)
	for i := range got {
		b := bytes.Clone(got)
		b[i] ^= 1
		if _, _, err := OpenBindMessage(perm, b); err == nil && i < len(got)-8 {
			t.Fatalf("byte %d changed, but it opens", i)
		}
	}
}

func publicKey(t *testing.T, v *vectors, fingerprint string) *PublicKey {
	t.Helper()
	k := v.RSAKeys[fingerprint]
	return &PublicKey{N: new(big.Int).SetBytes(unhex(t, k.N)), E: k.E}
}

func TestFingerprints(t *testing.T) {
	v := load(t)
	for name := range v.RSAKeys {
		k := publicKey(t, v, name)
		if got := fmt.Sprintf("%016x", uint64(k.Fingerprint())); got != name {
			t.Errorf("got %s, want %s", got, name)
		}
		again, err := ParsePublicKeys([]byte(k.PEM()))
		if err != nil || len(again) != 1 || again[0].N.Cmp(k.N) != 0 || again[0].E != k.E {
			t.Errorf("%s: PEM does not read back: %v", name, err)
		}
	}
}

func TestRSAPad(t *testing.T) {
	v := load(t)
	for _, p := range v.RSAPad {
		var padded [paddedSize]byte
		copy(padded[copy(padded[:], unhex(t, p["data"])):], unhex(t, p["padding"]))
		temp := array[[32]byte](t, unhex(t, p["temp_key"]))
		got, ok := publicKey(t, v, p["fingerprint"]).encryptPadded(&padded, &temp)
		if ok != (p["encrypted_data"] != "") {
			t.Errorf("%s: accepted: %v", p["note"], ok)
		}
		if ok {
			equal(t, "encrypted_data", got, unhex(t, p["encrypted_data"]))
		}
	}
}

func TestRSAPadRoundTrip(t *testing.T) {
	priv, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pub := &PublicKey{N: priv.N, E: priv.E}
	data := []byte("some inner data")
	enc, err := pub.EncryptPad(data, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecryptPad(priv, enc)
	if err != nil || !bytes.HasPrefix(got, data) || len(got) != paddedSize {
		t.Fatalf("got %x, %v", got, err)
	}
	enc[9] ^= 1
	if got, err := DecryptPad(priv, enc); err == nil {
		t.Errorf("one bit changed, but it decrypts to %x", got)
	}
	if _, err := pub.EncryptPad(make([]byte, maxRSAData+1), rand.Reader); err == nil {
		t.Error("too much data was taken")
	}
}

func TestIGE(t *testing.T) {
	for i, v := range load(t).IGE {
		if len(v["key"]) != 64 || v["plain"] == "" {
			continue // AES-128 is tested with package ige
		}
		plain, cipher := unhex(t, v["plain"]), unhex(t, v["cipher"])
		got := make([]byte, len(plain))
		IGEEncrypt(got, plain, unhex(t, v["key"]), unhex(t, v["iv"]))
		equal(t, fmt.Sprintf("vector %d encrypted", i), got, cipher)
		IGEDecrypt(got, got, unhex(t, v["key"]), unhex(t, v["iv"]))
		equal(t, fmt.Sprintf("vector %d decrypted in place", i), got, plain)
	}
}

func TestCDNCrypt(t *testing.T) {
	for _, v := range load(t).CDN {
		offset, _ := v["offset"].(float64)
		b := unhex(t, v["first16_cipher"])
		if err := CDNCrypt(unhex(t, v["key"]), unhex(t, v["encryption_iv"]), int64(offset), b); err != nil {
			t.Fatal(err)
		}
		equal(t, "plain", b, unhex(t, v["first16_plain"]))
	}
	if CDNCrypt(make([]byte, 32), make([]byte, 16), 5, nil) == nil || CDNCrypt(make([]byte, 31), make([]byte, 16), 0, nil) == nil {
		t.Error("a bad offset or key was taken")
	}
}

func TestFactorPQ(t *testing.T) {
	for pq, want := range map[uint64][2]uint64{
		2694724800268887959: {1513098571, 1780931429}, 1724114033281923457: {1229739323, 1402015859},
		2090522174869285481: {1112973847, 1878321023}, 1470626929934143021: {1206429347, 1218991343},
		2804275833720261793: {1555252417, 1803100129}, 15: {3, 5},
	} {
		p, q, err := FactorPQ(pq)
		if err != nil || p != want[0] || q != want[1] {
			t.Errorf("%d: got %d, %d, %v, want %v", pq, p, q, err, want)
		}
	}
	for name, pq := range map[string]uint64{
		"0": 0, "1": 1, "2": 2, "even": 2694724800268887958, "prime": 1780931429, "large prime": 9223372036854775783,
		"square": 1513098571 * 1513098571, "too large": 1<<63 + 1, "three primes": 3 * 5 * 7, "cube": 27,
	} {
		if p, q, err := FactorPQ(pq); !errors.Is(err, ErrFactor) {
			t.Errorf("%s: got %d, %d, %v, want %v", name, p, q, err, ErrFactor)
		}
	}
}

func TestCheckDH(t *testing.T) {
	composite := new(big.Int).Sub(KnownPrime, big.NewInt(24)) // the same residues, but no prime
	short := new(big.Int).Rsh(KnownPrime, 1)
	for _, tt := range []struct {
		name string
		p    *big.Int
		g    int
		ok   bool
	}{
		{"g 3", KnownPrime, 3, true},
		{"g 4", KnownPrime, 4, true},
		{"g 7", KnownPrime, 7, true},
		{"g 2", KnownPrime, 2, false},
		{"g 5", KnownPrime, 5, false},
		{"g 1", KnownPrime, 1, false},
		{"g 8", KnownPrime, 8, false},
		{"g 0", KnownPrime, 0, false},
		{"g -3", KnownPrime, -3, false},
		{"composite", composite, 3, false},
		{"2047 bits", short, 4, false},
		{"0", new(big.Int), 4, false},
		{"2049 bits", new(big.Int).Lsh(KnownPrime, 1), 4, false},
	} {
		if err := CheckDH(tt.p, tt.g); errors.Is(err, ErrDH) == tt.ok || (err == nil) != tt.ok {
			t.Errorf("%s: got %v, want ok: %v", tt.name, err, tt.ok)
		}
	}
	one, low := big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), 1984)
	high := new(big.Int).Sub(KnownPrime, low)
	for _, tt := range []struct {
		name string
		x    *big.Int
		ok   bool
	}{
		{"0", new(big.Int), false},
		{"1", one, false},
		{"p-1", new(big.Int).Sub(KnownPrime, one), false},
		{"p", KnownPrime, false},
		{"2^1984-1", new(big.Int).Sub(low, one), false},
		{"2^1984", low, true},
		{"p-2^1984", high, true},
		{"p-2^1984+1", new(big.Int).Add(high, one), false},
	} {
		if err := CheckDHValue(KnownPrime, tt.x); (err == nil) != tt.ok {
			t.Errorf("value %s: got %v, want ok: %v", tt.name, err, tt.ok)
		}
	}
}

func TestAuthKeyHidesItself(t *testing.T) {
	k := counting()
	secret := "404142434445464748"
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("made", "key", k)
	text, err := json.Marshal(struct{ Key *AuthKey }{k})
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{
		fmt.Sprintf("%v %+v %#v %s", k, k, k, k), fmt.Sprintf("%v %+v", struct{ K *AuthKey }{k}, []*AuthKey{k}), log.String(), string(text),
	} {
		if strings.Contains(shown, secret) || strings.Contains(shown, "64 65 66") || strings.Contains(shown, "@ABC") {
			t.Errorf("the key shows: %s", shown)
		}
	}
}

func FuzzOpen(f *testing.F) {
	k := counting()
	f.Add(make([]byte, 56))
	f.Fuzz(func(t *testing.T, b []byte) {
		sum := sha256.Sum256(b)
		if plaintext, err := k.Open(b, FromServer); err == nil {
			if _, _, err := ParseHeader(plaintext); err == nil {
				t.Errorf("opened what nobody sealed: %x", sum)
			}
		}
		_, _, _ = ParseHeader(b)
		_, _, _ = OpenBindMessage(k, b)
	})
}

func FuzzParsePublicKeys(f *testing.F) {
	priv, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte((&PublicKey{N: priv.N, E: priv.E}).PEM()))
	f.Add([]byte("-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := ParsePublicKeys(b)
		if err != nil {
			return
		}
		for _, k := range keys {
			again, err := ParsePublicKeys([]byte(k.PEM()))
			if err != nil || again[0].Fingerprint() != k.Fingerprint() {
				t.Errorf("%x does not read back: %v", uint64(k.Fingerprint()), err)
			}
		}
	})
}
