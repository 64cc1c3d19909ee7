package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/color"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	goqr "github.com/piglig/go-qr"
	"golang.org/x/sys/unix"

	"github.com/tghaul/haul/telegram/dctest"
)

// These tests run haul on a pseudo-terminal, as a person uses it.

// A screen is a haul on a terminal, and all that it has written there.
type screen struct {
	t    *testing.T
	cmd  *exec.Cmd
	tty  *os.File
	done sync.WaitGroup

	mu   sync.Mutex
	text bytes.Buffer
	seen int // how far expect has read
}

func onTerminal(t *testing.T, c *dctest.Cluster, args ...string) *screen {
	t.Helper()
	dir := t.TempDir()
	if err := c.Datacenters().WriteFile(filepath.Join(dir, "dc.json")); err != nil {
		t.Fatal(err)
	}
	return inFolder(t, dir, args...)
}

// again runs another haul in the same folder.
func (s *screen) again(args ...string) *screen {
	s.t.Helper()
	return inFolder(s.t, s.cmd.Dir, args...)
}

func inFolder(t *testing.T, dir string, args ...string) *screen {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{t: t, cmd: exec.CommandContext(t.Context(), self)}
	s.cmd.Args = append([]string{"haul", "--datacenters", filepath.Join(dir, "dc.json"), "--store", filepath.Join(dir, "store")}, args...)
	s.cmd.Dir = dir
	if s.tty, err = pty.StartWithSize(s.cmd, &pty.Winsize{Rows: 50, Cols: 120}); err != nil {
		t.Fatal(err)
	}
	s.done.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := s.tty.Read(buf)
			s.mu.Lock()
			s.text.Write(buf[:n])
			s.mu.Unlock()
			if err != nil {
				return // the program is gone
			}
		}
	})
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.tty.Close()
		s.done.Wait()
	})
	return s
}

func (s *screen) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// expect waits for a text after what was expected before, and returns what
// came up to its end.
func (s *screen) expect(text string) string {
	s.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if i := strings.Index(s.all()[s.seen:], text); i >= 0 {
			from := s.seen
			s.seen += i + len(text)
			return s.all()[from:s.seen]
		}
	}
	s.t.Fatalf("%q does not come; the screen has\n%s", text, s.all())
	return ""
}

