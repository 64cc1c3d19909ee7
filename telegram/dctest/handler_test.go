package dctest

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// TestWrappers checks what stands around a query. Each case has a new key.
func TestWrappers(t *testing.T) {
	c := start(t, Config{})
	get := &api.HelpGetConfigRequest{}
	initWith := func(f func(*api.InitConnectionRequest)) tl.Object {
		q := initConnection(228, get)
		w, ok := q.Query.(*api.InitConnectionRequest)
		if !ok {
			t.Fatal("no initConnection")
		}
		f(w)
		return q
	}
	tests := []struct {
		name string
		q    tl.Object
		want string
	}{
		{"right", initConnection(228, get), ""},
		{"layer 229", initConnection(229, get), ""},
		{"layer 144", initConnection(144, get), ""},
		{"layer 143", initConnection(143, get), "400 CONNECTION_LAYER_INVALID"},
		{"layer 230", initConnection(230, get), "400 CONNECTION_LAYER_INVALID"},
		{"nothing", get, "400 CONNECTION_NOT_INITED"},
		{"only a layer", &api.InvokeWithLayerRequest{Layer: 228, Query: get}, "400 CONNECTION_NOT_INITED"},
		{"no layer", initConnection(228, get).Query, "400 CONNECTION_LAYER_INVALID"},
		{"api_id", initWith(func(w *api.InitConnectionRequest) { w.APIID = 0 }), "400 CONNECTION_API_ID_INVALID"},
		{"device_model", initWith(func(w *api.InitConnectionRequest) { w.DeviceModel = "" }), "400 CONNECTION_DEVICE_MODEL_EMPTY"},
		{"system_version", initWith(func(w *api.InitConnectionRequest) { w.SystemVersion = "" }), "400 CONNECTION_SYSTEM_EMPTY"},
		{"app_version", initWith(func(w *api.InitConnectionRequest) { w.AppVersion = "" }), "400 CONNECTION_APP_VERSION_EMPTY"},
		{"lang_pack", initWith(func(w *api.InitConnectionRequest) { w.LangPack = "klingon" }), "400 CONNECTION_LANG_PACK_INVALID"},
		{"params", initWith(func(w *api.InitConnectionRequest) {
			w.Params = &api.JsonObject{Value: []api.JsonObjectValue{{Key: "tz_offset", Value: &api.JsonNumber{Value: 3600}}}}
		}), ""},
		{"without updates", initConnection(228, &api.InvokeWithoutUpdatesRequest{Query: get}), ""},
		{"takeout never begun", initConnection(228, &api.InvokeWithTakeoutRequest{TakeoutID: 1, Query: get}), "400 TAKEOUT_INVALID"},
		{"layer within a takeout", initConnection(228, &api.InvokeWithTakeoutRequest{TakeoutID: 1, Query: initConnection(228, get)}), fmt.Sprintf("400 INPUT_METHOD_INVALID_%d", uint32(api.InvokeWithLayerRequestID))},
		{"range", initConnection(228, &api.InvokeWithMessagesRangeRequest{Range: api.MessageRange{MinID: 1, MaxID: 2}, Query: get}), ""},
		{"no query inside", tl.Raw(tl.Marshal(initConnection(228, tl.Raw{}))), "400 INPUT_FETCH_ERROR"},
		{"cut off", tl.Raw(tl.Marshal(initConnection(228, get))[:30]), "400 INPUT_FETCH_ERROR"},
		{"bytes after the query", initConnection(228, tl.Raw(append(tl.Marshal(get), 0, 0, 0, 0))), "400 INPUT_FETCH_ERROR"},
		{"unknown method", initConnection(228, tl.Raw{1, 2, 3, 4}), "400 INPUT_METHOD_INVALID_67305985"},
		{"method that the cluster lacks", initConnection(228, tl.Raw(le(getStickerSet))), fmt.Sprintf("400 INPUT_METHOD_INVALID_%d", uint32(getStickerSet))},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := (&caller{t: t, c: c, dc: 2, key: int64(5000 + i)}).raw(tt.q)
			if got := errorText(err); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// getStickerSet is messages.getStickerSet, which exists in the schema only.
const getStickerSet = 0xc8a0ec74

func le(id uint32) []byte { return []byte{byte(id), byte(id >> 8), byte(id >> 16), byte(id >> 24)} }

// TestInitHolds: one initConnection is enough for a key, at one DC.
func TestInitHolds(t *testing.T) {
	c := start(t, Config{})
	k := &caller{t: t, c: c, dc: 2, key: 5}
	if _, err := k.raw(initConnection(228, &api.HelpGetConfigRequest{})); err != nil {
		t.Fatal(err)
	}
	if _, err := k.raw(&api.HelpGetNearestDcRequest{}); err != nil {
		t.Errorf("second call: %v", err)
	}
}

// TestAdmission: who may call what, where.
func TestAdmission(t *testing.T) {
	c := start(t, Config{})
	b, u := bot(t, c), user(t, c)
	stranger := &caller{t: t, c: c, dc: 2, key: 7}
	stranger.fails(&api.UpdatesGetStateRequest{}, "401 AUTH_KEY_UNREGISTERED")
	stranger.fails(&api.UploadGetFileRequest{Location: &api.InputTakeoutFileLocation{}}, "401 AUTH_KEY_UNREGISTERED")
	stranger.fails(&api.HelpGetConfigRequest{}, "")
	(&caller{t: t, c: c, dc: 4, key: b.key}).fails(&api.UpdatesGetStateRequest{}, "401 AUTH_KEY_UNREGISTERED")
	ch := u.channel()
	for _, q := range []tl.Object{
		&api.MessagesGetHistoryRequest{Peer: inputPeer(ch)},
		&api.MessagesSearchRequest{Peer: inputPeer(ch), Filter: &api.InputMessagesFilterPhotos{}},
		&api.MessagesGetDialogsRequest{OffsetPeer: &api.InputPeerEmpty{}},
		&api.MessagesGetPinnedDialogsRequest{},
		&api.MessagesGetSearchCountersRequest{Peer: inputPeer(ch)},
		&api.AccountInitTakeoutSessionRequest{},
	} {
		b.fails(q, "400 BOT_METHOD_INVALID")
		u.fails(q, "")
	}
}

func TestBotLogin(t *testing.T) {
	c := start(t, Config{})
	login := func(dc int, q *api.AuthImportBotAuthorizationRequest, want string) {
		t.Helper()
		(&caller{t: t, c: c, dc: dc, key: 1}).fails(q, want)
	}
	login(2, &api.AuthImportBotAuthorizationRequest{APIID: 1, APIHash: "h", BotAuthToken: "1:no"}, "400 ACCESS_TOKEN_INVALID")
	login(2, &api.AuthImportBotAuthorizationRequest{APIID: 0, APIHash: "h", BotAuthToken: BotToken}, "400 API_ID_INVALID")
	login(2, &api.AuthImportBotAuthorizationRequest{APIID: 1, BotAuthToken: BotToken}, "400 API_ID_INVALID")
	login(4, &api.AuthImportBotAuthorizationRequest{APIID: 1, APIHash: "h", BotAuthToken: BotToken}, "303 USER_MIGRATE_2")
	b := bot(t, c)
	me := must[objectVector[api.UserClass]](b, &api.UsersGetUsersRequest{ID: []api.InputUserClass{&api.InputUserSelf{}}})
	if u, ok := me[0].(*api.User); !ok || !u.Bot || !u.Self || u.Phone.Set {
		t.Errorf("self is %+v", me[0])
	}
	must[*api.AuthLoggedOut](b, &api.AuthLogOutRequest{})
	b.fails(&api.UpdatesGetStateRequest{}, "401 AUTH_KEY_UNREGISTERED")
}

func TestPhoneLogin(t *testing.T) {
	c := start(t, Config{})
	k := &caller{t: t, c: c, dc: 2, key: 1}
	send := func(phone string, id int32) *api.AuthSendCodeRequest {
		return &api.AuthSendCodeRequest{PhoneNumber: phone, APIID: id, APIHash: "h"}
	}
	k.fails(send(Phone, 0), "400 API_ID_INVALID")
	k.fails(send("12", 1), "406 PHONE_NUMBER_INVALID")
	(&caller{t: t, c: c, dc: 1, key: 1}).fails(send(Phone, 1), "303 PHONE_MIGRATE_2")
	hash := must[*api.AuthSentCode](k, send(Phone, 1)).PhoneCodeHash
	in := func(phone, hash string, code tl.Opt[string]) *api.AuthSignInRequest {
		return &api.AuthSignInRequest{PhoneNumber: phone, PhoneCodeHash: hash, PhoneCode: code}
	}
	k.fails(in(Phone, "nonsense", tl.Some(Code)), "400 PHONE_CODE_EXPIRED")
	k.fails(in(Phone, hash, tl.Opt[string]{}), "400 PHONE_CODE_EMPTY")
	k.fails(in(Phone, hash, tl.Some("11111")), "400 PHONE_CODE_INVALID")
	other := must[*api.AuthSentCode](k, send("+19995550000", 1)).PhoneCodeHash
	must[*api.AuthAuthorizationSignUpRequired](k, in("+19995550000", other, tl.Some(Code)))
	k.fails(&api.UpdatesGetStateRequest{}, "401 AUTH_KEY_UNREGISTERED")
	must[*api.AuthAuthorization](k, in("9996620001", hash, tl.Some(Code)))
	k.fails(&api.UpdatesGetStateRequest{}, "")
}

func TestExport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, Config{})
		b := bot(t, c)
		export := func(dc int32) *api.AuthExportedAuthorization {
			return must[*api.AuthExportedAuthorization](b, &api.AuthExportAuthorizationRequest{DCID: dc})
		}
		for _, dc := range []int32{2, 3, 203, 0} {
			b.fails(&api.AuthExportAuthorizationRequest{DCID: dc}, "400 DC_ID_INVALID")
		}
		guest := &caller{t: t, c: c, dc: 4, key: 4}
		use := func(x *api.AuthExportedAuthorization, want string) {
			t.Helper()
			guest.fails(&api.AuthImportAuthorizationRequest{ID: x.ID, Bytes: x.Bytes}, want)
		}
		x := export(4)
		use(&api.AuthExportedAuthorization{ID: x.ID, Bytes: x.Bytes[1:]}, "400 AUTH_BYTES_INVALID")
		use(x, "400 AUTH_BYTES_INVALID") // a failed try used it up
		use(export(5), "400 AUTH_BYTES_INVALID")
		x = export(4)
		time.Sleep(exportLifetime + time.Second)
		use(x, "400 AUTH_BYTES_INVALID")
		x = export(4)
		use(x, "")
		use(x, "400 AUTH_BYTES_INVALID")
		guest.fails(&api.UsersGetUsersRequest{ID: []api.InputUserClass{&api.InputUserSelf{}}}, "")
	})
}

