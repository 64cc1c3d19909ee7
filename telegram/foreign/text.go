package foreign

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/tghaul/haul/mtproto/crypto"
)

// The forms that are a line of text. Each is told from the others by its
// length and by what its first bytes must be.

// maxText bounds a session string in bytes. Real ones have less than 500; MTKruto's
// could double its key.
const maxText = 2 << 10

// ParseText reads a session string of Telethon, GramJS, Pyrogram (all three
// forms) or MTKruto. Space around it does not matter.
// Errors: ErrUnknown, ErrDamaged, ErrEmpty.
func ParseText(text string) (Session, error) {
	text = strings.TrimSpace(text)
	if len(text) > maxText {
		return Session{}, ErrUnknown
	}
	if rest, ok := strings.CutPrefix(text, "1"); ok {
		if data, ok := unbase64(rest); ok {
			return parseVersion1(data)
		}
	}
	data, ok := unbase64(text)
	if !ok {
		return Session{}, ErrUnknown
	}
	if s, ok, err := parsePyrogram(data); ok {
		return s, err
	}
	return parseMTKruto(data)
}

// unbase64 takes both alphabets, with or without padding: strings are pasted
// through chats and shells, which cut off the = at times.
func unbase64(s string) ([]byte, bool) {
	s = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(s, "="))
	b, err := base64.RawURLEncoding.DecodeString(s)
	return b, err == nil && len(b) > 0
}

// parseVersion1 reads what Telethon and GramJS write after their "1":
//
//	Telethon: dc u8, IPv4 or IPv6, port u16, key      263 or 275 bytes
//	GramJS:   dc u8, length u16, address, port u16, key    261 bytes and the address
//
// A GramJS address of 14 letters is as long as Telethon's IPv6 form, so that
// the content decides.
func parseVersion1(data []byte) (Session, error) {
	const telethon4, telethon6, gramJS = 1 + 4 + 2 + crypto.AuthKeySize, 1 + 16 + 2 + crypto.AuthKeySize, 1 + 2 + 2 + crypto.AuthKeySize
	if len(data) < telethon4 {
		return Session{}, ErrUnknown
	}
	client, host := "Telethon", ""
	head := data[1 : len(data)-crypto.AuthKeySize-2]
	if n := int(binary.BigEndian.Uint16(data[1:])); n >= 7 && n <= 64 && len(data) == gramJS+n && isHost(head[2:]) {
		client, host = "GramJS", string(head[2:])
	} else if len(data) == telethon4 || len(data) == telethon6 {
		a, _ := netip.AddrFromSlice(head)
		host = a.Unmap().String()
	} else {
		return Session{}, ErrUnknown
	}
	s, err := newSession(client, int(data[0]), data[len(data)-crypto.AuthKeySize:])
	s.setAddress(host, int(binary.BigEndian.Uint16(data[len(data)-crypto.AuthKeySize-2:])))
	return s, err
}

// isHost says whether b can be a host name or an address.
func isHost(b []byte) bool {
	for _, c := range b {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '.' && c != ':' && c != '-' {
			return false
		}
	}
	return true
}

// parsePyrogram reads the three forms of Pyrogram; ok says that it is one.
//
//	dc u8, [app id u32,] test u8, key, user id u64 or u32, bot u8
func parsePyrogram(data []byte) (s Session, ok bool, err error) {
	appID, userID := 0, 8
	switch len(data) {
	case 271:
		appID = 4
	case 267:
	case 263:
		userID = 4
	default:
		return Session{}, false, nil
	}
	test, bot := data[1+appID], data[len(data)-1]
	if data[0] == 0 || test > 1 || bot > 1 {
		return Session{}, false, nil
	}
	key := data[1+appID+1:][:crypto.AuthKeySize]
	s, err = newSession("Pyrogram", int(data[0]), key)
	s.setTest(test == 1)
	s.Bot = bot == 1
	var id [8]byte
	copy(id[8-userID:], data[len(data)-1-userID:len(data)-1])
	s.UserID = int64(binary.BigEndian.Uint64(id[:]))
	if s.UserID < 0 && err == nil {
		err = fmt.Errorf("%s: %w: user %d", s.Client, ErrDamaged, s.UserID)
	}
	return s, true, err
}

// parseMTKruto reads zero-run-encoded TL: string dc ("2", "2-test"), bytes key.
func parseMTKruto(data []byte) (Session, error) {
	plain, ok := expandZeros(data, maxText)
	if !ok {
		return Session{}, ErrUnknown
	}
	dc, rest, ok := cutTLString(plain)
	if !ok || len(dc) > 16 {
		return Session{}, ErrUnknown
	}
	key, rest, ok := cutTLString(rest)
	number, test := strings.CutSuffix(string(dc), "-test")
	id := smallNumber(number)
	if !ok || id == 0 || len(rest) != 0 {
		return Session{}, ErrUnknown
	}
	s, err := newSession("MTKruto", id, key)
	s.setTest(test)
	return s, err
}

// smallNumber reads a number of one to four digits, 0 if it is none.
func smallNumber(s string) int {
	if len(s) == 0 || len(s) > 4 {
		return 0
	}
	n := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// expandZeros undoes the encoding in which 00 n stands for n zeros.
func expandZeros(b []byte, limit int) ([]byte, bool) {
	var out []byte
	for len(b) > 0 {
		i := bytes.IndexByte(b, 0)
		if i < 0 {
			i = len(b)
		}
		out = append(out, b[:i]...)
		b = b[i:]
		if len(b) > 0 {
			if len(b) < 2 || b[1] == 0 {
				return nil, false
			}
			out = append(out, make([]byte, b[1])...)
			b = b[2:]
		}
		if len(out) > limit {
			return nil, false
		}
	}
	return out, true
}

// cutTLString takes a TL string, with its padding, from the front of b.
func cutTLString(b []byte) (value, rest []byte, ok bool) {
	head, n := 1, 0
	switch {
	case len(b) == 0 || b[0] == 255:
		return nil, nil, false
	case b[0] < 254:
		n = int(b[0])
	case len(b) < 4:
		return nil, nil, false
	default:
		head, n = 4, int(b[1])|int(b[2])<<8|int(b[3])<<16
	}
	total := (head + n + 3) &^ 3
	if total > len(b) {
		return nil, nil, false
	}
	return b[head : head+n], b[total:], true
}
