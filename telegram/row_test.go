package telegram

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// fakeDate is when message id of a fakeChannel was sent.
func fakeDate(id int) time.Time { return time.Unix(int64(1000+id), 0) }

// page answers by the rule of core.telegram.org/api/offsets.
func (ch *fakeChannel) page(ids []int, pts int32, q historyQuery) tl.Object {
	if q.offsetID == 0 && q.offsetDate != 0 {
		q.offsetID = max(q.offsetDate-1000, 1) // of the oldest that is not before the date
	}
	return ch.messages(historyServer{ids}.page(q), pts)
}

// found are the messages that a search finds. Documents are those of
// which the id is divisible by four.
func (ch *fakeChannel) found(q *api.MessagesSearchRequest) []int {
	return slices.DeleteFunc(slices.Clone(ch.ids), func(id int) bool {
		if q.TopMsgID.Set && id%int(q.TopMsgID.Value) != 0 {
			return true
		}
		switch q.Filter.(type) {
		case *api.InputMessagesFilterDocument:
			return id%4 != 0
		case *api.InputMessagesFilterVoice:
			return id%12 != 0 // also found by the other
		case *api.InputMessagesFilterMusic:
			return id%7 != 2
		default:
			return true
		}
	})
}

// thread has the messages with ids that the thread's id divides.
func (ch *fakeChannel) thread(id int) []int {
	return slices.DeleteFunc(slices.Clone(ch.ids), func(n int) bool { return n%id != 0 })
}

// Whatever is asked of the server, by dates, ids, threads and searches, comes to
// the same as looking at every message.
func TestRows(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	ch := &fakeChannel{hash: 66, username: "fake_channel"}
	for id := 2; id < 1500; id += 1 + rnd.IntN(3) {
		ch.ids = append(ch.ids, id)
	}
	c := fakeClient(t, &fakeTelegram{answer: ch.answer}, asUser(t))
	p := Peer{Kind: PeerChannel, ID: fakeChannelID, AccessHash: 66}
	for range 100 {
		o := MessagesOptions{Reverse: rnd.IntN(2) == 0}
		if rnd.IntN(2) == 0 {
			o.From = fakeDate(rnd.IntN(1800) - 100)
		}
		if rnd.IntN(2) == 0 {
			o.Until = fakeDate(rnd.IntN(1800) - 100)
		}
		if rnd.IntN(3) == 0 {
			o.MinID = rnd.IntN(1600)
		}
		if rnd.IntN(3) == 0 {
			o.MaxID = rnd.IntN(1600)
		}
		if rnd.IntN(3) == 0 {
			o.Thread = 1 + rnd.IntN(5)
		}
		meant := func(id int) bool { return true }
		switch rnd.IntN(3) {
		case 0:
			o.Kinds, meant = []FileKind{KindDocument}, func(id int) bool { return id%4 == 0 }
		case 1:
			o.Kinds = []FileKind{KindVoice, KindAudio, KindDocument}
			meant = func(id int) bool { return id%4 == 0 || id%7 == 2 }
		}
		want := slices.DeleteFunc(wantWalk(ch.ids, o), func(id int) bool {
			return !meant(id) || o.Thread != 0 && id%o.Thread != 0 || !o.means(&Message{Date: fakeDate(id)})
		})
		if got := collect(t, c.Messages(t.Context(), p, o)); !slices.Equal(got, want) {
			t.Fatalf("%+v: got %v\nwant %v", o, got, want)
		}
	}
}

// What lies outside of the dates costs no page.
func TestDatesCost(t *testing.T) {
	ch := &fakeChannel{hash: 66, username: "fake_channel"}
	for id := 1; id <= 5000; id++ {
		ch.ids = append(ch.ids, id)
	}
	f := &fakeTelegram{answer: ch.answer}
	c := fakeClient(t, f, asUser(t))
	p := Peer{Kind: PeerChannel, ID: fakeChannelID, AccessHash: 66}
	for _, reverse := range []bool{false, true} {
		before := f.count("messages.getHistory", 0)
		o := MessagesOptions{From: fakeDate(2001), Until: fakeDate(2201), Reverse: reverse}
		if got := collect(t, c.Messages(t.Context(), p, o)); len(got) != 200 {
			t.Errorf("%d messages, want 200", len(got))
		}
		if calls := f.count("messages.getHistory", 0) - before; calls > 5 { // 2 for the dates, 2 pages, and perhaps one more
			t.Errorf("reverse %v: %d calls, want 5 at most", reverse, calls)
		}
	}
}