func TestConfigAnswers(t *testing.T) {
	c := start(t, Config{})
	k := &caller{t: t, c: c, dc: 4, key: 1}
	cfg := must[*api.Config](k, &api.HelpGetConfigRequest{})
	kinds := map[string]int{}
	for _, o := range cfg.DCOptions {
		switch {
		case o.Cdn:
			kinds["cdn"]++
		case o.MediaOnly:
			kinds["media"]++
		default:
			kinds["plain"]++
		}
		if o.Port == 0 || o.IPAddress == "" || o.Secret != nil {
			t.Errorf("option %+v", o)
		}
	}
	if kinds["cdn"] != 1 || kinds["media"] != 1 || kinds["plain"] != 4 || cfg.ThisDC != 4 || !cfg.TestMode || cfg.Expires <= cfg.Date {
		t.Errorf("got %v of %+v", kinds, cfg)
	}
	keys := must[*api.CdnConfig](k, &api.HelpGetCdnConfigRequest{}).PublicKeys
	if len(keys) != 1 || keys[0].DCID != 203 || !strings.HasPrefix(keys[0].PublicKey, "-----BEGIN RSA PUBLIC KEY-----") {
		t.Errorf("CDN keys %+v", keys)
	}
	if d := c.Datacenters(); len(d.PublicKeys) != 1 || d.PublicKeys[0] == keys[0].PublicKey || len(d.DC) != 6 || d.HomeDC != 2 {
		t.Errorf("datacenters %+v", d)
	}
	app := must[*api.HelpAppConfig](k, &api.HelpGetAppConfigRequest{})
	must[*api.HelpAppConfigNotModified](k, &api.HelpGetAppConfigRequest{Hash: app.Hash})
}

