package telegram

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tghaul/haul/mtproto/crypto"
)

// testRSA is an RSA key of the fake servers, made once per run.
var testRSA = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func testPEM() string {
	pub := testRSA().PublicKey
	return (&crypto.PublicKey{N: pub.N, E: pub.E}).PEM()
}

// testDatacenters has two ordinary DCs, media-only endpoints of the second, and a CDN DC.
func testDatacenters() *Datacenters {
	return &Datacenters{
		Name: "fake", HomeDC: 2, Test: true, PublicKeys: []string{testPEM()},
		DC: []DC{
			{ID: 2, Address: "192.0.2.2:443"},
			{ID: 4, Address: "192.0.2.4:443"},
			{ID: 4, Address: "192.0.2.44:443", MediaOnly: true},
			{ID: 203, Address: "192.0.2.203:443", CDN: true},
		},
	}
}

func TestParseDatacenters(t *testing.T) {
	good, err := json.Marshal(testDatacenters())
	if err != nil {
		t.Fatal(err)
	}
	d, err := ParseDatacenters(good)
	if err != nil {
		t.Fatalf("ParseDatacenters of a good one: %v", err)
	}
	if len(d.endpoints()) != 4 || d.HomeDC != 2 || !d.Test {
		t.Errorf("got %+v", d)
	}
	change := func(f func(*Datacenters)) string {
		d := testDatacenters()
		f(d)
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", "EOF"},
		{"no JSON", "hello", "invalid character"},
		{"array", "[]", "cannot unmarshal"},
		{"unknown field", `{"nmae": "x"}`, "nmae"},
		{"trailing", string(good) + "{}", "follows"},
		{"too large", `{"name": "` + strings.Repeat("x", maxDatacenters) + `"}`, "larger"},
		{"no dc", change(func(d *Datacenters) { d.DC = nil }), "no dc"},
		{"id 0", change(func(d *Datacenters) { d.DC[0].ID = 0 }), "dc[0]: id 0"},
		{"id of a wire form", change(func(d *Datacenters) { d.DC[1].ID = 10004 }), "dc[1]: id 10004"},
		{"no port", change(func(d *Datacenters) { d.DC[0].Address = "127.0.0.1" }), "host:port"},
		{"no host", change(func(d *Datacenters) { d.DC[0].Address = ":443" }), "host:port"},
		{"port 0", change(func(d *Datacenters) { d.DC[0].Address = "127.0.0.1:0" }), "host:port"},
		{"port too high", change(func(d *Datacenters) { d.DC[0].Address = "127.0.0.1:65536" }), "host:port"},
		{"port name", change(func(d *Datacenters) { d.DC[0].Address = "127.0.0.1:https" }), "host:port"},
		{"secret not hex", change(func(d *Datacenters) { d.DC[0].Secret = "canary!" }), "secret"},
		{"secret too short", change(func(d *Datacenters) { d.DC[0].Secret = "00ff" }), "secret"},
		{"fake TLS secret", change(func(d *Datacenters) { d.DC[0].Secret = "ee" + strings.Repeat("00", 16) }), "secret"},
		{"backup without key", change(func(d *Datacenters) { d.BackupDomain = "backup.example" }), "go together"},
		{"backup with a bad key", change(func(d *Datacenters) { d.BackupDomain, d.BackupKey = "backup.example", "x" }), "backup_key"},
		{"home unknown", change(func(d *Datacenters) { d.HomeDC = 3 }), "home_dc 3"},
		{"home media-only", change(func(d *Datacenters) { d.DC[0].MediaOnly = true }), "home_dc 2"},
		{"home CDN", change(func(d *Datacenters) { d.HomeDC = 203 }), "home_dc 203"},
		{"no key", change(func(d *Datacenters) { d.PublicKeys = nil }), "no public_keys"},
		{"key no PEM", change(func(d *Datacenters) { d.PublicKeys = []string{testPEM(), "x"} }), "public_keys[1]"},
		{"key of other kind", change(func(d *Datacenters) {
			d.PublicKeys = []string{strings.ReplaceAll(testPEM(), "RSA PUBLIC", "PUBLIC")}
		}), "public_keys[0]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseDatacenters([]byte(c.in))
			if !errors.Is(err, ErrDatacenters) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got error %v, want ErrDatacenters that says %q", err, c.want)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
	for _, secret := range []string{"", strings.Repeat("ab", 16), "dd" + strings.Repeat("ab", 16)} {
		if _, err := ParseDatacenters([]byte(change(func(d *Datacenters) { d.DC[0].Secret = secret }))); err != nil {
			t.Errorf("secret %q: %v", secret, err)
		}
	}
}

func TestLoadDatacenters(t *testing.T) {
	dir := t.TempDir()
	if _, err := LoadDatacenters(filepath.Join(dir, "none.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of no file: got %v, want fs.ErrNotExist", err)
	}
	path := filepath.Join(dir, "dc.json")
	b, err := json.Marshal(testDatacenters())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if d, err := LoadDatacenters(path); err != nil || d.Name != "fake" {
		t.Errorf("got %+v, %v", d, err)
	}
	if err := os.WriteFile(path, b[:20], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadDatacenters(path); !errors.Is(err, ErrDatacenters) || !strings.Contains(err.Error(), path) {
		t.Errorf("of a cut file: got %v, want ErrDatacenters with its path", err)
	}
}

func FuzzParseDatacenters(f *testing.F) {
	good, err := json.Marshal(testDatacenters())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"name":"x","home_dc":1,"dc":[{"id":1,"address":"[::1]:443","secret":"dd"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseDatacenters(b)
		if err != nil {
			if !errors.Is(err, ErrDatacenters) {
				t.Fatalf("error %v does not wrap ErrDatacenters", err)
			}
			return
		}
		again, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseDatacenters(again); err != nil {
			t.Fatalf("accepted %q, but not its own JSON %q: %v", b, again, err)
		}
		if len(d.endpoints()) != len(d.DC) {
			t.Fatalf("%d endpoints of %d accepted entries", len(d.endpoints()), len(d.DC))
		}
	})
}
