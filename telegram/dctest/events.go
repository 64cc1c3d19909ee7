package dctest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tghaul/haul/telegram/dctest/internal/mtserver"
	"github.com/tghaul/haul/tl/api"
)

// What happens in channels while the cluster runs: posts, edits and deletions,
// by the scenario's schedule or by calls of tests. Each raises the pts of its
// channel by one, is kept for updates.getChannelDifference, and is told at once
// to sessions that get updates. See core.telegram.org/api/updates.

// A Post is a message that comes while the cluster runs, or what one becomes
// by an edit. Its bytes are made from the seed.
type Post struct {
	Text string `json:"text"`
	Kind string `json:"kind"` // of its file, as FileSpec.Kind; "" or text: none
	Size int64  `json:"size"`
	DC   int    `json:"dc"` // the home DC if 0
}

// An Event is something that happens in a channel, some time after the cluster
// has started: a post; with Edit, that this message becomes the post; or a
// deletion.
type Event struct {
	At     Duration `json:"at"`
	Times  int      `json:"times"` // how often it happens; once if 0
	Every  Duration `json:"every"` // the time between
	Post   *Post    `json:"post"`
	Edit   int      `json:"edit"`   // id of a message; a Post without a file keeps that of the message
	Delete []int    `json:"delete"` // ids
}

func (p *Post) check(dcs map[int]bool) error {
	_, known := kinds[p.Kind]
	switch {
	case !known && p.Kind != textKind && p.Kind != "":
		return fmt.Errorf("unknown kind %q", p.Kind)
	case p.Size < 0 || p.Size > maxFileSize:
		return fmt.Errorf("size %d, want 0 to %d", p.Size, int64(maxFileSize))
	case p.DC != 0 && !dcs[p.DC]:
		return fmt.Errorf("dc %d is not an ordinary one of dcs", p.DC)
	}
	return nil
}

func (e *Event) check(dcs map[int]bool) error {
	switch {
	case e.At < 0 || e.Every < 0 || e.Times < 0 || e.Edit < 0:
		return errors.New("a number is negative")
	case e.Post == nil && len(e.Delete) == 0, e.Post != nil && len(e.Delete) > 0:
		return errors.New("want either a post, perhaps with edit, or delete")
	case e.Edit > 0 && e.Post == nil:
		return errors.New("edit without a post: what does it become?")
	case e.Post != nil:
		return e.Post.check(dcs)
	}
	return nil
}

// What happened to a message.
type changeKind int8

const (
	posted changeKind = iota
	edited
	deleted
)

// A change is one thing that has happened in a chat.
type change struct {
	kind changeKind
	id   int
	post *Post     // what it was made of; nil: a client has sent it, or it is gone
	at   time.Time // of edits and posts
}

// note is called after something has happened.
func (c *chat) note(ch change) {
	c.pts++
	c.found = nil
	c.log = append(c.log, ch)
}

// make makes the message of a post, which is to be number id, edited so often.
func (w *world) make(c *chat, id, edits int, p Post, now time.Time) *worldMessage {
	m := &worldMessage{id: id, date: now, text: p.Text, noForwards: c.cfg.NoForwards}
	if p.Kind != "" && p.Kind != textKind {
		spec := FileSpec{Kind: p.Kind, DC: cmp.Or(p.DC, w.cfg.HomeDC)}
		m.file = w.newVersion(versionID(c.index, id, edits), spec, p.Size)
	}
	return m
}

// postMade adds a message of the cluster's own.
func (w *world) postMade(c *chat, p Post, now time.Time) int {
	m := w.make(c, c.ids.top+1, 0, p, now)
	c.sent = append(c.sent, m)
	c.ids.top++
	c.note(change{posted, m.id, &p, now})
	return m.id
}

// edit makes a message what the post says. It reports whether there is one.
func (w *world) edit(c *chat, id int, p Post, now time.Time) bool {
	old := w.message(c, id)
	if old == nil || old.service {
		return false
	}
	m := *old
	versions := c.editions[id]
	made := w.make(c, id, len(versions)+1, p, now)
	m.text, m.edited, m.entities = p.Text, now, nil
	if made.file != nil {
		m.file = made.file
	}
	if c.editions == nil {
		c.editions = map[int][]*worldMessage{}
	}
	c.editions[id] = append(versions, &m)
	c.note(change{edited, id, &p, now})
	return true
}

// remove takes a message away. It reports whether there was one.
func (w *world) remove(c *chat, id int) bool {
	if !c.ids.has(id) {
		return false
	}
	c.ids.remove(id)
	c.note(change{kind: deleted, id: id})
	return true
}

// edition is the version of an edited message that has the file, nil if none has.
func (c *chat) edition(id int, file int64) *worldFile {
	for _, m := range c.editions[id] {
		if m.file != nil && m.file.id == file {
			return m.file
		}
	}
	return nil
}

