package dctest

import (
	"errors"
	"fmt"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"github.com/tghaul/haul/telegram/dctest/internal/mtserver"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a cluster in memory until the test ends.
func start(t testing.TB, cfg Config) *Cluster {
	t.Helper()
	cfg.InMemory = true
	c, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error("Close:", err)
		}
	})
	return c
}

// A caller is a client without a network: one key at one DC.
type caller struct {
	t   testing.TB
	c   *Cluster
	dc  int
	key int64
}

// raw calls with wrappers as they are.
func (c *caller) raw(q tl.Object) (tl.Object, error) {
	query := tl.Raw(tl.Marshal(q))
	method := query.TypeID()
	return c.c.Handle(c.t.Context(), &mtserver.Call{
		DC: c.dc, AuthKeyID: c.key, KeyID: c.key, SessionID: 1, Query: query, Method: method,
	})
}

func initConnection(layer int32, q tl.Object) *api.InvokeWithLayerRequest {
	return &api.InvokeWithLayerRequest{Layer: layer, Query: &api.InitConnectionRequest{
		APIID: 1, DeviceModel: "test", SystemVersion: "1", AppVersion: "1", SystemLangCode: "en", LangCode: "en", Query: q,
	}}
}

// call calls as a client of the current layer.
func (c *caller) call(q tl.Object) (tl.Object, error) { return c.raw(initConnection(228, q)) }

// must is call for what has to succeed.
func must[R any](c *caller, q tl.Object) R {
	c.t.Helper()
	o, err := c.call(q)
	if err != nil {
		c.t.Fatalf("%s: %v", q.TypeName(), err)
	}
	r, ok := o.(R)
	if !ok {
		c.t.Fatalf("%s answered %T", q.TypeName(), o)
	}
	return r
}

// fails checks the error of a call: "400 CHANNEL_INVALID".
func (c *caller) fails(q tl.Object, want string) {
	c.t.Helper()
	o, err := c.call(q)
	if got := errorText(err); got != want {
		c.t.Errorf("%s: got %q (%T), want %q", q.TypeName(), got, o, want)
	}
}

// errorText is an rpc_error as "code message", "" for none.
func errorText(err error) string {
	var e *mtserver.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return fmt.Sprintf("%d %s", e.Code, e.Message)
	default:
		return err.Error()
	}
}

// bot signs a bot in at the home DC.
func bot(t testing.TB, c *Cluster) *caller {
	t.Helper()
	b := &caller{t: t, c: c, dc: c.cfg.HomeDC, key: 101}
	must[*api.AuthAuthorization](b, &api.AuthImportBotAuthorizationRequest{APIID: 1, APIHash: "h", BotAuthToken: BotToken})
	return b
}

// user signs a user in at the home DC.
func user(t testing.TB, c *Cluster) *caller {
	t.Helper()
	u := &caller{t: t, c: c, dc: c.cfg.HomeDC, key: 201}
	sent := must[*api.AuthSentCode](u, &api.AuthSendCodeRequest{PhoneNumber: Phone, APIID: 1, APIHash: "h"})
	must[*api.AuthAuthorization](u, &api.AuthSignInRequest{PhoneNumber: Phone, PhoneCodeHash: sent.PhoneCodeHash, PhoneCode: tl.Some(Code)})
	return u
}

// at is the same account at another DC.
func (c *caller) at(dc int) *caller {
	c.t.Helper()
	if dc == c.dc {
		return c
	}
	x := must[*api.AuthExportedAuthorization](c, &api.AuthExportAuthorizationRequest{DCID: int32(dc)})
	guest := &caller{t: c.t, c: c.c, dc: dc, key: c.key + int64(dc)*1000}
	must[*api.AuthAuthorization](guest, &api.AuthImportAuthorizationRequest{ID: x.ID, Bytes: x.Bytes})
	return guest
}

// channel resolves the big channel.
func (c *caller) channel() *api.Channel {
	c.t.Helper()
	p := must[*api.ContactsResolvedPeer](c, &api.ContactsResolveUsernameRequest{Username: BigChannel})
	ch, ok := p.Chats[0].(*api.Channel)
	if !ok {
		c.t.Fatalf("chat is %T", p.Chats[0])
	}
	return ch
}

func inputPeer(ch *api.Channel) *api.InputPeerChannel {
	return &api.InputPeerChannel{ChannelID: ch.ID, AccessHash: ch.AccessHash.Value}
}

func inputChannel(ch *api.Channel) *api.InputChannel {
	return &api.InputChannel{ChannelID: ch.ID, AccessHash: ch.AccessHash.Value}
}

// message fetches one message of the big channel.
func (c *caller) message(id int) api.MessageClass {
	c.t.Helper()
	m := must[*api.MessagesChannelMessages](c, &api.ChannelsGetMessagesRequest{
		Channel: inputChannel(c.channel()), ID: []api.InputMessageClass{&api.InputMessageID{ID: int32(id)}},
	})
	if len(m.Messages) != 1 {
		c.t.Fatalf("%d messages for one id", len(m.Messages))
	}
	return m.Messages[0]
}

// documentOf is the document of a message.
func documentOf(t testing.TB, m api.MessageClass) *api.Document {
	t.Helper()
	if msg, ok := m.(*api.Message); ok {
		if media, ok := msg.Media.(*api.MessageMediaDocument); ok {
			if d, ok := media.Document.(*api.Document); ok {
				return d
			}
		}
	}
	t.Fatalf("%T has no document", m)
	return nil
}

// photoOf is the photo of a message.
func photoOf(t testing.TB, m api.MessageClass) *api.Photo {
	t.Helper()
	if msg, ok := m.(*api.Message); ok {
		if media, ok := msg.Media.(*api.MessageMediaPhoto); ok {
			if p, ok := media.Photo.(*api.Photo); ok {
				return p
			}
		}
	}
	t.Fatalf("%T has no photo", m)
	return nil
}

func location(d *api.Document) *api.InputDocumentFileLocation {
	return &api.InputDocumentFileLocation{ID: d.ID, AccessHash: d.AccessHash, FileReference: d.FileReference}
}

// oneFile is a channel with a single file, which is message 1.
func oneFile(spec FileSpec) []ChannelConfig {
	spec.Count = 1
	return []ChannelConfig{{Username: BigChannel, Title: "One file", Files: []FileSpec{spec}}}
}

func itoa64(n int64) string { return strconv.FormatInt(n, 10) }