// TestPeers checks access hashes: they are an account's own, and bots alone
// may leave those of channels out.
func TestPeers(t *testing.T) {
	c := start(t, Config{Channels: []ChannelConfig{{Username: BigChannel, Specials: true}, {Title: "private"}}})
	b, u := bot(t, c), user(t, c)
	ours, theirs := b.channel(), u.channel()
	one := []api.InputMessageClass{&api.InputMessageID{ID: 2}}
	get := func(id, hash int64) tl.Object {
		return &api.ChannelsGetMessagesRequest{Channel: &api.InputChannel{ChannelID: id, AccessHash: hash}, ID: one}
	}
	b.fails(get(ours.ID, ours.AccessHash.Value), "")
	b.fails(get(ours.ID, 0), "")
	b.fails(get(ours.ID+1, 0), "")
	b.fails(get(ours.ID+2, 0), "400 CHANNEL_INVALID")
	b.fails(get(ours.ID, theirs.AccessHash.Value), "400 CHANNEL_INVALID")
	u.fails(get(theirs.ID, theirs.AccessHash.Value), "")
	u.fails(get(theirs.ID, 0), "400 CHANNEL_INVALID")
	u.fails(&api.ChannelsGetMessagesRequest{Channel: inputChannel(theirs)}, "400 MESSAGE_IDS_EMPTY")
	u.fails(&api.ChannelsGetMessagesRequest{Channel: inputChannel(theirs), ID: make101()}, "400 MESSAGE_IDS_TOO_MUCH")
	u.fails(&api.ChannelsGetMessagesRequest{Channel: inputChannel(theirs), ID: []api.InputMessageClass{&api.InputMessagePinned{}}}, "400 MSG_ID_INVALID")
	for name, want := range map[string]string{
		"BigChannel": "", "nobody": "400 USERNAME_NOT_OCCUPIED", "": "400 USERNAME_INVALID", "@bigchannel": "400 USERNAME_INVALID",
		"1a": "400 USERNAME_INVALID", "a_": "400 USERNAME_INVALID", "a__b": "400 USERNAME_INVALID", "sim_1_bot": "",
	} {
		u.fails(&api.ContactsResolveUsernameRequest{Username: name}, want)
	}
	u.fails(&api.MessagesGetHistoryRequest{Peer: &api.InputPeerChat{ChatID: 1}}, "400 PEER_ID_INVALID")
	u.fails(&api.MessagesGetHistoryRequest{Peer: &api.InputPeerUser{UserID: 1, AccessHash: 1}}, "400 PEER_ID_INVALID")
	u.fails(&api.UsersGetFullUserRequest{ID: &api.InputUser{UserID: 1, AccessHash: 1}}, "400 USER_ID_INVALID")
	u.fails(&api.UsersGetFullUserRequest{ID: &api.InputUserSelf{}}, "")
	b.fails(&api.MessagesSendMessageRequest{Peer: &api.InputPeerSelf{}, Message: "a", RandomID: 1}, "400 PEER_ID_INVALID")
}

