package main

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tghaul/haul/cmd/haul/internal/vault"
	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/telegram/foreign"
	"github.com/tghaul/haul/telegram/foreign/foreigntest"
)

// writeForeign writes the session of a signed-in account in the forms of other
// clients: foreign STORE FOLDER. Afterwards the account is to be used from
// those alone; a cluster does not mind, Telegram would.
func writeForeign(ts *testscript.TestScript, _ bool, args []string) {
	v, err := vault.Open(filepath.Join(ts.MkAbs(args[0]), "accounts", "default"))
	ts.Check(err)
	s, err := v.Load()
	ts.Check(err)
	if s == nil || s.User == nil {
		ts.Fatalf("nobody is signed in")
	}
	session := foreign.Session{
		DC: s.HomeDC, Address: "127.0.0.1:4443", Environment: foreign.Test, Keys: map[int]*crypto.AuthKey{},
		UserID: s.User.ID, Bot: s.User.Bot,
	}
	for dc, d := range s.DCs {
		session.Keys[dc] = crypto.NewAuthKey([crypto.AuthKeySize]byte(d.Key))
	}
	dir := ts.MkAbs(args[1])
	for name, b := range foreignFiles(ts, session) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		ts.Check(os.MkdirAll(filepath.Dir(path), 0o700))
		ts.Check(os.WriteFile(path, b, 0o600))
	}
}

// foreignFiles are files with a session in every form. Those of SQLite are what
// Telethon and SQLite have made, with the key exchanged; they are of DC 2.
func foreignFiles(ts *testscript.TestScript, s foreign.Session) map[string][]byte {
	files := map[string][]byte{
		"telethon.txt": []byte(foreigntest.Telethon(s) + "\n"),
		"gramjs.txt":   []byte(foreigntest.GramJS(s)),
		"pyrogram.txt": []byte(foreigntest.Pyrogram(s, 1)),
		"mtkruto.txt":  []byte(foreigntest.MTKruto(s)),
		"gotd.json":    foreigntest.Gotd(s),
		"tdl.json":     foreigntest.TDL(map[string]foreign.Session{"other": s, "work": s}),
	}
	other := s
	other.UserID++
	for name, tdata := range map[string]fs.FS{
		"plain": foreigntest.Tdata("", s), "locked": foreigntest.Tdata("open sesame", other, s),
	} {
		ts.Check(fs.WalkDir(tdata, ".", func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			files[name+"/tdata/"+path], err = fs.ReadFile(tdata, path)
			return err
		}))
	}
	var made [crypto.AuthKeySize]byte
	for i := range made {
		made[i] = byte(3*i + 1)
	}
	for _, name := range []string{"telethon.session", "pyrogram.session"} {
		// Scripts run in a folder of their own, this in that of the package.
		b, err := os.ReadFile(filepath.Join("..", "..", "telegram", "foreign", "testdata", name))
		ts.Check(err)
		changed := foreigntest.WithKey(b, crypto.NewAuthKey(made), s.Keys[2])
		if string(changed) == string(b) {
			ts.Fatalf("%s has another key than expected", name)
		}
		files[name] = changed
	}
	// The cluster is a test environment, and this an address of Telegram's own.
	files["telethon.session"] = []byte(strings.Replace(string(files["telethon.session"]), "149.154.167.51", "149.154.167.40", 1))
	return files
}

// TestImportKeepsNothing: a session that Telegram does not know leaves the
// account as it was.
func TestImportKeepsNothing(t *testing.T) {
	cluster, err := dctest.Start(context.WithoutCancel(t.Context()), dctest.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close() //nolint:errcheck // the test is over
	dir := t.TempDir()
	datacenters := filepath.Join(dir, "dc.json")
	if err := cluster.Datacenters().WriteFile(datacenters); err != nil {
		t.Fatal(err)
	}
	unknown := foreign.Session{DC: 2, Address: "127.0.0.1:1", Keys: map[int]*crypto.AuthKey{2: crypto.NewAuthKey([256]byte{1, 2, 3})}}
	t.Setenv("HAUL_IMPORT", foreigntest.Telethon(unknown))
	store := filepath.Join(dir, "store")
	if code := run([]string{"haul", "--datacenters", datacenters, "--store", store, "login", "-T", "import"}, nil); code != exitLogin {
		t.Errorf("exit code %d, want %d", code, exitLogin)
	}
	v, err := vault.Open(filepath.Join(store, "accounts", "default"))
	if err != nil {
		t.Fatal(err)
	}
	if s, err := v.Load(); s != nil || err != nil {
		t.Errorf("kept %v, %v", s, err)
	}
}
