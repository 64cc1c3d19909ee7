package dctest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// within wraps a query in an export session.
func within(id int64, q tl.Object) tl.Object {
	return &api.InvokeWithTakeoutRequest{TakeoutID: id, Query: q}
}

func takeoutOf(change func(*api.AccountInitTakeoutSessionRequest)) *api.AccountInitTakeoutSessionRequest {
	q := &api.AccountInitTakeoutSessionRequest{MessageChannels: true, Files: true, FileMaxSize: tl.Some[int64](1 << 30)}
	if change != nil {
		change(q)
	}
	return q
}

// An export session belongs to the login that has begun it, is one at a time,
// and is gone once it is finished.
func TestTakeout(t *testing.T) {
	c := start(t, Config{})
	u := user(t, c)
	q := &api.UpdatesGetStateRequest{}
	u.fails(&api.AccountFinishTakeoutSessionRequest{}, "403 TAKEOUT_REQUIRED")
	u.fails(within(1, q), "400 TAKEOUT_INVALID")
	x := must[*api.AccountTakeout](u, takeoutOf(nil))
	u.fails(within(x.ID, q), "")
	u.fails(within(x.ID+1, q), "400 TAKEOUT_INVALID")
	u.at(4).fails(within(x.ID, q), "")
	other := &caller{t: t, c: c, dc: 2, key: 77}
	hash := must[*api.AuthSentCode](other, sendCodeTo(Phone)).PhoneCodeHash
	must[*api.AuthAuthorization](other, signInWith(hash, Code))
	other.fails(within(x.ID, q), "400 TAKEOUT_INVALID")
	b := bot(t, c)
	b.fails(within(x.ID, q), "400 TAKEOUT_INVALID")
	b.fails(takeoutOf(nil), "400 BOT_METHOD_INVALID")

	y := must[*api.AccountTakeout](u, takeoutOf(nil))
	u.fails(within(x.ID, q), "400 TAKEOUT_INVALID")
	u.fails(within(y.ID, &api.AccountFinishTakeoutSessionRequest{Success: true}), "")
	u.fails(within(y.ID, q), "400 TAKEOUT_INVALID")
	z := must[*api.AccountTakeout](u, takeoutOf(nil))
	u.fails(within(z.ID, &api.AccountFinishTakeoutSessionRequest{}), "")
	got := c.Stats().Takeouts
	if got.Begun != 3 || got.Finished != 2 || got.Succeeded != 1 || got.Refused != 6 ||
		got.Calls["updates.getState"] != 2 || got.Calls["account.finishTakeoutSession"] != 2 {
		t.Errorf("counted %+v", got)
	}
	must[*api.AccountTakeout](u, takeoutOf(nil))
	must[*api.AuthLoggedOut](u, &api.AuthLogOutRequest{})
	if len(c.takeouts.open) != 0 {
		t.Error("open after logging out")
	}
}

// What an export was not begun for cannot be read within it.
func TestTakeoutScope(t *testing.T) {
	c := start(t, Config{})
	u := user(t, c)
	ch := u.channel()
	history := &api.MessagesGetHistoryRequest{Peer: inputPeer(ch), Limit: 1}
	own := &api.MessagesGetHistoryRequest{Peer: &api.InputPeerSelf{}, Limit: 1}
	get := &api.UploadGetFileRequest{Location: &api.InputDocumentFileLocation{ID: 1}, Limit: 4096}
	for _, tt := range []struct {
		name                  string
		scope                 *api.AccountInitTakeoutSessionRequest
		history, saved, files string
	}{
		{"channels and files", takeoutOf(nil), "", "403 TAKEOUT_REQUIRED", "400 FILE_ID_INVALID"},
		{"nothing", &api.AccountInitTakeoutSessionRequest{}, "403 TAKEOUT_REQUIRED", "403 TAKEOUT_REQUIRED", "403 TAKEOUT_REQUIRED"},
		{"users", takeoutOf(func(q *api.AccountInitTakeoutSessionRequest) { q.MessageChannels, q.MessageUsers = false, true }), "403 TAKEOUT_REQUIRED", "", "400 FILE_ID_INVALID"},
		{"small files", takeoutOf(func(q *api.AccountInitTakeoutSessionRequest) { q.FileMaxSize = tl.Some[int64](0) }), "", "403 TAKEOUT_REQUIRED", "403 TAKEOUT_REQUIRED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			id := must[*api.AccountTakeout](u, tt.scope).ID
			u.fails(within(id, history), tt.history)
			u.fails(within(id, own), tt.saved)
			u.fails(within(id, get), tt.files)
		})
	}
}