func make101() []api.InputMessageClass {
	list := make([]api.InputMessageClass, 101)
	for i := range list {
		list[i] = &api.InputMessageID{ID: int32(i + 1)}
	}
	return list
}

// fewOfEach is a channel with all specials and some small files of each kind.
func fewOfEach() []ChannelConfig {
	return []ChannelConfig{{Username: BigChannel, Specials: true, Files: []FileSpec{
		{Kind: "photo", Count: 9, MinSize: 30 << 10},
		{Kind: "document", Count: 150, MaxSize: 3000},
		{Kind: "video", Count: 3, DC: 4},
		{Kind: "voice", Count: 4},
		{Kind: "audio", Count: 5, DC: 5},
		{Kind: "text", Count: 30},
	}}}
}

// TestHistoryIsWhole pages through the channel and compares with each message
// by its id, and with the files that the cluster lists.
func TestHistoryIsWhole(t *testing.T) {
	c := start(t, Config{Channels: fewOfEach()})
	u := user(t, c)
	ch := u.channel()
	seen := map[int32]api.MessageClass{}
	for offset := int32(0); ; {
		page := must[*api.MessagesChannelMessages](u, &api.MessagesGetHistoryRequest{Peer: inputPeer(ch), OffsetID: offset, Limit: 100})
		if len(page.Messages) == 0 {
			if int(page.Count) != len(seen) {
				t.Errorf("%d messages, count is %d", len(seen), page.Count)
			}
			break
		}
		for _, m := range page.Messages {
			id := messageID(t, m)
			if offset != 0 && id >= offset || seen[id] != nil {
				t.Fatalf("message %d after %d", id, offset)
			}
			seen[id], offset = m, id
		}
	}
	files, grouped, gone := map[int64]bool{}, map[int64]int{}, 0
	for _, m := range seen {
		m, ok := m.(*api.Message)
		if !ok {
			continue
		}
		grouped[m.GroupedID.Value]++
		switch media := m.Media.(type) {
		case *api.MessageMediaPhoto:
			files[photoOf(t, m).ID] = true
		case *api.MessageMediaDocument:
			if media.Document == nil {
				gone++
				continue
			}
			files[documentOf(t, m).ID] = true
		}
	}
	for _, f := range c.Files() {
		if !files[f.ID] || f.SHA256 == "" {
			t.Errorf("file %+v is in no message, or has no sum", f)
		}
		delete(files, f.ID)
	}
	delete(grouped, 0)
	if len(files) != 0 || gone != 1 || len(grouped) != 1 {
		t.Errorf("%d files not listed, %d gone, %d albums; want 0, 1, 1", len(files), gone, len(grouped))
	}
}

