package dctest

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
)

// eventful is a channel of ten documents.
func eventful(events ...Event) Config {
	return Config{Channels: []ChannelConfig{{
		Username: BigChannel, Files: []FileSpec{{Kind: "document", Count: 10, MinSize: 300}}, Events: events,
	}}}
}

func (c *caller) difference(pts, limit int32) *api.UpdatesChannelDifference {
	c.t.Helper()
	return must[*api.UpdatesChannelDifference](c, &api.UpdatesGetChannelDifferenceRequest{
		Channel: inputChannel(c.channel()), Filter: &api.ChannelMessagesFilterEmpty{}, Pts: pts, Limit: limit,
	})
}

// content downloads the document of a message.
func (c *caller) content(m api.MessageClass) (id int64, data []byte) {
	c.t.Helper()
	d, ok := m.(*api.Message).Media.(*api.MessageMediaDocument).Document.(*api.Document)
	if !ok {
		c.t.Fatalf("no document in %+v", m)
	}
	return d.ID, c.download(&api.InputDocumentFileLocation{ID: d.ID, AccessHash: d.AccessHash, FileReference: d.FileReference}, d.Size)
}

// What happens in a channel is told by its difference, in pieces and once each.
func TestChannelChanges(t *testing.T) {
	cfg := eventful()
	cfg.StateDir = t.TempDir()
	c := start(t, cfg)
	u := user(t, c)
	oldID, oldData := u.content(u.message(4))
	last, err := c.Post(BigChannel, Post{Text: "one"}, Post{Text: "two", Kind: "document", Size: 500})
	if err != nil || last != 12 {
		t.Fatalf("posted %d, %v", last, err)
	}
	for _, err := range []error{
		c.Edit(BigChannel, 4, Post{Text: "another file", Kind: "document", Size: 700}),
		c.Edit(BigChannel, 5, Post{Text: "the same file"}),
		c.Edit(BigChannel, 12, Post{Text: "two!"}), c.Delete(BigChannel, 7, 8),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{c.Edit(BigChannel, 7, Post{}), c.Edit("none", 1, Post{}), c.Delete(BigChannel, 99)} {
		if !errors.Is(err, ErrNoMessage) {
			t.Errorf("what is not there: %v", err)
		}
	}
	check := func(u *caller) {
		t.Helper()
		d := u.difference(11, 100)
		if len(d.NewMessages) != 2 || len(d.OtherUpdates) != 4 || d.Pts != 18 || !d.Final {
			t.Fatalf("difference %+v", d)
		}
		if m := d.NewMessages[1].(*api.Message); m.Message != "two!" || !m.EditDate.Set {
			t.Errorf("a message that was edited since is %+v", m)
		}
		changed := d.OtherUpdates[0].(*api.UpdateEditChannelMessage)
		newID, data := u.content(changed.Message)
		if m := changed.Message.(*api.Message); newID == oldID || len(data) != 700 || m.Message != "another file" || !m.EditDate.Set || changed.Pts != 14 {
			t.Errorf("the edited message is %+v", m)
		}
		if gone := d.OtherUpdates[3].(*api.UpdateDeleteChannelMessages); len(gone.Messages) != 1 || gone.Messages[0] != 8 || gone.Pts != 18 {
			t.Errorf("the deletion is %+v", gone)
		}
		if d := u.difference(11, 3); len(d.NewMessages) != 2 || len(d.OtherUpdates) != 1 || d.Pts != 14 || d.Final {
			t.Errorf("part of it %+v", d)
		}
		if d := u.difference(9, 3); len(d.NewMessages) != 3 || d.Pts != 12 || messageID(t, d.NewMessages[0]) != 9 {
			t.Errorf("part from the beginning %+v", d)
		}
		if m, same := u.message(5).(*api.Message); !same || m.Message != "the same file" || m.Media == nil {
			t.Errorf("message 5 is %+v", m)
		}
	}
	check(u)
	// Who has the location of the former file still gets it.
	d := &api.InputDocumentFileLocation{ID: oldID, AccessHash: c.world.accessHash(u.me(), oldID), FileReference: (&request{Call: nil, c: c, me: c.accounts[1], now: c.now()}).reference(oldID)}
	if got := u.download(d, int64(len(oldData))); !bytes.Equal(got, oldData) {
		t.Error("the former file has other bytes")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	again := start(t, cfg)
	check(&caller{t: t, c: again, dc: u.dc, key: u.key})
}

// The schedule of a scenario happens when it says.
func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, eventful(
			Event{At: Duration(time.Minute), Every: Duration(time.Second), Times: 3, Post: &Post{Text: "news"}},
			Event{At: Duration(61500 * time.Millisecond), Edit: 11, Post: &Post{Text: "corrected"}},
			Event{At: Duration(2 * time.Minute), Delete: []int{1}},
		))
		for _, step := range []struct {
			wait      time.Duration
			top, left int
		}{{59 * time.Second, 10, 10}, {1100 * time.Millisecond, 11, 11}, {2 * time.Second, 13, 13}, {time.Minute, 13, 12}} {
			time.Sleep(step.wait)
			synctest.Wait()
			c.mu.Lock()
			ids := c.world.channels[0].ids
			c.mu.Unlock()
			if ids.top != step.top || ids.count() != step.left {
				t.Errorf("after another %v there are %d messages up to %d, want %d up to %d", step.wait, ids.count(), ids.top, step.left, step.top)
			}
		}
		c.mu.Lock()
		if text := c.world.message(c.world.channels[0], 11).text; text != "corrected" {
			t.Errorf("message 11 says %q", text)
		}
		c.mu.Unlock()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestEventsRefused(t *testing.T) {
	for events, want := range map[string]string{
		`{"at": "1s"}`:                                   "want either",
		`{"post": {}, "delete": [1]}`:                    "want either",
		`{"edit": 3}`:                                    "want either",
		`{"edit": 3, "delete": [3]}`:                     "edit without",
		`{"post": {"kind": "poem"}}`:                     "unknown kind",
		`{"post": {"dc": 203}}`:                          "not an ordinary",
		`{"post": {"size": -1}}`:                         "size -1",
		`{"times": -1, "post": {}}`:                      "negative",
		`{"post": {"text": "x", "sice": 3}}`:             "unknown field",
		`{"at": "5s", "every": "1s", "post": {}, "x":1}`: "unknown field",
	} {
		_, err := LoadScenario(strings.NewReader(`{"channels": [{"username": "one", "events": [` + events + `]}]}`))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", events, err, want)
		}
	}
}

