//go:build unix

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tghaul/haul/cmd/haul/internal/vault"
	"github.com/tghaul/haul/mtproto/crypto"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/telegram/foreign"
	"github.com/tghaul/haul/telegram/foreign/foreigntest"
)

// The canary test: haul is run through sign-in, import, archive, upload,
// failures, a panic and a dump of all goroutines with secrets that are known,
// and then these are looked for in all that it has said or stored, but for the
// key file, and the session that is sealed with it.

// A canary is a secret with the forms in which it could be seen.
type canary struct {
	name  string
	forms [][]byte
}

// A cage holds the canaries and what was written while they were in use.
type cage struct {
	*stage
	canaries []canary
	written  map[string][]byte // by what it is
	appHash  string
	logs     int
}

// word is a secret that is text.
func (g *cage) word(name, s string) string {
	g.canaries = append(g.canaries, canary{name, formsOf([]byte(s), true)})
	return s
}

// bytes is a secret that is not.
func (g *cage) bytes(name string, b []byte) {
	if len(b) < 16 {
		g.t.Fatalf("%s has %d bytes: it could be found by chance", name, len(b))
	}
	g.canaries = append(g.canaries, canary{name, formsOf(b, false)})
}

// formsOf are the forms of a secret. Of bytes, a piece from the front, the
// middle and the end will do: texts are cut off at times.
func formsOf(b []byte, text bool) (forms [][]byte) {
	pieces := [][]byte{b}
	const part = 12
	if !text {
		pieces = [][]byte{b[:part], b[len(b)/2-part/2:][:part], b[len(b)-part:]}
	}
	for _, p := range pieces {
		h := hex.EncodeToString(p)
		decimals := strings.Trim(fmt.Sprintf("%d", p), "[]")
		forms = append(forms, p, []byte(h), []byte(strings.ToUpper(h)), []byte(decimals), []byte(strings.ReplaceAll(decimals, " ", ",")),
			[]byte(strings.Trim(strconv.Quote(string(p)), `"`)), []byte(url.QueryEscape(string(p))))
		// In base64 it looks different at each of three offsets. The first and
		// last letters depend on what stands beside it.
		for shift := range 3 {
			whole := base64.StdEncoding.EncodeToString(append(make([]byte, shift), p...))
			inner := strings.TrimRight(whole, "=")
			inner = inner[shift+min(shift, 1) : len(inner)-1]
			forms = append(forms, []byte(inner), []byte(strings.NewReplacer("+", "-", "/", "_").Replace(inner)))
		}
		if !text { // a word of a dumped stack
			for _, w := range [][]byte{p[:8], {p[7], p[6], p[5], p[4], p[3], p[2], p[1], p[0]}} {
				forms = append(forms, []byte("0x"+hex.EncodeToString(w)))
			}
		}
	}
	return forms
}

// find lists what of the canaries is in b.
func (g *cage) find(b []byte) (found []string) {
	for _, c := range g.canaries {
		for _, f := range c.forms {
			if i := bytes.Index(b, f); i >= 0 {
				found = append(found, fmt.Sprintf("%s in %q", c.name, b[max(0, i-60):min(len(b), i+len(f)+20)]))
				break
			}
		}
	}
	return found
}

// run runs haul, with variables, at debug level, its log in text and JSON by turns.
func (g *cage) run(want int, env []string, args ...string) {
	g.t.Helper()
	cmd, log := g.prepare(env, args...)
	err := cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != want {
		g.t.Fatalf("haul %s: exit code %d, want %d: %v, %s%s", args[0], got, want, err, cmd.Stdout, cmd.Stderr)
	}
	g.keep(cmd, log, len(args))
}

// interrupt runs what would try for long, and ends it.
func (g *cage) interrupt(env []string, args ...string) {
	g.t.Helper()
	cmd, log := g.prepare(env, args...)
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if fi, err := os.Stat(log); err == nil && fi.Size() > 0 {
			break
		}
	}
	time.Sleep(1500 * time.Millisecond) // some tries
	_ = cmd.Process.Signal(os.Interrupt)
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != exitInterrupted {
		g.t.Fatalf("haul %s: exit code %d, want %d: %s", args[0], got, exitInterrupted, cmd.Stderr)
	}
	g.keep(cmd, log, len(args))
}

