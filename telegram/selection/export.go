package selection

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/tghaul/haul/telegram"
)

// Exports of other programs name messages: those of Telegram Desktop
// (result.json of one chat, or of a whole account) and of tdl (tdl chat export).
// They come from anywhere, and so are taken for hostile: read as a stream, with
// everything bounded that is kept.

// An ExportChat is a chat as an export names it.
type ExportChat struct {
	Name string
	// Peers are the chats that it may be, by kind and id, the likeliest first:
	// tdl does not say of which kind a chat is.
	Peers []telegram.Peer
	// Messages is how many messages with media are listed.
	Messages int
}

// ErrExport is wrapped by errors about a file that is no export, or a damaged one.
var ErrExport = errors.New("not an export of Telegram Desktop or tdl")

const (
	maxExportValue = 1 << 20 // bytes of a message, or of any one text
	maxExportDepth = 200     // of what is passed over
	maxExportChats = 10_000
	maxExportName  = 200 // bytes that are kept of a name
)

// ReadExport reads an export to its end, and calls use for each message with
// media, by its chat and id, each once for a chat. chat counts from 0, in the
// order of the result, and is not complete before the end. An error of use ends
// it. Errors about the export wrap ErrExport and name the place.
func ReadExport(r io.Reader, use func(chat int, id int) error) ([]ExportChat, error) {
	m := &meter{r: r, left: maxExportValue}
	e := &exportReader{meter: m, dec: json.NewDecoder(m), use: use}
	e.dec.UseNumber()
	err := e.root()
	if err == nil {
		if _, more := e.dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the object")
		}
	}
	if err == nil && !e.any {
		err = errors.New("it lists no messages")
	}
	var mine *useError
	switch {
	case errors.As(err, &mine):
		return nil, mine.err
	case err != nil:
		return nil, fmt.Errorf("%w: at byte %d: %w", ErrExport, e.dec.InputOffset(), err)
	}
	return e.chats, nil
}

// A useError is not about the export.
type useError struct{ err error }

func (e *useError) Error() string { return e.err.Error() }

// A meter reads no more than left, which bounds how much a decoder keeps.
type meter struct {
	r    io.Reader
	left int
}

func (m *meter) Read(b []byte) (int, error) {
	if m.left <= 0 {
		return 0, fmt.Errorf("a value is longer than %d bytes", maxExportValue)
	}
	n, err := m.r.Read(b[:min(len(b), m.left)])
	m.left -= n
	return n, err
}

type exportReader struct {
	meter *meter
	dec   *json.Decoder
	use   func(chat, id int) error
	chats []ExportChat
	any   bool // there was a list of messages
}

// token is the next one.
func (e *exportReader) token() (json.Token, error) {
	e.meter.left = maxExportValue
	t, err := e.dec.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return t, err
}

// open wants an object or list to begin.
func (e *exportReader) open(want json.Delim) error {
	t, err := e.token()
	if err == nil && t != want {
		err = fmt.Errorf("want %v, got %.20v", want, t)
	}
	return err
}

// fields calls read for each key of an object that has begun.
func (e *exportReader) fields(read func(key string) error) error {
	for e.dec.More() {
		t, err := e.token()
		if err != nil {
			return err
		}
		key, _ := t.(string) // keys are
		if err := read(key); err != nil {
			return err
		}
	}
	_, err := e.token()
	return err
}

// items calls read for each item of a list.
func (e *exportReader) items(read func() error) error {
	if err := e.open('['); err != nil {
		return err
	}
	for e.dec.More() {
		if err := read(); err != nil {
			return err
		}
	}
	_, err := e.token()
	return err
}

