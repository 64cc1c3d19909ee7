package telegram

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/tl"
)

// testdata/backup.json is a record that Telegram published in 2019, and what is in it.
func backupVector(t testing.TB) (txt []string, date, expires time.Time, secret string) {
	t.Helper()
	b, err := os.ReadFile("testdata/backup.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		TXT           []string
		Date, Expires int64
		Rules         []struct {
			IPs []struct {
				Secret string `json:"secret_hex"`
			}
		}
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v.TXT, time.Unix(v.Date, 0), time.Unix(v.Expires, 0), v.Rules[0].IPs[0].Secret
}

func builtInBackupKey(t testing.TB) *crypto.PublicKey {
	t.Helper()
	keys, err := crypto.ParsePublicKeys([]byte(Production().BackupKey))
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	return keys[0]
}

func TestBackupVector(t *testing.T) {
	txt, date, expires, secret := backupVector(t)
	key := builtInBackupKey(t)
	for _, order := range [][]string{txt, {txt[1], txt[0]}, {txt[1] + txt[0]}} {
		rules, err := openBackup(order, key, date.Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		list := backupEndpoints(rules, "", false)
		if len(list) != 1 || list[0].DC != 2 || list[0].Address != "139.59.210.98:14544" ||
			hex.EncodeToString(list[0].Secret.Bytes()) != secret || list[0].Secret.Domain != "www.google.com" {
			t.Errorf("got %v", list)
		}
	}
	if _, err := openBackup(txt, key, expires); !errors.Is(err, errBackup) || !strings.Contains(err.Error(), "expired") {
		t.Errorf("after its end: got %v", err)
	}
	changed := []string{txt[0], "A" + txt[1][1:]}
	if txt[1][0] == 'A' {
		changed[1] = "B" + txt[1][1:]
	}
	for name, bad := range map[string][]string{"changed": changed, "half": txt[1:], "none": nil, "no base64": {"=", "!"}} {
		if _, err := openBackup(bad, key, date); !errors.Is(err, errBackup) {
			t.Errorf("%s: got %v, want errBackup", name, err)
		}
	}
}

// sealBackup makes a record as Telegram does, with the key of the tests.
func sealBackup(t testing.TB, body []byte) []string {
	t.Helper()
	y := make([]byte, backupBytes)
	if _, err := rand.Read(y[1:32]); err != nil { // the first byte stays 0: less than n
		t.Fatal(err)
	}
	plain := y[32:]
	copy(plain, body)
	sum := sha256.Sum256(plain[:backupSize])
	copy(plain[backupSize:], sum[:16])
	block, err := aes.NewCipher(y[:32])
	if err != nil {
		t.Fatal(err)
	}
	cipher.NewCBCEncrypter(block, slices.Clone(y[16:32])).CryptBlocks(plain, plain)
	key := testRSA()
	text := base64.StdEncoding.EncodeToString(new(big.Int).Exp(new(big.Int).SetBytes(y), key.D, key.N).FillBytes(make([]byte, backupBytes)))
	return []string{text[200:], text[:200]}
}

// backupBody is help.configSimple with one rule for one endpoint.
func backupBody(expires time.Time, phones string, dc int32, address netip.AddrPort) []byte {
	var e tl.Encoder
	e.ID(configSimpleID)
	e.Int(int32(expires.Unix() - 3600))
	e.Int(int32(expires.Unix()))
	e.Int(1)
	e.ID(accessRuleID)
	e.String(phones)
	e.Int(dc)
	e.Int(1)
	e.ID(ipPortID)
	ip := address.Addr().As4()
	e.Int(int32(uint32(ip[0])<<24 | uint32(ip[1])<<16 | uint32(ip[2])<<8 | uint32(ip[3])))
	e.Int(int32(address.Port()))
	var whole tl.Encoder
	whole.Int(int32(len(e.Bytes()) + 4))
	return append(whole.Bytes(), e.Bytes()...)
}

func TestBackupPhones(t *testing.T) {
	for _, tt := range []struct {
		rules, phone string
		want         bool
	}{
		{"", "49123", true},
		{"+49", "", true},
		{"+49", "49123", true},
		{"+49", "7900", false},
		{"+7,-7900", "7900", false},
		{"+7,-7900", "7911", true},
		{"-7,", "49123", true},
		{"-7,", "7911", false},
	} {
		r := backupRule{phones: tt.rules}
		if got := r.meant(tt.phone); got != tt.want {
			t.Errorf("rules %q, phone %q: got %v", tt.rules, tt.phone, got)
		}
	}
}

func TestBackupOverHTTPS(t *testing.T) {
	txt, _, _, _ := backupVector(t)
	var asked []string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.String()+" "+r.Header.Get("Accept"))
		switch r.URL.Path {
		case "/broken":
			http.Error(w, "no", http.StatusBadGateway)
		case "/empty":
			_, _ = w.Write([]byte(`{"Status": 3}`))
		default:
			_, _ = w.Write([]byte(`{"Status": 0, "Answer": [{"type": 5, "data": "alias."}, {"type": 16, "data": "\"` + txt[0] + `\""}, {"type": 16, "data": "` + txt[1] + `"}]}`))
		}
	}))
	defer server.Close()
	fetch := BackupOverHTTPS(server.Client(), server.URL+"/broken", server.URL+"/empty", server.URL+"/resolve")
	got, err := fetch(t.Context(), "backup.example")
	if err != nil || !slices.Equal(got, txt) {
		t.Errorf("got %q, %v", got, err)
	}
	if len(asked) != 3 || asked[2] != "/resolve?name=backup.example&type=TXT application/dns-json" {
		t.Errorf("asked %q", asked)
	}
	if _, err := BackupOverHTTPS(server.Client(), server.URL+"/empty")(t.Context(), "x"); err == nil || !strings.Contains(err.Error(), "DNS status 3") {
		t.Errorf("no record: got %v", err)
	}
}

func FuzzBackup(f *testing.F) {
	txt, date, _, _ := backupVector(f)
	sealed, err := joinBackup(txt)
	if err != nil {
		f.Fatal(err)
	}
	plain, err := decryptBackup(sealed, builtInBackupKey(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain, txt[0])
	f.Add(backupBody(date.Add(time.Hour), "+7,-79", 2, netip.MustParseAddrPort("127.0.0.1:443")), "QUJD")
	f.Fuzz(func(t *testing.T, plain []byte, text string) {
		if _, err := openBackup([]string{text, string(plain)}, builtInBackupKey(t), date); err == nil {
			t.Fatal("a record that nobody has signed was taken")
		}
		rules, err := parseBackup(plain, date)
		if err != nil && !errors.Is(err, errBackup) {
			t.Fatalf("error %v", err)
		}
		for _, e := range backupEndpoints(rules, "7900", true) {
			if _, err := netip.ParseAddrPort(e.Address); err != nil || e.DC < 1 {
				t.Fatalf("endpoint %+v: %v", e, err)
			}
		}
	})
}

func FuzzDNSAnswer(f *testing.F) {
	f.Add([]byte(`{"Status": 0, "Answer": [{"type": 16, "data": "\"abc\" \"def\""}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		txt, err := parseDNSAnswer(body)
		if (err == nil) != (len(txt) > 0) {
			t.Fatalf("got %q, %v", txt, err)
		}
	})
}

// noBackup fails the test when it is asked.
func noBackup(t *testing.T) BackupFunc {
	return func(context.Context, string) ([]string, error) {
		t.Error("the backup configuration was fetched while addresses answered")
		return nil, errors.New("none")
	}
}
