package dctest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/tghaul/haul/telegram/dctest/content"
)

// The world is what the cluster serves: channels, their messages and files. A
// message is computed from the seed when it is asked for, so that a channel of
// a million messages costs nothing; only what clients send is stored.

// epoch is when the first message was sent.
var epoch = time.Date(2024, 3, 1, 8, 0, 0, 0, time.UTC)

var kinds = map[string]content.Kind{
	"photo": content.Photo, "video": content.Video, "audio": content.Audio, "voice": content.Voice, "document": content.Document,
}

// A worldFile is a file of a message, without anything that depends on an account.
type worldFile struct {
	id      int64
	kind    content.Kind
	size    int64
	dc      int
	cdn     bool
	name    string // overrides the content's own
	data    source
	deleted bool
	mime    string
	upload  *uploadedMedia // of files that clients have sent
}

// A source is the bytes of a file.
type source interface {
	ReadAt(p []byte, off int64) (int, error)
	Size() int64
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
	from       int64 // user id of who sent it, 0 for the channel itself
}

// A channel is what a ChannelConfig describes, and what clients sent to it.
type channel struct {
	cfg     ChannelConfig
	index   int
	id      int64
	special []special
	mixed   int // messages of cfg.Files
	sent    []*worldMessage
	pts     int
}

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
	cdn     bool
}

func newChannel(index int, cfg ChannelConfig) *channel {
	c := &channel{cfg: cfg, index: index, id: 1_500_000_001 + int64(index)}
	for _, f := range cfg.Files {
		c.mixed += f.Count
	}
	if cfg.Specials {
		c.special = specials(c.id)
	}
	c.pts = c.top() + 1
	return c
}

// specials are what archives must cope with.
func specials(channelID int64) []special {
	list := []special{
		{service: true, text: "channel created"},
		{text: "Welcome. Everything here is made up, and made from a seed."},
	}
	for i := range 5 {
		list = append(list, special{kind: "photo", size: 90 << 10, grouped: channelID<<8 | 1, text: []string{"An album of five", "", "", "", ""}[i]})
	}
	for _, name := range []string{
		"../../etc/passwd", "/absolute.txt", "CON", "aux.txt", "a:b?.txt", "trailing dots...", "trailing blank ",
		"\u202egnp.exe.txt", "tab\there\nline.txt", "nul\x00byte.txt", strings.Repeat("long ", 60) + ".txt",
		"Same Name.txt", "same name.TXT", "caf\u00e9.txt", "cafe\u0301.txt", ".hidden", "..", "",
	} {
		list = append(list, special{kind: "document", size: 700, name: name, text: "A file with a difficult name"})
	}
	return append(list,
		special{kind: "document", size: 4096, deleted: true, text: "This file was deleted"},
		special{kind: "photo", size: 30 << 10, protect: true, text: "This one must not be saved"},
		special{kind: "document", size: 0, name: "empty.txt", text: "An empty file"},
	)
}

// top is the highest message id.
func (c *channel) top() int { return len(c.special) + c.mixed + len(c.sent) }

// message returns message id of the channel, or nil.
func (w *world) message(c *channel, id int) *worldMessage {
	switch {
	case id < 1:
		return nil
	case id <= len(c.special):
		return w.specialMessage(c, id)
	case id <= len(c.special)+c.mixed:
		return w.mixedMessage(c, id)
	case id <= c.top():
		return c.sent[id-len(c.special)-c.mixed-1]
	default:
		return nil
	}
}

func (w *world) specialMessage(c *channel, id int) *worldMessage {
	s := c.special[id-1]
	m := &worldMessage{
		id: id, date: messageDate(id), text: s.text, grouped: s.grouped,
		noForwards: s.protect || c.cfg.NoForwards, service: s.service,
	}
	if s.kind != "" {
		m.file = w.newFile(c, id, FileSpec{Kind: s.kind, DC: w.cfg.HomeDC, CDN: s.cdn}, s.size)
		m.file.name, m.file.deleted = s.name, s.deleted
		if s.kind == "document" && s.name == "" {
			m.file.name = "\x00none"
		}
	}
	return m
}

// mixedMessage finds which of the specs message id belongs to: they are mixed
// by a permutation, so that neither kinds nor DCs stand in blocks.
func (w *world) mixedMessage(c *channel, id int) *worldMessage {
	n := c.mixed
	place := int((uint64(id-len(c.special)-1)*mixStep(n) + w.cfg.Seed) % uint64(n))
	m := &worldMessage{id: id, date: messageDate(id), noForwards: c.cfg.NoForwards}
	for _, f := range c.cfg.Files {
		if place >= f.Count {
			place -= f.Count
			continue
		}
		if f.Kind == "text" {
			m.text = fmt.Sprintf("Message %d has no file, only words.", id)
			return m
		}
		rnd := w.random(uint64(c.index)<<32|uint64(id), 1)
		size := f.MinSize
		if span := f.MaxSize - f.MinSize; span > 0 {
			size += rnd.Int64N(span + 1)
		}
		m.file = w.newFile(c, id, f, size)
		if rnd.IntN(3) == 0 {
			m.text = fmt.Sprintf("Caption of %s %d", f.Kind, id)
		}
		return m
	}
	return m
}

