package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tghaul/haul/mtproto/transport"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/telegram/dctest/relay"
	"github.com/tghaul/haul/transfer"
	"github.com/tghaul/haul/transfer/archive"
)

// raceOptions spares each haul that a test starts the second which a program
// with the race detector sleeps before it exits, and the page faults that large
// allocations cost there: those of the Makefile.
const raceOptions = "atexit_sleep_ms=10 clear_shadow_mmap_threshold=1073741824"

// TestMain lets scripts run haul as a program of its own.
func TestMain(m *testing.M) {
	if err := os.Setenv("GORACE", raceOptions); err != nil {
		panic(err)
	}
	// The processes of these tests wait more than they compute. -parallel overrides this.
	if err := flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){
		"haul":        func() { os.Exit(run(os.Args, dialLoopback)) },
		"haul-panics": func() { os.Exit(run(os.Args, dialPanicking)) },
		"ffmpeg":      fakeFFmpeg,
	})
}

// dialLoopback is the only network that a haul of the tests has: no test may
// reach another machine, whatever its flags say.
func dialLoopback(ctx context.Context, network, address string) (net.Conn, error) {
	a, err := netip.ParseAddrPort(address)
	if err != nil || !a.Addr().IsLoopback() {
		return nil, fmt.Errorf("dial %s: the tests reach this machine only", address)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// dialPanicking dials connections whose reading panics in the middle of a transfer.
func dialPanicking(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := dialLoopback(ctx, network, address)
	return &panickingConn{Conn: c}, err
}

type panickingConn struct {
	net.Conn
	read int
}

func (c *panickingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.read += n; c.read > 600<<10 {
		panic(fmt.Sprintf("a panic of the tests, after %d bytes", c.read))
	}
	return n, err
}

// TestScripts runs each testdata/script/*.txtar against a cluster of its own,
// whose datacenters file is $HAUL_DATACENTERS. A script may bring a
// scenario.json for it.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(env *testscript.Env) error {
			scenario, err := scenarioOf(env.WorkDir)
			if err != nil {
				return err
			}
			cluster, err := dctest.Start(context.Background(), scenario)
			if err != nil {
				return err
			}
			env.Defer(func() { _ = cluster.Close() })
			file := filepath.Join(env.WorkDir, "dc.json")
			env.Setenv("HAUL_DATACENTERS", file)
			env.Setenv("HAUL_STORE", filepath.Join(env.WorkDir, "store"))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("GORACE", raceOptions)
			if err := scriptProxies(env, cluster); err != nil {
				return err
			}
			return cluster.Datacenters().WriteFile(file)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "lines": lines, "firstjob": firstJob, "firstfile": firstFile, "photos": photos,
			"foreign": writeForeign, "flip": flip, "append": appendText, "gone": gone, "guide": guide, "zero": zeroFile, "damage": spoil, "made": makeFile,
			"dated": dated, "firstentry": firstEntry,
		},
		Condition: condition,
	})
}

// scriptProxies puts proxies in front of the cluster: $SOCKS and $HTTP, host and
// port, of user anna with the password right; and $MTPROXY, a link.
func scriptProxies(env *testscript.Env, cluster *dctest.Cluster) error {
	secret, err := transport.ParseSecret("ee000102030405060708090a0b0c0d0e0f7777772e6578616d706c652e636f6d")
	if err != nil {
		return err
	}
	for name, cfg := range map[string]relay.Config{
		"SOCKS":   {Kind: relay.SOCKS5, User: "anna", Password: "right"},
		"HTTP":    {Kind: relay.HTTP, User: "anna", Password: "right"},
		"MTPROXY": {Kind: relay.MTProxy, Secret: secret, Route: cluster.Route},
	} {
		r, err := relay.New(cfg)
		if err != nil {
			return err
		}
		env.Defer(func() { _ = r.Close() })
		address, err := r.Listen("127.0.0.1:0")
		if err != nil {
			return err
		}
		if cfg.Kind == relay.MTProxy {
			_, port, _ := net.SplitHostPort(address) // a listener's address has both
			address = fmt.Sprintf("https://t.me/proxy?server=127.0.0.1&port=%s&secret=%x", port, secret.Bytes())
		}
		env.Setenv(name, address)
	}
	return nil
}

// scriptScenario is a small channel with everything that a test wants to see,
// and accounts: two at home, one with all that there can be, two who
// scan every QR code, and one who needs a login e-mail.
func scriptScenario() dctest.Config {
	accounts := []dctest.AccountConfig{
		{Token: dctest.BotToken},
		{Phone: dctest.Phone, Code: dctest.Code},
		{Phone: "+9996640002", Code: "33333", Name: "Ann", Password: "correct horse", Hint: "the comic", Premium: true, DC: 4},
		{Phone: "+9996610003", Code: "44444", Name: "Bob", ScanAfter: dctest.Duration(50 * time.Millisecond), DC: 1},
		{Phone: "+9996620005", Code: "66666", Name: "Eve", CodeType: "set_up_email"},
		{Phone: "+9996610006", Code: "77777", Name: "Cleo", ScanAfter: dctest.Duration(50 * time.Millisecond), DC: 1},
	}
	return dctest.Config{Accounts: accounts, CodeTimeout: dctest.Duration(time.Millisecond), Channels: []dctest.ChannelConfig{{
		Username: dctest.BigChannel, Title: "The big channel", Specials: true,
		Files: []dctest.FileSpec{
			{Kind: "photo", Count: 6, MinSize: 30 << 10, MaxSize: 90 << 10, DC: 4},
			{Kind: "document", Count: 5, MinSize: 1 << 10, MaxSize: 3 << 20},
		},
	}}}
}

