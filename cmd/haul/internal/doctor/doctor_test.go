package doctor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/mtproto"
	"github.com/tghaul/haul/mtproto/proxy"
	"github.com/tghaul/haul/telegram"
)

// states are those of findings, in order, with the first words of the hints.
func states(list []Finding) (got []string) {
	for _, f := range list {
		got = append(got, string(f.State)+" "+f.Check)
	}
	return got
}

func wantStates(t *testing.T, list []Finding, want ...string) {
	t.Helper()
	if got := states(list); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v\n%+v", got, want, list)
	}
}

func TestPermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no modes there")
	}
	store := filepath.Join(t.TempDir(), "store")
	wantStates(t, Permissions(store), "ok permissions")
	database := filepath.Join(store, "accounts", "default", "checkpoint", databaseFolder)
	if err := os.MkdirAll(database, 0o700); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(store, "accounts", "default", "key")
	for path, mode := range map[string]fs.FileMode{key: 0o600, filepath.Join(store, configFile): 0o644, filepath.Join(database, "1.sst"): 0o644} {
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	wantStates(t, Permissions(store), "ok permissions")
	for _, tt := range []struct {
		path      string
		mode, was fs.FileMode
	}{
		{store, 0o755, 0o700}, {filepath.Join(store, "accounts"), 0o701, 0o700}, {key, 0o640, 0o600}, {key, 0o602, 0o600}, {database, 0o750, 0o700},
	} {
		if err := os.Chmod(tt.path, tt.mode); err != nil {
			t.Fatal(err)
		}
		got := Permissions(store)
		wantStates(t, got, "wrong permissions")
		if want := fmt.Sprintf("chmod %o %s", tt.was, tt.path); got[0].Hint != want {
			t.Errorf("hint %q, want %q", got[0].Hint, want)
		}
		if err := os.Chmod(tt.path, tt.was); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(key, filepath.Join(store, "link")); err != nil {
		t.Fatal(err)
	}
	wantStates(t, Permissions(store), "wrong permissions")
	for i := range 20 {
		if err := os.WriteFile(filepath.Join(store, fmt.Sprint(i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := Permissions(store); len(got) != mostExposed+1 || !strings.Contains(got[mostExposed].Text, "16 more") {
		t.Errorf("of 21 bad ones: %+v", got)
	}
}

func TestConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	secrets, harmless := map[string]any{"app-hash": "x", "proxy": "y", "store": "z"}, map[string]any{"store": "z"}
	wantStates(t, []Finding{Configuration("", nil), Configuration(path, harmless)}, "ok configuration", "ok configuration")
	if runtime.GOOS == "windows" {
		return
	}
	got := Configuration(path, secrets)
	wantStates(t, []Finding{got}, "wrong configuration")
	if got.Hint != "chmod 600 "+path || !strings.Contains(got.Text, "app-hash, proxy") {
		t.Errorf("%+v", got)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	wantStates(t, []Finding{Configuration(path, secrets)}, "ok configuration")
}

func TestLockAndSpace(t *testing.T) {
	held := Lock("a", fmt.Errorf("open: %w", &checkpoint.LockedError{PID: 77}))
	wantStates(t, []Finding{
		Lock("a", nil), held, Lock("a", checkpoint.ErrDamaged), Lock("a", checkpoint.ErrVersion), Lock("a", &checkpoint.SpaceError{}), Lock("a", errors.New("x")),
	}, "ok lock", "note lock", "wrong lock", "wrong lock", "skipped lock", "wrong lock")
	if held.Values["pid"] != 77 || !strings.Contains(held.Text, "process 77") {
		t.Errorf("%+v", held)
	}
	wantStates(t, []Finding{
		Space("/", 20<<30, nil), Space("/", 500<<20, nil), Space("/", checkpoint.DefaultMinFree-1, nil), Space("/", math.MaxInt64, nil), Space("/", 0, errors.New("x")),
	}, "ok space", "note space", "wrong space", "skipped space", "wrong space")
}

// answer is what a DC has answered.
func answer(dc int, rtt, offset time.Duration, err error) telegram.Reach {
	return telegram.Reach{
		Endpoint: mtproto.Endpoint{DC: dc, Address: "192.0.2.1:443"}, Err: err,
		Probed: mtproto.Probed{RTT: rtt, Offset: offset, Known: true},
	}
}

func TestClock(t *testing.T) {
	dead := answer(1, 0, 0, errors.New("dead"))
	for _, tt := range []struct {
		reached []telegram.Reach
		want    State
		text    string
	}{
		{nil, Skipped, "no server"},
		{[]telegram.Reach{dead}, Skipped, "no server"},
		{[]telegram.Reach{dead, answer(2, 40*time.Millisecond, 2*time.Second, nil)}, OK, "right"},
		{[]telegram.Reach{answer(2, time.Second, 2*time.Hour, nil), answer(2, 40*time.Millisecond, -20*time.Second, nil)}, Note, "20s ahead"},
		{[]telegram.Reach{answer(2, 40*time.Millisecond, 9*time.Hour, nil)}, Wrong, "9h0m0s behind"},
		{[]telegram.Reach{answer(2, 40*time.Millisecond, -90*time.Second, nil)}, Wrong, "1m30s ahead"},
	} {
		if got := Clock(tt.reached); got.State != tt.want || !strings.Contains(got.Text, tt.text) || (got.State == Wrong) != (got.Hint != "") {
			t.Errorf("got %+v, want %s with %q", got, tt.want, tt.text)
		}
	}
}

func hint(error) string { return "see to it" }

func TestReach(t *testing.T) {
	failed := errors.New("refused")
	stranger := answer(5, time.Millisecond, 0, nil)
	stranger.Known = false
	cdn := stranger
	cdn.CDN = true
	wantStates(t, DCs(2, []telegram.Reach{
		answer(2, 41*time.Millisecond, 0, nil), answer(2, 0, 0, failed), answer(4, 0, 0, failed), answer(4, 0, 0, failed), stranger, cdn,
	}, hint), "ok dc", "note dc", "note dc", "note dc", "wrong dc", "ok dc", "wrong dc")
	wantStates(t, DCs(2, []telegram.Reach{answer(2, 0, 0, failed), answer(4, 0, 0, failed)}, hint), "note dc", "note dc", "wrong dc")
	p := &proxy.Proxy{Kind: proxy.SOCKS5, Address: "192.0.2.9:1080"}
	refuses := p.Fail(proxy.ErrAuth, errors.New("no"))
	got := []Finding{
		Proxy(nil, nil, hint), Proxy(p, nil, hint), Proxy(p, []telegram.Reach{answer(1, 0, 0, refuses), answer(2, 1, 0, nil)}, hint),
		Proxy(p, []telegram.Reach{answer(1, 0, 0, failed), answer(1, 0, 0, refuses)}, hint),
	}
	wantStates(t, got, "ok proxy", "skipped proxy", "ok proxy", "wrong proxy")
	if !strings.Contains(got[3].Text, "192.0.2.9:1080") || got[3].Hint != "see to it" {
		t.Errorf("%+v", got[3])
	}
}

func TestAccount(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := &telegram.Session{DCs: map[int]telegram.DCSession{4: {Created: now.Add(-50 * time.Hour)}, 2: {Authorized: true}}}
	keys := Keys(s, true, now)
	wantStates(t, keys, "ok keys", "ok keys", "ok pfs")
	if !strings.Contains(keys[0].Text, "DC 2") || !strings.Contains(keys[1].Text, "made 2 days ago") || keys[2].Values["on"] != true {
		t.Errorf("%+v", keys)
	}
	for _, tt := range []struct {
		user telegram.User
		mib  int
	}{{telegram.User{}, 2000}, {telegram.User{Premium: true}, 4000}, {telegram.User{Bot: true}, 2000}} {
		if got := Tier(&tt.user); got.Values["max_upload_mib"] != tt.mib {
			t.Errorf("%+v: %+v", tt.user, got)
		}
	}
	wantStates(t, Limits(nil, nil, []telegram.FloodWait{{Until: now}}, now), "ok limits")
	limits := Limits(
		[]checkpoint.Limit{{DC: 4, Method: "upload.getFile", Rate: 19.96, At: now.Add(-time.Hour)}, {DC: 1, Method: "upload.getFile", InFlight: 3, At: now}},
		[]checkpoint.Wait{{DC: 4, Method: "upload.getFile", Until: now.Add(90 * time.Second)}},
		[]telegram.FloodWait{{DC: 2, Method: "messages.getHistory", Until: now.Add(time.Hour)}}, now)
	wantStates(t, limits, "note waits", "note waits", "ok limits", "ok limits")
	for i, want := range []string{"1m30s", "1h0m0s", "3 at a time", "20 a second, learned 1 hour ago"} {
		if !strings.Contains(limits[i].Text, want) {
			t.Errorf("%q lacks %q", limits[i].Text, want)
		}
	}
}

var sample = []Finding{
	ok("version", "haul 1, go2, on some system or other"),
	wrong("clock", "set the clock of this machine, with whatever your system has for that purpose", "9h0m0s behind the server's").with("offset_seconds", 32400),
	Skip("account", "sealed with a passphrase"),
}

// TestPrint40: nothing is wider than a narrow terminal, and without colour
// there is no escape.
func TestPrint40(t *testing.T) {
	for _, color := range []bool{false, true} {
		var out bytes.Buffer
		p := &Printer{Out: &out, Width: 40, Color: color}
		if err := errors.Join(p.Add(sample...), p.Done()); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(out.String(), "\x1b"); got != color {
			t.Errorf("escapes: %v, want %v", got, color)
		}
		if color {
			continue
		}
		for l := range strings.Lines(out.String()) {
			if n := utf8.RuneCountInString(strings.TrimRight(l, "\n")); n > 40 {
				t.Errorf("%d columns: %q", n, l)
			}
		}
		if !strings.HasPrefix(out.String(), "ok       version: haul 1, go2, on some") || p.Wrong() != 1 {
			t.Errorf("%d wrong:\n%s", p.Wrong(), out.String())
		}
	}
}

func TestPrintOtherwise(t *testing.T) {
	var quiet, events bytes.Buffer
	q, j := &Printer{Out: &quiet, Quiet: true}, &Printer{Out: &events, JSON: true}
	for _, p := range []*Printer{q, j} {
		if err := errors.Join(p.Add(sample...), p.Done()); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(quiet.String(), "\n"); n != 2 || !strings.HasPrefix(quiet.String(), "wrong") {
		t.Errorf("quiet: %q", quiet.String())
	}
	var last map[string]any
	lines := strings.Split(strings.TrimSpace(events.String()), "\n")
	for _, l := range lines {
		last = nil
		if err := json.Unmarshal([]byte(l), &last); err != nil || !strings.HasPrefix(l, `{"event":`) {
			t.Errorf("%s: %v", l, err)
		}
	}
	if len(lines) != 4 || last["event"] != "doctor_done" || last["wrong"] != 1.0 || last["ok"] != 1.0 {
		t.Errorf("%d lines, the last %v", len(lines), last)
	}
}
