package telegram

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tghaul/haul/mtproto"
)

// saveDelay is how long changes that can be learned again (salts, times,
// peers) wait for others before they are stored together.
const saveDelay = 2 * time.Second

// A keeper owns the session of a client and brings it into the store: at once
// what cannot be learned again, otherwise saveDelay after the first change.
type keeper struct {
	store SessionStore
	log   *slog.Logger
	wg    sync.WaitGroup
	dirty chan struct{} // 1: one pending wake-up is enough
	stop  chan struct{}
	once  sync.Once

	mu      sync.Mutex
	s       Session
	changed bool
	peers   *peerCache

	saveMu sync.Mutex // held while the store is used; taken before mu
}

// newKeeper takes over s and starts saving. stopped by close.
func newKeeper(store SessionStore, s *Session, log *slog.Logger) *keeper {
	k := &keeper{
		store: store, log: log, s: *s.clone(), peers: newPeerCache(s.Peers),
		dirty: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	if k.s.DCs == nil {
		k.s.DCs = make(map[int]DCSession)
	}
	k.wg.Go(k.run)
	return k
}

func (k *keeper) run() {
	for {
		select {
		case <-k.stop:
			return
		case <-k.dirty:
		}
		t := time.NewTimer(saveDelay)
		select {
		case <-k.stop:
			t.Stop()
			return // close saves
		case <-t.C:
		}
		if err := k.flush(); err != nil {
			k.log.Error("session not saved", "err", err)
		}
	}
}

// close saves what is unsaved and ends the saving. It may be called twice.
func (k *keeper) close() error {
	k.once.Do(func() { close(k.stop) })
	k.wg.Wait()
	return k.flush()
}

// flush saves the session if it changed. After a failure it stays changed.
func (k *keeper) flush() error {
	k.saveMu.Lock()
	defer k.saveMu.Unlock()
	k.mu.Lock()
	if !k.changed {
		k.mu.Unlock()
		return nil
	}
	k.changed = false
	c := k.s.clone()
	c.Version = sessionVersion
	c.Peers = k.peers.all()
	k.mu.Unlock()
	if err := k.store.Save(c); err != nil {
		k.touch()
		return fmt.Errorf("telegram: save session: %w", err)
	}
	return nil
}

// touch marks the session as changed.
func (k *keeper) touch() {
	k.mu.Lock()
	k.changed = true
	k.mu.Unlock()
	select {
	case k.dirty <- struct{}{}:
	default: // the wake-up that waits will see this change too
	}
}

// get is the value of f of the session.
func get[T any](k *keeper, f func(*Session) T) T {
	k.mu.Lock()
	defer k.mu.Unlock()
	return f(&k.s)
}

// update changes the session and saves it soon.
func (k *keeper) update(f func(*Session)) {
	k.mu.Lock()
	f(&k.s)
	k.mu.Unlock()
	k.touch()
}

// updateNow changes the session and saves it before it returns.
func (k *keeper) updateNow(f func(*Session)) error {
	k.update(f)
	return k.flush()
}

func (k *keeper) dc(id int) DCSession {
	return get(k, func(s *Session) DCSession { return s.DCs[id] })
}

// onKey takes what a session reported of its DC's key.
func (k *keeper) onKey(id int, state mtproto.KeyState) {
	if state.Key == nil {
		return
	}
	k.update(func(s *Session) { s.DCs[id] = s.DCs[id].withKey(state) })
}

// dropKey forgets the DC's key, if it is still the given one.
func (k *keeper) dropKey(id int, key SecretBytes) {
	k.update(func(s *Session) {
		if string(s.DCs[id].Key) == string(key) {
			delete(s.DCs, id)
		}
	})
}

// setAuthorized marks the DC's present key and saves the session.
func (k *keeper) setAuthorized(id int, ok bool, importedAt time.Time) error {
	return k.updateNow(func(s *Session) {
		d, known := s.DCs[id]
		if !known {
			return
		}
		d.Authorized, d.ImportedAt = ok, importedAt
		s.DCs[id] = d
	})
}

// forget leaves nothing of the account but the tokens for its next login.
func (k *keeper) forget(home int) error {
	return k.updateNow(func(s *Session) {
		*s = Session{Version: s.Version, Test: s.Test, HomeDC: home, FutureTokens: s.FutureTokens, DCs: make(map[int]DCSession)}
		k.peers = newPeerCache(nil)
	})
}

// learn takes peers from an answer.
func (k *keeper) learn(peers []Peer) {
	if len(peers) == 0 {
		return
	}
	k.mu.Lock()
	changed := k.peers.add(peers)
	k.mu.Unlock()
	if changed {
		k.touch()
	}
}

func (k *keeper) peerByID(kind PeerKind, id int64) (Peer, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.peers.byID(kind, id)
}

func (k *keeper) peerByName(username string) (Peer, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.peers.byName(username)
}

// forgetName makes the next resolution of the username ask the server.
func (k *keeper) forgetName(username string) {
	k.mu.Lock()
	k.peers.forgetName(username)
	k.mu.Unlock()
	k.touch()
}