// scenarioOf is the scenario that the script has brought, or the usual one.
func scenarioOf(dir string) (dctest.Config, error) {
	f, err := os.Open(filepath.Join(dir, "scenario.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return scriptScenario(), nil
	}
	if err != nil {
		return dctest.Config{}, err
	}
	defer f.Close() //nolint:errcheck // only read
	return dctest.LoadScenario(f)
}

// exits runs haul and wants an exit code: exits 4 haul ls @bigchannel.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if err != nil {
		code = err.Error()
	}
	if want := "exit status " + args[0]; args[0] == "0" && err != nil || args[0] != "0" && code != want {
		ts.Fatalf("got %v, want %s", err, want)
	}
}

// lines wants a file, or stdout, to have so many lines: lines 3 FILE.
func lines(ts *testscript.TestScript, neg bool, args []string) {
	n := strings.Count(ts.ReadFile(args[1]), "\n")
	if got := strconv.Itoa(n); got != args[0] || neg {
		ts.Fatalf("%s has %s lines, want %s", args[1], got, args[0])
	}
}

// condition knows [readonly]: there is a folder in which not even root may write.
func condition(cond string) (bool, error) {
	if cond != "readonly" {
		return false, fmt.Errorf("unknown condition %q", cond)
	}
	err := os.Mkdir("/sys/kernel/haul", 0o700)
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS), nil
}

// zeroFile makes all bytes of a file zero: zero FILE.
func zeroFile(ts *testscript.TestScript, _ bool, args []string) {
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	clear(b)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o600))
}

// spoil makes the second line of a list zero: damage FILE.
func spoil(ts *testscript.TestScript, _ bool, args []string) {
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	lines := bytes.SplitAfter(b, []byte("\n"))
	clear(lines[1][:len(lines[1])-1])
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o600))
}

// firstJob takes the id of the first job out of what haul jobs has printed:
// firstjob stdout VARIABLE.
func firstJob(ts *testscript.TestScript, _ bool, args []string) {
	rows := strings.Split(ts.ReadFile(args[0]), "\n")
	if len(rows) < 3 {
		ts.Fatalf("no job in %q", rows)
	}
	ts.Setenv(args[1], strings.Fields(rows[1])[0])
}

// firstFile takes message and name of the first file out of what haul ls --json
// has printed: firstfile stdout MESSAGE NAME.
func firstFile(ts *testscript.TestScript, _ bool, args []string) {
	var f listed
	ts.Check(json.NewDecoder(strings.NewReader(ts.ReadFile(args[0]))).Decode(&f))
	ts.Setenv(args[1], strconv.Itoa(f.Message))
	ts.Setenv(args[2], transfer.SafeName(f.Name))
}

// photos sets VARIABLE1, VARIABLE2 and so on to the files of an archive:
// photos VARIABLE FOLDER.
func photos(ts *testscript.TestScript, _ bool, args []string) {
	entries, err := readManifest(ts.MkAbs(filepath.Join(args[1], archive.ManifestName)))
	ts.Check(err)
	for i, e := range entries {
		ts.Setenv(args[0]+strconv.Itoa(i+1), filepath.Join(args[1], filepath.FromSlash(e.Path)))
	}
}

// flip turns a bit of a file over: flip FILE OFFSET.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	b[at] ^= 4
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
}

// appendText adds a line to a file: append FILE TEXT.
func appendText(ts *testscript.TestScript, _ bool, args []string) {
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_APPEND|os.O_WRONLY, 0)
	ts.Check(err)
	_, err = f.WriteString(args[1] + "\n")
	ts.Check(err)
	ts.Check(f.Close())
}

// gone makes a folder an archive with one file, whose message the channel of
// another archive does not have: gone FOLDER ARCHIVE FILE.
func gone(ts *testscript.TestScript, _ bool, args []string) {
	entries, err := readManifest(ts.MkAbs(filepath.Join(args[1], archive.ManifestName)))
	ts.Check(err)
	text := fmt.Sprintf(`{"chat":%d,"message":4000,"document":"1","path":%q,"size":99,"sha256":%q}`+"\n", entries[0].Chat, args[2], entries[0].SHA256)
	ts.Check(os.WriteFile(ts.MkAbs(filepath.Join(args[0], archive.ManifestName)), []byte(text), 0o644))
}
