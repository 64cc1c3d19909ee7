package dctest

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/tghaul/haul/telegram/dctest/content"
	"github.com/tghaul/haul/tl/api"
)

// The world is what the cluster serves: chats, their messages and files. A
// message is computed from the seed when it is asked for, so that a channel of
// a million messages costs nothing; only what clients send is stored.
//
// Cluster.mu guards whatever changes in it.
type world struct {
	cfg       *Config
	channels  []*chat
	saved     map[int64]*chat // Saved Messages, by account
	uploaded  []*worldFile
	made      map[int64]*worldFile // files asked for lately, since making one takes a while
	madeBytes int64                // their weight
	expiries  map[int64]uint32     // how often all references to a file have expired at once
	// allExpired is how often those to all files have.
	allExpired uint32
}

// maxMade bounds world.made, in bytes: 128 large files, or thousands of small
// ones. A file that is heavier is remembered alone.
const maxMade = 128 << 20

// weight is about what a made file keeps in memory: all of it, but of a large
// document or video only what stands around its noise.
func (f *worldFile) weight() int64 {
	bytes := f.size
	if f.kind == content.Document || f.kind == content.Video {
		bytes = min(bytes, 1<<20-1<<10)
	}
	return 1<<10 + bytes
}

func newWorld(cfg *Config) *world {
	w := &world{cfg: cfg, saved: map[int64]*chat{}, made: map[int64]*worldFile{}, expiries: map[int64]uint32{}}
	for i, ch := range cfg.Channels {
		w.channels = append(w.channels, newChannel(i, ch))
	}
	for _, ch := range w.channels[:len(cfg.Channels)] {
		if len(ch.cfg.Comments) > 0 {
			w.channels = append(w.channels, newDiscussion(len(w.channels), ch))
		}
	}
	return w
}

// Messages of channels are spread over channelSpan from epoch on, at most
// messageGap apart.
const (
	channelSpan = 600 * 24 * time.Hour
	messageGap  = 7 * time.Minute
)

var epoch = time.Date(2024, 3, 1, 8, 0, 0, 0, time.UTC)

// textKind is the FileSpec.Kind of messages without a file.
const textKind = "text"

var kinds = map[string]content.Kind{
	"photo": content.Photo, "video": content.Video, "audio": content.Audio, "voice": content.Voice, "document": content.Document,
	// Documents and videos that say of themselves that they are more.
	"sticker": content.Document, "animation": content.Video, "round": content.Video,
}

// kindName is the FileSpec.Kind of a file.
func (f *worldFile) kindName() string {
	if f.shape != "" {
		return f.shape
	}
	for _, name := range []string{"photo", "video", "audio", "voice"} {
		if kinds[name] == f.kind {
			return name
		}
	}
	return "document"
}

// A source is the bytes of a file.
type source interface {
	io.ReaderAt
	Size() int64
}

// A worldFile is a file, without anything that depends on an account. Only
// data is read without Cluster.mu.
type worldFile struct {
	id      int64
	kind    content.Kind
	shape   string // sticker, animation or round, if it is one
	size    int64
	dc      int
	cdn     bool
	deleted bool   // its message has lost it
	name    string // noName for none
	mime    string
	data    source
	upload  *uploadedMedia // of files that clients have sent
}

// noName is the name of a file that has none at all.
const noName = "\x00none"

func (f *worldFile) fileName() string {
	if f.name == noName {
		return ""
	}
	return f.name
}

// A worldMessage is a message, without anything that depends on an account.
type worldMessage struct {
	id         int
	date       time.Time
	text       string
	file       *worldFile
	grouped    int64
	noForwards bool
	service    bool
	from       int64     // user id of who sent it, 0 for the channel itself
	began      string    // title of the topic that this service message began
	post       int       // of a discussion group: the post that this is a copy of
	edited     time.Time // zero: never
	entities   []api.MessageEntityClass
	forwarded  *forwarded // nil: written here
	silent     bool
	reply      int // message that it answers; 0: none
	topic      int // of a forum that a client has sent it to; 0: General
}

