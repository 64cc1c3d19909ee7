package dctest

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"math/big"
	"sync"
	"time"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// Two-step passwords: the server's side of SRP, computed apart from the
// client's, which is no code of this module's other half.
// See core.telegram.org/api/srp.

const (
	srpGenerator   = 3
	srpLifetime    = 10 * time.Minute
	srpRounds      = 100000
	maxWrongPasses = 5
	wrongPassWait  = 5 * time.Minute // after maxWrongPasses
	srpBytes       = 256
)

// A verifier is what the server knows of a password: v = g^x, made once, since
// it takes a tenth of a second.
type verifier struct {
	once         sync.Once
	salt1, salt2 []byte
	v            *big.Int
}

// An srpTry is a challenge that was handed out. It can be answered once.
type srpTry struct {
	account int64
	key     keyAt
	b, pub  *big.Int // secret exponent, and srp_B
	until   time.Time
}

// wrongTries counts the wrong passwords of an account in a row.
type wrongTries struct {
	n     int
	until time.Time // no try counts before
}

func (a *account) verifier(w *world) *verifier {
	v := &a.verify
	v.once.Do(func() {
		v.salt1, v.salt2 = w.mac("password salt 1", a.id), w.mac("password salt 2", a.id)[:16]
		v.v = new(big.Int).Exp(big.NewInt(srpGenerator), srpSecret(a.cfg.Password, v.salt1, v.salt2), crypto.KnownPrime)
	})
	return v
}

// srpSecret is x, made from the password.
func srpSecret(password string, salt1, salt2 []byte) *big.Int {
	around := func(data, salt []byte) []byte {
		h := sha256.New()
		h.Write(salt)
		h.Write(data)
		h.Write(salt)
		return h.Sum(nil)
	}
	inner := around(around([]byte(password), salt1), salt2)
	long, err := pbkdf2.Key(sha512.New, string(inner), salt1, srpRounds, sha512.Size)
	if err != nil {
		panic("dctest: " + err.Error()) // only for lengths that these are not
	}
	return new(big.Int).SetBytes(around(long, salt2))
}

func srpHash(numbers ...any) []byte {
	h := sha256.New()
	for _, n := range numbers {
		switch n := n.(type) {
		case *big.Int:
			h.Write(n.FillBytes(make([]byte, srpBytes)))
		case []byte:
			h.Write(n)
		}
	}
	return h.Sum(nil)
}

// half is the account that the key's client has to give a password for, or is
// signed in to; nil if there is none.
func (r *request) half() *account {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if id, ok := r.c.halfway[r.key()]; ok {
		return r.c.accountLocked(id)
	}
	return r.me
}

func (r *request) getPassword() (tl.Object, error) {
	a := r.half()
	if a == nil {
		return nil, refuse(401, "AUTH_KEY_UNREGISTERED")
	}
	p := &api.AccountPassword{
		NewAlgo: &api.PasswordKdfAlgoUnknown{}, NewSecureAlgo: &api.SecurePasswordKdfAlgoUnknown{},
		SecureRandom: r.c.world.mac("secure random", a.id, r.now.UnixNano()),
	}
	if a.cfg.Password == "" {
		return p, nil
	}
	v := a.verifier(r.c.world)
	try := &srpTry{account: a.id, key: r.key(), until: r.now.Add(srpLifetime)}
	try.b, try.pub = challenge(v.v)
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	p.HasPassword, p.SrpID, p.SrpB = true, tl.Some(int64(binary.LittleEndian.Uint64(id[:]))), try.pub.FillBytes(make([]byte, srpBytes))
	p.CurrentAlgo = &api.PasswordKdfAlgoSHA256SHA256PBKDF2HMACSHA512iter100000SHA256ModPow{
		Salt1: v.salt1, Salt2: v.salt2, G: srpGenerator, P: crypto.KnownPrime.Bytes(),
	}
	if a.cfg.Hint != "" {
		p.Hint = tl.Some(a.cfg.Hint)
	}
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	for old, t := range r.c.srp { // a new challenge voids the older ones
		if t.key == r.key() || r.now.After(t.until) {
			delete(r.c.srp, old)
		}
	}
	r.c.srp[p.SrpID.Value] = try
	return p, nil
}

