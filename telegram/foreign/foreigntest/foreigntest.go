// Package foreigntest writes sessions in the forms of other clients, for tests
// of what reads them. Its forms are checked against vectors and files that those
// clients made, by the tests of package foreign.
package foreigntest

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net"
	"net/netip"
	"strconv"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/telegram/foreign"
)

// home is the key of the home DC.
func home(s foreign.Session) []byte {
	key := s.Keys[s.DC].Bytes()
	return key[:]
}

func address(s foreign.Session) (host string, port uint16) {
	host, text, _ := net.SplitHostPort(s.Address)
	n, _ := strconv.ParseUint(text, 10, 16)
	return host, uint16(n)
}

// Telethon is the string of Telethon. Its address must be an IP address.
func Telethon(s foreign.Session) string {
	host, port := address(s)
	b := append([]byte{byte(s.DC)}, netip.MustParseAddr(host).AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, port)
	return "1" + base64.URLEncoding.EncodeToString(append(b, home(s)...))
}

// GramJS is the string of GramJS.
func GramJS(s foreign.Session) string {
	host, port := address(s)
	b := binary.BigEndian.AppendUint16([]byte{byte(s.DC)}, uint16(len(host)))
	b = binary.BigEndian.AppendUint16(append(b, host...), port)
	return "1" + base64.StdEncoding.EncodeToString(append(b, home(s)...))
}

// Pyrogram is the current string of Pyrogram.
func Pyrogram(s foreign.Session, appID uint32) string {
	b := binary.BigEndian.AppendUint32([]byte{byte(s.DC)}, appID)
	b = append(append(b, bit(s.Environment == foreign.Test)), home(s)...)
	b = append(binary.BigEndian.AppendUint64(b, uint64(s.UserID)), bit(s.Bot))
	return base64.RawURLEncoding.EncodeToString(b)
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// MTKruto is the string of MTKruto.
func MTKruto(s foreign.Session) string {
	dc := strconv.Itoa(s.DC)
	if s.Environment == foreign.Test {
		dc += "-test"
	}
	b := append([]byte{byte(len(dc))}, dc...)
	b = append(b, make([]byte, -len(b)&3)...)
	b = append(append(b, 254, 0, 1, 0), home(s)...) // 256 bytes
	var out []byte
	for i := 0; i < len(b); i++ {
		out = append(out, b[i])
		if b[i] != 0 {
			continue
		}
		run := 1
		for i+1 < len(b) && b[i+1] == 0 && run < 250 {
			run++
			i++
		}
		out = append(out, byte(run))
	}
	return base64.RawURLEncoding.EncodeToString(out)
}

// Gotd is the JSON of gotd.
func Gotd(s foreign.Session) []byte {
	type config struct {
		TestMode bool
		ThisDC   int
		Date     int
	}
	type data struct {
		Config    config
		DC        int
		Addr      string
		AuthKey   []byte
		AuthKeyID []byte
		Salt      int64
	}
	date := 1
	if s.Environment == foreign.Unknown {
		date = 0
	}
	b, err := json.Marshal(struct {
		Version int
		Data    data
	}{1, data{
		config{s.Environment == foreign.Test, s.DC, date},
		s.DC, s.Address, home(s),
		binary.LittleEndian.AppendUint64(nil, uint64(s.Keys[s.DC].ID())), 5,
	}})
	if err != nil {
		panic(err) // nothing in it can fail
	}
	return b
}

// TDL is the key-value file of tdl with a namespace for each session.
func TDL(sessions map[string]foreign.Session) []byte {
	top := map[string]map[string][]byte{"empty": {}}
	for name, s := range sessions {
		top[name] = map[string][]byte{"session": Gotd(s), "app": []byte("desktop")}
	}
	b, err := json.Marshal(top)
	if err != nil {
		panic(err) // nothing in it can fail
	}
	return b
}

// WithKey is the SQLite file of another session with its auth key exchanged:
// as long as the key lies in one piece, nothing else in the file changes.
func WithKey(db []byte, from, to *crypto.AuthKey) []byte {
	a, b := from.Bytes(), to.Bytes()
	return bytes.ReplaceAll(db, a[:], b[:])
}
