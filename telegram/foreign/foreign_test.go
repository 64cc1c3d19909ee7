package foreign_test

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/foreign"
	"github.com/tghaul/haul/telegram/foreign/foreigntest"
)

// vectorKey is the key of all vectors and files in testdata.
func vectorKey() *crypto.AuthKey {
	var v [crypto.AuthKeySize]byte
	for i := range v {
		v[i] = byte(3*i + 1)
	}
	return crypto.NewAuthKey(v)
}

func reversed(k *crypto.AuthKey) *crypto.AuthKey {
	v := k.Bytes()
	slices.Reverse(v[:])
	return crypto.NewAuthKey(v)
}

type stringVector struct {
	DC     int    `json:"dc"`
	IP     string `json:"ip"`
	Port   int    `json:"port"`
	Test   bool   `json:"test"`
	UserID int64  `json:"user_id"`
	Bot    bool   `json:"bot"`
	String string `json:"string"`
}

type vectors struct {
	AuthKey   string       `json:"auth_key"`
	AuthKeyID string       `json:"auth_key_id_wire"`
	Telethon4 stringVector `json:"telethon_ipv4"`
	Telethon6 stringVector `json:"telethon_ipv6"`
	Pyrogram  stringVector `json:"pyrogram"`
	Old64     stringVector `json:"pyrogram_old_64"`
	Old32     stringVector `json:"pyrogram_old_32"`
	GramJS    stringVector `json:"gramjs"`
	Gotd      string       `json:"gotd_json"`
	Tdata     struct {
		None     tdataVector `json:"no_passcode"`
		Passcode tdataVector `json:"passcode_1234"`
		UserID   int64       `json:"user_id"`
		Account0 string      `json:"file_name_account_0"`
		Data     string      `json:"file_mtp_data"`
	} `json:"tdata"`
}

type tdataVector struct {
	KeyData string `json:"file_key_datas"`
}

func loadVectors(t testing.TB) vectors {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// want compares what was read, keys included, which print as nothing.
func want(t *testing.T, got, want foreign.Session) {
	t.Helper()
	if len(got.Keys) != len(want.Keys) {
		t.Errorf("got %d keys, want %d", len(got.Keys), len(want.Keys))
	}
	for dc, k := range want.Keys {
		if got.Keys[dc] == nil || got.Keys[dc].Bytes() != k.Bytes() || got.Keys[dc].ID() != k.ID() {
			t.Errorf("key of DC %d differs", dc)
		}
	}
	got.Keys, want.Keys = nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, want %#v", got, want)
	}
}

func homeKey(dc int) map[int]*crypto.AuthKey { return map[int]*crypto.AuthKey{dc: vectorKey()} }

func TestStrings(t *testing.T) {
	v := loadVectors(t)
	if key := vectorKey().Bytes(); v.AuthKey != hex.EncodeToString(key[:]) {
		t.Fatal("the vectors have another key")
	}
	if id := vectorKey().ID(); v.AuthKeyID != fmt.Sprintf("%016x", reverse64(uint64(id))) {
		t.Errorf("auth_key_id is %x, want %s on the wire", id, v.AuthKeyID)
	}
	const v4, v6 = "149.154.167.51:443", "[2001:67c:4e8:f002::a]:443"
	for name, c := range map[string]struct {
		text string
		want foreign.Session
	}{
		"Telethon IPv4":   {v.Telethon4.String, foreign.Session{Client: "Telethon", DC: 2, Address: v4, Environment: foreign.Production}},
		"Telethon IPv6":   {v.Telethon6.String, foreign.Session{Client: "Telethon", DC: 2, Address: v6, Environment: foreign.Production}},
		"padding lost":    {strings.TrimRight(v.Telethon4.String, "="), foreign.Session{Client: "Telethon", DC: 2, Address: v4, Environment: foreign.Production}},
		"GramJS":          {" " + v.GramJS.String + "\n", foreign.Session{Client: "GramJS", DC: 2, Address: v4, Environment: foreign.Production}},
		"Pyrogram":        {v.Pyrogram.String, foreign.Session{Client: "Pyrogram", DC: 2, Environment: foreign.Production, UserID: v.Pyrogram.UserID}},
		"Pyrogram, old":   {v.Old64.String, foreign.Session{Client: "Pyrogram", DC: 2, Environment: foreign.Production, UserID: v.Old64.UserID, Bot: true}},
		"Pyrogram, first": {v.Old32.String, foreign.Session{Client: "Pyrogram", DC: 4, Environment: foreign.Test, UserID: v.Old32.UserID}},
		"MTKruto": {
			foreigntest.MTKruto(foreign.Session{DC: 2, Keys: homeKey(2)}),
			foreign.Session{Client: "MTKruto", DC: 2, Environment: foreign.Production},
		},
		"MTKruto, test": {
			foreigntest.MTKruto(foreign.Session{DC: 3, Keys: homeKey(3), Environment: foreign.Test}),
			foreign.Session{Client: "MTKruto", DC: 3, Environment: foreign.Test},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := foreign.ParseText(c.text)
			if err != nil {
				t.Fatal(err)
			}
			c.want.Keys = homeKey(c.want.DC)
			want(t, got, c.want)
		})
	}
}

