package main

import "github.com/tghaul/haul/telegram"

// A listing knows the files that were listed, if several arguments may mean the
// same ones. It takes some 50 bytes for each.
type listing map[listedFile]struct{}

type listedFile struct {
	chat    int64 // marked id
	message int
	id      int64
}

// newListing is for a number of sources of files: one alone lists nothing twice.
func newListing(sources int) listing {
	if sources < 2 {
		return nil
	}
	return make(listing)
}

// first reports whether a file of a message was not listed before.
func (l listing) first(m *telegram.Message, f telegram.File) bool {
	if l == nil {
		return true
	}
	key := listedFile{m.Peer.MarkedID(), m.ID, f.ID}
	_, twice := l[key]
	l[key] = struct{}{}
	return !twice
}
