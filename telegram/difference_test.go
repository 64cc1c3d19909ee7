package telegram

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

func ids(list []*Message) (ids []int) {
	for _, m := range list {
		ids = append(ids, m.ID)
	}
	return ids
}

// Each answer of the server says what has happened, and when to ask again.
func TestChannelDifference(t *testing.T) {
	peer := &api.PeerChannel{ChannelID: fakeChannelID}
	message := func(id int32, edited int32) *api.Message {
		m := &api.Message{ID: id, PeerID: peer, Date: 1000, Message: fmt.Sprint("m", id)}
		if edited != 0 {
			m.EditDate = tl.Some(edited)
		}
		return m
	}
	answers := map[int32]tl.Object{
		1: &api.UpdatesChannelDifferenceEmpty{Final: true, Pts: 1, Timeout: tl.Some[int32](30)},
		2: &api.UpdatesChannelDifference{
			Pts: 9, NewMessages: []api.MessageClass{message(8, 0), message(7, 0), &api.MessageEmpty{ID: 6}}, OtherUpdates: []api.UpdateClass{
				&api.UpdateEditChannelMessage{Message: message(3, 2000)},
				&api.UpdateDeleteChannelMessages{ChannelID: fakeChannelID, Messages: []int32{4, 5}},
				&api.UpdateDeleteChannelMessages{ChannelID: 1, Messages: []int32{1}},
				&api.UpdateEditChannelMessage{Message: &api.Message{ID: 2, PeerID: &api.PeerChannel{ChannelID: 1}}},
				&api.UpdateConfig{},
			},
		},
		3: &api.UpdatesChannelDifferenceTooLong{Final: true, Dialog: &api.Dialog{Peer: peer, Pts: tl.Some[int32](700)}},
		4: &api.UpdatesChannelDifferenceTooLong{Final: true, Dialog: &api.Dialog{Peer: peer}},
		5: &api.UpdatesChannelDifference{Pts: 5},
	}
	f := &fakeTelegram{answer: func(c fakeCall) (tl.Object, error) {
		q, ok := c.q.(*api.UpdatesGetChannelDifferenceRequest)
		switch {
		case !ok:
			return nil, nil
		case q.Limit != 100:
			return nil, rpcErr(400, "LIMIT_INVALID", 0)
		case q.Pts == 6:
			return nil, rpcErr(400, "PERSISTENT_TIMESTAMP_INVALID", 0)
		case q.Pts == 7:
			return nil, rpcErr(400, "CHANNEL_PRIVATE", 0)
		}
		return answers[q.Pts], nil
	}}
	c := fakeClient(t, f, asUser(t))
	p := Peer{Kind: PeerChannel, ID: fakeChannelID, AccessHash: 5}
	get := func(pts int) (Difference, error) { return c.ChannelDifference(t.Context(), p, pts) }

	if d, err := get(1); err != nil || !d.Final || d.Timeout != 30*time.Second || d.Pts != 1 {
		t.Errorf("nothing new: %+v, %v", d, err)
	}
	d, err := get(2)
	if err != nil || d.Final || d.TooLong || d.Pts != 9 {
		t.Fatalf("something new: %+v, %v", d, err)
	}
	if !slices.Equal(ids(d.New), []int{7, 8}) || !slices.Equal(ids(d.Edited), []int{3}) || !slices.Equal(d.Deleted, []int{4, 5}) {
		t.Errorf("new %v, edited %v, deleted %v", ids(d.New), ids(d.Edited), d.Deleted)
	}
	if at := d.Edited[0].Edited; at.Unix() != 2000 || !d.New[0].Edited.IsZero() {
		t.Errorf("edited at %v, and a new one at %v", at, d.New[0].Edited)
	}
	if d, err := get(3); err != nil || !d.TooLong || d.Pts != 700 || d.Timeout != time.Second {
		t.Errorf("too much: %+v, %v", d, err)
	}
	if d, err := get(4); err == nil {
		t.Errorf("a dialog without a state: %+v", d)
	}
	if _, err := get(5); !errors.Is(err, errNoProgress) {
		t.Errorf("a difference that leads nowhere: %v", err)
	}
	if _, err := get(6); !errors.Is(err, ErrPts) {
		t.Errorf("an unknown state: %v", err)
	}
	if _, err := get(7); !errors.Is(err, ErrPeerNotFound) {
		t.Errorf("a channel that is closed: %v", err)
	}
}

func TestTouchedChats(t *testing.T) {
	one, other := &api.PeerChannel{ChannelID: 1}, &api.PeerUser{UserID: 9}
	entry := func(p api.PeerClass) *api.Message { return &api.Message{ID: 1, PeerID: p} }
	for name, c := range map[string]struct {
		update tl.Object
		ids    []int64
		others bool
	}{
		"post":    {&api.Updates{Updates: []api.UpdateClass{&api.UpdateNewChannelMessage{Message: entry(one)}}}, []int64{-1000000000001}, false},
		"edit":    {&api.UpdateShort{Update: &api.UpdateEditChannelMessage{Message: entry(one)}}, []int64{-1000000000001}, false},
		"delete":  {&api.UpdatesCombined{Updates: []api.UpdateClass{&api.UpdateDeleteChannelMessages{ChannelID: 2}}}, []int64{-1000000000002}, false},
		"long":    {&api.UpdateShort{Update: &api.UpdateChannelTooLong{ChannelID: 3}}, []int64{-1000000000003}, false},
		"private": {&api.UpdateShort{Update: &api.UpdateNewMessage{Message: entry(other)}}, nil, true},
		"all":     {&api.UpdatesTooLong{}, nil, true},
	} {
		ids, others := touchedChats(tl.Marshal(c.update))
		if !slices.Equal(ids, c.ids) || others != c.others {
			t.Errorf("%s: %v, %v, want %v, %v", name, ids, others, c.ids, c.others)
		}
	}
	if ids, others := touchedChats([]byte{1, 2, 3}); len(ids) > 0 || !others {
		t.Errorf("garbage: %v, %v", ids, others)
	}
}
