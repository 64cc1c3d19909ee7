package telegram

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestMarkedID(t *testing.T) {
	for _, c := range []struct {
		marked int64
		kind   PeerKind
		id     int64
	}{
		{1, PeerUser, 1},
		{maxUserID, PeerUser, maxUserID},
		{-1, PeerChat, 1},
		{-maxChatID, PeerChat, maxChatID},
		{-1000000000001, PeerChannel, 1},
		{-1001234567890, PeerChannel, 1234567890},
		{-1000000000000 - maxChannelID, PeerChannel, maxChannelID},
		{-1000000000000 - minMonoforumID, PeerChannel, minMonoforumID},
		{-1000000000000 - maxMonoforumID, PeerChannel, maxMonoforumID},
	} {
		p, err := PeerFromMarkedID(c.marked)
		if err != nil || p.Kind != c.kind || p.ID != c.id {
			t.Errorf("PeerFromMarkedID(%d) = %#v, %v; want %s %d", c.marked, p, err, c.kind, c.id)
			continue
		}
		if got := p.MarkedID(); got != c.marked {
			t.Errorf("MarkedID of %s %d = %d, want %d", p.Kind, p.ID, got, c.marked)
		}
	}
	for _, id := range []int64{
		0, maxUserID + 1, -1000000000000, -1000000000000 - maxChannelID - 1, -1000000000000 - minMonoforumID + 1,
		-1000000000000 - maxMonoforumID - 1, math.MinInt64, math.MaxInt64,
	} {
		if p, err := PeerFromMarkedID(id); !errors.Is(err, ErrPeerID) {
			t.Errorf("PeerFromMarkedID(%d) = %#v, %v; want ErrPeerID", id, p, err)
		}
	}
}

func TestPeerHidesHash(t *testing.T) {
	p := Peer{Kind: PeerChannel, ID: 5, AccessHash: 424242424242, Username: "name", Title: "Title"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(verb, p); strings.Contains(s, "4242") {
			t.Errorf("%s shows the access hash: %s", verb, s)
		}
	}
}

func TestPeerCache(t *testing.T) {
	channel := Peer{Kind: PeerChannel, ID: 5, AccessHash: 1, Username: "Name"}
	user := Peer{Kind: PeerUser, ID: 5, AccessHash: 2}
	c := newPeerCache([]Peer{channel, user, {Kind: PeerSelf, ID: 9}, {Kind: PeerUser}})
	if got := len(c.all()); got != 2 {
		t.Fatalf("%d peers, want 2: neither self nor id 0", got)
	}
	if p, ok := c.byName("nAME"); !ok || p != channel {
		t.Errorf("byName(nAME) = %#v, %v; want the channel", p, ok)
	}
	if c.add([]Peer{channel}) {
		t.Error("adding what is known reports a change")
	}
	moved := Peer{Kind: PeerUser, ID: 5, AccessHash: 2, Username: "name"}
	if !c.add([]Peer{moved}) {
		t.Error("adding news reports no change")
	}
	if p, ok := c.byName("name"); !ok || p != moved {
		t.Errorf("after the name moved: byName = %#v, %v; want the user", p, ok)
	}
	if again := newPeerCache(c.all()); true {
		if p, ok := again.byName("name"); !ok || p != moved {
			t.Errorf("after a restart: byName = %#v, %v; want the user", p, ok)
		}
	}
	c.forgetName("NAME")
	if _, ok := c.byName("name"); ok {
		t.Error("a forgotten name is still known")
	}
	if _, ok := c.byID(PeerUser, 5); !ok {
		t.Error("forgetting a name has forgotten the peer")
	}
}

func TestPeerCacheBounded(t *testing.T) {
	c := newPeerCache(nil)
	for id := range int64(3 * maxPeers) {
		c.add([]Peer{{Kind: PeerUser, ID: id + 1, AccessHash: 1, Username: fmt.Sprintf("u%d", id+1)}})
	}
	if got, limit := len(c.list), maxPeers+maxPeers/10; got > limit || len(c.index) != got || len(c.names) != got {
		t.Errorf("%d peers, %d in the index, %d names; want equal and at most %d", got, len(c.index), len(c.names), limit)
	}
	if p, ok := c.byName(fmt.Sprintf("u%d", 3*maxPeers)); !ok || p.ID != 3*maxPeers {
		t.Errorf("the newest peer is not known: %#v, %v", p, ok)
	}
}