// A chat is a channel with what clients sent to it, or the Saved Messages of a user.
type chat struct {
	cfg     ChannelConfig
	index   int   // among the channels; -1 for Saved Messages
	id      int64 // of the channel, or of the user
	special []special
	mixed   int // messages of cfg.Files
	// about is the channel whose posts are discussed here, talk the group
	// where those of this one are.
	about, talk *chat
	gap         time.Duration
	sent        []*worldMessage
	ids         idList
	pts         int
	schedules   int                     // ids of scheduled messages that were given out
	base        int                     // pts of what was there from the beginning
	log         []change                // what has happened since, of which each has raised pts by one
	editions    map[int][]*worldMessage // what messages have become that were edited, the oldest first
	found       map[string]foundList    // searches and threads, while nothing changes
}

// firstChannelID is the id of the first channel.
const firstChannelID = 1_500_000_001

func newChannel(index int, cfg ChannelConfig) *chat {
	c := &chat{cfg: cfg, index: index, id: firstChannelID + int64(index), pts: 1}
	if cfg.Specials {
		c.special = specials(c.id)
	} else if len(cfg.Topics) > 0 {
		c.special = []special{{service: true}} // id 1 stands for the General topic
	}
	c.begin()
	for i, s := range c.special {
		if s.gap {
			c.ids.remove(i + 1)
		}
	}
	return c
}

// begin counts the messages that there are from the beginning.
func (c *chat) begin() {
	for _, f := range c.cfg.Files {
		c.mixed += f.Count
	}
	c.ids.top = c.front() + c.mixed
	c.pts += c.ids.top
	c.base = c.pts
	c.gap = min(messageGap, channelSpan/time.Duration(max(1, c.ids.top)))
}

// front is how many messages come before those of cfg.Files.
func (c *chat) front() int {
	if c.about != nil {
		return c.about.mixed
	}
	return len(c.special) + len(c.cfg.Topics)
}

func newSaved(user int64) *chat { return &chat{index: -1, id: user, pts: 1, base: 1} }

// private reports whether the chat is the Saved Messages of a user.
func (c *chat) private() bool { return c.index < 0 }

// A special is a message that stands for itself.
type special struct {
	text    string
	kind    string // "" has no file
	size    int64
	name    string
	grouped int64
	deleted bool
	protect bool
	service bool
	gap     bool // there is no such message
}

// hostileNames are file names that must not be used as they are.
var hostileNames = []string{
	"../../etc/passwd", "/absolute.txt", `..\..\windows.txt`, "CON", "aux.txt", "a:b?.txt", "trailing dots...", "trailing blank ",
	"\u202egnp.exe.txt", "tab\there\nline.txt", "nul\x00byte.txt", strings.Repeat("long ", 60) + ".txt",
	"Same Name.txt", "same name.TXT", "caf\u00e9.txt", "cafe\u0301.txt", ".hidden", "..", noName,
}

// specials are what archives must cope with.
func specials(channelID int64) []special {
	list := []special{
		{service: true},
		{text: "Welcome. Everything here is made up, and made from a seed."},
		{gap: true},
	}
	for i := range 5 {
		s := special{kind: "photo", size: 90 << 10, grouped: channelID<<8 | 1}
		if i == 0 {
			s.text = "An album of five"
		}
		list = append(list, s)
	}
	for _, name := range hostileNames {
		list = append(list, special{kind: "document", size: 700, name: name, text: "A file with a difficult name"})
	}
	return append(list,
		special{gap: true}, special{gap: true},
		special{kind: "document", size: 4096, deleted: true, text: "This file was deleted"},
		special{kind: "photo", size: 30 << 10, protect: true, text: "This one must not be saved"},
		special{kind: "document", size: 0, name: "empty.txt", text: "An empty file"},
	)
}

// message returns message id of a chat, nil if there is none.
func (w *world) message(c *chat, id int) *worldMessage {
	if !c.ids.has(id) {
		return nil
	}
	return w.everMessage(c, id)
}

