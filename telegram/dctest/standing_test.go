package dctest

import (
	"testing"

	"github.com/tghaul/haul/tl/api"
)

// A frozen account reads and writes nothing, and is told until when.
func TestFreeze(t *testing.T) {
	c := start(t, Config{Faults: []Fault{{Kind: "frozen", Method: "upload.saveFilePart", At: []int64{2}}}})
	b, u := bot(t, c), user(t, c)
	part := func(n int32) *api.UploadSaveFilePartRequest {
		return &api.UploadSaveFilePartRequest{FileID: 5, FilePart: n, Bytes: make([]byte, 512<<10)}
	}
	send := &api.MessagesSendMessageRequest{Peer: inputPeer(b.channel()), Message: "a", RandomID: 1}
	fields := func(k *caller) map[string]api.JSONValueClass {
		m := map[string]api.JSONValueClass{}
		for _, f := range must[*api.HelpAppConfig](k, &api.HelpGetAppConfigRequest{}).Config.(*api.JsonObject).Value {
			m[f.Key] = f.Value
		}
		return m
	}
	if fields(b)["freeze_until_date"] != nil {
		t.Error("frozen at first")
	}
	b.fails(part(0), "")
	b.fails(part(1), "420 FROZEN_METHOD_INVALID")
	b.fails(part(2), "420 FROZEN_METHOD_INVALID")
	b.fails(send, "420 FROZEN_METHOD_INVALID")
	b.fails(&api.UpdatesGetStateRequest{}, "")
	if f := fields(b); f["freeze_until_date"] == nil || f["freeze_appeal_url"] == nil {
		t.Errorf("told %v", f)
	}
	if fields(u)["freeze_until_date"] != nil {
		t.Error("the other account is frozen too")
	}
	c.Freeze(b.me(), false)
	b.fails(part(1), "")
	b.fails(send, "")
}

// me is the user id of the caller.
func (c *caller) me() int64 { return c.c.logins[keyAt{c.dc, c.key}].account }

// The keys of an account that is signed out are told why until somebody signs
// in with them.
func TestWhySignedOut(t *testing.T) {
	c := start(t, Config{Faults: []Fault{{Kind: "signed_out", Method: "updates.getState", At: []int64{1}, Code: 406, Message: "AUTH_KEY_DUPLICATED"}}})
	b := bot(t, c)
	guest := b.at(4)
	q := &api.UpdatesGetStateRequest{}
	for _, k := range []*caller{b, b, guest} {
		k.fails(q, "406 AUTH_KEY_DUPLICATED")
		k.fails(&api.HelpGetNearestDcRequest{}, "")
	}
	(&caller{t: t, c: c, dc: 2, key: 9}).fails(q, "401 AUTH_KEY_UNREGISTERED")
	bot(t, c).fails(q, "")
}