// A bot cannot ask by date, but stops where the dates end.
func TestBotDates(t *testing.T) {
	ch := &fakeChannel{hash: 66, username: "fake_channel", bot: true}
	for id := 1; id <= 5000; id++ {
		ch.ids = append(ch.ids, id)
	}
	f := &fakeTelegram{answer: ch.answer}
	c := fakeClient(t, f, nil)
	p := Peer{Kind: PeerChannel, ID: fakeChannelID, AccessHash: 66}
	got := collect(t, c.Messages(t.Context(), p, MessagesOptions{From: fakeDate(4801)}))
	if len(got) != 200 || got[0] != 5000 || got[199] != 4801 {
		t.Errorf("%d messages", len(got))
	}
	if calls := f.count("channels.getMessages", 0); calls > 5 {
		t.Errorf("%d calls for what two have", calls)
	}
}

// Searches are used only where they find everything, unless that is waived.
func TestSearchFilters(t *testing.T) {
	tests := []struct {
		kinds []FileKind
		lossy bool
		want  string
	}{
		{nil, true, "[]"},
		{[]FileKind{KindPhoto}, false, "[]"},
		{[]FileKind{KindVoice, KindVideo}, false, "[]"},
		{[]FileKind{KindSticker}, true, "[]"},
		{[]FileKind{KindVoice, KindVoice}, false, "[inputMessagesFilterVoice]"},
		{[]FileKind{KindVideo, KindPhoto}, true, "[inputMessagesFilterPhotos inputMessagesFilterVideo]"},
		{[]FileKind{KindRound, KindAudio, KindAnimation, KindDocument}, false, "[inputMessagesFilterGif inputMessagesFilterMusic inputMessagesFilterDocument inputMessagesFilterRoundVideo]"},
	}
	for _, tt := range tests {
		names := []string{}
		for _, f := range searchFilters(tt.kinds, tt.lossy) {
			names = append(names, f.TypeName())
		}
		if got := fmt.Sprint(names); got != tt.want {
			t.Errorf("%v, lossy %v: got %s, want %s", tt.kinds, tt.lossy, got, tt.want)
		}
	}
}

// Answers of a thread may be of another chat, which the answer tells of.
func TestCommentsPeer(t *testing.T) {
	group := &api.Channel{ID: 77, AccessHash: tl.Some(int64(88)), Title: "Talk", Photo: &api.ChatPhotoEmpty{}, Megagroup: true, Noforwards: true}
	ch := &fakeChannel{hash: 66}
	f := &fakeTelegram{answer: func(call fakeCall) (tl.Object, error) {
		switch q := call.q.(type) {
		case *api.MessagesGetRepliesRequest:
			if q.OffsetID != 0 {
				return &api.MessagesMessages{}, nil
			}
			doc := testDocument(5, "application/pdf")
			a := &api.MessagesChannelMessages{Count: 1, Chats: []api.ChatClass{ch.chat()}, Messages: []api.MessageClass{
				&api.Message{ID: 9, PeerID: &api.PeerChannel{ChannelID: 77}, Date: 5, Media: &api.MessageMediaDocument{Document: doc}},
			}}
			if q.MsgID == 7 {
				a.Chats = append(a.Chats, group)
			}
			return a, nil
		case *api.MessagesGetDiscussionMessageRequest:
			if q.MsgID != 7 {
				return nil, rpcErr(400, "MSG_ID_INVALID", 0)
			}
			return &api.MessagesDiscussionMessage{Chats: []api.ChatClass{ch.chat(), group}, Messages: []api.MessageClass{
				&api.Message{ID: 3, PeerID: &api.PeerChannel{ChannelID: 77}, Date: 5},
			}}, nil
		}
		return nil, nil
	}}
	c := fakeClient(t, f, asUser(t))
	p := Peer{Kind: PeerChannel, ID: fakeChannelID, AccessHash: 66}
	for m, err := range c.Messages(t.Context(), p, MessagesOptions{Thread: 7}) {
		if err != nil || m.Peer.ID != 77 || m.Peer.AccessHash != 88 || len(m.Files) != 1 || m.Files[0].Origin.Peer.ID != 77 || !m.Files[0].NoForwards {
			t.Errorf("got %+v, %v", m, err)
		}
	}
	if got, err := c.Discussion(t.Context(), p, 7); err != nil || got.ID != 77 || got.AccessHash != 88 {
		t.Errorf("discussion: %+v, %v", got, err)
	}
	if _, err := c.Discussion(t.Context(), p, 8); !errors.Is(err, ErrPeerNotFound) {
		t.Errorf("no discussion: %v", err)
	}
}