func (g *cage) prepare(env []string, args ...string) (cmd *exec.Cmd, log string) {
	g.t.Helper()
	g.logs++
	log = filepath.Join(g.dir, fmt.Sprintf("log%d", g.logs))
	format := "text"
	if g.logs%2 == 0 {
		format = "json"
	}
	cmd = g.command(append([]string{"--log-level", "debug", "--log-file", log, "--log-format", format}, args...)...)
	cmd.Env = append(append(os.Environ(), "GOTRACEBACK=all", "HAUL_APP_ID=1", "HAUL_APP_HASH="+g.appHash), env...)
	cmd.Stdout, cmd.Stderr = new(bytes.Buffer), new(bytes.Buffer)
	return cmd, log
}

// keep takes what a run has written. Its last args arguments name it.
func (g *cage) keep(cmd *exec.Cmd, log string, args int) {
	name := fmt.Sprintf("%d: %s", g.logs, strings.Join(cmd.Args[len(cmd.Args)-args:], " "))
	g.written[name+" (stdout)"] = cmd.Stdout.(*bytes.Buffer).Bytes()
	g.written[name+" (stderr)"] = cmd.Stderr.(*bytes.Buffer).Bytes()
	g.written[name+" (log)"], _ = os.ReadFile(log) // a run that ends soon has none
}

func (g *cage) session(account string) *telegram.Session {
	g.t.Helper()
	v, err := vault.Open(filepath.Join(g.dir, "store", "accounts", account))
	if err != nil {
		g.t.Fatal(err)
	}
	s, err := v.Load()
	if err != nil || s == nil {
		g.t.Fatalf("account %s: %v, %v", account, s, err)
	}
	return s
}

// plantSession makes canaries of what an account's session has.
func (g *cage) plantSession(account string) {
	g.t.Helper()
	s := g.session(account)
	for dc, d := range s.DCs {
		g.bytes(fmt.Sprintf("auth key of %s at DC %d", account, dc), d.Key)
	}
	for _, f := range s.FutureTokens {
		g.bytes("future auth token of "+account, f)
	}
	key, err := os.ReadFile(filepath.Join(g.dir, "store", "accounts", account, "key"))
	if err != nil {
		g.t.Fatal(err)
	}
	g.bytes("key file of "+account, key)
}

// plantReferences makes canaries of the file references in an archive's
// messages, where they belong: it is lossless.
func (g *cage) plantReferences(dir string, limit int) {
	g.t.Helper()
	b, err := os.ReadFile(filepath.Join(g.dir, dir, "media", "messages.jsonl"))
	if err != nil {
		g.t.Fatal(err)
	}
	for i, m := range regexp.MustCompile(`"file_reference":"([^"]+)"`).FindAllSubmatch(b, limit) {
		ref, err := base64.StdEncoding.DecodeString(string(m[1]))
		if err != nil {
			g.t.Fatal(err)
		}
		g.bytes(fmt.Sprintf("file reference %d", i), ref)
	}
}

// crash runs an archive that ends with a dump of goroutines.
func (g *cage) crash(program string, end func(*exec.Cmd), args ...string) {
	g.t.Helper()
	cmd, log := g.prepare(nil, args...)
	cmd.Args[0] = program
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	end(cmd)
	_ = cmd.Wait() // it must not end well
	text := cmd.Stderr.(*bytes.Buffer).String()
	if cmd.ProcessState.ExitCode() != 2 || strings.Count(text, "goroutine ") < 3 {
		g.t.Fatalf("no dump of goroutines: %s", text)
	}
	g.keep(cmd, log, len(args))
}

// panickingName is the program that TestMain has for this test; see panickingConn.
const panickingName = "haul-panics"