// ErrNoMessage is the error of editing or deleting what is not there.
var ErrNoMessage = errors.New("dctest: no such channel or message")

// Post has messages appear in a channel, by its username or title, and returns
// the id of the last.
func (c *Cluster) Post(channel string, posts ...Post) (id int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := c.named(channel)
	if ch == nil {
		return 0, fmt.Errorf("%w: %s", ErrNoMessage, channel)
	}
	var ids []int
	now := c.now()
	for _, p := range posts {
		id = c.world.postMade(ch, p, now)
		ids = append(ids, id)
	}
	c.tellLocked(nil, ch, now, func(r *request) (list []api.UpdateClass) {
		for _, id := range ids {
			list = append(list, r.newMessage(ch, id))
		}
		return list
	})
	return id, nil
}

// Edit makes message id of a channel what the post says; one without a kind
// keeps the file.
func (c *Cluster) Edit(channel string, id int, p Post) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch, now := c.named(channel), c.now()
	if ch == nil || !c.world.edit(ch, id, p, now) {
		return fmt.Errorf("%w: %s %d", ErrNoMessage, channel, id)
	}
	c.tellLocked(nil, ch, now, func(r *request) []api.UpdateClass {
		return []api.UpdateClass{&api.UpdateEditChannelMessage{Message: r.render(ch, id), Pts: int32(ch.pts), PtsCount: 1}}
	})
	return nil
}

// Delete deletes messages of a channel.
func (c *Cluster) Delete(channel string, ids ...int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := c.named(channel)
	if ch == nil {
		return fmt.Errorf("%w: %s", ErrNoMessage, channel)
	}
	var gone []int32
	for _, id := range ids {
		if c.world.remove(ch, id) {
			gone = append(gone, int32(id))
		}
	}
	if len(gone) > 0 {
		c.tellLocked(nil, ch, c.now(), func(*request) []api.UpdateClass {
			return []api.UpdateClass{&api.UpdateDeleteChannelMessages{ChannelID: ch.id, Messages: gone, Pts: int32(ch.pts), PtsCount: int32(len(gone))}}
		})
	}
	if len(gone) < len(ids) {
		return fmt.Errorf("%w: %d of the %d in %s", ErrNoMessage, len(ids)-len(gone), len(ids), channel)
	}
	return nil
}

// named is the channel with a username or title, nil if there is none.
func (c *Cluster) named(channel string) *chat {
	for _, ch := range c.world.channels {
		if channel != "" && (ch.cfg.Username == channel || ch.cfg.Title == channel) {
			return ch
		}
	}
	return nil
}

// A due event is one of the schedule, at its moment.
type dueEvent struct {
	at    time.Duration
	ch    *chat
	event Event
}

// schedule has the scenario's events happen, until the cluster ends.
func (c *Cluster) schedule() {
	var due []dueEvent
	for i, cfg := range c.cfg.Channels {
		for _, e := range cfg.Events {
			for n := range max(1, e.Times) {
				due = append(due, dueEvent{time.Duration(e.At) + time.Duration(n)*time.Duration(e.Every), c.world.channels[i], e})
			}
		}
	}
	if len(due) == 0 {
		return
	}
	slices.SortStableFunc(due, func(a, b dueEvent) int { return cmp.Compare(a.at, b.at) })
	begun := time.Now()
	c.running.Go(func() error {
		for _, d := range due {
			t := time.NewTimer(d.at - time.Since(begun))
			select {
			case <-t.C:
				c.happen(d)
			case <-c.done:
				t.Stop()
				return nil
			}
		}
		return nil
	})
}

// happen lets one event happen. A message that is not there (any more) cannot
// be edited or deleted, as it is with people.
func (c *Cluster) happen(d dueEvent) {
	name := cmp.Or(d.ch.cfg.Username, d.ch.cfg.Title)
	var err error
	switch {
	case d.event.Edit > 0:
		err = c.Edit(name, d.event.Edit, *d.event.Post)
	case d.event.Post != nil:
		_, err = c.Post(name, *d.event.Post)
	default:
		err = c.Delete(name, d.event.Delete...)
	}
	if err != nil {
		c.cfg.Log.Warn("event of the scenario", "channel", name, "err", err)
	}
}

// tellLocked tells sessions of a change, but for the one that has made it.
func (c *Cluster) tellLocked(except *mtserver.Session, ch *chat, now time.Time, updates func(*request) []api.UpdateClass) {
	for session, l := range c.listeners {
		if session.Ended() {
			delete(c.listeners, session)
			continue
		}
		if session == except || ch.private() && l.me.id != ch.id {
			continue
		}
		// A request of its own: what a message looks like depends on who sees it.
		r := &request{Call: &mtserver.Call{DC: l.dc}, c: c, me: l.me, layer: l.layer, now: now}
		c.push(session, l, r.updates(ch, updates(r)))
	}
}