func reverse64(n uint64) (r uint64) {
	for range 8 {
		r, n = r<<8|n&255, n>>8
	}
	return r
}

// TestWriters holds the writers of foreigntest against vectors made by others.
func TestWriters(t *testing.T) {
	v := loadVectors(t)
	s := foreign.Session{DC: 2, Address: "149.154.167.51:443", Keys: homeKey(2), Environment: foreign.Production, UserID: v.Pyrogram.UserID}
	for name, c := range map[string][2]string{
		"Telethon": {foreigntest.Telethon(s), v.Telethon4.String},
		"GramJS":   {foreigntest.GramJS(s), v.GramJS.String},
		"Pyrogram": {foreigntest.Pyrogram(s, 12345), v.Pyrogram.String},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: got %s, want %s", name, c[0], c[1])
		}
	}
	b, err := os.ReadFile(filepath.Join("testdata", "telethon.txt")) // by Telethon's own code
	if err != nil {
		t.Fatal(err)
	}
	if got := foreigntest.Telethon(s); got != strings.TrimSpace(string(b)) {
		t.Errorf("got %s, Telethon writes %s", got, b)
	}
}

func TestJSON(t *testing.T) {
	v := loadVectors(t)
	list, err := foreign.ParseJSON([]byte(v.Gotd))
	if err != nil || len(list) != 1 {
		t.Fatalf("got %d sessions, %v", len(list), err)
	}
	session := foreign.Session{Client: "gotd", DC: 2, Address: "149.154.167.51:443", Environment: foreign.Production, Keys: homeKey(2)}
	want(t, list[0], session)

	test := session
	test.Environment, test.DC, test.Keys = foreign.Test, 1, map[int]*crypto.AuthKey{1: reversed(vectorKey())}
	list, err = foreign.Parse(foreigntest.TDL(map[string]foreign.Session{"work": session, "default": test}))
	if err != nil || len(list) != 2 {
		t.Fatalf("tdl: got %d sessions, %v", len(list), err)
	}
	session.Client, session.Name, test.Client, test.Name = "tdl", "work", "tdl", "default"
	want(t, list[0], test)
	want(t, list[1], session)

	damaged := strings.Replace(v.Gotd, `"AuthKey": "A`, `"AuthKey": "B`, 1)
	if _, err := foreign.ParseJSON([]byte(damaged)); damaged == v.Gotd || !errors.Is(err, foreign.ErrDamaged) {
		t.Errorf("a key that does not belong to its id: got %v, want %v", err, foreign.ErrDamaged)
	}
}

func TestSQLite(t *testing.T) {
	big := telegram.Peer{Kind: telegram.PeerChannel, ID: 1234567890, Username: "bigchannel"}
	for file, c := range map[string]struct {
		want  foreign.Session
		peers []telegram.Peer
	}{
		"telethon.session": {
			foreign.Session{Client: "Telethon", DC: 2, Address: "149.154.167.51:443", Environment: foreign.Production},
			[]telegram.Peer{
				{Kind: telegram.PeerChannel, ID: 1234567890, AccessHash: -222, Username: "bigchannel", Title: "The big channel"},
				{Kind: telegram.PeerChat, ID: 4321, Title: "A group"},
				{Kind: telegram.PeerUser, ID: 777000, AccessHash: 111, Title: "Telegram"},
			},
		},
		"pyrogram.session": {
			foreign.Session{Client: "Pyrogram", DC: 2, Environment: foreign.Test, UserID: 987654321012, Bot: true},
			[]telegram.Peer{withHash(big, 333)},
		},
		"kurigram.session": { // its rows are in the write-ahead log
			foreign.Session{Client: "Pyrogram", DC: 2, Address: "149.154.167.51:443", Environment: foreign.Production, UserID: 987654321012},
			[]telegram.Peer{withHash(big, 444)},
		},
	} {
		t.Run(file, func(t *testing.T) {
			list, err := foreign.Open(os.DirFS("testdata"), file, nil)
			if err != nil || len(list) != 1 {
				t.Fatalf("got %d sessions, %v", len(list), err)
			}
			c.want.Keys, c.want.Peers = homeKey(2), c.peers
			want(t, list[0], c.want)
		})
	}
}