func (s *screen) write(text string) {
	s.t.Helper()
	if _, err := s.tty.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

// exit waits for the end of the program and wants its exit code.
func (s *screen) exit(want int) {
	s.t.Helper()
	err := s.cmd.Wait()
	s.done.Wait()
	var exit *exec.ExitError
	if code := s.cmd.ProcessState.ExitCode(); code != want || err != nil && !errors.As(err, &exit) {
		s.t.Errorf("exit code %d (%v), want %d; the screen has\n%s", code, err, want, s.all())
	}
}

// echoes says whether the terminal shows what is typed.
func (s *screen) echoes() bool {
	s.t.Helper()
	state, err := unix.IoctlGetTermios(int(s.tty.Fd()), unix.TCGETS)
	if err != nil {
		s.t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

const terminalPassword = "correct horse"

func terminalCluster(t *testing.T, cfg dctest.Config) *dctest.Cluster {
	t.Helper()
	cfg.Accounts = []dctest.AccountConfig{
		{Phone: "+9996640002", Code: "33333", Name: "Ann", Password: terminalPassword, Hint: "the comic\x1b[2J", DC: 4},
		{Phone: "+9996620001", Code: "22222"},
	}
	c, err := dctest.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// A login asks for what it needs; the password is not echoed, and its hint
// cannot move the cursor.
func TestTerminalLogin(t *testing.T) {
	s := onTerminal(t, terminalCluster(t, dctest.Config{}), "login")
	s.expect("Phone number, in international form: ")
	s.write("banana\n")
	s.expect("That is no phone number")
	s.expect("international form: ")
	s.write("+999 664-0002\n")
	s.expect(`it is in the chat "Telegram".`)
	s.expect("Type resend to get another one by SMS, in 1m0s or later.")
	s.expect("Code: ")
	s.write("resend\n")
	s.expect("It is too early for another code: possible in ")
	s.expect("Code: ")
	s.write("\n") // nothing is sent for an empty line
	s.expect("Code: ")
	s.write("00000\n")
	s.expect("That is not the code.")
	s.expect("Code: ")
	s.write("33333\n")
	s.expect("Two-step password (hint: the comic[2J): ")
	s.write("not this one\n")
	s.expect("That is not the password.")
	s.expect("Two-step password (hint: the comic[2J): ")
	s.write(terminalPassword + "\n")
	s.expect("signed in as Ann (user ")
	s.exit(0)
	if text := s.all(); strings.Contains(text, terminalPassword) || strings.Contains(text, "not this one") {
		t.Errorf("a password is on the screen:\n%s", text)
	}
	if !strings.Contains(s.all(), "33333") {
		t.Error("the code is not echoed: this terminal proves nothing")
	}
}

// Ctrl-C at the password ends haul at once, and leaves a terminal that echoes.
func TestTerminalInterrupt(t *testing.T) {
	s := onTerminal(t, terminalCluster(t, dctest.Config{}), "login", "--phone", "+9996640002", "--code", "33333")
	s.expect("Two-step password")
	for deadline := time.Now().Add(patience); s.echoes(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the terminal echoes while the password is asked for")
		}
	}
	s.write("\x03")
	s.expect("interrupted")
	s.exit(130)
	if !s.echoes() {
		t.Error("the terminal does not echo any more")
	}
}

// The code is drawn so that it can be read, and drawn again in place when it
// expires; the password is asked for after it.
func TestTerminalQR(t *testing.T) {
	c := terminalCluster(t, dctest.Config{LoginTokenLifetime: dctest.Duration(time.Second)})
	s := onTerminal(t, c, "login", "-T", "qr")
	const caption = "Link Desktop Device."
	first := readQR(t, s.expect(caption))
	second := s.expect(caption)
	up := regexp.MustCompile(`\x1b\[(\d+)A`).FindStringSubmatch(second)
	if lines := strings.Count(second, "\n"); up == nil || up[1] != fmt.Sprint(lines) {
		t.Errorf("the second code moves up %v, want %d lines", up, lines)
	}
	url := readQR(t, second)
	if url == first {
		t.Error("the second code is the first one")
	}
	token, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(url, "tg://login?token="))
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	if err := c.AcceptLoginToken("+9996640002", token); err != nil {
		t.Fatal(err)
	}
	s.expect("Two-step password")
	s.write(terminalPassword + "\n")
	s.expect("signed in as Ann")
	s.exit(0)
	if strings.Contains(s.all(), terminalPassword) {
		t.Error("the password is on the screen")
	}
}

// In a window that is too small the code would be torn: there is the link.
func TestTerminalSmall(t *testing.T) {
	c := terminalCluster(t, dctest.Config{})
	s := onTerminal(t, c, "login", "-T", "qr", "-n", "small")
	if err := pty.Setsize(s.tty, &pty.Winsize{Rows: 10, Cols: 40}); err != nil {
		t.Fatal(err)
	}
	s.expect("The window is too small")
	s.expect("tg://login?token=")
	s.write("\x03")
	s.exit(130)
}

// readQR reads a code as a telephone does, from what is on the screen: a
// picture of black on white, whatever surrounds it.
func readQR(t *testing.T, text string) string {
	t.Helper()
	var rows [][]rune
	for line := range strings.SplitSeq(text, "\n") {
		if _, code, ok := strings.Cut(line, qrColours); ok {
			code, _, _ = strings.Cut(code, qrNoColours)
			rows = append(rows, []rune(code))
		}
	}
	if len(rows) == 0 {
		t.Fatalf("no code on the screen:\n%s", text)
	}
	const scale = 4
	img := image.NewGray(image.Rect(0, 0, len(rows[0])*scale, len(rows)*2*scale))
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			glyph := rows[y/scale/2][x/scale]
			upper := y/scale%2 == 0
			shade := color.Gray{Y: 255}
			if glyph == '█' || upper && glyph == '▀' || !upper && glyph == '▄' {
				shade.Y = 0
			}
			img.SetGray(x, y, shade)
		}
	}
	url, err := goqr.Decode(img)
	if err != nil {
		t.Fatalf("the code cannot be read: %v\n%s", err, text)
	}
	return url
}