// The list of chats begins with those that are pinned; some are in the archive.
func TestFolders(t *testing.T) {
	c := start(t, Config{Channels: []ChannelConfig{
		{Username: "first", Files: []FileSpec{{Kind: "text", Count: 3}}, Unread: 2},
		{Username: "second", Files: []FileSpec{{Kind: "text", Count: 2}}, Pinned: true},
		{Username: "third", Files: []FileSpec{{Kind: "text", Count: 2}}, Archived: true},
	}})
	u := user(t, c)
	list := func(folder int32, without bool) (names []string) {
		q := &api.MessagesGetDialogsRequest{OffsetPeer: &api.InputPeerEmpty{}, Limit: 10, ExcludePinned: without, FolderID: tl.Some(folder)}
		for _, ch := range must[*api.MessagesDialogs](u, q).Chats {
			names = append(names, ch.(*api.Channel).Username.Value)
		}
		return names
	}
	for _, l := range []struct {
		got  []string
		want string
	}{{list(0, false), "second first"}, {list(0, true), "first"}, {list(1, false), "third"}} {
		if got := strings.Join(l.got, " "); got != l.want {
			t.Errorf("got %q, want %q", got, l.want)
		}
	}
	pinned := must[*api.MessagesPeerDialogs](u, &api.MessagesGetPinnedDialogsRequest{})
	if len(pinned.Dialogs) != 1 || !pinned.Dialogs[0].(*api.Dialog).Pinned {
		t.Errorf("pinned are %+v", pinned.Dialogs)
	}
}
