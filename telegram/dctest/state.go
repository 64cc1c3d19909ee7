package dctest

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/tghaul/haul/telegram/dctest/content"
	"github.com/tghaul/haul/telegram/dctest/internal/mtserver"
	"github.com/tghaul/haul/tl"
	"github.com/tghaul/haul/tl/api"
	"github.com/tghaul/haul/tl/schema"
)

// What survives a restart in StateDir: RSA and auth keys, who is signed in,
// and what clients have sent. Everything else comes from the seed.

type state struct {
	RSA     [2][]byte                  `json:"rsa"` // PKCS#1
	Keys    map[string]json.RawMessage `json:"keys"`
	Logins  []stateLogin               `json:"logins"`
	Futures []stateFuture              `json:"futures,omitempty"`
	Exports []stateTakeout             `json:"takeouts,omitempty"`
	Emails  map[int64]string           `json:"emails,omitempty"` // for logins, by account
	Layers  map[int64]int              `json:"layers"`
	Uploads []stateUpload              `json:"uploads"`
	Sent    map[int64][]stateMessage   `json:"sent"` // by id of the channel or, of Saved Messages, the user
	// Changes are what has happened in channels, in order. Without them what was
	// sent is all.
	Changes map[int64][]stateChange `json:"changes,omitempty"`
}

// A stateChange is a change. A post without Post is the next one of Sent.
type stateChange struct {
	Kind changeKind `json:"kind"`
	ID   int        `json:"id"`
	Post *Post      `json:"post,omitempty"`
	At   time.Time  `json:"at,omitzero"`
}

type stateLogin struct {
	DC      int   `json:"dc"`
	Key     int64 `json:"key"`
	Account int64 `json:"account"`
	// The login that vouched for this one; 0 if none did.
	ParentDC  int   `json:"parent_dc,omitempty"`
	ParentKey int64 `json:"parent_key,omitempty"`
}

type stateFuture struct {
	Token   []byte `json:"token"`
	Account int64  `json:"account"`
}

type stateTakeout struct {
	DC    int       `json:"dc"`
	Key   int64     `json:"key"`
	ID    int64     `json:"id"`
	Scope []byte    `json:"scope"` // TL
	Until time.Time `json:"until,omitzero"`
}

// The bytes of upload n, from 1, are in the file upload-n.
type stateUpload struct {
	Kind       content.Kind `json:"kind"`
	Mime       string       `json:"mime"`
	Name       string       `json:"name"`
	Account    int64        `json:"account"`
	DC         int          `json:"dc"`
	Attributes []byte       `json:"attributes"` // TL
	Width      int          `json:"width"`
	Height     int          `json:"height"`
	Shape      string       `json:"shape,omitempty"`
	Thumb      []byte       `json:"thumb,omitempty"` // JPEG
	ThumbW     int          `json:"thumb_w,omitempty"`
	ThumbH     int          `json:"thumb_h,omitempty"`
}

type stateMessage struct {
	Date       time.Time  `json:"date"`
	Text       string     `json:"text"`
	File       int64      `json:"file,omitempty"`
	Grouped    int64      `json:"grouped,omitempty"`
	From       int64      `json:"from"`
	NoForwards bool       `json:"noforwards,omitempty"`
	Entities   []byte     `json:"entities,omitempty"` // TL
	Silent     bool       `json:"silent,omitempty"`
	Reply      int        `json:"reply,omitempty"`
	Topic      int        `json:"topic,omitempty"`
	Forwarded  *forwarded `json:"forwarded,omitempty"`
}

func (c *Cluster) statePath(name string) string { return filepath.Join(c.cfg.StateDir, name) }

// loadState restores what an earlier cluster saved, and returns the RSA keys to use.
func (c *Cluster) loadState() ([2]*rsa.PrivateKey, error) {
	keys, err := rsaKeys()
	if err != nil || c.cfg.StateDir == "" {
		return keys, err
	}
	b, err := os.ReadFile(c.statePath("state.json"))
	if errors.Is(err, os.ErrNotExist) {
		return keys, nil
	}
	if err != nil {
		return keys, err
	}
	var s state
	if err := json.Unmarshal(b, &s); err != nil {
		return keys, fmt.Errorf("state in %s: %w", c.cfg.StateDir, err)
	}
	for i := range keys {
		if keys[i], err = x509.ParsePKCS1PrivateKey(s.RSA[i]); err != nil {
			return keys, fmt.Errorf("state in %s: %w", c.cfg.StateDir, err)
		}
	}
	return keys, c.restore(&s)
}

