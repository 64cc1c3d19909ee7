package dctest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/mtproto/transport"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// connect is a session with a DC of a cluster.
func connect(t *testing.T, c *dctest.Cluster, dc int, media bool, o mtproto.Options) *mtproto.Session {
	t.Helper()
	d := c.Datacenters()
	for _, e := range d.DC {
		if e.ID == dc && e.MediaOnly == media {
			o.Endpoints = append(o.Endpoints, mtproto.Endpoint{DC: dc, Test: d.Test, MediaOnly: media, CDN: e.CDN, Address: e.Address})
		}
	}
	for _, pem := range d.PublicKeys {
		keys, err := crypto.ParsePublicKeys([]byte(pem))
		if err != nil {
			t.Fatal(err)
		}
		o.PublicKeys = append(o.PublicKeys, keys...)
	}
	o.Dial, o.Framing = c.Dial, transport.Intermediate
	o.Init = func(q tl.Object) tl.Object {
		return &api.InvokeWithLayerRequest{Layer: 228, Query: &api.InitConnectionRequest{
			APIID: 1, DeviceModel: "test", SystemVersion: "1", AppVersion: "1", SystemLangCode: "en", LangCode: "en", Query: q,
		}}
	}
	s, err := mtproto.Connect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func call[R any](t *testing.T, s *mtproto.Session, q tl.Method[R]) R {
	t.Helper()
	r, err := mtproto.Call(t.Context(), s, q)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func signIn(t *testing.T, s *mtproto.Session) {
	t.Helper()
	call(t, s, &api.AuthImportBotAuthorizationRequest{APIID: 1, APIHash: "h", BotAuthToken: dctest.BotToken})
}

// bigChannel is the channel as the session's account addresses it.
func bigChannel(t *testing.T, s *mtproto.Session) *api.InputChannel {
	t.Helper()
	p := call(t, s, &api.ContactsResolveUsernameRequest{Username: dctest.BigChannel})
	ch, ok := p.Chats[0].(*api.Channel)
	if !ok {
		t.Fatalf("chat is %T", p.Chats[0])
	}
	return &api.InputChannel{ChannelID: ch.ID, AccessHash: ch.AccessHash.Value}
}

// oneVideo is a channel with one file, which lies at DC 4.
var oneVideo = []dctest.ChannelConfig{{
	Username: dctest.BigChannel, Title: "One", Files: []dctest.FileSpec{{Kind: "video", Count: 1, MinSize: 3 << 20, DC: 4}},
}}

// TestWholeWay signs in, finds a file and fetches it from the media-only
// endpoint of another DC, over real encryption, with and without PFS, while
// connections break and salts change.
func TestWholeWay(t *testing.T) {
	for name, cfg := range map[string]dctest.Config{
		"calm": {},
		"storm": {Faults: []dctest.Fault{
			{Kind: "reset", At: []int64{2}}, {Kind: "bad_salt", At: []int64{3, 9}}, {Kind: "reset", Method: "channels.*", At: []int64{1}},
		}},
	} {
		for _, pfs := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " with PFS"}[pfs], func(t *testing.T) {
				cfg.Channels, cfg.InMemory = oneVideo, true
				c, err := dctest.Start(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close() //nolint:errcheck // there is no state to lose
				fetch(t, c, mtproto.Options{PFS: pfs})
			})
		}
	}
}

func fetch(t *testing.T, c *dctest.Cluster, o mtproto.Options) {
	t.Helper()
	home := connect(t, c, 2, false, o)
	signIn(t, home)
	ch := bigChannel(t, home)
	list, ok := call(t, home, &api.ChannelsGetMessagesRequest{
		Channel: ch, ID: []api.InputMessageClass{&api.InputMessageID{ID: 1}},
	}).(*api.MessagesChannelMessages)
	if !ok {
		t.Fatal("no messages")
	}
	m, _ := list.Messages[0].(*api.Message)
	media, _ := m.Media.(*api.MessageMediaDocument)
	doc, ok := media.Document.(*api.Document)
	if !ok {
		t.Fatalf("media is %+v", m.Media)
	}
	x := call(t, home, &api.AuthExportAuthorizationRequest{DCID: doc.DCID})
	o.NoUpdates = true
	guest := connect(t, c, int(doc.DCID), true, o)
	call(t, guest, &api.AuthImportAuthorizationRequest{ID: x.ID, Bytes: x.Bytes})
	h := sha256.New()
	for off := int64(0); off < doc.Size; off += 1 << 20 {
		f, ok := call(t, guest, &api.UploadGetFileRequest{
			Location: &api.InputDocumentFileLocation{ID: doc.ID, AccessHash: doc.AccessHash, FileReference: doc.FileReference},
			Offset:   off, Limit: 1 << 20,
		}).(*api.UploadFile)
		if !ok {
			t.Fatal("no file")
		}
		h.Write(f.Bytes)
	}
	if got, want := hex.EncodeToString(h.Sum(nil)), c.Files()[0].SHA256; got != want {
		t.Errorf("SHA-256 %s, want %s", got, want)
	}
}