// A chat that no answer tells of cannot be addressed.
func TestCommentsOfNobody(t *testing.T) {
	f := &fakeTelegram{answer: func(call fakeCall) (tl.Object, error) {
		if _, ok := call.q.(*api.MessagesGetRepliesRequest); !ok {
			return nil, nil
		}
		return &api.MessagesChannelMessages{Count: 1, Messages: []api.MessageClass{
			&api.Message{ID: 9, PeerID: &api.PeerChannel{ChannelID: 77}, Date: 5},
		}}, nil
	}}
	c := fakeClient(t, f, asUser(t))
	for m, err := range c.Messages(t.Context(), Peer{Kind: PeerChannel, ID: 55, AccessHash: 66}, MessagesOptions{Thread: 7}) {
		if !errors.Is(err, ErrPeerNotFound) || !errors.Is(err, ErrNoThread) {
			t.Errorf("got %+v, %v, want ErrPeerNotFound and ErrNoThread", m, err)
		}
	}
}

// What leads to a chat without its name.
func TestInvitesAndPhones(t *testing.T) {
	ch := &fakeChannel{hash: 66, username: "fake_channel"}
	f := &fakeTelegram{answer: func(call fakeCall) (tl.Object, error) {
		switch q := call.q.(type) {
		case *api.MessagesCheckChatInviteRequest:
			switch q.Hash {
			case "member":
				return &api.ChatInviteAlready{Chat: ch.chat()}, nil
			case "peek":
				return &api.ChatInvitePeek{Chat: ch.chat(), Expires: 5}, nil
			case "stranger":
				return &api.ChatInvite{Title: "Fake channel", Photo: &api.PhotoEmpty{}}, nil
			case "min":
				min := ch.chat()
				min.Min = true
				return &api.ChatInviteAlready{Chat: min}, nil
			}
			return nil, rpcErr(406, "INVITE_HASH_EXPIRED", 0)
		case *api.ContactsResolvePhoneRequest:
			id := map[string]int64{"1555": 7, "1666": 8}[q.Phone]
			if id == 0 {
				return nil, rpcErr(400, "PHONE_NOT_OCCUPIED", 0)
			}
			u := &api.User{ID: id, AccessHash: tl.Some(int64(9)), FirstName: tl.Some("Ann")}
			return &api.ContactsResolvedPeer{Peer: &api.PeerUser{UserID: id}, Users: []api.UserClass{u}}, nil
		}
		return nil, nil
	}}
	c := fakeClient(t, f, asUser(t))
	for _, tt := range []struct {
		link string
		want Peer // its kind and id
		err  error
	}{
		{"t.me/+member", Peer{Kind: PeerChannel, ID: fakeChannelID}, nil},
		{"tg://join?invite=peek", Peer{Kind: PeerChannel, ID: fakeChannelID}, nil},
		{"t.me/joinchat/stranger", Peer{}, ErrPeerNotFound},
		{"t.me/+min", Peer{}, ErrPeerNotFound},
		{"t.me/+other", Peer{}, ErrPeerNotFound},
		{"t.me/+1666", Peer{Kind: PeerUser, ID: 8}, nil},
		{"tg://resolve?phone=1555", Peer{Kind: PeerSelf, ID: 7}, nil},
		{"t.me/+1777", Peer{}, ErrPeerNotFound},
	} {
		p, err := c.Resolve(t.Context(), tt.link)
		if !errors.Is(err, tt.err) || p.Kind != tt.want.Kind || p.ID != tt.want.ID {
			t.Errorf("%s: got %#v, %v; want %v %d, %v", tt.link, p, err, tt.want.Kind, tt.want.ID, tt.err)
		}
	}
	if n := f.count("messages.importChatInvite", 0) + f.count("channels.joinChannel", 0); n != 0 {
		t.Errorf("joined %d times", n)
	}
}