func (c *Cluster) restore(s *state) error {
	for dc, raw := range s.Keys {
		id, err := strconv.Atoi(dc)
		if err != nil {
			return err
		}
		c.keys[id] = mtserver.NewKeyStore()
		if err := c.keys[id].Load(bytes.NewReader(raw)); err != nil {
			return err
		}
	}
	for _, l := range s.Logins {
		c.logins[keyAt{l.DC, l.Key}] = login{account: l.Account, parent: keyAt{l.ParentDC, l.ParentKey}}
	}
	for _, f := range s.Futures {
		c.futures[string(f.Token)] = f.Account
	}
	maps.Copy(c.emails.set, s.Emails)
	for _, x := range s.Exports {
		t := &takeout{id: x.ID, until: x.Until}
		d := tl.NewDecoder(x.Scope)
		if t.scope.Decode(d); d.End() != nil {
			return fmt.Errorf("takeout %d: %w", x.ID, d.End())
		}
		c.takeouts.open[keyAt{x.DC, x.Key}] = t
	}
	for key, layer := range s.Layers {
		c.inits[key] = layer
	}
	for i, u := range s.Uploads {
		f, err := os.Open(c.statePath("upload-" + strconv.Itoa(i+1)))
		if err != nil {
			return err
		}
		data := &fileSource{f: f}
		if info, err := f.Stat(); err == nil {
			data.size = info.Size()
		}
		media := &uploadedMedia{name: u.Name, account: u.Account, w: u.Width, h: u.Height, thumb: u.Thumb, thumbW: u.ThumbW, thumbH: u.ThumbH}
		if media.attributes, err = decodeAll(u.Attributes, api.DecodeDocumentAttribute); err != nil {
			return errors.Join(err, f.Close())
		}
		c.world.uploaded = append(c.world.uploaded, &worldFile{
			id: fileID(uploads, i+1), kind: u.Kind, size: data.size, dc: u.DC, mime: u.Mime, name: u.Name,
			data: data, upload: media, shape: u.Shape,
		})
	}
	for id, list := range s.Sent {
		if ch := c.chatByID(id); ch != nil {
			if err := c.restoreSent(ch, list, s.Changes[id]); err != nil {
				return err
			}
		}
	}
	return nil
}

// restoreSent has happen once more what has happened.
func (c *Cluster) restoreSent(ch *chat, list []stateMessage, changes []stateChange) error {
	if changes == nil {
		changes = make([]stateChange, len(list)) // posts
	}
	for _, what := range changes {
		switch {
		case what.Kind == deleted:
			c.world.remove(ch, what.ID)
		case what.Kind == edited && what.Post != nil:
			c.world.edit(ch, what.ID, *what.Post, what.At)
		case what.Post != nil:
			c.world.postMade(ch, *what.Post, what.At)
		case len(list) == 0:
			return fmt.Errorf("chat %d: more changes than messages", ch.id)
		default:
			m, err := c.sentMessage(list[0])
			if err != nil {
				return err
			}
			c.world.post(ch, m)
			list = list[1:]
		}
	}
	return nil
}

func (c *Cluster) sentMessage(m stateMessage) (*worldMessage, error) {
	entities, err := decodeAll(m.Entities, api.DecodeMessageEntity)
	if err != nil {
		return nil, err
	}
	msg := &worldMessage{date: m.Date, text: m.Text, grouped: m.Grouped, from: m.From, noForwards: m.NoForwards, entities: entities}
	msg.silent, msg.reply, msg.topic, msg.forwarded = m.Silent, m.Reply, m.Topic, m.Forwarded
	if m.File != 0 {
		msg.file = c.world.file(m.File)
	}
	return msg, nil
}

