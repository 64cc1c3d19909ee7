package telegram

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// A fakeChannel is a channel of a fakeTelegram, with messages that carry files.
type fakeChannel struct {
	ids        []int // ascending
	hash       int64
	noforwards bool
	bot        bool // the account is one
	username   string
}

const fakeChannelID = 55

func (ch *fakeChannel) chat() *api.Channel {
	return &api.Channel{
		ID: fakeChannelID, AccessHash: tl.Some(ch.hash), Title: "Fake channel", Noforwards: ch.noforwards,
		Username: tl.Some(ch.username), Photo: &api.ChatPhotoEmpty{}, Broadcast: true,
	}
}

func (ch *fakeChannel) message(id int) api.MessageClass {
	if !slices.Contains(ch.ids, id) {
		return &api.MessageEmpty{ID: int32(id)}
	}
	m := &api.Message{ID: int32(id), PeerID: &api.PeerChannel{ChannelID: fakeChannelID}, Date: int32(1000 + id), Message: fmt.Sprint("m", id)}
	switch id % 4 {
	case 0:
		doc := testDocument(int64(id), "application/pdf")
		doc.ID = int64(id)
		m.Media = &api.MessageMediaDocument{Document: doc}
	case 1:
		return &api.MessageService{ID: int32(id), PeerID: m.PeerID, Date: m.Date, Action: &api.MessageActionPinMessage{}}
	}
	if id/10 == 4 { // 40 to 49 are an album
		m.GroupedID = tl.Some(int64(400))
	}
	return m
}

func (ch *fakeChannel) answer(c fakeCall) (tl.Object, error) {
	pts := int32(1)
	if len(ch.ids) > 0 {
		pts = int32(ch.ids[len(ch.ids)-1])
	}
	switch q := c.q.(type) {
	case *api.ContactsResolveUsernameRequest:
		if !strings.EqualFold(q.Username, ch.username) {
			return nil, rpcErr(400, "USERNAME_NOT_OCCUPIED", 0)
		}
		return &api.ContactsResolvedPeer{Peer: &api.PeerChannel{ChannelID: fakeChannelID}, Chats: []api.ChatClass{ch.chat()}}, nil
	case *api.MessagesGetHistoryRequest:
		if ch.bot {
			return nil, rpcErr(400, "BOT_METHOD_INVALID", 0)
		}
		in, ok := q.Peer.(*api.InputPeerChannel)
		if !ok || in.AccessHash != ch.hash {
			return nil, rpcErr(400, "CHANNEL_INVALID", 0)
		}
		return ch.page(ch.ids, pts, historyQuery{
			offsetID: int(q.OffsetID), offsetDate: int(q.OffsetDate), addOffset: int(q.AddOffset), limit: int(q.Limit),
			maxID: int(q.MaxID), minID: int(q.MinID),
		}), nil
	case *api.MessagesSearchRequest:
		return ch.page(ch.found(q), pts, historyQuery{
			offsetID: int(q.OffsetID), addOffset: int(q.AddOffset), limit: int(q.Limit), maxID: int(q.MaxID), minID: int(q.MinID),
		}), nil
	case *api.MessagesGetDiscussionMessageRequest:
		return nil, rpcErr(400, "BOT_METHOD_INVALID", 0)
	case *api.MessagesGetRepliesRequest:
		return ch.page(ch.thread(int(q.MsgID)), pts, historyQuery{
			offsetID: int(q.OffsetID), offsetDate: int(q.OffsetDate), addOffset: int(q.AddOffset), limit: int(q.Limit),
			maxID: int(q.MaxID), minID: int(q.MinID),
		}), nil
	case *api.ChannelsGetMessagesRequest:
		in, ok := q.Channel.(*api.InputChannel)
		if !ok || in.AccessHash != ch.hash {
			return nil, rpcErr(400, "CHANNEL_INVALID", 0)
		}
		if len(q.ID) > 100 {
			return nil, rpcErr(400, "MSG_ID_INVALID", 0)
		}
		var ids []int
		for _, id := range q.ID {
			ids = append(ids, int(id.(*api.InputMessageID).ID))
		}
		slices.Reverse(ids) // any order
		return ch.messages(ids, pts), nil
	case *api.ChannelsGetFullChannelRequest:
		return &api.MessagesChatFull{FullChat: &api.ChannelFull{
			ID: fakeChannelID, Pts: pts, ChatPhoto: &api.PhotoEmpty{}, NotifySettings: api.PeerNotifySettings{},
		}, Chats: []api.ChatClass{ch.chat()}}, nil
	}
	return nil, nil
}