func withHash(p telegram.Peer, hash int64) telegram.Peer {
	p.AccessHash = hash
	return p
}

// TestSQLiteMany reads a tree of several levels, rows that overflow their
// pages, and what deleted rows have left. make.py says what is in it.
func TestSQLiteMany(t *testing.T) {
	list, err := foreign.Open(os.DirFS("testdata"), "telethon_many.session", nil)
	if err != nil {
		t.Fatal(err)
	}
	s := list[0]
	n := 0
	for i := int64(1); i <= 80; i++ {
		if i%3 == 0 {
			continue
		}
		p := s.Peers[n]
		n++
		if p.ID != i || p.AccessHash != i*0x123456789ABC-1<<62 || p.Username != fmt.Sprintf("user%d", i) || len(p.Title) != int(i*7%1300) {
			t.Errorf("entity %d: got %d, hash %d, %s, a name of %d letters", i, p.ID, p.AccessHash, p.Username, len(p.Title))
		}
	}
	if len(s.Peers) != n || s.DC != 4 || s.Address != "[2001:67c:4e8:f004::a]:443" {
		t.Errorf("got %d peers, want %d; DC %d at %s", len(s.Peers), n, s.DC, s.Address)
	}
}

func TestSQLiteInUse(t *testing.T) {
	db, err := os.ReadFile(filepath.Join("testdata", "telethon.session"))
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{
		"a.session":         {Data: db},
		"a.session-journal": {Data: []byte("\xd9\xd5\x05\xf9\x20\xa1\x63\xd7 and so on")},
	}
	if _, err := foreign.Open(files, "a.session", nil); !errors.Is(err, foreign.ErrInUse) {
		t.Errorf("a transaction is under way: got %v, want %v", err, foreign.ErrInUse)
	}
	files["a.session-journal"].Data = make([]byte, 100) // journal_mode=persist leaves this
	if _, err := foreign.Open(files, "a.session", nil); err != nil {
		t.Errorf("an old journal: %v", err)
	}
}

// TestSQLiteLog: what was written to the log and not committed does not count.
func TestSQLiteLog(t *testing.T) {
	db, err := os.ReadFile(filepath.Join("testdata", "kurigram.session"))
	if err != nil {
		t.Fatal(err)
	}
	wal, err := os.ReadFile(filepath.Join("testdata", "kurigram.session-wal"))
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(b []byte) []byte{
		"no log":             func([]byte) []byte { return nil },
		"last frame cut off": func(b []byte) []byte { return b[:len(b)-1] },
		"bit of last frame":  func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"bit of the header":  func(b []byte) []byte { b[13] ^= 1; return b },
	} {
		if _, err := foreign.ParseSQLite(db, damage(bytes.Clone(wal)), nil); !errors.Is(err, foreign.ErrEmpty) {
			t.Errorf("%s: got %v, want %v", name, err, foreign.ErrEmpty)
		}
	}
}

func noPasscode() (string, error) { return "", errors.New("nobody is asked") }

func TestTdata(t *testing.T) {
	v := loadVectors(t).Tdata
	session := foreign.Session{
		Client: "Telegram Desktop", Name: "1", DC: 2, Environment: foreign.Production, UserID: v.UserID,
		Keys: map[int]*crypto.AuthKey{2: vectorKey(), 4: reversed(vectorKey())},
	}
	for passcode, keyData := range map[string]string{"": v.None.KeyData, "1234": v.Passcode.KeyData} {
		files := fstest.MapFS{
			"tdata/key_datas":           {Data: unhex(t, keyData)},
			"tdata/" + v.Account0:       {Data: unhex(t, v.Data)},
			"tdata/" + v.Account0 + "x": {Data: []byte("of no interest")},
		}
		for _, name := range []string{".", "tdata"} {
			list, err := foreign.Open(files, name, func() (string, error) { return passcode, nil })
			if err != nil || len(list) != 1 {
				t.Fatalf("passcode %q: got %d accounts, %v", passcode, len(list), err)
			}
			want(t, list[0], session)
		}
		if passcode == "" {
			continue
		}
		if _, err := foreign.ReadTdata(files, "1235"); !errors.Is(err, foreign.ErrPasscode) {
			t.Errorf("wrong passcode: got %v, want %v", err, foreign.ErrPasscode)
		}
		if _, err := foreign.Open(files, ".", noPasscode); err == nil || errors.Is(err, foreign.ErrPasscode) {
			t.Errorf("nobody to ask: got %v", err)
		}
	}
}

