//go:build linux

// Command benchcrypto sets haul's cryptography of messages beside gotd's, on
// one core and in one run: run `make bench-crypto` in the root of the repository.
//
// All contenders take turns, and each turn is measured in CPU time of its own
// thread, so that other work on the machine takes part in it only through
// caches and clock rates. The ratio is taken turn by turn; the table has its median,
// and between which values 80 of 100 turns lie.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	rounds := flag.Int("rounds", 200, "`turns` of each contender")
	flag.Parse()
	if err := run(*rounds); err != nil {
		fmt.Fprintln(os.Stderr, "benchcrypto:", err)
		os.Exit(1)
	}
}

// A contender does the same work as the others, on the messages of its own workload.
type contender struct {
	name   string
	target float64 // ratio to the baseline that is wanted, or 0
	// turn works on all messages once; what it has to prepare is done before.
	prepare func()
	turn    func() error
}

// A workload is messages, and those who work on them. The first contender is the baseline.
type workload struct {
	name       string
	bytes      int // in a turn
	contenders []contender
}

func run(rounds int) error {
	rnd := rand.NewChaCha8([32]byte{1})
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, load := range []workload{download(rnd, 4, 1<<20), upload(rnd, 4, 512<<10)} {
		times, err := load.measure(rounds)
		if err != nil {
			return err
		}
		// What goes wrong in writing, Flush returns.
		_, _ = fmt.Fprintf(w, "%s\tMiB/s\tratio\t10%% to 90%%\ttarget\n", load.name)
		for i, c := range load.contenders {
			ratios := make([]float64, rounds)
			for r := range ratios {
				ratios[r] = times[0][r].Seconds() / times[i][r].Seconds()
			}
			slices.Sort(ratios)
			slices.Sort(times[i])
			target := ""
			if c.target > 0 {
				target = fmt.Sprint(c.target)
			}
			_, _ = fmt.Fprintf(w, "  %s\t%.0f\t%.2f\t%.2f to %.2f\t%s\n", c.name,
				float64(load.bytes)/(1<<20)/times[i][rounds/2].Seconds(),
				ratios[rounds/2], ratios[rounds/10], ratios[rounds*9/10], target)
		}
	}
	return w.Flush()
}

// measure returns the CPU time of each turn of each contender.
func (l *workload) measure(rounds int) ([][]time.Duration, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it runs between turns only
	times := make([][]time.Duration, len(l.contenders))
	const warmUp = 3
	for r := range rounds + warmUp {
		for i, c := range l.contenders {
			c.prepare()
			start, err := threadTime()
			if err != nil {
				return nil, err
			}
			if err := c.turn(); err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			end, err := threadTime()
			if err != nil {
				return nil, err
			}
			if r >= warmUp {
				times[i] = append(times[i], end-start)
			}
		}
		if r%16 == 0 {
			runtime.GC()
		}
	}
	return times, nil
}

// threadTime is the CPU time that this thread has taken.
func threadTime() (time.Duration, error) {
	var t unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return time.Duration(t.Nano()), err
}

// same fails if what was opened is not what was sealed.
func same(got, want []byte) error {
	if !bytes.Equal(got, want) {
		return fmt.Errorf("the plaintext is not what was encrypted")
	}
	return nil
}