// TestSockets does the same on loopback, after reading the datacenters file as
// another process would.
func TestSockets(t *testing.T) {
	c, err := dctest.Start(t.Context(), dctest.Config{Channels: oneVideo})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "dc.json")
	if err := c.Datacenters().WriteFile(path); err != nil {
		t.Fatal(err)
	}
	d, err := telegram.LoadDatacenters(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.DC) != 6 || d.HomeDC != 2 {
		t.Errorf("read %+v", d)
	}
	fetch(t, c, mtproto.Options{})
	var b bytes.Buffer
	if err := c.WriteStats(&b); err != nil {
		t.Fatal(err)
	}
	var s dctest.Stats
	if err := json.Unmarshal(b.Bytes(), &s); err != nil {
		t.Fatal(err)
	}
	if m := s.Methods["upload.getFile"]["4"]; m.Requests != 3 || m.Answers != 3 || s.Connections != 2 {
		t.Errorf("stats %+v, %d connections", m, s.Connections)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := c.Dial(t.Context(), "tcp", d.DC[0].Address); err == nil {
		t.Error("somebody listens after Close")
	}
}

// TestPush: a session learns what another one sends.
func TestPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := dctest.Start(t.Context(), dctest.Config{Channels: oneVideo, InMemory: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close() //nolint:errcheck // there is no state to lose
		sender := connect(t, c, 2, false, mtproto.Options{})
		signIn(t, sender)
		got := make(chan tl.Raw, 10)
		watcher := connect(t, c, 2, false, mtproto.Options{OnUpdate: func(u tl.Raw) { got <- bytes.Clone(u) }})
		quiet := connect(t, c, 2, false, mtproto.Options{NoUpdates: true, OnUpdate: func(tl.Raw) { t.Error("an update came in spite of invokeWithoutUpdates") }})
		signIn(t, watcher)
		signIn(t, quiet)
		ch := bigChannel(t, sender)
		call(t, sender, &api.MessagesSendMessageRequest{
			Peer: &api.InputPeerChannel{ChannelID: ch.ChannelID, AccessHash: ch.AccessHash}, Message: "news", RandomID: 1,
		})
		synctest.Wait()
		select {
		case raw := <-got:
			u, ok := api.DecodeUpdates(tl.NewDecoder(raw)).(*api.Updates)
			if !ok || len(u.Updates) != 1 {
				t.Fatalf("update %x", []byte(raw))
			}
			n, ok := u.Updates[0].(*api.UpdateNewChannelMessage)
			if !ok {
				t.Fatalf("update %T", u.Updates[0])
			}
			if m, ok := n.Message.(*api.Message); !ok || m.Message != "news" {
				t.Errorf("message %+v", n.Message)
			}
		default:
			t.Error("no update came")
		}
		_ = sender.Close()
		_ = watcher.Close()
		_ = quiet.Close()
	})
}

// TestDropped: a cluster whose context ends stops serving, and Close still works.
func TestDropped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, err := dctest.Start(ctx, dctest.Config{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := dctest.Start(t.Context(), dctest.Config{HomeDC: 77}); !errors.Is(err, dctest.ErrConfig) {
		t.Errorf("got %v, want ErrConfig", err)
	}
	if _, err := dctest.Start(t.Context(), dctest.Config{Listen: "nowhere:x"}); err == nil {
		t.Error("an address that is none is no error")
	}
}

// TestDocumentedScenario loads the example of the documentation.
func TestDocumentedScenario(t *testing.T) {
	b, err := os.ReadFile("../../docs/formats.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(b), "## Scenario")
	_, example, _ := strings.Cut(section, "```json\n")
	example, _, ok := strings.Cut(example, "```")
	if !ok {
		t.Fatal("no example in the section")
	}
	c, err := dctest.LoadScenario(strings.NewReader(example))
	if err != nil || len(c.Channels) != 1 || len(c.Faults) != 2 {
		t.Errorf("got %+v, %v", c, err)
	}
}
