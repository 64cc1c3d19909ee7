package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tghaul/haul/bench/internal/rig"
	"github.com/tghaul/haul/checkpoint"
	"github.com/tghaul/haul/telegram"
	"github.com/tghaul/haul/transfer"
)

const (
	channel = "soak"
	// longestLeg is after which time a leg is cut that is still going on.
	longestLeg = 12 * time.Second
	// endTime is how long engines may take to end once they were told to.
	endTime = 20 * time.Second
	// lastTime is how long the last leg may take, which is not cut.
	lastTime = 4 * time.Minute
	dialTime = 2 * time.Minute
	// upRate bounds what the cluster has to keep, in bytes a second.
	upRate = 4 << 20
)

// An era is the time with one cluster.
type era struct {
	rig    *rig.Rig
	log    io.Writer
	total  *Totals
	end    time.Time
	seed   uint64
	random *rand.Rand

	cluster *rig.Cluster
	dcs     *telegram.Datacenters
	dir     string
	session telegram.MemorySession
	waits   waits
	down    *downloads
	up      *uploads
}

func (e *era) run(ctx context.Context) (err error) {
	if e.cluster, err = e.rig.Start(weather(e.seed)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.cluster.Stop()) }()
	if e.dcs, err = telegram.LoadDatacenters(e.cluster.Datacenters()); err != nil {
		return err
	}
	if e.dir, err = os.MkdirTemp(e.rig.Path(), "soak-*"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(e.dir)) }()
	if e.down, err = newDownloads(e); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.down.root.Close()) }()
	if e.up, err = newUploads(e); err != nil {
		return err
	}
	pace := pace{since: time.Now(), down: e.total.Down, up: e.total.Up}
	for last := false; !last && e.total.Stuck == 0; {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		last = time.Now().After(e.end)
		if err := e.life(ctx, last); err != nil {
			return err
		}
		pace.look(e.total, e.log)
	}
	return e.compare()
}

// compare looks what the cluster says about all that was moved.
func (e *era) compare() error {
	s, err := e.cluster.Stats()
	if err != nil {
		return err
	}
	e.total.stats(s)
	for _, r := range e.waits.inside {
		e.fault(&e.total.InsideWait, "%s", r)
	}
	e.down.compare(s)
	e.up.compare(s)
	return nil
}

// fault notes something that must not be.
func (e *era) fault(count *int, format string, args ...any) {
	e.total.add(func() { *count++ })
	_, _ = fmt.Fprintf(e.log, "soak: seed %d: "+format+"\n", append([]any{e.seed}, args...)...)
}

// life is one client with one checkpoint. The last one of an era has one leg,
// which goes on until everything is done.
func (e *era) life(ctx context.Context, last bool) error {
	e.total.Lives++
	store, err := checkpoint.Open(filepath.Join(e.dir, "store"), checkpoint.Options{})
	if err != nil {
		return err
	}
	defer func() {
		if err := store.Close(); err != nil {
			e.fault(&e.total.Broken, "close the checkpoint: %v", err)
		}
	}()
	client, err := e.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }() // the second time, if all goes well
	peer, err := client.Resolve(ctx, "@"+channel)
	if err != nil {
		return err
	}
	l := &leg{era: e, client: client, store: store, peer: peer}
	for n := 1 + e.random.IntN(3); n > 0 && e.total.Stuck == 0; n-- {
		l.uncut, l.verify = last, e.random.IntN(4) == 0
		l.closes = n == 1 && e.random.IntN(2) == 0
		l.run(ctx)
		if last {
			break
		}
	}
	if err := client.Close(); err != nil {
		e.fault(&e.total.Broken, "close the client: %v", err)
	}
	return nil
}

func (e *era) dial(ctx context.Context) (*telegram.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	return rig.Dial(ctx, telegram.Config{Session: &e.session, Datacenters: e.dcs})
}

// A leg is two engines that work until they are cut, or done.
type leg struct {
	*era
	client *telegram.Client
	store  *checkpoint.Store
	peer   telegram.Peer
	verify bool // finished files are compared with the server's hashes
	uncut  bool // goes on until all is done
	closes bool // ends by closing the client under the engines
}

func (l *leg) run(ctx context.Context) {
	l.total.Legs++
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	limit := lastTime
	if !l.uncut {
		l.down.more()
		if err := l.up.more(); err != nil {
			l.fault(&l.total.Broken, "%v", err)
			return
		}
		limit = time.Duration(l.random.Int64N(int64(longestLeg)))
	}
	var lanes errgroup.Group
	lanes.Go(func() error { return l.lane("download", l.down.transfer(ctx, l)) })
	lanes.Go(func() error { return l.lane("upload", l.up.transfer(ctx, l)) })
	done := make(chan error, 1)
	var waiter errgroup.Group
	waiter.Go(func() error { done <- lanes.Wait(); return nil })
	if l.within(done, limit) {
		return
	}
	if l.uncut {
		l.fault(&l.total.Stuck, "not everything is done after %v:\n%s", limit, stacks())
	}
	if l.closes && !l.uncut {
		if err := l.client.Close(); err != nil {
			l.fault(&l.total.Broken, "close the client under its engines: %v", err)
		}
	} else {
		cancel()
	}
	if !l.within(done, endTime) {
		l.fault(&l.total.Stuck, "the engines do not end:\n%s", stacks())
	}
}

// within waits for the lanes, and reports whether they ended in time.
func (l *leg) within(done <-chan error, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-done:
		if err != nil {
			l.fault(&l.total.Broken, "%v", err)
		}
		return true
	case <-timer.C:
		return false
	}
}

// lane is what is wrong with how an engine has ended.
func (l *leg) lane(name string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) || l.closes && errors.Is(err, telegram.ErrClosed) {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

// engine makes an engine of the leg.
func (l *leg) engine() *transfer.Engine {
	return transfer.NewFor(watched{l.client, &l.waits}, transfer.Options{
		Checkpoint: l.store, Connections: 4, VerifyServer: l.verify,
		Limits: func(time.Time) (transfer.Limits, time.Time) { return transfer.Limits{Up: upRate}, time.Time{} },
	})
}