func (ch *fakeChannel) messages(ids []int, pts int32) *api.MessagesChannelMessages {
	a := &api.MessagesChannelMessages{Pts: pts, Count: int32(len(ch.ids)), Chats: []api.ChatClass{ch.chat()}}
	for _, id := range ids {
		a.Messages = append(a.Messages, ch.message(id))
	}
	return a
}

// asUser makes fakeClient's account a person's.
func asUser(t *testing.T) func(*Config) {
	return func(cfg *Config) {
		s := testSession()
		s.User.Bot = false
		if err := cfg.Session.Save(s); err != nil {
			t.Fatal(err)
		}
	}
}

func collect(t *testing.T, seq iter.Seq2[*Message, error]) (ids []int) {
	t.Helper()
	for m, err := range seq {
		if err != nil {
			t.Fatalf("messages: %v", err)
		}
		ids = append(ids, m.ID)
		if m.ID%4 == 0 != (len(m.Files) == 1) {
			t.Errorf("message %d has %d files", m.ID, len(m.Files))
		}
	}
	return ids
}

// Users and bots get the same messages, each in its way.
func TestMessagesUserAndBot(t *testing.T) {
	ch := &fakeChannel{hash: 66, username: "fake_channel"}
	for id := 2; id < 777; id += 1 + id%3 {
		ch.ids = append(ch.ids, id)
	}
	bot := *ch
	bot.bot = true
	clients := map[string]*Client{
		"user": fakeClient(t, &fakeTelegram{answer: ch.answer}, asUser(t)),
		"bot":  fakeClient(t, &fakeTelegram{answer: bot.answer}, nil),
	}
	for _, o := range []MessagesOptions{
		{},
		{Reverse: true},
		{MinID: 100, MaxID: 400},
		{MinID: 100, MaxID: 400, Reverse: true},
		{Limit: 7},
		{Limit: 150, Reverse: true},
		{IDs: []int{40, 3, 41, 7777, 2}},
	} {
		want := wantWalk(ch.ids, o)
		if o.Limit > 0 {
			want = want[:o.Limit]
		}
		if o.IDs != nil {
			want = slices.DeleteFunc(slices.Clone(o.IDs), func(id int) bool { return !slices.Contains(ch.ids, id) })
		}
		for name, c := range clients {
			p, err := c.Resolve(t.Context(), "@Fake_Channel")
			if err != nil {
				t.Fatal(err)
			}
			if got := collect(t, c.Messages(t.Context(), p, o)); !slices.Equal(got, want) {
				t.Errorf("%s, %+v: got %v\nwant %v", name, o, got, want)
			}
		}
	}
}

func TestMessagesEndEarly(t *testing.T) {
	ch := &fakeChannel{hash: 66, username: "fake_channel"}
	for id := 1; id <= 500; id++ {
		ch.ids = append(ch.ids, id)
	}
	f := &fakeTelegram{answer: ch.answer}
	c := fakeClient(t, f, asUser(t))
	p := Peer{Kind: PeerChannel, ID: fakeChannelID, AccessHash: 66}
	n := 0
	for range c.Messages(t.Context(), p, MessagesOptions{}) { //nolint:errcheck // its end is what counts
		if n++; n == 120 {
			break
		}
	}
	if got := f.count("messages.getHistory", 0); got != 2 {
		t.Errorf("%d pages for 120 messages, want 2", got)
	}
	for m, err := range c.Messages(t.Context(), p, MessagesOptions{IDs: []int{0}}) {
		if err == nil {
			t.Errorf("message id 0: got %+v, want an error", m)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for m, err := range c.Messages(ctx, p, MessagesOptions{}) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: got %+v, %v", m, err)
		}
	}
}

