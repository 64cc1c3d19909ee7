package telegram

import (
	"slices"

	"github.com/tghaul/haul/mtproto/crypto"
)

// NewSession is a session with auth keys that another client has made and
// signed in with, by DC; that of home must be among them. Peers are those whose
// access hashes the account has; usernames move, so that theirs are not taken
// and will be resolved anew. Whether the keys are still good shows when a
// [Client] uses them: [Client.Self] asks who is signed in.
func NewSession(test bool, home int, keys map[int]*crypto.AuthKey, peers []Peer) *Session {
	s := &Session{Version: sessionVersion, Test: test, HomeDC: home, DCs: map[int]DCSession{}, Peers: slices.Clone(peers)}
	for i := range s.Peers {
		s.Peers[i].Username = ""
	}
	for dc, k := range keys {
		value := k.Bytes()
		s.DCs[dc] = DCSession{Key: value[:], Authorized: true}
	}
	return s
}