// skip passes over a value of any size.
func (e *exportReader) skip() error {
	for depth := 0; ; {
		t, err := e.token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > maxExportDepth {
				return errors.New("nested too deeply")
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// root reads an export: a chat, or an account with lists of chats.
func (e *exportReader) root() error {
	if err := e.open('{'); err != nil {
		return err
	}
	return e.chat(func(key string) error {
		if key != "chats" && key != "left_chats" {
			return e.skip()
		}
		if err := e.open('{'); err != nil {
			return err
		}
		return e.fields(func(key string) error {
			if key != "list" {
				return e.skip()
			}
			return e.items(func() error {
				if err := e.open('{'); err != nil {
					return err
				}
				return e.chat(func(string) error { return e.skip() })
			})
		})
	})
}

// chat reads the fields of a chat; other is for those that it does not know.
func (e *exportReader) chat(other func(key string) error) error {
	var name, kind string
	var id int64
	return e.fields(func(key string) (err error) {
		switch key {
		case "name":
			name, err = e.text()
		case "type":
			kind, err = e.text()
		case "id":
			id, err = e.number()
		case "messages":
			return e.messages(name, kind, id)
		default:
			return other(key)
		}
		return err
	})
}

// text is a string, or null.
func (e *exportReader) text() (string, error) {
	t, err := e.token()
	if s, ok := t.(string); ok {
		return s[:min(len(s), maxExportName)], err
	}
	if err == nil && t != nil {
		err = fmt.Errorf("want a text, got %.20v", t)
	}
	return "", err
}

func (e *exportReader) number() (int64, error) {
	t, err := e.token()
	if err != nil {
		return 0, err
	}
	n, ok := t.(json.Number)
	if !ok {
		return 0, fmt.Errorf("want a number, got %.20v", t)
	}
	return strconv.ParseInt(n.String(), 10, 64)
}

// messages reads the messages of a chat of which all else was read before.
func (e *exportReader) messages(name, kind string, id int64) error {
	peers, err := exportPeers(kind, id)
	if err == nil && len(e.chats) >= maxExportChats {
		err = fmt.Errorf("more than %d chats", maxExportChats)
	}
	if err != nil {
		return err
	}
	e.any = true
	at := len(e.chats)
	e.chats = append(e.chats, ExportChat{Name: name, Peers: peers})
	var seen idSet
	return e.items(func() error {
		e.meter.left = maxExportValue
		var m exportMessage
		if err := e.dec.Decode(&m); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		id, err := strconv.ParseInt(m.ID.String(), 10, 64)
		switch {
		case err != nil || id > math.MaxInt32:
			return fmt.Errorf("%.20q is no message id", m.ID)
		case id < 1, !m.hasMedia(), seen.add(int(id)): // ids below 1 are those of a group before it became a supergroup
			return nil
		}
		e.chats[at].Messages++
		if err := e.use(at, int(id)); err != nil {
			return &useError{err}
		}
		return nil
	})
}

// An exportMessage is what matters of a message in an export.
type exportMessage struct {
	ID        json.Number     `json:"id"`
	File      json.RawMessage `json:"file"`
	Photo     json.RawMessage `json:"photo"`
	MediaType json.RawMessage `json:"media_type"`
}

func (m *exportMessage) hasMedia() bool {
	for _, field := range []json.RawMessage{m.File, m.Photo, m.MediaType} {
		if len(field) > 0 && !bytes.Equal(field, []byte("null")) && !bytes.Equal(field, []byte(`""`)) {
			return true
		}
	}
	return false
}

// exportPeers are the chats that a kind, "" if the export does not say, and an
// id may stand for.
func exportPeers(kind string, id int64) ([]telegram.Peer, error) {
	var kinds []telegram.PeerKind
	switch kind {
	case "saved_messages":
		return []telegram.Peer{{Kind: telegram.PeerSelf}}, nil
	case "personal_chat", "bot_chat", "replies", "verify_codes":
		kinds = []telegram.PeerKind{telegram.PeerUser}
	case "private_group":
		kinds = []telegram.PeerKind{telegram.PeerChat}
	case "private_supergroup", "public_supergroup", "private_channel", "public_channel":
		kinds = []telegram.PeerKind{telegram.PeerChannel}
	case "":
		kinds = []telegram.PeerKind{telegram.PeerChannel, telegram.PeerUser, telegram.PeerChat}
	default:
		return nil, fmt.Errorf("chat of unknown type %.40q", kind)
	}
	if id < 0 { // marked
		p, err := telegram.PeerFromMarkedID(id)
		return []telegram.Peer{p}, err
	}
	var peers []telegram.Peer
	for _, k := range kinds {
		p := telegram.Peer{Kind: k, ID: id}
		if same, err := telegram.PeerFromMarkedID(p.MarkedID()); err == nil && same == p {
			peers = append(peers, p)
		}
	}
	if len(peers) == 0 {
		return nil, fmt.Errorf("messages before the id of their chat, or %d is none", id)
	}
	return peers, nil
}

// An idSet is a set of message ids, small where ids lie close together.
type idSet struct{ blocks map[int]*[8]uint64 }

// add puts an id in, and reports whether it was there.
func (s *idSet) add(id int) bool {
	b := s.blocks[id>>9]
	if b == nil {
		if s.blocks == nil {
			s.blocks = make(map[int]*[8]uint64)
		}
		b = new([8]uint64)
		s.blocks[id>>9] = b
	}
	word, bit := &b[id>>6&7], uint64(1)<<(id&63)
	had := *word&bit != 0
	*word |= bit
	return had
}
