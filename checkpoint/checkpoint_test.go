package checkpoint_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/checkpoint/checkpointtest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("CHECKPOINT_TEST_DIR"); dir != "" {
		if seed, err := strconv.ParseUint(os.Getenv("CHECKPOINT_TEST_DAMAGE"), 10, 64); err == nil {
			if err := damageChild(seed, dir); err != nil {
				fmt.Println("error:", err)
				os.Exit(1)
			}
			os.Exit(0)
		}
		holdAndWrite(dir)
	}
	goleak.VerifyTestMain(m)
}

func open(t *testing.T, dir string, o checkpoint.Options) *checkpoint.Store {
	t.Helper()
	s, err := checkpoint.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func TestStoreConforms(t *testing.T) {
	dirs := make(map[checkpointtest.Checkpoint]string)
	checkpointtest.Run(t, func(t *testing.T) checkpointtest.Checkpoint {
		dir := t.TempDir()
		s := open(t, dir, checkpoint.Options{})
		dirs[s] = dir
		return s
	}, func(t *testing.T, c checkpointtest.Checkpoint) checkpointtest.Checkpoint {
		if err := c.(*checkpoint.Store).Close(); err != nil {
			t.Fatal(err)
		}
		s := open(t, dirs[c], checkpoint.Options{})
		dirs[s] = dirs[c]
		return s
	})
}

func TestMemoryConforms(t *testing.T) {
	checkpointtest.Run(t, func(*testing.T) checkpointtest.Checkpoint { return checkpoint.NewMemory() }, nil)
}

// holdAndWrite is the other process of TestLockedAndKilled: it opens the
// store, commits, says so, and waits to be killed.
func holdAndWrite(dir string) {
	s, err := checkpoint.Open(dir, checkpoint.Options{})
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	var b checkpoint.Batch
	k := checkpoint.Key{Document: 5}
	b.Begin(k, checkpoint.Download{Path: "x", Size: 100, PartSize: 1})
	for i := range 50 {
		b.Mark(k, i, uint32(i))
	}
	if err := s.Commit(&b); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println("committed")
	_, _ = os.Stdin.Read(make([]byte, 1)) // never comes
}

func TestLockedAndKilled(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "CHECKPOINT_TEST_DIR="+dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close() //nolint:errcheck // the process is killed
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "committed\n" {
		t.Fatalf("other process says %q, %v", line, err)
	}

	_, err = checkpoint.Open(dir, checkpoint.Options{})
	var locked *checkpoint.LockedError
	if !errors.As(err, &locked) || locked.PID != cmd.Process.Pid || locked.Dir != dir {
		t.Errorf("Open while locked: %v; want a LockedError of %s by %d", err, dir, cmd.Process.Pid)
	}

	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	s := open(t, dir, checkpoint.Options{})
	d, found, err := s.Download(checkpoint.Key{Document: 5})
	if err != nil || !found || len(d.Parts) != 50 || d.Parts[49] != 49 {
		t.Errorf("after kill -9: %+v, %v, %v; want 50 parts", d, found, err)
	}
}

func TestSpace(t *testing.T) {
	_, err := checkpoint.Open(t.TempDir(), checkpoint.Options{MinFree: 1 << 60})
	var space *checkpoint.SpaceError
	if !errors.As(err, &space) || space.Need != 1<<60 || space.Free <= 0 {
		t.Errorf("Open: %v; want a SpaceError", err)
	}
}

func TestClosed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, checkpoint.Options{})
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	var b checkpoint.Batch
	b.Forget(checkpoint.Key{})
	if err := s.Commit(&b); !errors.Is(err, checkpoint.ErrClosed) {
		t.Errorf("Commit after Close: %v; want ErrClosed", err)
	}
	if _, _, err := s.Done(checkpoint.Key{}); !errors.Is(err, checkpoint.ErrClosed) {
		t.Errorf("Done after Close: %v; want ErrClosed", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "lock")); err != nil {
		t.Errorf("lock file: %v; want it to stay", err)
	}
}

func TestUnfinished(t *testing.T) {
	s := open(t, t.TempDir(), checkpoint.Options{})
	var b checkpoint.Batch
	want := checkpoint.Key{Target: 1, Chat: -2, Message: 3, Document: 4}
	b.Begin(want, checkpoint.Download{Path: "p", Size: 9, PartSize: 1})
	b.Begin(checkpoint.Key{Document: 1}, checkpoint.Download{PartSize: 1})
	b.Finish(checkpoint.Key{Document: 1}, checkpoint.Done{})
	if err := s.Commit(&b); err != nil {
		t.Fatal(err)
	}
	n := 0
	for k, d := range s.Unfinished() {
		if n++; k != want || d.Path != "p" || d.Size != 9 {
			t.Errorf("unfinished: %+v %+v", k, d)
		}
	}
	if n != 1 {
		t.Errorf("%d unfinished downloads, want 1", n)
	}
}

// A batch of very many files does not fit into one transaction of Badger.
func TestLargeBatch(t *testing.T) {
	s := open(t, t.TempDir(), checkpoint.Options{})
	var b checkpoint.Batch
	const n = 20_000
	for i := range n {
		k := checkpoint.Key{Document: int64(i)}
		b.Begin(k, checkpoint.Download{Path: "some/folder/file", Size: 1, PartSize: 1})
		b.Mark(k, 0, uint32(i))
	}
	start := time.Now()
	if err := s.Commit(&b); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files in %v", n, time.Since(start))
	d, found, err := s.Download(checkpoint.Key{Document: n - 1})
	if err != nil || !found || d.Parts[0] != n-1 {
		t.Errorf("last file: %+v, %v, %v", d, found, err)
	}
}

func BenchmarkCommit(b *testing.B) {
	s, err := checkpoint.Open(b.TempDir(), checkpoint.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	k := checkpoint.Key{Document: 1}
	var batch checkpoint.Batch
	batch.Begin(k, checkpoint.Download{Size: 1 << 20, PartSize: 1 << 8})
	i := 0
	for b.Loop() {
		for range 8 {
			batch.Mark(k, i%4096, uint32(i))
			i++
		}
		if err := s.Commit(&batch); err != nil {
			b.Fatal(err)
		}
		batch.Reset()
	}
}