// A file reference that was given out within an export is good for nothing
// outside of it; the reverse is.
func TestTakeoutReference(t *testing.T) {
	c := start(t, Config{Channels: []ChannelConfig{{Username: BigChannel, Files: []FileSpec{{Kind: "document", Count: 1, MinSize: 5000}}}}})
	u := user(t, c)
	ch := u.channel()
	history := &api.MessagesGetHistoryRequest{Peer: inputPeer(ch), Limit: 1}
	file := func(q tl.Object) *api.UploadGetFileRequest {
		m := must[*api.MessagesChannelMessages](u, q).Messages[0].(*api.Message)
		d := m.Media.(*api.MessageMediaDocument).Document.(*api.Document)
		return &api.UploadGetFileRequest{Location: &api.InputDocumentFileLocation{ID: d.ID, AccessHash: d.AccessHash, FileReference: d.FileReference}, Limit: 4096}
	}
	id := must[*api.AccountTakeout](u, takeoutOf(nil)).ID
	inside, outside := file(within(id, history)), file(history)
	u.fails(within(id, inside), "")
	u.fails(inside, "400 FILE_REFERENCE_EXPIRED")
	u.fails(outside, "")
	u.fails(within(id, outside), "")
}

// The delay runs from the first try, and ends when the user consents.
func TestTakeoutDelay(t *testing.T) {
	delayed := func(allow time.Duration) Config {
		return Config{Accounts: []AccountConfig{{Token: BotToken}, {
			Phone: Phone, Code: Code, TakeoutDelay: Duration(24 * time.Hour), TakeoutAllowAfter: Duration(allow),
		}}}
	}
	synctest.Test(t, func(t *testing.T) {
		c := start(t, delayed(0))
		u := user(t, c)
		if err := c.AllowTakeout(Phone); err == nil {
			t.Error("allowed what nobody has asked for")
		}
		u.fails(takeoutOf(nil), "420 TAKEOUT_INIT_DELAY_86400")
		time.Sleep(time.Hour)
		u.fails(takeoutOf(nil), "420 TAKEOUT_INIT_DELAY_82800")
		time.Sleep(23 * time.Hour)
		u.fails(takeoutOf(nil), "")
	})
	synctest.Test(t, func(t *testing.T) {
		c := start(t, delayed(time.Minute))
		u := user(t, c)
		u.fails(takeoutOf(nil), "420 TAKEOUT_INIT_DELAY_86400")
		time.Sleep(30 * time.Second)
		u.fails(takeoutOf(nil), "420 TAKEOUT_INIT_DELAY_86370")
		time.Sleep(30 * time.Second)
		u.fails(takeoutOf(nil), "")
	})
	synctest.Test(t, func(t *testing.T) {
		c := start(t, delayed(0))
		u := user(t, c)
		u.fails(takeoutOf(nil), "420 TAKEOUT_INIT_DELAY_86400")
		if err := c.AllowTakeout(Phone); err != nil {
			t.Fatal(err)
		}
		u.fails(takeoutOf(nil), "")
	})
}

// An export expires, is ended by its user, or outlives a restart of the cluster.
func TestTakeoutEnds(t *testing.T) {
	q := &api.HelpGetNearestDcRequest{}
	synctest.Test(t, func(t *testing.T) {
		c := start(t, Config{TakeoutLifetime: Duration(time.Hour)})
		u := user(t, c)
		id := must[*api.AccountTakeout](u, takeoutOf(nil)).ID
		time.Sleep(time.Hour - time.Second)
		u.fails(within(id, q), "")
		time.Sleep(time.Second)
		u.fails(within(id, q), "400 TAKEOUT_INVALID")
	})
	c := start(t, Config{Faults: []Fault{{Kind: "takeout_ended", Method: "help.getNearestDc", At: []int64{2, 4}}}})
	u := user(t, c)
	for range 2 { // the second time it is ended by a call outside of it
		id := must[*api.AccountTakeout](u, takeoutOf(nil)).ID
		u.fails(within(id, q), "")
		if c.faults.seen[0] < 2 {
			u.fails(within(id, q), "400 TAKEOUT_INVALID")
		} else {
			u.fails(q, "")
		}
		u.fails(within(id, &api.HelpGetConfigRequest{}), "400 TAKEOUT_INVALID")
	}
	cfg := Config{StateDir: t.TempDir()}
	first := start(t, cfg)
	u = user(t, first)
	id := must[*api.AccountTakeout](u, takeoutOf(nil)).ID
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	u.c = start(t, cfg)
	u.fails(within(id, &api.MessagesGetHistoryRequest{Peer: inputPeer(u.channel()), Limit: 1}), "")
	u.fails(within(id, &api.MessagesGetHistoryRequest{Peer: &api.InputPeerSelf{}, Limit: 1}), "403 TAKEOUT_REQUIRED")
}
