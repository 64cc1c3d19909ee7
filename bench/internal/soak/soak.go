// Package soak moves files for a long time through everything that can go
// wrong between a client and its servers, and looks whether anything is lost,
// doubled, wrong, stuck or left open.
//
//  1. An era has a cluster in a process of its own, with faults of every kind
//     at random (see weather), and a client signed in there for the first time.
//  2. It is a row of lives: a client is dialled and a checkpoint opened, and
//     both are closed in the end, sometimes while they are in use.
//  3. A life is a row of legs: two engines, one that downloads and one that
//     uploads, which are cancelled at a random moment and made anew.
//  4. The last leg of an era is not cut: everything begun must be done.
//  5. Every file is compared with what the cluster says it is, and deleted.
//
// The client is used as any library is, in this process, so that leaks of
// goroutines and file descriptors show.
package soak

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/tghaul/haul/bench/internal/rig"
	"github.com/tghaul/haul/telegram/dctest"
	"github.com/tghaul/haul/transfer"
)

const (
	// eraLength bounds what a cluster keeps of uploads.
	eraLength = 10 * time.Minute
	// shortestEra is what is too short to begin another era for.
	shortestEra = 20 * time.Second
)

// Options of Run.
type Options struct {
	For  time.Duration // how long to go on; it takes a little longer
	Seed uint64
	Log  io.Writer // what is found, and a line for each era
}

// Totals are what a soak has come to. Of the last ones all must be 0.
type Totals struct {
	mu sync.Mutex // held to add

	Down, Up       int64 // bytes of parts that came, and that were sent
	Files, Sent    int   // downloads verified, messages sent
	Lives, Legs    int   // clients dialled, pairs of engines
	Reconnects     int
	Waits          int
	Refreshes      int
	Resent         int64            // bytes moved a second time
	Struck         map[string]int64 // faults of the cluster and its network, by kind
	InsideAsServed int64            // as the cluster counts them, which cannot know what the client was told

	Mismatches, Lost, Doubled int // of files and messages
	InsideWait                int // requests begun inside a wait that the client had been told of
	Goroutines, Descriptors   int // left over
	Stuck, Broken             int // what did not end, and runs that ended with an error that is none of ours
}

// Run soaks. The error is one of the surroundings, or of ctx; what haul has done
// wrong is in the totals.
func Run(ctx context.Context, r *rig.Rig, o Options) (*Totals, error) {
	t := &Totals{Struck: make(map[string]int64)}
	leaks, err := newLeaks()
	if err != nil {
		return t, err
	}
	end := time.Now().Add(o.For)
	for n := uint64(0); n == 0 || time.Until(end) > shortestEra; n++ {
		e := &era{
			rig: r, log: o.Log, total: t, end: time.Now().Add(min(eraLength, time.Until(end))),
			seed: o.Seed + n, random: rand.New(rand.NewPCG(o.Seed+n, 0x736f616b)),
		}
		if err := e.run(ctx); err != nil {
			return t, fmt.Errorf("era %d, seed %d: %w", n, o.Seed+n, err)
		}
		leaks.look(t, o.Log)
		_, _ = fmt.Fprintf(o.Log, "soak: era %d: %d files down, %d up, %.1f GiB so far\n", n, t.Files, t.Sent, float64(t.Down+t.Up)/(1<<30))
		if t.Stuck > 0 {
			break // what hangs disturbs all that follows
		}
	}
	return t, nil
}

// Faults lists how often each kind has struck, in order of name.
func (t *Totals) Faults() (names []string) { return slices.Sorted(maps.Keys(t.Struck)) }

// add changes the totals.
func (t *Totals) add(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f()
}

// reported adds what an engine has reported. moved is Down or Up.
func (t *Totals) reported(r *transfer.Report, moved *int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*moved += r.BytesReceived
	t.Reconnects += r.Reconnects
	t.Waits += r.FloodWaits
	t.Refreshes += r.ReferenceRefreshes
	t.Resent += r.BytesResent
}

// stats adds what a cluster has counted.
func (t *Totals) stats(s *dctest.Stats) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for kind, n := range s.Network.Struck {
		t.Struck[kind] += n
	}
	for kind, n := range s.Faults {
		t.Struck[kind] += n
	}
	t.InsideAsServed += s.RequestsInsideWait
}