func messageDate(id int) time.Time { return epoch.Add(time.Duration(id) * 7 * time.Minute) }

// mixStep is a number without a common factor with n.
func mixStep(n int) uint64 {
	step := uint64(n)*5/8 | 1
	for gcd(step, uint64(n)) != 1 {
		step += 2
	}
	return step
}

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

// File ids look random, and tell channel and message to who knows how: they
// are the numbers times an odd one, modulo 2^62.
const (
	idFactor = 0x2545f4914f6cdd1d
	idMask   = 1<<62 - 1
	uploads  = maxChannels // "channel" of files that clients have sent
)

func fileID(channel, message int) int64 {
	return int64((uint64(channel)<<31 | uint64(message)) * idFactor & idMask)
}

func parseFileID(id int64) (channel, message int, ok bool) {
	if id <= 0 || id > idMask {
		return 0, 0, false
	}
	raw := uint64(id) * inverseID & idMask
	return int(raw >> 31), int(raw & (1<<31 - 1)), raw>>31 <= uploads
}

// inverseID undoes idFactor modulo 2^62, by Newton's method.
var inverseID = func() uint64 {
	x := uint64(idFactor)
	for range 6 {
		x *= 2 - idFactor*x
	}
	return x
}()

func (w *world) newFile(c *channel, id int, spec FileSpec, size int64) *worldFile {
	kind := kinds[spec.Kind]
	f := &worldFile{id: fileID(c.index, id), kind: kind, dc: spec.DC, cdn: spec.CDN}
	made := w.made[f.id]
	if made == nil {
		made = content.New(w.cfg.Seed, f.id, kind, size)
		if w.made == nil || len(w.made) >= madeFiles {
			w.made = map[int64]*content.File{}
		}
		w.made[f.id] = made
	}
	f.data, f.size, f.mime = made, made.Size(), made.MimeType()
	return f
}

// madeFiles is how many files are remembered: the first read of one may cost
// as much as a hundred later ones.
const madeFiles = 128

// file finds a file by its id.
func (w *world) file(id int64) *worldFile {
	ch, msg, ok := parseFileID(id)
	switch {
	case !ok:
		return nil
	case ch == uploads:
		return w.uploadedFile(id)
	case ch >= len(w.channels):
		return nil
	}
	m := w.message(w.channels[ch], msg)
	if m == nil || m.file == nil || m.file.deleted || m.file.id != id {
		return nil
	}
	return m.file
}

// mac is a keyed hash of numbers, from which all secrets of the world are made.
func (w *world) mac(purpose string, numbers ...int64) []byte {
	h := hmac.New(sha256.New, binary.LittleEndian.AppendUint64([]byte("haul dctest "), w.cfg.Seed))
	h.Write([]byte(purpose))
	for _, n := range numbers {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(n)))
	}
	return h.Sum(nil)
}

// accessHash of a thing for an account: it is worth nothing to others.
func (w *world) accessHash(account, thing int64) int64 {
	return int64(binary.LittleEndian.Uint64(w.mac("access", account, thing)))
}

// A file reference is its time in milliseconds, and a MAC of it with account
// and file: it needs no memory, and cannot be made up.
const referenceSize = 1 + 8 + 16

func (w *world) reference(account, file int64, now time.Time) []byte {
	ref := binary.BigEndian.AppendUint64([]byte{1}, uint64(now.UnixMilli()))
	return append(ref, w.mac("reference", account, file, now.UnixMilli())[:16]...)
}

// checkReference returns "", or the error type.
func (w *world) checkReference(ref []byte, account, file int64, now, minTime time.Time) string {
	switch {
	case len(ref) == 0:
		return "FILE_REFERENCE_EMPTY"
	case len(ref) != referenceSize || ref[0] != 1:
		return "FILE_REFERENCE_INVALID"
	}
	ms := int64(binary.BigEndian.Uint64(ref[1:]))
	if !hmac.Equal(ref[9:], w.mac("reference", account, file, ms)[:16]) {
		return "FILE_REFERENCE_INVALID"
	}
	if made := time.UnixMilli(ms); now.Sub(made) > time.Duration(w.cfg.ReferenceLifetime) || made.Before(minTime) {
		return "FILE_REFERENCE_EXPIRED"
	}
	return ""
}
