package mtserver

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/tl"
)

// A binding is auth.bindTempAuthKey, to be spoiled before it is sent.
type binding struct {
	perm                    *crypto.AuthKey
	permID, nonce           int64
	expires                 int32
	innerID, innerNonce     int64
	temp, innerPerm, sessID int64
	innerExpires            int32
	message                 func(b []byte) []byte
}

// bind sends auth.bindTempAuthKey on a temporary key's session.
func (c *client) bind(perm *crypto.AuthKey, expires time.Time, spoil func(b *binding)) int64 {
	c.t.Helper()
	id, at := c.nextID(), int32(expires.Unix())
	b := &binding{
		perm: perm, permID: perm.ID(), nonce: 99, expires: at,
		innerID: id, innerNonce: 99, temp: c.key.ID(), innerPerm: perm.ID(), sessID: c.session, innerExpires: at,
	}
	if spoil != nil {
		spoil(b)
	}
	inner := encode(idBindInner, func(e *tl.Encoder) {
		e.Long(b.innerNonce)
		e.Long(b.temp)
		e.Long(b.innerPerm)
		e.Long(b.sessID)
		e.Int(b.innerExpires)
	})
	message, err := crypto.SealBindMessage(b.perm, b.innerID, inner, rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	if b.message != nil {
		message = b.message(message)
	}
	c.packet(id, c.nextSeqNo(true), encode(idBindTempAuthKey, func(e *tl.Encoder) {
		e.Long(b.permID)
		e.Long(b.nonce)
		e.Int(b.expires)
		e.Blob(message)
	}))
	return id
}

// who answers a query with the key ids that the Handler is told.
var who = handlerFunc(func(_ context.Context, c *Call) (tl.Object, error) {
	return tl.Raw(encode(0x77777777, func(e *tl.Encoder) {
		e.Long(c.AuthKeyID)
		e.Long(c.KeyID)
		e.Bool(c.TempKey)
	})), nil
})

func TestBind(t *testing.T) {
	inBubble(t, Config{Handler: who}, func(e *env) {
		perm := e.addKey(0)
		c := e.clientWith(e.addKey(24 * time.Hour))
		id := c.bind(perm, time.Now().Add(24*time.Hour), nil)
		if got := c.result(id); !bytes.Equal(got, boolTrue) {
			t.Fatalf("result % x, want boolTrue", got)
		}
		id = c.call(1)
		d := tl.NewDecoder(c.result(id))
		d.ID()
		if owner, key, temp := d.Long(), d.Long(), d.Bool(); owner != perm.ID() || key != c.key.ID() || !temp {
			t.Errorf("the Handler is told key %x of %x, temporary %v; want %x of %x, true", key, owner, temp, c.key.ID(), perm.ID())
		}
		// Destroying the permanent key ends the temporary one.
		e.dc.DestroyKey(perm.ID())
		c.call(2)
		c.expectTransport(transportUnknown)
	})
}

// TestBindRefused breaks each rule of the binding alone.
func TestBindRefused(t *testing.T) {
	const invalid = "400 ENCRYPTED_MESSAGE_INVALID"
	day := 24 * time.Hour
	tests := []struct {
		name    string
		want    string
		expires time.Duration
		spoil   func(e *env, b *binding)
	}{
		{"unknown permanent key", invalid, day, func(_ *env, b *binding) { b.permID++ }},
		{"encrypted with another key", invalid, day, func(e *env, b *binding) { b.perm = e.addKey(0) }},
		{"temporary key as permanent", invalid, day, func(e *env, b *binding) {
			b.perm = e.addKey(time.Hour)
			b.permID, b.innerPerm = b.perm.ID(), b.perm.ID()
		}},
		{"nonce", invalid, day, func(_ *env, b *binding) { b.innerNonce++ }},
		{"temporary key id", invalid, day, func(_ *env, b *binding) { b.temp++ }},
		{"permanent key id", invalid, day, func(_ *env, b *binding) { b.innerPerm++ }},
		{"session id", invalid, day, func(_ *env, b *binding) { b.sessID++ }},
		{"inner expires_at", invalid, day, func(_ *env, b *binding) { b.innerExpires++ }},
		{"msg_id", invalid, day, func(_ *env, b *binding) { b.innerID += 4 }},
		{"corrupt message", invalid, day, func(_ *env, b *binding) {
			b.message = func(m []byte) []byte { m[50]++; return m }
		}},
		{"short message", invalid, day, func(_ *env, b *binding) {
			b.message = func(m []byte) []byte { return m[:24] }
		}},
		{"expired", "400 EXPIRES_AT_INVALID", -time.Second, nil},
		{"expires too late", "400 EXPIRES_AT_INVALID", day + 2*bindSkew, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, Config{}, func(e *env) {
				c := e.clientWith(e.addKey(day))
				perm := e.addKey(0)
				id := c.bind(perm, time.Now().Add(tt.expires), func(b *binding) {
					if tt.spoil != nil {
						tt.spoil(e, b)
					}
				})
				c.expectError(id, tt.want)
				id = c.call(1)
				c.expectError(id, "401 AUTH_KEY_PERM_EMPTY")
				id = c.bind(perm, time.Now().Add(day), nil)
				c.result(id) // right, it is granted
				c.roundTrip(2)
			})
		})
	}
}