func TestBotHistoryElsewhere(t *testing.T) {
	c := fakeClient(t, new(fakeTelegram), nil)
	for _, err := range c.Messages(t.Context(), Peer{Kind: PeerUser, ID: 9, AccessHash: 1}, MessagesOptions{}) {
		if !errors.Is(err, ErrUserOnly) {
			t.Errorf("got %v, want ErrUserOnly", err)
		}
	}
	for _, err := range c.Dialogs(t.Context()) {
		if !errors.Is(err, ErrUserOnly) {
			t.Errorf("dialogs: got %v, want ErrUserOnly", err)
		}
	}
}

// Outside of channels ids belong to the account: other chats' messages are not handed out.
func TestMessagesOfOtherChats(t *testing.T) {
	f := &fakeTelegram{answer: func(call fakeCall) (tl.Object, error) {
		if _, ok := call.q.(*api.MessagesGetMessagesRequest); !ok {
			return nil, nil
		}
		return &api.MessagesMessages{Messages: []api.MessageClass{
			&api.Message{ID: 1, PeerID: &api.PeerUser{UserID: 9}}, &api.Message{ID: 2, PeerID: &api.PeerUser{UserID: 8}},
			&api.Message{ID: 3, PeerID: &api.PeerChat{ChatID: 9}}, &api.Message{ID: 4, PeerID: &api.PeerUser{UserID: 7}},
		}}, nil
	}}
	c := fakeClient(t, f, nil)
	for _, want := range []struct {
		peer Peer
		ids  []int
	}{
		{Peer{Kind: PeerUser, ID: 9}, []int{1}}, {Peer{Kind: PeerChat, ID: 9}, []int{3}}, {Peer{Kind: PeerSelf, ID: 7}, []int{4}},
	} {
		var got []int
		for m, err := range c.Messages(t.Context(), want.peer, MessagesOptions{IDs: []int{1, 2, 3, 4}}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, m.ID)
		}
		if !slices.Equal(got, want.ids) {
			t.Errorf("%#v: got %v, want %v", want.peer, got, want.ids)
		}
	}
}

func TestRefreshFiles(t *testing.T) {
	ch := &fakeChannel{hash: 66, username: "fake_channel"}
	for id := 1; id <= 250; id++ {
		ch.ids = append(ch.ids, id)
	}
	f := &fakeTelegram{answer: ch.answer}
	c := fakeClient(t, f, nil)
	ids := append(slices.Clone(ch.ids), 999)
	files, err := c.RefreshFiles(t.Context(), Peer{Kind: PeerChannel, ID: fakeChannelID, AccessHash: 66}, ids)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := files[999]; ok || len(files) != 250 {
		t.Errorf("%d messages, a deleted one among them: %v; want 250 without it", len(files), ok)
	}
	if got := files[8]; len(got) != 1 || got[0].ID != 8 || got[0].Origin.MessageID != 8 {
		t.Errorf("files of message 8: %+v", got)
	}
	if got := f.count("channels.getMessages", 0); got != 3 {
		t.Errorf("%d calls for 251 messages, want 3", got)
	}
}

// A chat that turned protected since it was resolved is treated as such.
func TestProtectionIsNoticed(t *testing.T) {
	ch := &fakeChannel{hash: 66, username: "fake_channel", ids: []int{4}, noforwards: true}
	c := fakeClient(t, &fakeTelegram{answer: ch.answer}, asUser(t))
	p := Peer{Kind: PeerChannel, ID: fakeChannelID, AccessHash: 66, Username: "fake_channel"} // as of before
	for m, err := range c.Messages(t.Context(), p, MessagesOptions{}) {
		if err != nil || !m.NoForwards || !m.Files[0].NoForwards {
			t.Errorf("got %+v, %v; want it protected", m, err)
		}
	}
	if p, err := c.Resolve(t.Context(), "fake_channel"); err != nil || !p.NoForwards {
		t.Errorf("resolved again: %#v protected %v, %v; want true", p, p.NoForwards, err)
	}
}

