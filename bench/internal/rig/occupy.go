package rig

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// Free memory of a virtual machine may be given back to its host, and to get it
// again costs more than all that is measured here: seconds of CPU time for a GiB, which
// are counted for whoever writes a new file. What is in the page cache is not given back.

const (
	occupyStep = 1 << 30
	// nothing is the size of a file without content, of which each GiB is read once.
	nothing = 1 << 40
)

// Occupy sees to it that a new file of so many MiB takes the place of others in the
// page cache, and not memory that is free. The first time it fills
// the cache. Where the system does not tell how large that is, it does nothing.
func (r *Rig) Occupy(mib int64) error {
	cached, total := meminfo()
	if total == 0 {
		return nil
	}
	f, err := os.OpenFile(r.Path("nothing"), os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = f.Truncate(nothing)
	}
	if err != nil {
		return fmt.Errorf("occupy the page cache: %w", err)
	}
	for first := r.occupied == 0; first && err == nil && r.occupied < total; {
		before := cached
		err = r.readOn(f, occupyStep)
		if cached, _ = meminfo(); cached-before < occupyStep/2 {
			break // it takes the place of what is there
		}
	}
	return errors.Join(err, r.readOn(f, mib<<20), f.Close())
}

// readOn reads what follows of the file.
func (r *Rig) readOn(f io.ReaderAt, n int64) error {
	_, err := io.Copy(io.Discard, bufio.NewReaderSize(io.NewSectionReader(f, r.occupied, n), 1<<20))
	r.occupied += n
	return err
}

// meminfo is how many bytes are in the page cache, and how many there are in all; 0 if unknown.
func meminfo() (cached, total int64) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, 0
	}
	for line := range bytes.Lines(b) {
		var name string
		var kib int64
		if n, _ := fmt.Sscan(string(line), &name, &kib); n < 2 {
			continue
		}
		switch name {
		case "Cached:":
			cached = kib << 10
		case "MemTotal:":
			total = kib << 10
		}
	}
	return cached, total
}