func messageID(t testing.TB, m api.MessageClass) int32 {
	t.Helper()
	switch m := m.(type) {
	case *api.Message:
		return m.ID
	case *api.MessageService:
		return m.ID
	}
	t.Fatalf("history has %T", m)
	return 0
}

// TestSearch: filters, counts and their pages agree with the history.
func TestSearch(t *testing.T) {
	c := start(t, Config{Channels: fewOfEach()})
	u := user(t, c)
	ch := u.channel()
	kinds := map[string]int{}
	for _, f := range c.Files() {
		kinds[f.Kind]++
	}
	filters := map[string]api.MessagesFilterClass{
		"photo": &api.InputMessagesFilterPhotos{}, "video": &api.InputMessagesFilterVideo{}, "voice": &api.InputMessagesFilterVoice{},
		"audio": &api.InputMessagesFilterMusic{}, "document": &api.InputMessagesFilterDocument{},
	}
	for kind, filter := range filters {
		page := must[*api.MessagesChannelMessages](u, &api.MessagesSearchRequest{Peer: inputPeer(ch), Filter: filter, Limit: 3})
		next := must[*api.MessagesChannelMessages](u, &api.MessagesSearchRequest{
			Peer: inputPeer(ch), Filter: filter, OffsetID: messageID(t, page.Messages[1]), Limit: 1,
		})
		none := must[*api.MessagesChannelMessages](u, &api.MessagesSearchRequest{Peer: inputPeer(ch), Filter: filter})
		if int(page.Count) != kinds[kind] || len(page.Messages) != 3 || len(none.Messages) != 0 || none.Count != page.Count {
			t.Errorf("%s: %d found of %d, want %d", kind, len(page.Messages), page.Count, kinds[kind])
		}
		if got, want := messageID(t, next.Messages[0]), messageID(t, page.Messages[2]); got != want {
			t.Errorf("%s: next page begins with %d, want %d", kind, got, want)
		}
		counters := must[boxedVector[api.MessagesSearchCounter, *api.MessagesSearchCounter]](u, &api.MessagesGetSearchCountersRequest{
			Peer: inputPeer(ch), Filters: []api.MessagesFilterClass{filter},
		})
		if int(counters[0].Count) != kinds[kind] {
			t.Errorf("%s: counter %d, want %d", kind, counters[0].Count, kinds[kind])
		}
	}
	u.fails(&api.MessagesSearchRequest{Peer: inputPeer(ch), Filter: &api.InputMessagesFilterEmpty{}}, "400 SEARCH_QUERY_EMPTY")
	text := must[*api.MessagesChannelMessages](u, &api.MessagesSearchRequest{Peer: inputPeer(ch), Q: "WELCOME", Filter: &api.InputMessagesFilterEmpty{}, Limit: 10})
	if text.Count != 1 || messageID(t, text.Messages[0]) != 2 {
		t.Errorf("%d messages say welcome", text.Count)
	}
}