// everMessage is message for those that were deleted too.
func (w *world) everMessage(c *chat, id int) *worldMessage {
	if versions := c.editions[id]; len(versions) > 0 {
		return versions[len(versions)-1]
	}
	return w.firstMessage(c, id)
}

// firstMessage is everMessage as it was before it was edited.
func (w *world) firstMessage(c *chat, id int) *worldMessage {
	switch {
	case id < 1 || id > c.ids.top:
		return nil
	case id <= c.front() && c.about != nil:
		return w.copiedPost(c, id)
	case id <= len(c.special):
		return w.specialMessage(c, id)
	case id <= c.front():
		return &worldMessage{id: id, date: c.date(id), service: true, began: c.cfg.Topics[id-len(c.special)-1], noForwards: c.cfg.NoForwards}
	case id <= c.front()+c.mixed:
		return w.mixedMessage(c, id)
	default:
		return c.sent[id-c.front()-c.mixed-1]
	}
}

// date is when message id was sent, or would have been.
func (c *chat) date(id int) time.Time {
	if made := c.front() + c.mixed; id > made {
		return c.sent[id-made-1].date
	}
	return epoch.Add(time.Duration(id) * c.gap)
}

func (w *world) specialMessage(c *chat, id int) *worldMessage {
	s := c.special[id-1]
	if s.gap {
		return nil
	}
	m := &worldMessage{
		id: id, date: c.date(id), text: s.text, grouped: s.grouped,
		noForwards: s.protect || c.cfg.NoForwards, service: s.service,
	}
	if s.kind != "" {
		m.file = w.newFile(c, id, FileSpec{Kind: s.kind, DC: w.cfg.HomeDC}, s.size)
		m.file.deleted = s.deleted
		if s.name != "" {
			m.file.name = s.name
		}
	}
	return m
}

// mixedMessage finds which of the specs message id belongs to: they are mixed
// by a permutation, so that neither kinds nor DCs stand in blocks.
func (w *world) mixedMessage(c *chat, id int) *worldMessage {
	m := &worldMessage{id: id, date: c.date(id), noForwards: c.cfg.NoForwards}
	spec := c.cfg.Files[w.specOf(c, id)]
	if spec.Kind == textKind {
		m.text = fmt.Sprintf("Message %d has no file, only words.", id)
		return m
	}
	rnd := w.random(uint64(c.index)<<32|uint64(id), 1)
	size := spec.MinSize
	if span := spec.MaxSize - spec.MinSize; span > 0 {
		size += rnd.Int64N(span + 1)
	}
	m.file = w.newFile(c, id, spec, size)
	if rnd.IntN(3) == 0 {
		m.text = fmt.Sprintf("Caption of %s %d", spec.Kind, id)
	}
	return m
}

// specOf is the index in cfg.Files of what a mixed message has.
func (w *world) specOf(c *chat, id int) int {
	n := uint64(c.mixed)
	place := int((uint64(id-c.front()-1)*mixStep(n) + w.cfg.Seed%n) % n)
	for i, f := range c.cfg.Files {
		if place < f.Count {
			return i
		}
		place -= f.Count
	}
	panic("dctest: more messages than files") // mixed is the sum of the counts
}

// mixStep is a number without a common factor with n, so far from every simple
// fraction of n that its multiples spread evenly, also over any short stretch.
func mixStep(n uint64) uint64 {
	step := n*5/8 | 1
	if n > longMix { // there 5/8 would put each kind in blocks
		step = uint64(float64(n)/math.Phi) | 1
	}
	for gcd(step, n) != 1 {
		step += 2
	}
	return step
}

// longMix is the number of messages up to which 5/8 is good enough. What
// shorter channels have in which message is relied on.
const longMix = 1000

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// random is a generator that depends on the seed, a thing and a purpose.
func (w *world) random(thing, purpose uint64) *rand.Rand {
	return rand.New(rand.NewPCG(w.cfg.Seed^purpose<<56, thing))
}