// chatByID is the chat that an id means in a state, nil if there is none in
// this scenario.
func (c *Cluster) chatByID(id int64) *chat {
	if i := id - firstChannelID; i >= 0 && i < int64(len(c.world.channels)) {
		return c.world.channels[i]
	}
	if c.accountLocked(id) != nil {
		return c.world.savedOf(id)
	}
	return nil
}

// saveState writes what loadState reads. Close calls it.
func (c *Cluster) saveState() error {
	if c.cfg.StateDir == "" || len(c.dcs) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := state{Keys: map[string]json.RawMessage{}, Layers: c.inits, Emails: c.emails.set, Sent: map[int64][]stateMessage{}, Changes: map[int64][]stateChange{}}
	for i, k := range c.rsa {
		s.RSA[i] = x509.MarshalPKCS1PrivateKey(k)
	}
	for id, store := range c.keys {
		var b bytes.Buffer
		if err := store.Save(&b); err != nil {
			return err
		}
		s.Keys[strconv.Itoa(id)] = b.Bytes()
	}
	for k, l := range c.logins {
		s.Logins = append(s.Logins, stateLogin{DC: k.dc, Key: k.key, Account: l.account, ParentDC: l.parent.dc, ParentKey: l.parent.key})
	}
	for token, id := range c.futures {
		s.Futures = append(s.Futures, stateFuture{Token: []byte(token), Account: id})
	}
	for k, t := range c.takeouts.open {
		s.Exports = append(s.Exports, stateTakeout{DC: k.dc, Key: k.key, ID: t.id, Scope: tl.Marshal(&t.scope), Until: t.until})
	}
	if err := os.MkdirAll(c.cfg.StateDir, 0o700); err != nil {
		return err
	}
	for i, f := range c.world.uploaded {
		if err := c.saveUpload(&s, i, f); err != nil {
			return err
		}
	}
	for _, ch := range c.world.channels {
		s.Sent[ch.id] = sentState(ch)
		for _, what := range ch.log {
			s.Changes[ch.id] = append(s.Changes[ch.id], stateChange{what.kind, what.id, what.post, what.at})
		}
	}
	for _, ch := range c.world.saved {
		s.Sent[ch.id] = sentState(ch)
	}
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return writeFile(c.statePath("state.json"), b)
}

// sentState is what clients have sent, without what was made.
func sentState(ch *chat) (list []stateMessage) {
	made := map[int]bool{}
	for _, what := range ch.log {
		if what.kind == posted && what.post != nil {
			made[what.id] = true
		}
	}
	for _, m := range ch.sent {
		if made[m.id] {
			continue
		}
		var e tl.Encoder
		for _, entity := range m.entities {
			entity.Encode(&e)
		}
		sm := stateMessage{Date: m.date, Text: m.text, Grouped: m.grouped, From: m.from, NoForwards: m.noForwards, Entities: e.Bytes()}
		sm.Silent, sm.Reply, sm.Topic = m.silent, m.reply, m.topic
		sm.Forwarded = m.forwarded
		if m.file != nil {
			sm.File = m.file.id
		}
		list = append(list, sm)
	}
	return list
}

func (c *Cluster) saveUpload(s *state, i int, f *worldFile) error {
	var e tl.Encoder
	for _, a := range f.upload.attributes {
		a.Encode(&e)
	}
	s.Uploads = append(s.Uploads, stateUpload{
		Kind: f.kind, Mime: f.mime, Name: f.name, Account: f.upload.account, DC: f.dc,
		Attributes: e.Bytes(), Width: f.upload.w, Height: f.upload.h,
		Shape: f.shape, Thumb: f.upload.thumb, ThumbW: f.upload.thumbW, ThumbH: f.upload.thumbH,
	})
	path := c.statePath("upload-" + strconv.Itoa(i+1))
	if _, err := os.Stat(path); err == nil {
		return nil // written by an earlier Close: uploads do not change
	}
	switch data := f.data.(type) {
	case *fileSource:
		return os.Link(data.f.Name(), path) // the parts lie in the same folder
	case memSource:
		return writeFile(path, data)
	default:
		return fmt.Errorf("upload %d is a %T", i+1, data)
	}
}

func methodName(id uint32) string {
	name, _ := schema.Name(id)
	return name
}