// TestTdataAccounts: several of them, the test environment, and one that
// nobody is signed in with.
func TestTdataAccounts(t *testing.T) {
	a := foreign.Session{DC: 2, UserID: 7, Environment: foreign.Production, Keys: homeKey(2)}
	b := foreign.Session{DC: 1, UserID: 1 << 40, Environment: foreign.Test, Keys: map[int]*crypto.AuthKey{1: reversed(vectorKey())}}
	files := foreigntest.Tdata("pass", a, foreign.Session{DC: 2}, b)
	list, err := foreign.ReadTdata(files, "pass")
	if err != nil || len(list) != 2 {
		t.Fatalf("got %d accounts, %v", len(list), err)
	}
	a.Client, a.Name, b.Client, b.Name = "Telegram Desktop", "1", "Telegram Desktop", "3"
	want(t, list[0], a)
	want(t, list[1], b)

	// An interrupted save leaves the other copy.
	files["key_data1"] = files["key_datas"]
	files["key_datas"] = &fstest.MapFile{Data: []byte("TDF$ broken")}
	if _, err := foreign.ReadTdata(files, "pass"); err != nil {
		t.Errorf("with a second copy: %v", err)
	}
}

// TestTdataDamage changes the last encrypted byte, which is padding, and sums
// the file up again: what was sealed must be whole.
func TestTdataDamage(t *testing.T) {
	files := foreigntest.Tdata("", foreign.Session{DC: 2, UserID: 7, Keys: homeKey(2)})
	const name = "D877F783D5D3EF8Cs"
	b := files[name].Data
	data := b[8 : len(b)-md5.Size]
	data[len(data)-1] ^= 1
	h := md5.New()
	h.Write(data)
	h.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(data))))
	h.Write(b[4:8])
	h.Write([]byte("TDF$"))
	copy(b[len(b)-md5.Size:], h.Sum(nil))
	if list, err := foreign.ReadTdata(files, ""); !errors.Is(err, foreign.ErrDamaged) {
		t.Errorf("got %v, %v, want %v", list, err, foreign.ErrDamaged)
	}
}

func TestErrors(t *testing.T) {
	zeros := foreign.Session{DC: 2, Address: "1.2.3.4:443", Keys: map[int]*crypto.AuthKey{2: crypto.NewAuthKey([256]byte{})}}
	outside := foreign.Session{DC: 0, Address: "1.2.3.4:443", Keys: map[int]*crypto.AuthKey{0: vectorKey()}}
	files := fstest.MapFS{
		"old/D877F783D5D3EF8C/map0": {Data: []byte("TDF$")},
		"other/readme":              {Data: []byte("hello")},
		"words":                     {Data: []byte("correct horse battery staple")},
		"json":                      {Data: []byte(`{"version": 3}`)},
		"later":                     {Data: []byte(`{"Version": 2, "Data": {}}`)},
		"zeros":                     {Data: []byte(foreigntest.Telethon(zeros))},
		"outside":                   {Data: []byte(foreigntest.Telethon(outside))},
		"short":                     {Data: []byte(foreigntest.Telethon(zeros)[:300])},
		"database":                  {Data: append([]byte("SQLite format 3\x00"), make([]byte, 600)...)},
		"empty":                     {},
	}
	for name, want := range map[string]error{
		"old": foreign.ErrTooOld, "other": foreign.ErrUnknown, "words": foreign.ErrUnknown, "json": foreign.ErrUnknown,
		"later": foreign.ErrUnknown, "zeros": foreign.ErrEmpty, "outside": foreign.ErrDamaged, "short": foreign.ErrUnknown,
		"database": foreign.ErrDamaged, "empty": foreign.ErrUnknown, "nothing": fs.ErrNotExist,
	} {
		list, err := foreign.Open(files, name, noPasscode)
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, %v, want %v", name, list, err, want)
		}
	}
}

// TestNothingShown: neither a session nor an error prints a secret.
func TestNothingShown(t *testing.T) {
	list, err := foreign.Open(os.DirFS("testdata"), "telethon.session", nil)
	if err != nil {
		t.Fatal(err)
	}
	key := vectorKey().Bytes()
	text := fmt.Sprintf("%v %+v %#v %s", list, list, list, list[0])
	for _, secret := range []string{hex.EncodeToString(key[:8]), string(key[40:60]), "-222", "1 4 7 10 13"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in %q", secret, text)
		}
	}
}
