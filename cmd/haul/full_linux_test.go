package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tghaul/haul/telegram/dctest"
)

// These tests fill real disks (faults 41). They need to be allowed to mount
// one; elsewhere transfer's tests of a full disk have to do.

// mount makes a folder a disk of so many bytes, as "size=4m".
func mount(t *testing.T, dir, size string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, size+",mode=0700"); err != nil {
		t.Skipf("cannot mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
}

// fill takes room on a disk, at once.
func fill(t *testing.T, path string, size int64) {
	t.Helper()
	f, err := os.Create(path)
	if err == nil {
		err = errors.Join(unix.Fallocate(int(f.Fd()), 0, 0, size), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// pausedAndResumed waits for the pause of a process, lets some time pass, makes
// room, and wants it to end well.
func pausedAndResumed(t *testing.T, p *process, makeRoom func() error) {
	t.Helper()
	is := func(want string) func(string, []byte) bool {
		return func(event string, _ []byte) bool { return event == want }
	}
	p.until("it was paused", is("paused"))
	for range 3 {
		p.until("it had lived on", is("progress"))
	}
	if err := makeRoom(); err != nil {
		t.Fatal(err)
	}
	p.until("it was resumed", is("resumed"))
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
}

// The destination is full: the run waits, and ends well once there is room.
func TestDestinationFull(t *testing.T) {
	t.Parallel()
	s := newStage(t, dctest.Config{})
	out := filepath.Join(s.dir, "out")
	mount(t, out, "size=9m")
	pausedAndResumed(t, s.start(directions[0].args(s)...), func() error {
		return unix.Mount("tmpfs", out, "tmpfs", unix.MS_REMOUNT, "size=200m")
	})
	directions[0].check(s)
	if moved := directions[0].moved(s); moved != processSize {
		t.Errorf("%d bytes were served, want each of %d once", moved, processSize)
	}
}

// The disk of the store is nearly full: the run waits while there is room left
// for Badger, whatever it moves, and nothing dies.
func TestStoreFull(t *testing.T) {
	for _, d := range directions {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, dctest.Config{DCBandwidth: processRate / 4}) // not done before the disk is full
			store, kept := filepath.Join(s.dir, "store"), filepath.Join(s.dir, "kept")
			if err := os.Rename(store, kept); err != nil {
				t.Fatal(err)
			}
			mount(t, store, "size=130m")
			if err := os.CopyFS(store, os.DirFS(kept)); err != nil {
				t.Fatal(err)
			}
			err := filepath.WalkDir(store, func(path string, d fs.DirEntry, err error) error {
				mode := fs.FileMode(0o600)
				if err == nil && d.IsDir() {
					mode = 0o700
				}
				return errors.Join(err, os.Chmod(path, mode))
			})
			if err != nil {
				t.Fatal(err)
			}
			p := s.start(d.args(s)...)
			p.moved(4 << 20)
			filler := filepath.Join(store, "filler")
			fill(t, filler, 60<<20)
			pausedAndResumed(t, p, func() error { return os.Remove(filler) })
			d.check(s)
		})
	}
}
