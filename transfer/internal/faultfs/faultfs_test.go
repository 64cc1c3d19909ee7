package faultfs

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
)

func last(f *FS) *Replay {
	r := f.Replay()
	for r.Next() {
	}
	return r
}

// after is what is found of a file after a power loss now.
func after(t *testing.T, f *FS, l Loss, name string) []byte {
	t.Helper()
	b, err := last(f).Crash(l, rand.New(rand.NewPCG(1, 2))).ReadFile(name)
	if err != nil {
		return nil
	}
	return append([]byte{}, b...)
}

func open(t *testing.T, f *FS, name string) *File {
	t.Helper()
	h, err := f.OpenFile(name, os.O_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func write(t *testing.T, h *File, b []byte, off int64) {
	t.Helper()
	if _, err := h.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Content needs the file's sync, and the file its folder's.
func TestDurable(t *testing.T) {
	f := New()
	h := open(t, f, "a")
	write(t, h, []byte("one"), 0)
	must(t, h.Datasync())
	if got := after(t, f, Lost, "a"); got != nil {
		t.Errorf("without a sync of the folder: %q", got)
	}
	must(t, f.SyncDir("."))
	write(t, h, []byte("two"), 0)
	if got := after(t, f, Lost, "a"); string(got) != "one" {
		t.Errorf("after a write without a sync: %q, want one", got)
	}
	must(t, f.RenameNew("a", "b"))
	if after(t, f, Lost, "b") != nil || string(after(t, f, Lost, "a")) != "one" {
		t.Error("a rename without a sync is durable")
	}
	must(t, f.SyncDir("."))
	if after(t, f, Lost, "a") != nil || string(after(t, f, Lost, "b")) != "one" {
		t.Error("a rename with a sync is not durable")
	}
}

// After a failed sync the pages are clean: the next one does nothing for them.
func TestFailedSync(t *testing.T) {
	f := New()
	h := open(t, f, "a")
	must(t, f.SyncDir("."))
	write(t, h, []byte("lost"), 0)
	f.SetFault(func(o Op) error {
		if o.Kind == Sync {
			return syscall.EIO
		}
		return nil
	})
	if err := h.Datasync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("Datasync: %v", err)
	}
	f.SetFault(nil)
	must(t, h.Datasync())
	seen, err := f.ReadFile("a")
	if err != nil || string(seen) != "lost" || len(after(t, f, Torn, "a")) != 0 {
		t.Errorf("seen %q, %v, on disk %q; want lost, nothing", seen, err, after(t, f, Torn, "a"))
	}
}

// Torn and reordered images come in many forms, all made of sectors that were written.
func TestImages(t *testing.T) {
	f := New()
	h := open(t, f, "a")
	must(t, f.SyncDir("."))
	old, data := bytes.Repeat([]byte{1}, 4*sector), bytes.Repeat([]byte{2}, 4*sector)
	write(t, h, old, 0)
	must(t, h.Datasync())
	write(t, h, data, 0)
	seen := map[Loss]map[string]bool{Torn: {}, Reordered: {}}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		for l := range seen {
			b, err := last(f).Crash(l, rng).ReadFile("a")
			if err != nil || len(b) != len(old) {
				t.Fatalf("%v: %d bytes, %v", l, len(b), err)
			}
			var form []byte
			for at := 0; at < len(b); at += sector {
				if !bytes.Equal(b[at:at+sector], bytes.Repeat(b[at:at+1], sector)) {
					t.Fatalf("%v: a torn sector", l)
				}
				form = append(form, '0'+b[at])
			}
			seen[l][string(form)] = true
		}
	}
	if len(seen[Torn]) != 5 || len(seen[Reordered]) != 16 {
		t.Errorf("%d torn and %d reordered forms, want 5 and 16: %v", len(seen[Torn]), len(seen[Reordered]), seen)
	}
}

func TestCapacity(t *testing.T) {
	f := New()
	f.SetCapacity(10)
	h := open(t, f, "a")
	if _, err := h.WriteAt(make([]byte, 11), 0); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write of 11 bytes: %v", err)
	}
	write(t, h, make([]byte, 10), 0)
	f.SetCapacity(11)
	write(t, h, []byte{1}, 10)
}
