package archive

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
)

// holdVariable names the folder in which a process of its own is to hold an archive.
const holdVariable = "HAUL_TEST_HOLD"

// mustBeBusy checks that nobody gets the archive below dir.
func mustBeBusy(t *testing.T, dir string) {
	t.Helper()
	a, err := Open(dir, testPeer)
	var busy *BusyError
	if !errors.As(err, &busy) || busy.Dir != filepath.Join(dir, "chat") {
		t.Errorf("Open: %v; want a BusyError of %s", err, filepath.Join(dir, "chat"))
	}
	if err == nil {
		_ = a.Close()
	}
}

// Two that write to an archive would spoil its lists: the second one is told,
// and has touched nothing. Those who read may, and find no file that is not
// the archive's.
func TestLocked(t *testing.T) {
	dir := t.TempDir()
	a := openTest(t, dir)
	// What the first one is writing has no end yet.
	if _, err := a.manifest.WriteString(`{"half`); err != nil {
		t.Fatal(err)
	}
	mustBeBusy(t, dir)
	if b, err := os.ReadFile(filepath.Join(dir, "chat", ManifestName)); string(b) != `{"half` {
		t.Errorf("the second one has changed the manifest: %q, %v", b, err)
	}
	found, err := Verify(t.Context(), dir, VerifyOptions{})
	if err != nil || found.FilesExtra != 0 {
		t.Errorf("Verify while it is locked: %+v, %v", found, err)
	}
	mustLeaveOut(t, dir)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := openTest(t, dir).Close(); err != nil {
		t.Error(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	want := []string{filepath.Join(dir, "chat", ManifestName), filepath.Join(dir, "chat", MessagesName)}
	if !slices.Equal(names, want) {
		t.Errorf("in the folder are %v, %v", names, err)
	}
}

// Who only reads an archive gets what it has, also while another writes to it,
// and leaves every byte as it is: a line that is being written, and damage.
func TestOpenToRead(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenToRead(dir, testPeer); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is none: %v", err)
	}
	a := openTest(t, dir)
	f := telegram.File{ID: 7, Name: "a", Size: 3, Origin: telegram.Origin{Peer: testPeer, MessageID: 4}}
	if err := os.WriteFile(filepath.Join(dir, "chat", "4_a"), []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.AddFile(f, transfer.FileResult{Path: "4_a", Size: 3}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.manifest.WriteString("damage\n{\"half"); err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "chat", ManifestName)
	before, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	for _, history := range []bool{true, false} {
		r, err := OpenToRead(dir, testPeer)
		if err != nil {
			t.Fatal(err)
		}
		if !r.Has(f) || len(r.SetAside()) != 0 {
			t.Errorf("has the file: %t; set aside: %v", r.Has(f), r.SetAside())
		}
		mustBeBusy(t, dir)
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if history {
			if err := os.Remove(filepath.Join(dir, "chat", MessagesName)); err != nil {
				t.Fatal(err)
			}
		}
	}
	after, err := os.ReadFile(list)
	if err != nil || !bytes.Equal(after, before) {
		t.Errorf("the manifest is %q, was %q; %v", after, before, err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "chat", "*"))
	if want := []string{filepath.Join(dir, "chat", "4_a"), list}; err != nil || !slices.Equal(names, want) {
		t.Errorf("in the folder are %v, %v", names, err)
	}
}

// mustLeaveOut checks that a repair leaves the archive below dir out, as one that
// somebody writes to, and no other.
func mustLeaveOut(t *testing.T, dir string) {
	t.Helper()
	free, chat := t.TempDir(), filepath.Join(dir, "chat")
	if err := openTest(t, free).Close(); err != nil {
		t.Fatal(err)
	}
	r, err := NewRepairs([]Wrong{
		{Dir: chat, Entry: Entry{Path: "1_a"}},
		{Dir: dir, Entry: Entry{Path: "chat/1_a", Reference: true}},
		{Dir: chat, Entry: Entry{Path: "2_b"}},
		{Dir: filepath.Join(free, "chat"), Entry: Entry{Path: "1_a"}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if busy, lines := r.Busy(); len(busy) != 1 || busy[0].Dir != chat || lines != 3 || len(r.wrong) != 1 {
		t.Errorf("busy are %v with %d lines; %d files are to be repaired", busy, lines, len(r.wrong))
	}
	mustBeBusy(t, free)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	for dir, want := range map[string]int{dir: 1, free: 0} {
		busy, others, err := Busy(t.Context(), dir)
		if err != nil || len(busy) != want || others != 1-want {
			t.Errorf("Busy of %s: %v and %d others, %v", dir, busy, others, err)
		}
	}
	if _, _, err := Busy(t.Context(), t.TempDir()); !errors.Is(err, ErrNone) {
		t.Errorf("Busy of nothing: %v", err)
	}
}

// A repair keeps others out of the archive, also of one that a line of another
// archive refers to.
func TestLockedByRepair(t *testing.T) {
	dir := t.TempDir()
	if err := openTest(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	for _, w := range []Wrong{
		{Dir: filepath.Join(dir, "chat"), Entry: Entry{Path: "sub/1_a"}},
		{Dir: dir, Entry: Entry{Path: "chat/1_a", Reference: true}},
	} {
		r, err := NewRepairs([]Wrong{w, w}, nil)
		if err != nil {
			t.Fatal(err)
		}
		mustBeBusy(t, dir)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if err := openTest(t, dir).Close(); err != nil {
			t.Error(err)
		}
	}
}

// A list with damage is replaced by another file; whoever opened the old one
// meanwhile does not get in by its lock.
func TestLockedWhileReplaced(t *testing.T) {
	dir := t.TempDir()
	list := filepath.Join(dir, "chat", ManifestName)
	a := openTest(t, dir)
	for range 2 {
		if _, err := a.manifest.WriteString("damage\n"); err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		old, err := os.OpenFile(list, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if a = openTest(t, dir); len(a.SetAside()) != 1 {
			t.Errorf("set aside: %v", a.SetAside())
		}
		mustBeBusy(t, dir)
		if mine, err := lockNamed(a.root, old); mine || err != nil {
			t.Errorf("the manifest of before is taken for that of now: %v, %v", mine, err)
		}
		if err := old.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

// However opening, replacing and closing fall together, one has it; also where
// there are no hard links. Each damaged list is kept.
func TestLockedByOne(t *testing.T) {
	for name, link := range map[string]linker{
		"links": (*os.Root).Link,
		"no links": func(_ *os.Root, old, name string) error {
			return &os.LinkError{Op: "link", Old: old, New: name, Err: syscall.EPERM}
		},
	} {
		t.Run(name, func(t *testing.T) { lockedByOne(t, link) })
	}
}

// noLinks is a file system without hard links.
func noLinks(_ *os.Root, old, name string) error {
	return &os.LinkError{Op: "link", Old: old, New: name, Err: syscall.EPERM}
}

// Without hard links a damaged list is copied: if it were renamed, the manifest
// would have no name for a moment, and another one could be made and locked.
func TestDamagedListIsCopied(t *testing.T) {
	dir := t.TempDir()
	if err := openTest(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "chat", ManifestName)
	if err := os.WriteFile(list, []byte("damage\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(list)
	if err != nil {
		t.Fatal(err)
	}
	a, err := open(dir, testPeer, noLinks)
	if err != nil || len(a.SetAside()) != 1 {
		t.Fatal(err, a)
	}
	aside := filepath.Join(dir, "chat", a.SetAside()[0])
	if fi, err := os.Stat(aside); err != nil || os.SameFile(fi, before) {
		t.Errorf("%s is the list itself, or is not there: %v", aside, err)
	}
	if b, err := os.ReadFile(aside); string(b) != "damage\n" {
		t.Errorf("%s has %q, %v", aside, b, err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

func lockedByOne(t *testing.T, link linker) {
	dir := t.TempDir()
	const enough = 40
	var holders, rounds atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for rounds.Load() < enough {
				a, err := open(dir, testPeer, link)
				if errors.As(err, new(*BusyError)) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d have it", n)
				}
				rounds.Add(1)
				_, err = a.manifest.WriteString("damage\n")
				holders.Add(-1)
				if err = errors.Join(err, a.Close()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if kept, err := filepath.Glob(filepath.Join(dir, "chat", "*.damaged-*")); err != nil || len(kept) != int(rounds.Load())-1 {
		t.Errorf("%d damaged lists are kept of %d, %v", len(kept), rounds.Load()-1, err)
	}
}

// The lock ends with the process, even one that is killed.
func TestLockEndsWithProcess(t *testing.T) {
	if dir := os.Getenv(holdVariable); dir != "" {
		if _, err := Open(dir, testPeer); err != nil {
			t.Fatal(err)
		}
		_, _ = os.Stdout.WriteString("held\n")
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestLockEndsWithProcess$")
	cmd.Env = append(os.Environ(), holdVariable+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil { // held until the process is gone
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "held\n" {
		t.Errorf("the other process says %q, %v", line, err)
	}
	mustBeBusy(t, dir)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if err := openTest(t, dir).Close(); err != nil {
		t.Error(err)
	}
}