func TestCanaries(t *testing.T) {
	t.Parallel()
	const user, bot = "person", "robot"
	g := &cage{written: map[string][]byte{}}
	phone, code := "+9996628071", "4719028365"
	token := g.word("bot token", "7000001:canary-token-qmwnebrvtcyx")
	password := g.word("two-step password", "canary password zulu")
	g.stage = canaryStage(t, dctest.Config{
		Accounts: []dctest.AccountConfig{{Token: token}, {Phone: phone, Code: code, Password: password}},
		Channels: []dctest.ChannelConfig{{Username: "media", Files: []dctest.FileSpec{
			{Kind: "document", Count: 14, MinSize: 200 << 10}, {Kind: "photo", Count: 6, DC: 4}, {Kind: "document", Count: 1, MinSize: 20 << 20, DC: 1},
		}}},
		DCBandwidth: 8 << 20,
		Faults:      []dctest.Fault{{Kind: "error", Method: "upload.getFile", At: []int64{9}, Code: 400, Message: "FILE_ID_INVALID"}},
	})
	g.word("phone", phone[1:])
	g.word("code", code)
	wrongToken := g.word("wrong bot token", "7000002:canary-wrong-token-plokij")
	wrongPassword := g.word("wrong password", "canary password yankee")
	wrongCode := g.word("wrong code", "9081726354")
	proxyPassword := g.word("proxy password", "canary-proxy-xray")
	mtproxy := g.word("MTProxy secret", "dd8f3c1e5a7b9d2f4e6a8c0b1d3f5e7a90")
	passphrase := g.word("passphrase", "canary passphrase whiskey")
	wrongPhrase := g.word("wrong passphrase", "canary passphrase victor")
	backup := g.word("backup passphrase", "canary backup uniform")
	passcode := g.word("passcode", "canary passcode tango")
	g.appHash = g.word("app hash", "0c4a9e1f7b3d5826a4c0e8f1b7d39562")

	// Sign in, with mistakes.
	g.run(exitFailed, []string{"HAUL_TOKEN=" + wrongToken}, "-n", bot, "login", "-T", "bot")
	g.run(exitDone, []string{"HAUL_TOKEN=" + token}, "-n", bot, "login", "-T", "bot")
	g.run(exitFailed, []string{"HAUL_PHONE=" + phone, "HAUL_CODE=" + wrongCode}, "-n", user, "login")
	g.run(exitFailed, []string{"HAUL_PHONE=" + phone, "HAUL_CODE=" + code, "HAUL_PASSWORD=" + wrongPassword}, "-n", user, "login")
	g.run(exitDone, []string{"HAUL_PHONE=" + phone, "HAUL_CODE=" + code, "HAUL_PASSWORD=" + password}, "-n", user, "login")

	// Move files, with a failure, and again.
	g.run(exitSomeFailed, nil, "-n", user, "archive", "@media", "-d", "out", "--limit", "20")
	g.run(exitDone, nil, "-n", user, "archive", "@media", "-d", "out", "--limit", "20")
	g.run(exitDone, nil, "-n", bot, "up", g.noise("sent.bin", 300_000), "--to", "@media")
	g.run(exitDone, nil, "-n", user, "jobs", "--all")
	g.run(exitSomeFailed, nil, "-n", user, "up", filepath.Join(g.dir, "nothing"), "--to", "@media")
	g.plantSession(user)
	g.plantSession(bot)
	g.plantReferences("out", 20)

	// Ways that do not lead anywhere.
	g.interrupt([]string{"HAUL_PROXY=socks5://canary:" + proxyPassword + "@127.0.0.1:9"}, "-n", user, "whoami")
	g.run(exitUsage, []string{"HAUL_PROXY=gopher://canary:" + proxyPassword + "@127.0.0.1:9"}, "-n", user, "whoami")
	g.interrupt([]string{"HAUL_PROXY=tg://proxy?server=127.0.0.1&port=9&secret=" + mtproxy}, "-n", user, "whoami")

	g.takeOver(user, passcode)

	// Crashes.
	g.crash("haul", func(cmd *exec.Cmd) {
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			if parts, _ := filepath.Glob(filepath.Join(g.dir, "dumped", "media", "*.part")); len(parts) > 0 {
				break // in the middle of it
			}
		}
		_ = cmd.Process.Signal(syscall.SIGQUIT)
	}, "-n", user, "archive", "@media", "-d", "dumped")
	g.crash(panickingName, func(*exec.Cmd) {}, "-n", user, "archive", "@media", "-d", "panicked")

	// Seals and backups.
	g.run(exitDone, []string{"HAUL_BACKUP_PASSPHRASE=" + backup}, "-n", bot, "accounts", "export", filepath.Join(g.dir, "backup"))
	g.run(exitDone, []string{"HAUL_PASSPHRASE=" + passphrase}, "-n", bot, "accounts", "seal", "passphrase")
	g.run(exitFailed, []string{"HAUL_PASSPHRASE=" + wrongPhrase}, "-n", bot, "whoami")
	g.run(exitDone, []string{"HAUL_PASSPHRASE=" + passphrase}, "-n", bot, "whoami")
	g.run(exitDone, nil, "accounts")
	g.run(exitDone, []string{"HAUL_PASSPHRASE=" + passphrase}, "-n", bot, "logout")

	g.checkControl(user)
	g.readStore()
	total := 0
	for name, b := range g.written {
		total += len(b)
		for _, f := range g.find(b) {
			t.Errorf("%s: %s", name, f)
		}
	}
	t.Logf("%d secrets in %d places of %d KiB in all", len(g.canaries), len(g.written), total>>10)
	if len(g.canaries) < 40 || total < 200<<10 {
		t.Errorf("%d secrets in %d bytes: that is too little to prove anything", len(g.canaries), total)
	}
}