// srpMultiplier is k.
func srpMultiplier() *big.Int {
	return new(big.Int).SetBytes(srpHash(crypto.KnownPrime, big.NewInt(srpGenerator)))
}

// challenge chooses b and B = k*v + g^b.
func challenge(v *big.Int) (secret, public *big.Int) {
	for {
		buf := make([]byte, srpBytes)
		_, _ = rand.Read(buf) // never fails
		b := new(big.Int).SetBytes(buf)
		pub := new(big.Int).Mul(srpMultiplier(), v)
		pub.Add(pub, new(big.Int).Exp(big.NewInt(srpGenerator), b, crypto.KnownPrime)).Mod(pub, crypto.KnownPrime)
		if crypto.CheckDHValue(crypto.KnownPrime, pub) == nil {
			return b, pub
		}
	}
}

func (r *request) checkPassword(q *api.AuthCheckPasswordRequest) (tl.Object, error) {
	in, ok := q.Password.(*api.InputCheckPasswordSRP)
	if !ok {
		return nil, refuse(400, "PASSWORD_HASH_INVALID")
	}
	a := r.half()
	if a == nil || a.cfg.Password == "" {
		return nil, refuse(401, "AUTH_KEY_UNREGISTERED")
	}
	try, err := r.takeTry(a, in.SrpID)
	if err != nil {
		return nil, err
	}
	if !a.verifier(r.c.world).proves(try, in.A, in.M1) {
		r.wrongPassword(a)
		return nil, refuse(400, "PASSWORD_HASH_INVALID")
	}
	r.c.mu.Lock()
	delete(r.c.wrong, a.id)
	r.c.mu.Unlock()
	return r.welcome(a), nil
}

// takeTry uses a challenge up, unless the account has to wait.
func (r *request) takeTry(a *account, id int64) (*srpTry, error) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	if w := r.c.wrong[a.id]; w != nil && r.now.Before(w.until) {
		return nil, refuse(420, "FLOOD_WAIT_"+itoa(seconds(w.until.Sub(r.now))))
	}
	try := r.c.srp[id]
	delete(r.c.srp, id)
	if try == nil || try.account != a.id || try.key != r.key() || r.now.After(try.until) {
		return nil, refuse(400, "SRP_ID_INVALID")
	}
	return try, nil
}

func (r *request) wrongPassword(a *account) {
	r.c.mu.Lock()
	defer r.c.mu.Unlock()
	w := r.c.wrong[a.id]
	if w == nil {
		w = new(wrongTries)
		r.c.wrong[a.id] = w
	}
	if w.n++; w.n >= maxWrongPasses {
		w.n, w.until = 0, r.now.Add(wrongPassWait)
	}
}

// proves says whether A and M1 are from somebody who knows the password.
func (v *verifier) proves(t *srpTry, a, m1 []byte) bool {
	p, g := crypto.KnownPrime, big.NewInt(srpGenerator)
	ga := new(big.Int).SetBytes(a)
	if len(a) != srpBytes || crypto.CheckDHValue(p, ga) != nil {
		return false
	}
	u := new(big.Int).SetBytes(srpHash(ga, t.pub))
	s := new(big.Int).Exp(v.v, u, p)
	s.Exp(s.Mul(s, ga).Mod(s, p), t.b, p)
	both := srpHash(p)
	subtle.XORBytes(both, both, srpHash(g))
	want := srpHash(both, srpHash(v.salt1), srpHash(v.salt2), ga, t.pub, srpHash(s))
	return subtle.ConstantTimeCompare(want, m1) == 1
}
