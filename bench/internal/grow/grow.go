// Package grow measures what a part costs the scheduler and the checkpoint while
// so many files are queued. Neither should care how many.
package grow

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/scheduler"
)

const (
	fileSize    = 64 << 10 // one part
	marksCommit = 8        // parts in a commit, as of a fast transfer: 8 MiB
	partTook    = 2 * time.Millisecond
)

// Scheduler runs so many parts through a scheduler that has so many files
// queued, of one part each, and returns the CPU time that each took, with the
// queueing of the file that takes its place. cpu is that of this process so far.
func Scheduler(files, parts int, cpu func() time.Duration) (time.Duration, error) {
	s := &scheduled{core: scheduler.New(scheduler.Config{}), now: time.Unix(1_700_000_000, 0)}
	for range files {
		s.add()
	}
	begun := cpu()
	for s.done < parts {
		if len(s.flying) == 0 {
			return 0, fmt.Errorf("nothing is under way after %d of %d parts, with %d files queued", s.done, parts, s.core.Queued())
		}
		a := s.flying[0]
		s.flying = s.flying[1:]
		s.now = s.now.Add(partTook / 8)
		s.handle(scheduler.Answered{Attempt: a})
		s.handle(scheduler.Written{Attempt: a})
	}
	return (cpu() - begun) / time.Duration(parts), nil
}

// scheduled is a scheduler whose requests are answered in the order in which they are sent.
type scheduled struct {
	core   *scheduler.Core
	now    time.Time
	last   scheduler.FileID
	flying []scheduler.AttemptID
	done   int
}

func (s *scheduled) add() {
	s.last++
	s.handle(scheduler.Add{File: s.last, Size: fileSize, Route: scheduler.Route{DC: 2, Method: "upload.getFile"}})
}

func (s *scheduled) handle(e scheduler.Event) {
	for _, a := range s.core.Handle(s.now, e) {
		switch a := a.(type) {
		case scheduler.Start:
			s.handle(scheduler.Ready{File: a.File, Parts: []scheduler.Part{{Size: fileSize}}})
		case *scheduler.Send:
			s.flying = append(s.flying, a.Attempt)
		case scheduler.Complete:
			s.done++
			s.add() // as many are queued as before
		default: // nothing else happens where nothing goes wrong
		}
	}
}

// Checkpoint marks so many parts in a store that has so many unfinished files,
// and returns the CPU time that each took, commits and their share of what the
// store does beside them included.
func Checkpoint(files, parts int, cpu func() time.Duration) (took time.Duration, err error) {
	dir, err := os.MkdirTemp("", "haul-grow-*")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := checkpoint.Open(dir, checkpoint.Options{})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var b checkpoint.Batch
	commit := func() error { return cmp.Or(s.Commit(&b), reset(&b)) }
	for i := range files {
		b.Begin(key(i), checkpoint.Download{Path: fmt.Sprintf("films/%06d_name.bin", i), Size: 4 << 30, PartSize: 1 << 20})
		if b.Len() == 1000 || i == files-1 {
			if err := commit(); err != nil {
				return 0, err
			}
		}
	}
	begun := cpu()
	for n := range parts {
		// Files take turns, as those of a real run do; each has 4096 parts.
		b.Mark(key(n%files), n/files%4096, uint32(n))
		if b.Len() == marksCommit || n == parts-1 {
			if err := commit(); err != nil {
				return 0, err
			}
		}
	}
	return (cpu() - begun) / time.Duration(parts), nil
}

func reset(b *checkpoint.Batch) error {
	b.Reset()
	return nil
}

func key(i int) checkpoint.Key { return checkpoint.Key{Document: int64(i + 1)} }
