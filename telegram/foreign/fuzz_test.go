package foreign_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/tghaul/haul/telegram/foreign"
	"github.com/tghaul/haul/telegram/foreign/foreigntest"
)

// checkSessions holds what parsed against what every session must be.
func checkSessions(t *testing.T, input int, list []foreign.Session, err error) {
	t.Helper()
	if err != nil {
		for _, known := range []error{foreign.ErrUnknown, foreign.ErrDamaged, foreign.ErrEmpty, foreign.ErrInUse, foreign.ErrPasscode, foreign.ErrTooOld, os.ErrNotExist} {
			if errors.Is(err, known) {
				return
			}
		}
		t.Fatalf("an error of no kind: %v", err)
	}
	for _, s := range list {
		if s.Keys[s.DC] == nil || s.DC < 1 || s.DC > 9999 || s.Client == "" || s.UserID < 0 {
			t.Fatalf("accepted %v", s)
		}
		if len(s.Peers) > input {
			t.Fatalf("%d peers out of %d bytes", len(s.Peers), input)
		}
	}
}

func FuzzParseText(f *testing.F) {
	v := loadVectors(f)
	for _, s := range []string{
		v.Telethon4.String, v.Telethon6.String, v.GramJS.String, v.Pyrogram.String, v.Old64.String, v.Old32.String,
		foreigntest.MTKruto(foreign.Session{DC: 2, Keys: homeKey(2)}),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := foreign.ParseText(s)
		checkSessions(t, len(s), []foreign.Session{got}, err)
		if err != nil {
			return
		}
		// What was read writes itself: only the string's own freedom is lost.
		again := map[string]func() string{
			"Telethon": func() string { return foreigntest.Telethon(got) },
			"GramJS":   func() string { return foreigntest.GramJS(got) },
			"Pyrogram": func() string { return foreigntest.Pyrogram(got, 1) },
			"MTKruto":  func() string { return foreigntest.MTKruto(got) },
		}[got.Client]
		if got.Address == "" && (got.Client == "Telethon" || got.Client == "GramJS") {
			return // port 0 is no address
		}
		second, err := foreign.ParseText(again())
		if err != nil || second.DC != got.DC || second.Address != got.Address || second.Environment != got.Environment ||
			second.Keys[got.DC].Bytes() != got.Keys[got.DC].Bytes() || second.UserID != got.UserID || second.Bot != got.Bot {
			t.Fatalf("%v: %v was written and read as %v", err, got, second)
		}
	})
}

func FuzzParseJSON(f *testing.F) {
	v := loadVectors(f)
	f.Add([]byte(v.Gotd))
	f.Add(foreigntest.TDL(map[string]foreign.Session{"default": {DC: 2, Keys: homeKey(2)}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := foreign.ParseJSON(b)
		checkSessions(t, len(b), list, err)
	})
}

func FuzzParseSQLite(f *testing.F) {
	for _, name := range []string{"pyrogram.session", "telethon.session", "kurigram.session"} {
		db, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		wal, _ := os.ReadFile(filepath.Join("testdata", name+"-wal")) // most have none
		f.Add(db, wal)
	}
	f.Fuzz(func(t *testing.T, db, wal []byte) {
		s, err := foreign.ParseSQLite(db, wal, nil)
		checkSessions(t, len(db)+len(wal), []foreign.Session{s}, err)
	})
}

// FuzzTdata changes the parts of a folder; what is sealed is reached by
// FuzzTdataInner.
func FuzzTdata(f *testing.F) {
	v := loadVectors(f).Tdata
	f.Add(unhex(f, v.None.KeyData), unhex(f, v.Data), []byte("TDF$"))
	f.Fuzz(func(t *testing.T, keyData, data, config []byte) {
		files := fstest.MapFS{
			"key_datas": {Data: keyData}, v.Account0: {Data: data}, "D877F783D5D3EF8C/configs": {Data: config},
		}
		list, err := foreign.ReadTdata(files, "")
		checkSessions(t, len(keyData)+len(data), list, err)
	})
}