// canaryStage is a stage on which nobody is signed in.
func canaryStage(t *testing.T, cfg dctest.Config) *stage {
	t.Helper()
	cluster, err := dctest.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })
	s := &stage{t: t, cluster: cluster, dir: t.TempDir()}
	if err := cluster.Datacenters().WriteFile(filepath.Join(s.dir, "dc.json")); err != nil {
		t.Fatal(err)
	}
	return s
}

// takeOver imports the user's session in several forms, sound and broken.
func (g *cage) takeOver(user, passcode string) {
	s := g.session(user)
	f := foreign.Session{DC: s.HomeDC, Address: "127.0.0.1:9", Environment: foreign.Test, UserID: s.User.ID, Keys: map[int]*crypto.AuthKey{}}
	for dc, d := range s.DCs {
		f.Keys[dc] = crypto.NewAuthKey([crypto.AuthKeySize]byte(d.Key))
	}
	telethon, pyrogram := foreigntest.Telethon(f), foreigntest.Pyrogram(f, 1)
	g.bytes("session string of Telethon", []byte(telethon))
	g.bytes("session string of Pyrogram", []byte(pyrogram))
	g.run(exitDone, []string{"HAUL_IMPORT=" + telethon}, "-n", "imported", "login", "-T", "import")
	g.run(exitFailed, []string{"HAUL_IMPORT=" + telethon[:300]}, "-n", "broken", "login", "-T", "import")
	g.run(exitFailed, []string{"HAUL_IMPORT=" + pyrogram + "AAAA"}, "-n", "broken", "login", "-T", "import")
	tdata := filepath.Join(g.dir, "tdata")
	if err := os.CopyFS(tdata, foreigntest.Tdata("another", f)); err != nil {
		g.t.Fatal(err)
	}
	g.run(exitFailed, []string{"HAUL_PASSCODE=" + passcode}, "-n", "broken", "login", "-T", "import", tdata)
}

// checkControl finds all keys and references where they are: what does not
// find them there proves nothing elsewhere.
func (g *cage) checkControl(user string) {
	g.t.Helper()
	open, err := json.Marshal(g.session(user))
	if err != nil {
		g.t.Fatal(err)
	}
	if n := strings.Count(strings.Join(g.find(open), "\n"), "auth key of "+user); n != len(g.session(user).DCs) || n < 3 {
		g.t.Errorf("found %d auth keys in the session itself, want %d", n, len(g.session(user).DCs))
	}
	messages, err := os.ReadFile(filepath.Join(g.dir, "out", "media", "messages.jsonl"))
	if err != nil {
		g.t.Fatal(err)
	}
	if n := strings.Count(strings.Join(g.find(messages), "\n"), "file reference "); n < 10 {
		g.t.Errorf("found %d file references in messages.jsonl, want all", n)
	}
	for _, c := range g.canaries {
		for i, f := range c.forms {
			if len(f) < 8 {
				g.t.Errorf("form %d of %s is so short that chance has it: %q", i, c.name, f)
			}
		}
	}
}

// readStore takes all that is stored, but for the key files.
func (g *cage) readStore() {
	g.t.Helper()
	store := filepath.Join(g.dir, "store")
	err := filepath.WalkDir(store, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == "key" {
			return err
		}
		g.written["stored: "+strings.TrimPrefix(path, store)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
	backup, err := os.ReadFile(filepath.Join(g.dir, "backup"))
	if err != nil {
		g.t.Fatal(err)
	}
	g.written["backup"] = backup
}