// post adds a message that a client has sent.
func (w *world) post(c *chat, m *worldMessage) {
	m.id = c.ids.top + 1
	c.sent = append(c.sent, m)
	c.ids.top++
	c.note(change{kind: posted, id: m.id})
}

// File ids look random, and tell channel and message to who knows how: they
// are the numbers times an odd one, modulo 2^62.
const (
	idFactor = 0x2545f4914f6cdd1d
	idMask   = 1<<62 - 1
	uploads  = maxChannels // "channel" of files that clients have sent
	// Of the bits of the product's first factor these are the message's; above
	// them are the channel's, and then the number of the edition.
	messageBits, channelBits = 31, 11
)

func fileID(channel, message int) int64 { return versionID(channel, message, 0) }

// versionID is the id of the file of a message that was edited n times.
func versionID(channel, message, n int) int64 {
	return int64((uint64(n)<<(messageBits+channelBits) | uint64(channel)<<messageBits | uint64(message)) * idFactor & idMask)
}

func parseFileID(id int64) (channel, message int, ok bool) {
	if id <= 0 || id > idMask {
		return 0, 0, false
	}
	raw := uint64(id) * inverseID & idMask
	channel = int(raw >> messageBits & (1<<channelBits - 1))
	return channel, int(raw & (1<<messageBits - 1)), channel <= uploads
}

// inverseID undoes idFactor modulo 2^62, by Newton's method.
var inverseID = func() uint64 {
	x := uint64(idFactor)
	for range 6 {
		x *= 2 - idFactor*x
	}
	return x
}()

func (w *world) newFile(c *chat, id int, spec FileSpec, size int64) *worldFile {
	return w.newVersion(fileID(c.index, id), spec, size)
}

// newVersion makes the file with an id.
func (w *world) newVersion(file int64, spec FileSpec, size int64) *worldFile {
	if kinds[spec.Kind] != content.Document {
		size = max(size, 1) // 0 would make an empty document
	}
	made := content.New(w.cfg.Seed, file, kinds[spec.Kind], size)
	f := &worldFile{
		id: file, kind: kinds[spec.Kind], dc: spec.DC, cdn: spec.CDN,
		data: made, size: made.Size(), mime: made.MimeType(), name: made.Name(),
	}
	if f.name == "" {
		f.name = noName
	}
	switch spec.Kind {
	case "sticker":
		f.shape, f.mime, f.name = spec.Kind, "image/webp", "sticker.webp"
	case "animation", "round":
		f.shape = spec.Kind
	}
	return f
}

// file finds a file by its id, also one whose message is gone.
func (w *world) file(id int64) *worldFile {
	if f := w.made[id]; f != nil {
		return f
	}
	ch, msg, ok := parseFileID(id)
	switch {
	case !ok:
		return nil
	case ch == uploads:
		if msg < 1 || msg > len(w.uploaded) {
			return nil
		}
		return w.uploaded[msg-1]
	case ch >= len(w.channels):
		return nil
	}
	if f := w.channels[ch].edition(msg, id); f != nil {
		return f
	}
	m := w.firstMessage(w.channels[ch], msg)
	if m == nil || m.file == nil || m.file.deleted || m.file.id != id {
		return nil
	}
	w.keep(m.file)
	return m.file
}

// keep remembers a made file that is not remembered, and forgets others if they are too much.
func (w *world) keep(f *worldFile) {
	w.madeBytes += f.weight()
	for id, other := range w.made {
		if w.madeBytes <= maxMade {
			break
		}
		w.madeBytes -= other.weight()
		delete(w.made, id)
	}
	w.made[f.id] = f
}

// deleteMessageOf makes the message of a channel's file go.
func (w *world) deleteMessageOf(file int64) {
	ch, msg, ok := parseFileID(file)
	if !ok || ch >= len(w.channels) {
		return
	}
	w.remove(w.channels[ch], msg)
}
