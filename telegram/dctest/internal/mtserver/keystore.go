package mtserver

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/tghaul/haul/mtproto/crypto"
)

// A KeyStore holds the auth keys of one DC with their salts. The zero value is
// not usable; NewKeyStore makes one. It is safe for concurrent use.
type KeyStore struct {
	mu   sync.Mutex
	keys map[int64]*keyEntry
}

// A keyEntry is one auth key. KeyStore.mu guards what changes: salts and perm.
type keyEntry struct {
	key     *crypto.AuthKey
	created time.Time
	temp    bool
	media   bool      // of a temporary key: made at a media-only endpoint
	expires time.Time // of a temporary key
	perm    int64     // the permanent key this temporary one is bound to, 0 if none
	salts   salts
}

// NewKeyStore returns an empty store.
func NewKeyStore() *KeyStore { return &KeyStore{keys: make(map[int64]*keyEntry)} }

// Len is how many keys there are, expired ones included.
func (s *KeyStore) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.keys)
}

// add stores a key unless its id is taken.
func (s *KeyStore) add(e *keyEntry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := e.key.ID()
	if _, taken := s.keys[id]; taken || id == 0 {
		return false
	}
	s.keys[id] = e
	return true
}

// get returns a key that may be used now, or nil. It forgets an expired one.
func (s *KeyStore) get(id int64, now time.Time) *keyEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.keys[id]
	if e != nil && e.temp && !now.Before(e.expires) {
		delete(s.keys, id)
		return nil
	}
	return e
}

// remove deletes a key and, with a permanent one, the temporary keys bound to
// it. It returns the ids of all that went.
func (s *KeyStore) remove(id int64) []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.keys[id]
	if e == nil {
		return nil
	}
	gone := []int64{id}
	delete(s.keys, id)
	if e.temp {
		return gone
	}
	for other, t := range s.keys {
		if t.temp && t.perm == id {
			delete(s.keys, other)
			gone = append(gone, other)
		}
	}
	return gone
}

// bind ties a temporary key to a permanent one, in place of the one before: a
// permanent key is bound to one temporary key at a time, and to one more that
// media-only endpoints made. It reports false if temp is bound to another
// permanent key already.
func (s *KeyStore) bind(temp *keyEntry, perm int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if temp.perm != 0 && temp.perm != perm {
		return false
	}
	for _, e := range s.keys {
		if e.temp && e.perm == perm && e.media == temp.media {
			e.perm = 0
		}
	}
	temp.perm = perm
	return true
}

// owner is the permanent key behind an entry, the key itself while it is unbound.
func (s *KeyStore) owner(e *keyEntry) (id int64, bound bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !e.temp {
		return e.key.ID(), true
	}
	if e.perm != 0 {
		return e.perm, true
	}
	return e.key.ID(), false
}

// checkSalt reports whether v is valid now, and which salt is the newest.
func (s *KeyStore) checkSalt(e *keyEntry, v int64, now time.Time, lifetime time.Duration) (ok bool, current int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.salts.advance(now, lifetime, 0)
	return e.salts.valid(v, now), e.salts.current(now)
}

// futureSalts returns n salts from the newest valid one on.
func (s *KeyStore) futureSalts(e *keyEntry, n int, now time.Time, lifetime time.Duration) salts {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.salts.advance(now, lifetime, n)
	return slices.Clone(e.salts.window(now, n))
}

// replaceSalts makes all salts of a key invalid but a new one.
func (s *KeyStore) replaceSalts(e *keyEntry, now time.Time, lifetime time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.salts = newSalts(randomSalt(), now, lifetime)
}

// storedKey is a keyEntry as Save writes it.
type storedKey struct {
	Key     []byte    `json:"key"`
	Created time.Time `json:"created"`
	Temp    bool      `json:"temp,omitempty"`
	Media   bool      `json:"media,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
	Perm    int64     `json:"perm,omitempty"`
	Salts   salts     `json:"salts"`
}

// storedKeys is the document of Save.
type storedKeys struct {
	Version int         `json:"version"`
	Keys    []storedKey `json:"keys"`
}

const keyStoreVersion = 1

// Save writes all keys as one JSON document, in the order of their ids. It
// holds secrets: of simulated accounts only, but keep it to the owner anyway.
func (s *KeyStore) Save(w io.Writer) error {
	doc := storedKeys{Version: keyStoreVersion, Keys: s.stored()}
	if err := json.NewEncoder(w).Encode(doc); err != nil {
		return fmt.Errorf("save auth keys: %w", err)
	}
	return nil
}

func (s *KeyStore) stored() []storedKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]int64, 0, len(s.keys))
	for id := range s.keys {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	out := make([]storedKey, 0, len(ids))
	for _, id := range ids {
		e := s.keys[id]
		b := e.key.Bytes()
		out = append(out, storedKey{
			Key: b[:], Created: e.created, Temp: e.temp, Media: e.media, Expires: e.expires,
			Perm: e.perm, Salts: slices.Clone(e.salts),
		})
	}
	return out
}

// Load adds the keys that Save wrote to the store.
func (s *KeyStore) Load(r io.Reader) error {
	var doc storedKeys
	if err := json.NewDecoder(r).Decode(&doc); err != nil {
		return fmt.Errorf("load auth keys: %w", err)
	}
	if doc.Version != keyStoreVersion {
		return fmt.Errorf("load auth keys: version %d, want %d", doc.Version, keyStoreVersion)
	}
	for i, k := range doc.Keys {
		if len(k.Key) != 256 || len(k.Salts) == 0 {
			return fmt.Errorf("load auth keys: key %d: %d bytes and %d salts", i, len(k.Key), len(k.Salts))
		}
		s.add(&keyEntry{
			key: crypto.NewAuthKey([256]byte(k.Key)), created: k.Created, temp: k.Temp, media: k.Media,
			expires: k.Expires, perm: k.Perm, salts: k.Salts,
		})
	}
	return nil
}