func TestResolve(t *testing.T) {
	ch := &fakeChannel{hash: 66, username: "Fake_Channel", ids: []int{1}}
	f := &fakeTelegram{answer: ch.answer}
	store := new(MemorySession)
	if err := store.Save(testSession()); err != nil {
		t.Fatal(err)
	}
	keep := func(cfg *Config) { cfg.Session = store }
	c := fakeClient(t, f, keep)
	want := Peer{Kind: PeerChannel, ID: fakeChannelID, AccessHash: 66, Username: "Fake_Channel", Title: "Fake channel"}
	for _, in := range []string{"@fake_channel", "fake_channel", "https://t.me/FAKE_channel", "-1000000000055", "t.me/c/55"} {
		if p, err := c.Resolve(t.Context(), in); err != nil || p != want {
			t.Errorf("Resolve(%q) = %#v, %v; want the channel", in, p, err)
		}
	}
	if p, err := c.Resolve(t.Context(), "me"); err != nil || p.Kind != PeerSelf || p.ID != 7 {
		t.Errorf("me = %#v, %v", p, err)
	}
	if _, err := c.Resolve(t.Context(), "@nobody"); !errors.Is(err, ErrPeerNotFound) {
		t.Errorf("of nobody: got %v, want ErrPeerNotFound", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	again := fakeClient(t, f, keep)
	if p, err := again.Resolve(t.Context(), "fake_channel"); err != nil || p != want {
		t.Errorf("after a restart: %#v, %v", p, err)
	}
	if got := f.count("contacts.resolveUsername", 0); got != 2 { // the channel, nobody
		t.Errorf("%d resolutions asked of the server, want 2", got)
	}
}

func TestResolveByID(t *testing.T) {
	f := &fakeTelegram{answer: func(call fakeCall) (tl.Object, error) {
		switch q := call.q.(type) {
		case *api.ChannelsGetChannelsRequest:
			in := q.ID[0].(*api.InputChannel)
			if in.ChannelID != 99 {
				return nil, rpcErr(400, "CHANNEL_INVALID", 0)
			}
			return &api.MessagesChats{Chats: []api.ChatClass{&api.Channel{ID: 99, AccessHash: tl.Some(int64(5)), Photo: &api.ChatPhotoEmpty{}}}}, nil
		case *api.MessagesGetChatsRequest:
			return &api.MessagesChats{Chats: []api.ChatClass{&api.Chat{ID: q.ID[0], Title: "Group", Photo: &api.ChatPhotoEmpty{}}}}, nil
		}
		return nil, nil
	}}
	c := fakeClient(t, f, nil)
	if p, err := c.Resolve(t.Context(), "-1000000000099"); err != nil || p.AccessHash != 5 {
		t.Errorf("channel: %#v, %v", p, err)
	}
	if p, err := c.Resolve(t.Context(), "-44"); err != nil || p.Kind != PeerChat || p.Title != "Group" {
		t.Errorf("group: %#v, %v", p, err)
	}
	if _, err := c.Resolve(t.Context(), "-1000000000098"); !errors.Is(err, ErrPeerNotFound) {
		t.Errorf("channel without access: got %v, want ErrPeerNotFound", err)
	}
}

// A stored access hash that is no good any more is looked up once more.
func TestStaleHash(t *testing.T) {
	ch := &fakeChannel{hash: 66, username: "fake_channel", ids: []int{4, 5}}
	f := &fakeTelegram{answer: ch.answer}
	c := fakeClient(t, f, asUser(t))
	p := Peer{Kind: PeerChannel, ID: fakeChannelID, AccessHash: 1, Username: "fake_channel"}
	if got := collect(t, c.Messages(t.Context(), p, MessagesOptions{})); !slices.Equal(got, []int{5, 4}) {
		t.Errorf("got %v, want 5 and 4", got)
	}
	p.ID = 56 // the name leads to another channel by now: not what was meant
	for _, err := range c.Messages(t.Context(), p, MessagesOptions{}) {
		if _, ok := isRPC(err, "CHANNEL_INVALID"); !ok {
			t.Errorf("name of another channel: got %v, want CHANNEL_INVALID", err)
		}
	}
}

func TestParseMessageLink(t *testing.T) {
	ch := &fakeChannel{hash: 66, username: "fake_channel"}
	for id := 30; id < 60; id++ {
		if id != 47 {
			ch.ids = append(ch.ids, id)
		}
	}
	c := fakeClient(t, &fakeTelegram{answer: ch.answer}, nil)
	for _, w := range []struct {
		link string
		ids  []int
		err  error
	}{
		{"t.me/fake_channel/44?single", []int{44}, nil},
		// service messages (1 mod 4) are in no album, and 47 is deleted
		{"t.me/fake_channel/44", []int{40, 42, 43, 44, 46, 48}, nil},
		{"t.me/c/55/48", []int{40, 42, 43, 44, 46, 48}, nil},
		{"t.me/fake_channel/52", []int{52}, nil},
		{"t.me/fake_channel/999", []int{999}, nil},
		{"t.me/fake_channel", nil, ErrLinkKind},
		{"t.me/fake_channel/44?comment=3", nil, ErrUserOnly},
		{"t.me/nobody/3", nil, ErrPeerNotFound},
		{"nonsense", nil, ErrNotLink},
	} {
		p, ids, err := c.ParseMessageLink(t.Context(), w.link)
		if !errors.Is(err, w.err) || !slices.Equal(ids, w.ids) || err == nil && p.ID != fakeChannelID {
			t.Errorf("%s: got %v, %v, %v; want %v, %v", w.link, p, ids, err, w.ids, w.err)
		}
	}
}

func TestDialogs(t *testing.T) {
	// 250 users in the main list, 3 channels in the archive; a page overlaps the one before.
	dialog := func(n int, archived bool) (*api.Dialog, *api.Message, *api.User) {
		peer := &api.PeerUser{UserID: int64(n)}
		d := &api.Dialog{Peer: peer, TopMessage: int32(1000 - n), UnreadCount: int32(n % 3)}
		if archived {
			d.FolderID = tl.Some(int32(1))
		}
		return d, &api.Message{ID: d.TopMessage, PeerID: peer, Date: int32(5000 - n)},
			&api.User{ID: int64(n), AccessHash: tl.Some(int64(n)), FirstName: tl.Some(fmt.Sprint("u", n))}
	}
	f := &fakeTelegram{answer: func(call fakeCall) (tl.Object, error) {
		q, ok := call.q.(*api.MessagesGetDialogsRequest)
		if !ok {
			return nil, nil
		}
		a := &api.MessagesDialogsSlice{Count: 250}
		from, to := 1, 0
		switch {
		case q.FolderID.Value == 1:
			from, to = 300, 302
		case q.OffsetID == 0:
			to = 100
			a.Dialogs = append(a.Dialogs, &api.Other{Raw: folderEntry()})
		default:
			from = 1000 - int(q.OffsetID) // the last one again
			to = min(from+99, 250)
			if q.OffsetDate != 4000+q.OffsetID || q.OffsetPeer.(*api.InputPeerUser).UserID != int64(from) {
				t.Errorf("offsets %+v do not belong together", q)
			}
		}
		for n := from; n <= to; n++ {
			d, m, u := dialog(n, q.FolderID.Value == 1)
			a.Dialogs, a.Messages, a.Users = append(a.Dialogs, d), append(a.Messages, m), append(a.Users, u)
		}
		if q.FolderID.Value == 1 {
			return &api.MessagesDialogs{Dialogs: a.Dialogs, Messages: a.Messages, Users: a.Users}, nil
		}
		return a, nil
	}}
	c := fakeClient(t, f, asUser(t))
	var got []int64
	for d, err := range c.Dialogs(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if d.Peer.AccessHash != d.Peer.ID || d.Date.Unix() != 5000-d.Peer.ID || d.Archived != (d.Peer.ID >= 300) {
			t.Errorf("dialog %+v", d)
		}
		got = append(got, d.Peer.ID)
	}
	if len(got) != 253 || !slices.IsSorted(got) || got[252] != 302 {
		t.Errorf("%d dialogs, want 1 to 250 and 300 to 302: %v", len(got), got)
	}
	if p, err := c.Resolve(t.Context(), "123"); err != nil || p.AccessHash != 123 {
		t.Errorf("a user met in the dialogs: %#v, %v", p, err)
	}
}

// folderEntry is the dialogFolder that stands for the archive.
func folderEntry() tl.Raw {
	var e tl.Encoder
	e.ID(0x71bd134c) // dialogFolder
	e.Nat(0)
	e.ID(0xff544e65) // folder
	e.Nat(0)
	e.Int(1)
	e.String("Archive")
	(&api.PeerUser{UserID: 1}).Encode(&e)
	e.Int(1)
	for range 4 {
		e.Int(0)
	}
	return e.Bytes()
}