func TestBindAgain(t *testing.T) {
	inBubble(t, Config{}, func(e *env) {
		perm, other := e.addKey(0), e.addKey(0)
		c := e.clientWith(e.addKey(time.Hour))
		at := time.Now().Add(time.Hour)
		for range 2 { // the same binding again is fine
			id := c.bind(perm, at, nil)
			if got := c.result(id); !bytes.Equal(got, boolTrue) {
				t.Fatalf("result % x, want boolTrue", got)
			}
		}
		id := c.bind(other, at, nil)
		c.expectError(id, "400 TEMP_AUTH_KEY_ALREADY_BOUND")
		p := e.clientWith(perm)
		id = p.bind(other, at, nil)
		p.expectError(id, "400 TEMP_AUTH_KEY_EMPTY")
	})
}

// TestUnbound: an unbound temporary key may call three methods, wrapped or not.
func TestUnbound(t *testing.T) {
	wrap := func(q []byte) []byte {
		return encode(idInvokeWithLayer, func(e *tl.Encoder) {
			e.Int(228)
			e.ID(idInitConnection)
			e.Nat(0)
			e.Int(1)
			for _, s := range []string{"d", "s", "v", "en", "", "en"} {
				e.String(s)
			}
			e.Raw(q)
		})
	}
	tests := []struct {
		method  uint32
		allowed bool
	}{
		{idHelpGetConfig, true}, {idHelpGetNearestDC, true}, {0x0badcafe, false},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%#x", tt.method), func(t *testing.T) {
			inBubble(t, Config{}, func(e *env) {
				c := e.clientWith(e.addKey(time.Hour))
				for _, q := range [][]byte{encode(tt.method, nil), wrap(encode(tt.method, nil))} {
					id := c.send(q, true)
					if !tt.allowed {
						c.expectError(id, "401 AUTH_KEY_PERM_EMPTY")
					} else if got := c.result(id); !bytes.Equal(got, q) {
						t.Errorf("result % x, want % x", got, q)
					}
				}
			})
		})
	}
}

// TestRestart: keys, bindings and salts survive in what Save wrote.
func TestRestart(t *testing.T) {
	var saved bytes.Buffer
	var perm, temp *crypto.AuthKey
	inBubble(t, Config{Handler: who}, func(e *env) {
		perm, temp = e.addKey(0), e.addKey(time.Hour)
		c := e.clientWith(temp)
		id := c.bind(perm, time.Now().Add(time.Hour), nil)
		c.result(id)
		if err := e.dc.keys.Save(&saved); err != nil {
			t.Fatal(err)
		}
	})
	loaded := NewKeyStore()
	if err := loaded.Load(bytes.NewReader(saved.Bytes())); err != nil {
		t.Fatal(err)
	}
	if got := loaded.Len(); got != 2 {
		t.Fatalf("%d keys, want 2", got)
	}
	var again bytes.Buffer
	if err := loaded.Save(&again); err != nil || !bytes.Equal(saved.Bytes(), again.Bytes()) {
		t.Errorf("saving again gives something else (%v)", err)
	}
	inBubble(t, Config{Handler: who, Keys: loaded}, func(e *env) {
		for _, key := range []*crypto.AuthKey{perm, temp} {
			c := e.clientWith(key) // with the old salt
			id := c.call(1)
			d := tl.NewDecoder(c.result(id))
			d.ID()
			if got := d.Long(); got != perm.ID() {
				t.Errorf("the Handler is told key %x, want %x", got, perm.ID())
			}
		}
	})
}

func TestLoadRefuses(t *testing.T) {
	for name, doc := range map[string]string{
		"nothing":     "",
		"version":     `{"version":2,"keys":[]}`,
		"short key":   `{"version":1,"keys":[{"key":"AAAA","salts":[{"value":1}]}]}`,
		"other types": `{"version":1,"keys":5}`,
	} {
		s := NewKeyStore()
		if err := s.Load(bytes.NewReader([]byte(doc))); err == nil || s.Len() != 0 {
			t.Errorf("%s: error %v and %d keys, want an error and none", name, err, s.Len())
		}
	}
}

// TestBindReplaces: a permanent key is bound to one temporary key at a time,
// and to one more of media-only endpoints, where the others are not known.
func TestBindReplaces(t *testing.T) {
	inBubble(t, Config{}, func(e *env) {
		perm := e.addKey(0)
		at := time.Now().Add(time.Hour)
		first, second := e.clientWith(e.addKey(time.Hour)), e.clientWith(e.addKey(time.Hour))
		media := e.addKey(time.Hour)
		e.dc.keys.get(media.ID(), time.Now()).media = true
		if !e.dc.keys.bind(e.dc.keys.get(media.ID(), time.Now()), perm.ID()) {
			t.Fatal("the key of media-only endpoints is not bound")
		}
		first.result(first.bind(perm, at, nil))
		first.roundTrip(1)
		second.result(second.bind(perm, at, nil))
		second.roundTrip(2)
		first.expectError(first.call(3), "401 AUTH_KEY_PERM_EMPTY")
		if _, bound := e.dc.keys.owner(e.dc.keys.get(media.ID(), time.Now())); !bound {
			t.Error("the key of media-only endpoints is not bound any more")
		}
		stranger := e.clientWith(media)
		stranger.call(4)
		stranger.expectTransport(transportUnknown)
	})
}