func TestOffsetDate(t *testing.T) {
	c := start(t, Config{})
	u := user(t, c)
	ch := u.channel()
	for _, id := range []int{1, 5, 40, 100} {
		m := u.message(id)
		var date int32
		switch m := m.(type) {
		case *api.Message:
			date = m.Date
		case *api.MessageService:
			date = m.Date
		}
		page := must[*api.MessagesChannelMessages](u, &api.MessagesGetHistoryRequest{Peer: inputPeer(ch), OffsetDate: date + 1, Limit: 1})
		if got := messageID(t, page.Messages[0]); int(got) != id {
			t.Errorf("newest before the second after message %d is %d", id, got)
		}
	}
}

// TestMillion: a channel of a million messages costs nothing until it is read.
func TestMillion(t *testing.T) {
	c := start(t, Config{Channels: []ChannelConfig{{Username: BigChannel, Files: []FileSpec{
		{Kind: "document", Count: 600_000, MinSize: 1000, MaxSize: 9000}, {Kind: "text", Count: 400_000},
	}}}})
	u := user(t, c)
	full := must[*api.MessagesChatFull](u, &api.ChannelsGetFullChannelRequest{Channel: inputChannel(u.channel())})
	if f, ok := full.FullChat.(*api.ChannelFull); !ok || f.Pts != 1_000_001 {
		t.Errorf("pts of %+v, want 1000001", full.FullChat)
	}
	page := must[*api.MessagesChannelMessages](u, &api.MessagesGetHistoryRequest{Peer: inputPeer(u.channel()), OffsetID: 500_000, Limit: 100})
	if len(page.Messages) != 100 || messageID(t, page.Messages[0]) != 499_999 {
		t.Errorf("%d messages from %d on", len(page.Messages), messageID(t, page.Messages[0]))
	}
}

func TestDialogs(t *testing.T) {
	var channels []ChannelConfig
	for _, name := range []string{"aa", "bb", "cc", "dd", "ee"} {
		channels = append(channels, ChannelConfig{Username: name, Files: []FileSpec{{Kind: "text", Count: 1 + len(channels)}}})
	}
	c := start(t, Config{Channels: channels})
	u := user(t, c)
	must[*api.Updates](u, &api.MessagesSendMessageRequest{Peer: &api.InputPeerSelf{}, Message: "note", RandomID: 1})
	all := must[*api.MessagesDialogs](u, &api.MessagesGetDialogsRequest{OffsetPeer: &api.InputPeerEmpty{}, Limit: 100})
	q := &api.MessagesGetDialogsRequest{OffsetPeer: &api.InputPeerEmpty{}, Limit: 2}
	var got []api.DialogClass
	for range 4 {
		page, ok := must[tl.Object](u, q).(*api.MessagesDialogsSlice)
		if !ok || page.Count != 6 {
			t.Fatalf("page is %+v", page)
		}
		got = append(got, page.Dialogs...)
		if len(page.Dialogs) == 0 {
			break
		}
		d, _ := page.Dialogs[len(page.Dialogs)-1].(*api.Dialog)
		q.OffsetID = d.TopMessage
		switch p := d.Peer.(type) {
		case *api.PeerChannel:
			q.OffsetPeer = &api.InputPeerChannel{ChannelID: p.ChannelID}
		case *api.PeerUser:
			q.OffsetPeer = &api.InputPeerUser{UserID: p.UserID}
		}
	}
	if len(got) != 6 || len(all.Dialogs) != 6 {
		t.Fatalf("%d dialogs in pages, %d at once; want 6", len(got), len(all.Dialogs))
	}
	for i := range got {
		a, b := tl.Marshal(got[i]), tl.Marshal(all.Dialogs[i])
		if string(a) != string(b) {
			t.Errorf("dialog %d differs", i)
		}
	}
	u.fails(&api.MessagesGetDialogsRequest{OffsetPeer: &api.InputPeerChat{}}, "400 OFFSET_PEER_ID_INVALID")
}
