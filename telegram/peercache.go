package telegram

import "strings"

// maxPeers bounds what is remembered: a session is stored as a whole.
const maxPeers = 10_000

// A peerCache holds the peers that the account has met, by id and by
// username. It is not safe for concurrent use.
type peerCache struct {
	// list is in the order of learning; an entry that was replaced stays at its place.
	list  []Peer
	index map[peerKey]int // into list
	names map[string]peerKey
}

type peerKey struct {
	kind PeerKind
	id   int64
}

func (p Peer) key() peerKey { return peerKey{p.Kind, p.ID} }

func newPeerCache(peers []Peer) *peerCache {
	c := &peerCache{index: make(map[peerKey]int), names: make(map[string]peerKey)}
	c.add(peers)
	return c
}

// add takes peers, newer knowledge replacing older, and reports whether
// anything was new. Incomplete objects ("min") must not come here: their
// access hashes are good for nothing.
func (c *peerCache) add(peers []Peer) bool {
	changed := false
	for _, p := range peers {
		if p.ID <= 0 || p.Kind != PeerUser && p.Kind != PeerChat && p.Kind != PeerChannel {
			continue
		}
		at, known := c.index[p.key()]
		if known && c.list[at] == p {
			continue
		}
		changed = true
		if known {
			c.dropName(c.list[at])
			c.list[at] = p
		} else {
			c.index[p.key()] = len(c.list)
			c.list = append(c.list, p)
		}
		if p.Username != "" {
			c.forgetName(p.Username) // names move: its former owner has it no more
			c.names[strings.ToLower(p.Username)] = p.key()
			c.list[c.index[p.key()]].Username = p.Username
		}
	}
	if len(c.list) > maxPeers+maxPeers/10 {
		c.trim()
	}
	return changed
}

// trim forgets what was learned first.
func (c *peerCache) trim() {
	*c = *newPeerCache(c.list[len(c.list)-maxPeers:])
}

// dropName removes the name of p, unless another peer has it by now.
func (c *peerCache) dropName(p Peer) {
	name := strings.ToLower(p.Username)
	if c.names[name] == p.key() {
		delete(c.names, name)
	}
}

func (c *peerCache) byID(kind PeerKind, id int64) (Peer, bool) {
	at, ok := c.index[peerKey{kind, id}]
	if !ok {
		return Peer{}, false
	}
	return c.list[at], true
}

func (c *peerCache) byName(username string) (Peer, bool) {
	key, ok := c.names[strings.ToLower(username)]
	if !ok {
		return Peer{}, false
	}
	return c.byID(key.kind, key.id)
}

// forgetName keeps the peer, but not under this name.
func (c *peerCache) forgetName(username string) {
	key, ok := c.names[strings.ToLower(username)]
	if !ok {
		return
	}
	delete(c.names, strings.ToLower(username))
	c.list[c.index[key]].Username = ""
}

// all is a copy of the peers.
func (c *peerCache) all() []Peer { return append([]Peer(nil), c.list...) }
