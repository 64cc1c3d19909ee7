// Package grow measures what a part costs the scheduler and the checkpoint while
// so many files are queued. Neither should care how many.
package grow

import (
	"errors"
	"fmt"
	"os"
	"runtime"
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
	runtime.GC() // what was done before leaves nothing to collect
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

// underWay is how many files of a run send parts at the same time, at most: the
// default of the scheduler, four large ones and 128 small ones.
const underWay = 132

// Checkpoint marks so many parts in a store that has so many unfinished files,
// and returns the CPU time that each took, commits and their share of what the
// store does beside them included. As in a run, the files take turns that are
// under way, at most 132; they lie anywhere among the others.
func Checkpoint(files, parts int, cpu func() time.Duration) (time.Duration, error) {
	turns := min(files, underWay)
	return checkpoints(files, parts, cpu, func(n int) (file, part int) {
		return n % turns * (files / turns), n / turns
	})
}

// Scattered is Checkpoint, but each part is of another file than all before it,
// as far as there are others: nothing that commits have read serves later ones.
func Scattered(files, parts int, cpu func() time.Duration) (time.Duration, error) {
	return checkpoints(files, parts, cpu, func(n int) (file, part int) { return n % files, n / files })
}

// checkpoints marks the part that next tells of each number.
func checkpoints(files, parts int, cpu func() time.Duration, next func(n int) (file, part int)) (took time.Duration, err error) {
	dir, err := os.MkdirTemp("", "haul-grow-*")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	err = within(dir, files, 1000, func(b *checkpoint.Batch, n int) {
		b.Begin(key(n), checkpoint.Download{Path: fmt.Sprintf("films/%06d_name.bin", n), Size: 4 << 30, PartSize: 1 << 20})
	}, func(commits func() error) error { return commits() })
	if err != nil {
		return 0, err
	}
	// The store was closed, so that it has ended what it does with those beside.
	err = within(dir, parts, marksCommit, func(b *checkpoint.Batch, n int) {
		file, part := next(n)
		b.Mark(key(file), part%4096, uint32(n)) // each has 4096 parts
	}, func(commits func() error) error {
		runtime.GC() // what was done before leaves nothing to collect
		begun := cpu()
		err := commits()
		took = (cpu() - begun) / time.Duration(parts)
		return err
	})
	return took, err
}

// within opens a store and commits so many changes, so many at a time. around
// is given what does that.
func within(dir string, changes, together int, add func(b *checkpoint.Batch, n int), around func(commits func() error) error) (err error) {
	s, err := checkpoint.Open(dir, checkpoint.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return around(func() error {
		var b checkpoint.Batch
		for n := range changes {
			add(&b, n)
			if b.Len() == together || n == changes-1 {
				if err := s.Commit(&b); err != nil {
					return err
				}
				b.Reset()
			}
		}
		return nil
	})
}

func key(i int) checkpoint.Key { return checkpoint.Key{Document: int64(i + 1)} }
